package holdpoint_test.environment_defaults

read := {"name": "http:GET", "kind": "read", "access": "read"}

write := {"name": "http:POST", "kind": "write", "access": "write"}

deletion := {"name": "http:DELETE", "kind": "delete", "access": "write"}

payment := {"name": "openapi:pay", "kind": "payment", "access": "write"}

call := {
	"actions": [read],
	"upstream": {"name": "cloud", "environment": "production", "labels": {}},
}

own(set) := {object | some object in set; startswith(object.rule, "environment-defaults-")}

# Of every set, the names of this folder's rules without what they have in common.
answer := {
	"deny": {trim_prefix(object.rule, "environment-defaults-") | some object in own(data.holdpoint.deny)},
	"hold": {trim_prefix(object.rule, "environment-defaults-") | some object in own(data.holdpoint.hold)},
	"allow": {trim_prefix(object.rule, "environment-defaults-") | some object in own(data.holdpoint.allow)},
}

expect(effect, rule) := object.union({"deny": set(), "hold": set(), "allow": set()}, {effect: {rule}})

test_every_environment_does_what_its_mode_says if {
	every case in [
		{"environment": "production", "actions": [read], "expected": expect("allow", "read")},
		{"environment": "production", "actions": [read, read], "expected": expect("allow", "read")},
		{"environment": "production", "actions": [write], "expected": expect("hold", "guarded")},
		{"environment": "production", "actions": [read, write], "expected": expect("hold", "guarded")},
		{"environment": "staging", "actions": [read], "expected": expect("allow", "read")},
		{"environment": "staging", "actions": [deletion], "expected": expect("hold", "guarded")},
		{"environment": "dev", "actions": [write], "expected": expect("allow", "data")},
		{"environment": "development", "actions": [deletion, read], "expected": expect("allow", "data")},
		{"environment": "test", "actions": [write], "expected": expect("allow", "data")},
		{"environment": "test", "actions": [read], "expected": expect("allow", "data")},
		{"environment": "test", "actions": [payment], "expected": expect("hold", "open")},
		{"environment": "test", "actions": [write, payment], "expected": expect("hold", "open")},
	] {
		answer == case.expected with input as call
			with input.actions as case.actions
			with input.upstream.environment as case.environment
	}
}

test_the_rules_say_who_and_why if {
	held := {"risk": "medium", "reviewers": [{"group": "security", "count": 1}], "expires_in": "1h"}
	own(data.holdpoint.hold) == {object.union(held, {
		"rule": "environment-defaults-guarded",
		"reason": "more than a read in a guarded environment",
	})} with input as call with input.actions as [write]
	own(data.holdpoint.hold) == {object.union(held, {
		"rule": "environment-defaults-open",
		"reason": "more than reading and changing data",
	})} with input as call with input.actions as [payment] with input.upstream.environment as "test"
	own(data.holdpoint.hold) == {object.union(held, {
		"rule": "environment-defaults-watched",
		"reason": "every call to this environment is looked at",
	})} with input as call with input.upstream.environment as "lab"
}

test_an_environment_that_is_not_listed_is_watched if {
	every environment in ["", "lab", "Test", "production-eu", null] {
		answer == expect("hold", "watched") with input as call with input.upstream.environment as environment
	}
	answer == expect("hold", "watched") with input as object.remove(call, ["upstream"])
}

test_a_closed_environment_is_closed_for_reads_too if {
	own(data.holdpoint.deny) == {{
		"rule": "environment-defaults-closed",
		"reason": "agents do not work in this environment",
	}} with input as call with data.environment_defaults.environments as {"production": "closed"}
	every action in [read, payment, {}] {
		answer == expect("deny", "closed") with input as call
			with input.actions as [action]
			with data.environment_defaults.environments as {"production": "closed"}
	}
}

test_a_mode_that_does_not_exist_is_watched if {
	every mode in ["watched", "opne", "OPEN", "", null, true, 1, ["open"]] {
		answer == expect("hold", "watched") with input as call
			with data.environment_defaults.environments as {"production": mode}
	}
	every environments in [{}, null, ["open"], "open"] {
		answer == expect("hold", "watched") with input as call
			with data.environment_defaults.environments as environments
	}
}

test_an_action_that_contradicts_itself_is_held if {
	every action in [
		{"kind": "read", "access": "write"}, {"kind": "read"}, {"access": "read"}, {"kind": "read", "access": "READ"},
		{"kind": "unknown", "access": "read"}, {"kind": "data-export", "access": "read"},
	] {
		answer == expect("hold", "guarded") with input as call with input.actions as [action]
		answer == expect("hold", "open") with input as call
			with input.actions as [action]
			with input.upstream.environment as "test"
	}
}

test_a_write_that_only_reads_is_free_in_an_open_environment if {
	answer == expect("allow", "data") with input as call
		with input.actions as [{"kind": "write", "access": "read"}]
		with input.upstream.environment as "test"
}

test_reviewers_come_from_the_data if {
	others := [{"group": "data-owners", "count": 2}]
	every environment in ["production", "test", "lab"] {
		holds := own(data.holdpoint.hold) with input as call
			with input.actions as [payment]
			with input.upstream.environment as environment
			with data.environment_defaults.reviewers as others
		count(holds) == 1
		every hold in holds { hold.reviewers == others }
	}
}
