package holdpoint

# The upstream's label says how sensitive its data is; each class asks for more than the one before.

# METADATA
# title: Secret data is not for agents
# custom: { severity: critical, controls: ["SOC2 CC6.1", "NIST 800-53 AC-3", "ISO 27001 A.5.12"] }
deny contains {
	"rule": "data-classification-secret",
	"reason": "agents do not work with data of this class",
} if {
	data_classification_class == "secret"
}

# METADATA
# title: Every use of restricted data has its owner's consent
# custom: { severity: high, controls: ["SOC2 C1.1", "NIST 800-53 AC-3", "ISO 27001 A.5.12"] }
hold contains {
	"rule": "data-classification-restricted",
	"reason": "uses restricted data",
	"risk": "high",
	"reviewers": data_classification_reviewers,
	"expires_in": "30m",
	"require_reason": true,
} if {
	data_classification_class == "restricted"
}

# METADATA
# title: Confidential data is read freely, and changes or leaves with its owner's consent
# custom: { severity: high, controls: ["SOC2 C1.1", "NIST 800-53 AC-4", "ISO 27001 A.8.12"] }
hold contains {
	"rule": "data-classification-confidential",
	"reason": "does more with confidential data than read it",
	"risk": "high",
	"reviewers": data_classification_reviewers,
	"expires_in": "30m",
} if {
	data_classification_class == "confidential"
	some action in input.actions
	not data_classification_is_read(action)
}

# METADATA
# title: Internal data leaves with its owner's consent
# custom: { severity: medium, controls: ["SOC2 C1.1", "NIST 800-53 AC-4", "ISO 27001 A.8.12"] }
hold contains {
	"rule": "data-classification-internal",
	"reason": "takes internal data out",
	"risk": "medium",
	"reviewers": data_classification_reviewers,
	"expires_in": "1h",
} if {
	data_classification_class == "internal"
	some action in input.actions
	not data_classification_is_inside(action)
}

# METADATA
# title: Data that nobody has classified is treated as restricted
# custom: { severity: medium, controls: ["SOC2 C1.1", "NIST 800-53 RA-2", "ISO 27001 A.5.13"] }
hold contains {
	"rule": "data-classification-unknown",
	"reason": "nobody has said how sensitive this data is",
	"risk": "high",
	"reviewers": data_classification_reviewers,
	"expires_in": "30m",
} if {
	not data_classification_is_known
}

data_classification_is_known if {
	data_classification_class in {"public", "internal", "confidential", "restricted", "secret"}
}

data_classification_is_read(action) if {
	action.kind == "read"
	action.access == "read"
}

# Kinds that leave data where it is.
data_classification_is_inside(action) if action.kind in {
	"configuration-change", "delete", "infrastructure-change", "network-change", "payment", "read", "write",
}

data_classification_class := data_classification_classes[input.upstream.labels[data_classification_label]]

default data_classification_label := "data"

data_classification_label := data.data_classification.label

default data_classification_classes := {
	"confidential": "confidential",
	"customer": "confidential",
	"internal": "internal",
	"public": "public",
	"restricted": "restricted",
	"secret": "secret",
}

data_classification_classes := data.data_classification.classes

default data_classification_reviewers := [{"group": "data-owners", "count": 1}]

data_classification_reviewers := data.data_classification.reviewers
