package holdpoint_test.time_and_on_call

# 2026-11-24 is a Tuesday.
change := {
	"actions": [{"name": "http:POST", "kind": "write", "access": "write", "irreversible": false}],
	"context": {"time": "2026-11-24T20:00:00Z", "weekday": "tuesday"},
}

final := object.union(change, {"actions": [{"kind": "delete", "access": "write", "irreversible": true}]})

own(set) := {object | some object in set; startswith(object.rule, "time-and-on-call-")}

names(set) := {object.rule | some object in own(set)}

reviewers(set) := {reviewer | some object in own(set); some reviewer in object.reviewers}

late := {"time-and-on-call-out-of-hours"}

test_a_change_in_the_evening_is_held if {
	own(data.holdpoint.hold) == {{
		"rule": "time-and-on-call-out-of-hours",
		"reason": "changes something while people are away",
		"risk": "high",
		"reviewers": [{"group": "security", "count": 1}],
		"expires_in": "2h",
	}} with input as change
	own(data.holdpoint.deny) == set() with input as change
}

test_business_hours_begin_and_end_on_the_minute if {
	every time in [
		"2026-11-23T08:00:00Z", "2026-11-24T17:59:59.999Z", "2026-11-25T08:01:00Z", "2026-11-26T12:00:00Z",
		"2026-11-27T12:00:00Z",
	] {
		names(data.holdpoint.hold) == set() with input as change with input.context.time as time
	}
	every time in [
		"2026-11-24T07:59:59.999Z", "2026-11-24T18:00:00Z", "2026-11-24T00:00:00Z", "2026-11-28T12:00:00Z",
		"2026-11-29T12:00:00Z",
	] {
		names(data.holdpoint.hold) == late with input as change with input.context.time as time
	}
}

test_the_clock_is_that_of_the_place if {
	every case in [
		{"time": "2026-11-24T17:00:00Z", "offset": 60, "expected": late},
		{"time": "2026-11-24T16:59:59.999999999Z", "offset": 60, "expected": set()},
		{"time": "2026-11-24T07:00:00Z", "offset": 60, "expected": set()},
		{"time": "2026-11-24T02:30:00Z", "offset": 330, "expected": set()},
		{"time": "2026-11-28T01:00:00Z", "offset": -480, "expected": set()},
		{"time": "2026-11-22T23:00:00Z", "offset": 600, "expected": set()},
	] {
		names(data.holdpoint.hold) == case.expected with input as change
			with input.context.time as case.time
			with data.time_and_on_call.utc_offset_minutes as case.offset
	}
}

test_the_time_is_told_to_the_minute if {
	data.holdpoint.time_and_on_call_time == "20:00" with input as change
	data.holdpoint.time_and_on_call_time == "09:05" with input.context.time as "2026-11-24T09:05:59Z"
}

test_without_a_time_nobody_is_there if {
	names(data.holdpoint.hold) == late with input as object.remove(change, ["context"])
}

test_a_holiday_has_no_business_hours if {
	holidays := ["2026-11-25", "2027-01-01"]
	every case in [
		{"time": "2026-11-24T12:00:00Z", "offset": 0, "expected": set()},
		{"time": "2026-11-25T12:00:00Z", "offset": 0, "expected": late},
		{"time": "2027-01-01T12:00:00Z", "offset": 0, "expected": late},
		{"time": "2026-11-24T22:00:00Z", "offset": 600, "expected": late},
		{"time": "2026-11-25T22:00:00Z", "offset": 600, "expected": set()},
	] {
		names(data.holdpoint.hold) == case.expected with input as change
			with input.context.time as case.time
			with data.time_and_on_call as {"holidays": holidays, "utc_offset_minutes": case.offset}
	}
}

test_reads_are_not_held_here if {
	own(data.holdpoint.hold) == set() with input as change with input.actions as [{"kind": "read", "access": "read"}]
	names(data.holdpoint.hold) == late with input as change
		with input.actions as [{"kind": "read", "access": "read"}, {"kind": "read"}]
}

test_what_cannot_be_undone_waits if {
	own(data.holdpoint.deny) == {{
		"rule": "time-and-on-call-irreversible",
		"reason": "what cannot be undone is done in business hours only; call again then",
	}} with input as final
	own(data.holdpoint.deny) == set() with input as final with input.context.time as "2026-11-24T12:00:00Z"
	own(data.holdpoint.hold) == set() with input as final with input.context.time as "2026-11-24T12:00:00Z"
	both := array.concat(change.actions, final.actions)
	names(data.holdpoint.deny) == {"time-and-on-call-irreversible"} with input as change with input.actions as both
}

