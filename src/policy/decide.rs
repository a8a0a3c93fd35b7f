//! Asking a policy about one call.

use std::collections::BTreeSet;
use std::panic::AssertUnwindSafe;
use std::panic::catch_unwind;
use std::sync::Arc;

use regorus::Engine;
use regorus::LimitError;
use regorus::Value;

use super::cache::Answer;
use super::cache::Cache;
use super::error::EvaluateError;
use super::input;
use super::input::History;
use super::input::Input;
use super::merge;
use super::obligations::Enforce;
use super::obligations::LATE_SHADOW;
use super::obligations::Obligations;
use super::projection::Projection;
use super::reads::InputPaths;
use super::rules::RuleInfo;
use super::rules::RuleKind;
use super::settings::DefaultEffect;
use super::settings::Settings;
use super::shadow;
use crate::model::Assurance;
use crate::model::Body;
use crate::model::Call;
use crate::model::Decision;
use crate::model::DecisionId;
use crate::model::Effect;
use crate::model::HoldObligations;
use crate::model::Message;
use crate::model::OnDisconnect;
use crate::model::PolicyDigest;
use crate::model::Shadow;
use crate::model::ShadowMatch;
use crate::model::Timestamp;

/// A compiled policy. It never changes: a changed policy is another one, with another digest.
pub struct Policy {
    /// Prepared, and cloned for each evaluation.
    pub(super) engine: Engine,
    /// The sets that some rule adds to.
    pub(super) kinds: BTreeSet<RuleKind>,
    /// The sets that rules in shadow mode add to.
    pub(super) shadow_kinds: BTreeSet<RuleKind>,
    pub(super) reads: InputPaths,
    /// The same without the rules in shadow mode.
    pub(super) enforced_reads: InputPaths,
    /// Whether rules or data say `approved_before` anywhere.
    pub(super) mentions_history: bool,
    /// What decisions depend on, where they can be shared, and those made so far.
    pub(super) projection: Option<Projection>,
    pub(super) cache: Cache,
    pub(super) rules: Vec<RuleInfo>,
    pub(super) digest: PolicyDigest,
    pub(super) settings: Settings,
}

impl Policy {
    /// Names exactly these files and the settings that change an answer.
    pub fn digest(&self) -> PolicyDigest {
        self.digest
    }

    /// True unless no rule can look at the body or its length. A call must then be read whole
    /// before it is decided.
    pub fn reads_body(&self) -> bool {
        BODY.iter().any(|name| self.enforced_reads.may_read(&["request", name]))
    }

    /// True if a rule in shadow mode can look at the body or its length. It does without where the
    /// body was not read.
    pub fn shadow_reads_body(&self) -> bool {
        !self.shadow_kinds.is_empty() && BODY.iter().any(|name| self.reads.may_read(&["request", name]))
    }

    /// True if a rule can look at what was approved before. The digest of a call, and so its whole body,
    /// is then needed before it is decided.
    pub fn reads_history(&self) -> bool {
        self.asks_history(&self.enforced_reads)
    }

    /// True if a rule in shadow mode can look at what was approved before.
    pub fn shadow_reads_history(&self) -> bool {
        !self.shadow_kinds.is_empty() && self.asks_history(&self.reads)
    }

    /// A rule that takes all of `input.context` looks for it only if the policy says its name somewhere;
    /// one that did not find it would take the call for one that was never approved.
    fn asks_history(&self, reads: &InputPaths) -> bool {
        reads.names(&APPROVED_BEFORE) || (self.mentions_history && reads.may_read(&APPROVED_BEFORE))
    }

    /// The parts of the input that rules can look at.
    pub fn reads(&self) -> &InputPaths {
        &self.reads
    }

    /// The rules whose names are constant in the source, in the order of the source.
    pub fn rules(&self) -> Vec<RuleInfo> {
        self.rules.clone()
    }

    /// Decides about `call`: any deny wins, then all holds together, then any allow, then the
    /// default (DESIGN 4). `approval` is given once people have approved the call.
    ///
    /// # Errors
    /// If a rule fails, takes too long, or asks for something that cannot be done; if a rule looks
    /// at a body that was not read, or that is not what its content type says.
    pub fn decide(
        &self,
        call: &Call,
        approval: Option<&serde_json::Value>,
        id: DecisionId,
        now: Timestamp,
    ) -> Result<Decision, EvaluateError> {
        self.decide_knowing(call, approval, None, id, now)
    }

