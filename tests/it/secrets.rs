//! Keys are accepted where SDKs put them, and secrets end where they are used.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::Method;

use crate::support::CREDENTIAL;
use crate::support::Call;
use crate::support::World;

#[tokio::test]
async fn a_key_may_stand_where_sdks_put_keys() {
    let world = World::start();
    let key = world.keys["deploy-bot"].clone();
    let basic = format!("Basic {}", STANDARD.encode(format!("anyone:{key}")));
    for (name, value) in [
        ("authorization", format!("Bearer {key}")),
        ("authorization", format!("bearer {key}")),
        ("authorization", format!("token {key}")),
        ("authorization", basic),
        ("x-api-key", key.clone()),
        ("api-key", key.clone()),
    ] {
        let answer = world.get("/open/echo").without("authorization").with(name, &value).send().await;
        assert_eq!(answer.status, 200, "{name}: {value}");
        assert!(!answer.text().contains(&key), "the key reached the upstream: {}", answer.text());
    }
    for request in world.upstream.received() {
        assert_eq!(request.values("authorization"), [format!("Bearer {CREDENTIAL}")]);
        assert!(request.values("x-api-key").is_empty() && request.values("api-key").is_empty());
    }
}

#[tokio::test]
async fn who_is_not_known_gets_nowhere_and_learns_nothing() {
    let world = World::start();
    let key = world.keys["deploy-bot"].clone();
    let token = world.tokens["ana"].clone();
    // The last characters are a checksum, those before them the secret.
    let mistyped = format!("{}{}", &key[..key.len() - 1], if key.ends_with('a') { 'b' } else { 'a' });
    let calls: Vec<Call> = vec![
        world.get("/open").without("authorization"),
        world.get("/open").with("authorization", &format!("Bearer {mistyped}")),
        world.get("/open").with("authorization", "Bearer hp_nothing"),
        world.get("/open").with("authorization", "Bearer "),
        world.get("/open").with("authorization", &key),
        world.get("/open").with("authorization", "Basic %%%"),
        world.get("/open").with("authorization", &format!("Bearer {token}")),
        world.get("/open").without("authorization").with("cookie", &format!("key={key}")),
        world.get(&format!("/open?key={key}")).without("authorization"),
        world.get("/not/routed").without("authorization"),
    ];
    for call in calls {
        for call in [call.clone(), call.http2()] {
            let answer = call.send().await;
            assert_eq!((answer.status, answer.code().as_str()), (401, "unauthenticated"), "{}", answer.text());
            assert!(answer.field("www-authenticate").starts_with("Bearer"), "{:?}", answer.headers);
            for secret in [&key, &token, &mistyped] {
                assert!(!answer.text().contains(secret.as_str()), "{}", answer.text());
            }
        }
    }
    assert!(world.upstream.received().is_empty());
}

#[tokio::test]
async fn an_agents_key_opens_nothing_for_reviewers() {
    let world = World::start();
    for (method, path) in [
        (Method::GET, "/v1/approvals"),
        (Method::GET, "/v1/events"),
        (Method::GET, "/v1/me"),
        (Method::POST, "/v1/approvals/apr_00000000000000000000000000000000/decisions"),
    ] {
        for authorization in [format!("Bearer {}", world.keys["deploy-bot"]), "Bearer no".to_owned(), String::new()] {
            let call = Call::new(world.admin, &world.tls, method.clone(), path).with("host", "admin.test");
            let answer = call.with("authorization", &authorization).send().await;
            assert_eq!((answer.status, answer.code().as_str()), (401, "unauthenticated"), "{path}: {}", answer.text());
        }
    }
}

#[tokio::test]
async fn secrets_are_nowhere_to_be_seen() {
    let mut world = World::start();
    let mut shown = String::new();
    for path in ["/open/echoes-fields", "/closed/a", "/nobody/a", "/brief/a", "/open/dies", "/open/missing"] {
        let answer = world.get(path).send().await;
        shown.push_str(&format!("{:?} {}", answer.headers, answer.text()));
    }
    let echoed = world.get("/open/echoes-fields").send().await;
    assert_eq!((echoed.status, echoed.field("x-echo"), echoed.field("authorization")), (200, "", ""));

    // A held call, with everything that reviewers see of it.
    let secret_body = "body-of-the-call-0f1e2d";
    let caller =
        world.call(Method::POST, "/held/echoes-fields").with("x-token", "field-3c4b5a").body(secret_body).spawn();
    let item = world.held("/held/echoes-fields").await;
    let whole = world.approval(item["id"].as_str().unwrap()).await;
    assert!(whole.to_string().contains(secret_body), "reviewers see the whole call: {whole}");
    shown.push_str(&whole.to_string());
    let events = world.ask("ana", Method::GET, &format!("/v1/approvals/{}", item["id"].as_str().unwrap()), None).await;
    shown.push_str(&events.text());
    world.approve("ana", &item).await;
    let answer = caller.await.unwrap();
    shown.push_str(&format!("{:?} {}", answer.headers, answer.text()));
    let wrong = world.get("/open").with("authorization", &format!("Basic {}", world.keys["deploy-bot"])).send().await;
    shown.push_str(&wrong.text());

    let metrics = world.ask("ana", Method::GET, "/metrics", None).await.text();
    world.program.signal("TERM");
    assert_eq!(world.program.ended().code(), Some(0));
    let log = world.program.log();
    let audit = contents(&world.path("audit"));
    assert!(audit.len() > 1_000 && log.lines().count() > 5 && metrics.len() > 1_000);
    let store = contents(&world.path("approvals"));
    let secrets = [world.keys["deploy-bot"].as_str(), world.tokens["ana"].as_str(), CREDENTIAL];
    for (place, text) in [
        ("answers", &shown),
        ("the log", &log),
        ("metrics", &metrics),
        ("the audit log", &audit),
        ("the store", &store),
    ] {
        for secret in secrets {
            assert!(!text.contains(secret), "{secret} is in {place}");
            assert!(!text.contains(&STANDARD.encode(secret)), "{secret} is in {place}, in Base64");
        }
    }
    // The call itself is for reviewers, not for operators' logs.
    for (place, text) in [("the log", &log), ("metrics", &metrics), ("the audit log", &audit)] {
        for private in [secret_body, "field-3c4b5a"] {
            assert!(!text.contains(private), "{private} is in {place}");
        }
    }
}

/// All files under `folder`, as far as they are text.
fn contents(folder: &std::path::Path) -> String {
    let mut all = String::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all.push_str(&contents(&path));
        } else {
            all.push_str(&String::from_utf8_lossy(&std::fs::read(path).unwrap()));
        }
    }
    all
}
