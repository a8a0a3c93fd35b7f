//! Forms for machines. They carry what the server said, whether or not this version knows it.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;
use serde_saphyr::DoubleQuoted;

use super::failure::Failure;
use super::text;

/// Several lines of JSON.
pub(super) fn json(value: &Value) -> String {
    format!("{}\n", text::json(&format!("{value:#}")))
}

/// One line of JSON.
pub(super) fn json_line(value: &Value) -> String {
    format!("{}\n", text::json(&value.to_string()))
}

/// YAML.
pub(super) fn yaml(value: &Value) -> Result<String, Failure> {
    let yaml = serde_saphyr::to_string(&Quoted::new(value))
        .map_err(|error| Failure::error(format!("the answer cannot be written as YAML: {error}")))?;
    Ok(text::yaml(&yaml).into_owned())
}

/// The id, on a line of its own.
pub(super) fn name(id: &str) -> String {
    format!("{}\n", text::one_line(id))
}

/// A value whose texts stand in double quotes where something in them has to be escaped.
#[derive(Serialize)]
#[serde(untagged)]
enum Quoted<'a> {
    Text(&'a str),
    Hidden(DoubleQuoted<&'a str>),
    List(Vec<Quoted<'a>>),
    Fields(BTreeMap<&'a str, Quoted<'a>>),
    Other(&'a Value),
}

impl<'a> Quoted<'a> {
    fn new(value: &'a Value) -> Self {
        match value {
            Value::String(text) if text.chars().any(text::is_hidden) => Self::Hidden(DoubleQuoted(text)),
            Value::String(text) => Self::Text(text),
            Value::Array(items) => Self::List(items.iter().map(Self::new).collect()),
            Value::Object(fields) => {
                Self::Fields(fields.iter().map(|(name, value)| (name.as_str(), Self::new(value))).collect())
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => Self::Other(value),
        }
    }
}
