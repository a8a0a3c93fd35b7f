//! A process dies; the next one finds what it left.

use super::*;

#[test]
fn what_was_pending_is_pending_and_can_be_decided() {
    let mut bench = Bench::new();
    let process = bench.start();
    let hold = process.open(&bench.call());
    let id = hold.id();
    process.crash(hold);
    let mut process = bench.start();
    assert_eq!((process.state(id), process.get(id).caller), ("pending", None));
    process.approve(id);
    let mut hold = process.open(&bench.call());
    assert_eq!((hold.id(), process.verdict(&mut hold).as_str()), (id, "approved"));
    process
        .wait(hold.claim(fixtures::exact(), &fixtures::principal("deploy-bot")))
        .unwrap()
        .finish(Ending::Completed { status: 200 });
    process.until("approval.completed");
    process.stop();
    assert_eq!(bench.logged()["approval.created"], 1);
}

#[test]
fn what_was_under_way_is_unknown_and_does_not_run_again() {
    let mut bench = Bench::new();
    let process = bench.start();
    let mut hold = process.open(&bench.call());
    let id = hold.id();
    process.approve(id);
    assert_eq!(process.verdict(&mut hold), "approved");
    let run = process.wait(hold.claim(fixtures::exact(), &fixtures::principal("deploy-bot"))).unwrap();
    process.crash(run);
    let process = bench.start();
    assert_eq!(process.state(id), "unknown");
    // A retry is told; whoever calls later asks anew.
    assert_eq!(process.repeats(&bench.call()), (id, "unknown".to_owned()));
    bench.seconds.fetch_add(60, Ordering::Relaxed);
    assert_ne!(process.open(&bench.call()).id(), id);
    process.stop();
    let logged = bench.logged();
    assert_eq!((logged["approval.claimed"], logged["approval.unknown"]), (1, 1));
}

#[test]
fn what_was_approved_and_not_fetched_still_waits() {
    let mut bench = Bench::new();
    let process = bench.start();
    let hold = process.open(&bench.call());
    let id = hold.id();
    process.approve(id);
    process.crash(hold);
    let process = bench.start();
    let mut hold = process.open(&bench.call());
    assert_eq!((hold.id(), process.verdict(&mut hold).as_str()), (id, "approved"));
    drop(hold);
    process.stop();
    bench.verify();
}

#[test]
fn whatever_ended_while_nobody_was_there_is_over_after_the_start() {
    let mut bench = Bench::new();
    let process = bench.start();
    let hold = process.open(&bench.call());
    let id = hold.id();
    process.crash(hold);
    bench.set_clock(500);
    let process = bench.start();
    // Whether or not the sweep has come round, nobody joins it.
    let again = process.open(&bench.call());
    assert_ne!(again.id(), id);
    assert_eq!(process.say(id, "ana", Verdict::Approve, None).unwrap_err().code(), "expired");
    drop(again);
    process.stop();
    bench.verify();
}

/// The store has the decision and the log does not: the process died in between. The next start
/// writes it to the log, once, and only then is anything released.
#[test]
fn what_the_log_missed_is_written_to_it_once() {
    let mut bench = Bench::new();
    let mut process = bench.start();
    let hold = process.open(&bench.call());
    let id = hold.id();
    process.cut.store(true, Ordering::SeqCst);
    let approvals = process.approvals.clone();
    let digest = process.get(id).digest;
    let decide = Decide {
        id,
        digest,
        person: person("ana"),
        verdict: Verdict::Approve,
        channel: Channel::Api,
        assurance: Assurance::Session,
        reason: None,
    };
    let deciding = process.runtime.spawn(async move { approvals.decide(decide).await });
    assert_eq!(process.until_cut_off().len(), 2);
    assert!(!deciding.is_finished(), "it was answered before it was in the log");
    process.crash((hold, deciding));
    assert!(!bench.logged().contains_key("approval.decided"));

    let process = bench.start();
    assert_eq!(process.state(id), "approved");
    let waiting = process.wait(process.store.unlogged()).unwrap();
    assert!(waiting.iter().all(|entry| entry.event.kind == "approval.caller_left"), "{waiting:?}");
    process.crash(());
    let expected = bench.logged();
    assert_eq!((expected["approval.decided"], expected["approval.approved"]), (1, 1));
    // Nothing is left to do for the one after.
    bench.start().stop();
    assert_eq!(bench.logged(), expected);
}

/// The log has the events and the store does not know: the process died before it could note it.
#[test]
fn what_the_log_has_is_not_written_to_it_again() {
    let mut bench = Bench::new();
    let process = bench.start();
    let hold = process.open(&bench.call());
    let id = hold.id();
    process.approve(id);
    drop(hold);
    // Kept as if not logged, as after a crash right before it was noted.
    let leaves = process.wait(process.store.unlogged()).unwrap().len();
    process.stop();
    let expected = bench.logged();
    let connection = rusqlite::Connection::open(bench.dir.path().join("store/approvals.db")).unwrap();
    let tail: Vec<String> = audit::tail(&bench.log_path(), audit::Start::Index(0))
        .unwrap()
        .map(|entry| String::from_utf8(entry.unwrap().1).unwrap())
        .filter(|leaf| leaf.contains(r#""type":"approval."#))
        .collect();
    assert!(tail.len() >= 3 && leaves <= tail.len());
    for (index, leaf) in tail.iter().enumerate() {
        let changed = connection.execute(
            "UPDATE events SET logged = 0, leaf = ?2, disclosures = '[]' WHERE seq = ?1",
            rusqlite::params![i64::try_from(index).unwrap() + 1, leaf],
        );
        assert_eq!(changed.unwrap(), 1);
    }
    drop(connection);
    bench.start().stop();
    assert_eq!(bench.logged(), expected);
}

#[test]
fn hundreds_that_were_left_behind_are_all_found() {
    let mut bench = Bench::new();
    let roomy = Settings { pending_per_principal_max: 2_000, pending_per_rule_max: 2_000, ..fixtures::settings() };
    let process = bench.start_with(roomy);
    let calls: Vec<Call> = (0..600).map(|index| fixtures::call(&bench.ids, "deploy-bot", &index.to_string())).collect();
    let opened = calls
        .iter()
        .map(|call| process.approvals.open(fixtures::new_approval(call, fixtures::obligations("owners=1"))));
    let holds = process.wait(futures_util::future::join_all(opened));
    assert!(holds.iter().all(Result::is_ok));
    process.crash(holds);
    let process = bench.start();
    assert_eq!(process.wait(process.store.attached()).unwrap(), []);
    assert_eq!(process.wait(process.store.pending()).unwrap(), 600);
    assert!((process.metric("holdpoint_approvals_pending") - 600.0).abs() < 0.5);
    process.stop();
    assert_eq!(bench.logged()["approval.caller_left"], 600);
}
