//! What a rule may ask for beside its verdict, key by key (DESIGN 4).
//!
//! The same code checks constant objects when a policy is loaded and all objects when it is asked.

use std::collections::BTreeMap;
use std::time::Duration;

use regorus::Value;

use super::rules::RuleKind;
use super::settings::Settings;
use crate::model::Assurance;
use crate::model::OnDisconnect;
use crate::model::Requirement;
use crate::model::Risk;

/// The longest name of a rule, in bytes.
const RULE_BYTES_MAX: usize = 128;
/// The longest reason, in bytes.
const REASON_BYTES_MAX: usize = 4_096;
/// The most people that one group can be asked for.
const REVIEWERS_MAX: u64 = 100;
/// The longest expiry.
const EXPIRES_IN_MAX: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// The name of a rule that gives none.
pub(super) const UNNAMED: &str = "unnamed";

/// What is wrong with one object of a set.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}{message}", of(.rule))]
pub struct ObligationError {
    /// The rule, as far as it is known.
    pub rule: Option<String>,
    /// What is wrong.
    pub message: String,
}

fn of(rule: &Option<String>) -> String {
    rule.as_ref().map_or(String::new(), |rule| format!("rule `{rule}`: "))
}

/// What one matching rule asks for.
#[derive(Clone, Debug, Default)]
pub(super) struct Obligations {
    pub(super) rule: Option<String>,
    pub(super) reason: Option<String>,
    pub(super) risk: Option<Risk>,
    pub(super) reviewers: Option<Vec<Requirement>>,
    pub(super) expires_in: Option<Duration>,
    pub(super) hold_for: Option<Duration>,
    pub(super) assurance: Option<Assurance>,
    pub(super) require_reason: bool,
    pub(super) irreversible: bool,
    pub(super) credential: Option<String>,
    pub(super) on_disconnect: OnDisconnect,
    pub(super) repeatable: bool,
}

/// The keys of each set. What a rule says and we do not do yet is refused: a redaction that is
/// silently ignored would leak, and a shadow rule would act.
const KEYS: [(RuleKind, &[&str]); 3] = [
    (RuleKind::Deny, &["rule", "reason"]),
    (
        RuleKind::Hold,
        &[
            "rule",
            "reason",
            "risk",
            "reviewers",
            "expires_in",
            "hold_for",
            "assurance",
            "channels",
            "require_reason",
            "irreversible",
            "credential",
            "on_disconnect",
            "repeatable",
        ],
    ),
    (RuleKind::Allow, &["rule", "reason", "credential", "log"]),
];
const NOT_YET: [&str; 4] = ["grant", "escalate", "redact", "enforce"];

impl Obligations {
    /// Reads an object that a rule added to the set of `kind`.
    pub(super) fn read(kind: RuleKind, value: &Value, settings: &Settings) -> Result<Self, ObligationError> {
        let mut read = Self::default();
        let Value::Object(fields) = value else {
            let message = format!("a rule adds an object such as {{\"rule\": \"my-rule\"}}, not {}", shown(value));
            return Err(ObligationError { rule: None, message });
        };
        // The rule's own name comes first, so that what else is wrong can be told with it.
        let (name, others): (Vec<_>, Vec<_>) = fields.iter_sorted().partition(|(key, _)| is_rule(key));
        for (key, value) in name.into_iter().chain(others) {
            if let Err(message) = read.set(kind, key, value, settings) {
                return Err(ObligationError { rule: read.rule, message });
            }
        }
        if kind == RuleKind::Hold && read.reviewers.is_none() && settings.default_reviewers.is_empty() {
            return Err(ObligationError { rule: read.rule, message: NO_REVIEWERS.to_owned() });
        }
        Ok(read)
    }

    /// Takes one key of the object.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn set(
        &mut self,
        kind: RuleKind,
        key: &Value,
        value: &Value,
        settings: &Settings,
    ) -> Result<(), String> {
        let key = known(kind, key)?;
        match key {
            "rule" => self.rule = Some(name(value)?),
            "reason" => self.reason = Some(text(key, value, REASON_BYTES_MAX)?),
            "risk" => self.risk = Some(one_of(key, value, &RISKS)?),
            "reviewers" => self.reviewers = Some(reviewers(value, settings)?),
            "expires_in" => {
                let duration = duration(key, value)?;
                if duration.is_zero() || duration > EXPIRES_IN_MAX {
                    return Err(format!("`expires_in` must be more than nothing and at most 30 days, not {value}"));
                }
                self.expires_in = Some(duration);
            }
            "hold_for" => self.hold_for = Some(duration(key, value)?),
            "assurance" => self.assurance = Some(one_of(key, value, &ASSURANCES)?),
            "channels" | "log" => drop(texts(key, value)?),
            "require_reason" => self.require_reason = boolean(key, value)?,
            "irreversible" => self.irreversible = boolean(key, value)?,
            "credential" => {
                let credential = text(key, value, RULE_BYTES_MAX)?;
                if !settings.credentials.contains(&credential) {
                    return Err(format!("there is no credential `{}` in the configuration", credential.escape_debug()));
                }
                self.credential = Some(credential);
            }
            "repeatable" => self.repeatable = boolean(key, value)?,
            "on_disconnect" => self.on_disconnect = one_of(key, value, &ON_DISCONNECT)?,
            _ => return Err(format!("`{key}` is not supported yet; remove it")),
        }
        Ok(())
    }
}

