//! Shadow mode from outside: what it keeps back is in the log and in the metrics, and nowhere else.

use serde_json::Value;

use crate::support::POLICY;
use crate::support::World;
use crate::support::holdpoint;

/// Every event of the log that has something of shadow mode.
fn kept_back(world: &World) -> Vec<String> {
    let folder = world.path("audit");
    let output = holdpoint(&["audit", "tail", "--path", folder.to_str().unwrap(), "--from", "0"], &[]);
    let text = String::from_utf8(output.stdout).unwrap();
    let events = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    events
        .filter(|event| !event["data"]["shadow"].is_null())
        .map(|event| {
            format!("{} {} {}", event["type"].as_str().unwrap(), event["data"]["path"], event["data"]["shadow"])
        })
        .collect()
}

#[tokio::test]
async fn rules_in_shadow_mode_are_recorded_and_do_nothing() {
    let shadowed = "deny contains {\"rule\": \"trial\", \"enforce\": \"shadow\"} if input.request.path != \"/open/b\"\n\
        allow contains {\"rule\": \"trial-allow\", \"enforce\": \"shadow\"} if under(\"/closed\")\n";
    let mut world = World::start_with(&format!("{POLICY}\n{shadowed}"), "");
    for _ in 0..2 {
        assert_eq!(world.get("/open/a").send().await.status, 200);
        assert_eq!(world.get("/open/b").send().await.status, 200);
    }
    assert_eq!(world.get("/closed/a").send().await.code(), "policy-denied");
    assert_eq!(world.get("/nothing").send().await.code(), "policy-denied");
    let caller = world.get("/held/a").spawn();
    let item = world.held("/held/a").await;
    world.approve("ana", &item).await;
    assert_eq!(caller.await.unwrap().status, 200);
    let metrics = world.ask("ana", http::Method::GET, "/metrics", None).await.text();
    for expected in ["deny\"} 5", "hold\"} 0", "allow\"} 0", "error\"} 0"] {
        assert!(metrics.contains(&format!("holdpoint_policy_shadow_total{{effect=\"{expected}")), "{metrics}");
    }
    world.program.signal("TERM");
    assert_eq!(world.program.ended().code(), Some(0));
    insta::assert_snapshot!(kept_back(&world).join("\n"), @r#"
    request.allowed "/open/a" {"failed":false,"matched":[{"effect":"deny","rules":["trial"]}],"of":"rules"}
    request.allowed "/open/a" {"failed":false,"matched":[{"effect":"deny","rules":["trial"]}],"of":"rules"}
    request.denied "/closed/a" {"failed":false,"matched":[{"effect":"deny","rules":["trial"]},{"effect":"allow","rules":["trial-allow"]}],"of":"rules"}
    request.denied "/nothing" {"failed":false,"matched":[{"effect":"deny","rules":["trial"]}],"of":"rules"}
    request.held "/held/a" {"failed":false,"matched":[{"effect":"deny","rules":["trial"]}],"of":"rules"}
    "#);
    world.verify();
}

#[tokio::test]
async fn an_upstream_in_shadow_mode_is_not_protected_and_says_so() {
    let mut world = World::start();
    let config = std::fs::read_to_string(world.path("holdpoint.yaml")).unwrap();
    let shadowed =
        config.replace("    credential: cloud\n", "    credential: cloud\n    policy: { enforce: shadow }\n");
    assert_ne!(config, shadowed);
    world.replace("holdpoint.yaml", &shadowed);
    world.program.logged_text("\"reloaded", 0);
    world.program.logged_text("it is in shadow mode", 0);
    for path in ["/open/a", "/closed/a", "/both/a", "/nothing"] {
        assert_eq!(world.get(path).send().await.status, 200, "{path}");
    }
    assert!(world.approvals("").await.is_empty());
    let metrics = world.ask("ana", http::Method::GET, "/metrics", None).await.text();
    for expected in ["deny\"} 2", "hold\"} 1", "allow\"} 0"] {
        assert!(metrics.contains(&format!("holdpoint_policy_shadow_total{{effect=\"{expected}")), "{metrics}");
    }
    // A policy that fails refuses all the same.
    let before = world.program.count_logged("\"reloaded");
    world.replace(
        "policies/main.rego",
        &format!("{POLICY}\ndeny contains {{\"rule\": lower(input.actions)}} if true\n"),
    );
    world.program.logged_text("\"reloaded", before);
    assert_eq!(world.get("/open/a").send().await.code(), "policy-error");
    let before = world.program.count_logged("\"reloaded");
    world.replace("policies/main.rego", POLICY);
    world.replace("holdpoint.yaml", &config);
    world.program.logged_text("\"reloaded", before);
    assert_eq!(world.get("/closed/b").send().await.code(), "policy-denied");
    // At a start it is said as well.
    world.replace("holdpoint.yaml", &shadowed);
    world.restart();
    world.program.logged_text("it is in shadow mode", 0);
    world.program.signal("TERM");
    assert_eq!(world.program.ended().code(), Some(0));
    insta::assert_snapshot!(kept_back(&world).join("\n"), @r#"
    request.allowed "/closed/a" {"failed":false,"matched":[{"effect":"deny","rules":["closed"]}],"of":"upstream"}
    request.allowed "/both/a" {"failed":false,"matched":[{"effect":"hold","rules":["owners","security"]}],"of":"upstream"}
    request.allowed "/nothing" {"failed":false,"matched":[{"effect":"deny","rules":[]}],"of":"upstream"}
    "#);
    world.verify();
}
