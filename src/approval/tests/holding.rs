//! Callers that wait, leave and come again.

use futures_util::FutureExt;

use super::*;

#[test]
fn a_held_call_runs_once_it_is_approved_and_the_log_tells_it_all() {
    let mut bench = Bench::new();
    let process = bench.start();
    let call = bench.call();
    let mut hold = process.open_under(&call, fixtures::obligations("owners=1 security=1")).unwrap();
    let id = hold.id();
    assert_eq!((process.state(id), process.approvals.waiting()), ("pending", 1));
    let shown = process.wait(process.approvals.request(id)).unwrap().unwrap();
    assert_eq!((shown.line.target.as_str(), shown.body_text.as_deref()), ("/export", Some("{}")));
    assert!(process.wait(hold.verdict(Some(Duration::ZERO))).is_pending());
    process.say(id, "ana", Verdict::Approve, Some("checked")).unwrap();
    assert!(process.wait(hold.verdict(Some(Duration::ZERO))).is_pending());
    process.say(id, "cy", Verdict::Approve, None).unwrap();
    assert_eq!(process.verdict(&mut hold), "approved");
    let mut run = process.wait(hold.claim(fixtures::exact(), &fixtures::principal("deploy-bot"))).unwrap();
    assert_eq!((process.state(id), process.approvals.waiting()), ("forwarding", 0));
    run.sending();
    run.finish(Ending::Completed { status: 201 });
    let mut process = process;
    process.until("approval.completed");
    assert!(matches!(process.get(id).state, State::Completed { status: 201, .. }));
    process.stop();
    let expected = [("created", 1), ("decided", 2), ("approved", 1), ("claimed", 1), ("completed", 1)];
    let expected: BTreeMap<String, u64> =
        expected.iter().map(|(kind, count)| (format!("approval.{kind}"), *count)).collect();
    let logged: BTreeMap<String, u64> =
        bench.logged().into_iter().map(|(kind, count)| (kind.to_owned(), count)).collect();
    assert_eq!(logged, expected);
}

impl HoldVerdict {
    fn is_pending(&self) -> bool {
        matches!(self, Self::StillPending)
    }
}

#[test]
fn whoever_waits_is_woken_by_every_end() {
    type Act = fn(&Bench, &mut Process, ApprovalId);
    let cases: [(&str, Act); 5] = [
        ("denied", |_, process, id| drop(process.say(id, "ana", Verdict::Deny, Some("no")).unwrap())),
        ("withdrawn", |_, process, id| drop(process.say(id, "U0LGA", Verdict::Withdraw, None).unwrap())),
        ("asked: why?", |_, process, id| drop(process.say(id, "ana", Verdict::Ask, Some("why?")).unwrap())),
        ("draining", |_, process, _| process.approvals.drain()),
        ("expired", |bench, process, _| {
            bench.set_clock(100);
            process.approvals.0.deadline_set.notify_one();
        }),
    ];
    for (expected, act) in cases {
        let mut bench = Bench::new();
        let mut process = bench.start();
        let mut hold = process.open(&bench.call());
        act(&bench, &mut process, hold.id());
        assert_eq!(process.verdict(&mut hold), expected);
        // Once it is over it stays so, however often one asks.
        assert_eq!(process.verdict(&mut hold), expected);
        drop(hold);
        process.stop();
        bench.verify();
    }
}

#[test]
fn two_identical_calls_at_once_are_two_approvals() {
    let mut bench = Bench::new();
    let process = bench.start();
    let (first, second) = (process.open(&bench.call()), process.open(&bench.call()));
    assert_ne!(first.id(), second.id());
    process.approve(first.id());
    assert_eq!(process.state(second.id()), "pending");
    drop((first, second));
    process.stop();
    bench.verify();
}

