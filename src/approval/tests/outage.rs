//! The audit log or the store says no for a while.

use super::*;

/// Puts a folder where the log's entries are, so that no write to them succeeds, whoever runs this.
fn block(bench: &Bench) {
    let path = bench.log_path().join("tile/entries/000");
    fs::rename(&path, bench.dir.path().join("aside")).unwrap();
    fs::create_dir(&path).unwrap();
    fs::write(path.join("in-the-way"), "").unwrap();
}

fn unblock(bench: &Bench) {
    let path = bench.log_path().join("tile/entries/000");
    fs::remove_dir_all(&path).unwrap();
    fs::rename(bench.dir.path().join("aside"), &path).unwrap();
}

#[test]
fn what_is_not_in_the_log_has_no_effect_until_it_is() {
    let mut bench = Bench::new();
    let mut process = bench.start();
    let mut hold = process.open(&bench.call());
    let id = hold.id();
    block(&bench);
    let refused = process.say(id, "ana", Verdict::Approve, None).unwrap_err();
    // With the log's own cause, and as soon as it is known.
    let cause = refused.to_string();
    assert!(cause.contains("tile/entries/000") && cause.contains("takes effect once"), "{cause}");
    assert!(matches!(process.wait(hold.verdict(Some(Duration::ZERO))), HoldVerdict::StillPending));
    assert_eq!(process.approvals.waiting(), 1);
    // From now on everybody is told, before anything is stored.
    assert_eq!(process.say(id, "bo", Verdict::Deny, None).unwrap_err().code(), "audit-unavailable");
    let other = fixtures::call(&bench.ids, "deploy-bot", "import");
    assert_eq!(process.open_under(&other, fixtures::obligations("owners=1")).unwrap_err().code(), "audit-unavailable");
    assert_eq!(process.wait(process.store.pending()).unwrap(), 0);
    unblock(&bench);
    assert_eq!(process.verdict(&mut hold), "approved");
    process
        .wait(hold.claim(fixtures::exact(), &fixtures::principal("deploy-bot")))
        .unwrap()
        .finish(Ending::Completed { status: 200 });
    process.until("approval.completed");
    process.stop();
    let logged = bench.logged();
    assert_eq!((logged["approval.decided"], logged["approval.approved"], logged["approval.completed"]), (1, 1, 1));
}

/// A claim that is stored and not in the log is no claim: nothing may be sent, and it is given back.
#[test]
fn a_claim_that_does_not_get_into_the_log_is_given_back() {
    let mut bench = Bench::new();
    let mut process = bench.start();
    let mut hold = process.open(&bench.call());
    let id = hold.id();
    process.approve(id);
    assert_eq!(process.verdict(&mut hold), "approved");
    block(&bench);
    let caller = process.get(id).caller.unwrap();
    assert_eq!(
        process.wait(hold.claim(fixtures::exact(), &fixtures::principal("deploy-bot"))).unwrap_err().code(),
        "audit-unavailable"
    );
    // Its retry may come before that is stored, and must not take it for a twin.
    assert!(process.approvals.0.hub.has_left(id, caller));
    unblock(&bench);
    process.until("approval.unclaimed");
    let mut hold = process.open(&bench.call());
    assert_eq!((hold.id(), process.verdict(&mut hold).as_str()), (id, "approved"));
    process
        .wait(hold.claim(fixtures::exact(), &fixtures::principal("deploy-bot")))
        .unwrap()
        .finish(Ending::Completed { status: 200 });
    process.until("approval.completed");
    process.stop();
    assert_eq!(bench.logged()["approval.claimed"], 2);
}

/// What has happened has happened, whether or not the log is there: it is stored, and told later.
#[test]
fn an_ending_and_a_hanging_up_are_not_lost_while_the_log_is_away() {
    let mut bench = Bench::new();
    let mut process = bench.start();
    let mut hold = process.open(&bench.call());
    let id = hold.id();
    let waits = process.open(&fixtures::call(&bench.ids, "deploy-bot", "import"));
    process.approve(id);
    assert_eq!(process.verdict(&mut hold), "approved");
    let run = process.wait(hold.claim(fixtures::exact(), &fixtures::principal("deploy-bot"))).unwrap();
    block(&bench);
    // The log notices at its next write.
    assert_eq!(process.say(waits.id(), "ana", Verdict::Ask, Some("why?")).unwrap_err().code(), "audit-unavailable");
    let started = std::time::Instant::now();
    while process.log.healthy().is_ok() {
        assert!(started.elapsed() < TOO_LONG, "the log did not notice");
        std::thread::yield_now();
    }
    run.finish(Ending::Completed { status: 200 });
    drop(waits);
    unblock(&bench);
    process.until_all(&["approval.completed", "approval.caller_left"]);
    process.stop();
    let logged = bench.logged();
    assert_eq!((logged["approval.completed"], logged["approval.asked"]), (1, 1));
}

/// A process that stops while the log is away does not wait for it: the next one writes the rest.
#[test]
fn what_the_log_does_not_take_before_the_end_is_written_after_the_next_start() {
    let mut bench = Bench::new();
    let process = bench.start();
    let hold = process.open(&bench.call());
    let id = hold.id();
    block(&bench);
    assert_eq!(process.say(id, "ana", Verdict::Approve, None).unwrap_err().code(), "audit-unavailable");
    process.wait(process.approvals.stop());
    unblock(&bench);
    process.crash(hold);
    let process = bench.start();
    assert_eq!(process.state(id), "approved");
    process.stop();
    assert_eq!(bench.logged()["approval.approved"], 1);
}

/// The store is away for a while: whoever hangs up meanwhile must not be waited for ever after.
#[test]
fn a_hanging_up_that_could_not_be_stored_is_tried_again() {
    let mut bench = Bench::new();
    let mut process = bench.start();
    let hold = process.open(&bench.call());
    let id = hold.id();
    let database = rusqlite::Connection::open(bench.dir.path().join("store/approvals.db")).unwrap();
    database
        .execute_batch("CREATE TRIGGER fails BEFORE INSERT ON events BEGIN SELECT RAISE(ABORT, 'no'); END")
        .unwrap();
    let refused = process.say(id, "ana", Verdict::Approve, None).unwrap_err();
    assert_eq!(refused.code(), "store-unavailable");
    drop(hold);
    // Let the first attempt fail before the store is back.
    let failing = process.say(id, "ana", Verdict::Approve, None).unwrap_err();
    assert_eq!(failing.code(), "store-unavailable");
    database.execute_batch("DROP TRIGGER fails").unwrap();
    assert_eq!(process.until("approval.caller_left"), id);
    assert_eq!(process.get(id).caller, None);
    process.stop();
    bench.verify();
}
