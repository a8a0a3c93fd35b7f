//! Who may say what, and when it is enough.

use super::*;

#[test]
fn nobody_decides_on_their_own_call_by_whatever_name() {
    let cases = [
        ("olga@example.com", "an owner of the agent"),
        ("OLGA@Example.COM", "an owner of the agent"),
        ("U0LGA", "an owner of the agent"),
        ("kim@example.com", "the creator of the agent's key"),
        ("hal@example.com", "somebody it acts for"),
        ("deploy-bot", "the caller itself"),
    ];
    for (name, role) in cases {
        let mut case = Case::new("owners=1");
        for verdict in [ReviewVerdict::Approve, ReviewVerdict::Deny] {
            let review = case.review(name, verdict);
            let refused = case.apply(10, Command::Review(review));
            assert_eq!(refused, Err(ApprovalError::OwnRequest { person: canonical(name), role }));
        }
        assert_eq!(case.ask(name, "why?"), "!own-request", "{name}");
        assert!(case.approval.stands_behind(&person(name), &case.people), "{name}");
        assert!(case.approval.reviews.is_empty());
    }
}

fn canonical(name: &str) -> String {
    let olga = ["OLGA@Example.COM", "U0LGA"].contains(&name);
    if olga { "olga@example.com".to_owned() } else { name.to_owned() }
}

/// hoop exempts admins from its check (EDGES 0.7). We have no admin to exempt, and being in every
/// group there is changes nothing.
#[test]
fn an_owner_in_every_group_still_cannot_approve_their_own_request() {
    let mut case = Case::new("owners=1 security=1");
    case.people = people("owners: olga@example.com ana; security: olga@example.com cy; admins: olga@example.com", &[]);
    assert_eq!(case.approve("olga@example.com"), "!own-request");
    assert_eq!(case.approve("ana"), "ana approve");
    assert_eq!(case.approve("olga@example.com"), "!own-request");
    assert_eq!(case.state(), "pending");
}

/// hoop fills both places of a 2-of-2 with one user who is in two groups (EDGES 0.7).
#[test]
fn one_person_in_two_groups_cannot_fill_both_places() {
    let mut case = Case::new("owners=1 security=1");
    assert_eq!(case.approve("bo"), "bo approve");
    assert_eq!(case.approve("bo-2"), "-");
    assert_eq!(case.state(), "pending");
    let filled = case.approval.slots(&case.people, at(10));
    assert_eq!(filled.iter().filter(|slot| slot.person.is_some()).count(), 1);
    assert_eq!(case.approve("ana"), "ana approve+->approved");
}

/// hoop compares `approved == needed`, and so misses a quorum that was passed by (EDGES 0.7).
#[test]
fn more_than_enough_is_enough() {
    let mut case = Case::new("owners=2");
    case.people = people("owners: ana bo cy; security: zed", &[]);
    assert_eq!(case.approve("ana"), "ana approve");
    // A third of two, as could be after the requirements of a record and its people have changed.
    let mut more = case.clone();
    for name in ["bo", "cy"] {
        let review = more.review(name, ReviewVerdict::Approve);
        let review = Review {
            person: review.person,
            verdict: review.verdict,
            groups: vec!["owners".to_owned()],
            channel: review.channel,
            assurance: review.assurance,
            reason: None,
            at: at(11),
        };
        more.approval.reviews.push(review);
    }
    more.people = people("owners: ana bo cy dan", &[]);
    assert_eq!(more.approve("dan"), "dan approve+->approved");
}

/// onecli answers "denied" and "timed out" alike (EDGES 0.7).
#[test]
fn denied_and_expired_are_told_apart() {
    let (mut denied, mut expired) = (Case::new("owners=1"), Case::new("owners=1"));
    denied.deny("ana");
    expired.try_at(100, Command::Tick);
    assert_eq!((denied.state(), expired.state()), ("denied", "expired"));
    assert_eq!((denied.approve("bo").as_str(), expired.approve("bo").as_str()), ("!already-decided", "!expired"));
}

