//! Who waits, who runs, and how often.

use super::*;

fn other() -> CallId {
    Ids(crate::model::IdSource::new([8; 10])).call()
}

#[test]
fn a_caller_joins_only_where_nobody_waits() {
    let mut case = Case::new("owners=1");
    let (first, second) = (case.call, other());
    let join = |call| Command::Join { call, instead_of: None, reason: None };
    assert_eq!(case.try_now(join(second)), "!already-decided");
    assert_eq!(case.try_now(Command::Leave { call: second }), "-");
    assert_eq!(case.try_now(Command::Leave { call: first }), "left");
    assert_eq!(case.try_now(Command::Leave { call: first }), "-");
    assert_eq!(case.try_now(join(second)), "joined");
    assert_eq!(case.try_now(join(first)), "!already-decided");
    assert_eq!(case.approve("ana"), "ana approve+->approved");
    assert_eq!(
        case.try_now(Command::Claim { run: first, exact: fixtures::exact(), behind: BTreeSet::new() }),
        "!not-claimable"
    );
    assert_eq!(
        case.try_now(Command::Claim { run: second, exact: fixtures::exact(), behind: BTreeSet::new() }),
        "->forwarding"
    );
}

#[test]
fn a_reason_given_on_return_answers_the_question_if_there_is_one() {
    let returned = |question: bool, reason: Option<&str>| {
        let mut case = Case::new("owners=1");
        if question {
            case.ask("ana", "why?");
        }
        let call = case.call;
        case.try_now(Command::Leave { call });
        case.try_now(Command::Join { call: other(), instead_of: None, reason: reason.map(ToOwned::to_owned) })
    };
    assert_eq!(returned(true, Some("because")), "joined+answered");
    assert_eq!(returned(true, Some("  ")), "joined");
    assert_eq!(returned(true, None), "joined");
    assert_eq!(returned(false, Some("because")), "joined");
}

#[test]
fn an_approved_call_runs_once() {
    let mut case = Case::new("owners=1").approved();
    let run = case.call;
    let done = || Ending::Completed { status: 200 };
    assert_eq!(case.try_now(Command::Finish { run, ending: done() }), "!not-running");
    assert_eq!(case.try_now(Command::Claim { run, exact: fixtures::exact(), behind: BTreeSet::new() }), "->forwarding");
    assert_eq!(
        case.try_now(Command::Claim { run, exact: fixtures::exact(), behind: BTreeSet::new() }),
        "!not-claimable"
    );
    assert_eq!(
        case.try_now(Command::Claim { run: other(), exact: fixtures::exact(), behind: BTreeSet::new() }),
        "!not-claimable"
    );
    assert_eq!(case.try_now(Command::Finish { run: other(), ending: done() }), "!not-running");
    assert_eq!(case.try_now(Command::Unclaim { run: other() }), "-");
    assert_eq!(case.try_now(Command::Leave { call: run }), "-");
    assert_eq!(case.deny("ana"), "!already-decided");
    assert_eq!(case.try_now(Command::Finish { run, ending: done() }), "->completed");
    for again in [
        Command::Claim { run, exact: fixtures::exact(), behind: BTreeSet::new() },
        Command::Finish { run, ending: done() },
        Command::Join { call: run, instead_of: None, reason: None },
    ] {
        assert!(case.try_now(again.clone()).starts_with('!'), "{again:?}");
    }
}

#[test]
fn a_claim_that_is_given_back_can_be_made_again_and_for_no_longer_than_before() {
    let mut case = Case::new("owners=1").approved();
    let run = case.call;
    assert_eq!(
        case.try_at(55, Command::Claim { run, exact: fixtures::exact(), behind: BTreeSet::new() }),
        "->forwarding"
    );
    assert_eq!(case.try_at(56, Command::Unclaim { run }), "unclaimed");
    assert!(
        matches!(case.approval.state, State::Approved { at: when, claim_until } if (when, claim_until) == (at(10), at(60)))
    );
    assert_eq!(
        case.try_at(57, Command::Claim { run, exact: fixtures::exact(), behind: BTreeSet::new() }),
        "!not-claimable"
    );
    let again = other();
    assert_eq!(case.try_at(57, Command::Join { call: again, instead_of: None, reason: None }), "joined");
    assert_eq!(
        case.try_at(58, Command::Claim { run: again, exact: fixtures::exact(), behind: BTreeSet::new() }),
        "->forwarding"
    );
    assert_eq!(case.try_at(70, Command::Unclaim { run: again }), "unclaimed");
    assert_eq!(case.try_at(70, Command::Tick), "->lapsed");
}

