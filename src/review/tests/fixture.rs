//! A deployment of one process: store, log, people, tokens and the router over them.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicI64;
use std::sync::atomic::Ordering;
use std::time::Duration;

use arc_swap::ArcSwap;
use axum::Router;
use axum::body::Body;
use axum::http::HeaderMap;
use axum::http::Request;
use axum::http::Response;
use bytes::Bytes;
use http_body_util::BodyExt;
use parking_lot::Mutex;
use percent_encoding::NON_ALPHANUMERIC;
use percent_encoding::utf8_percent_encode;
use prometheus::Registry;
use secrecy::ExposeSecret;
use serde_json::Value;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use crate::approval;
use crate::approval::ApprovalError;
use crate::approval::Approvals;
use crate::approval::Hold;
use crate::approval::NewApproval;
use crate::approval::Parts;
use crate::approval::ShownRequest;
use crate::approval::store::Answer;
use crate::approval::store::BodyPiece;
use crate::approval::store::Change;
use crate::approval::store::Changed;
use crate::approval::store::Embedded;
use crate::approval::store::Entry;
use crate::approval::store::Kept;
use crate::approval::store::Notice;
use crate::approval::store::Opened;
use crate::approval::store::Opening;
use crate::approval::store::Query;
use crate::approval::store::Shelf;
use crate::approval::store::Store;
use crate::audit;
use crate::audit::SigningKey;
use crate::identity::AuthMetrics;
use crate::identity::Directory;
use crate::identity::KeyHolder;
use crate::identity::People;
use crate::identity::ReviewerTokens;
use crate::identity::key;
use crate::model::Access;
use crate::model::Action;
use crate::model::ActionKind;
use crate::model::Actions;
use crate::model::ApprovalId;
use crate::model::Assurance;
use crate::model::Authn;
use crate::model::Call;
use crate::model::CallId;
use crate::model::Clock;
use crate::model::DecisionId;
use crate::model::HoldObligations;
use crate::model::HttpRequest;
use crate::model::IdSource;
use crate::model::Message;
use crate::model::OnDisconnect;
use crate::model::PersonId;
use crate::model::Principal;
use crate::model::PrincipalKind;
use crate::model::Requirement;
use crate::model::Risk;
use crate::model::Sha256;
use crate::model::Timestamp;
use crate::model::Upstream;

use super::super::AdminState;
use super::super::Metrics;
use super::super::Settings;
use super::super::SignIn;

/// Ana owns the agent. Bo and Cy review data, as Ana would if it were not her own agent. Dee
/// reviews for security. Eve has a token and is in no group.
pub(crate) struct Fixture {
    pub(crate) state: AdminState,
    pub(crate) approvals: Approvals,
    pub(crate) agent_key: String,
    tokens: BTreeMap<String, String>,
    now: Arc<AtomicI64>,
    ids: Arc<IdSource>,
    store: Arc<Breakable>,
    log: Mutex<Option<audit::Writer>>,
    not_ready: Arc<Mutex<Option<String>>>,
    _folder: tempfile::TempDir,
}

/// What an answer was.
pub(crate) struct Answered {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Answered {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error} in {}", self.text))
    }

    /// Status and, where it is a problem, its code: `403 own-request`.
    pub(crate) fn said(&self) -> String {
        if self.headers["content-type"] != "application/problem+json" {
            return self.status.to_string();
        }
        let problem = self.json();
        assert_eq!(problem["status"], self.status);
        assert_eq!(problem["type"], format!("https://holdpoint.dev/problems/{}", problem["code"].as_str().unwrap()));
        assert!(problem["title"].as_str().is_some_and(|title| !title.is_empty()), "{problem}");
        format!("{} {}", self.status, problem["code"].as_str().unwrap())
    }

    pub(crate) fn detail(&self) -> String {
        self.json()["detail"].as_str().unwrap().to_owned()
    }
}

impl Fixture {
    pub(crate) async fn new() -> Self {
        Self::with(|_| {}).await
    }