#[test]
fn a_retry_joins_what_its_first_attempt_has_left_open() {
    let mut bench = Bench::new();
    let mut process = bench.start();
    let first = process.open(&bench.call());
    let id = first.id();
    drop(first);
    process.until("approval.caller_left");
    assert_eq!(process.get(id).caller, None);
    let again = bench.call();
    let mut hold = process.open(&again);
    assert_eq!((hold.id(), process.get(id).caller), (id, Some(again.id)));
    process.approve(id);
    assert_eq!(process.verdict(&mut hold), "approved");
    drop(process.wait(hold.claim(fixtures::exact(), &fixtures::principal("deploy-bot"))).unwrap());
    process.until("approval.unclaimed");
    process.stop();
    assert_eq!(bench.logged()["approval.created"], 1);
}

#[test]
fn what_was_approved_while_the_caller_was_away_waits_for_its_retry_and_asks_nobody_again() {
    let mut bench = Bench::new();
    let mut process = bench.start();
    let hold = process.open(&bench.call());
    let id = hold.id();
    drop(hold);
    process.until("approval.caller_left");
    process.approve(id);
    assert_eq!(process.state(id), "approved");
    let mut hold = process.open(&bench.call());
    assert_eq!(hold.id(), id);
    // At once: nothing else would wake it.
    let verdict = process.wait(async { hold.verdict(None).now_or_never() });
    assert!(matches!(verdict, Some(HoldVerdict::Approved(_))), "{verdict:?}");
    process
        .wait(hold.claim(fixtures::exact(), &fixtures::principal("deploy-bot")))
        .unwrap()
        .finish(Ending::Completed { status: 200 });
    process.until("approval.completed");
    process.stop();
    let logged = bench.logged();
    assert_eq!((logged["approval.created"], logged["approval.approved"], logged["approval.claimed"]), (1, 1, 1));
}

#[test]
fn a_question_sends_the_caller_away_and_its_reason_answers() {
    let mut bench = Bench::new();
    let mut process = bench.start();
    let mut hold = process.open(&bench.call());
    let id = hold.id();
    process.say(id, "bo", Verdict::Ask, Some("for whom?")).unwrap();
    assert_eq!(process.verdict(&mut hold), "asked: for whom?");
    drop(hold);
    process.until("approval.caller_left");
    // Without an answer, it is asked again at once.
    let mut silent = bench.call();
    silent.reason = None;
    let mut hold = process.open(&silent);
    assert_eq!(process.verdict(&mut hold), "asked: for whom?");
    drop(hold);
    process.until("approval.caller_left");
    let hold = process.open(&bench.call());
    assert_eq!((hold.id(), process.get(id).open_question()), (id, None));
    // An owner may answer too, and nobody else.
    process.say(id, "bo", Verdict::Ask, Some("sure?")).unwrap();
    let answer = |name: &str| process.wait(process.approvals.answer(id, &person(name), "yes".to_owned()));
    assert_eq!(answer("ana").unwrap_err().code(), "not-requester");
    assert_eq!(answer("OLGA@example.com").unwrap().open_question(), None);
    drop(hold);
    process.stop();
    bench.verify();
}

#[test]
fn a_call_that_may_not_be_held_is_refused_and_leaves_nothing() {
    let mut bench = Bench::new();
    let process = bench.start_with(Settings { pending_per_principal_max: 1, ..fixtures::settings() });
    let refused = |needs: &str| process.open_under(&bench.call(), fixtures::obligations(needs)).unwrap_err().code();
    assert_eq!(refused(""), "no-eligible-reviewer");
    // Olga would be the third, and she owns the agent.
    assert_eq!(refused("owners=3"), "no-eligible-reviewer");
    let hold = process.open(&bench.call());
    assert_eq!(refused("owners=1"), "too-many-pending");
    assert_eq!(process.wait(process.approvals.list(Query { limit: 10, ..Query::default() })).unwrap().len(), 1);
    assert_eq!(process.approvals.waiting(), 1);
    drop(hold);
    process.stop();
    assert_eq!(bench.logged()["approval.created"], 1);
}

