package holdpoint

# Payments by their amount, in minor units (cents), with thresholds of their own for each currency.
# Whatever is not one clear amount in one known currency is held.

# METADATA
# title: Above the highest amount nobody pays through an agent
# custom: { severity: critical, controls: ["SOC2 CC6.1", "NIST 800-53 AC-3", "ISO 27001 A.5.3"] }
deny contains {
	"rule": "amount-thresholds-too-large",
	"reason": "the amount is higher than agents may pay, even with an approval",
} if {
	amount_thresholds_applies
	is_number(amount_thresholds_limit.hold_up_to)
	amount_thresholds_sum > amount_thresholds_limit.hold_up_to
}

# METADATA
# title: Payments are looked at, unless they are small
# custom: { severity: high, controls: ["SOC2 CC6.1", "NIST 800-53 AC-5", "ISO 27001 A.5.3"] }
hold contains {
	"rule": "amount-thresholds-payment",
	"reason": "pays more than goes without approval, or it is not clear how much",
	"risk": "high",
	"reviewers": amount_thresholds_reviewers,
	"expires_in": "1h",
	"irreversible": true,
} if {
	amount_thresholds_applies
	not amount_thresholds_is_small
}

# METADATA
# title: Small payments
# description: Only up to the amount that the operator has set for the currency; there is no default.
# custom: { severity: low, controls: ["NIST 800-53 AC-6", "ISO 27001 A.5.3"] }
allow contains {"rule": "amount-thresholds-small"} if {
	amount_thresholds_is_small
	every action in input.actions {
		amount_thresholds_is_payment(action)
	}
}

amount_thresholds_applies if {
	some action in input.actions
	amount_thresholds_is_payment(action)
}

amount_thresholds_is_payment(action) if action.kind == "payment"

amount_thresholds_is_payment(action) if action.name in data.amount_thresholds.actions

# Everything that must be true of a payment that nobody looks at.
amount_thresholds_is_small if {
	is_number(amount_thresholds_limit.allow_up_to)
	amount_thresholds_sum <= amount_thresholds_limit.allow_up_to

	# Many servers read parameters from the query as well as from the body.
	not input.request.query_raw
}

# Several amounts in one call are added up. There is no sum where one of them cannot be read.
amount_thresholds_sum := sum(amount_thresholds_found) if {
	count(amount_thresholds_found) > 0
	every amount in amount_thresholds_found {
		amount > 0
	}
}

# What stands at a name of an amount, wherever it is in the body, and in whatever case.
amount_thresholds_found := [amount_thresholds_read(value) |
	walk(input.request.body, [path, value])
	amount_thresholds_is_named(path, amount_thresholds_fields)
]

# The amounts of a form are texts, each in an array of its own; those of JSON are whole numbers. What
# cannot be read is `null`, which is less than any number.
amount_thresholds_read(value) := value if {
	not amount_thresholds_is_form
	is_number(value)
	floor(value) == value
} else := to_number(text) if {
	amount_thresholds_is_form
	[text] := value
	regex.match(`^[1-9][0-9]{0,14}$`, text)
} else := null

amount_thresholds_is_form if input.request.content_type == "application/x-www-form-urlencoded"

# Names such as `transfer_data[amount]` and `Amount` count like `amount`.
amount_thresholds_is_named(path, names) if {
	is_string(path[count(path) - 1])
	some part in regex.split(`[^a-z0-9_]+`, lower(path[count(path) - 1]))
	part in names
}

amount_thresholds_limit := data.amount_thresholds.limits[currency] if {
	some currency in amount_thresholds_currencies
	count(amount_thresholds_currencies) == 1
}

amount_thresholds_currencies contains currency if {
	walk(input.request.body, [path, value])
	amount_thresholds_is_named(path, amount_thresholds_currency_fields)
	some currency in amount_thresholds_texts(value)
}

# In lower case; anything else than a text is kept, and no currency is called that.
amount_thresholds_texts(value) := {lower(value)} if {
	is_string(value)
} else := {lower(text) | some text in value} if {
	amount_thresholds_is_form
} else := {value}

default amount_thresholds_fields := ["amount"]

amount_thresholds_fields := data.amount_thresholds.fields

default amount_thresholds_currency_fields := ["currency"]

amount_thresholds_currency_fields := data.amount_thresholds.currency_fields

default amount_thresholds_reviewers := [{"group": "data-owners", "count": 1}]

amount_thresholds_reviewers := data.amount_thresholds.reviewers
