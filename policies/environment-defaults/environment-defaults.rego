package holdpoint

# One word for each environment says how much may happen there without people.

# METADATA
# title: No agent works in this environment
# custom: { severity: high, controls: ["SOC2 CC6.1", "NIST 800-53 AC-3", "ISO 27001 A.8.31"] }
deny contains {
	"rule": "environment-defaults-closed",
	"reason": "agents do not work in this environment",
} if {
	environment_defaults_mode == "closed"
}

# METADATA
# title: Every call to this environment is looked at
# description: So is every call to an environment that is not listed, has no name, or an unknown mode.
# custom: { severity: high, controls: ["SOC2 CC6.1", "NIST 800-53 AC-3", "ISO 27001 A.8.31"] }
hold contains {
	"rule": "environment-defaults-watched",
	"reason": "every call to this environment is looked at",
	"risk": "medium",
	"reviewers": environment_defaults_reviewers,
	"expires_in": "1h",
} if {
	not environment_defaults_has_mode
}

environment_defaults_has_mode if environment_defaults_mode in {"closed", "guarded", "open"}

# METADATA
# title: Changes to this environment are looked at
# custom: { severity: medium, controls: ["SOC2 CC8.1", "NIST 800-53 CM-5", "ISO 27001 A.8.31"] }
hold contains {
	"rule": "environment-defaults-guarded",
	"reason": "more than a read in a guarded environment",
	"risk": "medium",
	"reviewers": environment_defaults_reviewers,
	"expires_in": "1h",
} if {
	environment_defaults_mode == "guarded"
	not environment_defaults_is_within({"read"})
}

# METADATA
# title: Even in an open environment some things are looked at
# custom: { severity: medium, controls: ["NIST 800-53 AC-6", "ISO 27001 A.8.31"] }
hold contains {
	"rule": "environment-defaults-open",
	"reason": "more than reading and changing data",
	"risk": "medium",
	"reviewers": environment_defaults_reviewers,
	"expires_in": "1h",
} if {
	environment_defaults_mode == "open"
	not environment_defaults_is_within({"delete", "read", "write"})
}

# METADATA
# title: Reads where reads are free
# custom: { severity: low, controls: ["NIST 800-53 AC-6", "ISO 27001 A.5.15"] }
allow contains {"rule": "environment-defaults-read"} if {
	environment_defaults_mode == "guarded"
	environment_defaults_is_within({"read"})
}

# METADATA
# title: Reads and changes of data where they are free
# custom: { severity: low, controls: ["NIST 800-53 AC-6", "ISO 27001 A.5.15"] }
allow contains {"rule": "environment-defaults-data"} if {
	environment_defaults_mode == "open"
	environment_defaults_is_within({"delete", "read", "write"})
}

# A read is one that by its access is nothing else, whatever its kind.
environment_defaults_is_within(kinds) if {
	every action in input.actions {
		action.kind in kinds
		environment_defaults_is_honest(action)
	}
}

environment_defaults_is_honest(action) if action.access == "read"

environment_defaults_is_honest(action) if {
	action.access == "write"
	action.kind != "read"
}

environment_defaults_mode := environment_defaults_environments[input.upstream.environment]

default environment_defaults_environments := {
	"dev": "open",
	"development": "open",
	"production": "guarded",
	"staging": "guarded",
	"test": "open",
}

environment_defaults_environments := data.environment_defaults.environments

default environment_defaults_reviewers := [{"group": "security", "count": 1}]

environment_defaults_reviewers := data.environment_defaults.reviewers
