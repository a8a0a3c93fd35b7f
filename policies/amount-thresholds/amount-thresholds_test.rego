package holdpoint_test.amount_thresholds

payment := {"name": "openapi:createCharge", "kind": "payment", "access": "write"}

limits := {"usd": {"allow_up_to": 5000, "hold_up_to": 100000}, "jpy": {"allow_up_to": 700}}

form(body) := {
	"actions": [payment],
	"request": {"method": "POST", "content_type": "application/x-www-form-urlencoded", "body": body},
}

json(body) := {"actions": [payment], "request": {"method": "POST", "content_type": "application/json", "body": body}}

own(set) := {object | some object in set; startswith(object.rule, "amount-thresholds-")}

answer := {trim_prefix(object.rule, "amount-thresholds-") |
	some set in [data.holdpoint.deny, data.holdpoint.hold, data.holdpoint.allow]
	some object in own(set)
}

small := {"small"}

held := {"payment"}

refused := {"payment", "too-large"}

test_the_rules_say_who_and_why if {
	own(data.holdpoint.hold) == {{
		"rule": "amount-thresholds-payment",
		"reason": "pays more than goes without approval, or it is not clear how much",
		"risk": "high",
		"reviewers": [{"group": "data-owners", "count": 1}],
		"expires_in": "1h",
		"irreversible": true,
	}} with input as json({"amount": 100, "currency": "usd"})
	own(data.holdpoint.deny) == {{
		"rule": "amount-thresholds-too-large",
		"reason": "the amount is higher than agents may pay, even with an approval",
	}} with input as json({"amount": 100001, "currency": "usd"}) with data.amount_thresholds.limits as limits
	own(data.holdpoint.allow) == {{"rule": "amount-thresholds-small"}} with input as json({"amount": 100, "currency": "usd"})
		with data.amount_thresholds.limits as limits
}

test_without_limits_every_payment_is_held if {
	answer == held with input as json({"amount": 1, "currency": "usd"})
	answer == held with input as form({"amount": ["1"], "currency": ["usd"]})
}

test_amounts_in_json if {
	every case in [
		{"body": {"amount": 1, "currency": "usd"}, "expected": small},
		{"body": {"amount": 5000, "currency": "USD"}, "expected": small},
		{"body": {"amount": 4999.0, "currency": "usd"}, "expected": small},
		{"body": {"amount": 5001, "currency": "usd"}, "expected": held},
		{"body": {"amount": 100000, "currency": "usd"}, "expected": held},
		{"body": {"amount": 100001, "currency": "usd"}, "expected": refused},
		{"body": {"amount": 1000000000000, "currency": "usd"}, "expected": refused},
		{"body": {"amount": 0, "currency": "usd"}, "expected": held},
		{"body": {"amount": -100, "currency": "usd"}, "expected": held},
		{"body": {"amount": 10.5, "currency": "usd"}, "expected": held},
		{"body": {"amount": 0.5, "currency": "usd"}, "expected": held},
		{"body": {"amount": "100", "currency": "usd"}, "expected": held},
		{"body": {"amount": "", "currency": "usd"}, "expected": held},
		{"body": {"amount": null, "currency": "usd"}, "expected": held},
		{"body": {"amount": true, "currency": "usd"}, "expected": held},
		{"body": {"amount": [100], "currency": "usd"}, "expected": held},
		{"body": {"amount": ["100"], "currency": "usd"}, "expected": held},
		{"body": {"amount": {"value": 100}, "currency": "usd"}, "expected": held},
		{"body": {"amuont": 100, "currency": "usd"}, "expected": held},
		{"body": {}, "expected": held},
		{"body": [], "expected": held},
		{"body": "amount=1", "expected": held},
		{"body": 100, "expected": held},
		{"body": null, "expected": held},
	] {
		answer == case.expected with input as json(case.body) with data.amount_thresholds.limits as limits
	}
}

test_a_huge_amount_does_not_slip_through if {
	every amount in [9007199254740993, 18446744073709551616, 1000000000000000000000000000000] {
		"payment" in answer with input as json({"amount": amount, "currency": "usd"}) with data.amount_thresholds.limits as limits
	}
}