/// The key as text, if an object of the set of `kind` can have it.
///
/// # Errors
/// Why it cannot.
pub(super) fn known(kind: RuleKind, key: &Value) -> Result<&str, String> {
    let Value::String(key) = key else { return Err(format!("keys must be texts, not {}", shown(key))) };
    let known = KEYS.iter().find(|(of, _)| *of == kind).map_or(&[][..], |(_, keys)| keys);
    if known.contains(&&**key) {
        return Ok(key);
    }
    Err(match NOT_YET.contains(&&**key) {
        true => format!("`{key}` is not supported yet; remove it"),
        false => format!("`{kind}` has no `{key}`; it has `{}`", known.join("`, `")),
    })
}

/// Said of a hold that nobody could approve.
pub(super) const NO_REVIEWERS: &str = "a hold needs `reviewers`, or `policy.default_reviewers` in the configuration";

const RISKS: [(&str, Risk); 4] =
    [("low", Risk::Low), ("medium", Risk::Medium), ("high", Risk::High), ("critical", Risk::Critical)];
const ASSURANCES: [(&str, Assurance); 3] =
    [("chat", Assurance::Chat), ("session", Assurance::Session), ("stepup", Assurance::Stepup)];
const ON_DISCONNECT: [(&str, OnDisconnect); 2] = [("wait", OnDisconnect::Wait), ("withdraw", OnDisconnect::Withdraw)];

fn is_rule(key: &Value) -> bool {
    matches!(key, Value::String(key) if &**key == "rule")
}

/// A value as people should see it in an error, not longer than a line.
fn shown(value: &Value) -> String {
    let text = value.to_string();
    let short: String = text.chars().take(60).collect();
    if short.len() < text.len() { format!("`{short}…`") } else { format!("`{short}`") }
}

fn name(value: &Value) -> Result<String, String> {
    let name = text("rule", value, RULE_BYTES_MAX)?;
    if name.is_empty() || name.chars().any(char::is_control) {
        return Err(format!("`rule` must be a name without control characters, not {}", shown(value)));
    }
    Ok(name)
}

fn text(key: &str, value: &Value, bytes_max: usize) -> Result<String, String> {
    match value {
        Value::String(text) if text.len() <= bytes_max => Ok(text.to_string()),
        Value::String(_) => Err(format!("`{key}` can have at most {bytes_max} bytes")),
        _ => Err(format!("`{key}` must be a text, not {}", shown(value))),
    }
}

fn texts(key: &str, value: &Value) -> Result<Vec<String>, String> {
    let wrong = || format!("`{key}` must be a list of texts, not {}", shown(value));
    let items = value.as_array().map_err(|_| wrong())?;
    items.iter().map(|item| text(key, item, RULE_BYTES_MAX).map_err(|_| wrong())).collect()
}

fn boolean(key: &str, value: &Value) -> Result<bool, String> {
    match value {
        Value::Bool(value) => Ok(*value),
        _ => Err(format!("`{key}` must be true or false, not {}", shown(value))),
    }
}

fn one_of<T: Copy>(key: &str, value: &Value, words: &[(&str, T)]) -> Result<T, String> {
    let found = value.as_string().ok().and_then(|text| words.iter().find(|(word, _)| *word == &**text));
    found.map(|(_, meaning)| *meaning).ok_or_else(|| {
        let words: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        format!("`{key}` must be one of `{}`, not {}", words.join("`, `"), shown(value))
    })
}

/// A duration such as `30m` or `1h30m`.
fn duration(key: &str, value: &Value) -> Result<Duration, String> {
    let parsed = value.as_string().ok().and_then(|text| parse_duration(text));
    parsed.ok_or_else(|| format!("`{key}` must be a duration such as `45s`, `30m` or `1h30m`, not {}", shown(value)))
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

fn reviewers(value: &Value, settings: &Settings) -> Result<Vec<Requirement>, String> {
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
            Value::String(key) if &**key == "group" => group = Some(text("group", value, RULE_BYTES_MAX)?),
            Value::String(key) if &**key == "count" => {
                let number = value.as_u64().ok().filter(|count| (1..=REVIEWERS_MAX).contains(count));
                let number = number.and_then(|count| u32::try_from(count).ok());
                count = number.ok_or_else(|| {
                    format!("`count` must be a whole number from 1 to {REVIEWERS_MAX}, not {}", shown(value))
                })?;
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
