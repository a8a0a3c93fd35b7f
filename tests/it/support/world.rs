//! A whole deployment in a folder of its own: configuration, policy, keys, upstream, program.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use http::Method;
use rustls::ClientConfig;
use serde_json::Value;
use serde_json::json;
use tempfile::TempDir;

use super::client::Answer;
use super::client::Call;
use super::client::Wire;
use super::client::trusting;
use super::files;
use super::program::Program;
use super::program::holdpoint;
use super::upstream::Upstream;
use super::wait::eventually;

/// What the upstream asks for, and no agent may ever see.
pub(crate) const CREDENTIAL: &str = "upstream-credential-5dd0c6f1b7";

/// The paths say what becomes of a call.
pub(crate) const POLICY: &str = r#"package holdpoint

under(prefix) if startswith(input.request.path, prefix)

allow contains {"rule": "open"} if under("/open")

deny contains {"rule": "closed", "reason": "closed for good"} if under("/closed")

hold contains {"rule": "held", "reason": "needs a look", "reviewers": [{"group": "owners", "count": 1}]} if under("/held")

hold contains {"rule": "owners", "reason": "needs an owner", "reviewers": [{"group": "owners", "count": 1}]} if under("/both")

hold contains {"rule": "security", "reason": "needs security", "reviewers": [{"group": "security", "count": 1}]} if under("/both")

hold contains {"rule": "brief", "reviewers": [{"group": "owners", "count": 1}], "expires_in": "1s"} if under("/brief")

hold contains {"rule": "patience", "reviewers": [{"group": "owners", "count": 1}], "hold_for": "1s"} if under("/patience")

hold contains {"rule": "nobody", "reviewers": [{"group": "olga-alone", "count": 1}]} if under("/nobody")
"#;

/// A running deployment.
pub(crate) struct World {
    pub(crate) folder: TempDir,
    pub(crate) upstream: Upstream,
    pub(crate) program: Program,
    pub(crate) proxy: SocketAddr,
    pub(crate) admin: SocketAddr,
    pub(crate) tls: Arc<ClientConfig>,
    pub(crate) keys: BTreeMap<&'static str, String>,
    pub(crate) tokens: BTreeMap<&'static str, String>,
}

impl World {
    /// Starts one with [`POLICY`].
    pub(crate) fn start() -> Self {
        Self::start_with(POLICY, "")
    }

    /// Starts one with `policy`, and with `more` at the end of the configuration.
    pub(crate) fn start_with(policy: &str, more: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path();
        files::write_certificates(at, "holdpoint");
        let keys = ["deploy-bot", "other-bot"].map(|name| (name, files::make_key(at, name)));
        let people =
            ["ana", "bo", "cy", "olga"].map(|name| (name, files::make_token(at, &format!("{name}@example.com"))));
        let upstream = Upstream::start();
        files::replace(&at.join("upstream.token"), CREDENTIAL);
        std::fs::create_dir(at.join("policies")).unwrap();
        files::replace(&at.join("policies/main.rego"), policy);
        files::replace(&at.join("holdpoint.yaml"), &configuration(upstream.address, more));
        let (program, proxy, admin) = serve(&at.join("holdpoint.yaml"));
        let tls = trusting(&at.join("ca.pem"));
        Self { folder, upstream, program, proxy, admin, tls, keys: keys.into(), tokens: people.into() }
    }

    /// Starts it again on what is there; the addresses are new ones.
    pub(crate) fn restart(&mut self) {
        self.program.kill();
        (self.program, self.proxy, self.admin) = serve(&self.path("holdpoint.yaml"));
    }

    /// Waits until `program` serves this deployment, and puts it in the place of the one before.
    pub(crate) fn succeed(&mut self, mut program: Program) -> Program {
        (self.proxy, self.admin) = addresses(&mut program);
        std::mem::replace(&mut self.program, program)
    }

    /// Replaces a piece of the configuration.
    pub(crate) fn configure(&self, from: &str, to: &str) {
        let config = std::fs::read_to_string(self.path("holdpoint.yaml")).unwrap();
        assert!(config.contains(from), "`{from}` is not in {config}");
        self.replace("holdpoint.yaml", &config.replace(from, to));
    }

    /// A file of the deployment.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Puts `text` in the place of a file.
    pub(crate) fn replace(&self, name: &str, text: &str) {
        files::replace(&self.path(name), text);
    }

    /// A call of `deploy-bot`.
    pub(crate) fn call(&self, method: Method, path: &str) -> Call {
        self.call_of("deploy-bot", method, path)
    }

    /// A GET of `deploy-bot`.
    pub(crate) fn get(&self, path: &str) -> Call {
        self.call(Method::GET, path)
    }

    /// A call of an agent.
    pub(crate) fn call_of(&self, agent: &str, method: Method, path: &str) -> Call {
        let call = Call::new(self.proxy, &self.tls, method, path).with("host", "proxy.test");
        call.with("authorization", &format!("Bearer {}", self.keys[agent]))
    }

