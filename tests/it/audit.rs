//! The audit log from outside: nothing happens without it, and whoever changes it is found out.

use std::fs;

use http::Method;
use serde_json::Value;

use crate::support::World;
use crate::support::eventually;
use crate::support::holdpoint;

#[tokio::test]
async fn no_log_no_calls() {
    let world = World::start();
    assert_eq!(world.get("/open/a").send().await.status, 200);
    let held = world.get("/held/a").spawn();
    let item = world.held("/held/a").await;

    // A folder in the way of the file that grows: nobody can write there, not even root.
    let file = world.path("audit/tile/entries/000");
    fs::rename(&file, world.path("aside")).unwrap();
    fs::create_dir(&file).unwrap();
    fs::write(file.join("in-the-way"), "").unwrap();

    let before = world.upstream.received().len();
    // The first one may still be in line when the log learns of it.
    eventually("the log to refuse", || async { (world.get("/open/b").send().await.status == 503).then_some(()) }).await;
    let passed = world.upstream.received().len() - before;
    for target in ["/open/c", "/held/c"] {
        let answer = world.get(target).send().await;
        assert_eq!((answer.status, answer.code().as_str()), (503, "audit-unavailable"), "{target}");
        assert_ne!(answer.field("retry-after"), "");
    }
    let answer = world.decide("ana", &item, "approve", None).await;
    assert_eq!(answer.status, 503, "{}", answer.text());
    assert_eq!(world.ask("ana", http::Method::GET, "/readyz", None).await.status, 503);
    assert!(!held.is_finished());
    assert_eq!(world.upstream.received().len() - before, passed);
    assert_eq!(world.upstream.count("/held"), 0);

    fs::remove_dir_all(&file).unwrap();
    fs::rename(world.path("aside"), &file).unwrap();
    eventually("the log to recover", || async { (world.get("/open/d").send().await.status == 200).then_some(()) })
        .await;
    let answer = world.decide("ana", &item, "approve", None).await;
    assert!([200, 409].contains(&answer.status), "{}", answer.text());
    assert_eq!(held.await.unwrap().status, 200);
    assert_eq!(world.upstream.count("/held/a"), 1);
    eventually("the books to be closed", || async {
        (world.approvals("state=completed").await.len() == 1).then_some(())
    })
    .await;
    world.verify();
}

#[tokio::test]
async fn a_log_that_somebody_has_changed_is_found_out() {
    let mut world = World::start();
    let caller = world.get("/held/a").spawn();
    let item = world.held("/held/a").await;
    world.approve("ana", &item).await;
    assert_eq!(caller.await.unwrap().status, 200);
    world.waits_for("/held/a", "completed", false).await;
    world.program.signal("TERM");
    assert_eq!(world.program.ended().code(), Some(0));
    world.verify();

    let folder = world.path("audit");
    let kept = world.path("kept-checkpoint");
    fs::copy(folder.join("checkpoint"), &kept).unwrap();
    let path = folder.to_str().unwrap().to_owned();
    let against_kept = ["audit", "verify", "--path", &path, "--checkpoint", kept.to_str().unwrap()];
    assert_eq!(holdpoint(&against_kept, &[]).status.code(), Some(0));

    let entries = folder.join("tile/entries/000");
    let good = fs::read(&entries).unwrap();
    let text = String::from_utf8_lossy(&good);
    for (from, to) in [("approval.approved", "approval.denieded"), ("deploy-bot", "deploy-cat"), ("\"api\"", "\"apx\"")]
    {
        assert!(text.contains(from), "no {from} in the log");
        fs::write(&entries, text.replace(from, to)).unwrap();
        assert_eq!(holdpoint(&["audit", "verify", "--path", &path], &[]).status.code(), Some(8), "{from}");
    }
    fs::write(&entries, &good[..good.len() - 20]).unwrap();
    assert_eq!(holdpoint(&["audit", "verify", "--path", &path], &[]).status.code(), Some(8), "cut off");
    fs::write(&entries, &good).unwrap();
    let checkpoint = fs::read_to_string(folder.join("checkpoint")).unwrap();
    let (start, signature) = checkpoint.split_at(checkpoint.len() - 10);
    let flipped = if signature.starts_with('A') { 'B' } else { 'A' };
    fs::write(folder.join("checkpoint"), format!("{start}{flipped}{}", &signature[1..])).unwrap();
    assert_eq!(holdpoint(&["audit", "verify", "--path", &path], &[]).status.code(), Some(8), "another signature");
    fs::write(folder.join("checkpoint"), &checkpoint).unwrap();
    world.verify();
}

