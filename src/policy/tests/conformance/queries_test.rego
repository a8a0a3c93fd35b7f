# Bodies: variables, unification, negation, some, every, in, comprehensions, with.
package holdpoint_test.conformance.queries

people := [{"name": "ana", "age": 30}, {"name": "bo", "age": 40}, {"name": "cy", "age": 40}]

test_all_expressions_must_hold if {
	1 == 1
	not false
}

test_the_order_of_expressions_is_no_matter if {
	y == 6
	y = x * 2
	x = 3
}

test_a_local_hides_a_rule if {
	people := 5
	people == 5
}

test_unification_binds_either_side if {
	[x, "b"] = ["a", y]
	x == "a"
	y == "b"
}

test_unification_of_two_variables if {
	x = y
	y = 7
	x == 7
}

test_unification_of_what_differs_fails if {
	not unified(1, 2)
	not unified([1, 2], [1])
	not unified({"a": 1}, {"a": 2})
}

unified(a, b) if a = b

test_unification_goes_into_objects if {
	{"a": x, "b": [_, y]} = {"a": 1, "b": [2, 3]}
	x == 1
	y == 3
}

test_assignment_takes_apart if {
	[a, {"b": b}] := [1, {"b": 2}]
	a + b == 3
}

test_a_variable_used_twice_joins if {
	same := {name | some i, j; people[i].age == people[j].age; i != j; name := people[i].name}
	same == {"bo", "cy"}
}

test_brackets_run_through if {
	ages := {x | x := people[_].age}
	ages == {30, 40}
}

test_an_underscore_is_new_each_time if count([1 | [_, _] = [1, 2]]) == 1

test_some_in_finds_values if {
	some person in people
	person.name == "cy"
}

test_some_in_finds_keys if {
	some i, "b" in ["a", "b"]
	i == 1
}

test_some_in_takes_apart if {[k, v] | some {"k": k, "v": v} in [{"k": 1, "v": 2}]} == {[1, 2]}

test_some_in_runs_through_objects if {v | some v in {"a": 1, "b": 2}} == {1, 2}

test_some_in_runs_through_sets if {v | some v in {"a", "b"}} == {"a", "b"}

test_some_in_nothing_fails if {
	not any_in([])
	not any_in({})
	not any_in(set())
}

any_in(things) if some _ in things

test_in_looks_for_a_value if {
	2 in [1, 2]
	"x" in {"x", "y"}
	1 in {"a": 1}
	not "a" in {"a": 1}
}

test_in_looks_for_key_and_value if {
	0, "x" in ["x"]
	"a", 1 in {"a": 1}
	not "a", 2 in {"a": 1}
}

test_in_is_false_where_it_is_not if (3 in [1, 2]) == false

test_every_of_nothing_holds if {
	every x in [] { x == 1 }
	every x in set() { x == 1 }
	every x in {} { x == 1 }
}

test_every_needs_all if {
	every x in [2, 4] { x % 2 == 0 }
	not all_even([2, 3])
}

all_even(numbers) if {
	every x in numbers { x % 2 == 0 }
}

test_every_knows_keys if {
	every i, x in ["a", "b"] { ["a", "b"][i] == x }
	every k, v in {"a": "a"} { k == v }
}

test_every_over_something_undefined_fails if {
	not every_missing
}

every_missing if {
	every x in input.missing { x == 1 }
}

test_every_with_an_undefined_field_fails if not all_named([{"name": "x"}, {}])

all_named(things) if {
	every thing in things { thing.name != "" }
}

test_every_can_be_nested if {
	every row in [[1, 2], [3]] {
		every cell in row { cell > 0 }
	}
}

test_not_of_undefined_holds if not input.missing

test_not_of_false_holds if not input.no with input as {"no": false}

test_not_of_true_fails if {
	count([1 | not input.yes]) == 0 with input as {"yes": true}
}

test_not_of_an_equality_with_undefined_holds if not input.missing == 1

test_a_comparison_with_undefined_fails_either_way if {
	count([1 | input.missing == 1]) == 0
	count([1 | input.missing != 1]) == 0
}

test_not_sees_what_is_bound_outside if {x | some x in [1, 2, 3]; not x == 2} == {1, 3}

test_not_of_a_rule_that_runs_through_asks_whether_there_is_any if {
	not has_age(99)
	not not_has_age(30)
}

has_age(age) if people[_].age == age

not_has_age(age) if not has_age(age)

test_array_comprehensions_keep_order_and_repeats if [p.age | some p in people] == [30, 40, 40]

test_set_comprehensions_do_not if {p.age | some p in people} == {30, 40}

test_object_comprehensions if {p.name: p.age | some p in people} == {"ana": 30, "bo": 40, "cy": 40}

test_comprehensions_of_nothing_are_empty if {
	[x | some x in []] == []
	{x | some x in []} == set()
	{x: x | some x in []} == {}
}

test_comprehensions_see_what_is_bound_outside if {
	limit := 35
	[p.name | some p in people; p.age > limit] == ["bo", "cy"]
}

test_comprehensions_can_be_nested if {
	{age: names | some p in people; age := p.age; names := [q.name | some q in people; q.age == age]} == {
		30: ["ana"],
		40: ["bo", "cy"],
	}
}

test_an_undefined_term_adds_nothing if [p.nick | some p in [{"nick": "x"}, {}]] == ["x"]

test_with_replaces_input if input.x == 1 with input as {"x": 1}

test_with_replaces_a_part_of_input if {
	input == {"x": 2, "y": {"z": 3}} with input as {"x": 1, "y": {"z": 3}} with input.x as 2
}

test_with_adds_to_input if input.a.b.c == 1 with input as {} with input.a.b.c as 1

test_with_lasts_for_one_expression if {
	input.x == 1 with input as {"x": 1}
	not input.x
}

test_with_reaches_into_rules if allowed with input as {"user": "ana"}

allowed if input.user in data.test_admins

allowed if input.user == "ana"

test_with_replaces_data if allowed with input as {"user": "bo"} with data.test_admins as ["bo"]

test_with_replaces_a_rule if {
	people_count == 3
	people_count == 1 with data.holdpoint_test.conformance.queries.people as [{"name": "solo"}]
}

people_count := count(people)

test_with_replaces_a_function if {
	doubled == 10
	doubled == 15 with twice as thrice
	doubled == 7 with twice as 7
}

doubled := twice(5)

twice(x) := x * 2

thrice(x) := x * 3

test_with_replaces_a_builtin if {
	size_of([1, 2]) == 2
	size_of([1, 2]) == 9 with count as 9
}

size_of(x) := count(x)

test_with_under_not if not allowed with input as {"user": "eve"}

test_a_dynamic_reference if {
	key := "name"
	people[0][key] == "ana"
}

test_a_reference_with_brackets_and_dots if {
	input["a b"].c[0]["d"] == 1 with input as {"a b": {"c": [{"d": 1}]}}
}

test_a_reference_into_the_answer_of_a_call if object.union({"a": 1}, {"b": 2}).b == 2

test_a_reference_into_a_literal if {"a": [10, 20]}.a[1] == 20

test_walk_visits_every_value if {
	paths := {path | walk({"a": [1, {"b": 2}]}, [path, _])}
	paths == {[], ["a"], ["a", 0], ["a", 1], ["a", 1, "b"]}
}

test_walk_finds_values if {
	some path
	walk({"a": {"b": {"c": "here"}}}, [path, "here"])
	path == ["a", "b", "c"]
}

test_several_answers_of_a_set_are_all_found if count({[x, y] | some x in [1, 2]; some y in [3, 4]}) == 4
