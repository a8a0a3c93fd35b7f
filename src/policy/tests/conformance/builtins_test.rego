# Builtins that policies about calls are likely to need.
package holdpoint_test.conformance.builtins

test_count if {
	count([1, 1]) == 2
	count({1, 1}) == 1
	count({"a": 1}) == 1
	count("abc") == 3
}

test_sum_and_product if {
	sum([1, 2, 3]) == 6
	sum([]) == 0
	product([2, 3]) == 6
	product([]) == 1
	sum({1, 2}) == 3
}

test_max_and_min if {
	max([3, 1, 2]) == 3
	min({3, 1, 2}) == 1
	max(["a", 5]) == "a"
}

test_max_of_nothing_is_undefined if not max([])

test_min_of_nothing_is_undefined if not min(set())

test_sort if sort([3, 1, 2]) == [1, 2, 3]

test_arrays if {
	array.concat([1], [2]) == [1, 2]
	array.slice([0, 1, 2, 3], 1, 3) == [1, 2]
	array.slice([0, 1], 1, 100) == [1]
	array.reverse([1, 2]) == [2, 1]
}

test_object_get if {
	object.get({"a": 1}, "a", 0) == 1
	object.get({"a": 1}, "b", 0) == 0
	object.get({"a": {"b": 2}}, ["a", "b"], 0) == 2
	object.get({"a": {"b": 2}}, ["a", "c"], 0) == 0
	object.get({"a": false}, "a", true) == false
	object.get({"a": null}, "a", 0) == null
}

test_object_keys if object.keys({"a": 1, "b": 2}) == {"a", "b"}

test_object_remove_and_filter if {
	object.remove({"a": 1, "b": 2}, ["b"]) == {"a": 1}
	object.filter({"a": 1, "b": 2}, ["b"]) == {"b": 2}
}

test_object_union_goes_deep_and_the_right_wins if {
	object.union({"a": {"x": 1}, "b": 1}, {"a": {"y": 2}, "b": 2}) == {"a": {"x": 1, "y": 2}, "b": 2}
	object.union_n([{"a": 1}, {"b": 2}, {"a": 3}]) == {"a": 3, "b": 2}
}

test_object_subset if {
	object.subset({"a": {"b": 1, "c": 2}}, {"a": {"b": 1}})
	not object.subset({"a": 1}, {"b": 1})
}

test_json_remove_and_filter if {
	json.remove({"a": {"b": 1, "c": 2}}, ["a/b"]) == {"a": {"c": 2}}
	json.filter({"a": {"b": 1, "c": 2}}, ["a/b"]) == {"a": {"b": 1}}
}

test_json_is_read_and_written if {
	json.unmarshal("{\"a\": [1, null]}") == {"a": [1, null]}
	json.marshal({"b": 1, "a": "x"}) == "{\"a\":\"x\",\"b\":1}"
	json.is_valid("[]")
	not json.is_valid("[")
}

test_sets_of_sets if {
	union({{1}, {2}}) == {1, 2}
	intersection({{1, 2}, {2, 3}}) == {2}
}

test_concat_and_split if {
	concat(", ", ["a", "b"]) == "a, b"
	split("a.b.c", ".") == ["a", "b", "c"]
	split("", ".") == [""]
}

test_contains_and_ends if {
	contains("banana", "nan")
	startswith("banana", "ban")
	endswith("banana", "ana")
	not startswith("banana", "an")
	contains("x", "")
}

test_indexof if {
	indexof("banana", "n") == 2
	indexof("banana", "x") == -1
	indexof_n("banana", "an") == [1, 3]
}

test_case if {
	lower("ÄbC") == "äbc"
	upper("äbc") == "ÄBC"
}

test_replace if replace("a-b-c", "-", "+") == "a+b+c"

test_reverse if strings.reverse("abc") == "cba"

test_substring if {
	substring("abcdef", 1, 3) == "bcd"
	substring("abcdef", 4, -1) == "ef"
	substring("äöü", 1, 1) == "ö"
}

test_trim if {
	trim("--a--", "-") == "a"
	trim_left("--a--", "-") == "a--"
	trim_right("--a--", "-") == "--a"
	trim_prefix("--a", "-") == "-a"
	trim_suffix("a--", "-") == "a-"
	trim_space(" a\n") == "a"
}

test_sprintf if {
	sprintf("%s is %d", ["x", 5]) == "x is 5"
	sprintf("%v %v", [[1, "a"], {"b": true}]) == "[1, \"a\"] {\"b\": true}"
	sprintf("%05d|%x|%q|%%", [42, 255, "a"]) == "00042|ff|\"a\"|%"
}

test_prefixes_of_any if {
	strings.any_prefix_match(["abc"], ["x", "ab"])
	not strings.any_suffix_match("abc", ["x", "ab"])
}

test_strings_count if strings.count("cheese", "e") == 3

test_format_int if {
	format_int(255, 16) == "ff"
	format_int(5, 2) == "101"
}

test_regex_match if {
	regex.match(`^\d+$`, "123")
	not regex.match(`^\d+$`, "12a")
	regex.match("b", "abc")
}

test_regex_find if {
	regex.find_n("[a-z]", "a1b2c3", 2) == ["a", "b"]
	regex.find_n("[a-z]", "a1b2c3", -1) == ["a", "b", "c"]
}

test_regex_groups if regex.find_all_string_submatch_n("(a)(b)?", "ab a", -1) == [["ab", "a", "b"], ["a", "a", ""]]