#[tokio::test]
async fn the_log_tells_the_whole_story_of_a_call() {
    let mut world = World::start();
    world.get("/open/a").send().await;
    world.get("/closed/a").send().await;
    let caller = world.get("/held/a").spawn();
    let item = world.held("/held/a").await;
    world.approve("ana", &item).await;
    assert_eq!(caller.await.unwrap().status, 200);
    world.waits_for("/held/a", "completed", false).await;
    world.program.signal("TERM");
    assert_eq!(world.program.ended().code(), Some(0));
    let folder = world.path("audit");
    let output = holdpoint(&["audit", "tail", "--path", folder.to_str().unwrap(), "--from", "0"], &[]);
    let text = String::from_utf8(output.stdout).unwrap();
    let events: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let about: Vec<String> = events
        .iter()
        .filter(|event| event.to_string().contains(item["id"].as_str().unwrap()))
        .map(|event| event["type"].as_str().or(event["kind"].as_str()).unwrap_or_default().to_owned())
        .collect();
    insta::assert_debug_snapshot!(about, @r#"
    [
        "approval.created",
        "approval.decided",
        "approval.approved",
        "approval.claimed",
        "approval.completed",
    ]
    "#);
    assert!(!text.contains("ana@example.com"), "people's names stand in the log: {text}");
    let report = holdpoint(&["audit", "verify", "--path", folder.to_str().unwrap(), "-o", "json"], &[]);
    let report: Value = serde_json::from_slice(&report.stdout).unwrap();
    assert_eq!(report["ok"], true, "{report}");
}

#[tokio::test]
async fn one_event_can_be_proven_without_the_log() {
    let mut world = World::start();
    world.get("/open/a").send().await;
    let caller = world.get("/held/a").spawn();
    let item = world.held("/held/a").await;
    world.approve("ana", &item).await;
    assert_eq!(caller.await.unwrap().status, 200);
    world.waits_for("/held/a", "completed", false).await;
    world.program.signal("TERM");
    assert_eq!(world.program.ended().code(), Some(0));
    let (folder, id) = (world.path("audit"), item["id"].as_str().unwrap());
    let vkey = fs::read_to_string(folder.join("vkey")).unwrap();
    let show = |arguments: &[&str]| {
        let output = holdpoint(&[&["audit", "show", "--path", folder.to_str().unwrap()], arguments].concat(), &[]);
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    let (code, events) = show(&[id]);
    assert_eq!(code, Some(0));
    assert!(events.lines().count() >= 5 && events.lines().all(|event| event.contains(id)), "{events}");
    assert_eq!(show(&["apr_00000000000000000000000000000000"]), (Some(3), String::new()));

    let (code, proof) = show(&[id, "--proof"]);
    assert_eq!(code, Some(0));
    let file = world.path("one.tlog-proof");
    fs::write(&file, &proof).unwrap();
    // The log is not needed.
    fs::remove_dir_all(&folder).unwrap();
    let verify = |vkey: &str| holdpoint(&["audit", "verify", "--proof", file.to_str().unwrap(), "--vkey", vkey], &[]);
    let output = verify(vkey.trim());
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(String::from_utf8_lossy(&output.stdout).contains(events.lines().last().unwrap()));
    assert_eq!(verify("nonsense").status.code(), Some(1));
    fs::write(&file, proof.replace("\nindex ", "\nindex 1")).unwrap();
    assert_eq!(verify(vkey.trim()).status.code(), Some(8));
}

/// An approval is for what a call means. Which bytes people were shown, and which ones ran, is
/// another question that the log answers.
#[tokio::test]
async fn the_log_says_which_bytes_were_held_and_which_ran() {
    let mut world = World::start();
    let call = |body: &str| {
        let call = world.call(Method::POST, "/held/a").body(body.to_owned());
        call.with("content-type", "application/json")
    };
    let first = call(r#"{"a":1,"b":2}"#).spawn();
    let item = world.held("/held/a").await;
    first.abort();
    world.waits_for("/held/a", "pending", false).await;
    world.approve("ana", &item).await;
    assert_eq!(call(r#"{"b":2,"a":1}"#).send().await.status, 200);
    world.waits_for("/held/a", "completed", false).await;
    world.program.signal("TERM");
    assert_eq!(world.program.ended().code(), Some(0));
    let folder = world.path("audit");
    let output = holdpoint(&["audit", "tail", "--path", folder.to_str().unwrap(), "--from", "0"], &[]);
    let text = String::from_utf8(output.stdout).unwrap();
    let events: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let said = |kind: &str, name: &str| {
        let event = events.iter().find(|event| event["type"] == kind || event["kind"] == kind).unwrap();
        let value = &event["data"][name];
        assert_eq!(value.as_str().map_or(0, |text| text.trim_start_matches("sha256:").len()), 64, "{event}");
        value.clone()
    };
    assert_eq!(said("approval.created", "digest"), said("approval.claimed", "digest"));
    assert_ne!(said("approval.created", "exact"), said("approval.claimed", "exact"));
}
