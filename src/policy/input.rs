//! What a policy is given about one call: `input`, version 1 (DESIGN 4).
//!
//! The values are regorus' own, without a detour through JSON text. `schema.rs` describes them.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

use http::HeaderMap;
use http::header::CONTENT_ENCODING;
use http::header::CONTENT_TYPE;
use regorus::Value;

use super::form;
use super::json;
use super::schema::WEEKDAYS;
use crate::model::Action;
use crate::model::Body;
use crate::model::Call;
use crate::model::HttpRequest;
use crate::model::Message;
use crate::model::Principal;
use crate::model::PrincipalKind;
use crate::model::Timestamp;
use crate::model::Upstream;

/// Exactly what a policy is given about `call`, as JSON: for `policy eval`, documents and tests.
/// Numbers that JSON tools would round are rounded here, and only here.
pub fn input_json(call: &Call, approval: Option<&serde_json::Value>, now: Timestamp) -> serde_json::Value {
    serde_json::to_value(build(call, approval, None, now).value).unwrap_or_default()
}

/// True if a saved input has a body that is not what its content type says; a body of a type that
/// is not read is another matter.
pub(super) fn is_malformed(input: &serde_json::Value) -> bool {
    let media_type = input.get("request").and_then(|request| request.get("content_type")?.as_str());
    let Some(media_type) = media_type else {
        // There was none, or there were several.
        let fields = input.pointer("/request/headers/content-type").and_then(serde_json::Value::as_array);
        return fields.is_some_and(|values| values.len() > 1);
    };
    media_type == "application/json" || media_type.ends_with("+json") || media_type == FORM
}

/// The part of the input that is about the request, without what its body says.
pub fn request_json(http: &HttpRequest) -> serde_json::Value {
    serde_json::to_value(request(http).0).unwrap_or_default()
}

/// A time as `input.context.time` and `weekday` have it.
pub fn time_json(now: Timestamp) -> (serde_json::Value, serde_json::Value) {
    (now.to_string().into(), weekday(now).into())
}

/// What has been approved before, as far as policies are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct History {
    /// How many calls of this principal with this very digest were approved and sent in the last
    /// [`HISTORY`].
    pub same_fingerprint_30d: u64,
}

/// How far back policies can look: 30 days.
pub const HISTORY: Duration = Duration::from_secs(30 * 24 * 3600);

/// An input, and what is wrong with its body.
pub(super) struct Input {
    pub(super) value: Value,
    /// Why a body that claims to be JSON or a form is not; `None` where all is well or the body
    /// claims to be something else.
    pub(super) malformed: Option<String>,
}

/// Builds the input for `call`.
pub(super) fn build(
    call: &Call,
    approval: Option<&serde_json::Value>,
    history: Option<History>,
    now: Timestamp,
) -> Input {
    let Message::Http(http) = &call.message;
    let (request, malformed) = request(http);
    let mut input = Object::new(8);
    input.set("version", 1u64);
    input.set("principal", principal(&call.principal));
    input.set("actions", list(call.actions.iter().map(action)));
    input.set("request", request);
    input.set("upstream", upstream(&call.upstream));
    input.set("context", context(call, history, now));
    input.set_some("approval", approval.map(from_json));
    Input { value: input.into(), malformed }
}

fn principal(principal: &Principal) -> Value {
    let mut authn = Object::new(2);
    authn.set("method", principal.authn.method.as_str());
    authn.set("key_id", principal.authn.key_id.as_str());
    let mut object = Object::new(7);
    object.set("id", principal.id.as_str());
    object.set(
        "kind",
        match principal.kind {
            PrincipalKind::Agent => "agent",
        },
    );
    object.set("owners", list(principal.owners.iter().map(|owner| Value::from(owner.as_str()))));
    object.set("groups", list(principal.groups.iter().map(|group| Value::from(group.as_str()))));
    object.set("claims", map(principal.claims.iter().map(|(name, claim)| (name.as_str(), from_json(claim)))));
    object.set("authn", authn);
    object.set("chain", list(principal.chain.iter().map(|link| Value::from(link.as_str()))));
    object.into()
}

