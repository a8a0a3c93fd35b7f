package holdpoint

# The second half of a run's name is its case; what a case is about is held, what leads there is not.
free if contains(input.request.path, ".passes")

# What kubectl asks of a cluster before it does anything.
free if {
	input.request.method == "GET"
	some asked in ["/api", "/apis", "/api/v1", "/version", "/openapi/v2", "/openapi/v3"]
	endswith(input.request.path, asked)
}

# `kubectl apply` looks whether there is something to change.
free if {
	input.request.method == "GET"
	contains(input.request.path, "/kubectl-apply.")
}

allow contains {"rule": "free"} if free

deny contains {"rule": "never", "reason": "people do this themselves"} if {
	not free
	contains(input.request.path, ".policy-deny")
}

hold contains {"rule": "held", "reason": "changes something", "reviewers": [{"group": "security", "count": 1}]} if not free

hold contains {
	"rule": "held-briefly",
	"reason": "changes something",
	"reviewers": [{"group": "security", "count": 1}],
	"hold_for": "1s",
} if {
	not free
	some case in [".pending", ".comes-again"]
	contains(input.request.path, case)
}
