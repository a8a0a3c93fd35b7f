package holdpoint

# METADATA
# title: Clusters in production are not deleted by agents
deny contains {
	"rule": "no-production-cluster-deletion",
	"reason": "clusters in production are deleted by people only; drain the cluster and ask the platform team to remove it",
} if {
	input.upstream.environment == "production"
	input.request.method == "DELETE"
	some action in input.actions
	action.kind == "infrastructure-change"
	contains(action.resource, "/clusters/")
}

# METADATA
# title: Infrastructure changes with the consent of security
hold contains {
	"rule": "infrastructure",
	"reason": "changes infrastructure",
	"risk": "high",
	"reviewers": [{"group": "security", "count": 1}],
	"expires_in": "1h",
} if {
	some action in input.actions
	action.kind == "infrastructure-change"

	# Whatever else is in the call must be something that this rule's reviewers can judge.
	every other in input.actions {
		other.kind in {"read", "infrastructure-change"}
	}
}