fn action(action: &Action) -> Value {
    let mut object = Object::new(6);
    object.set("name", action.name.as_str());
    object.set("kind", action.kind.as_str());
    object.set("access", action.access.as_str());
    object.set_some("resource", action.resource.as_deref());
    object.set("irreversible", action.irreversible);
    object.set_some("summary", action.summary.as_deref());
    object.into()
}

fn upstream(upstream: &Upstream) -> Value {
    let mut object = Object::new(3);
    object.set("name", upstream.name.as_str());
    object.set("environment", upstream.environment.as_str());
    object.set("labels", map(upstream.labels.iter().map(|(name, label)| (name.as_str(), label.as_str().into()))));
    object.into()
}

fn context(call: &Call, history: Option<History>, now: Timestamp) -> Value {
    let mut object = Object::new(6);
    object.set("time", now.to_string());
    object.set_some("weekday", weekday(now));
    object.set("source_ip", call.source_ip.to_string());
    object.set_some("reason", call.reason.as_deref());
    object.set_some("ticket", call.context.as_deref());
    object.set_some(
        "approved_before",
        history.map(|history| {
            let mut before = Object::new(1);
            before.set("same_fingerprint_30d", history.same_fingerprint_30d);
            before
        }),
    );
    object.into()
}

fn weekday(now: Timestamp) -> Option<&'static str> {
    const DAY_MICROS: i64 = 24 * 60 * 60 * 1_000_000;
    // 1970-01-01 was a Thursday, the fourth day of a week that begins on Monday.
    let days = now.unix_micros().div_euclid(DAY_MICROS);
    WEEKDAYS.get(usize::try_from((days + 3).rem_euclid(7)).ok()?).copied()
}

fn request(request: &HttpRequest) -> (Value, Option<String>) {
    let mut object = Object::new(14);
    object.set("method", request.method.as_str());
    object.set("scheme", request.scheme);
    object.set("authority", request.authority.as_str());
    object.set("host", host(&request.authority));
    object.set("path", request.path.as_str());
    object.set_some("path_segments", segments(&request.path));
    object.set_some("query", request.query.as_deref().and_then(form::parse));
    object.set_some("query_raw", request.query.as_deref());
    object.set("headers", headers(&request.headers));
    object.set("websocket", request.websocket);
    let media_type = media_type(&request.headers);
    object.set_some("content_type", media_type.as_ref().ok().cloned().flatten());
    let mut malformed = None;
    match &request.body {
        Body::Absent => object.set("body_bytes", 0u64),
        Body::Unread => {}
        Body::Kept { body, .. } => object.set("body_bytes", body.bytes()),
        // Of an encoded body, what its coding stands for.
        Body::Read { bytes, .. } | Body::Encoded { decoded: bytes, .. } => {
            object.set("body_bytes", bytes.len() as u64);
            match body(request, media_type, bytes) {
                Ok(body) => object.set_some("body", body),
                Err(problem) => {
                    object.set("body_error", problem.text.as_str());
                    malformed = problem.is_malformed.then_some(problem.text);
                }
            }
        }
    }
    (object.into(), malformed)
}

/// The authority without its port.
fn host(authority: &str) -> &str {
    match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => authority,
    }
}

/// The path's parts, or nothing if one of them is not UTF-8 once decoded.
fn segments(path: &str) -> Option<Value> {
    let parts = path.strip_prefix('/').unwrap_or(path);
    if parts.is_empty() {
        return Some(Value::new_array());
    }
    parts
        .split('/')
        .map(|part| form::percent_decode(part).map(Value::from))
        .collect::<Option<Vec<_>>>()
        .map(Value::from)
}

fn headers(fields: &HeaderMap) -> Value {
    map(fields.keys().map(|name| {
        let values = fields.get_all(name).iter().map(|value| Value::from(&*latin1(value.as_bytes())));
        (name.as_str(), list(values))
    }))
}

/// Field values as ISO 8859-1, so that different bytes never look alike (RFC 9110 §5.5).
fn latin1(bytes: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(bytes) {
        Ok(text) if text.is_ascii() => Cow::Borrowed(text),
        _ => Cow::Owned(bytes.iter().map(|byte| char::from(*byte)).collect()),
    }
}

struct BodyProblem {
    text: String,
    is_malformed: bool,
}

impl BodyProblem {
    /// The body is not what it says it is.
    fn malformed(text: impl Into<String>) -> Self {
        Self { text: text.into(), is_malformed: true }
    }

