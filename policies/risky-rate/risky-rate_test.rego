package holdpoint_test.risky_rate

read := {"name": "sql:pg:Select", "kind": "read", "access": "read", "irreversible": false}

write := {"name": "sql:pg:Update", "kind": "write", "access": "write", "irreversible": false}

deletion := {"name": "sql:pg:Delete", "kind": "delete", "access": "write", "irreversible": false}

own(set) := {object | some object in set; startswith(object.rule, "risky-rate-")}

names(set) := {object.rule | some object in own(set)}

times(action, n) := [action | some _ in numbers.range(1, n)]

test_harmless_actions_are_as_many_as_they_like if {
	many := array.concat(times(read, 100), times(write, 100))
	own(data.holdpoint.hold) == set() with input.actions as many
	own(data.holdpoint.deny) == set() with input.actions as many
}

test_one_risky_action_is_usual if {
	own(data.holdpoint.hold) == set() with input.actions as [read, deletion, write]
}

test_two_are_held if {
	own(data.holdpoint.hold) == {{
		"rule": "risky-rate-many",
		"reason": "does 2 risky things at once",
		"risk": "high",
		"reviewers": [{"group": "security", "count": 1}],
		"expires_in": "30m",
	}} with input.actions as [deletion, read, deletion]
	own(data.holdpoint.deny) == set() with input.actions as [deletion, read, deletion]
}

test_too_many_are_denied if {
	own(data.holdpoint.deny) == set() with input.actions as times(deletion, 20)
	own(data.holdpoint.deny) == {{
		"rule": "risky-rate-too-many",
		"reason": "the call does more at once than anybody can judge; send it in smaller parts",
	}} with input.actions as times(deletion, 21)
}

test_what_is_not_known_to_be_harmless_is_risky if {
	every action in [
		{"kind": "unknown", "irreversible": false}, {"kind": "new", "irreversible": false}, {"irreversible": false},
		{"kind": "write", "irreversible": true}, {"kind": "write"}, {"kind": "read", "irreversible": "no"}, {},
	] {
		names(data.holdpoint.hold) == {"risky-rate-many"} with input.actions as [action, action]
		names(data.holdpoint.hold) == set() with input.actions as [action, read]
	}
}

test_limits_come_from_the_data if {
	every case in [
		{"count": 3, "hold": set(), "deny": set()},
		{"count": 4, "hold": {"risky-rate-many"}, "deny": set()},
		{"count": 5, "hold": {"risky-rate-many"}, "deny": set()},
		{"count": 6, "hold": {"risky-rate-many"}, "deny": {"risky-rate-too-many"}},
	] {
		actions := times(deletion, case.count)
		names(data.holdpoint.hold) == case.hold with input.actions as actions
			with data.risky_rate as {"hold_above": 3, "deny_above": 5}
		names(data.holdpoint.deny) == case.deny with input.actions as actions
			with data.risky_rate as {"hold_above": 3, "deny_above": 5}
	}
}

test_nothing_risky_can_be_usual if {
	names(data.holdpoint.hold) == {"risky-rate-many"} with input.actions as [deletion] with data.risky_rate.hold_above as 0
	names(data.holdpoint.hold) == set() with input.actions as [read] with data.risky_rate.hold_above as 0
}

test_a_limit_that_is_no_number_holds_every_call if {
	every limit in ["10", null, true, [10]] {
		names(data.holdpoint.hold) == {"risky-rate-many"} with input.actions as [read] with data.risky_rate.hold_above as limit
	}
}

test_a_highest_number_that_is_none_denies_nothing_and_what_it_meant_is_held if {
	every limit in ["10", null, false] {
		own(data.holdpoint.deny) == set() with input.actions as times(deletion, 30) with data.risky_rate.deny_above as limit
		names(data.holdpoint.hold) == {"risky-rate-many"} with input.actions as times(deletion, 30)
			with data.risky_rate.deny_above as limit
	}
}

test_harmless_kinds_and_reviewers_come_from_the_data if {
	own(data.holdpoint.hold) == set() with input.actions as times(deletion, 5) with data.risky_rate.harmless_kinds as ["delete"]
	others := [{"group": "data-owners", "count": 2}]
	holds := own(data.holdpoint.hold) with input.actions as times(write, 5)
		with data.risky_rate as {"harmless_kinds": ["delete"], "reviewers": others}
	{hold.rule | some hold in holds} == {"risky-rate-many"}
	every hold in holds { hold.reviewers == others }
}
