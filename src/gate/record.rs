//! Every decision and every ending goes into the audit log before its effect.

use std::borrow::Cow;

use aws_lc_rs::rand;
use serde_json::Value;

use crate::approval::ApprovalError;
use crate::approval::Ending;
use crate::audit::Actor;
use crate::audit::Event;
use crate::audit::EventKind;
use crate::audit::Field;
use crate::audit::Fields;
use crate::model::ApprovalId;
use crate::model::Call;
use crate::model::CallId;
use crate::model::Decision;
use crate::model::DecisionId;
use crate::model::Effect;
use crate::model::EventId;
use crate::model::Message;
use crate::model::Refusal;
use crate::model::RefusalCode;
use crate::model::Timestamp;
use crate::policy;

use super::admit::Gate;
use super::refuse;
use super::throttle::Throttle;

impl Gate {
    /// Records that `call` may leave. Returns once it is queued, or on disk where the operator
    /// asks for that.
    ///
    /// # Errors
    /// A refusal if the log does not take it: then the call must not leave.
    pub(super) async fn record_allowed(&self, call: &Call, decision: &Decision) -> Result<(), Refusal> {
        let (rules, log) = match &decision.effect {
            Effect::Allow(obligations) => {
                (obligations.rules.iter().map(String::as_str).collect::<Vec<_>>(), wanted(call, &obligations.log))
            }
            Effect::Hold(_) | Effect::Deny(_) | Effect::NoMatch => (Vec::new(), None),
        };
        let data = facts(call)
            .with("decision", decision.id)
            .with("rules", rules)
            .with_some("log", log)
            .with_some("shadow", shadow(decision));
        let event = self.event(EventKind::RequestAllowed, call, Some(decision), data, Vec::new());
        let leaf = event.seal(&self.instance, salt).map_err(|error| self.audit_unavailable(&error.to_string()))?;
        let taken = if self.settings.load().strict_audit {
            self.log.append_durably(leaf).await.map(drop)
        } else {
            self.log.append_waiting(leaf).await
        };
        taken.map_err(|error| self.audit_unavailable(&error.to_string()))
    }

    /// Records that `call` may not leave. The query can hold what is nobody's business, so only a
    /// commitment to it stands in the log.
    ///
    /// # Errors
    /// What kept it out of the log.
    pub(super) fn record_denied(
        &self,
        call: &Call,
        decision: Option<&Decision>,
        code: RefusalCode,
    ) -> Result<(), Box<dyn std::error::Error>> {
        let rules = match decision.map(|decision| &decision.effect) {
            Some(Effect::Deny(rules)) => rules.iter().map(|rule| rule.rule.as_str()).collect::<Vec<_>>(),
            Some(Effect::Hold(_) | Effect::Allow(_) | Effect::NoMatch) | None => Vec::new(),
        };
        let data = facts(call)
            .with("code", code.as_str())
            .with_some("decision", decision.map(|decision| decision.id))
            .with("rules", rules)
            .with_some("shadow", decision.and_then(shadow));
        let Message::Http(request) = &call.message;
        let private = request.query.iter().map(|query| ("query", query.as_str().into())).collect();
        let leaf = self.event(EventKind::RequestDenied, call, decision, data, private).seal(&self.instance, salt)?;
        self.log.append(leaf)?;
        Ok(())
    }

    /// Records that `call` repeats one that has run under `approval`, and gets that one's answer.
    ///
    /// # Errors
    /// A refusal if the log does not take it: then the answer is not given.
    pub(super) async fn record_replayed(
        &self,
        call: &Call,
        decision: &Decision,
        approval: ApprovalId,
    ) -> Result<(), Refusal> {
        let data = facts(call).with("approval", approval).with("decision", decision.id);
        let event = self.event(EventKind::RequestReplayed, call, Some(decision), data, Vec::new());
        let leaf = event.seal(&self.instance, salt).map_err(|error| self.audit_unavailable(&error.to_string()))?;
        self.log.append_durably(leaf).await.map(drop).map_err(|error| self.audit_unavailable(&error.to_string()))
    }

    /// Records what rules in shadow mode would have done with a call that is held. That it is held
    /// is in the events of its approval.
    pub(super) fn record_shadow(&self, call: &Call, decision: &Decision) {
        let Some(shadow) = shadow(decision) else { return };
        let data = facts(call).with("decision", decision.id).with("shadow", shadow);
        let event = self.event(EventKind::RequestHeld, call, Some(decision), data, Vec::new());
        let recorded = event.seal(&self.instance, salt).map_err(|error| error.to_string());
        if let Err(error) = recorded.and_then(|leaf| self.log.append(leaf).map_err(|error| error.to_string())) {
            tracing::error!(call.id = %call.id, error, "what shadow mode kept back is not in the audit log");
        }
    }

    /// Records how an allowed call ended. The call has left already, so a log that is away can
    /// only be noted: the next call will be refused.
    pub(super) fn record_ended(&self, call: CallId, decision: DecisionId, ending: &Ending) {
        let data = Fields::new().with("call", call).with("decision", decision);
        let data = match ending {
            Ending::Completed { status } => data.with("outcome", "completed").with("status", *status),
            Ending::NotSent { reason } => data.with("outcome", "not-sent").with("reason", reason.as_str()),
            Ending::Unknown { reason } => data.with("outcome", "unknown").with("reason", reason.as_str()),
        };
        let now = self.clock.now();
        let event = Event {
            id: EventId::new(&self.ids, now),
            time: now,
            kind: EventKind::UpstreamCompleted,
            subject: None,
            prev: None,
            policy: None,
            actor: Actor::System,
            data,
            private: Vec::new(),
        };
        let recorded = event.seal(&self.instance, salt).map_err(|error| error.to_string());
        if let Err(error) = recorded.and_then(|leaf| self.log.append_ending(leaf).map_err(|error| error.to_string()))
            && let Some(suppressed) = self.unrecorded.endings.pass(now)
        {
            tracing::error!(call.id = %call, decision.id = %decision, error, suppressed,
                "how a call ended is not in the audit log");
        }
    }