/// However far an opening had come when its caller left: nobody is waited for, and the retry joins.
#[test]
fn a_caller_that_leaves_while_its_call_is_opened_is_not_waited_for() {
    let mut bench = Bench::new();
    let mut process = bench.start();
    let (first, second) = (bench.call(), bench.call());
    for call in [&first, &second] {
        let opening = process.approvals.open(fixtures::new_approval(call, fixtures::obligations("owners=1")));
        // Polled once: the store has it by now, or will.
        let opened = process.wait(async { opening.now_or_never() });
        assert!(opened.is_none());
        process.until("approval.caller_left");
    }
    assert_eq!(process.approvals.waiting(), 0);
    let hold = process.open(&bench.call());
    drop(hold);
    process.stop();
    let logged = bench.logged();
    assert_eq!((logged["approval.created"], logged["approval.caller_joined"]), (1, 2));
}

#[test]
fn where_the_policy_says_so_hanging_up_withdraws() {
    let mut bench = Bench::new();
    let mut process = bench.start();
    let withdraw = HoldObligations { on_disconnect: OnDisconnect::Withdraw, ..fixtures::obligations("owners=1") };
    drop(process.open_under(&bench.call(), withdraw.clone()).unwrap());
    process.until("approval.withdrawn");
    let hold = process.open_under(&bench.call(), withdraw).unwrap();
    process.approve(hold.id());
    drop(hold);
    process.until("approval.revoked");
    assert!(process.metric("holdpoint_approvals_pending").abs() < 0.5);
    process.stop();
    bench.verify();
}

/// Whoever made the key of the retry could have approved the call of another key.
#[test]
fn a_retry_with_a_key_of_other_people_is_asked_for_anew() {
    let mut bench = Bench::new();
    let mut process = bench.start();
    let with_key_of = |name: &str| {
        let (mut call, mut principal) = (bench.call(), fixtures::principal("deploy-bot"));
        principal.authn.created_by = Some(person(name));
        call.principal = Arc::new(principal);
        call
    };
    let (first, by_ana, again) = (bench.call(), with_key_of("ana"), with_key_of("kim@example.com"));
    let hold = process.open(&first);
    let id = hold.id();
    drop(hold);
    process.until("approval.caller_left");
    process.approve(id);
    let other = process.open(&by_ana);
    assert_ne!(other.id(), id);
    assert_eq!(process.say(other.id(), "ana", Verdict::Approve, None).unwrap_err().code(), "own-request");
    let joined = process.open(&again);
    assert_eq!(joined.id(), id);
    drop((other, joined));
    process.stop();
    bench.verify();
}

/// A caller that opens many and takes all but the denied one back does not get to ask again at once.
#[test]
fn a_denial_cannot_be_hidden_behind_calls_that_were_taken_back() {
    let mut bench = Bench::new();
    let process = bench.start();
    let bench = bench;
    let attempt = |id: u8| {
        let mut call = bench.call();
        call.attempt.of = Some(id.to_string());
        call
    };
    let holds: Vec<Hold> = (0..20).map(|id| process.open(&attempt(id))).collect();
    let denied = holds[0].id();
    process.say(denied, "ana", Verdict::Deny, Some("no")).unwrap();
    bench.set_clock(1);
    for hold in &holds[1..] {
        process.wait(process.approvals.withdraw_as_caller(hold.id(), "deploy-bot")).unwrap();
    }
    assert_eq!(process.repeats(&attempt(99)), (denied, "denied".to_owned()));
    drop(holds);
    process.stop();
    bench.verify();
}

/// Its client is told that the approval stays open, so it does.
#[test]
fn where_hanging_up_withdraws_being_sent_away_does_not() {
    type Act = fn(&Process, &mut Hold);
    let ways: [(&str, Act); 4] = [
        ("still pending", |process, hold| {
            assert!(process.wait(hold.verdict(Some(Duration::ZERO))).is_pending());
        }),
        ("asked: why?", |process, hold| {
            process.say(hold.id(), "ana", Verdict::Ask, Some("why?")).unwrap();
            assert_eq!(process.verdict(hold), "asked: why?");
        }),
        ("draining", |process, hold| {
            process.approvals.drain();
            assert_eq!(process.verdict(hold), "draining");
        }),
        ("left in good order", |_, _| {}),
    ];
    let withdraw = HoldObligations { on_disconnect: OnDisconnect::Withdraw, ..fixtures::obligations("owners=1") };
    for (way, act) in ways {
        let mut bench = Bench::new();
        let mut process = bench.start();
        let mut hold = process.open_under(&bench.call(), withdraw.clone()).unwrap();
        let id = hold.id();
        act(&process, &mut hold);
        if way == "left in good order" {
            process.wait(hold.leave())
        } else {
            drop(hold)
        }
        process.until("approval.caller_left");
        assert_eq!((process.state(id), process.get(id).caller), ("pending", None), "{way}");
        process.stop();
        bench.verify();
    }
}

