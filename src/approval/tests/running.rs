//! From approved to ended: one run, however it goes.

use futures_util::FutureExt;
use futures_util::future::join_all;

use super::*;

fn approved(bench: &Bench, process: &Process) -> Hold {
    let mut hold = process.open(&bench.call());
    process.approve(hold.id());
    assert_eq!(process.verdict(&mut hold), "approved");
    hold
}

#[test]
fn a_run_that_is_dropped_before_anything_was_sent_is_given_back() {
    let mut bench = Bench::new();
    let mut process = bench.start();
    let hold = approved(&bench, &process);
    let id = hold.id();
    drop(process.wait(hold.claim(fixtures::exact(), &fixtures::principal("deploy-bot"))).unwrap());
    process.until("approval.unclaimed");
    assert_eq!((process.state(id), process.get(id).caller), ("approved", None));
    let mut hold = process.open(&bench.call());
    assert_eq!((hold.id(), process.verdict(&mut hold).as_str()), (id, "approved"));
    process
        .wait(hold.claim(fixtures::exact(), &fixtures::principal("deploy-bot")))
        .unwrap()
        .finish(Ending::NotSent { reason: "the upstream refused".to_owned() });
    process.until("approval.failed");
    process.stop();
    bench.verify();
}

#[test]
fn a_run_that_is_dropped_after_something_was_sent_is_unknown() {
    let mut bench = Bench::new();
    let mut process = bench.start();
    let hold = approved(&bench, &process);
    let id = hold.id();
    let mut run = process.wait(hold.claim(fixtures::exact(), &fixtures::principal("deploy-bot"))).unwrap();
    run.sending();
    drop(run);
    assert_eq!(process.until("approval.unknown"), id);
    // It is not run again: a retry is told, and the same call later is a new approval.
    assert_eq!(process.repeats(&bench.call()), (id, "unknown".to_owned()));
    bench.seconds.fetch_add(60, Ordering::Relaxed);
    let again = process.open(&bench.call());
    assert_ne!(again.id(), id);
    drop(again);
    process.stop();
    bench.verify();
}

/// Upstreams can take longer than anything is remembered for.
#[test]
fn an_attempt_without_an_id_finds_a_run_that_takes_long() {
    let mut bench = Bench::new();
    let mut process = bench.start();
    let hold = approved(&bench, &process);
    let id = hold.id();
    let mut run = process.wait(hold.claim(fixtures::exact(), &fixtures::principal("deploy-bot"))).unwrap();
    run.sending();
    bench.set_clock(3_600);
    let mut again = bench.call();
    again.attempt.number = Some(2);
    assert_eq!(process.repeats(&again), (id, "forwarding".to_owned()));
    run.finish(Ending::Completed { status: 200 });
    process.until("approval.completed");
    assert_eq!(process.repeats(&again), (id, "completed".to_owned()));
    process.stop();
    bench.verify();
}

/// However far a claim had come when its caller left: it is given back, and the retry gets it.
#[test]
fn a_caller_that_leaves_while_its_call_is_claimed_gives_it_back() {
    let mut bench = Bench::new();
    let mut process = bench.start();
    let hold = approved(&bench, &process);
    let id = hold.id();
    let caller = fixtures::principal("deploy-bot");
    let never_polled = hold.claim(fixtures::exact(), &caller);
    drop(never_polled);
    process.until("approval.caller_left");
    let mut hold = process.open(&bench.call());
    assert_eq!((hold.id(), process.verdict(&mut hold).as_str()), (id, "approved"));
    let claim =
        process.wait(async { hold.claim(fixtures::exact(), &fixtures::principal("deploy-bot")).now_or_never() });
    assert!(claim.is_none());
    process.until("approval.unclaimed");
    assert_eq!((process.state(id), process.get(id).caller), ("approved", None));
    let hold = process.open(&bench.call());
    assert_eq!(hold.id(), id);
    process
        .wait(hold.claim(fixtures::exact(), &fixtures::principal("deploy-bot")))
        .unwrap()
        .finish(Ending::Completed { status: 200 });
    process.until("approval.completed");
    process.stop();
    bench.verify();
}