test_regex_replace_and_split if {
	regex.replace("a1b2", `(\w)(\d)`, "$2$1") == "1a2b"
	regex.split("[,;]", "a,b;c") == ["a", "b", "c"]
}

test_regex_is_valid if {
	regex.is_valid("a+")
	not regex.is_valid("a(")
}

test_regex_template_match if {
	regex.template_match("urn:foo:{.*}", "urn:foo:bar:baz", "{", "}")
	not regex.template_match("urn:foo:{[0-9]+}", "urn:foo:bar", "{", "}")
}

test_glob_stops_at_dots_by_default if {
	glob.match("*.github.com", [], "api.github.com")
	not glob.match("*.github.com", [], "a.b.github.com")
}

test_glob_with_delimiters if {
	glob.match("/a/*/c", ["/"], "/a/b/c")
	not glob.match("/a/*", ["/"], "/a/b/c")
	glob.match("/a/**", ["/"], "/a/b/c")
}

test_glob_without_delimiters if glob.match("*hub.com", null, "api.cdn.github.com")

test_glob_alternatives_and_classes if {
	glob.match("{cat,bat}-[0-9]", [], "bat-7")
	not glob.match("{cat,bat}-[0-9]", [], "rat-7")
	glob.match("?at", [], "cat")
	not glob.match("[!a]at", [], "aat")
}

test_glob_quotes if glob.quote_meta("*.x") == `\*.x`

test_kinds if {
	is_string("a")
	is_number(1.5)
	is_boolean(false)
	is_null(null)
	is_array([])
	is_object({})
	is_set(set())
}

test_kinds_of_others_are_undefined if {
	not is_string(1)
	not is_number("1")
	not is_set({})
	not is_object([])
}

test_type_name if {
	[type_name(x) | some x in [null, true, 1, "a", [], {}, set()]] == [
		"null", "boolean", "number", "string", "array", "object", "set",
	]
}

test_to_number if {
	to_number("12") == 12
	to_number("-1.5") == -1.5
	to_number(true) == 1
	to_number(null) == 0
	to_number(7) == 7
}

test_numbers_range if {
	numbers.range(1, 4) == [1, 2, 3, 4]
	numbers.range(2, -1) == [2, 1, 0, -1]
	numbers.range(3, 3) == [3]
	numbers.range_step(0, 10, 4) == [0, 4, 8]
}

test_bits if {
	bits.and(6, 3) == 2
	bits.or(6, 3) == 7
	bits.xor(6, 3) == 5
	bits.lsh(1, 4) == 16
	bits.rsh(16, 4) == 1
	bits.negate(5) == -6
}

test_units if {
	units.parse_bytes("1KiB") == 1024
	units.parse_bytes("10MB") == 10000000
	units.parse("2k") == 2000
	units.parse("500m") == 0.5
}

test_base64_and_hex if {
	base64.encode("hi?>") == "aGk/Pg=="
	base64.decode("aGk/Pg==") == "hi?>"
	base64url.encode_no_pad("hi?>") == "aGk_Pg"
	base64url.decode("aGk_Pg==") == "hi?>"
	base64.is_valid("aGk=")
	not base64.is_valid("aGk")
	hex.encode("hi") == "6869"
	hex.decode("6869") == "hi"
}

test_urlquery if {
	urlquery.encode("a b&c") == "a+b%26c"
	urlquery.decode("a+b%26c") == "a b&c"
	urlquery.decode_object("a=1&b=2&a=3") == {"a": ["1", "3"], "b": ["2"]}
}

test_cidrs if {
	net.cidr_contains("10.0.0.0/8", "10.1.2.3")
	not net.cidr_contains("10.0.0.0/8", "11.0.0.1")
	net.cidr_contains("10.0.0.0/8", "10.1.0.0/16")
	net.cidr_contains("2001:db8::/32", "2001:db8::1")
	net.cidr_is_valid("10.0.0.0/8")
	not net.cidr_is_valid("10.0.0.0/33")
}

test_semver if {
	semver.compare("1.2.3", "1.10.0") == -1
	semver.compare("1.0.0", "1.0.0-rc1") == 1
	semver.is_valid("1.2.3")
	not semver.is_valid("1.2")
}

test_uuid if uuid.parse("00000000-0000-4000-8000-000000000000").version == 4

test_times if {
	ns := time.parse_rfc3339_ns("2026-11-24T11:05:09Z")
	ns == 1795518309000000000
	time.date(ns) == [2026, 11, 24]
	time.clock(ns) == [11, 5, 9]
	time.weekday(ns) == "Tuesday"
	time.add_date(ns, 0, 1, 1) == time.parse_rfc3339_ns("2026-12-25T11:05:09Z")
	time.parse_duration_ns("1h30m") == 5400000000000
	time.parse_rfc3339_ns("2026-11-24T12:05:09+01:00") == ns
}

test_times_are_written if {
	time.format(1795518309000000000) == "2026-11-24T11:05:09Z"
}

test_days_between if time.diff(1795518309000000000, 1795431909000000000) == [0, 0, 1, 0, 0, 0]

test_graph_reachable if {
	graph.reachable({"a": ["b"], "b": ["c"], "c": [], "d": []}, ["a"]) == {"a", "b", "c"}
}

test_json_patch if {
	json.patch({"a": 1}, [{"op": "add", "path": "/b", "value": 2}, {"op": "remove", "path": "/a"}]) == {"b": 2}
}

test_texts_are_no_numbers if {
	not input.x == 1 with input as {"x": "1"}
}
