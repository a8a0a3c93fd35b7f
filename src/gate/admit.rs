//! The first half of the path: the policy is asked, and the answer is recorded.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use http::header::CONTENT_ENCODING;
use http::header::CONTENT_LENGTH;
use tokio::sync::Semaphore;

use crate::approval::ApprovalError;
use crate::approval::Approvals;
use crate::audit::Log;
use crate::model::AllowObligations;
use crate::model::Body;
use crate::model::Call;
use crate::model::Clock;
use crate::model::Decision;
use crate::model::DecisionId;
use crate::model::Effect;
use crate::model::IdSource;
use crate::model::Message;
use crate::model::Refusal;
use crate::model::ShadowEffect;
use crate::model::ShadowMatch;
use crate::model::Timestamp;
use crate::policy::HISTORY;
use crate::policy::History;
use crate::policy::Policy;

use super::body::BodySource;
use super::inspect::DECODING_MAX;
use super::metrics::Metrics;
use super::permit::Admission;
use super::permit::Admitted;
use super::record::Unrecorded;
use super::refuse;
use super::replay::Replays;
use super::spool::Spool;

/// Limits of this room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The longest body that a policy looks at, and that a held call has in memory.
    pub inspect_bytes_max: u64,
    /// The longest body of a call that is held.
    pub hold_bytes_max: u64,
    /// How long a caller is held before it is told to come again; until it leaves if there is none.
    pub hold_for: Option<Duration>,
    /// Whether an allowed call waits until the log has it on disk.
    pub strict_audit: bool,
    /// How long the answer to an approved call is kept for retries that come too late.
    pub replay_for: Duration,
    /// The names of the upstreams whose calls pass although the policy denies or holds them.
    pub shadow_upstreams: BTreeSet<String>,
}

/// What the gate is made of.
pub struct Parts {
    /// The policy to begin with.
    pub policy: Arc<Policy>,
    /// Where held calls wait.
    pub approvals: Approvals,
    /// Where every decision is recorded before its effect.
    pub log: Log,
    /// Asks the time.
    pub clock: Clock,
    /// Draws ids.
    pub ids: Arc<IdSource>,
    /// Names this process in the log.
    pub instance: String,
    /// Counts.
    pub metrics: Metrics,
    /// Limits.
    pub settings: Settings,
    /// How many calls may be held at once.
    pub held_calls_max: usize,
    /// How many bytes of bodies may be held in memory at once.
    pub held_bytes_total_max: usize,
    /// Where longer bodies of held calls are meanwhile.
    pub spool: Spool,
}

/// The gate. One for all cores.
pub struct Gate {
    pub(super) policy: ArcSwap<Policy>,
    pub(super) approvals: Approvals,
    pub(super) log: Log,
    pub(super) clock: Clock,
    pub(super) ids: Arc<IdSource>,
    pub(super) instance: String,
    pub(super) metrics: Metrics,
    pub(super) settings: ArcSwap<Settings>,
    pub(super) held_calls: Semaphore,
    pub(super) held_bytes: Semaphore,
    pub(super) replays: Replays,
    pub(super) spool: Arc<Spool>,
    pub(super) decoding: Semaphore,
    pub(super) unrecorded: Unrecorded,
}

impl std::fmt::Debug for Gate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Gate")
    }
}

impl Gate {
    /// A gate.
    pub fn new(parts: Parts) -> Self {
        Self {
            policy: ArcSwap::new(parts.policy),
            approvals: parts.approvals,
            log: parts.log,
            clock: parts.clock,
            ids: parts.ids,
            instance: parts.instance,
            metrics: parts.metrics,
            settings: ArcSwap::from_pointee(parts.settings),
            held_calls: Semaphore::new(parts.held_calls_max.min(Semaphore::MAX_PERMITS)),
            held_bytes: Semaphore::new(parts.held_bytes_total_max.min(Semaphore::MAX_PERMITS)),
            replays: Replays::default(),
            spool: Arc::new(parts.spool),
            decoding: Semaphore::new(DECODING_MAX),
            unrecorded: Unrecorded::default(),
        }
    }

