package holdpoint_test.data_classification

read := {"name": "http:GET", "kind": "read", "access": "read"}

write := {"name": "http:POST", "kind": "write", "access": "write"}

export := {"name": "openapi:export", "kind": "data-export", "access": "read"}

call := {
	"actions": [read],
	"upstream": {"name": "crm", "environment": "production", "labels": {"data": "public"}},
}

own(set) := {object | some object in set; startswith(object.rule, "data-classification-")}

answer := {
	"deny": {trim_prefix(object.rule, "data-classification-") | some object in own(data.holdpoint.deny)},
	"hold": {trim_prefix(object.rule, "data-classification-") | some object in own(data.holdpoint.hold)},
}

nothing := {"deny": set(), "hold": set()}

held(rule) := {"deny": set(), "hold": {rule}}

denied(rule) := {"deny": {rule}, "hold": set()}

test_each_class_asks_for_more_than_the_one_before if {
	every case in [
		{"label": "public", "action": read, "expected": nothing},
		{"label": "public", "action": write, "expected": nothing},
		{"label": "public", "action": export, "expected": nothing},
		{"label": "internal", "action": read, "expected": nothing},
		{"label": "internal", "action": write, "expected": nothing},
		{"label": "internal", "action": export, "expected": held("internal")},
		{"label": "confidential", "action": read, "expected": nothing},
		{"label": "confidential", "action": write, "expected": held("confidential")},
		{"label": "confidential", "action": export, "expected": held("confidential")},
		{"label": "customer", "action": read, "expected": nothing},
		{"label": "customer", "action": export, "expected": held("confidential")},
		{"label": "restricted", "action": read, "expected": held("restricted")},
		{"label": "restricted", "action": write, "expected": held("restricted")},
		{"label": "secret", "action": read, "expected": denied("secret")},
		{"label": "secret", "action": export, "expected": denied("secret")},
	] {
		answer == case.expected with input as call
			with input.actions as [case.action]
			with input.upstream.labels as {"data": case.label}
		answer == case.expected with input as call
			with input.actions as [read, case.action]
			with input.upstream.labels as {"data": case.label}
	}
}

test_a_label_that_is_missing_or_unknown_holds if {
	every labels in [{}, {"class": "public"}, {"data": ""}, {"data": "Public"}, {"data": "pii"}, {"data": null}] {
		answer == held("unknown") with input as call with input.upstream.labels as labels
	}
	answer == held("unknown") with input as object.remove(call, ["upstream"])
}

test_the_rules_say_who_and_why if {
	common := {"risk": "high", "reviewers": [{"group": "data-owners", "count": 1}], "expires_in": "30m"}
	own(data.holdpoint.hold) == {object.union(common, {
		"rule": "data-classification-restricted",
		"reason": "uses restricted data",
		"require_reason": true,
	})} with input as call with input.upstream.labels.data as "restricted"
	own(data.holdpoint.hold) == {object.union(common, {
		"rule": "data-classification-confidential",
		"reason": "does more with confidential data than read it",
	})} with input as call with input.actions as [write] with input.upstream.labels.data as "confidential"
	own(data.holdpoint.hold) == {object.union(common, {
		"rule": "data-classification-internal",
		"reason": "takes internal data out",
		"risk": "medium",
		"expires_in": "1h",
	})} with input as call with input.actions as [export] with input.upstream.labels.data as "internal"
	own(data.holdpoint.hold) == {object.union(common, {
		"rule": "data-classification-unknown",
		"reason": "nobody has said how sensitive this data is",
	})} with input as call with input.upstream.labels as {}
	own(data.holdpoint.deny) == {{
		"rule": "data-classification-secret",
		"reason": "agents do not work with data of this class",
	}} with input as call with input.upstream.labels.data as "secret"
}

test_an_action_that_is_odd_is_no_read_of_confidential_data if {
	every action in [{"kind": "read"}, {"access": "read"}, {"kind": "read", "access": "write"}, {}] {
		answer == held("confidential") with input as call
			with input.actions as [action]
			with input.upstream.labels.data as "confidential"
	}
}

test_internal_data_stays_inside_by_these_kinds_only if {
	every kind in [
		"configuration-change", "delete", "infrastructure-change", "network-change", "payment", "read", "write",
	] {
		answer == nothing with input as call
			with input.actions as [{"kind": kind}]
			with input.upstream.labels.data as "internal"
	}
	every action in [
		{"kind": "credential-issue"}, {"kind": "privilege-escalation"}, {"kind": "execute"}, {"kind": "unknown"},
		{"kind": "new"}, {},
	] {
		answer == held("internal") with input as call
			with input.actions as [action]
			with input.upstream.labels.data as "internal"
	}
}

test_label_and_classes_come_from_the_data if {
	settings := {"label": "class", "classes": {"c0": "public", "c3": "secret", "c4": "sceret"}}
	every case in [
		{"labels": {"class": "c0", "data": "secret"}, "expected": nothing},
		{"labels": {"class": "c3"}, "expected": denied("secret")},
		{"labels": {"class": "c4"}, "expected": held("unknown")},
		{"labels": {"class": "public"}, "expected": held("unknown")},
		{"labels": {"data": "public"}, "expected": held("unknown")},
	] {
		answer == case.expected with input as call
			with input.upstream.labels as case.labels
			with data.data_classification as settings
	}
}

test_reviewers_come_from_the_data if {
	others := [{"group": "security", "count": 2}]
	every label in ["internal", "confidential", "restricted", "unheard-of"] {
		holds := own(data.holdpoint.hold) with input as call
			with input.actions as [export]
			with input.upstream.labels.data as label
			with data.data_classification.reviewers as others
		count(holds) == 1
		every hold in holds { hold.reviewers == others }
	}
}
