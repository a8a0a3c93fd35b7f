//! Data documents: what a policy looks things up in (OPA's bundle format).
//!
//! The folders of a file say where in `data` it goes: `routes/data.json` is `data.routes`. Files
//! of several folders are one document; two that say something else about the same thing are
//! refused.

use std::collections::BTreeMap;

use regorus::Engine;
use regorus::Value;

use super::error::LoadError;
use super::json;
use super::load::Source;
use super::settings::Limits;

/// Adds the files to `engine`.
pub(super) fn add(
    engine: &mut Engine,
    rego: &[&Source],
    data: &[&Source],
    limits: &Limits,
    errors: &mut Vec<LoadError>,
) {
    let bytes: usize = data.iter().map(|source| source.text.len()).sum();
    if bytes > limits.data_bytes_max {
        let message = format!("the data files have {bytes} bytes, more than {}", limits.data_bytes_max);
        return errors.push(LoadError::of_file("", message));
    }
    let mut added: Vec<(&str, Value)> = Vec::new();
    for source in data {
        let document = match document(source, rego) {
            Ok(document) => document,
            Err(message) => {
                errors.push(LoadError::of_file(&source.path, message));
                continue;
            }
        };
        let conflict =
            added.iter().find_map(|(file, other)| Some((*file, conflict(other, &document, "data".to_owned())?)));
        if let Some((other, path)) = conflict {
            let message = format!("it says something else about `{path}` than `{other}`");
            errors.push(LoadError::of_file(&source.path, message).hint("give one of them another folder or name"));
            continue;
        }
        if let Err(error) = engine.add_data(document.clone()) {
            errors.push(LoadError::of_file(&source.path, format!("it cannot be used: {error}")));
        }
        added.push((&source.path, document));
    }
}

/// A data file under the names of its folders.
fn document(source: &Source, rego: &[&Source]) -> Result<Value, String> {
    let is_yaml = source.path.ends_with(".yaml") || source.path.ends_with(".yml");
    let document = if is_yaml { yaml(&source.text)? } else { json(source.text.as_bytes())? };
    if !matches!(document, Value::Object(_)) {
        return Err("a data file must be an object".to_owned());
    }
    let folders = source.path.rsplit_once('/').map_or("", |(folders, _)| folders);
    let folders = folders.split('/').filter(|folder| !folder.is_empty() && *folder != ".");
    let document =
        folders.rev().fold(document, |inner, folder| Value::from(BTreeMap::from([(Value::from(folder), inner)])));
    let hides = document.as_object().is_ok_and(|fields| fields.contains_key(&Value::from("holdpoint")));
    match rego.first() {
        Some(rules) if hides => Err(format!(
            "data cannot be under `holdpoint`, where the rules are, such as those of `{}`; give it another name",
            rules.path
        )),
        Some(_) | None => Ok(document),
    }
}

fn json(text: &[u8]) -> Result<Value, String> {
    json::parse(text).map_err(|error| error.to_string())
}

fn yaml(text: &str) -> Result<Value, String> {
    json(yaml_json(text)?.as_bytes())
}

/// YAML as JSON would be written: texts stay texts, whatever they look like to older readers, and
/// numbers are kept exactly or refused. What is loaded and what is signed both go through here, so
/// that no document means one thing to the signature and another to the rules.
///
/// # Errors
/// Why it cannot be read.
pub(super) fn yaml_json(text: &str) -> Result<String, String> {
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_events: 4_000_000,
            max_nodes: 2_000_000,
            max_depth: json::DEPTH_MAX,
            flow_nesting_limit: json::DEPTH_MAX,
            max_documents: 1,
            max_total_scalar_bytes: text.len().saturating_mul(4).saturating_add(64 << 10),
        },
        // Enough for what is repeated by hand, and too little for a bomb.
        alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: 100_000, max_replay_stack_depth: 8 },
        strict_booleans: true,
        reject_unsupported_tags: true,
        with_snippet: false,
    };
    let value: serde_json::Value = serde_saphyr::from_str_with_options(text, options).map_err(|error| {
        let error = error.to_string();
        error.lines().next().unwrap_or_default().to_owned()
    })?;
    if let Some(number) = rounded(&value) {
        return Err(format!("the number `{number}` may have been rounded; write it in a JSON file, or as a text"));
    }
    Ok(value.to_string())
}

/// A number so large that YAML's reader has only some of its digits.
fn rounded(value: &serde_json::Value) -> Option<f64> {
    match value {
        serde_json::Value::Number(number) if number.is_f64() => {
            number.as_f64().filter(|number| number.abs() >= EXACT_MAX)
        }
        serde_json::Value::Array(items) => items.iter().find_map(rounded),
        serde_json::Value::Object(fields) => fields.values().find_map(rounded),
        _ => None,
    }
}

/// 2^53: above it, a double leaves out whole numbers.
const EXACT_MAX: f64 = 9_007_199_254_740_992.0;

/// The path below which two documents disagree. Both are no deeper than a document may be.
fn conflict(one: &Value, other: &Value, path: String) -> Option<String> {
    match (one, other) {
        (Value::Object(one), Value::Object(other)) => one.iter_sorted().find_map(|(key, value)| {
            let name = key.as_string().map_or_else(|_| key.to_string(), |name| name.to_string());
            conflict(value, other.get(key)?, format!("{path}.{name}"))
        }),
        _ => (one != other).then_some(path),
    }
}
