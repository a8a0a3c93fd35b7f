package holdpoint

# Where no rule that knows the API better says more, the method and the kind decide.

# METADATA
# title: A method that would be hidden from policy is refused
# description: >-
#   Many servers take the method from these fields or from the query parameter `_method`, so that a
#   GET deletes. Policy would judge the GET.
# custom: { severity: high, controls: ["SOC2 CC6.6", "NIST 800-53 SI-10", "ISO 27001 A.8.26"] }
deny contains {
	"rule": "generic-http-method-override",
	"reason": "the call asks the server for another method than its own; send it with that method",
} if {
	generic_http_overrides_method
}

generic_http_overrides_method if {
	some name in {"x-http-method-override", "x-http-method", "x-method-override"}
	input.request.headers[name]
}

generic_http_overrides_method if {
	some name, _ in input.request.query
	lower(name) == "_method"
}

# METADATA
# title: Methods that no agent needs are refused
# custom: { severity: medium, controls: ["NIST 800-53 CM-7", "ISO 27001 A.8.9"] }
deny contains {
	"rule": "generic-http-forbidden-method",
	"reason": "this method is for people who look for faults; use another one",
} if {
	input.request.method in {"CONNECT", "TRACE", "TRACK"}
}

# METADATA
# title: What nothing could read is looked at by people
# description: Any kind that is not known here holds as well, so that a new one is never passed over.
# custom: { severity: high, controls: ["SOC2 CC6.1", "NIST 800-53 AC-3", "ISO 27001 A.8.3"] }
hold contains {
	"rule": "generic-http-unknown",
	"reason": "nobody knows what this call would do",
	"risk": "high",
	"reviewers": generic_http_reviewers,
	"expires_in": "30m",
} if {
	some action in input.actions
	not generic_http_is_known(action)
}

# METADATA
# title: Changes are looked at by people
# custom: { severity: medium, controls: ["SOC2 CC8.1", "NIST 800-53 CM-3", "ISO 27001 A.8.32"] }
hold contains {
	"rule": "generic-http-change",
	"reason": "changes something",
	"risk": "medium",
	"reviewers": generic_http_reviewers,
	"expires_in": "1h",
} if {
	some action in input.actions
	not action.access == "read"
}

# METADATA
# title: Nobody sees what is said on a WebSocket, so people decide about opening one
# custom: { severity: high, controls: ["SOC2 CC6.6", "NIST 800-53 AC-4", "ISO 27001 A.8.22"] }
hold contains {
	"rule": "generic-http-websocket",
	"reason": "opens a WebSocket, on which no further call is decided",
	"risk": "high",
	"reviewers": generic_http_reviewers,
	"expires_in": "30m",
} if {
	not input.request.websocket == false
}

# METADATA
# title: Plain reads by a method that only reads
# custom: { severity: low, controls: ["NIST 800-53 AC-6", "ISO 27001 A.5.15"] }
allow contains {"rule": "generic-http-read"} if {
	input.request.method in {"GET", "HEAD", "OPTIONS"}
	every action in input.actions {
		action.access == "read"
		action.kind == "read"
	}
}

generic_http_is_known(action) if action.kind in {
	"read", "write", "delete", "data-export", "privilege-escalation", "credential-issue",
	"infrastructure-change", "network-change", "configuration-change", "execute", "payment",
}

default generic_http_reviewers := [{"group": "security", "count": 1}]

generic_http_reviewers := data.generic_http.reviewers
