//! What a rule may ask for beside its verdict, key by key (DESIGN 4).
//!
//! The same code checks constant objects when a policy is loaded and all objects when it is asked.

use std::time::Duration;

use regorus::Value;

use super::rules::RuleKind;
use super::settings::Settings;
use super::values;
use super::values::boolean;
use super::values::duration;
use super::values::one_of;
use super::values::reviewers;
use super::values::shown;
use super::values::text;
use crate::model::Assurance;
use crate::model::Escalation;
use crate::model::Grant;
use crate::model::OnDisconnect;
use crate::model::RequestPointer;
use crate::model::Requirement;
use crate::model::Risk;

/// The longest name of a rule or a credential, in bytes.
const RULE_BYTES_MAX: usize = 128;
/// The longest reason, in bytes.
const REASON_BYTES_MAX: usize = 4_096;
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
    pub(super) enforce: Enforce,
    pub(super) channels: Vec<String>,
    pub(super) grant: Option<Grant>,
    pub(super) redact: Vec<RequestPointer>,
    pub(super) escalate: Vec<Escalation>,
    pub(super) log: Vec<String>,
}

/// Whether a rule acts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Enforce {
    /// It does.
    #[default]
    Full,
    /// It is only recorded.
    Shadow,
}

/// The keys of each set.
const KEYS: [(RuleKind, &[&str]); 3] = [
    (RuleKind::Deny, &["rule", "reason", "enforce"]),
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
            "grant",
            "redact",
            "escalate",
            "enforce",
        ],
    ),
    (RuleKind::Allow, &["rule", "reason", "credential", "log", "enforce"]),
];

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
        if let Err(message) = read.fits_together() {
            return Err(ObligationError { rule: read.rule, message });
        }
        if kind == RuleKind::Hold && read.reviewers.is_none() && settings.default_reviewers.is_empty() {
            return Err(ObligationError { rule: read.rule, message: NO_REVIEWERS.to_owned() });
        }
        Ok(read)
    }

    /// What is wrong with it, told with its name.
    pub(super) fn error(&self, message: &str) -> ObligationError {
        ObligationError { rule: self.rule.clone(), message: message.to_owned() }
    }

    /// What two keys together must not say.
    ///
    /// # Errors
    /// What is wrong.
    pub(super) fn fits_together(&self) -> Result<(), String> {
        if self.irreversible && self.grant.is_some() {
            return Err(
                "`grant` and `irreversible` exclude each other: what cannot be undone is asked about each time"
                    .to_owned(),
            );
        }
        let late = |step: &&Escalation| self.expires_in.is_some_and(|expires_in| step.after >= expires_in);
        match self.escalate.iter().find(late) {
            Some(_) => Err("`escalate` begins only after `expires_in`".to_owned()),
            None => Ok(()),
        }
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
            "expires_in" => self.expires_in = Some(values::limited_duration(key, value)?),
            "hold_for" => self.hold_for = Some(duration(key, value)?),
            "assurance" => self.assurance = Some(one_of(key, value, &ASSURANCES)?),
            "channels" => self.channels = values::channels(value)?,
            "grant" => self.grant = Some(values::grant(value)?),
            "redact" => self.redact = values::pointers(value)?,
            "escalate" => self.escalate = values::escalations(value, settings)?,
            "log" => self.log = values::log(value)?,
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
            "enforce" => self.enforce = enforce(value)?,
            "on_disconnect" => self.on_disconnect = one_of(key, value, &ON_DISCONNECT)?,
            _ => return Err(format!("`{key}` is not known")),
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
    Err(format!("`{kind}` has no `{key}`; it has `{}`", known.join("`, `")))
}

/// Said of an object that is in shadow mode only once it is computed.
pub(super) const LATE_SHADOW: &str =
    "`enforce` must be written in the rule's own object, or in its METADATA, and not be computed";

/// Said of a hold that nobody could approve.
pub(super) const NO_REVIEWERS: &str = "a hold needs `reviewers`, or `policy.default_reviewers` in the configuration";

const RISKS: [(&str, Risk); 4] =
    [("low", Risk::Low), ("medium", Risk::Medium), ("high", Risk::High), ("critical", Risk::Critical)];
const ASSURANCES: [(&str, Assurance); 3] =
    [("chat", Assurance::Chat), ("session", Assurance::Session), ("stepup", Assurance::Stepup)];
const ON_DISCONNECT: [(&str, OnDisconnect); 2] = [("wait", OnDisconnect::Wait), ("withdraw", OnDisconnect::Withdraw)];

const ENFORCE: [(&str, Enforce); 2] = [("full", Enforce::Full), ("shadow", Enforce::Shadow)];

/// What a rule, or the comment above it, says under `enforce`.
pub(super) fn enforce(value: &Value) -> Result<Enforce, String> {
    one_of("enforce", value, &ENFORCE)
}

fn is_rule(key: &Value) -> bool {
    matches!(key, Value::String(key) if &**key == "rule")
}

fn name(value: &Value) -> Result<String, String> {
    let name = text("rule", value, RULE_BYTES_MAX)?;
    if name.is_empty() || name.chars().any(char::is_control) {
        return Err(format!("`rule` must be a name without control characters, not {}", shown(value)));
    }
    Ok(name)
}