    pub(crate) async fn with(change: impl FnOnce(&mut Settings)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let now = Arc::new(AtomicI64::new(1_795_238_219_000_000));
        let clock = {
            let now = Arc::clone(&now);
            Clock::new(move || Timestamp::from_unix_micros(now.load(Ordering::Relaxed)))
        };
        let registry = Registry::new();
        let key = SigningKey::generate_file(&folder.path().join("key")).unwrap();
        let log_settings = audit::Settings::new(folder.path().join("audit"), "holdpoint.test/log", "node-1");
        let metrics = audit::Metrics::new(&registry).unwrap();
        let (log, writer) = audit::Log::open(log_settings, key.clone(), clock.clone(), metrics).unwrap();
        let (sender, stored) = mpsc::unbounded_channel();
        let on_stored = Box::new(move |entries| drop(sender.send(entries)));
        let store = Embedded::open(&folder.path().join("store"), on_stored).unwrap();
        let store = Arc::new(Breakable { store, broken: AtomicBool::new(false) });
        let ids = Arc::new(IdSource::new([7; 10]));
        let approvals = Approvals::start(Parts {
            store: store.clone(),
            stored,
            log: log.clone(),
            key: Arc::new(key),
            people: Arc::new(people()),
            clock: clock.clone(),
            ids: Arc::clone(&ids),
            instance: "node-1".to_owned(),
            metrics: approval::Metrics::new(&registry).unwrap(),
            settings: approval::Settings {
                expires_in: Duration::from_secs(900),
                expires_in_max: Duration::from_secs(86_400),
                claim_within: Duration::from_secs(600),
                pending_per_principal_max: 1_000,
                pending_per_rule_max: 1_000,
                denied_for: Duration::ZERO,
                replay_for: Duration::from_secs(60),
                stored_bytes_total_max: 1 << 20,
            },
            runtime: Handle::current(),
        });
        let approvals = approvals.await.unwrap();
        let made = key::generate(KeyHolder::Principal("deploy-bot".to_owned()), None, clock.now(), None).unwrap();
        let agent_key = made.secret.expose_secret().to_owned();
        let mut tokens = BTreeMap::new();
        let mut records = Vec::new();
        for name in ["ana", "bo", "cy", "dee", "eve"] {
            let made = key::generate(KeyHolder::Reviewer(person(name)), None, clock.now(), None).unwrap();
            tokens.insert(name.to_owned(), made.secret.expose_secret().to_owned());
            records.push(made.record);
        }
        let not_ready = Arc::new(Mutex::new(None::<String>));
        let reasons = Arc::clone(&not_ready);
        let mut settings = Settings::default();
        change(&mut settings);
        let state = AdminState {
            approvals: approvals.clone(),
            tokens: Arc::new(ArcSwap::from_pointee(ReviewerTokens::new(records).unwrap())),
            sign_in: SignIn { provider: Arc::default(), directory: Arc::new(directory(&approvals)), kept: Vec::new() },
            auth_metrics: AuthMetrics::new(&registry).unwrap(),
            metrics: Metrics::new(&registry).unwrap(),
            registry,
            clock,
            log,
            ready: Arc::new(move || reasons.lock().clone().map_or(Ok(()), Err)),
            facts: Arc::new(super::super::Facts::default),
            drain: CancellationToken::new(),
            settings,
        };
        let log = Mutex::new(Some(writer));
        Self { state, approvals, agent_key, tokens, now, ids, store, log, not_ready, _folder: folder }
    }

    pub(crate) fn router(&self) -> Router {
        super::super::router(self.state.clone())
    }

    pub(crate) fn token(&self, name: &str) -> &str {
        &self.tokens[name]
    }

    pub(crate) fn later(&self, seconds: i64) {
        self.now.fetch_add(seconds * 1_000_000, Ordering::Relaxed);
    }

    pub(crate) fn break_store(&self) {
        self.store.broken.store(true, Ordering::Relaxed);
    }

    pub(crate) fn close_log(&self) {
        self.log.lock().take().unwrap().close().unwrap();
    }

    pub(crate) fn not_ready(&self, why: &str) {
        *self.not_ready.lock() = Some(why.to_owned());
    }

    /// A held call, whose caller waits for as long as the answer lives.
    pub(crate) async fn hold(&self, target: &str) -> Hold {
        self.hold_with(target, |_, _| {}).await
    }

    pub(crate) async fn hold_with(&self, target: &str, change: impl FnOnce(&mut Call, &mut HoldObligations)) -> Hold {
        let now = self.state.clock.now();
        let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
        let mut call = call(CallId::new(&self.ids, now), now, path, query);
        let mut obligations = obligations();
        change(&mut call, &mut obligations);
        let policy = Sha256::of(b"policy");
        let digest = call.digest(&policy);
        let decision = DecisionId::new(&self.ids, now);
        self.approvals.open(NewApproval { call: &call, digest, policy, decision, obligations }).await.unwrap().held()
    }