test_amounts_in_forms if {
	every case in [
		{"body": {"amount": ["1"], "currency": ["usd"]}, "expected": small},
		{"body": {"amount": ["5000"], "currency": ["Usd"]}, "expected": small},
		{"body": {"amount": ["5001"], "currency": ["usd"]}, "expected": held},
		{"body": {"amount": ["100001"], "currency": ["usd"]}, "expected": refused},
		{"body": {"amount": ["999999999999999"], "currency": ["usd"]}, "expected": refused},
		{"body": {"amount": ["1000000000000000"], "currency": ["usd"]}, "expected": held},
		{"body": {"amount": ["0"], "currency": ["usd"]}, "expected": held},
		{"body": {"amount": ["0100"], "currency": ["usd"]}, "expected": held},
		{"body": {"amount": ["-100"], "currency": ["usd"]}, "expected": held},
		{"body": {"amount": ["+100"], "currency": ["usd"]}, "expected": held},
		{"body": {"amount": ["10.00"], "currency": ["usd"]}, "expected": held},
		{"body": {"amount": ["1e2"], "currency": ["usd"]}, "expected": held},
		{"body": {"amount": ["1e9"], "currency": ["usd"]}, "expected": held},
		{"body": {"amount": ["0x10"], "currency": ["usd"]}, "expected": held},
		{"body": {"amount": ["1,000"], "currency": ["usd"]}, "expected": held},
		{"body": {"amount": [" 100"], "currency": ["usd"]}, "expected": held},
		{"body": {"amount": ["100\n"], "currency": ["usd"]}, "expected": held},
		{"body": {"amount": ["١"], "currency": ["usd"]}, "expected": held},
		{"body": {"amount": [""], "currency": ["usd"]}, "expected": held},
		{"body": {"amount": ["100", "100"], "currency": ["usd"]}, "expected": held},
		{"body": {"amount": [], "currency": ["usd"]}, "expected": held},
		{"body": {"currency": ["usd"]}, "expected": held},
		{"body": {}, "expected": held},
	] {
		answer == case.expected with input as form(case.body) with data.amount_thresholds.limits as limits
	}
}

test_amounts_that_cannot_be_read_have_no_sum if {
	not data.holdpoint.amount_thresholds_sum with input as json({"items": [{"amount": 5}, {"amount": "5"}]})
	not data.holdpoint.amount_thresholds_sum with input as json({})
	data.holdpoint.amount_thresholds_sum == 12 with input as json({"items": [{"amount": 5}, {"amount": 5}], "amount": 2})
}

test_a_number_in_what_says_it_is_a_form_is_held if {
	answer == held with input as form({"amount": 100, "currency": "usd"}) with data.amount_thresholds.limits as limits
}

test_amounts_are_added_up_wherever_they_are if {
	every case in [
		{"body": {"items": [{"amount": 2500}, {"amount": 2499}], "amount": 1, "currency": "usd"}, "expected": small},
		{"body": {"items": [{"amount": 2500}, {"amount": 2500}], "amount": 1, "currency": "usd"}, "expected": held},
		{"body": {"items": [{"amount": 2500}, {"amount": 2500}], "currency": "usd"}, "expected": small},
		{"body": {"items": [{"amount": 100}, {"amount": "100"}], "currency": "usd"}, "expected": held},
		{"body": {"amount": 100, "Amount": 99000, "currency": "usd"}, "expected": held},
		{"body": {"amount": 5000, "refund": {"AMOUNT": -100}, "currency": "usd"}, "expected": held},
		{"body": {"amount": 1, "transfer[amount]": 99999, "currency": "usd"}, "expected": held},
		{"body": {"amount": 1, "transfer": {"amount": 100000}, "currency": "usd"}, "expected": refused},
		{"body": {"amount": 100, "amount_details": 99999, "currency": "usd"}, "expected": small},
	] {
		answer == case.expected with input as json(case.body) with data.amount_thresholds.limits as limits
	}
	every case in [
		{"body": {"amount": ["100"], "transfer_data[amount]": ["4900"], "currency": ["usd"]}, "expected": small},
		{"body": {"amount": ["100"], "transfer_data[amount]": ["4901"], "currency": ["usd"]}, "expected": held},
		{"body": {"amount": ["100"], "items[0][amount]": ["x"], "currency": ["usd"]}, "expected": held},
		{"body": {"amount": ["100"], "amount[]": ["99000"], "currency": ["usd"]}, "expected": held},
		{"body": {"amount": ["100"], "application_fee_amount": ["99000"], "currency": ["usd"]}, "expected": small},
	] {
		answer == case.expected with input as form(case.body) with data.amount_thresholds.limits as limits
	}
}

