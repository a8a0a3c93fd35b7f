//! Every command in every state.

use std::collections::BTreeMap;
use std::fmt::Write;

use insta::assert_snapshot;

use super::*;

/// The approval in every state, each reached by commands, under the name of the state.
fn every_state() -> Vec<Case> {
    let new = || Case::new("owners=1 security=1");
    let running = || {
        let mut case = new().approved();
        let run = case.call;
        assert_eq!(
            case.try_now(Command::Claim { run, exact: fixtures::exact(), behind: BTreeSet::new() }),
            "->forwarding"
        );
        case
    };
    let ended = |ending: Ending| {
        let mut case = running();
        let run = case.call;
        case.try_now(Command::Finish { run, ending });
        case
    };
    let after = |mut case: Case, seconds: i64, command: Command| {
        case.try_at(seconds, command);
        case
    };
    let asked = |mut case: Case| {
        case.ask("ana", "why?");
        case
    };
    let denied = |mut case: Case| {
        case.deny("ana");
        case
    };
    vec![
        new(),
        asked(new()),
        new().approved(),
        running(),
        ended(Ending::Completed { status: 200 }),
        ended(Ending::NotSent { reason: "refused".to_owned() }),
        ended(Ending::Unknown { reason: "broke off".to_owned() }),
        denied(new()),
        after(new(), 100, Command::Tick),
        after(new(), 10, Command::Withdraw { person: person("olga@example.com"), reason: None }),
        denied(new().approved()),
        after(new().approved(), 60, Command::Tick),
    ]
}

