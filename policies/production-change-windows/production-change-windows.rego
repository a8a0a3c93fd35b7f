package holdpoint

# Changes to production: when people expect them, with an approval; at other times, with two.

# METADATA
# title: Nothing changes during a freeze
# description: A freeze without a beginning has begun, and one without an end does not end.
# custom: { severity: high, controls: ["SOC2 CC8.1", "NIST 800-53 CM-3", "ISO 27001 A.8.32"] }
deny contains {
	"rule": "production-change-windows-freeze",
	"reason": sprintf("production does not change now: %v", [object.get(freeze, "reason", "change freeze")]),
} if {
	production_change_windows_is_change
	some freeze in data.production_change_windows.freezes
	not production_change_windows_is_over(freeze)
	not production_change_windows_is_ahead(freeze)
}

production_change_windows_is_ahead(freeze) if production_change_windows_now < time.parse_rfc3339_ns(freeze.from)

production_change_windows_is_over(freeze) if production_change_windows_now >= time.parse_rfc3339_ns(freeze.to)

# METADATA
# title: Production changes with the consent of those who answer for it
# custom: { severity: medium, controls: ["SOC2 CC8.1", "NIST 800-53 CM-3", "ISO 27001 A.8.32"] }
hold contains {
	"rule": "production-change-windows-change",
	"reason": "changes production",
	"risk": "medium",
	"reviewers": production_change_windows_reviewers,
	"expires_in": "1h",
} if {
	production_change_windows_is_change
}

# METADATA
# title: Outside of the window security consents as well
# custom: { severity: high, controls: ["SOC2 CC8.1", "NIST 800-53 CM-3(2)", "ISO 27001 A.8.32"] }
hold contains {
	"rule": "production-change-windows-outside",
	"reason": "changes production outside of the change window",
	"risk": "high",
	"reviewers": production_change_windows_outside_reviewers,
	"expires_in": "30m",
	"require_reason": true,
} if {
	production_change_windows_is_change
	not production_change_windows_is_open
}

# Whatever is not known to be something else is production.
production_change_windows_is_change if {
	not production_change_windows_is_elsewhere
	some action in input.actions
	not action.access == "read"
}

production_change_windows_is_elsewhere if input.upstream.environment in production_change_windows_other_environments

production_change_windows_is_open if {
	some window in production_change_windows_windows
	production_change_windows_weekday in window.weekdays
	production_change_windows_is_time(window.from)
	production_change_windows_is_time(window.to)
	window.from <= production_change_windows_time
	production_change_windows_time < window.to
}

# Times are compared as texts, so they must have two digits each.
production_change_windows_is_time(text) if regex.match(`^([01][0-9]|2[0-3]):[0-5][0-9]$|^24:00$`, text)

production_change_windows_now := time.parse_rfc3339_ns(input.context.time)

production_change_windows_local := production_change_windows_now + production_change_windows_offset * 60000000000

production_change_windows_weekday := lower(time.weekday(production_change_windows_local))

production_change_windows_time := sprintf("%02d:%02d", [hour, minute]) if {
	[hour, minute, _] := time.clock(production_change_windows_local)
}

default production_change_windows_offset := 0

production_change_windows_offset := data.production_change_windows.utc_offset_minutes

default production_change_windows_windows := [{
	"weekdays": ["monday", "tuesday", "wednesday", "thursday"],
	"from": "09:00",
	"to": "16:00",
}]

production_change_windows_windows := data.production_change_windows.windows

default production_change_windows_other_environments := ["dev", "development", "staging", "test"]

production_change_windows_other_environments := data.production_change_windows.other_environments

default production_change_windows_reviewers := [{"group": "data-owners", "count": 1}]

production_change_windows_reviewers := data.production_change_windows.reviewers

default production_change_windows_outside_reviewers := [{"group": "security", "count": 1}]

production_change_windows_outside_reviewers := data.production_change_windows.outside_reviewers