    /// The same with what was approved before, for policies that ask.
    ///
    /// # Errors
    /// Those of [`Self::decide`]; if the policy [asks](Self::reads_history) and `history` is not
    /// known.
    pub fn decide_knowing(
        &self,
        call: &Call,
        approval: Option<&serde_json::Value>,
        history: Option<History>,
        id: DecisionId,
        now: Timestamp,
    ) -> Result<Decision, EvaluateError> {
        if history.is_none() && self.reads_history() {
            return Err(EvaluateError::HistoryUnknown);
        }
        let Message::Http(request) = &call.message;
        if matches!(request.body, Body::Unread | Body::Kept { .. }) && self.reads_body() {
            return Err(EvaluateError::BodyUnread);
        }
        // With an approval in hand the question is another one each time.
        let key = self.projection.as_ref().filter(|_| approval.is_none()).map(|projection| projection.key(call));
        if let Some((effect, shadow)) = key.as_ref().and_then(|key| self.cache.find(key)) {
            return Ok(Decision { id, policy: self.digest, effect, shadow });
        }
        let (effect, shadow) = self.evaluate(call, approval, history, now)?;
        // That a rule failed may have been for want of time.
        if let Some(key) = key.filter(|_| shadow.as_ref().is_none_or(|shadow| shadow.error.is_none())) {
            self.cache.keep(key, &(effect.clone(), shadow.clone()));
        }
        Ok(Decision { id, policy: self.digest, effect, shadow })
    }

    /// True if calls that the rules cannot tell apart share a decision.
    pub fn shares_decisions(&self) -> bool {
        self.projection.is_some()
    }

    fn evaluate(
        &self,
        call: &Call,
        approval: Option<&serde_json::Value>,
        history: Option<History>,
        now: Timestamp,
    ) -> Result<Answer, EvaluateError> {
        let Input { value, malformed } = input::build(call, approval, history, now);
        if let Some(problem) = malformed.as_ref().filter(|_| trusts_body(&self.enforced_reads)) {
            return Err(EvaluateError::BodyUnreadable(problem.clone()));
        }
        let mut engine = self.engine.clone();
        engine.set_input(value.clone());
        let effect = self.effect(&mut engine)?;
        Ok((effect, self.shadow(call, value, malformed, history)))
    }

    /// Decides about an input that was saved or made up, for `policy eval` and `policy replay`.
    ///
    /// # Errors
    /// As for [`Self::decide`], but for what only the call itself shows.
    pub fn decide_input(&self, input: &serde_json::Value) -> Result<Effect, EvaluateError> {
        let body_error = input.get("request").and_then(|request| request.get("body_error")?.as_str());
        if let Some(problem) = body_error.filter(|_| trusts_body(&self.enforced_reads) && input::is_malformed(input)) {
            return Err(EvaluateError::BodyUnreadable(problem.to_owned()));
        }
        let mut engine = self.engine.clone();
        engine.set_input(input::from_json(input));
        self.effect(&mut engine)
    }

    /// What rules in shadow mode would have done. Whatever goes wrong with them is told and has no
    /// effect.
    fn shadow(
        &self,
        call: &Call,
        input: Value,
        malformed: Option<String>,
        history: Option<History>,
    ) -> Option<Arc<Shadow>> {
        if self.shadow_kinds.is_empty() {
            return None;
        }
        let mut shadow = Shadow::default();
        let Message::Http(request) = &call.message;
        let unusable = match malformed.filter(|_| trusts_body(&self.reads)) {
            Some(problem) => Some(EvaluateError::BodyUnreadable(problem)),
            None if history.is_none() && self.shadow_reads_history() => Some(EvaluateError::HistoryUnknown),
            None => (matches!(request.body, Body::Unread | Body::Kept { .. }) && self.shadow_reads_body())
                .then_some(EvaluateError::BodyUnread),
        };
        let kinds = self.shadow_kinds.iter().filter(|_| unusable.is_none());
        shadow.error = unusable.as_ref().map(ToString::to_string);
        for kind in kinds {
            // Another engine for each: what one has failed at says nothing about the next.
            let mut engine = self.engine.clone();
            engine.set_input(input.clone());
            match self.matched(&mut engine, *kind, shadow::path(*kind)) {
                Ok(matched) if matched.is_empty() => {}
                Ok(matched) => {
                    let rules = merge::names(matched);
                    shadow.matches.push(ShadowMatch { effect: kind.shadow_effect(), rules });
                }
                Err(error) => shadow.error = Some(error.to_string()),
            }
        }
        (!shadow.matches.is_empty() || shadow.error.is_some()).then(|| Arc::new(shadow))
    }