    /// From now on `policy` and `settings` apply; calls that are held are asked about again under
    /// them before they leave.
    pub fn reconfigure(&self, policy: Arc<Policy>, settings: Settings) {
        self.policy.store(policy);
        self.settings.store(Arc::new(settings));
    }

    /// Where held calls wait.
    pub fn approvals(&self) -> &Approvals {
        &self.approvals
    }

    /// The policy that applies now.
    pub fn policy(&self) -> Arc<Policy> {
        self.policy.load_full()
    }

    /// Decides on `call`, holds it if the policy says so, and answers once it may leave.
    ///
    /// The body is read only if the policy can look at it or the call is held. Dropping the future
    /// means that the caller has left.
    ///
    /// # Errors
    /// A refusal for the caller. It has been recorded.
    pub async fn admit(
        self: &Arc<Self>,
        mut call: Box<Call>,
        body: &mut impl BodySource,
    ) -> Result<Admission, Refusal> {
        let policy = self.policy.load_full();
        if !body.is_present() {
            set_body(&mut call, Body::Absent);
        } else if needs_body(&policy) || (may_use_body(&policy) && self.is_short(&call)) {
            let read =
                Box::pin(self.inspect(&call, body)).await.inspect_err(|refusal| self.note_refused(&call, refusal))?;
            set_body(&mut call, read);
        }
        let asks = policy.reads_history() || policy.shadow_reads_history();
        let history = if asks { Box::pin(self.history(&policy, &call)).await? } else { None };
        let decision = self.in_shadow(&call, self.decide(&policy, &call, history)?);
        match &decision.effect {
            Effect::Allow(_) => {
                self.record_allowed(&call, &decision)?.await?;
                self.metrics.allowed.inc();
                Ok(Admission::Admitted(Admitted::allowed(Arc::clone(self), call, decision)))
            }
            Effect::Deny(_) | Effect::NoMatch => Err(self.deny(&call, &decision)),
            // The rest is boxed, so that calls that are not held do not carry its size.
            Effect::Hold(_) => Box::pin(self.hold(call, &decision, body)).await,
        }
    }

