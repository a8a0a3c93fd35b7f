# Values: kinds, equality, order, numbers, texts.
package holdpoint_test.conformance.values

test_arrays_are_equal_in_order_only if {
	[1, 2] == [1, 2]
	[1, 2] != [2, 1]
}

test_sets_have_no_order if {2, 1, 2} == {1, 2}

test_objects_have_no_order if {"a": 1, "b": 2} == {"b": 2, "a": 1}

test_an_array_is_not_a_set if [1, 2] != {1, 2}

test_an_empty_object_is_not_an_empty_set if {} != set()

test_whole_numbers_and_fractions_are_equal if 1 == 1.0

test_equal_numbers_are_one_element if count({1, 1.0}) == 1

test_a_number_is_not_its_text if 1 != "1"

test_true_is_not_one if true != 1

test_null_is_nothing_else if {
	null == null
	null != false
	null != 0
}

test_texts_are_compared_by_character if {
	"a" < "b"
	"B" < "a"
	"10" < "9"
	"a" < "aa"
}

test_kinds_have_an_order if {
	null < false
	false < true
	true < -100
	100 < ""
	"zzz" < []
	[9] < {}
	[9] < set()
}

test_sorting_goes_by_kind if {
	sort([{"a": 1}, [1], "a", 1, true, false, null]) == [null, false, true, 1, "a", [1], {"a": 1}]
}

test_arrays_are_compared_element_by_element if {
	[1, 2, 3] < [1, 3]
	[1, 2] < [1, 2, 0]
	[] < [null]
}

test_sets_are_compared_in_order if {
	{1, 2} < {1, 3}
	{1} < {1, 2}
}

test_a_set_is_sorted_when_made_an_array if [x | some x in {3, 1, 2}] == [1, 2, 3]

test_a_set_of_mixed_kinds_is_sorted_too if [x | some x in {"b", 2, null, "a", true}] == [null, true, 2, "a", "b"]

test_keys_are_run_through_in_order if [k | some k, _ in {"b": 1, "a": 2, "c": 3}] == ["a", "b", "c"]

test_large_whole_numbers_are_exact if {
	9007199254740993 != 9007199254740992
	9007199254740993 + 1 == 9007199254740994
}

test_whole_numbers_have_no_limit if {
	18446744073709551615 + 1 == 18446744073709551616
	99999999999999999999 * 99999999999999999999 == 9999999999999999999800000000000000000001
}

test_negative_numbers if {
	-5 + 3 == -2
	3 - 5 == -2
	abs(-5) == 5
}

test_multiplication_goes_before_addition if 2 + 3 * 4 == 14

test_brackets_go_before_all if (2 + 3) * 4 == 20

test_subtraction_goes_from_the_left if 10 - 3 - 2 == 5

test_division_gives_fractions if 7 / 2 == 3.5

test_division_of_what_divides_is_whole if 6 / 2 == 3

test_the_remainder_has_the_sign_of_the_dividend if {
	7 % 3 == 1
	minus_seven := -7
	minus_seven % 3 == -1
}

test_numbers_with_an_exponent if {
	1e3 == 1000
	2.5e-1 == 0.25
}

test_rounding if {
	round(2.5) == 3
	round(-2.5) == -3
	ceil(1.1) == 2
	floor(1.9) == 1
	floor(-1.1) == -2
}

test_raw_texts_keep_backslashes if count(`a\n`) == 3

test_raw_texts_may_have_several_lines if split(`a
b`, "\n") == ["a", "b"]

test_escapes_in_texts if {
	"\u0061" == "a"
	"\t" == `	`
	"\"" == `"`
	"\\" == `\`
}

test_texts_count_characters_not_bytes if count("äöü") == 3

test_a_character_beyond_the_first_plane_is_one if substring("a😀b", 1, 1) == "😀"

test_an_object_may_have_any_keys if {
	object_of_numbers := {1: "a", true: "b", null: "c", [1]: "d"}
	object_of_numbers[1] == "a"
	object_of_numbers[true] == "b"
	object_of_numbers[null] == "c"
	object_of_numbers[[1]] == "d"
}

test_a_set_of_sets if [1 | {1} in {{1}, {2}}] == [1]

test_union_intersection_and_difference if {
	{1, 2} | {2, 3} == {1, 2, 3}
	{1, 2} & {2, 3} == {2}
	{1, 2} - {2, 3} == {1}
}

test_an_index_beyond_the_end_is_undefined if {
	not [1, 2][input.x] with input as {"x": 2}
	not [1, 2][input.x] with input as {"x": -1}
	[1, 2][input.x] == 2 with input as {"x": 1}
}

test_a_field_of_what_is_no_object_is_undefined if {
	not input.a.b with input as {"a": 5}
	not input.a.b with input as {"a": null}
	not input.a.b with input as {"a": "text"}
}

test_false_is_defined if {
	input.a == false with input as {"a": false}
	not input.a with input as {"a": false}
}

test_null_zero_and_empty_are_not_false if {
	null
	0
	""
	[]
	{}
	set()
}