    fn effect(&self, engine: &mut Engine) -> Result<Effect, EvaluateError> {
        let denials = self.enforced(engine, RuleKind::Deny)?;
        if !denials.is_empty() {
            return Ok(Effect::Deny(merge::denials(denials)));
        }
        let holds = self.enforced(engine, RuleKind::Hold)?;
        if !holds.is_empty() {
            let merged = merge::holds(holds, &self.settings.default_reviewers);
            return merged.map(Effect::Hold).map_err(|error| failed(RuleKind::Hold, error));
        }
        let allows = self.enforced(engine, RuleKind::Allow)?;
        if !allows.is_empty() {
            return merge::allows(allows).map(Effect::Allow).map_err(|error| failed(RuleKind::Allow, error));
        }
        Ok(match self.settings.default {
            DefaultEffect::Deny => Effect::NoMatch,
            DefaultEffect::Hold => Effect::Hold(self.default_hold()),
        })
    }

    /// What the rules of one set ask for, of those that matched.
    fn enforced(&self, engine: &mut Engine, kind: RuleKind) -> Result<Vec<Obligations>, EvaluateError> {
        if !self.kinds.contains(&kind) {
            return Ok(Vec::new());
        }
        let matched = self.matched(engine, kind, kind.path().to_owned())?;
        match matched.iter().find(|matched| matched.enforce == Enforce::Shadow) {
            None => Ok(matched),
            Some(late) => Err(failed(kind, late.error(LATE_SHADOW))),
        }
    }

    fn matched(&self, engine: &mut Engine, kind: RuleKind, set: String) -> Result<Vec<Obligations>, EvaluateError> {
        // regorus is large; should it ever panic, this call is refused and all others go on. The
        // engine is this call's own and is dropped.
        let answer = catch_unwind(AssertUnwindSafe(|| engine.eval_rule(set)))
            .map_err(|_| EvaluateError::Rego(format!("the evaluation of `{kind}` panicked")))?;
        match answer {
            Ok(Value::Set(objects)) => objects
                .iter_sorted()
                .map(|object| Obligations::read(kind, object, &self.settings).map_err(|error| failed(kind, error)))
                .collect(),
            Ok(other) => Err(EvaluateError::Rego(format!("`{kind}` is not a set but `{other}`"))),
            Err(error) => Err(self.rego_error(&error)),
        }
    }

    fn rego_error(&self, error: &anyhow::Error) -> EvaluateError {
        let detail = error.to_string().trim().to_owned();
        let is_limit = matches!(error.downcast_ref(), Some(LimitError::TimeLimitExceeded { .. }));
        // Errors inside of functions are only text by the time they get here.
        if is_limit || detail.contains("execution exceeded time limit") {
            return EvaluateError::TooSlow { limit: self.settings.evaluation_max, detail };
        }
        EvaluateError::Rego(detail)
    }

    fn default_hold(&self) -> HoldObligations {
        HoldObligations {
            rules: vec!["default".to_owned()],
            reasons: Vec::new(),
            risk: None,
            reviewers: self.settings.default_reviewers.clone(),
            expires_in: None,
            hold_for: None,
            assurance: Assurance::Chat,
            require_reason: false,
            irreversible: false,
            credential: None,
            on_disconnect: OnDisconnect::Wait,
            repeatable: false,
            channels: Vec::new(),
            grant: None,
            redact: Vec::new(),
            escalate: Vec::new(),
        }
    }
}

/// True if a rule looks at the body, and none at why it may not be there. To such rules a body
/// that cannot be read would look like none at all.
fn trusts_body(reads: &InputPaths) -> bool {
    reads.may_read(&["request", "body"]) && !reads.names(&["request", "body_error"])
}

/// Given only to policies that name it: it costs a look into the store for each call.
pub(super) const APPROVED_BEFORE: [&str; 2] = ["context", "approved_before"];

/// The parts of `input.request` that are known only once the body was read.
pub(super) const BODY: [&str; 3] = ["body", "body_bytes", "body_error"];

fn failed(kind: RuleKind, error: super::obligations::ObligationError) -> EvaluateError {
    EvaluateError::Obligation { kind, error }
}

impl std::fmt::Debug for Policy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Policy").field("digest", &self.digest).finish_non_exhaustive()
    }
}