#[test]
fn a_claim_that_never_came_about_is_a_caller_that_has_left() {
    let mut case = Case::new("owners=1").approved();
    let run = case.call;
    assert_eq!(case.try_now(Command::Unclaim { run }), "left");
    assert_eq!(case.try_now(Command::Unclaim { run }), "-");
    assert_eq!(case.try_now(Command::Join { call: other(), instead_of: None, reason: None }), "joined");
}

#[test]
fn whoever_may_not_review_any_more_does_not_count_at_the_claim() {
    let approved = Case::new("owners=1 security=1").approved();
    let run = approved.call;
    let cases = [
        (GROUPS, &[][..], "->forwarding"),
        ("owners: ana; security: cy", &[], "->revoked"),
        ("owners: ana bo; security: cy", &[], "->revoked"),
        ("owners: cy; security: bo", &[], "->revoked"),
        ("", &[], "->revoked"),
        // Bo turns out to stand behind the caller.
        ("owners: ana; security: cy", &[("bo", "olga@example.com")], "->revoked"),
    ];
    for (groups, aliases, expected) in cases {
        let mut case = approved.clone();
        case.people = people(groups, aliases);
        assert_eq!(
            case.try_now(Command::Claim { run, exact: fixtures::exact(), behind: BTreeSet::new() }),
            expected,
            "{groups}"
        );
    }
}

#[test]
fn where_the_policy_says_so_hanging_up_takes_the_call_back() {
    let mut case = Case::new("owners=1");
    case.approval.obligations.on_disconnect = OnDisconnect::Withdraw;
    let call = case.call;
    let mut approved = case.clone().approved();
    // Whoever is told to come again has not hung up.
    for case in [&case, &approved] {
        assert_eq!(case.clone().try_now(Command::SendAway { call }), "left");
    }
    assert_eq!(case.try_now(Command::Leave { call }), "left+->withdrawn");
    assert_eq!(approved.clone().try_now(Command::Leave { call }), "left+->revoked");
    assert_eq!(
        approved.try_now(Command::Claim { run: call, exact: fixtures::exact(), behind: BTreeSet::new() }),
        "->forwarding"
    );
    assert_eq!(approved.clone().try_now(Command::Unclaim { run: call }), "unclaimed+->revoked");
    assert_eq!(
        approved.try_now(Command::Finish { run: call, ending: Ending::Completed { status: 200 } }),
        "->completed"
    );
    assert_eq!(approved.try_now(Command::Leave { call }), "-");
}

#[test]
fn what_a_dead_process_leaves_behind_is_brought_to_an_honest_end() {
    let mut pending = Case::new("owners=1");
    let call = pending.call;
    let mut approved = pending.clone().approved();
    let mut running = approved.clone();
    running.try_now(Command::Claim { run: call, exact: fixtures::exact(), behind: BTreeSet::new() });
    assert_eq!(pending.try_now(Command::Abandon), "left");
    assert_eq!(pending.try_now(Command::Abandon), "-");
    assert_eq!(approved.try_now(Command::Abandon), "left");
    assert_eq!(running.try_now(Command::Abandon), "->unknown");
    assert_eq!(running.approval.caller, None);
    assert_eq!(running.try_now(Command::Abandon), "-");
}

#[test]
fn an_ending_of_any_length_can_be_told() {
    let long = "ü".repeat(TEXT_BYTES_MAX);
    for ending in [Ending::NotSent { reason: long.clone() }, Ending::Unknown { reason: format!("x{long}") }] {
        let mut case = Case::new("owners=1").approved();
        let run = case.call;
        case.try_now(Command::Claim { run, exact: fixtures::exact(), behind: BTreeSet::new() });
        case.apply(10, Command::Finish { run, ending }).unwrap();
        let (State::Failed { reason, .. } | State::Unknown { reason, .. }) = &case.approval.state else {
            panic!("{:?}", case.approval.state);
        };
        assert!((TEXT_BYTES_MAX - 1..=TEXT_BYTES_MAX).contains(&reason.len()), "{}", reason.len());
    }
}