    /// A held call whose agent says `text` wherever an agent can say something.
    pub(crate) async fn hold_saying(&self, number: usize, text: &str) -> Hold {
        let encoded = utf8_percent_encode(text, NON_ALPHANUMERIC);
        let target = format!("/{number}/{encoded}?{encoded}={encoded}");
        let hold = self.hold_with(&target, |call, _| {
            call.reason = Some(text.to_owned());
            call.context = Some(text.to_owned());
            let Message::Http(request) = &mut call.message;
            request.authority = text.to_owned();
            request.body = crate::model::Body::Read { bytes: text.to_owned().into(), trailers: HeaderMap::new() };
            // What a field cannot hold never arrives.
            let value: Vec<u8> = text.bytes().filter(|byte| (0x20..0x7f).contains(byte)).collect();
            request.headers.insert("x-said", axum::http::HeaderValue::from_bytes(&value).unwrap());
            let actions = call.actions.iter().cloned().map(|mut action| {
                action.resource = Some(text.to_owned());
                action
            });
            call.actions = Actions::new(actions.collect()).unwrap();
        });
        hold.await
    }

    /// Sends a request as `who` (`-` is nobody, `agent` the agent's key) and reads the answer.
    pub(crate) async fn send(&self, who: &str, method: &str, target: &str, body: Option<Value>) -> Answered {
        let mut request = Request::builder().method(method).uri(target);
        match who {
            "-" => {}
            "agent" => request = request.header("authorization", format!("Bearer {}", self.agent_key)),
            name => request = request.header("authorization", format!("Bearer {}", self.token(name))),
        }
        let body = match body {
            Some(json) => {
                request = request.header("content-type", "application/json");
                Body::from(json.to_string())
            }
            None => Body::empty(),
        };
        self.raw(request.body(body).unwrap()).await
    }

    pub(crate) async fn raw(&self, request: Request<Body>) -> Answered {
        answered(self.router().oneshot(request).await.unwrap()).await
    }

    pub(crate) async fn get(&self, who: &str, target: &str) -> Answered {
        self.send(who, "GET", target, None).await
    }

    pub(crate) async fn digest(&self, id: ApprovalId) -> String {
        self.approvals.get(id).await.unwrap().unwrap().digest.to_string()
    }

    /// Decides with the right digest.
    pub(crate) async fn decide(&self, who: &str, id: ApprovalId, verdict: &str, reason: Option<&str>) -> Answered {
        let body = serde_json::json!({ "verdict": verdict, "digest": self.digest(id).await, "reason": reason });
        self.send(who, "POST", &format!("/v1/approvals/{id}/decisions"), Some(body)).await
    }
}

pub(crate) async fn answered(response: Response<Body>) -> Answered {
    let (parts, body) = response.into_parts();
    let bytes = body.collect().await.unwrap().to_bytes();
    Answered { status: parts.status.as_u16(), headers: parts.headers, text: String::from_utf8(bytes.to_vec()).unwrap() }
}

/// What agents might write to be more than text.
pub(crate) fn hostile_texts() -> Vec<String> {
    let texts: Vec<String> = serde_json::from_str(include_str!("../../../tests/browser/hostile.json")).unwrap();
    assert!(texts.len() > 40, "{}", texts.len());
    texts
}

pub(crate) fn person(name: &str) -> PersonId {
    format!("{name}@example.com").parse().unwrap()
}

fn directory(approvals: &Approvals) -> Directory {
    let told = approvals.clone();
    Directory::new(approvals.people(), None, [], Box::new(move |people| told.set_people(people)))
}

fn people() -> People {
    let group = |names: &[&str]| names.iter().map(|name| person(name)).collect::<BTreeSet<_>>();
    let groups = BTreeMap::from([
        ("data-owners".to_owned(), group(&["ana", "bo", "cy"])),
        ("security".to_owned(), group(&["dee"])),
    ]);
    People::new(groups, BTreeMap::new()).unwrap()
}

fn call(id: CallId, received: Timestamp, path: &str, query: Option<&str>) -> Call {
    let mut headers = HeaderMap::new();
    headers.insert("content-type", "application/json".parse().unwrap());
    let principal = Principal {
        id: "deploy-bot".to_owned(),
        kind: PrincipalKind::Agent,
        owners: vec![person("ana")],
        groups: Vec::new(),
        claims: BTreeMap::new(),
        authn: Authn { method: "api-key".to_owned(), key_id: "k1".to_owned(), created_by: None },
        chain: Vec::new(),
    };
    let upstream = Upstream {
        name: "payments".to_owned(),
        environment: "production".to_owned(),
        labels: BTreeMap::from([("data".to_owned(), "customer".to_owned())]),
    };
    Call {
        id,
        received,
        principal: Arc::new(principal),
        upstream: Arc::new(upstream),
        actions: Actions::one(Action {
            name: "openapi:exportCustomers".to_owned(),
            kind: ActionKind::DataExport,
            access: Access::Read,
            resource: Some(path.to_owned()),
            irreversible: false,
            summary: Some("Exports every customer".to_owned()),
        }),
        message: Message::Http(HttpRequest {
            method: axum::http::Method::POST,
            scheme: "https",
            authority: "payments.internal".to_owned(),
            path: path.to_owned(),
            query: query.map(ToOwned::to_owned),
            headers,
            body: crate::model::Body::Read {
                bytes: Bytes::from_static(b"{\"format\":\"csv\"}"),
                trailers: HeaderMap::new(),
            },
            websocket: false,
        }),
        reason: Some("quarterly report".to_owned()),
        context: None,
        resumes: None,
        respond_async: false,
        attempt: crate::model::Attempt::default(),
        patience: None,
        hold_for: None,
        source_ip: IpAddr::V4(Ipv4Addr::LOCALHOST),
    }
}

