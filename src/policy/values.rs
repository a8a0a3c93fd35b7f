//! How the values of an object are read, and what is said of those that are wrong.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::LazyLock;
use std::time::Duration;

use regorus::Value;

use super::schema;
use super::settings::Settings;
use crate::model::Escalation;
use crate::model::Grant;
use crate::model::RequestPointer;
use crate::model::Requirement;

/// The longest name of a group or channel, in bytes.
const NAME_BYTES_MAX: usize = 128;
/// The longest pointer or path, in bytes.
const PATH_BYTES_MAX: usize = 512;
/// The most items of a list, so that a record stays one that people can read.
const ITEMS_MAX: usize = 64;
/// The most people that one group can be asked for.
const REVIEWERS_MAX: u64 = 100;
/// The longest expiry, and what else lasts.
const DURATION_MAX: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// The most calls that one grant can cover.
const USES_MAX: u64 = 1_000;

/// A value as people should see it in an error, not longer than a line.
pub(super) fn shown(value: &Value) -> String {
    let text = value.to_string();
    let short: String = text.chars().take(60).collect();
    if short.len() < text.len() { format!("`{short}…`") } else { format!("`{short}`") }
}

pub(super) fn text(key: &str, value: &Value, bytes_max: usize) -> Result<String, String> {
    match value {
        Value::String(text) if text.len() <= bytes_max => Ok(text.to_string()),
        Value::String(_) => Err(format!("`{key}` can have at most {bytes_max} bytes")),
        _ => Err(format!("`{key}` must be a text, not {}", shown(value))),
    }
}

/// Texts without repetition, in order.
fn texts(key: &str, value: &Value, bytes_max: usize) -> Result<Vec<String>, String> {
    let wrong = || format!("`{key}` must be a list of texts, not {}", shown(value));
    let items = value.as_array().map_err(|_| wrong())?;
    if items.len() > ITEMS_MAX {
        return Err(format!("`{key}` can have at most {ITEMS_MAX} items"));
    }
    let texts = items.iter().map(|item| {
        let text = item.as_string().map_err(|_| wrong())?;
        match text.len() <= bytes_max {
            true => Ok(text.to_string()),
            false => Err(format!("each of `{key}` can have at most {bytes_max} bytes")),
        }
    });
    Ok(texts.collect::<Result<BTreeSet<_>, _>>()?.into_iter().collect())
}

pub(super) fn boolean(key: &str, value: &Value) -> Result<bool, String> {
    match value {
        Value::Bool(value) => Ok(*value),
        _ => Err(format!("`{key}` must be true or false, not {}", shown(value))),
    }
}

pub(super) fn one_of<T: Copy>(key: &str, value: &Value, words: &[(&str, T)]) -> Result<T, String> {
    let found = value.as_string().ok().and_then(|text| words.iter().find(|(word, _)| *word == &**text));
    found.map(|(_, meaning)| *meaning).ok_or_else(|| {
        let words: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        format!("`{key}` must be one of `{}`, not {}", words.join("`, `"), shown(value))
    })
}

/// A duration such as `30m` or `1h30m`.
pub(super) fn duration(key: &str, value: &Value) -> Result<Duration, String> {
    let parsed = value.as_string().ok().and_then(|text| parse_duration(text));
    parsed.ok_or_else(|| format!("`{key}` must be a duration such as `45s`, `30m` or `1h30m`, not {}", shown(value)))
}

/// A duration that something can last: more than nothing, and no more than people will remember.
pub(super) fn limited_duration(key: &str, value: &Value) -> Result<Duration, String> {
    let duration = duration(key, value)?;
    if duration.is_zero() || duration > DURATION_MAX {
        return Err(format!("`{key}` must be more than nothing and at most 30 days, not {value}"));
    }
    Ok(duration)
}