#[test]
fn a_quorum_is_so_many_distinct_people_of_each_group() {
    let cases: &[(&str, &[(&str, &str)])] = &[
        ("owners=2", &[("ana", "ana approve"), ("ana", "-"), ("bo", "bo approve+->approved"), ("bo", "-")]),
        ("owners=1 security=1", &[("cy", "cy approve"), ("bo-2", "bo approve+->approved")]),
        ("security=2 owners=1", &[("bo", "bo approve"), ("cy", "cy approve"), ("ana", "ana approve+->approved")]),
        ("owners=1", &[("zed", "!not-reviewer"), ("nobody", "!not-reviewer"), ("ana", "ana approve+->approved")]),
        ("owners=1", &[("ana", "ana approve+->approved"), ("bo", "!already-decided")]),
    ];
    for (needs, steps) in cases {
        let mut case = Case::new(needs);
        for (name, expected) in *steps {
            assert_eq!(case.approve(name), *expected, "{name} of {needs}");
        }
    }
}

#[test]
fn one_denial_ends_it() {
    let mut case = Case::new("owners=1 security=1");
    assert_eq!(case.approve("ana"), "ana approve");
    assert_eq!(case.deny("zed"), "!not-reviewer");
    assert_eq!(case.deny("cy"), "cy deny+->denied");
    assert_eq!(case.deny("cy"), "-");
    assert_eq!(case.deny("bo"), "!already-decided");
    assert_eq!(case.approve("bo"), "!already-decided");
    assert_eq!(case.approve("cy"), "!already-decided");
    assert!(matches!(&case.approval.state, State::Denied { by, .. } if *by == person("cy")));
}

#[test]
fn who_has_approved_may_still_deny() {
    let mut pending = Case::new("owners=1 security=1");
    pending.approve("ana");
    assert_eq!(pending.deny("ana"), "ana deny+->denied");
    assert!(pending.approval.slots(&pending.people, at(10)).iter().all(|slot| slot.person.is_none()));
    let mut approved = Case::new("owners=1 security=1").approved();
    assert_eq!(approved.deny("ana"), "ana overruled->revoked");
    let run = approved.call;
    assert_eq!(
        approved.try_now(Command::Claim { run, exact: fixtures::exact(), behind: BTreeSet::new() }),
        "!not-claimable"
    );
    assert_eq!(approved.approve("cy"), "!already-decided");
}

#[test]
fn a_reviewer_has_looked_at_exactly_this_call() {
    let mut case = Case::new("owners=1");
    for verdict in [ReviewVerdict::Approve, ReviewVerdict::Deny] {
        let review = NewReview { digest: Sha256::of(b"another call"), ..case.review("ana", verdict) };
        assert_eq!(case.try_now(Command::Review(review)), "!digest-mismatch");
    }
    let ask = Command::Ask {
        person: person("ana"),
        digest: Sha256::of(b"another call"),
        text: "why?".to_owned(),
        channel: Channel::Api,
        assurance: Assurance::Session,
    };
    assert_eq!(case.try_now(ask), "!digest-mismatch");
}

#[test]
fn an_approval_needs_the_assurance_and_the_reason_that_the_policy_asks_for() {
    let review = |case: &Case, assurance, reason: Option<&str>, verdict| {
        Command::Review(NewReview { assurance, reason: reason.map(ToOwned::to_owned), ..case.review("ana", verdict) })
    };
    let (approve, deny) = (ReviewVerdict::Approve, ReviewVerdict::Deny);
    let cases = [
        (Assurance::Chat, false, Assurance::Chat, None, approve, "ana approve+->approved"),
        (Assurance::Session, false, Assurance::Chat, None, approve, "!needs-step-up"),
        (Assurance::Stepup, false, Assurance::Session, None, approve, "!needs-step-up"),
        (Assurance::Stepup, false, Assurance::Stepup, None, approve, "ana approve+->approved"),
        (Assurance::Session, true, Assurance::Session, None, approve, "!reason-required"),
        (Assurance::Session, true, Assurance::Session, Some(" \n"), approve, "!reason-required"),
        (Assurance::Session, true, Assurance::Session, Some("checked"), approve, "ana approve+->approved"),
        // To stop a call must always be easy.
        (Assurance::Stepup, true, Assurance::Chat, None, deny, "ana deny+->denied"),
    ];
    for (needed, require_reason, given, reason, verdict, expected) in cases {
        let mut case = Case::new("owners=1");
        (case.approval.obligations.assurance, case.approval.obligations.require_reason) = (needed, require_reason);
        let command = review(&case, given, reason, verdict);
        assert_eq!(case.try_now(command), expected, "{needed:?} {require_reason} {given:?} {reason:?}");
    }
}

