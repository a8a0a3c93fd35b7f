package holdpoint

# While people are away, what changes something goes to whoever is on call.

# METADATA
# title: What cannot be undone waits for business hours
# custom: { severity: high, controls: ["SOC2 CC8.1", "NIST 800-53 CM-5", "ISO 27001 A.8.32"] }
deny contains {
	"rule": "time-and-on-call-irreversible",
	"reason": "what cannot be undone is done in business hours only; call again then",
} if {
	not time_and_on_call_is_open
	some action in input.actions
	action.irreversible == true
}

# METADATA
# title: Out of hours, those on call consent to changes
# description: Where nobody is on call, the fallback decides.
# custom: { severity: medium, controls: ["SOC2 CC7.3", "NIST 800-53 IR-4", "ISO 27001 A.5.24"] }
hold contains {
	"rule": "time-and-on-call-out-of-hours",
	"reason": "changes something while people are away",
	"risk": "high",
	"reviewers": time_and_on_call_reviewers,
	"expires_in": "2h",
} if {
	not time_and_on_call_is_open
	some action in input.actions
	not action.access == "read"
}

time_and_on_call_is_open if {
	some hours in time_and_on_call_hours
	time_and_on_call_weekday in hours.weekdays
	time_and_on_call_is_time(hours.from)
	time_and_on_call_is_time(hours.to)
	hours.from <= time_and_on_call_time
	time_and_on_call_time < hours.to
	not time_and_on_call_is_holiday
}

time_and_on_call_is_holiday if time_and_on_call_date in data.time_and_on_call.holidays

# Times are compared as texts, so they must have two digits each.
time_and_on_call_is_time(text) if regex.match(`^([01][0-9]|2[0-3]):[0-5][0-9]$|^24:00$`, text)

time_and_on_call_now := time.parse_rfc3339_ns(input.context.time)

time_and_on_call_local := time_and_on_call_now + time_and_on_call_offset * 60000000000

time_and_on_call_weekday := lower(time.weekday(time_and_on_call_local))

time_and_on_call_date := sprintf("%04d-%02d-%02d", time.date(time_and_on_call_local))

time_and_on_call_time := sprintf("%02d:%02d", [hour, minute]) if {
	[hour, minute, _] := time.clock(time_and_on_call_local)
}

# One reviewer of every group that is on call now, or else the fallback.
time_and_on_call_reviewers := [{"group": group, "count": 1} | some group in time_and_on_call_groups] if {
	count(time_and_on_call_groups) > 0
} else := time_and_on_call_fallback

time_and_on_call_groups contains shift.group if {
	some shift in data.time_and_on_call.shifts
	time.parse_rfc3339_ns(shift.from) <= time_and_on_call_now
	time_and_on_call_now < time.parse_rfc3339_ns(shift.to)
}

default time_and_on_call_offset := 0

time_and_on_call_offset := data.time_and_on_call.utc_offset_minutes

default time_and_on_call_hours := [{
	"weekdays": ["monday", "tuesday", "wednesday", "thursday", "friday"],
	"from": "08:00",
	"to": "18:00",
}]

time_and_on_call_hours := data.time_and_on_call.business_hours

default time_and_on_call_fallback := [{"group": "security", "count": 1}]

time_and_on_call_fallback := data.time_and_on_call.fallback