#[test]
fn every_command_in_every_state_does_what_this_table_says() {
    let mut table = String::new();
    for case in every_state() {
        let run = case.call;
        let other = Ids(crate::model::IdSource::new([8; 10])).call();
        let ask = Command::Ask {
            person: person("bo"),
            digest: case.approval.digest,
            text: "why?".to_owned(),
            channel: Channel::Api,
            assurance: Assurance::Session,
        };
        let commands = [
            ("approve", Command::Review(case.review("cy", ReviewVerdict::Approve))),
            ("deny", Command::Review(case.review("cy", ReviewVerdict::Deny))),
            ("ask", ask),
            ("answer", Command::Answer { by: "deploy-bot".to_owned(), text: "because".to_owned() }),
            ("withdraw", Command::Withdraw { person: person("kim@example.com"), reason: None }),
            ("revoke", Command::Revoke { reason: "policy".to_owned() }),
            ("join", Command::Join { call: other, instead_of: None, reason: None }),
            ("leave", Command::Leave { call: run }),
            ("claim", Command::Claim { run, exact: fixtures::exact(), behind: BTreeSet::new() }),
            ("unclaim", Command::Unclaim { run }),
            ("finish", Command::Finish { run, ending: Ending::Completed { status: 200 } }),
            ("abandon", Command::Abandon),
            ("tick", Command::Tick),
        ];
        let asked = if case.approval.open_question().is_some() { " (asked)" } else { "" };
        let _ = writeln!(table, "{}{asked}", case.state());
        let mut by_result: BTreeMap<String, Vec<&str>> = BTreeMap::new();
        for (name, command) in commands {
            by_result.entry(case.clone().try_now(command)).or_default().push(name);
        }
        for (result, names) in by_result {
            let _ = writeln!(table, "  {result:24} {}", names.join(" "));
        }
    }
    assert_snapshot!(table, @r#"
    pending
      !already-decided         revoke join
      !not-claimable           claim
      !not-running             finish
      -                        answer tick
      ->withdrawn              withdraw
      asked                    ask
      cy approve               approve
      cy deny+->denied         deny
      left                     leave unclaim abandon
    pending (asked)
      !already-decided         revoke join
      !not-claimable           claim
      !not-running             finish
      -                        tick
      ->withdrawn              withdraw
      answered                 answer
      asked                    ask
      cy approve               approve
      cy deny+->denied         deny
      left                     leave unclaim abandon
    approved
      !already-decided         approve ask answer join
      !not-running             finish
      -                        tick
      ->forwarding             claim
      ->revoked                withdraw revoke
      cy overruled->revoked    deny
      left                     leave unclaim abandon
    forwarding
      !already-decided         approve deny ask answer withdraw revoke join
      !not-claimable           claim
      -                        leave tick
      ->completed              finish
      ->unknown                abandon
      unclaimed                unclaim
    completed
      !already-decided         approve deny ask answer withdraw revoke join
      !not-claimable           claim
      !not-running             finish
      -                        leave unclaim abandon tick
    failed
      !already-decided         approve deny ask answer withdraw revoke join
      !not-claimable           claim
      !not-running             finish
      -                        leave unclaim abandon tick
    unknown
      !already-decided         approve deny ask answer withdraw revoke join
      !not-claimable           claim
      !not-running             finish
      -                        leave unclaim abandon tick
    denied
      !already-decided         approve deny ask answer withdraw revoke join
      !not-claimable           claim
      !not-running             finish
      -                        tick
      left                     leave unclaim abandon
    expired
      !already-decided         answer withdraw revoke join
      !expired                 approve deny ask
      !not-claimable           claim
      !not-running             finish
      -                        tick
      left                     leave unclaim abandon
    withdrawn
      !already-decided         approve deny ask answer withdraw revoke join
      !not-claimable           claim
      !not-running             finish
      -                        tick
      left                     leave unclaim abandon
    revoked
      !already-decided         approve deny ask answer withdraw revoke join
      !not-claimable           claim
      !not-running             finish
      -                        tick
      left                     leave unclaim abandon
    lapsed
      !already-decided         approve deny ask answer withdraw revoke join
      !not-claimable           claim
      !not-running             finish
      -                        tick
      left                     leave unclaim abandon
    "#);
}

#[test]
fn a_name_belongs_to_each_state_and_to_no_other() {
    let mut names: Vec<_> = every_state().iter().map(Case::state).collect();
    names.dedup();
    assert_eq!(names, State::NAMES);
}

#[test]
fn only_pending_and_approved_have_a_deadline_and_are_open() {
    for case in every_state() {
        let open = ["pending", "approved"].contains(&case.state());
        assert_eq!(case.approval.deadline().is_some(), open, "{}", case.state());
        assert_eq!(case.approval.state.is_open(), open, "{}", case.state());
        assert_eq!(case.approval.state.since().is_none(), case.state() == "pending", "{}", case.state());
    }
}

#[test]
fn the_end_comes_exactly_at_its_moment() {
    let pending = Case::new("owners=1");
    let approve = |case: &Case| Command::Review(case.review("ana", ReviewVerdict::Approve));
    let cases: [(i64, Command, &str); 6] = [
        (99, Command::Tick, "-"),
        (100, Command::Tick, "->expired"),
        (99, approve(&pending), "ana approve+->approved"),
        (100, approve(&pending), "!expired"),
        (100, Command::Review(pending.review("ana", ReviewVerdict::Deny)), "!expired"),
        (101, Command::Tick, "->expired"),
    ];
    for (seconds, command, expected) in cases {
        assert_eq!(pending.clone().try_at(seconds, command.clone()), expected, "{command:?} in second {seconds}");
    }
    let approved = pending.approved();
    let run = approved.call;
    let cases: [(i64, Command, &str); 4] = [
        (59, Command::Tick, "-"),
        (60, Command::Tick, "->lapsed"),
        (59, Command::Claim { run, exact: fixtures::exact(), behind: BTreeSet::new() }, "->forwarding"),
        (60, Command::Claim { run, exact: fixtures::exact(), behind: BTreeSet::new() }, "!not-claimable"),
    ];
    for (seconds, command, expected) in cases {
        assert_eq!(approved.clone().try_at(seconds, command.clone()), expected, "{command:?} in second {seconds}");
    }
}
