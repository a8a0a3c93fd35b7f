//! What the tests of this room begin with: people, a principal, a call and its record.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::sync::Arc;

use bytes::Bytes;
use http::HeaderMap;
use http::HeaderValue;
use http::Method;

use crate::identity::People;
use crate::model::Access;
use crate::model::Action;
use crate::model::ActionKind;
use crate::model::Actions;
use crate::model::ApprovalId;
use crate::model::Assurance;
use crate::model::Attempt;
use crate::model::Authn;
use crate::model::Body;
use crate::model::Call;
use crate::model::CallId;
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
use crate::model::Sha256;
use crate::model::Timestamp;
use crate::model::Upstream;

use super::new::NewApproval;
use super::record::Approval;
use super::record::ShownRequest;
use super::service::Settings;

/// Second `seconds` of the tests' time.
pub(super) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_unix_micros(1_795_238_219_000_000 + seconds * 1_000_000)
}

pub(super) fn person(name: &str) -> PersonId {
    name.parse().unwrap()
}

/// `owners: ana bo; security: bo cy`, with aliases as pairs of a name and a person.
pub(super) fn people(groups: &str, aliases: &[(&str, &str)]) -> People {
    let groups = groups.split(';').filter_map(|group| group.split_once(':')).map(|(group, members)| {
        (group.trim().to_owned(), members.split_whitespace().map(person).collect::<BTreeSet<_>>())
    });
    let aliases = aliases.iter().map(|(alias, name)| ((*alias).to_owned(), person(name)));
    People::new(groups.collect(), aliases.collect()).unwrap()
}

/// `owners=1 security=2`.
pub(super) fn requirements(text: &str) -> Vec<Requirement> {
    let needs = text.split_whitespace().map(|need| need.split_once('=').unwrap());
    needs.map(|(group, count)| Requirement { group: group.to_owned(), count: count.parse().unwrap() }).collect()
}

pub(super) fn obligations(needs: &str) -> HoldObligations {
    HoldObligations {
        rules: vec!["customer-export".to_owned()],
        reasons: vec!["exports customer data".to_owned()],
        risk: None,
        reviewers: requirements(needs),
        expires_in: None,
        hold_for: None,
        assurance: Assurance::Session,
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

pub(super) fn settings() -> Settings {
    Settings {
        expires_in: std::time::Duration::from_secs(100),
        expires_in_max: std::time::Duration::from_secs(1_000),
        claim_within: std::time::Duration::from_secs(50),
        pending_per_principal_max: 100,
        pending_per_rule_max: 100,
        denied_for: std::time::Duration::from_secs(60),
        replay_for: std::time::Duration::from_secs(60),
        stored_bytes_total_max: 1 << 30,
    }
}

/// The hash of the bytes that run.
pub(super) fn exact() -> Sha256 {
    Sha256::of(b"the bytes that run")
}

/// The ids that tests draw.
pub(super) struct Ids(pub(super) IdSource);

impl Ids {
    pub(super) fn new() -> Self {
        Self(IdSource::new([9; 10]))
    }

    pub(super) fn call(&self) -> CallId {
        CallId::new(&self.0, at(0))
    }
}

pub(super) fn principal(id: &str) -> Principal {
    Principal {
        id: id.to_owned(),
        kind: PrincipalKind::Agent,
        owners: vec![person("olga@example.com")],
        groups: vec!["agents".to_owned()],
        claims: BTreeMap::from([("weight".to_owned(), serde_json::json!(0.1))]),
        authn: Authn {
            method: "api-key".to_owned(),
            key_id: "k1".to_owned(),
            created_by: Some(person("kim@example.com")),
        },
        chain: vec!["hal@example.com".to_owned()],
    }
}

/// `POST /<name>` by `principal`, as a call of its own.
pub(super) fn call(ids: &Ids, principal_id: &str, name: &str) -> Call {
    let mut headers = HeaderMap::new();
    headers.insert("content-type", HeaderValue::from_static("application/json"));
    Call {
        id: ids.call(),
        received: at(0),
        principal: Arc::new(principal(principal_id)),
        upstream: Arc::new(Upstream {
            name: "payments".to_owned(),
            environment: "production".to_owned(),
            labels: BTreeMap::from([("data".to_owned(), "customer".to_owned())]),
        }),
        actions: Actions::one(Action {
            name: "http:POST".to_owned(),
            kind: ActionKind::Write,
            access: Access::Write,
            resource: Some(format!("/{name}")),
            irreversible: false,
            summary: None,
        }),
        message: Message::Http(HttpRequest {
            method: Method::POST,
            scheme: "https",
            authority: "api.example.com".to_owned(),
            path: format!("/{name}"),
            query: None,
            headers,
            body: Body::Read { bytes: Bytes::from_static(b"{}"), trailers: HeaderMap::new() },
            websocket: false,
        }),
        reason: Some("the customer asked".to_owned()),
        context: None,
        resumes: None,
        respond_async: false,
        attempt: Attempt::default(),
        patience: None,
        hold_for: None,
        source_ip: Ipv4Addr::LOCALHOST.into(),
    }
}

pub(super) fn new_approval(call: &Call, obligations: HoldObligations) -> NewApproval<'_> {
    let policy = Sha256::of(b"policy");
    NewApproval {
        call,
        digest: call.digest(&policy),
        policy,
        decision: DecisionId::new(&IdSource::new([4; 10]), at(0)),
        obligations,
    }
}

/// The record of `call`, held at second 0, and what reviewers see.
pub(super) fn record(ids: &Ids, call: &Call, needs: &str, people: &People) -> (Approval, ShownRequest) {
    let id = ApprovalId::new(&ids.0, at(0));
    let new = new_approval(call, obligations(needs));
    let (approval, shown) = new.record(id, at(0), &settings(), people, Sha256::of(b"secret"));
    (approval, shown.request)
}