test_every_currency_has_limits_of_its_own if {
	every case in [
		{"body": {"amount": 700, "currency": "jpy"}, "expected": small},
		{"body": {"amount": 701, "currency": "jpy"}, "expected": held},
		{"body": {"amount": 999999999, "currency": "jpy"}, "expected": held},
		{"body": {"amount": 100, "currency": "eur"}, "expected": held},
		{"body": {"amount": 100, "currency": ""}, "expected": held},
		{"body": {"amount": 100, "currency": null}, "expected": held},
		{"body": {"amount": 100, "currency": 5}, "expected": held},
		{"body": {"amount": 100, "currency": ["usd"]}, "expected": held},
		{"body": {"amount": 100, "currency": {"code": "usd"}}, "expected": held},
		{"body": {"amount": 100}, "expected": held},
		{"body": {"amount": 100, "currency": "usd", "fee": {"currency": "jpy"}}, "expected": held},
		{"body": {"amount": 100, "currency": "usd", "Currency": "eur"}, "expected": held},
		{"body": {"amount": 100, "currency": "usd", "fee": {"currency": "USD"}}, "expected": small},
	] {
		answer == case.expected with input as json(case.body) with data.amount_thresholds.limits as limits
	}
	every currency in [["usd", "jpy"], ["eur"], [""], []] {
		answer == held with input as form({"amount": ["100"], "currency": currency}) with data.amount_thresholds.limits as limits
	}
	answer == small with input as form({"amount": ["100"], "currency": ["usd", "USD"]}) with data.amount_thresholds.limits as limits
}

test_a_limit_that_is_no_number_holds if {
	every limit in ["5000", null, true, [5000], {}] {
		answer == held with input as json({"amount": 1, "currency": "usd"})
			with data.amount_thresholds.limits as {"usd": {"allow_up_to": limit}}
		answer == held with input as json({"amount": 1, "currency": "usd"})
			with data.amount_thresholds.limits as {"usd": limit}
		answer == held with input as json({"amount": 9000000, "currency": "usd"})
			with data.amount_thresholds.limits as {"usd": {"allow_up_to": 5, "hold_up_to": limit}}
	}
}

test_parameters_in_the_query_are_held if {
	answer == held with input as json({"amount": 1, "currency": "usd"})
		with input.request.query_raw as "amount=1000000"
		with data.amount_thresholds.limits as limits
	answer == held with input as json({"amount": 1, "currency": "usd"})
		with input.request.query_raw as ""
		with data.amount_thresholds.limits as limits
}

test_a_payment_whose_body_cannot_be_read_is_held if {
	answer == held with input as {"actions": [payment], "request": {"method": "POST", "body_bytes": 20}}
		with data.amount_thresholds.limits as limits
}

test_other_calls_are_no_payments if {
	every kind in ["write", "read", "unknown"] {
		answer == set() with input as json({"amount": 1000000, "currency": "usd"})
			with input.actions as [{"name": "http:POST", "kind": kind}]
			with data.amount_thresholds.limits as limits
	}
}

test_what_comes_with_a_small_payment_is_not_allowed_with_it if {
	answer == set() with input as json({"amount": 1, "currency": "usd"})
		with input.actions as [payment, {"name": "http:POST", "kind": "write"}]
		with data.amount_thresholds.limits as limits
	answer == held with input as json({"amount": 6000, "currency": "usd"})
		with input.actions as [{"name": "http:POST", "kind": "write"}, payment]
		with data.amount_thresholds.limits as limits
}

test_actions_that_pay_come_from_the_data if {
	settings := {"limits": limits, "actions": ["http:POST"]}
	every case in [
		{"amount": 10, "expected": small},
		{"amount": 6000, "expected": held},
		{"amount": 1000000, "expected": refused},
	] {
		answer == case.expected with input as json({"amount": case.amount, "currency": "usd"})
			with input.actions as [{"name": "http:POST", "kind": "write"}]
			with data.amount_thresholds as settings
	}
	answer == set() with input as json({"amount": 1, "currency": "usd"})
		with input.actions as [{"name": "http:PUT", "kind": "write"}]
		with data.amount_thresholds as settings
}

test_names_of_fields_come_from_the_data if {
	settings := {"limits": limits, "fields": ["value", "tip"], "currency_fields": ["currency_code"]}
	answer == small with input as json({"amount": {"value": 5000, "currency_code": "USD"}}) with data.amount_thresholds as settings
	answer == held with input as json({"amount": {"value": 5000, "currency_code": "USD"}, "tip": 1}) with data.amount_thresholds as settings
	answer == held with input as json({"amount": 5000, "currency": "usd"}) with data.amount_thresholds as settings
}

test_reviewers_come_from_the_data if {
	others := [{"group": "security", "count": 2}]
	holds := own(data.holdpoint.hold) with input as json({}) with data.amount_thresholds.reviewers as others
	count(holds) == 1
	every hold in holds { hold.reviewers == others }
}
