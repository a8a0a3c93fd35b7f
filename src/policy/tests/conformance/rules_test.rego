# Rules: complete, partial, functions, defaults, else, and how they join.
package holdpoint_test.conformance.rules

complete := 5

complete_by_body := 5 if true

no_body_is_true if 1 < 2

never if 1 > 2

several := "a" if input.which == 1

several := "b" if input.which == 2

agreeing := 1 if true

agreeing := 1 if 1 == 1

names contains "ana"

names contains name if some name in ["bo", "cy", "bo"]

none contains x if some x in []

ages["ana"] := 30

ages[name] := age if {
	some name, age in {"bo": 40, "cy": 50}
}

nested.deeply[key] := value if some key, value in {"x": 1, "y": 2}

nested.flat := "z"

sets[kind] contains name if {
	some [kind, name] in [["a", "x"], ["b", "y"], ["a", "z"]]
}

default with_default := "nothing"

with_default := "something" if input.there

default always(_) := "unknown"

always(x) := "one" if x == 1

graded := "low" if {
	input.score < 10
} else := "middle" if {
	input.score < 100
} else := "high"

half_graded := "low" if {
	input.score < 10
} else := "middle" if {
	input.score < 100
}

add(a, b) := a + b

is_even(n) if n % 2 == 0

first([x, _]) := x

by_constant("a") := 1

by_constant("b") := 2

sized(x) := "small" if {
	x < 10
} else := "large"

swap({"from": x, "to": y}) := {"from": y, "to": x}

test_a_complete_rule_is_its_value if complete == 5

test_a_body_that_holds_gives_the_value if complete_by_body == 5

test_a_rule_without_a_value_is_true if no_body_is_true == true

test_a_rule_whose_body_fails_is_undefined if not never

test_a_rule_whose_body_fails_is_not_false if {
	not never == false
}

test_rules_of_one_name_are_alternatives if {
	several == "a" with input.which as 1
	several == "b" with input.which as 2
	not several with input.which as 3
}

test_rules_may_agree_on_a_value if agreeing == 1

test_a_partial_set_has_each_element_once if names == {"ana", "bo", "cy"}

test_a_partial_set_of_nothing_is_empty_and_defined if none == set()

test_a_partial_object_collects_keys if ages == {"ana": 30, "bo": 40, "cy": 50}

test_a_key_of_a_partial_object_can_be_asked_for if ages.bo == 40

test_a_key_that_is_not_there_is_undefined if not ages.dora

test_heads_can_have_several_names if nested.deeply == {"x": 1, "y": 2}

test_rules_below_one_name_are_one_object if nested == {"deeply": {"x": 1, "y": 2}, "flat": "z"}

test_sets_below_a_name if sets == {"a": {"x", "z"}, "b": {"y"}}

test_an_element_of_a_set_is_itself_below_it if names.ana == "ana"

test_a_default_stands_in_where_nothing_holds if with_default == "nothing" with input as {}

test_a_default_stands_in_where_a_value_is_false if with_default == "nothing" with input as {"there": false}

test_a_default_gives_way if with_default == "something" with input as {"there": true}

test_a_default_of_a_function if {
	always(1) == "one"
	always(2) == "unknown"
}

test_else_takes_the_first_that_holds if {
	graded == "low" with input.score as 5
	graded == "middle" with input.score as 50
	graded == "high" with input.score as 500
}

test_else_may_end_without_an_answer if {
	half_graded == "middle" with input.score as 50
	not half_graded with input.score as 500
}

test_a_function_of_two_arguments if add(2, 3) == 5

test_a_function_without_a_value_is_true_or_undefined if {
	is_even(4)
	not is_even(5)
}

test_a_function_takes_arguments_apart if first([7, 8]) == 7

test_arguments_that_do_not_fit_are_undefined if {
	not first(input.x) with input as {"x": [7, 8, 9]}
}

test_functions_with_constant_arguments_are_alternatives if {
	by_constant("a") == 1
	by_constant("b") == 2
	not by_constant("c")
}

test_a_function_with_else if {
	sized(5) == "small"
	sized(50) == "large"
}

test_a_function_takes_objects_apart if swap({"from": 1, "to": 2}) == {"from": 2, "to": 1}

test_the_answer_of_a_function_can_be_the_last_argument if {
	add(2, 3, answer)
	answer == 5
}

test_a_function_of_an_undefined_argument_is_undefined if {
	count([1 | add(input.missing, 1)]) == 0
}

test_rules_can_be_found_below_data if data.holdpoint_test.conformance.rules.complete == 5

test_a_variable_runs_through_rules if {
	some name
	ages[name] == 40
	name == "bo"
}
