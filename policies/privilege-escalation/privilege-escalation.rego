package holdpoint

# More rights, for whomever: granted, or carried by a new credential.

# METADATA
# title: Nobody gives rights to themselves
# description: >-
#   Denied if the agent's own name is a part of the path or of the resource. A name that is only in
#   the body is for the reviewers to see; the call is held in any case.
# custom: { severity: critical, controls: ["SOC2 CC6.3", "NIST 800-53 AC-5", "ISO 27001 A.5.3"] }
deny contains {
	"rule": "privilege-escalation-self",
	"reason": "an agent cannot change its own rights or issue its own credentials; ask its owner",
} if {
	privilege_escalation_is_grant
	some part in privilege_escalation_parts
	lower(part) == lower(input.principal.id)
}

privilege_escalation_parts contains part if {
	some part in input.request.path_segments
}

privilege_escalation_parts contains part if {
	some action in input.actions
	some part in regex.split(`[/:]`, action.resource)
}

# METADATA
# title: Rights are granted with the consent of security
# custom: { severity: critical, controls: ["SOC2 CC6.3", "NIST 800-53 AC-6(5)", "ISO 27001 A.8.2"] }
hold contains {
	"rule": "privilege-escalation-grant",
	"reason": "gives somebody more rights",
	"risk": "critical",
	"reviewers": privilege_escalation_reviewers,
	"expires_in": "30m",
	"assurance": "session",
	"require_reason": true,
} if {
	some action in input.actions
	action.kind == "privilege-escalation"
}

# METADATA
# title: Credentials are issued with the consent of security
# description: What has been issued cannot be taken back from whoever has read the answer.
# custom: { severity: critical, controls: ["SOC2 CC6.1", "NIST 800-53 IA-5", "ISO 27001 A.5.17"] }
hold contains {
	"rule": "privilege-escalation-credential",
	"reason": "issues a credential",
	"risk": "critical",
	"reviewers": privilege_escalation_reviewers,
	"expires_in": "15m",
	"assurance": "session",
	"require_reason": true,
	"irreversible": true,
} if {
	some action in input.actions
	action.kind == "credential-issue"
}

# METADATA
# title: A change below a path of rights and credentials is taken for one
# description: For dialects that only know methods. Reading such a path is no change.
# custom: { severity: high, controls: ["SOC2 CC6.3", "NIST 800-53 AC-2", "ISO 27001 A.5.18"] }
hold contains {
	"rule": "privilege-escalation-path",
	"reason": "changes something below a path of rights or credentials",
	"risk": "high",
	"reviewers": privilege_escalation_reviewers,
	"expires_in": "30m",
	"assurance": "session",
} if {
	privilege_escalation_has_path
	some action in input.actions
	not action.access == "read"
}

privilege_escalation_is_grant if {
	some action in input.actions
	action.kind in {"privilege-escalation", "credential-issue"}
}

privilege_escalation_is_grant if {
	privilege_escalation_has_path
	some action in input.actions
	not action.access == "read"
}

privilege_escalation_has_path if {
	some segment in input.request.path_segments
	replace(replace(lower(segment), "-", ""), "_", "") in privilege_escalation_words
}

# A path that cannot be read may be any.
privilege_escalation_has_path if not input.request.path_segments

default privilege_escalation_reviewers := [{"group": "security", "count": 1}]

privilege_escalation_reviewers := data.privilege_escalation.reviewers

# Without `-`, `_` and capitals.
default privilege_escalation_words := [
	"accesskeys", "acl", "acls", "apikeys", "clusterrolebindings", "clusterroles", "collaborators", "credentials",
	"deploykeys", "grants", "iam", "invitations", "members", "memberships", "permissions", "rolebindings", "roles",
	"serviceaccounts", "tokens",
]

privilege_escalation_words := data.privilege_escalation.words