#[test]
fn texts_have_a_length_and_questions_have_words() {
    let (fits, too_long) = ("x".repeat(TEXT_BYTES_MAX), "x".repeat(TEXT_BYTES_MAX + 1));
    let mut case = Case::new("owners=1");
    let with = |case: &Case, text: &str| {
        Command::Review(NewReview { reason: Some(text.to_owned()), ..case.review("ana", ReviewVerdict::Approve) })
    };
    let command = with(&case, &too_long);
    assert_eq!(case.try_now(command), "!text-too-long");
    assert_eq!(case.ask("ana", &too_long), "!text-too-long");
    assert_eq!(case.ask("ana", " "), "!question-required");
    assert_eq!(case.ask("ana", &fits), "asked");
    assert_eq!(case.answer(&too_long), "!text-too-long");
    assert_eq!(case.answer(""), "!question-required");
    assert_eq!(case.answer(&fits), "answered");
    let withdraw = Command::Withdraw { person: person("olga@example.com"), reason: Some(too_long) };
    assert_eq!(case.try_now(withdraw), "!text-too-long");
    let command = with(&case, &fits);
    assert_eq!(case.try_now(command), "ana approve+->approved");
}

#[test]
fn a_question_stays_open_until_it_is_answered() {
    let mut case = Case::new("owners=1");
    assert_eq!(case.answer("nobody asked"), "-");
    assert_eq!(case.ask("zed", "why?"), "!not-reviewer");
    assert_eq!(case.ask("bo-2", "why?"), "asked");
    assert_eq!(case.approval.open_question().map(|question| question.by.as_str()), Some("bo"));
    assert_eq!(case.ask("ana", "and for whom?"), "asked");
    assert_eq!(case.answer("the customer asked"), "answered");
    assert_eq!(case.approval.open_question(), None);
    assert_eq!(case.answer("again"), "-");
    assert_eq!(case.approve("ana"), "ana approve+->approved");
    assert_eq!(case.ask("bo", "late?"), "!already-decided");
}

#[test]
fn the_first_question_sets_the_clock_back_once() {
    let mut case = Case::new("owners=1");
    let ask = |case: &mut Case, seconds| {
        let digest = case.approval.digest;
        let (channel, assurance) = (Channel::Api, Assurance::Session);
        case.try_at(
            seconds,
            Command::Ask { person: person("ana"), digest, text: "why?".to_owned(), channel, assurance },
        )
    };
    assert_eq!(ask(&mut case, 90), "asked");
    assert_eq!(case.approval.expires, at(190));
    assert_eq!(ask(&mut case, 180), "asked");
    assert_eq!(case.approval.expires, at(190));
    assert_eq!(ask(&mut case, 190), "!expired");
    assert_eq!(case.try_at(190, Command::Tick), "->expired");
}

#[test]
fn however_much_was_asked_the_last_question_can_be_answered() {
    let mut case = Case::new("owners=1");
    let mut asked = 0;
    while case.ask("ana", "and?") == "asked" {
        asked += 1;
    }
    assert_eq!(asked, MESSAGES_MAX - 1);
    assert_eq!(case.ask("ana", "and?"), "!thread-full");
    let call = case.call;
    assert_eq!(case.try_now(Command::Leave { call }), "left");
    let join = Command::Join { call, instead_of: None, reason: Some("because".to_owned()) };
    assert_eq!(case.try_now(join), "joined+answered");
    assert_eq!(case.ask("ana", "and?"), "!thread-full");
    assert_eq!(case.approval.messages.len(), MESSAGES_MAX);
}

#[test]
fn only_those_behind_a_call_take_it_back() {
    let mut case = Case::new("owners=1");
    let withdraw = |name: &str| Command::Withdraw { person: person(name), reason: Some("wrong table".to_owned()) };
    assert_eq!(case.try_now(withdraw("ana")), "!not-requester");
    let mut approved = case.clone().approved();
    assert_eq!(case.try_now(withdraw("U0LGA")), "->withdrawn");
    assert!(matches!(&case.approval.state, State::Withdrawn { by, .. } if by == "olga@example.com"));
    // What was approved before is revoked, so that records and log tell one story.
    assert_eq!(approved.try_now(withdraw("hal@example.com")), "->revoked");
}

