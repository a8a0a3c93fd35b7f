//! What policy says, how long that takes, and how many calls are held for how long (EDGES I).

use std::collections::HashMap;
use std::time::Instant;

use prometheus::Histogram;
use prometheus::HistogramOpts;
use prometheus::HistogramVec;
use prometheus::IntCounter;
use prometheus::IntCounterVec;
use prometheus::IntGauge;
use prometheus::Opts;
use prometheus::Registry;

use crate::model::Shadow;
use crate::model::ShadowEffect;

/// Every figure of this room; every series is there from the start.
#[derive(Debug)]
pub struct Metrics {
    pub(super) allowed: IntCounter,
    pub(super) denied: IntCounter,
    pub(super) held: IntCounter,
    pub(super) failed: IntCounter,
    pub(super) evaluation: Histogram,
    /// Counted where bodies come and go, by the spool.
    pub(super) spooled: IntGauge,
    shadow: IntCounterVec,
    waiting: IntGauge,
    waited: HashMap<&'static str, Histogram>,
}

impl Metrics {
    /// Registers them.
    ///
    /// # Errors
    /// If `registry` already has one of these names.
    pub fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let decisions = IntCounterVec::new(
            Opts::new("holdpoint_policy_decisions_total", "Answers of the policy, by what they say."),
            &["effect"],
        )?;
        registry.register(Box::new(decisions.clone()))?;
        let shadow = IntCounterVec::new(
            Opts::new(
                "holdpoint_policy_shadow_total",
                "Calls for which shadow mode kept back an answer of the policy, by the strictest that it was; `error` if its rules failed.",
            ),
            &["effect"],
        )?;
        registry.register(Box::new(shadow.clone()))?;
        for effect in [ShadowEffect::Deny, ShadowEffect::Hold, ShadowEffect::Allow].map(ShadowEffect::as_str) {
            shadow.with_label_values(&[effect]);
        }
        shadow.with_label_values(&["error"]);
        let evaluation = HistogramOpts::new("holdpoint_policy_eval_seconds", "Time to evaluate the policy for a call.")
            .buckets(vec![2e-6, 1e-5, 2.5e-5, 5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 5e-3, 2.5e-2, 0.1, 1.0]);
        let evaluation = Histogram::with_opts(evaluation)?;
        registry.register(Box::new(evaluation.clone()))?;
        let waiting = IntGauge::new("holdpoint_held_requests", "Calls that wait for approval on an open connection.")?;
        registry.register(Box::new(waiting.clone()))?;
        let spooled = IntGauge::new("holdpoint_spooled_bytes", "Bytes of bodies of held calls that are in files.")?;
        registry.register(Box::new(spooled.clone()))?;
        let waited = HistogramOpts::new("holdpoint_hold_seconds", "How long calls were held, by how that ended.")
            .buckets(vec![1.0, 2.0, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 240.0, 600.0, 1800.0, 3600.0]);
        let waited = HistogramVec::new(waited, &["outcome"])?;
        registry.register(Box::new(waited.clone()))?;
        Ok(Self {
            allowed: decisions.with_label_values(&["allow"]),
            denied: decisions.with_label_values(&["deny"]),
            held: decisions.with_label_values(&["hold"]),
            failed: decisions.with_label_values(&["error"]),
            evaluation,
            spooled,
            shadow,
            waiting,
            waited: OUTCOMES.map(|outcome| (outcome, waited.with_label_values(&[outcome]))).into(),
        })
    }

    /// Counts what shadow mode kept back.
    pub(super) fn shadowed(&self, shadow: &Shadow) {
        if let Some(strictest) = shadow.matches.iter().map(|matched| matched.effect).min() {
            self.shadow.with_label_values(&[strictest.as_str()]).inc();
        }
        if shadow.error.is_some() {
            self.shadow.with_label_values(&["error"]).inc();
        }
    }

    /// Counts a call as held until the answer is dropped.
    pub(super) fn waiting(&self) -> Waiting<'_> {
        self.waiting.inc();
        Waiting { metrics: self, since: Instant::now(), outcome: "disconnected" }
    }
}

/// A call that is held.
pub(super) struct Waiting<'a> {
    metrics: &'a Metrics,
    since: Instant,
    outcome: &'static str,
}

impl Waiting<'_> {
    /// The wait has ended in this way, one of [`OUTCOMES`].
    pub(super) fn over(mut self, outcome: &'static str) {
        self.outcome = outcome;
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.metrics.waiting.dec();
        if let Some(waited) = self.metrics.waited.get(self.outcome) {
            waited.observe(self.since.elapsed().as_secs_f64());
        }
    }
}

/// How a wait can end.
const OUTCOMES: [&str; 10] = [
    "approved",
    "denied",
    "expired",
    "withdrawn",
    "revoked",
    "lapsed",
    "asked",
    "still-pending",
    "draining",
    "disconnected",
];
