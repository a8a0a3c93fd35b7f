//! The exact set of input values that the rules can depend on, so that calls which agree on them can
//! share a decision (DESIGN 3).
//!
//! A decision is a function of input and data alone: the loader refuses clocks, randomness and
//! whatever looks outside. What the rules read is an upper bound ([`InputPaths`]); every path that is
//! not known here, or stands for something that differs from call to call, means no sharing.

use http::HeaderMap;
use http::header::CONTENT_TYPE;

use super::reads::InputPaths;
use crate::model::Call;
use crate::model::CanonicalHasher;
use crate::model::HttpRequest;
use crate::model::Message;
use crate::model::Principal;
use crate::model::Sha256;

/// What a key is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Projection(Vec<Part>); // Invariant: sorted, each once.

/// One value of the input.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    Principal,
    Actions,
    Method,
    Scheme,
    Authority,
    Path,
    Query,
    Headers,
    Header(String),
    WebSocket,
    Upstream,
    SourceIp,
    Reason,
    Ticket,
}

impl Projection {
    /// What decisions of rules that read `paths` depend on; `None` where they cannot be shared.
    pub(super) fn of(paths: &InputPaths) -> Option<Self> {
        let mut parts = Vec::new();
        for path in paths.iter() {
            let path: Vec<&str> = path.iter().map(String::as_str).collect();
            parts.extend(part(&path)?);
        }
        parts.sort();
        parts.dedup();
        Some(Self(parts))
    }

    /// The key of `call`: equal keys mean that the rules cannot tell the calls apart.
    pub(super) fn key(&self, call: &Call) -> Sha256 {
        let Message::Http(request) = &call.message;
        let mut hasher = CanonicalHasher::new("holdpoint/projection/v1");
        for part in &self.0 {
            add(part, call, request, &mut hasher);
        }
        hasher.finish()
    }
}

/// The part that a path reads; `Some(None)` where it reads nothing that differs between calls.
fn part(path: &[&str]) -> Option<Option<Part>> {
    Some(Some(match path {
        // The same for all calls that come here: the version, and no approval.
        ["version" | "approval", ..] => return Some(None),
        ["principal", ..] => Part::Principal,
        ["actions", ..] => Part::Actions,
        ["request", "method", ..] => Part::Method,
        ["request", "scheme", ..] => Part::Scheme,
        ["request", "authority" | "host", ..] => Part::Authority,
        ["request", "path" | "path_segments", ..] => Part::Path,
        ["request", "query" | "query_raw", ..] => Part::Query,
        ["request", "headers"] => Part::Headers,
        ["request", "headers", name, ..] => Part::Header(name.to_ascii_lowercase()),
        ["request", "content_type", ..] => Part::Header(CONTENT_TYPE.as_str().to_owned()),
        ["request", "websocket", ..] => Part::WebSocket,
        ["upstream", ..] => Part::Upstream,
        ["context", "source_ip", ..] => Part::SourceIp,
        ["context", "reason", ..] => Part::Reason,
        ["context", "ticket", ..] => Part::Ticket,
        // Time, bodies, whole objects with either in them, and whatever comes later.
        _ => return None,
    }))
}

/// Why decisions that depend on `path` cannot be shared; `None` if they can.
pub(super) fn why_not(path: &[&str]) -> Option<&'static str> {
    if part(path).is_some() {
        return None;
    }
    Some(match path {
        [] => "all of the input, which has the time and the body in it, or a part whose name is not constant",
        ["request"] => "all of the request, which has the body in it, or a part whose name is not constant",
        ["request", "body" | "body_bytes" | "body_error", ..] => "bodies are not kept to be compared",
        ["context"] => "the whole context, which has the time in it, or a part whose name is not constant",
        ["context", "approved_before", ..] => "what was approved before changes with each approval",
        ["context", "time" | "weekday", ..] => "the time is another one for each call",
        _ => "it is not known to stay the same",
    })
}

fn add(part: &Part, call: &Call, request: &HttpRequest, hasher: &mut CanonicalHasher) {
    match part {
        Part::Principal => principal(&call.principal, hasher),
        Part::Actions => actions(call, hasher),
        Part::Method => hasher.field(request.method.as_str().as_bytes()),
        Part::Scheme => hasher.field(request.scheme.as_bytes()),
        Part::Authority => hasher.field(request.authority.as_bytes()),
        Part::Path => hasher.field(request.path.as_bytes()),
        Part::Query => optional(request.query.as_deref(), hasher),
        Part::Headers => headers(&request.headers, hasher),
        Part::Header(name) => values(&request.headers, name, hasher),
        Part::WebSocket => hasher.count(usize::from(request.websocket)),
        Part::Upstream => upstream(call, hasher),
        Part::SourceIp => hasher.field(call.source_ip.to_string().as_bytes()),
        Part::Reason => optional(call.reason.as_deref(), hasher),
        Part::Ticket => optional(call.context.as_deref(), hasher),
    }
}

fn optional(text: Option<&str>, hasher: &mut CanonicalHasher) {
    hasher.count(usize::from(text.is_some()));
    hasher.field(text.unwrap_or_default().as_bytes());
}

fn list<'a>(texts: impl ExactSizeIterator<Item = &'a str>, hasher: &mut CanonicalHasher) {
    hasher.count(texts.len());
    texts.for_each(|text| hasher.field(text.as_bytes()));
}

fn principal(principal: &Principal, hasher: &mut CanonicalHasher) {
    hasher.field(principal.id.as_bytes());
    hasher.field(principal.authn.method.as_bytes());
    hasher.field(principal.authn.key_id.as_bytes());
    list(principal.owners.iter().map(|owner| owner.as_str()), hasher);
    list(principal.groups.iter().map(String::as_str), hasher);
    list(principal.chain.iter().map(String::as_str), hasher);
    hasher.count(principal.claims.len());
    for (name, claim) in &principal.claims {
        hasher.field(name.as_bytes());
        hasher.field(claim.to_string().as_bytes());
    }
}

fn actions(call: &Call, hasher: &mut CanonicalHasher) {
    hasher.count(call.actions.as_slice().len());
    for action in call.actions.iter() {
        hasher.field(action.name.as_bytes());
        hasher.field(action.kind.as_str().as_bytes());
        hasher.field(action.access.as_str().as_bytes());
        optional(action.resource.as_deref(), hasher);
        hasher.count(usize::from(action.irreversible));
        optional(action.summary.as_deref(), hasher);
    }
}

fn upstream(call: &Call, hasher: &mut CanonicalHasher) {
    hasher.field(call.upstream.name.as_bytes());
    hasher.field(call.upstream.environment.as_bytes());
    hasher.count(call.upstream.labels.len());
    for (name, label) in &call.upstream.labels {
        hasher.field(name.as_bytes());
        hasher.field(label.as_bytes());
    }
}

fn headers(headers: &HeaderMap, hasher: &mut CanonicalHasher) {
    let mut names: Vec<&str> = headers.keys().map(http::HeaderName::as_str).collect();
    names.sort_unstable();
    hasher.count(names.len());
    for name in names {
        hasher.field(name.as_bytes());
        values(headers, name, hasher);
    }
}

fn values(headers: &HeaderMap, name: &str, hasher: &mut CanonicalHasher) {
    let values = headers.get_all(name);
    hasher.count(values.iter().count());
    values.iter().for_each(|value| hasher.field(value.as_bytes()));
}
