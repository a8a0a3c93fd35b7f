package holdpoint_test.production_change_windows

# 2026-11-24 is a Tuesday.
change := {
	"actions": [{"name": "http:POST", "kind": "write", "access": "write"}],
	"upstream": {"name": "cloud", "environment": "production", "labels": {}},
	"context": {"time": "2026-11-24T11:00:00Z", "weekday": "tuesday"},
}

own(set) := {object | some object in set; startswith(object.rule, "production-change-windows-")}

names(set) := {object.rule | some object in own(set)}

inside := {"production-change-windows-change"}

outside := {"production-change-windows-change", "production-change-windows-outside"}

test_a_change_in_the_window_is_held if {
	own(data.holdpoint.hold) == {{
		"rule": "production-change-windows-change",
		"reason": "changes production",
		"risk": "medium",
		"reviewers": [{"group": "data-owners", "count": 1}],
		"expires_in": "1h",
	}} with input as change
	own(data.holdpoint.deny) == set() with input as change
}

test_a_change_outside_of_it_is_held_for_security_too if {
	holds := own(data.holdpoint.hold) with input as change with input.context.time as "2026-11-24T16:00:00Z"
	{hold | some hold in holds; hold.rule != "production-change-windows-change"} == {{
		"rule": "production-change-windows-outside",
		"reason": "changes production outside of the change window",
		"risk": "high",
		"reviewers": [{"group": "security", "count": 1}],
		"expires_in": "30m",
		"require_reason": true,
	}}
	count(holds) == 2
}

test_the_window_begins_and_ends_on_the_minute if {
	every time in [
		"2026-11-23T09:00:00Z", "2026-11-24T15:59:59.999Z", "2026-11-25T12:00:00Z", "2026-11-26T10:00:00Z",
		"2026-11-24T10:00:00.123456Z",
	] {
		names(data.holdpoint.hold) == inside with input as change with input.context.time as time
	}
	every time in [
		"2026-11-24T08:59:59.999999Z", "2026-11-24T16:00:00Z", "2026-11-24T00:00:00Z", "2026-11-27T12:00:00Z",
		"2026-11-28T12:00:00Z", "2026-11-29T12:00:00Z",
	] {
		names(data.holdpoint.hold) == outside with input as change with input.context.time as time
	}
}

test_the_clock_is_that_of_the_place if {
	every case in [
		{"time": "2026-11-24T08:00:00Z", "offset": 60, "expected": inside},
		{"time": "2026-11-24T07:59:59.999999999Z", "offset": 60, "expected": outside},
		{"time": "2026-11-24T15:00:00Z", "offset": 60, "expected": outside},
		{"time": "2026-11-24T03:30:00Z", "offset": 330, "expected": inside},
		{"time": "2026-11-24T03:29:00Z", "offset": 330, "expected": outside},
		{"time": "2026-11-24T23:59:00Z", "offset": -480, "expected": inside},
		{"time": "2026-11-25T00:00:00Z", "offset": -480, "expected": outside},
		{"time": "2026-11-27T01:00:00Z", "offset": -600, "expected": inside},
		{"time": "2026-11-22T23:00:00Z", "offset": 600, "expected": inside},
	] {
		names(data.holdpoint.hold) == case.expected with input as change
			with input.context.time as case.time
			with data.production_change_windows.utc_offset_minutes as case.offset
	}
}

test_without_a_time_the_window_is_closed if {
	names(data.holdpoint.hold) == outside with input as object.remove(change, ["context"])
}

test_elsewhere_changes_are_not_held_here if {
	every environment in ["dev", "development", "staging", "test"] {
		own(data.holdpoint.hold) == set() with input as change with input.upstream.environment as environment
	}
}

test_elsewhere_the_hour_is_no_matter if {
	own(data.holdpoint.hold) == set() with input as change
		with input.upstream.environment as "staging"
		with input.context.time as "2026-11-28T03:00:00Z"
}

test_the_time_is_told_to_the_minute if {
	data.holdpoint.production_change_windows_time == "11:00" with input as change
	data.holdpoint.production_change_windows_time == "09:05" with input.context.time as "2026-11-24T09:05:59Z"
}

test_what_is_not_known_to_be_something_else_is_production if {
	every environment in ["production", "prod", "", "Staging", "staging-eu", null] {
		names(data.holdpoint.hold) == inside with input as change with input.upstream.environment as environment
	}
	names(data.holdpoint.hold) == inside with input as object.remove(change, ["upstream"])
}

test_reads_are_not_held_here if {
	own(data.holdpoint.hold) == set() with input as change with input.actions as [{"kind": "read", "access": "read"}]
	names(data.holdpoint.hold) == inside with input as change
		with input.actions as [{"kind": "read", "access": "read"}, {"kind": "read"}]
}

