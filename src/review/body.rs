//! Bodies of requests: one JSON object of known fields, and what is wrong with it if it is not.

use std::collections::BTreeMap;

use axum::body::Body;
use axum::body::Bytes;
use axum::extract::FromRequest;
use axum::extract::Request;
use axum::http::header::CONTENT_TYPE;
use http_body_util::BodyExt;
use http_body_util::LengthLimitError;
use http_body_util::Limited;
use serde::Deserialize;
use serde::Deserializer;
use serde_json::Value;

use super::Admin;
use super::Settings;
use super::refused::Code;
use super::refused::Refused;

/// A JSON object whose fields each stand there once.
#[derive(Debug)]
pub(super) struct Object(BTreeMap<String, Value>);

impl Object {
    /// Refuses every field but `accepted`.
    ///
    /// # Errors
    /// Says which field, and what is accepted.
    pub(super) fn only(&self, accepted: &[&str]) -> Result<(), Refused> {
        match self.0.keys().find(|name| !accepted.contains(&name.as_str())) {
            None => Ok(()),
            Some(name) => {
                let shown: String = name.chars().take(80).collect();
                let accepted = accepted.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
                Err(invalid(format!("`{shown}` is not a field of this body; accepted are {accepted}")))
            }
        }
    }

    /// The text in the field `name`, if there is one. `null` is none.
    ///
    /// # Errors
    /// If something else stands there.
    pub(super) fn text(&self, name: &str) -> Result<Option<&str>, Refused> {
        match self.0.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(other) => Err(invalid(format!("`{name}` has to be a string, and is {}", sort(other)))),
        }
    }
}

/// A body that does not say what is needed.
pub(super) fn invalid(detail: impl Into<String>) -> Refused {
    Refused::new(Code::InvalidBody, detail)
}

impl FromRequest<Admin> for Object {
    type Rejection = Refused;

    async fn from_request(request: Request, admin: &Admin) -> Result<Self, Refused> {
        let settings = &admin.state.settings;
        let kind = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
        let kind = kind.split(';').next().unwrap_or("").trim();
        if !kind.eq_ignore_ascii_case("application/json") {
            let shown: String = kind.chars().take(80).collect();
            let detail =
                format!("the body has the media type `{shown}`; send JSON with `Content-Type: application/json`");
            return Err(Refused::new(Code::UnsupportedMediaType, detail));
        }
        let bytes = read(request.into_body(), settings).await?;
        parse(&bytes)
    }
}

/// All of a body, within the limits.
///
/// # Errors
/// If it is too long, too slow, or breaks off.
pub(super) async fn read(body: Body, settings: &Settings) -> Result<Bytes, Refused> {
    let max = settings.body_bytes_max;
    let collected = Limited::new(body, max).collect();
    match tokio::time::timeout(settings.body_duration_max, collected).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            Err(Refused::new(Code::BodyTooLarge, format!("the body has more than {max} bytes")))
        }
        Ok(Err(_)) => Err(Refused::new(Code::BadRequest, "the body broke off before its end")),
        Err(_) => {
            let seconds = settings.body_duration_max.as_secs();
            Err(Refused::new(Code::BodyTimeout, format!("the body took longer than {seconds} s")))
        }
    }
}

fn parse(bytes: &Bytes) -> Result<Object, Refused> {
    // Read as any value first, so that a mistake of form and a mistake of meaning are told apart.
    serde_json::from_slice::<serde::de::IgnoredAny>(bytes)
        .map_err(|error| Refused::new(Code::BadRequest, format!("the body is not JSON: {error}")))?;
    serde_json::from_slice(bytes).map_err(|error| invalid(error.to_string()))
}

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;
        impl<'de> serde::de::Visitor<'de> for Fields {
            type Value = BTreeMap<String, Value>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut fields = BTreeMap::new();
                while let Some((name, value)) = map.next_entry::<String, Value>()? {
                    // Two readers could take it for two different bodies.
                    if fields.contains_key(&name) {
                        return Err(serde::de::Error::custom(format_args!("`{name}` stands there twice")));
                    }
                    fields.insert(name, value);
                }
                Ok(fields)
            }
        }
        deserializer.deserialize_map(Fields).map(Object)
    }
}

fn sort(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}