#[test]
fn two_names_that_turn_out_to_be_one_person_count_once() {
    let mut case = Case::new("owners=2");
    case.people = people("owners: ana ana2 bo", &[]);
    assert_eq!(case.approve("ana"), "ana approve");
    case.people = people("owners: ana bo", &[("ana2", "ana")]);
    assert_eq!(case.approve("ana2"), "-");
    // They had both approved before anybody knew.
    let mut late = Case::new("owners=2");
    late.people = people("owners: ana ana2 bo", &[]);
    late.approve("ana");
    assert_eq!(late.approve("ana2"), "ana2 approve+->approved");
    late.people = people("owners: ana bo", &[("ana2", "ana")]);
    let run = late.call;
    assert_eq!(late.try_now(Command::Claim { run, exact: fixtures::exact(), behind: BTreeSet::new() }), "->revoked");
}

#[test]
fn a_group_joined_later_does_not_count_for_an_earlier_review() {
    let mut case = Case::new("owners=1 security=1");
    case.people = people("owners: ana bo; security: cy", &[]);
    assert_eq!(case.approve("ana"), "ana approve");
    // Ana looked at it as an owner; that she is in `security` now makes her no second reviewer of it.
    case.people = people("owners: bo; security: ana cy", &[]);
    assert_eq!(case.approve("bo"), "bo approve");
    assert_eq!(case.approve("cy"), "cy approve+->approved");
}

#[test]
fn an_alias_that_was_forgotten_makes_nobody_a_stranger_to_their_call() {
    let ids = Ids::new();
    let call = fixtures::call(&ids, "deploy-bot", "export");
    let known = people("owners: ana olga", &[("olga@example.com", "olga")]);
    let (approval, _) = fixtures::record(&ids, &call, "owners=1", &known);
    let forgotten = people("owners: ana olga olga@example.com", &[]);
    for name in ["olga", "olga@example.com", "Olga@Example.com"] {
        assert!(approval.may_review(&person(name), &forgotten, at(10)).is_err(), "{name}");
    }
}

#[test]
fn a_call_that_nobody_can_approve_is_not_held() {
    let cases = [
        ("", false),
        ("owners=1", true),
        ("owners=2", true),
        // Olga, Kim and Hal are owners too, and stand behind the call.
        ("owners=3", false),
        ("owners=1 security=2", true),
        ("owners=2 security=2", false),
        ("missing=1", false),
        ("owners=0", false),
        ("owners=4000000000 security=4000000000", false),
    ];
    for (needs, possible) in cases {
        let case = Case::new(needs);
        assert_eq!(case.approval.can_ever_be_approved(&case.people).is_ok(), possible, "{needs}");
    }
}

#[test]
fn a_group_that_the_identity_provider_fills_may_have_enough_people_yet() {
    for (needs, possible) in [
        ("staff=2", true),
        ("staff=2 owners=1", true),
        ("staff=2 owners=3", false),
        ("staff=0", false),
        ("staff=4000000000", false),
    ] {
        let case = Case::new(needs);
        let people = case.people.clone().with_open(["staff".to_owned()]);
        assert_eq!(case.approval.can_ever_be_approved(&people).is_ok(), possible, "{needs}");
    }
}

#[test]
fn a_stricter_policy_asks_for_more_than_was_given() {
    let approved = Case::new("owners=1").approved();
    let mut cases = vec![(fixtures::obligations("owners=1"), true), (fixtures::obligations("owners=2"), false)];
    cases.push((fixtures::obligations("security=1"), false));
    cases.push((fixtures::obligations(""), false));
    let strict = crate::model::HoldObligations { assurance: Assurance::Stepup, ..fixtures::obligations("owners=1") };
    cases.push((strict, false));
    cases.push((crate::model::HoldObligations { require_reason: true, ..fixtures::obligations("owners=1") }, false));
    for (obligations, enough) in cases {
        assert_eq!(approved.approval.meets(&obligations, &approved.people, at(10)), enough, "{obligations:?}");
    }
    assert!(!approved.approval.meets(&fixtures::obligations("owners=1"), &people("owners: bo", &[]), at(10)));
}