#[test]
fn what_does_not_stand_any_more_cannot_be_claimed() {
    type Undo = fn(&Bench, &Process, ApprovalId);
    let cases: [(&str, Undo); 5] = [
        ("revoked", |_, process, id| drop(process.say(id, "bo", Verdict::Deny, None).unwrap())),
        ("revoked", |_, process, id| drop(process.say(id, "olga@example.com", Verdict::Withdraw, None).unwrap())),
        ("revoked", |_, process, id| drop(process.wait(process.approvals.revoke(id, "policy".to_owned())).unwrap())),
        ("revoked", |_, process, _| {
            process.approvals.set_people(Arc::new(people("owners: bo; security: ana", &[])));
        }),
        ("lapsed", |bench, process, _| {
            bench.set_clock(50);
            process.approvals.0.deadline_set.notify_one();
        }),
    ];
    for (expected, undo) in cases {
        let mut bench = Bench::new();
        let mut process = bench.start();
        let hold = approved(&bench, &process);
        let id = hold.id();
        undo(&bench, &process, id);
        let refused = process.wait(hold.claim(fixtures::exact(), &fixtures::principal("deploy-bot"))).unwrap_err();
        assert_eq!(refused.code(), "not-claimable", "{expected}");
        // Whoever was refused does not stay behind as a caller.
        process.until_all(&[&format!("approval.{expected}"), "approval.caller_left"]);
        assert!(process.metric("holdpoint_approvals_pending").abs() < 0.5, "{expected}");
        process.stop();
        let logged = bench.logged();
        assert!(!logged.contains_key("approval.claimed"), "{logged:?}");
    }
}

#[test]
fn of_many_reviewers_at_once_the_first_final_word_counts() {
    let mut bench = Bench::new();
    let process = bench.start();
    let mut hold = process.open(&bench.call());
    let id = hold.id();
    let said = ["ana", "bo"].map(|name| process.decide(id, name, Verdict::Approve, None));
    let said = process.wait(join_all(said));
    assert_eq!(said.iter().filter(|said| said.is_ok()).count(), 1);
    assert_eq!(process.verdict(&mut hold), "approved");
    assert!((process.metric("holdpoint_decision_rejected_total") - 1.0).abs() < 0.5);
    drop(hold);
    process.stop();
    assert_eq!(bench.logged()["approval.approved"], 1);
}

/// Every way that an approval can go, and the gauge is back at what is pending.
#[test]
fn the_count_of_pending_approvals_does_not_drift() {
    type Go = fn(&Process, Hold);
    let ways: [Go; 8] = [
        |process, hold| drop((process.say(hold.id(), "ana", Verdict::Deny, None).unwrap(), hold)),
        |process, hold| drop((process.say(hold.id(), "olga@example.com", Verdict::Withdraw, None).unwrap(), hold)),
        |process, hold| process.approve(hold.id()),
        |process, hold| {
            process.approve(hold.id());
            process.say(hold.id(), "olga@example.com", Verdict::Withdraw, None).unwrap();
        },
        |process, hold| {
            process.approve(hold.id());
            process.say(hold.id(), "bo", Verdict::Deny, None).unwrap();
        },
        |process, hold| {
            process.approve(hold.id());
            process.wait(process.approvals.revoke(hold.id(), "policy".to_owned())).unwrap();
        },
        |process, hold| {
            process.approve(hold.id());
            drop(process.wait(hold.claim(fixtures::exact(), &fixtures::principal("deploy-bot"))).unwrap());
        },
        |process, hold| {
            process.approve(hold.id());
            process
                .wait(hold.claim(fixtures::exact(), &fixtures::principal("deploy-bot")))
                .unwrap()
                .finish(Ending::Completed { status: 200 });
        },
    ];
    let mut bench = Bench::new();
    let process = bench.start();
    let pending = |process: &Process| {
        let gauge = process.metric("holdpoint_approvals_pending");
        let stored = process.wait(process.store.pending()).unwrap();
        assert!((gauge - f64::from(u32::try_from(stored).unwrap())).abs() < 0.5, "{gauge} instead of {stored}");
        stored
    };
    let stays = process.open(&fixtures::call(&bench.ids, "deploy-bot", "stays"));
    for (index, go) in ways.into_iter().enumerate() {
        let hold = process.open(&fixtures::call(&bench.ids, "deploy-bot", &index.to_string()));
        assert_eq!(pending(&process), 2);
        go(&process, hold);
        assert_eq!(pending(&process), 1, "way {index}");
    }
    drop(stays);
    process.stop();
    let process = bench.start();
    assert_eq!(pending(&process), 1);
    process.stop();
    bench.verify();
}
