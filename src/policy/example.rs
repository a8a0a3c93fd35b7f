//! Examples of `input`, made by the same code that makes the real ones, with what the schema says
//! about each part.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::Arc;

use bytes::Bytes;
use http::HeaderMap;
use http::HeaderValue;
use http::Method;
use http::header::ACCEPT;
use http::header::CONTENT_TYPE;
use serde_json::Value;

use super::input::input_json;
use super::schema;
use crate::model::Access;
use crate::model::Action;
use crate::model::ActionKind;
use crate::model::Actions;
use crate::model::Attempt;
use crate::model::Authn;
use crate::model::Body;
use crate::model::Call;
use crate::model::CallId;
use crate::model::HttpRequest;
use crate::model::IdSource;
use crate::model::Message;
use crate::model::Principal;
use crate::model::PrincipalKind;
use crate::model::Timestamp;
use crate::model::Upstream;

/// The dialects that there are examples for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Example {
    /// Plain HTTP: the method says it all.
    Http,
    /// An API with an OpenAPI document.
    OpenApi,
}

/// An example of `input`, as JSON.
pub fn example(example: Example) -> Value {
    let mut headers = HeaderMap::new();
    headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
    let (method, path, query, body, action) = match example {
        Example::Http => (
            Method::DELETE,
            "/files/report%202.pdf",
            None,
            Body::Absent,
            action("http:DELETE", ActionKind::Delete, None),
        ),
        Example::OpenApi => {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            let bytes = Bytes::from_static(br#"{"amount": 250, "currency": "EUR"}"#);
            let body = Body::Read { bytes, trailers: HeaderMap::new() };
            let action = action("openapi:createRefund", ActionKind::Payment, Some("Pays a customer back."));
            (Method::POST, "/customers/42/refunds", Some("notify=true"), body, action)
        }
    };
    let request = HttpRequest {
        method,
        scheme: "https",
        authority: "api.example.com".to_owned(),
        path: path.to_owned(),
        query: query.map(str::to_owned),
        headers,
        body,
        websocket: false,
    };
    input_json(&call(request, Action { resource: Some(path.to_owned()), ..action }), None, now())
}

fn action(name: &str, kind: ActionKind, summary: Option<&str>) -> Action {
    Action {
        name: name.to_owned(),
        kind,
        access: Access::Write,
        resource: None,
        irreversible: true,
        summary: summary.map(str::to_owned),
    }
}

fn call(request: HttpRequest, action: Action) -> Call {
    let principal = Principal {
        id: "support-bot".to_owned(),
        kind: PrincipalKind::Agent,
        owners: "ana@example.com".parse().into_iter().collect(),
        groups: vec!["support-agents".to_owned()],
        claims: BTreeMap::from([("team".to_owned(), "support".into())]),
        authn: Authn { method: "api-key".to_owned(), key_id: "key_7f3a".to_owned(), created_by: None },
        chain: Vec::new(),
    };
    let upstream = Upstream {
        name: "shop".to_owned(),
        environment: "production".to_owned(),
        labels: BTreeMap::from([("data".to_owned(), "customer".to_owned())]),
    };
    Call {
        id: CallId::new(&IdSource::new([0; 10]), now()),
        received: now(),
        principal: Arc::new(principal),
        upstream: Arc::new(upstream),
        actions: Actions::one(action),
        message: Message::Http(request),
        reason: Some("the parcel never arrived".to_owned()),
        context: Some("OPS-1234".to_owned()),
        resumes: None,
        respond_async: false,
        attempt: Attempt::default(),
        patience: None,
        hold_for: None,
        source_ip: Ipv4Addr::new(192, 0, 2, 7).into(),
    }
}

/// `value` as JSON with what the schema of `input` says about each part in comments. The comments
/// are for people; `policy eval` takes the same without them.
pub(super) fn annotated(value: &Value) -> String {
    let mut text = String::new();
    write(value, Some(&schema::input_schema()), 0, &mut text);
    text
}

fn write(value: &Value, schema: Option<&Value>, depth: usize, text: &mut String) {
    let indent = "  ".repeat(depth + 1);
    let (open, close, parts): (_, _, Vec<(Option<&String>, &Value)>) = match value {
        Value::Object(fields) if !fields.is_empty() => {
            ('{', '}', fields.iter().map(|(name, value)| (Some(name), value)).collect())
        }
        Value::Array(items) if items.iter().any(Value::is_object) => {
            ('[', ']', items.iter().map(|item| (None, item)).collect())
        }
        other => return text.push_str(&other.to_string()),
    };
    text.push(open);
    let last = parts.len().saturating_sub(1);
    for (index, (name, part)) in parts.into_iter().enumerate() {
        let below = schema.and_then(|schema| match name {
            Some(name) => {
                schema.get("properties").and_then(|all| all.get(name)).or_else(|| schema.get("additionalProperties"))
            }
            None => schema.get("items"),
        });
        let about = below.and_then(|below| below.get("description")?.as_str());
        about.into_iter().for_each(|about| text.push_str(&format!("\n{indent}// {about}")));
        text.push_str(&format!("\n{indent}"));
        name.into_iter().for_each(|name| text.push_str(&format!("{}: ", Value::from(name.as_str()))));
        write(part, below, depth + 1, text);
        text.push_str(if index == last { "" } else { "," });
    }
    text.push_str(&format!("\n{}{close}", "  ".repeat(depth)));
}

impl Example {
    /// The example as text, with comments.
    pub fn annotated(self) -> String {
        annotated(&example(self))
    }
}

/// 2026-11-24T11:00:00Z, a Tuesday.
fn now() -> Timestamp {
    Timestamp::from_unix_micros(1_795_518_000_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn examples_are_what_their_comments_say_and_no_more() {
        for dialect in [Example::Http, Example::OpenApi] {
            let text = dialect.annotated();
            let plain: String = text
                .lines()
                .filter(|line| !line.trim_start().starts_with("//"))
                .map(|line| format!("{line}\n"))
                .collect();
            assert_eq!(serde_json::from_str::<Value>(&plain).unwrap(), example(dialect));
            assert!(text.contains("// Who calls."), "{text}");
        }
    }

    #[test]
    fn the_schema_for_opa_is_one_that_opa_knows() {
        let schema = schema::rego_schema();
        assert_eq!(schema.pointer("/properties/version/enum"), Some(&serde_json::json!([1])));
        assert_eq!(schema.pointer("/properties/actions/items/properties/kind/type"), Some(&"string".into()));
        let text = schema.to_string();
        assert!(!text.contains("\"const\"") && !text.contains("$id") && !text.contains("2020-12"), "{text}");
    }
}