fn parse_duration(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut total = Duration::ZERO;
    let mut unit_before = u64::MAX;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let number: u64 = rest.get(..digits)?.parse().ok()?;
        let (unit, seconds) =
            [("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)].into_iter().find(|(unit, seconds)| {
                *seconds < unit_before && rest.get(digits..).is_some_and(|rest| rest.starts_with(unit))
            })?;
        unit_before = seconds;
        total = total.checked_add(Duration::from_secs(number.checked_mul(seconds)?))?;
        rest = rest.get(digits + unit.len()..)?;
    }
    (!text.is_empty()).then_some(total)
}

pub(super) fn reviewers(value: &Value, settings: &Settings) -> Result<Vec<Requirement>, String> {
    let example = "a list such as [{\"group\": \"security\", \"count\": 1}]";
    let items = value.as_array().map_err(|_| format!("`reviewers` must be {example}, not {}", shown(value)))?;
    let mut groups = BTreeMap::new();
    for item in items.iter() {
        let Requirement { group, count } = reviewer(item, settings)?;
        if groups.insert(group.clone(), count).is_some() {
            return Err(format!("`reviewers` names group `{group}` twice"));
        }
    }
    if groups.is_empty() {
        return Err(format!("`reviewers` must name somebody: {example}"));
    }
    Ok(groups.into_iter().map(|(group, count)| Requirement { group, count }).collect())
}

fn reviewer(value: &Value, settings: &Settings) -> Result<Requirement, String> {
    let Value::Object(fields) = value else {
        return Err(format!("each of `reviewers` must be an object with a `group`, not {}", shown(value)));
    };
    let mut group = None;
    let mut count = 1;
    for (key, value) in fields.iter_sorted() {
        match key {
            Value::String(key) if &**key == "group" => group = Some(text("group", value, NAME_BYTES_MAX)?),
            Value::String(key) if &**key == "count" => {
                count = whole_number(key, value, REVIEWERS_MAX)?;
            }
            _ => return Err(format!("each of `reviewers` has a `group` and a `count`, but no {}", shown(key))),
        }
    }
    let group = group.ok_or("each of `reviewers` must name a `group`")?;
    if !settings.groups.contains(&group) {
        let known: Vec<&str> = settings.groups.iter().map(String::as_str).collect();
        return Err(format!(
            "there is no reviewer group `{}`; the configuration has `{}`",
            group.escape_debug(),
            known.join("`, `")
        ));
    }
    Ok(Requirement { group, count })
}

/// The channels by which reviewers hear of a call.
pub(super) fn channels(value: &Value) -> Result<Vec<String>, String> {
    let channels = texts("channels", value, NAME_BYTES_MAX)?;
    let is_name = |name: &String| !name.is_empty() && !name.chars().any(|c| c.is_control() || c.is_whitespace());
    match channels.iter().find(|name| !is_name(name)) {
        None => Ok(channels),
        Some(name) => Err(format!("`channels` has `{}`, which is not a name", name.escape_debug())),
    }
}

/// Both bounds of a grant: one that has only one of them has none.
pub(super) fn grant(value: &Value) -> Result<Grant, String> {
    let fields = value.as_object().map_err(|_| {
        format!("`grant` must be an object such as {{\"max_uses\": 5, \"max_duration\": \"1h\"}}, not {}", shown(value))
    })?;
    let (mut max_uses, mut max_duration) = (None, None);
    for (key, value) in fields.iter_sorted() {
        match key {
            Value::String(key) if &**key == "max_uses" => max_uses = Some(whole_number(key, value, USES_MAX)?),
            Value::String(key) if &**key == "max_duration" => max_duration = Some(limited_duration(key, value)?),
            _ => return Err(format!("`grant` has `max_uses` and `max_duration`, but no {}", shown(key))),
        }
    }
    match (max_uses, max_duration) {
        (Some(max_uses), Some(max_duration)) => Ok(Grant { max_uses, max_duration }),
        _ => Err("`grant` needs both `max_uses` and `max_duration`".to_owned()),
    }
}

