package holdpoint_test.customer_export

export := {
	"actions": [{"name": "openapi:exportCustomers", "kind": "data-export", "access": "read"}],
	"upstream": {"name": "cloud", "environment": "production", "labels": {"data": "customer"}},
	"request": {"method": "GET"},
}

test_an_export_of_customer_data_is_held_for_its_owners if {
	some held in data.holdpoint.hold with input as export
	held.rule == "customer-export"
	held.reviewers == [{"group": "data-owners", "count": 1}]
}

test_other_data_is_not_this_rules_business if {
	count(data.holdpoint.hold) == 0 with input as export with input.upstream.labels as {"data": "public"}
}
