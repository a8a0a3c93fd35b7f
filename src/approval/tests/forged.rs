//! Somebody else writes into the store.

use super::*;

fn forged(process: &Process) -> bool {
    process.metric("holdpoint_approvals_forged_total") > 0.5
}

/// Each of these would release a call that nobody approved, were the record believed.
const EDITS: [(&str, &str); 9] = [
    (
        "the state",
        r#"json_set(record, '$.state', json('{"name":"approved","at":"2026-11-21T05:16:59Z","claim_until":"2126-11-21T05:16:59Z"}'))"#,
    ),
    ("the requirements", r#"json_set(record, '$.obligations.reviewers', json('[{"group":"security","count":1}]'))"#),
    ("those behind the caller", "json_set(record, '$.closure', json('[]'))"),
    ("the expiry", "json_set(record, '$.expires', '2126-11-21T05:16:59.000000Z')"),
    (
        "a review",
        r#"json_insert(record, '$.reviews[#]', json('{"person":"bo","verdict":"approve","groups":["owners"],"channel":"api","assurance":"stepup","reason":null,"at":"2026-11-21T05:16:59Z"}'))"#,
    ),
    (
        "who may stand in",
        r#"json_set(record, '$.obligations.escalate', json('[{"after":{"secs":0,"nanos":0},"reviewers":[{"group":"owners","count":2}]}]'))"#,
    ),
    ("what was told", "json_set(record, '$.escalated', 1)"),
    (
        "the grant",
        r#"json_set(record, '$.obligations.grant', json('{"max_uses":9,"max_duration":{"secs":9,"nanos":0}}'))"#,
    ),
    ("the seal", "json_set(record, '$.seal', null)"),
];

#[test]
fn a_record_that_was_edited_in_the_store_releases_nothing() {
    for (what, edit) in EDITS {
        let mut bench = Bench::new();
        let mut process = bench.start();
        let hold = process.open_under(&bench.call(), fixtures::obligations("owners=2")).unwrap();
        let id = hold.id();
        drop(hold);
        process.until("approval.caller_left");
        bench.sql(&format!("UPDATE approvals SET record = {edit}"));
        bench.sql("UPDATE approvals SET state = json_extract(record, '$.state.name')");
        assert!(!forged(&process), "{what}");
        for (name, verdict) in [("ana", Verdict::Approve), ("bo", Verdict::Deny), ("U0LGA", Verdict::Withdraw)] {
            assert_eq!(process.say(id, name, verdict, None).unwrap_err().code(), "forged", "{what}");
        }
        assert_eq!(process.open_under(&bench.call(), fixtures::obligations("owners=2")).unwrap_err().code(), "forged");
        assert_eq!(process.wait(process.approvals.request(id)).unwrap_err().code(), "forged", "{what}");
        assert!(forged(&process), "{what}");
        process.stop();
        bench.verify();
    }
}

#[test]
fn a_caller_that_waits_cannot_claim_what_was_forged_meanwhile() {
    let mut bench = Bench::new();
    let process = bench.start();
    let mut hold = process.open(&bench.call());
    let (_, edit) = EDITS[0];
    bench.sql(&format!("UPDATE approvals SET record = {edit}, state = 'approved'"));
    assert!(matches!(process.wait(hold.verdict(Some(Duration::ZERO))), HoldVerdict::StillPending));
    assert_eq!(
        process.wait(hold.claim(fixtures::exact(), &fixtures::principal("deploy-bot"))).unwrap_err().code(),
        "forged"
    );
    process.stop();
    let logged = bench.logged();
    assert_eq!(logged.keys().copied().collect::<Vec<_>>(), ["approval.created"]);
}

/// What has run stays run, though its record is made to look approved again.
#[test]
fn what_has_run_cannot_be_made_to_run_again_by_an_edit() {
    let mut bench = Bench::new();
    let mut process = bench.start();
    let mut hold = process.open(&bench.call());
    let id = hold.id();
    process.approve(id);
    assert_eq!(process.verdict(&mut hold), "approved");
    let approved = serde_json::to_string(&process.get(id).state).unwrap();
    process
        .wait(hold.claim(fixtures::exact(), &fixtures::principal("deploy-bot")))
        .unwrap()
        .finish(Ending::Completed { status: 200 });
    process.until("approval.completed");
    bench.sql(&format!(
        "UPDATE approvals SET state = 'approved', record = json_set(record, '$.state', json('{approved}'))"
    ));
    assert_eq!(process.open_under(&bench.call(), fixtures::obligations("owners=1")).unwrap_err().code(), "forged");
    process.stop();
    assert_eq!(bench.logged()["approval.claimed"], 1);
}

#[test]
fn what_reviewers_are_shown_is_what_was_held() {
    let mut bench = Bench::new();
    let process = bench.start();
    let hold = process.open(&bench.call());
    bench.sql("UPDATE requests SET request = json_set(request, '$.body_text', 'harmless')");
    assert_eq!(process.wait(process.approvals.request(hold.id())).unwrap_err().code(), "forged");
    assert!(forged(&process));
    drop(hold);
    process.stop();
}

#[test]
fn a_forged_record_does_not_keep_others_from_expiring() {
    let mut bench = Bench::new();
    let mut process = bench.start();
    let bad = process.open(&bench.call());
    bench.sql("UPDATE approvals SET record = json_set(record, '$.closure', json('[]'))");
    let good = process.open(&fixtures::call(&bench.ids, "deploy-bot", "import"));
    bench.set_clock(100);
    process.approvals.0.deadline_set.notify_one();
    assert_eq!(process.until("approval.expired"), good.id());
    assert_eq!(process.state(bad.id()), "pending");
    // Reported once, not every time that the sweep comes round.
    let reported = process.metric("holdpoint_approvals_forged_total");
    bench.set_clock(1_000);
    let later = process.open(&bench.call());
    bench.set_clock(1_100);
    process.approvals.0.deadline_set.notify_one();
    assert_eq!(process.until("approval.expired"), later.id());
    assert!((process.metric("holdpoint_approvals_forged_total") - reported).abs() < 0.5);
    drop((bad, good, later));
    process.stop();
}