#[test]
fn draining_sends_everybody_away_and_keeps_what_is_open() {
    let mut bench = Bench::new();
    let mut process = bench.start();
    let mut holds: Vec<Hold> = (0..20).map(|_| process.open(&bench.call())).collect();
    process.approvals.drain();
    for hold in &mut holds {
        assert_eq!(process.verdict(hold), "draining");
    }
    assert_eq!(process.approvals.waiting(), 0);
    // Whoever comes now is sent away as well.
    let mut late = process.open(&bench.call());
    assert_eq!(process.verdict(&mut late), "draining");
    holds.push(late);
    let ids: Vec<ApprovalId> = holds.iter().map(Hold::id).collect();
    drop(holds);
    for _ in &ids {
        process.until("approval.caller_left");
    }
    process.stop();
    let process = bench.start();
    for id in ids {
        let approval = process.get(id);
        assert_eq!((approval.state.name(), approval.caller), ("pending", None));
    }
    process.stop();
    bench.verify();
}

#[test]
fn an_escalation_is_told_in_time_and_the_log_proves_who_stood_in() {
    let mut bench = Bench::new();
    let mut process = bench.start();
    let reviewers = fixtures::requirements("security=1");
    let escalate = vec![crate::model::Escalation { after: Duration::from_secs(60), reviewers }];
    let obligations = HoldObligations { escalate, ..fixtures::obligations("owners=2") };
    let mut hold = process.open_under(&bench.call(), obligations.clone()).unwrap();
    let id = hold.id();
    assert_eq!(process.say(id, "cy", Verdict::Approve, None).unwrap_err().code(), "not-reviewer");
    process.say(id, "ana", Verdict::Approve, None).unwrap();
    bench.set_clock(60);
    process.approvals.0.deadline_set.notify_one();
    assert_eq!(process.until("approval.escalated"), id);
    // It is still the one that a retry joins.
    drop(hold);
    process.until("approval.caller_left");
    hold = process.open_under(&bench.call(), obligations).unwrap();
    assert_eq!(hold.id(), id);
    process.say(id, "cy", Verdict::Approve, None).unwrap();
    assert_eq!(process.verdict(&mut hold), "approved");
    let run = process.wait(hold.claim(fixtures::exact(), &fixtures::principal("deploy-bot"))).unwrap();
    run.finish(Ending::Completed { status: 200 });
    process.until("approval.completed");
    process.stop();
    assert_eq!(bench.logged()["approval.escalated"], 1);
}

#[test]
fn what_the_policy_hides_is_in_no_record_and_the_digest_is_that_of_the_true_call() {
    let mut bench = Bench::new();
    let process = bench.start();
    let redact = vec!["/query/token".parse().unwrap(), "/body".parse().unwrap()];
    let mut call = bench.call();
    let crate::model::Message::Http(request) = &mut call.message;
    request.query = Some("a=1&token=hush".to_owned());
    let digest = fixtures::new_approval(&call, fixtures::obligations("owners=1")).digest;
    let hold = process.open_under(&call, HoldObligations { redact, ..fixtures::obligations("owners=1") }).unwrap();
    let id = hold.id();
    let shown = process.wait(process.approvals.request(id)).unwrap().unwrap();
    let record = process.get(id);
    assert_eq!(record.digest, digest);
    assert!(shown.line.target.starts_with("/export?a=1&token=[redacted:"), "{}", shown.line.target);
    for text in [serde_json::to_string(&record).unwrap(), serde_json::to_string(&shown).unwrap()] {
        assert!(!text.contains("hush"), "{text}");
    }
    drop(hold);
    process.stop();
}
