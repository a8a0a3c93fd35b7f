package holdpoint_test.privilege_escalation

grant := {
	"principal": {"id": "deploy-bot", "groups": ["agents"]},
	"actions": [{
		"name": "openapi:addMember",
		"kind": "privilege-escalation",
		"access": "write",
		"resource": "/projects/7/people/olga",
	}],
	"request": {"method": "POST", "path_segments": ["projects", "7", "people", "olga"]},
}

issue := object.union(grant, {"actions": [{"name": "openapi:createToken", "kind": "credential-issue", "access": "write"}]})

write := object.union(grant, {"actions": [{"name": "http:POST", "kind": "write", "access": "write"}]})

read := object.union(grant, {"actions": [{"name": "http:GET", "kind": "read", "access": "read"}]})

own(set) := {object | some object in set; startswith(object.rule, "privilege-escalation-")}

names(set) := {object.rule | some object in own(set)}

test_a_grant_is_held_for_security if {
	own(data.holdpoint.hold) == {{
		"rule": "privilege-escalation-grant",
		"reason": "gives somebody more rights",
		"risk": "critical",
		"reviewers": [{"group": "security", "count": 1}],
		"expires_in": "30m",
		"assurance": "session",
		"require_reason": true,
	}} with input as grant
	own(data.holdpoint.deny) == set() with input as grant
}

test_a_new_credential_is_held_for_security if {
	own(data.holdpoint.hold) == {{
		"rule": "privilege-escalation-credential",
		"reason": "issues a credential",
		"risk": "critical",
		"reviewers": [{"group": "security", "count": 1}],
		"expires_in": "15m",
		"assurance": "session",
		"require_reason": true,
		"irreversible": true,
	}} with input as issue
	own(data.holdpoint.deny) == set() with input as issue
}

test_a_grant_among_reads_is_held if {
	both := array.concat(read.actions, grant.actions)
	names(data.holdpoint.hold) == {"privilege-escalation-grant"} with input as grant with input.actions as both
}

test_other_calls_are_not_held if {
	own(data.holdpoint.hold) == set() with input as write
	own(data.holdpoint.hold) == set() with input as read
}

test_a_change_below_a_path_of_rights_is_held if {
	own(data.holdpoint.hold) == {{
		"rule": "privilege-escalation-path",
		"reason": "changes something below a path of rights or credentials",
		"risk": "high",
		"reviewers": [{"group": "security", "count": 1}],
		"expires_in": "30m",
		"assurance": "session",
	}} with input as write with input.request.path_segments as ["orgs", "acme", "memberships", "olga"]
	every word in [
		"access-keys", "acl", "acls", "api_keys", "clusterrolebindings", "clusterroles", "collaborators", "credentials",
		"deploy-keys", "grants", "iam", "invitations", "members", "memberships", "permissions", "roleBindings", "Roles",
		"service_accounts", "tokens",
	] {
		names(data.holdpoint.hold) == {"privilege-escalation-path"} with input as write with input.request.path_segments as ["v1", word]
	}
}

test_reading_a_path_of_rights_is_not_held if {
	own(data.holdpoint.hold) == set() with input as read with input.request.path_segments as ["roles"]
}

test_a_read_that_may_be_a_change_is_held_there if {
	names(data.holdpoint.hold) == {"privilege-escalation-path"} with input as read
		with input.actions as [{"kind": "read"}, {"kind": "read", "access": "read"}]
		with input.request.path_segments as ["roles"]
}

test_other_paths_are_not_held if {
	every segment in ["role", "rolesets", "my-roles", "customers", ""] {
		own(data.holdpoint.hold) == set() with input as write with input.request.path_segments as [segment]
	}
}

test_a_change_below_a_path_that_cannot_be_read_is_held if {
	names(data.holdpoint.hold) == {"privilege-escalation-path"} with input as object.remove(write, ["request"])
}

test_an_agent_cannot_give_rights_to_itself if {
	own(data.holdpoint.deny) == {{
		"rule": "privilege-escalation-self",
		"reason": "an agent cannot change its own rights or issue its own credentials; ask its owner",
	}} with input as grant with input.request.path_segments as ["projects", "7", "people", "deploy-bot"]
	every call in [grant, issue] {
		names(data.holdpoint.deny) == {"privilege-escalation-self"} with input as call
			with input.request.path_segments as ["Deploy-Bot", "rights"]
	}
	every resource in ["users/deploy-bot", "arn:aws:iam::1:user/DEPLOY-BOT", "deploy-bot:admin", "deploy-bot"] {
		names(data.holdpoint.deny) == {"privilege-escalation-self"} with input as grant
			with input.actions as [{"kind": "privilege-escalation", "access": "write", "resource": resource}]
	}
}

test_nor_where_only_the_path_says_that_it_is_about_rights if {
	names(data.holdpoint.deny) == {"privilege-escalation-self"} with input as write
		with input.request.path_segments as ["members", "deploy-bot"]
	own(data.holdpoint.deny) == set() with input as read with input.request.path_segments as ["members", "deploy-bot"]
	names(data.holdpoint.deny) == {"privilege-escalation-self"} with input as write
		with input.request as {}
		with input.actions as [{"kind": "write", "access": "write", "resource": "members/deploy-bot"}]
}

test_an_agents_name_elsewhere_is_no_matter if {
	own(data.holdpoint.deny) == set() with input as write with input.request.path_segments as ["jobs", "deploy-bot"]
	every segment in ["deploy-bot-2", "my-deploy-bot", "deploy"] {
		own(data.holdpoint.deny) == set() with input as grant with input.request.path_segments as [segment]
	}
}

test_words_and_reviewers_come_from_the_data if {
	others := [{"group": "data-owners", "count": 2}]
	all := array.concat(grant.actions, issue.actions)
	holds := own(data.holdpoint.hold) with input as grant
		with input.actions as all
		with input.request.path_segments as ["keyring"]
		with data.privilege_escalation as {"reviewers": others, "words": ["keyring"]}
	{hold.rule | some hold in holds} == {"privilege-escalation-grant", "privilege-escalation-credential", "privilege-escalation-path"}
	every hold in holds { hold.reviewers == others }
}
