//! Changes that take effect while calls run, and those that have none.

use std::sync::Arc;

use http::Method;

use crate::support::POLICY;
use crate::support::Wire;
use crate::support::World;
use crate::support::eventually;
use crate::support::trusting;
use crate::support::write_certificates;

#[tokio::test]
async fn another_policy_decides_the_next_call() {
    let world = World::start();
    assert_eq!(world.get("/new").send().await.status, 403);
    let kept = world.get("/held/kept").spawn();
    let revoked = world.get("/held/revoked").spawn();
    let kept_item = world.held("/held/kept").await;
    let revoked_item = world.held("/held/revoked").await;
    let more = "allow contains {\"rule\": \"new\"} if under(\"/new\")\n\
                deny contains {\"rule\": \"no\", \"reason\": \"not any more\"} if under(\"/held/revoked\")\n";
    world.replace("policies/main.rego", &format!("{POLICY}\n{more}"));
    world.program.logged_text("reloaded", 0);
    assert_eq!(world.get("/new").send().await.status, 200);
    // The policy has the last word over calls that were held under the one before.
    world.approve("ana", &kept_item).await;
    assert_eq!(kept.await.unwrap().status, 200);
    world.approve("ana", &revoked_item).await;
    let answer = revoked.await.unwrap();
    assert_eq!((answer.status, answer.code().as_str()), (403, "policy-denied"));
    assert!(answer.text().contains("not any more"), "{}", answer.text());
    world.waits_for("/held/revoked", "revoked", false).await;
    assert_eq!(world.upstream.count("/held/revoked"), 0);
    world.verify();
}

#[tokio::test]
async fn what_cannot_be_used_changes_nothing() {
    let world = World::start();
    let config = std::fs::read_to_string(world.path("holdpoint.yaml")).unwrap();
    let good = [("policies/main.rego", POLICY.to_owned()), ("holdpoint.yaml", config.clone())];
    let certificate = std::fs::read_to_string(world.path("server.pem")).unwrap();
    let broken = [
        ("policies/main.rego", "package holdpoint\n\nallow contains {".to_owned()),
        ("policies/main.rego", format!("{POLICY}\nallow contains {{\"rule\": \"x\"}} if http.send({{}})\n")),
        ("holdpoint.yaml", format!("{config}\nodd: 1\n")),
        ("server.pem", "nothing".to_owned()),
    ];
    for (count, (name, text)) in broken.iter().enumerate() {
        world.replace(name, text);
        world.program.logged_text("the reload has no effect", count);
        assert_eq!(world.get("/open/a").send().await.status, 200, "{name}");
        assert_eq!(world.get("/closed/a").send().await.status, 403, "{name}");
        let before = world.program.count_logged("\"reloaded");
        let (name, text) =
            good.iter().find(|(good, _)| good == name).cloned().unwrap_or(("server.pem", certificate.clone()));
        world.replace(name, &text);
        world.program.logged_text("\"reloaded", before);
    }
    let metrics = world.ask("ana", Method::GET, "/metrics", None).await.text();
    assert!(metrics.contains("holdpoint_config_reloads_total{result=\"failure\"} 4"), "{metrics}");
    assert!(metrics.contains("holdpoint_config_reloads_total{result=\"success\"} 4"), "{metrics}");
    world.verify();
}

#[tokio::test]
async fn a_certificate_is_replaced_without_a_restart() {
    let world = World::start();
    let before = world.wire().await.certificate();
    let mut kept = world.wire().await;
    write_certificates(world.folder.path(), "renewed");
    world.program.logged_text("\"reloaded", 0);
    let tls = trusting(&world.path("ca.pem"));
    let after = Wire::connect(world.proxy, &tls, "127.0.0.1").await.certificate();
    assert_ne!(before, after);
    // A connection that is there goes on.
    let key = &world.keys["deploy-bot"];
    kept.write(format!("GET /open HTTP/1.1\r\nHost: proxy.test\r\nAuthorization: Bearer {key}\r\n\r\n")).await;
    kept.read_until("\"fine\":true").await;
    assert!(!Arc::ptr_eq(&tls, &world.tls));
}

#[tokio::test]
async fn sighup_reads_everything_again() {
    let world = World::start();
    world.program.signal("HUP");
    world.program.logged_text("SIGHUP", 0);
    world.program.logged_text("\"reloaded", 0);
    assert_eq!(world.get("/open/a").send().await.status, 200);
}

#[tokio::test]
async fn a_key_that_is_taken_away_opens_nothing_any_more() {
    let world = World::start();
    assert_eq!(world.get("/open/a").send().await.status, 200);
    world.replace("keys/deploy-bot", "");
    world.replace("tokens/reviewers", "");
    eventually("the key to be refused", || async { (world.get("/open/a").send().await.status == 401).then_some(()) })
        .await;
    eventually("the token to be refused", || async {
        (world.ask("ana", Method::GET, "/v1/me", None).await.status == 401).then_some(())
    })
    .await;
    assert_eq!(world.call_of("other-bot", Method::GET, "/open/a").send().await.status, 200);
}

/// Also not what was held before it was taken away.
#[tokio::test]
async fn a_call_whose_key_is_taken_away_while_it_is_held_does_not_run() {
    let world = World::start();
    let held = world.get("/held/a").spawn();
    let item = world.held("/held/a").await;
    world.replace("keys/deploy-bot", "");
    eventually("the key to be refused", || async { (world.get("/open/a").send().await.status == 401).then_some(()) })
        .await;
    world.approve("ana", &item).await;
    let refused = held.await.unwrap();
    assert_eq!((refused.status, world.upstream.count("/held/a")), (401, 0), "{}", refused.text());
    world.waits_for("/held/a", "approved", false).await;
    world.verify();
}

/// Nobody who has come to answer for the agent while its call was held lets it run.
#[tokio::test]
async fn whoever_becomes_an_owner_while_a_call_is_held_does_not_approve_it() {
    let world = World::start();
    let held = world.get("/held/a").spawn();
    let item = world.held("/held/a").await;
    let text = std::fs::read_to_string(world.path("holdpoint.yaml")).unwrap();
    let owners = "owners: [olga@example.com]\n    api_keys: [\"file:keys/deploy-bot\"]";
    assert!(text.contains(owners));
    let more = owners.replace("olga@example.com", "olga@example.com, ana@example.com");
    world.replace("holdpoint.yaml", &text.replace(owners, &more));
    world.program.logged_text("reloaded", 0);
    world.decide("ana", &item, "approve", None).await;
    let refused = held.await.unwrap();
    assert_eq!((refused.status, world.upstream.count("/held/a")), (403, 0), "{}", refused.text());
    world.waits_for("/held/a", "revoked", false).await;
    world.verify();
}
