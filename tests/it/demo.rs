//! A newcomer's first five minutes.

use std::path::PathBuf;
use std::sync::Arc;

use http::Method;
use rustls::ClientConfig;
use serde_json::Value;
use serde_json::json;

use crate::support::Call;
use crate::support::Program;
use crate::support::eventually;
use crate::support::trusting;

/// A running demo.
struct Demo {
    program: Program,
    told: Value,
    tls: Arc<ClientConfig>,
}

impl Demo {
    fn start(arguments: &[&str]) -> Self {
        let start = ["demo", "--proxy-port", "0", "--admin-port", "0", "--output", "json"];
        let program = Program::start(&[&start, arguments].concat());
        let told: Value = program.said(|line| serde_json::from_str(line).ok());
        let tls = trusting(&PathBuf::from(told["ca"].as_str().unwrap()));
        Self { program, told, tls }
    }

    fn call(&self, listener: &str, method: Method, path: &str, key: &Value) -> Call {
        let address = self.told[listener].as_str().unwrap().strip_prefix("https://").unwrap();
        let call = Call::new(address.parse().unwrap(), &self.tls, method, path).with("host", "demo.test");
        call.with("authorization", &format!("Bearer {}", key.as_str().unwrap()))
    }

    fn agent(&self, method: Method, path: &str) -> Call {
        self.call("proxy", method, path, &self.told["agent_key"])
    }

    async fn pending(&self) -> Value {
        eventually("a held call", || async {
            let list = self.call("admin", Method::GET, "/v1/approvals?state=pending", &self.told["reviewers"]["bo"]);
            list.send().await.json()["items"].as_array()?.first().cloned()
        })
        .await
    }

    async fn approve(&self, item: &Value) {
        let path = format!("/v1/approvals/{}/decisions", item["id"].as_str().unwrap());
        let body = json!({ "verdict": "approve", "digest": item["digest"] }).to_string();
        let call = self.call("admin", Method::POST, &path, &self.told["reviewers"]["bo"]);
        assert_eq!(call.with("content-type", "application/json").body(body).send().await.status, 200);
    }
}

#[tokio::test]
async fn the_demo_shows_a_call_that_passes_one_that_is_denied_and_one_that_is_held() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path().join("demo");
    let arguments = ["--data-dir", at.to_str().unwrap()];
    let mut demo = Demo::start(&arguments);
    let passed = demo.agent(Method::GET, "/customers").send().await;
    assert_eq!(passed.status, 200);
    assert!(passed.text().contains("Ada Park"), "{}", passed.text());
    let denied = demo.agent(Method::DELETE, "/clusters/prod-1").http2().send().await;
    assert_eq!((denied.status, denied.code().as_str()), (403, "policy-denied"));
    assert!(denied.text().contains("platform team"), "{}", denied.text());
    let held = demo.agent(Method::GET, "/customers/export").http2().spawn();
    let item = demo.pending().await;
    assert_eq!(item["actions"][0]["kind"], "data-export");
    demo.approve(&item).await;
    let answer = held.await.unwrap();
    assert_eq!((answer.status, answer.json()["exported"].as_u64()), (200, Some(3)));

    // Stopped and started again on the same folder, it goes on where it was.
    let held = demo.agent(Method::GET, "/customers/export").spawn();
    let item = demo.pending().await;
    demo.program.signal("INT");
    assert_eq!(held.await.unwrap().status, 503);
    assert_eq!(demo.program.ended().code(), Some(0));
    let again = Demo::start(&arguments);
    for name in ["agent_key", "reviewers", "ca", "data_dir"] {
        assert_eq!(again.told[name], demo.told[name], "{name}");
    }
    assert_eq!(again.pending().await["id"], item["id"]);
    again.approve(&item).await;
    assert_eq!(again.agent(Method::GET, "/customers/export").send().await.status, 200);
}

#[tokio::test]
async fn without_a_folder_nothing_is_left_behind() {
    let mut demo = Demo::start(&[]);
    let folder = PathBuf::from(demo.told["data_dir"].as_str().unwrap());
    assert!(folder.join("holdpoint.yaml").exists());
    demo.program.signal("TERM");
    assert_eq!(demo.program.ended().code(), Some(0));
    assert!(!folder.exists());
}
