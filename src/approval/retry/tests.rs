//! Each kind of record against each way of finding it, as a table.

use crate::approval::fixtures;
use crate::approval::fixtures::Ids;
use crate::approval::fixtures::at;
use crate::approval::fixtures::people;
use crate::approval::fixtures::person;

use super::*;

/// A record in `state`, entered at second 10, with or without a caller.
fn record(ids: &Ids, state: &str, attached: bool) -> Approval {
    let call = fixtures::call(ids, "deploy-bot", "export");
    let (mut record, _) = fixtures::record(ids, &call, "owners=1", &people("owners: ana", &[]));
    let (at, claim_until, run, reason) = (at(10), at(50), ids.call(), "x".to_owned());
    record.state = match state {
        "pending" => State::Pending,
        "approved" => State::Approved { at, claim_until },
        "forwarding" => State::Forwarding { at, run, claim_until },
        "completed" => State::Completed { at, status: 200 },
        "failed" => State::Failed { at, reason },
        "unknown" => State::Unknown { at, reason },
        "denied" => State::Denied { at, by: person("ana"), reason: None },
        "expired" => State::Expired { at },
        "withdrawn" => State::Withdrawn { at, by: "olga@example.com".to_owned(), reason: None },
        "revoked" => State::Revoked { at, reason },
        _ => State::Lapsed { at },
    };
    if !attached {
        record.caller = None;
    }
    record
}

fn sought(record: &Approval, seconds: i64) -> Sought {
    Sought {
        principal: record.principal.id.clone(),
        closure: record.closure.clone(),
        digest: record.digest,
        attempt: Attempt::default(),
        named: None,
        now: at(seconds),
        denied_for: Duration::from_secs(20),
        replay_for: Duration::from_secs(20),
    }
}

fn word(relation: Relation) -> &'static str {
    match relation {
        Relation::Joins => "joins",
        Relation::Repeats => "repeats",
        Relation::Stranger => "-",
    }
}

#[test]
fn what_a_call_is_to_a_record() {
    let ids = Ids::new();
    // By name, by call id, by digest; by digest as a second attempt; by digest when 25 s have passed.
    let cases = [
        ("pending", true, "joins joins - joins -"),
        ("pending", false, "joins joins joins joins joins"),
        ("approved", true, "joins joins - joins -"),
        ("approved", false, "joins joins joins joins joins"),
        ("forwarding", true, "repeats repeats - repeats -"),
        ("completed", false, "repeats repeats - repeats -"),
        ("denied", false, "repeats repeats repeats repeats -"),
        ("revoked", false, "repeats repeats repeats repeats -"),
        ("unknown", false, "repeats repeats repeats repeats -"),
        ("expired", false, "repeats - - - -"),
        ("lapsed", false, "repeats - - - -"),
        ("withdrawn", false, "repeats - - - -"),
        ("failed", false, "repeats - - - -"),
    ];
    for (state, attached, expected) in cases {
        let record = record(&ids, state, attached);
        let by_digest = if record.state.is_open() { Found::Open } else { Found::Ended };
        let soon = sought(&record, 20);
        let second = Sought { attempt: Attempt { of: None, number: Some(2) }, ..soon.clone() };
        let relations = [
            soon.relate(&record, Found::Named, false),
            soon.relate(&record, Found::CallId, false),
            soon.relate(&record, by_digest, false),
            second.relate(&record, by_digest, false),
            sought(&record, 35).relate(&record, by_digest, false),
        ];
        assert_eq!(relations.map(word).join(" "), expected, "{state}, attached: {attached}");
    }
}

#[test]
fn nobody_has_anything_to_do_with_the_calls_of_others() {
    let ids = Ids::new();
    for state in State::NAMES {
        let record = record(&ids, state, false);
        let stranger = Sought { principal: "other-bot".to_owned(), ..sought(&record, 20) };
        let other = fixtures::call(&ids, "deploy-bot", "import");
        let digest = other.digest(&record.policy);
        for sought in [stranger, Sought { digest, ..sought(&record, 20) }] {
            for found in [Found::Named, Found::CallId, Found::Open, Found::Ended] {
                assert_eq!(sought.relate(&record, found, true), Relation::Stranger, "{state} {found:?}");
            }
        }
    }
}

#[test]
fn a_caller_that_is_known_to_have_left_keeps_no_place() {
    let ids = Ids::new();
    let record = record(&ids, "pending", true);
    assert_eq!(sought(&record, 20).relate(&record, Found::Open, true), Relation::Joins);
    // An SDK that names its calls would have named this one.
    let attempt = Attempt { of: Some("another".to_owned()), number: Some(2) };
    let other = Sought { attempt, ..sought(&record, 20) };
    assert_eq!(other.relate(&record, Found::Open, false), Relation::Stranger);
    // Nobody joins what is over.
    assert_eq!(sought(&record, 100).relate(&record, Found::CallId, false), Relation::Stranger);
}

#[test]
fn what_may_be_repeated_is_asked_for_anew() {
    let ids = Ids::new();
    let mut record = record(&ids, "unknown", false);
    record.obligations.repeatable = true;
    let sought = sought(&record, 20);
    assert_eq!(sought.relate(&record, Found::CallId, false), Relation::Stranger);
    assert_eq!(sought.relate(&record, Found::Ended, false), Relation::Stranger);
    assert_eq!(sought.relate(&record, Found::Named, false), Relation::Repeats);
}
