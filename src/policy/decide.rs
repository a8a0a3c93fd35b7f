//! Asking a policy about one call.

use std::collections::BTreeSet;
use std::panic::AssertUnwindSafe;
use std::panic::catch_unwind;

use regorus::Engine;
use regorus::LimitError;
use regorus::Value;

use super::cache::Cache;
use super::error::EvaluateError;
use super::input;
use super::input::Input;
use super::merge;
use super::obligations::Obligations;
use super::projection::Projection;
use super::reads::InputPaths;
use super::rules::RuleInfo;
use super::rules::RuleKind;
use super::settings::DefaultEffect;
use super::settings::Settings;
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
use crate::model::Timestamp;

/// A compiled policy. It never changes: a changed policy is another one, with another digest.
pub struct Policy {
    /// Prepared, and cloned for each evaluation.
    pub(super) engine: Engine,
    /// The sets that some rule adds to.
    pub(super) kinds: BTreeSet<RuleKind>,
    pub(super) reads: InputPaths,
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
        BODY.iter().any(|name| self.reads.may_read(&["request", name]))
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
        let Message::Http(request) = &call.message;
        if matches!(request.body, Body::Unread | Body::Kept { .. }) && self.reads_body() {
            return Err(EvaluateError::BodyUnread);
        }
        // With an approval in hand the question is another one each time.
        let key = self.projection.as_ref().filter(|_| approval.is_none()).map(|projection| projection.key(call));
        if let Some(effect) = key.as_ref().and_then(|key| self.cache.find(key)) {
            return Ok(Decision { id, policy: self.digest, effect });
        }
        let effect = self.evaluate(call, approval, now)?;
        if let Some(key) = key {
            self.cache.keep(key, &effect);
        }
        Ok(Decision { id, policy: self.digest, effect })
    }

    /// True if calls that the rules cannot tell apart share a decision.
    pub fn shares_decisions(&self) -> bool {
        self.projection.is_some()
    }

    fn evaluate(
        &self,
        call: &Call,
        approval: Option<&serde_json::Value>,
        now: Timestamp,
    ) -> Result<Effect, EvaluateError> {
        let Input { value, malformed } = input::build(call, approval, now);
        if let Some(problem) = malformed.filter(|_| self.trusts_body()) {
            return Err(EvaluateError::BodyUnreadable(problem));
        }
        let mut engine = self.engine.clone();
        engine.set_input(value);
        self.effect(&mut engine)
    }

    /// True if a rule looks at the body, and none at why it may not be there. To such rules a body
    /// that cannot be read would look like none at all.
    fn trusts_body(&self) -> bool {
        self.reads.may_read(&["request", "body"]) && !self.reads.names(&["request", "body_error"])
    }

    fn effect(&self, engine: &mut Engine) -> Result<Effect, EvaluateError> {
        let denials = self.matched(engine, RuleKind::Deny)?;
        if !denials.is_empty() {
            return Ok(Effect::Deny(merge::denials(denials)));
        }
        let holds = self.matched(engine, RuleKind::Hold)?;
        if !holds.is_empty() {
            let merged = merge::holds(holds, &self.settings.default_reviewers);
            return merged.map(Effect::Hold).map_err(|error| failed(RuleKind::Hold, error));
        }
        let allows = self.matched(engine, RuleKind::Allow)?;
        if !allows.is_empty() {
            return merge::allows(allows).map(Effect::Allow).map_err(|error| failed(RuleKind::Allow, error));
        }
        Ok(match self.settings.default {
            DefaultEffect::Deny => Effect::NoMatch,
            DefaultEffect::Hold => Effect::Hold(self.default_hold()),
        })
    }

    /// What the rules of one set ask for, of those that matched.
    fn matched(&self, engine: &mut Engine, kind: RuleKind) -> Result<Vec<Obligations>, EvaluateError> {
        if !self.kinds.contains(&kind) {
            return Ok(Vec::new());
        }
        // regorus is large; should it ever panic, this call is refused and all others go on. The
        // engine is this call's own and is dropped.
        let answer = catch_unwind(AssertUnwindSafe(|| engine.eval_rule(kind.path().to_owned())))
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
        }
    }
}

/// The parts of `input.request` that are known only once the body was read.
const BODY: [&str; 3] = ["body", "body_bytes", "body_error"];

fn failed(kind: RuleKind, error: super::obligations::ObligationError) -> EvaluateError {
    EvaluateError::Obligation { kind, error }
}

impl std::fmt::Debug for Policy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Policy").field("digest", &self.digest).finish_non_exhaustive()
    }
}
