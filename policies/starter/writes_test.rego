package holdpoint_test.writes

read := {"name": "openapi:listCustomers", "kind": "read", "access": "read"}

write := {"name": "openapi:createCustomer", "kind": "write", "access": "write"}

deletion := {"name": "openapi:deleteCustomer", "kind": "delete", "access": "write"}

payment := {"name": "openapi:pay", "kind": "payment", "access": "write"}

test_a_write_is_held if {
	rules(data.holdpoint.hold) == {"writes"} with input.actions as [write]
}

test_a_deletion_is_held_and_marked_as_final if {
	some held in data.holdpoint.hold with input.actions as [read, deletion]
	held.rule == "deletes"
	held.irreversible
}

test_both_rules_hold_a_call_that_does_both if {
	rules(data.holdpoint.hold) == {"writes", "deletes"} with input.actions as [write, deletion]
}

test_a_read_is_not_held if {
	count(data.holdpoint.hold) == 0 with input.actions as [read]
}

test_what_comes_with_a_payment_is_not_held_here if {
	count(data.holdpoint.hold) == 0 with input.actions as [write, payment]
}

rules(matched) := {object.rule | some object in matched}
