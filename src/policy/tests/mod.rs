//! Tests of the room as a whole; cases are data and go through the few functions here.

mod answers;
mod bodies;
mod conformance;
mod heads;
mod library;
mod linting;
mod loading;
mod looking;
mod mutants;
mod obligations;
mod properties;
mod runaway;
mod running;
mod shadow;
mod starter;

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use http::HeaderMap;
use http::HeaderName;
use http::HeaderValue;
use http::Method;

use super::DefaultEffect;
use super::EvaluateError;
use super::LoadErrors;
use super::Policy;
use super::Settings;
use super::Source;
use crate::model::Access;
use crate::model::Action;
use crate::model::ActionKind;
use crate::model::Actions;
use crate::model::Authn;
use crate::model::Body;
use crate::model::Call;
use crate::model::CallId;
use crate::model::Decision;
use crate::model::DecisionId;
use crate::model::Effect;
use crate::model::HttpRequest;
use crate::model::IdSource;
use crate::model::Message;
use crate::model::Principal;
use crate::model::PrincipalKind;
use crate::model::Requirement;
use crate::model::Timestamp;
use crate::model::Upstream;

/// 2026-11-24T11:00:00Z, a Tuesday.
fn now() -> Timestamp {
    Timestamp::from_unix_micros(1_795_518_000_000_000)
}

fn source(path: &str, text: &str) -> Source {
    Source { path: path.to_owned(), text: text.to_owned() }
}

fn settings() -> Settings {
    Settings {
        groups: ["data-owners", "security"].map(str::to_owned).into(),
        credentials: ["reader", "writer"].map(str::to_owned).into(),
        ..Settings::default()
    }
}

fn reviewer(group: &str, count: u32) -> Requirement {
    Requirement { group: group.to_owned(), count }
}

/// Loads rules in package `holdpoint`.
fn load(rules: &str) -> Result<Policy, LoadErrors> {
    load_with(rules, settings())
}

fn load_with(rules: &str, settings: Settings) -> Result<Policy, LoadErrors> {
    Policy::load(&[source("p.rego", &format!("package holdpoint\n{rules}"))], &[], settings)
}

fn loaded(rules: &str) -> Policy {
    load(rules).unwrap_or_else(|errors| panic!("{errors}"))
}

/// What is wrong with rules in package `holdpoint`, as people see it.
fn refusal(rules: &str) -> String {
    load(rules).map_or_else(|errors| errors.to_string(), |_| "loaded".to_owned())
}

fn decide(policy: &Policy, call: &Call) -> Result<Decision, EvaluateError> {
    policy.decide(call, None, DecisionId::new(&IdSource::new([3; 10]), now()), now())
}

/// The answer in a line: the effect and the rules, or the error.
fn answer(policy: &Policy, call: &Call) -> String {
    match decide(policy, call).map(|decision| decision.effect) {
        Ok(Effect::Allow(allow)) => format!("allow {}", allow.rules.join(" ")),
        Ok(Effect::Hold(hold)) => format!("hold {}", hold.rules.join(" ")),
        Ok(Effect::Deny(rules)) => {
            format!("deny {}", rules.iter().map(|rule| rule.rule.as_str()).collect::<Vec<_>>().join(" "))
        }
        Ok(Effect::NoMatch) => "no match".to_owned(),
        Err(error) => format!("error: {error}"),
    }
}

fn action(name: &str, kind: ActionKind, access: Access) -> Action {
    Action {
        name: name.to_owned(),
        kind,
        access,
        resource: Some("/customers".to_owned()),
        irreversible: false,
        summary: None,
    }
}

/// A read of customers, that `change` may change.
fn call(change: impl FnOnce(&mut Call, &mut HttpRequest)) -> Call {
    let ids = IdSource::new([1; 10]);
    let mut request = HttpRequest {
        method: Method::GET,
        scheme: "https",
        authority: "api.example.com".to_owned(),
        path: "/customers".to_owned(),
        query: None,
        headers: HeaderMap::new(),
        body: Body::Absent,
        websocket: false,
    };
    let mut call = Call {
        id: CallId::new(&ids, now()),
        received: now(),
        principal: Arc::new(Principal {
            id: "deploy-bot".to_owned(),
            kind: PrincipalKind::Agent,
            owners: vec!["ana@example.com".parse().unwrap()],
            groups: vec!["agents".to_owned()],
            claims: BTreeMap::from([("team".to_owned(), serde_json::json!({"name": "core", "size": 4}))]),
            authn: Authn { method: "api-key".to_owned(), key_id: "k1".to_owned(), created_by: None },
            chain: Vec::new(),
        }),
        upstream: Arc::new(Upstream {
            name: "cloud".to_owned(),
            environment: "production".to_owned(),
            labels: BTreeMap::from([("data".to_owned(), "customer".to_owned())]),
        }),
        actions: Actions::one(action("openapi:listCustomers", ActionKind::Read, Access::Read)),
        message: Message::Http(request.clone()),
        reason: None,
        context: None,
        resumes: None,
        respond_async: false,
        attempt: crate::model::Attempt::default(),
        patience: None,
        hold_for: None,
        source_ip: "192.0.2.7".parse().unwrap(),
    };
    change(&mut call, &mut request);
    call.message = Message::Http(request);
    call
}

fn any_call() -> Call {
    call(|_, _| {})
}

/// A call with a body and fields.
fn posted(fields: &[(&str, &str)], body: &[u8]) -> Call {
    call(|_, request| {
        request.method = Method::POST;
        for (name, value) in fields {
            let name: HeaderName = name.parse().unwrap();
            request.headers.append(name, HeaderValue::from_str(value).unwrap());
        }
        request.body = Body::Read { bytes: Bytes::copy_from_slice(body), trailers: HeaderMap::new() };
    })
}
