package holdpoint_test.generic_http

read := {
	"actions": [{"name": "http:GET", "kind": "read", "access": "read", "resource": "/customers", "irreversible": false}],
	"request": {"method": "GET", "path": "/customers", "headers": {"accept": ["*/*"]}, "websocket": false},
	"upstream": {"name": "crm", "environment": "production", "labels": {}},
}

write := object.union(read, {
	"actions": [{"name": "http:POST", "kind": "write", "access": "write", "irreversible": false}],
	"request": {"method": "POST"},
})

own(set) := {object | some object in set; startswith(object.rule, "generic-http-")}

names(set) := {object.rule | some object in own(set)}

test_plain_reads_are_allowed if {
	every method in ["GET", "HEAD", "OPTIONS"] {
		own(data.holdpoint.allow) == {{"rule": "generic-http-read"}} with input as read with input.request.method as method
		own(data.holdpoint.hold) == set() with input as read with input.request.method as method
		own(data.holdpoint.deny) == set() with input as read with input.request.method as method
	}
}

test_a_read_by_another_method_is_not_allowed_here if {
	every method in ["POST", "QUERY", "get", "SEARCH", "", null, 5] {
		own(data.holdpoint.allow) == set() with input as read with input.request.method as method
	}
}

test_a_request_without_a_method_is_not_allowed if {
	own(data.holdpoint.allow) == set() with input as {"actions": read.actions}
}

test_a_change_is_held if {
	own(data.holdpoint.hold) == {{
		"rule": "generic-http-change",
		"reason": "changes something",
		"risk": "medium",
		"reviewers": [{"group": "security", "count": 1}],
		"expires_in": "1h",
	}} with input as write
	own(data.holdpoint.allow) == set() with input as write
	own(data.holdpoint.deny) == set() with input as write
}

test_a_change_among_reads_is_held_and_not_allowed if {
	both := array.concat(read.actions, write.actions)
	names(data.holdpoint.hold) == {"generic-http-change"} with input as read with input.actions as both
	own(data.holdpoint.allow) == set() with input as read with input.actions as both
}

test_what_says_it_reads_and_has_the_access_of_a_write_is_held if {
	odd := [{"kind": "read", "access": "write"}]
	names(data.holdpoint.hold) == {"generic-http-change"} with input as read with input.actions as odd
	own(data.holdpoint.allow) == set() with input as read with input.actions as odd
}

test_an_access_that_is_missing_or_odd_is_a_change if {
	every action in [{"kind": "read"}, {"kind": "read", "access": null}, {"kind": "read", "access": "READ"}] {
		names(data.holdpoint.hold) == {"generic-http-change"} with input as read with input.actions as [action]
		own(data.holdpoint.allow) == set() with input as read with input.actions as [action]
	}
}

test_every_known_kind_is_known if {
	every kind in [
		"read", "write", "delete", "data-export", "privilege-escalation", "credential-issue",
		"infrastructure-change", "network-change", "configuration-change", "execute", "payment",
	] {
		own(data.holdpoint.hold) == set() with input as read with input.actions as [{"kind": kind, "access": "read"}]
	}
}

test_only_reads_of_kind_read_are_allowed if {
	every kind in ["write", "data-export", "credential-issue", "payment", "unknown"] {
		own(data.holdpoint.allow) == set() with input as read with input.actions as [{"kind": kind, "access": "read"}]
	}
}

test_an_unknown_kind_is_held if {
	unknown := [{"kind": "unknown", "access": "read"}]
	own(data.holdpoint.hold) == {{
		"rule": "generic-http-unknown",
		"reason": "nobody knows what this call would do",
		"risk": "high",
		"reviewers": [{"group": "security", "count": 1}],
		"expires_in": "30m",
	}} with input as read with input.actions as unknown
}

test_a_kind_that_is_missing_or_new_is_held if {
	every action in [{"access": "read"}, {"kind": "teleport", "access": "read"}, {"kind": null, "access": "read"}] {
		names(data.holdpoint.hold) == {"generic-http-unknown"} with input as read with input.actions as [action]
		own(data.holdpoint.allow) == set() with input as read with input.actions as [action]
	}
}

test_a_websocket_is_held if {
	own(data.holdpoint.hold) == {{
		"rule": "generic-http-websocket",
		"reason": "opens a WebSocket, on which no further call is decided",
		"risk": "high",
		"reviewers": [{"group": "security", "count": 1}],
		"expires_in": "30m",
	}} with input as read with input.request.websocket as true
}

test_what_may_be_a_websocket_is_held if {
	names(data.holdpoint.hold) == {"generic-http-websocket"} with input as {"actions": read.actions, "request": {"method": "GET"}}
}

test_another_method_behind_the_methods_back_is_denied if {
	every name in ["x-http-method-override", "x-http-method", "x-method-override"] {
		own(data.holdpoint.deny) == {{
			"rule": "generic-http-method-override",
			"reason": "the call asks the server for another method than its own; send it with that method",
		}} with input as read with input.request.headers as {name: ["DELETE"]}
	}
	every name in ["_method", "_METHOD"] {
		names(data.holdpoint.deny) == {"generic-http-method-override"} with input as read
			with input.request.query as {"page": ["1"], name: ["delete"]}
	}
}

test_other_fields_and_parameters_are_nothing_special if {
	own(data.holdpoint.deny) == set() with input as read
		with input.request.headers as {"x-http-version": ["2"]}
		with input.request.query as {"method": ["card"]}
}

test_methods_that_no_agent_needs_are_denied if {
	every method in ["CONNECT", "TRACE", "TRACK"] {
		own(data.holdpoint.deny) == {{
			"rule": "generic-http-forbidden-method",
			"reason": "this method is for people who look for faults; use another one",
		}} with input as read with input.request.method as method
	}
}

test_reviewers_come_from_the_data if {
	others := [{"group": "data-owners", "count": 2}]
	every case in [write, {"actions": [{"access": "read"}], "request": {"websocket": true}}] {
		held := own(data.holdpoint.hold) with input as case with data.generic_http.reviewers as others
		count(held) > 0
		every hold in held { hold.reviewers == others }
	}
}