/// What reviewers see only as hashes.
pub(super) fn pointers(value: &Value) -> Result<Vec<RequestPointer>, String> {
    let pointer = |text: String| {
        let parsed = text.parse().map_err(|error| format!("`redact` has `{}`: {error}", text.escape_debug()));
        parsed.map(|pointer: RequestPointer| pointer)
    };
    texts("redact", value, PATH_BYTES_MAX)?.into_iter().map(pointer).collect()
}

/// Who else may approve, and from when on.
pub(super) fn escalations(value: &Value, settings: &Settings) -> Result<Vec<Escalation>, String> {
    let example = "a list such as [{\"after\": \"10m\", \"reviewers\": [{\"group\": \"security\"}]}]";
    let items = value.as_array().map_err(|_| format!("`escalate` must be {example}, not {}", shown(value)))?;
    if items.is_empty() || items.len() > ITEMS_MAX {
        return Err(format!("`escalate` must have 1 to {ITEMS_MAX} steps: {example}"));
    }
    items.iter().map(|item| escalation(item, settings)).collect()
}

fn escalation(value: &Value, settings: &Settings) -> Result<Escalation, String> {
    let Value::Object(fields) = value else {
        return Err(format!("each of `escalate` must be an object with `after` and `reviewers`, not {}", shown(value)));
    };
    let (mut after, mut people) = (None, None);
    for (key, value) in fields.iter_sorted() {
        match key {
            Value::String(key) if &**key == "after" => after = Some(limited_duration(key, value)?),
            Value::String(key) if &**key == "reviewers" => people = Some(reviewers(value, settings)?),
            _ => return Err(format!("each of `escalate` has `after` and `reviewers`, but no {}", shown(key))),
        }
    }
    match (after, people) {
        (Some(after), Some(reviewers)) => Ok(Escalation { after, reviewers }),
        _ => Err("each of `escalate` needs both `after` and `reviewers`".to_owned()),
    }
}

/// Paths below `input` that go into the audit log, without an `input.` before them. Bodies never
/// do.
pub(super) fn log(value: &Value) -> Result<Vec<String>, String> {
    let paths = texts("log", value, NAME_BYTES_MAX)?;
    let paths: BTreeSet<String> =
        paths.into_iter().map(|path| path.strip_prefix("input.").unwrap_or(&path).to_owned()).collect();
    for path in &paths {
        let names: Vec<&str> = path.split('.').collect();
        if matches!(*names, ["request"] | ["request", "body", ..]) {
            return Err(format!("`log` has `{path}`, and bodies never go into the log; name other fields"));
        }
        if names.contains(&"") || schema::follow(&INPUT, &names).is_err() {
            return Err(format!("`log` has `{}`, which `input` has not", path.escape_debug()));
        }
    }
    Ok(paths.into_iter().collect())
}

/// The schema does not change.
static INPUT: LazyLock<serde_json::Value> = LazyLock::new(schema::input_schema);

fn whole_number(key: &str, value: &Value, max: u64) -> Result<u32, String> {
    let number = value.as_u64().ok().filter(|number| (1..=max).contains(number));
    let number = number.and_then(|number| u32::try_from(number).ok());
    number.ok_or_else(|| format!("`{key}` must be a whole number from 1 to {max}, not {}", shown(value)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_numbers_with_units_from_large_to_small() {
        for (text, seconds) in [
            ("45s", Some(45)),
            ("30m", Some(1_800)),
            ("1h30m", Some(5_400)),
            ("2d", Some(172_800)),
            ("0s", Some(0)),
            ("", None),
            ("30", None),
            ("m", None),
            ("30m1h", None),
            ("1h1h", None),
            ("1.5h", None),
            ("-1h", None),
            ("30 m", None),
            ("99999999999999999999s", None),
            ("18446744073709551615d", None),
        ] {
            assert_eq!(parse_duration(text).map(|duration| duration.as_secs()), seconds, "{text}");
        }
    }
}
