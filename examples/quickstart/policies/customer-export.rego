package holdpoint

# METADATA
# title: Customer data leaves only with its owner's consent
# custom: { severity: high, controls: ["SOC2 CC6.1", "NIST AC-3"] }
hold contains {
	"rule": "customer-export",
	"reason": "exports customer data",
	"risk": "high",
	"reviewers": [{"group": "data-owners", "count": 1}],
	"expires_in": "30m",
} if {
	some action in input.actions
	action.kind == "data-export"
	input.upstream.labels.data == "customer"
}
