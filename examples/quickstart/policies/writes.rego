package holdpoint

# METADATA
# title: Changes with the consent of those who own the data
hold contains {
	"rule": "writes",
	"reason": "changes data",
	"risk": "medium",
	"reviewers": [{"group": "data-owners", "count": 1}],
	"expires_in": "1h",
} if {
	some action in input.actions
	action.kind == "write"
	only_data
}

# METADATA
# title: Deletions with the consent of those who own the data
hold contains {
	"rule": "deletes",
	"reason": "deletes data",
	"risk": "high",
	"reviewers": [{"group": "data-owners", "count": 1}],
	"expires_in": "1h",
	"irreversible": true,
} if {
	some action in input.actions
	action.kind == "delete"
	only_data
}

# One call can carry several actions. It is held here only if those who own the data can judge all
# of them; with anything else in it, no rule matches, and the default denies it.
only_data if {
	every action in input.actions {
		action.kind in {"read", "write", "delete"}
	}
}