    /// True if the body is known to be one that can be read: for rules in shadow mode no call is
    /// refused, as one may be whose content coding cannot be taken off.
    fn is_short(&self, call: &Call) -> bool {
        let Message::Http(request) = &call.message;
        if request.headers.contains_key(CONTENT_ENCODING) {
            return false;
        }
        let length = request.headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok());
        let length = length.and_then(|length| length.parse::<u64>().ok());
        length.is_some_and(|length| length <= self.settings.load().inspect_bytes_max)
    }

    /// What is done with `call` where its upstream may be in shadow mode: then what the policy
    /// denies or holds is recorded, and passes. A policy that fails still refuses.
    fn in_shadow(&self, call: &Call, decision: Decision) -> Decision {
        let (effect, rules) = match &decision.effect {
            Effect::Allow(_) => (None, Vec::new()),
            Effect::Hold(hold) => (Some(ShadowEffect::Hold), hold.rules.clone()),
            Effect::Deny(rules) => (Some(ShadowEffect::Deny), rules.iter().map(|rule| rule.rule.clone()).collect()),
            Effect::NoMatch => (Some(ShadowEffect::Deny), Vec::new()),
        };
        let decision = match effect.filter(|_| self.settings.load().shadow_upstreams.contains(&call.upstream.name)) {
            None => decision,
            Some(effect) => {
                let mut shadow = decision.shadow.as_deref().cloned().unwrap_or_default();
                match shadow.matches.iter_mut().find(|matched| matched.effect == effect) {
                    Some(matched) => matched.rules.extend(rules),
                    None => shadow.matches.push(ShadowMatch { effect, rules }),
                }
                shadow.matches.sort_by_key(|matched| matched.effect);
                shadow.of_upstream = true;
                Decision {
                    effect: Effect::Allow(AllowObligations::default()),
                    shadow: Some(Arc::new(shadow)),
                    ..decision
                }
            }
        };
        if let Some(shadow) = &decision.shadow {
            self.metrics.shadowed(shadow);
            if let Some(error) = &shadow.error {
                tracing::warn!(call.id = %call.id, decision.id = %decision.id, upstream = %call.upstream.name, error,
                    "rules in shadow mode cannot answer; that has no effect");
            }
        }
        decision
    }

    /// What was approved before, where the policy asks.
    async fn history(&self, policy: &Policy, call: &Call) -> Result<Option<History>, Refusal> {
        match self.approved_before(policy, call, call.received).await {
            Ok(history) => Ok(history),
            Err(_) if !policy.reads_history() => Ok(None),
            Err(error) => {
                tracing::error!(call.id = %call.id, %error,
                    "the policy asks what was approved before, which cannot be told; the call is refused");
                let refusal = refuse::not_held(&error);
                self.note_refused(call, &refusal);
                Err(refusal)
            }
        }
    }

    /// What was approved before `now`, under `policy`; `None` for a call whose body was not read.
    pub(super) async fn approved_before(
        &self,
        policy: &Policy,
        call: &Call,
        now: Timestamp,
    ) -> Result<Option<History>, ApprovalError> {
        let Message::Http(request) = &call.message;
        if matches!(request.body, Body::Unread) {
            return Ok(None);
        }
        let (digest, since) = (call.digest(&policy.digest()), now.minus(HISTORY));
        let count = self.approvals.count_runs(&call.principal.id, digest, since).await?;
        Ok(Some(History { same_fingerprint_30d: count }))
    }

    fn decide(&self, policy: &Policy, call: &Call, history: Option<History>) -> Result<Decision, Refusal> {
        let id = DecisionId::new(&self.ids, call.received);
        let timer = self.metrics.evaluation.start_timer();
        let decided = policy.decide_knowing(call, None, history, id, call.received);
        timer.observe_duration();
        decided.map_err(|error| {
            tracing::error!(call.id = %call.id, decision.id = %id, principal.id = %call.principal.id,
                upstream = %call.upstream.name, %error, "the policy cannot be evaluated; the call is refused");
            self.metrics.failed.inc();
            let refusal = refuse::policy_error(id);
            self.note_refused(call, &refusal);
            refusal
        })
    }

    /// Records a denial and says why. That a log is away makes a refusal no weaker.
    pub(super) fn deny(&self, call: &Call, decision: &Decision) -> Refusal {
        self.metrics.denied.inc();
        let refusal = refuse::denied_by_policy(decision);
        tracing::info!(call.id = %call.id, decision.id = %decision.id, principal.id = %call.principal.id,
            upstream = %call.upstream.name, action = %call.actions.first().name, "denied by policy");
        match self.record_denied(call, Some(decision), refusal.code) {
            Ok(()) => refusal,
            Err(error) => self.audit_unavailable(&error.to_string()),
        }
    }

    /// Records that a call was refused for another reason than a policy's denial.
    pub(super) fn note_refused(&self, call: &Call, refusal: &Refusal) {
        if let Err(error) = self.record_denied(call, None, refusal.code)
            && let Some(suppressed) = self.unrecorded.refusals.pass(self.clock.now())
        {
            tracing::error!(call.id = %call.id, %error, suppressed, "a refusal is not in the audit log");
        }
    }
}

/// True if the policy cannot be asked without the whole body.
fn needs_body(policy: &Policy) -> bool {
    policy.reads_body() || policy.reads_history()
}

/// True if rules in shadow mode have a use for the body.
fn may_use_body(policy: &Policy) -> bool {
    policy.shadow_reads_body() || policy.shadow_reads_history()
}

pub(super) fn set_body(call: &mut Call, body: Body) {
    let Message::Http(request) = &mut call.message;
    request.body = body;
}