test_what_may_be_undone_is_only_held if {
	every irreversible in [false, "true", null] {
		own(data.holdpoint.deny) == set() with input as change
			with input.actions as [{"kind": "delete", "access": "write", "irreversible": irreversible}]
	}
	own(data.holdpoint.deny) == set() with input as change with input.actions as [{"kind": "delete", "access": "write"}]
	names(data.holdpoint.hold) == late with input as change with input.actions as [{"kind": "delete", "access": "write"}]
}

test_hours_come_from_the_data if {
	hours := [
		{"weekdays": ["saturday"], "from": "20:00", "to": "24:00"},
		{"weekdays": ["sunday"], "from": "00:00", "to": "04:00"},
	]
	every case in [
		{"time": "2026-11-28T20:00:00Z", "expected": set()},
		{"time": "2026-11-28T23:59:59Z", "expected": set()},
		{"time": "2026-11-29T03:00:00Z", "expected": set()},
		{"time": "2026-11-29T04:00:00Z", "expected": late},
		{"time": "2026-11-24T12:00:00Z", "expected": late},
	] {
		names(data.holdpoint.hold) == case.expected with input as change
			with input.context.time as case.time
			with data.time_and_on_call.business_hours as hours
	}
}

test_hours_that_cannot_be_read_are_none if {
	every hours in [
		{"weekdays": ["tuesday"], "from": "8:00", "to": "21:00"},
		{"weekdays": ["tuesday"], "from": "08:00", "to": "9pm"},
		{"weekdays": ["tuesday"], "from": "08:00", "to": "25:00"},
		{"weekdays": ["tuesday"], "from": "08:00", "to": "21:60"},
		{"weekdays": ["tuesday"], "from": "x08:00", "to": "21:00"},
		{"weekdays": ["tuesday"], "from": "08:00:00", "to": "21:00"},
		{"weekdays": ["tuesday"], "from": "", "to": "21:00"},
		{"weekdays": ["tuesday"], "from": "08:00", "to": "21:000"},
		{"weekdays": ["tuesday"], "from": "08:00"},
		{"weekdays": ["tuesday"], "to": "21:00"},
		{"weekdays": "tuesday", "from": "08:00", "to": "21:00"},
		{"weekdays": ["Tuesday"], "from": "08:00", "to": "21:00"},
		{"from": "08:00", "to": "21:00"},
	] {
		names(data.holdpoint.hold) == late with input as change with data.time_and_on_call.business_hours as [hours]
	}
}

shifts := [
	{"group": "data-owners", "from": "2026-11-23T18:00:00Z", "to": "2026-11-24T20:00:00Z"},
	{"group": "on-call", "from": "2026-11-24T20:00:00Z", "to": "2026-11-30T08:00:00+01:00"},
	{"group": "night", "from": "2026-11-24T22:00:00Z", "to": "2026-11-25T06:00:00Z"},
]

test_those_on_call_decide if {
	every case in [
		{"time": "2026-11-23T18:00:00Z", "groups": {"data-owners"}},
		{"time": "2026-11-24T19:59:59Z", "groups": {"data-owners"}},
		{"time": "2026-11-24T20:00:00Z", "groups": {"on-call"}},
		{"time": "2026-11-25T01:00:00Z", "groups": {"on-call", "night"}},
		{"time": "2026-11-30T06:59:59Z", "groups": {"on-call"}},
		{"time": "2026-11-30T07:00:00Z", "groups": {"security"}},
		{"time": "2026-11-22T07:00:00Z", "groups": {"security"}},
	] {
		expected := {{"group": group, "count": 1} | some group in case.groups}
		reviewers(data.holdpoint.hold) == expected with input as change
			with input.context.time as case.time
			with data.time_and_on_call.shifts as shifts
	}
}

test_a_shift_that_is_not_whole_is_none if {
	every shift in [
		{"from": "2026-11-23T18:00:00Z", "to": "2026-11-25T20:00:00Z"},
		{"group": "on-call", "to": "2026-11-25T20:00:00Z"},
		{"group": "on-call", "from": "2026-11-23T18:00:00Z"},
	] {
		reviewers(data.holdpoint.hold) == {{"group": "security", "count": 1}} with input as change
			with data.time_and_on_call.shifts as [shift]
	}
}

test_the_fallback_comes_from_the_data if {
	reviewers(data.holdpoint.hold) == {{"group": "data-owners", "count": 2}} with input as change
		with data.time_and_on_call.fallback as [{"group": "data-owners", "count": 2}]
}
