package holdpoint

# How much that is risky comes in one call, whatever the calls before it were.

# METADATA
# title: A call that does too much at once is refused
# custom: { severity: high, controls: ["SOC2 CC7.2", "NIST 800-53 SC-5", "ISO 27001 A.8.6"] }
deny contains {
	"rule": "risky-rate-too-many",
	"reason": "the call does more at once than anybody can judge; send it in smaller parts",
} if {
	is_number(risky_rate_deny_above)
	risky_rate_count > risky_rate_deny_above
}

# METADATA
# title: A call that does several risky things is looked at
# description: A limit that is no number holds every call.
# custom: { severity: medium, controls: ["SOC2 CC7.2", "NIST 800-53 SI-4", "ISO 27001 A.8.16"] }
hold contains {
	"rule": "risky-rate-many",
	"reason": sprintf("does %d risky things at once", [risky_rate_count]),
	"risk": "high",
	"reviewers": risky_rate_reviewers,
	"expires_in": "30m",
} if {
	not risky_rate_is_usual
}

risky_rate_is_usual if {
	is_number(risky_rate_hold_above)
	risky_rate_count <= risky_rate_hold_above
}

# What is not known to be harmless is risky, and so is what cannot be undone.
risky_rate_count := count([action |
	some action in input.actions
	not risky_rate_is_harmless(action)
])

risky_rate_is_harmless(action) if {
	action.kind in risky_rate_harmless
	action.irreversible == false
}

default risky_rate_harmless := ["read", "write"]

risky_rate_harmless := data.risky_rate.harmless_kinds

default risky_rate_hold_above := 1

risky_rate_hold_above := data.risky_rate.hold_above

default risky_rate_deny_above := 20

risky_rate_deny_above := data.risky_rate.deny_above

default risky_rate_reviewers := [{"group": "security", "count": 1}]

risky_rate_reviewers := data.risky_rate.reviewers