test_windows_come_from_the_data if {
	windows := [
		{"weekdays": ["sunday"], "from": "00:00", "to": "24:00"},
		{"weekdays": ["friday"], "from": "20:00", "to": "23:59"},
	]
	every case in [
		{"time": "2026-11-29T00:00:00Z", "expected": inside},
		{"time": "2026-11-29T23:59:59Z", "expected": inside},
		{"time": "2026-11-27T22:00:00Z", "expected": inside},
		{"time": "2026-11-27T23:59:00Z", "expected": outside},
		{"time": "2026-11-24T11:00:00Z", "expected": outside},
	] {
		names(data.holdpoint.hold) == case.expected with input as change
			with input.context.time as case.time
			with data.production_change_windows.windows as windows
	}
}

test_a_window_that_cannot_be_read_is_closed if {
	every window in [
		{"weekdays": ["tuesday"], "from": "9:00", "to": "16:00"},
		{"weekdays": ["tuesday"], "from": "09:00", "to": "4pm"},
		{"weekdays": ["tuesday"], "from": "09:00", "to": "25:00"},
		{"weekdays": ["tuesday"], "from": "09:00", "to": "16:60"},
		{"weekdays": ["tuesday"], "from": "24:01", "to": "16:00"},
		{"weekdays": ["tuesday"], "from": "x09:00", "to": "16:00"},
		{"weekdays": ["tuesday"], "from": "09:00:00", "to": "16:00"},
		{"weekdays": ["tuesday"], "from": "", "to": "16:00"},
		{"weekdays": ["tuesday"], "from": "09:00", "to": "16:000"},
		{"weekdays": ["tuesday"], "from": "09:00", "to": "124:00"},
		{"weekdays": ["tuesday"], "from": "09:00"},
		{"weekdays": ["tuesday"], "to": "16:00"},
		{"weekdays": "tuesday", "from": "09:00", "to": "16:00"},
		{"weekdays": ["Tuesday"], "from": "09:00", "to": "16:00"},
		{"from": "09:00", "to": "16:00"},
		{"weekdays": ["tuesday"], "from": "16:00", "to": "09:00"},
	] {
		names(data.holdpoint.hold) == outside with input as change with data.production_change_windows.windows as [window]
	}
}

freeze := {"from": "2026-11-20T00:00:00Z", "to": "2026-11-30T00:00:00Z", "reason": "Black Friday"}

test_nothing_changes_during_a_freeze if {
	own(data.holdpoint.deny) == {{
		"rule": "production-change-windows-freeze",
		"reason": "production does not change now: Black Friday",
	}} with input as change with data.production_change_windows.freezes as [freeze]
	own(data.holdpoint.deny) == {{
		"rule": "production-change-windows-freeze",
		"reason": "production does not change now: change freeze",
	}} with input as change with data.production_change_windows.freezes as [object.remove(freeze, ["reason"])]
}

test_a_freeze_begins_and_ends_on_the_second if {
	every time in ["2026-11-20T00:00:00Z", "2026-11-29T23:59:59Z"] {
		count(own(data.holdpoint.deny)) == 1 with input as change
			with input.context.time as time
			with data.production_change_windows.freezes as [freeze]
	}
	every time in ["2026-11-19T23:59:59Z", "2026-11-30T00:00:00Z"] {
		count(own(data.holdpoint.deny)) == 0 with input as change
			with input.context.time as time
			with data.production_change_windows.freezes as [freeze]
	}
}

test_a_freeze_has_times_with_their_own_offset if {
	here := {"from": "2026-11-24T12:30:00+01:00", "to": "2026-11-24T14:00:00+01:00"}
	count(own(data.holdpoint.deny)) == 0 with input as change with data.production_change_windows.freezes as [here]
	count(own(data.holdpoint.deny)) == 1 with input as change
		with input.context.time as "2026-11-24T11:30:00Z"
		with data.production_change_windows.freezes as [here]
}

test_a_freeze_without_beginning_or_end_is_in_force if {
	every half in [
		{}, {"from": "2026-11-20T00:00:00Z"}, {"to": "2026-11-30T00:00:00Z"}, {"until": "2026-11-01T00:00:00Z"},
	] {
		count(own(data.holdpoint.deny)) == 1 with input as change with data.production_change_windows.freezes as [half]
	}
	count(own(data.holdpoint.deny)) == 1 with input as object.remove(change, ["context"])
		with data.production_change_windows.freezes as [freeze]
}

test_a_freeze_is_for_changes_to_production if {
	count(own(data.holdpoint.deny)) == 0 with input as change
		with input.upstream.environment as "staging"
		with data.production_change_windows.freezes as [freeze]
	count(own(data.holdpoint.deny)) == 0 with input as change
		with input.actions as [{"kind": "read", "access": "read"}]
		with data.production_change_windows.freezes as [freeze]
}

test_environments_and_reviewers_come_from_the_data if {
	own(data.holdpoint.hold) == set() with input as change
		with input.upstream.environment as "playground"
		with data.production_change_windows.other_environments as ["playground"]
	one := [{"group": "security", "count": 3}]
	two := [{"group": "data-owners", "count": 3}]
	holds := own(data.holdpoint.hold) with input as change
		with input.context.time as "2026-11-28T00:00:00Z"
		with data.production_change_windows as {"reviewers": one, "outside_reviewers": two}
	{[hold.rule, hold.reviewers] | some hold in holds} == {
		["production-change-windows-change", one],
		["production-change-windows-outside", two],
	}
}