    /// The body does not say that it is anything we read.
    fn opaque(text: impl Into<String>) -> Self {
        Self { text: text.into(), is_malformed: false }
    }
}

/// The media type in lower case, without parameters.
fn media_type(fields: &HeaderMap) -> Result<Option<String>, BodyProblem> {
    let mut values = fields.get_all(CONTENT_TYPE).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(BodyProblem::malformed("it has several content types"));
    }
    let value = latin1(value.as_bytes());
    let essence = value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    Ok(Some(essence))
}

fn body(
    request: &HttpRequest,
    media_type: Result<Option<String>, BodyProblem>,
    bytes: &[u8],
) -> Result<Option<Value>, BodyProblem> {
    if bytes.is_empty() {
        return Ok(None);
    }
    let Some(media_type) = media_type? else { return Err(BodyProblem::opaque("it has no content type")) };
    let is_json = media_type == "application/json" || media_type.ends_with("+json");
    if !is_json && media_type != FORM {
        return Err(BodyProblem::opaque(format!("`{media_type}` is neither JSON nor a form")));
    }
    let fields = &request.headers;
    let is_encoded = fields.get_all(CONTENT_ENCODING).iter().any(|value| value.as_bytes() != b"identity");
    if is_encoded && !matches!(request.body, Body::Encoded { .. }) {
        return Err(BodyProblem::malformed("it has a content encoding"));
    }
    let charset = fields.get(CONTENT_TYPE).map(|value| latin1(value.as_bytes()).to_ascii_lowercase());
    if charset.is_some_and(|value| has_other_charset(&value)) {
        return Err(BodyProblem::malformed("its charset is not UTF-8"));
    }
    if is_json {
        return json::parse(bytes).map(Some).map_err(|error| BodyProblem::malformed(format!("as JSON, {error}")));
    }
    let form = std::str::from_utf8(bytes).ok().and_then(form::parse);
    form.map(Some).ok_or_else(|| BodyProblem::malformed("as a form, it has a broken escape or is not UTF-8"))
}

fn has_other_charset(content_type: &str) -> bool {
    content_type.split(';').skip(1).filter_map(|parameter| parameter.split_once('=')).any(|(name, value)| {
        name.trim() == "charset" && !matches!(value.trim().trim_matches('"'), "utf-8" | "utf8" | "us-ascii")
    })
}

/// A JSON value of our own making: claims, approvals, and inputs that were saved.
pub(super) fn from_json(json: &serde_json::Value) -> Value {
    match json {
        serde_json::Value::Null => Value::Null,
        serde_json::Value::Bool(value) => Value::from(*value),
        serde_json::Value::Number(number) => match (number.as_i64(), number.as_u64(), number.as_f64()) {
            (Some(number), _, _) => Value::from(number),
            (None, Some(number), _) => Value::from(number),
            (None, None, Some(number)) => Value::from(number),
            (None, None, None) => Value::Null,
        },
        serde_json::Value::String(text) => Value::from(text.as_str()),
        serde_json::Value::Array(items) => list(items.iter().map(from_json)),
        serde_json::Value::Object(fields) => map(fields.iter().map(|(name, value)| (name.as_str(), from_json(value)))),
    }
}

fn list(values: impl Iterator<Item = Value>) -> Value {
    Value::from(values.collect::<Vec<_>>())
}

fn map<'a>(fields: impl Iterator<Item = (&'a str, Value)>) -> Value {
    Value::from(fields.map(|(name, value)| (Value::from(name), value)).collect::<BTreeMap<_, _>>())
}

/// An object with names that are known beforehand.
struct Object(Vec<(Value, Value)>);

impl Object {
    fn new(fields_max: usize) -> Self {
        Self(Vec::with_capacity(fields_max))
    }

    fn set(&mut self, name: &'static str, value: impl Into<Value>) {
        self.0.push((Value::from(name), value.into()));
    }

    fn set_some(&mut self, name: &'static str, value: Option<impl Into<Value>>) {
        if let Some(value) = value {
            self.set(name, value);
        }
    }
}

impl From<Object> for Value {
    fn from(object: Object) -> Value {
        Value::from(object.0.into_iter().collect::<BTreeMap<_, _>>())
    }
}

const FORM: &str = "application/x-www-form-urlencoded";