    /// A connection without a server name, for raw bytes.
    pub(crate) async fn wire(&self) -> Wire {
        Wire::connect(self.proxy, &self.tls, "127.0.0.1").await
    }

    /// A request of a person to the admin API.
    pub(crate) fn admin_call(&self, person: &str, method: Method, path: &str) -> Call {
        let call = Call::new(self.admin, &self.tls, method, path).with("host", "admin.test");
        call.with("authorization", &format!("Bearer {}", self.tokens[person]))
    }

    /// What the admin API answers to a person.
    pub(crate) async fn ask(&self, person: &str, method: Method, path: &str, body: Option<Value>) -> Answer {
        let call = self.admin_call(person, method, path);
        match body {
            Some(body) => call.with("content-type", "application/json").body(body.to_string()).send().await,
            None => call.send().await,
        }
    }

    /// The approvals that match `query`, newest first.
    pub(crate) async fn approvals(&self, query: &str) -> Vec<Value> {
        let answer = self.ask("ana", Method::GET, &format!("/v1/approvals?{query}"), None).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()["items"].as_array().unwrap().clone()
    }

    /// One approval, whole.
    pub(crate) async fn approval(&self, id: &str) -> Value {
        self.ask("ana", Method::GET, &format!("/v1/approvals/{id}"), None).await.json()
    }

    /// Waits until one approval to `target` is in `state`, with its caller there or not.
    pub(crate) async fn waits_for(&self, target: &str, state: &str, connected: bool) -> Value {
        let what = format!("{target} {state}, connected: {connected}");
        eventually(&what, || async {
            let mut all = self.approvals(&format!("state={state}")).await.into_iter();
            all.find(|item| item["call"]["target"] == target && item["caller"]["connected"] == connected)
        })
        .await
    }

    /// Waits until a call to `target` is held and its caller waits.
    pub(crate) async fn held(&self, target: &str) -> Value {
        self.waits_for(target, "pending", true).await
    }

    /// Decides as a person who has looked at the call.
    pub(crate) async fn decide(&self, person: &str, item: &Value, verdict: &str, reason: Option<&str>) -> Answer {
        let path = format!("/v1/approvals/{}/decisions", item["id"].as_str().unwrap());
        let body = json!({ "verdict": verdict, "digest": item["digest"], "reason": reason });
        self.ask(person, Method::POST, &path, Some(body)).await
    }

    /// The same, and it must take effect.
    pub(crate) async fn approve(&self, person: &str, item: &Value) {
        let answer = self.decide(person, item, "approve", None).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
    }

    /// Verifies the audit log; standard output.
    pub(crate) fn verify(&self) -> String {
        let folder = self.path("audit");
        let output = holdpoint(&["audit", "verify", "--path", folder.to_str().unwrap()], &[]);
        let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert_eq!(output.status.code(), Some(0), "{text}");
        text
    }
}

fn serve(config: &Path) -> (Program, SocketAddr, SocketAddr) {
    let mut program = Program::start(&["serve", "--config", config.to_str().unwrap()]);
    let (proxy, admin) = addresses(&mut program);
    (program, proxy, admin)
}

fn addresses(program: &mut Program) -> (SocketAddr, SocketAddr) {
    program.logged(|line| {
        let line: Value = serde_json::from_str(line).ok()?;
        let address = |name: &str| line[name].as_str()?.trim_matches(['[', ']']).parse().ok();
        Some((address("proxy")?, address("admin")?))
    })
}

fn configuration(upstream: SocketAddr, more: &str) -> String {
    let tls = r#"{ certificate: "file:server.pem", key: "file:server.key" }"#;
    format!(
        r#"threads: 2
listen:
  - address: 127.0.0.1:0
    tls: {tls}
admin:
  address: 127.0.0.1:0
  tls: {tls}
upstreams:
  - name: cloud
    match: {{ path_prefix: / }}
    url: http://{upstream}
    environment: production
    credential: cloud
    timeouts: {{ response: 2s }}
credentials:
  cloud: {{ kind: bearer, token: "file:upstream.token" }}
principals:
  - id: deploy-bot
    owners: [olga@example.com]
    api_keys: ["file:keys/deploy-bot"]
  - id: other-bot
    owners: [olga@example.com]
    api_keys: ["file:keys/other-bot"]
reviewers:
  groups:
    owners: [ana@example.com, bo@example.com, olga@example.com]
    security: [bo@example.com, cy@example.com]
    olga-alone: [olga@example.com]
  tokens: ["file:tokens/reviewers"]
policy: {{ path: policies }}
store: {{ embedded: {{ path: approvals }} }}
audit: {{ path: audit, key: "file:audit.key" }}
telemetry: {{ log: {{ format: json, level: info }} }}
{more}"#
    )
}
