package holdpoint_test.infrastructure

deletion := {
	"actions": [{
		"name": "openapi:deleteCluster",
		"kind": "infrastructure-change",
		"access": "write",
		"resource": "/clusters/prod-1",
	}],
	"upstream": {"name": "cloud", "environment": "production", "labels": {}},
	"request": {"method": "DELETE"},
}

test_deleting_a_cluster_in_production_is_denied if {
	some denied in data.holdpoint.deny with input as deletion
	denied.rule == "no-production-cluster-deletion"
	contains(denied.reason, "platform team")
}

test_deleting_a_cluster_elsewhere_is_held if {
	count(data.holdpoint.deny) == 0 with input as deletion with input.upstream.environment as "staging"
	some held in data.holdpoint.hold with input as deletion with input.upstream.environment as "staging"
	held.rule == "infrastructure"
}

test_changing_a_cluster_in_production_is_held if {
	count(data.holdpoint.deny) == 0 with input as deletion with input.request.method as "PATCH"
	some held in data.holdpoint.hold with input as deletion with input.request.method as "PATCH"
	held.reviewers == [{"group": "security", "count": 1}]
}
