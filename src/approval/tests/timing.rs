//! What time does, and what watchers see.

use super::*;

#[test]
fn what_nobody_decides_expires_and_what_nobody_fetches_lapses() {
    let mut bench = Bench::new();
    let mut process = bench.start();
    let mut undecided = process.open(&bench.call());
    let other = fixtures::call(&bench.ids, "deploy-bot", "import");
    let approved = process.open(&other);
    let id = approved.id();
    process.approve(id);
    drop(approved);
    process.until("approval.caller_left");
    bench.set_clock(50);
    process.approvals.0.deadline_set.notify_one();
    assert_eq!(process.until("approval.lapsed"), id);
    bench.set_clock(99);
    process.approvals.0.deadline_set.notify_one();
    assert!(matches!(process.wait(undecided.verdict(Some(Duration::ZERO))), HoldVerdict::StillPending));
    bench.set_clock(100);
    process.approvals.0.deadline_set.notify_one();
    assert_eq!(process.until("approval.expired"), undecided.id());
    assert_eq!(process.verdict(&mut undecided), "expired");
    assert_eq!(process.say(undecided.id(), "ana", Verdict::Approve, None).unwrap_err().code(), "expired");
    drop(undecided);
    process.stop();
    bench.verify();
}

/// The sweep sleeps until the earliest deadline it knows; what is set earlier has to wake it.
#[test]
fn an_earlier_deadline_wakes_the_sweep() {
    let mut bench = Bench::new();
    let mut process = bench.start();
    let hold = process.open(&bench.call());
    bench.set_clock(100);
    // Of another call, and that it is opened makes the sweep look again.
    let other = process.open(&fixtures::call(&bench.ids, "deploy-bot", "import"));
    assert_eq!(process.until("approval.expired"), hold.id());
    // So does what is approved: from then on it can lapse.
    process.approve(other.id());
    bench.set_clock(150);
    let late = process.open(&fixtures::call(&bench.ids, "deploy-bot", "late"));
    assert_eq!(process.until("approval.lapsed"), other.id());
    drop((hold, other, late));
    process.stop();
    bench.verify();
}

/// Nothing else happens here that would wake it.
#[test]
fn an_approval_wakes_the_sweep_that_has_to_end_it() {
    let mut bench = Bench::new();
    let mut process = bench.start_with(Settings { claim_within: Duration::ZERO, ..fixtures::settings() });
    let hold = process.open(&bench.call());
    process.approve(hold.id());
    assert_eq!(process.until("approval.lapsed"), hold.id());
    drop(hold);
    process.stop();
    bench.verify();
}

#[test]
fn a_thousand_that_expire_at_once_all_do() {
    let mut bench = Bench::new();
    let roomy = Settings { pending_per_principal_max: 2_000, pending_per_rule_max: 2_000, ..fixtures::settings() };
    let mut process = bench.start_with(roomy);
    let calls: Vec<Call> = (0..700).map(|index| fixtures::call(&bench.ids, "deploy-bot", &index.to_string())).collect();
    let opened = calls
        .iter()
        .map(|call| process.approvals.open(fixtures::new_approval(call, fixtures::obligations("owners=1"))));
    let holds: Vec<Hold> =
        process.wait(futures_util::future::join_all(opened)).into_iter().map(|opened| opened.unwrap().held()).collect();
    process.events = process.approvals.subscribe();
    bench.set_clock(100);
    process.approvals.0.deadline_set.notify_one();
    for _ in 0..700 {
        process.until("approval.expired");
    }
    assert_eq!(process.wait(process.store.pending()).unwrap(), 0);
    drop(holds);
    process.stop();
    assert_eq!(bench.logged()["approval.expired"], 700);
}

#[test]
fn watchers_are_told_of_what_is_in_the_log_and_of_nothing_else() {
    let mut bench = Bench::new();
    let mut process = bench.start();
    let hold = process.open(&bench.call());
    let id = hold.id();
    process.until("approval.created");
    process.approve(id);
    let approved = process.until("approval.approved");
    let kinds = |process: &Process, seq, approval| {
        let events = process.wait(process.approvals.events_after(seq, approval)).unwrap();
        events.into_iter().map(|notice| notice.kind).collect::<Vec<_>>()
    };
    // Whoever is told of an event can read it.
    assert_eq!(kinds(&process, 0, Some(approved)), ["approval.created", "approval.decided", "approval.approved"]);
    assert_eq!(kinds(&process, 2, None), ["approval.approved"]);
    drop(hold);
    process.until("approval.caller_left");
    process.stop();
    // Right after a start, before anything has happened, all of it is still there.
    let mut process = bench.start();
    assert_eq!(kinds(&process, 2, None), ["approval.approved", "approval.caller_left"]);
    // And what is stored and not in the log has not happened yet, not even now.
    process.cut.store(true, Ordering::SeqCst);
    process.approvals.later(id, machine::Command::Revoke { reason: "policy".to_owned() });
    process.until_cut_off();
    assert_eq!(process.state(id), "revoked");
    assert_eq!(kinds(&process, 2, None), ["approval.approved", "approval.caller_left"]);
    process.crash(());
    let process = bench.start();
    assert_eq!(kinds(&process, 4, None), ["approval.revoked"]);
    process.stop();
    bench.verify();
}
