//! What rules ask for beside their verdict, from outside.

use std::io::Write;

use http::Method;
use serde_json::Value;
use serde_json::json;

use crate::support::POLICY;
use crate::support::World;
use crate::support::eventually;
use crate::support::holdpoint;

const MORE: &str = r#"
hold contains {
	"rule": "secretive",
	"reviewers": [{"group": "owners", "count": 1}],
	"redact": ["/body/card/number", "/query/token", "/headers/x-pin"],
	"channels": ["slack"],
	"grant": {"max_uses": 3, "max_duration": "1h"},
} if under("/secretive")

hold contains {
	"rule": "escalating",
	"reviewers": [{"group": "olga-alone", "count": 1}],
	"escalate": [{"after": "1s", "reviewers": [{"group": "security"}]}],
} if under("/escalating")

allow contains {"rule": "logged", "log": ["request.headers.x-team", "request.query", "principal.owners"]} if under("/logged")
"#;

#[tokio::test]
async fn reviewers_do_not_see_what_the_policy_hides_and_the_true_call_runs() {
    let mut world = World::start_with(&format!("{POLICY}{MORE}"), "");
    let body = r#"{ "card": {"number": "4242-hush"}, "amount": 12.50 }"#;
    let call = world.call(Method::POST, "/secretive/a?token=hush&b=1").with("x-pin", "hush");
    let caller = call.with("content-type", "application/json").body(body).spawn();
    let item = eventually("the call to be held", || async { world.approvals("state=pending").await.pop() }).await;
    let detail = world.approval(item["id"].as_str().unwrap()).await;
    assert!(!detail.to_string().contains("hush"), "{detail}");
    let request = &detail["request"];
    assert_eq!(request["redacted"], json!(["/body/card/number", "/query/token", "/headers/x-pin"]));
    let text = request["body_text"].as_str().unwrap();
    assert!(
        text.starts_with(r#"{ "card": {"number": "[redacted:"#) && text.ends_with(r#"]"}, "amount": 12.50 }"#),
        "{text}"
    );
    assert!(request["target"].as_str().unwrap().ends_with("]&b=1"), "{request}");
    assert_eq!(detail["channels"], json!(["slack"]));
    assert_eq!(detail["grant"], json!({ "max_uses": 3, "max_duration_seconds": 3600 }));
    world.approve("ana", &item).await;
    assert_eq!(caller.await.unwrap().status, 200);
    let sent = world.upstream.received().remove(0);
    assert!(String::from_utf8_lossy(&sent.body).contains("4242-hush") && sent.target().contains("token=hush"));
    world.program.signal("TERM");
    assert_eq!(world.program.ended().code(), Some(0));
    world.verify();
    for folder in ["approvals", "audit"] {
        for file in files(&world.path(folder)) {
            let bytes = std::fs::read(&file).unwrap();
            assert!(!String::from_utf8_lossy(&bytes).contains("hush"), "{}", file.display());
        }
    }
}

/// Plain, in a coding, too long for a page, too long for memory: reviewers get none of it, by
/// whatever way, and the upstream all of it.
#[tokio::test]
async fn nobody_gets_what_is_hidden_in_a_body_however_it_comes() {
    let limits = "limits: { inspect_bytes_max: 256KiB }\n";
    let mut world = World::start_with(&format!("{POLICY}{MORE}"), limits);
    let json = |filling: usize| {
        // Nothing that a coding could make very short.
        let mut state = 0x9e37_79b9_u32;
        let next = |_| {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            char::from(b'a' + (state % 16) as u8)
        };
        let filling: String = (0..filling).map(next).collect();
        format!(r#"{{"card": {{"number": "4242-hush"}}, "filling": "{filling}"}}"#).into_bytes()
    };
    let cases = [
        ("plain", json(10), false),
        ("gzip", json(10), true),
        ("long", json(100 << 10), false),
        ("long-gzip", json(100 << 10), true),
    ];
    for (name, body, is_gzip) in cases {
        let target = format!("/secretive/{name}");
        let sent = if is_gzip { gzip(&body) } else { body.clone() };
        let mut call = world.call(Method::POST, &target).with("content-type", "application/json");
        if is_gzip {
            call = call.with("content-encoding", "gzip");
        }
        let caller = call.body(sent.clone()).spawn();
        let item = world.held(&target).await;
        let id = item["id"].as_str().unwrap().to_owned();
        let detail = world.approval(&id).await;
        assert!(!detail.to_string().contains("hush"), "{name}: {detail}");
        assert_eq!(detail["request"]["redacted"], json!(["/body/card/number"]), "{name}");
        let answer = world.ask("ana", Method::GET, &format!("/v1/approvals/{id}/body"), None).await;
        let text = answer.text();
        assert!(answer.status == 200 && !text.contains("hush") && text.contains("[redacted:"), "{name}: {text}");
        assert_eq!(detail["body"]["readable_bytes"], text.len(), "{name}");
        assert!(text.len() > body.len(), "{name}: all else is there, and not only {} bytes", text.len());
        for hash in [sha256(&body), sha256(&sent)] {
            assert!(!detail.to_string().contains(&hash), "{name}: anybody could try values out");
        }
        world.approve("ana", &item).await;
        assert_eq!(caller.await.unwrap().status, 200, "{name}");
        assert!(world.upstream.received().pop().unwrap().body == sent, "{name}");
    }
    // What cannot be searched is refused, and nobody is asked about what they could not see.
    for (name, body) in [("spooled", json(400 << 10)), ("marked", [b"\xef\xbb\xbf", &json(10)[..]].concat())] {
        let target = format!("/secretive/{name}");
        let call = world.call(Method::POST, &target).with("content-type", "application/json");
        let refused = call.body(body).send().await;
        assert_eq!((refused.status, refused.code().as_str()), (400, "body-undecodable"), "{name}");
        assert!(refused.text().contains("cannot be searched"), "{name}: {}", refused.text());
        assert_eq!(world.upstream.count(&target), 0, "{name}");
    }
    world.program.signal("TERM");
    assert_eq!(world.program.ended().code(), Some(0));
    for folder in ["approvals", "audit"] {
        for file in files(&world.path(folder)) {
            let bytes = std::fs::read(&file).unwrap();
            assert!(!bytes.windows(9).any(|bytes| bytes == b"4242-hush"), "{}", file.display());
        }
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn sha256(bytes: &[u8]) -> String {
    let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes);
    hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn files(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

/// What people have approved once may pass the next time, if the policy says so: that very call, of
/// that caller, and nothing else.
#[tokio::test]
async fn a_policy_can_ask_what_was_approved_before() {
    let rules = r#"
known if input.context.approved_before.same_fingerprint_30d >= 1

hold contains {"rule": "new", "reviewers": [{"group": "owners", "count": 1}]} if { under("/again"); not known }

allow contains {"rule": "known"} if { under("/again"); known }
"#;
    let mut world = World::start_with(&format!("{POLICY}{rules}"), "");
    let call = |body: &'static str| world.call(Method::POST, "/again/a").body(body);
    let caller = call("one").spawn();
    let item = world.held("/again/a").await;
    world.approve("ana", &item).await;
    assert_eq!(caller.await.unwrap().status, 200);
    world.waits_for("/again/a", "completed", false).await;
    assert_eq!(call("one").send().await.status, 200, "nobody is asked again");
    // Another body, and another caller.
    let other = world.call_of("other-bot", Method::POST, "/again/a").body("one");
    for call in [call("two"), other] {
        let caller = call.spawn();
        let item = world.held("/again/a").await;
        world.decide("ana", &item, "deny", Some("no")).await;
        assert_eq!(caller.await.unwrap().code(), "approval-denied");
    }
    // What was denied counts for nothing.
    assert_eq!(call("two").send().await.code(), "approval-denied");
    world.program.signal("TERM");
    assert_eq!(world.program.ended().code(), Some(0));
    world.verify();
}

#[tokio::test]
async fn others_may_approve_once_it_has_escalated() {
    let mut world = World::start_with(&format!("{POLICY}{MORE}"), "");
    // Nobody else could ever approve it: its one reviewer owns the agent.
    let caller = world.get("/escalating/a").spawn();
    let item = world.held("/escalating/a").await;
    eventually("the escalation", || async {
        let detail = world.approval(item["id"].as_str().unwrap()).await;
        (detail["quorum"]["escalation"][0]["begun"] == true).then_some(())
    })
    .await;
    world.approve("cy", &item).await;
    assert_eq!(caller.await.unwrap().status, 200);
    let done = world.waits_for("/escalating/a", "completed", false).await;
    assert_eq!(
        done["quorum"]["slots"],
        json!([{ "group": "olga-alone", "person": "cy@example.com", "stands_in": "security" }])
    );
    world.program.signal("TERM");
    assert_eq!(world.program.ended().code(), Some(0));
    world.verify();
}

#[tokio::test]
async fn an_allowed_call_is_logged_with_what_its_rule_names() {
    let mut world = World::start_with(&format!("{POLICY}{MORE}"), "");
    for team in ["core", "billing"] {
        let call = world.get("/logged/a?x=1").with("x-team", team);
        assert_eq!(call.send().await.status, 200);
    }
    assert_eq!(world.get("/logged/a").send().await.status, 200);
    world.program.signal("TERM");
    assert_eq!(world.program.ended().code(), Some(0));
    world.verify();
    let folder = world.path("audit");
    let output = holdpoint(&["audit", "tail", "--path", folder.to_str().unwrap(), "--from", "0"], &[]);
    let text = String::from_utf8(output.stdout).unwrap();
    let events = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let logged: Vec<String> = events
        .map(|event| event["data"]["log"].clone())
        .filter(|log| !log.is_null())
        .map(|log| log.to_string())
        .collect();
    insta::assert_snapshot!(logged.join("\n"), @r#"
    [{"name":"principal.owners","value":"[\"olga@example.com\"]"},{"name":"request.headers.x-team","value":"[\"core\"]"},{"name":"request.query","value":"{\"x\":[\"1\"]}"}]
    [{"name":"principal.owners","value":"[\"olga@example.com\"]"},{"name":"request.headers.x-team","value":"[\"billing\"]"},{"name":"request.query","value":"{\"x\":[\"1\"]}"}]
    [{"name":"principal.owners","value":"[\"olga@example.com\"]"},{"name":"request.headers.x-team","value":null},{"name":"request.query","value":null}]
    "#);
}