fn obligations() -> HoldObligations {
    HoldObligations {
        rules: vec!["exports-need-an-owner".to_owned()],
        reasons: vec!["customer data leaves".to_owned()],
        risk: Some(Risk::High),
        reviewers: vec![Requirement { group: "data-owners".to_owned(), count: 1 }],
        expires_in: None,
        hold_for: None,
        assurance: Assurance::Chat,
        require_reason: false,
        irreversible: false,
        credential: None,
        on_disconnect: OnDisconnect::Wait,
        repeatable: false,
        channels: Vec::new(),
        grant: None,
        redact: Vec::new(),
        escalate: Vec::new(),
    }
}

/// A store that can be taken away.
struct Breakable {
    store: Embedded,
    broken: AtomicBool,
}

impl Breakable {
    fn or<T: Send + 'static>(&self, answer: impl FnOnce(&Embedded) -> Answer<T>) -> Answer<T> {
        if self.broken.load(Ordering::Relaxed) {
            return Box::pin(async { Err(ApprovalError::Store("the disk `/dev/secret` is gone".to_owned())) });
        }
        answer(&self.store)
    }
}

impl Store for Breakable {
    fn last_seq(&self, approval: Option<ApprovalId>) -> Answer<u64> {
        self.or(|store| store.last_seq(approval))
    }

    fn open(&self, opening: Opening) -> Answer<Opened> {
        self.or(|store| store.open(opening))
    }

    fn change(&self, id: ApprovalId, change: Change) -> Answer<Changed> {
        self.or(|store| store.change(id, change))
    }

    fn read(&self, id: ApprovalId) -> Answer<Option<approval::Approval>> {
        self.or(|store| store.read(id))
    }

    fn request(&self, id: ApprovalId) -> Answer<Option<ShownRequest>> {
        self.or(|store| store.request(id))
    }

    fn put_body(&self, piece: BodyPiece) -> Answer<()> {
        self.or(|store| store.put_body(piece))
    }

    fn drop_body(&self, id: ApprovalId) -> Answer<()> {
        self.or(|store| store.drop_body(id))
    }

    fn body_piece(&self, id: ApprovalId, number: u64) -> Answer<Option<Bytes>> {
        self.or(|store| store.body_piece(id, number))
    }

    fn body_bytes(&self, id: ApprovalId) -> Answer<u64> {
        self.or(|store| store.body_bytes(id))
    }

    fn list(&self, query: Query) -> Answer<Vec<approval::Approval>> {
        self.or(|store| store.list(query))
    }

    fn due(&self, now: Timestamp) -> Answer<Vec<ApprovalId>> {
        self.or(|store| store.due(now))
    }

    fn next_deadline(&self) -> Answer<Option<Timestamp>> {
        self.or(Store::next_deadline)
    }

    fn attached(&self) -> Answer<Vec<ApprovalId>> {
        self.or(Store::attached)
    }

    fn pending(&self) -> Answer<u64> {
        self.or(Store::pending)
    }

    fn unlogged(&self) -> Answer<Vec<Entry>> {
        self.or(Store::unlogged)
    }

    fn mark_logged(&self, seqs: Vec<u64>) -> Answer<()> {
        self.or(|store| store.mark_logged(seqs))
    }

    fn events_after(&self, seq: u64, approval: Option<ApprovalId>) -> Answer<Vec<Notice>> {
        self.or(|store| store.events_after(seq, approval))
    }

    fn keep(&self, kept: Kept, now: Timestamp) -> Answer<()> {
        self.or(|store| store.keep(kept, now))
    }

    fn drop_kept(&self, shelf: Shelf, name: String) -> Answer<()> {
        self.or(|store| store.drop_kept(shelf, name))
    }

    fn kept(&self, shelf: Shelf, now: Timestamp) -> Answer<Vec<Kept>> {
        self.or(|store| store.kept(shelf, now))
    }
}