    /// Says why a call is refused that cannot be recorded: to the operator, and what the caller is
    /// told.
    pub(super) fn audit_unavailable(&self, cause: &str) -> Refusal {
        if let Some(suppressed) = self.unrecorded.calls.pass(self.clock.now()) {
            tracing::error!(cause, suppressed, "the audit log cannot be written; the call is refused");
        }
        refuse::audit_unavailable()
    }

    /// Why a call cannot be held.
    pub(super) fn not_held_because(&self, error: &ApprovalError) -> Refusal {
        match error {
            ApprovalError::Audit(cause) => self.audit_unavailable(cause),
            _ => refuse::not_held(error),
        }
    }

    fn event<'a>(
        &self,
        kind: EventKind,
        call: &'a Call,
        decision: Option<&Decision>,
        data: Fields<'a>,
        private: Vec<(&'static str, serde_json::Value)>,
    ) -> Event<'a> {
        Event {
            id: EventId::new(&self.ids, call.received),
            time: self.time_of(call, kind),
            kind,
            subject: None,
            prev: None,
            policy: decision.map(|decision| decision.policy),
            actor: Actor::Principal { id: Cow::Borrowed(&call.principal.id) },
            data,
            private,
        }
    }

    /// An allowed call is decided on as soon as it is read, and has one clock reading for all.
    fn time_of(&self, call: &Call, kind: EventKind) -> Timestamp {
        if kind == EventKind::RequestAllowed { call.received } else { self.clock.now() }
    }
}

/// What could not be recorded, told once a second each: at full load it would be thousands.
#[derive(Debug, Default)]
pub(super) struct Unrecorded {
    calls: Throttle,
    pub(super) refusals: Throttle,
    endings: Throttle,
}

/// What is recorded of every call.
fn facts(call: &Call) -> Fields<'_> {
    let Message::Http(request) = &call.message;
    let actions = call.actions.iter().map(|action| Field::from(action.name.as_str())).collect::<Field<'_>>();
    Fields::new()
        .with("actions", actions)
        .with("call", call.id)
        .with("method", request.method.as_str())
        .with("path", request.path.as_str())
        .with("upstream", call.upstream.name.as_str())
}

/// The values that the policy wants in the event, beside what every event has. They belong to this
/// call and not to the decision, which others may share.
fn wanted<'a>(call: &Call, paths: &'a [String]) -> Option<Vec<Fields<'a>>> {
    if paths.is_empty() {
        return None;
    }
    let input = policy::input_json(call, None, call.received);
    let value = |path: &str| path.split('.').try_fold(&input, |here, name| here.get(name));
    Some(
        paths.iter().map(|path| Fields::new().with("name", path.as_str()).with("value", logged(value(path)))).collect(),
    )
}

/// A value as it can stand in an event: what is long or has parts, as text that may be cut.
fn logged(value: Option<&Value>) -> Field<'static> {
    let mut text = match value {
        None | Some(Value::Null) => return Field::Null,
        Some(Value::Bool(value)) => return Field::Bool(*value),
        Some(Value::Number(number)) => {
            match number.as_i64().filter(|number| number.unsigned_abs() < LOGGED_INTEGER_MAX) {
                Some(number) => return Field::Integer(number),
                None => number.to_string(),
            }
        }
        Some(Value::String(text)) => text.replace(char::is_control, " "),
        Some(value @ (Value::Array(_) | Value::Object(_))) => value.to_string(),
    };
    let mut end = text.len().min(LOGGED_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.truncate(end);
    Field::Text(Cow::Owned(text))
}

/// The longest value that a policy can have logged, in bytes: 32 of them fit into an event.
const LOGGED_BYTES_MAX: usize = 256;

/// Whole numbers below this are the same to every reader of JSON.
const LOGGED_INTEGER_MAX: u64 = 1 << 53;

/// What shadow mode kept back. Names that rules compute may be many, so only so many are told.
fn shadow(decision: &Decision) -> Option<Fields<'_>> {
    let shadow = decision.shadow.as_deref()?;
    let rules = |rules: &[String]| rules.iter().take(SHADOW_RULES_MAX).cloned().collect::<Field<'static>>();
    let matched = shadow
        .matches
        .iter()
        .map(|matched| Fields::new().with("effect", matched.effect.as_str()).with("rules", rules(&matched.rules)));
    let of = if shadow.of_upstream { "upstream" } else { "rules" };
    Some(
        Fields::new()
            .with("failed", shadow.error.is_some())
            .with("matched", matched.collect::<Field<'_>>())
            .with("of", of),
    )
}

/// Rules of one effect in shadow mode that an event names.
const SHADOW_RULES_MAX: usize = 32;

/// Hides what the leaf commits to from whoever guesses.
fn salt() -> [u8; 16] {
    let mut salt = [0; 16];
    rand::fill(&mut salt).expect("the system has given random numbers since the start");
    salt
}
