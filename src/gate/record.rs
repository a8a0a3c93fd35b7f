//! Every decision and every ending goes into the audit log before its effect.

use std::borrow::Cow;

use aws_lc_rs::rand;

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
        let rules = match &decision.effect {
            Effect::Allow(obligations) => obligations.rules.iter().map(String::as_str).collect::<Vec<_>>(),
            Effect::Hold(_) | Effect::Deny(_) | Effect::NoMatch => Vec::new(),
        };
        let data = facts(call).with("decision", decision.id).with("rules", rules);
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
            .with("rules", rules);
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

/// Hides what the leaf commits to from whoever guesses.
fn salt() -> [u8; 16] {
    let mut salt = [0; 16];
    rand::fill(&mut salt).expect("the system has given random numbers since the start");
    salt
}
