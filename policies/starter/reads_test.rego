package holdpoint_test.reads

read := {"name": "openapi:listCustomers", "kind": "read", "access": "read", "resource": "/customers"}

unknown := {"name": "http:GET", "kind": "unknown", "access": "write", "resource": "/elsewhere"}

test_a_read_is_allowed if {
	"reads" in rules(data.holdpoint.allow) with input.actions as [read]
}

test_reads_together_are_allowed if {
	"reads" in rules(data.holdpoint.allow) with input.actions as [read, read]
}

test_one_action_that_is_not_a_read_spoils_it if {
	count(data.holdpoint.allow) == 0 with input.actions as [read, unknown]
}

test_an_export_is_not_a_read if {
	export := object.union(read, {"kind": "data-export"})
	count(data.holdpoint.allow) == 0 with input.actions as [export]
}

rules(matched) := {object.rule | some object in matched}
