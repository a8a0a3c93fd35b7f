//! How many approvals there are, how they end, and who decides how fast (EDGES I).

use std::collections::HashMap;
use std::collections::HashSet;

use parking_lot::Mutex;
use prometheus::Histogram;
use prometheus::HistogramOpts;
use prometheus::IntCounter;
use prometheus::IntCounterVec;
use prometheus::IntGauge;
use prometheus::Opts;
use prometheus::Registry;

use super::error::ApprovalError;
use super::record::Approval;
use super::record::Review;
use super::record::ReviewVerdict;
use super::record::State;

/// Every figure of this room; every series is there from the start.
#[derive(Debug)]
pub struct Metrics {
    outcomes: HashMap<&'static str, IntCounter>,
    reviews: HashMap<&'static str, IntCounter>,
    rejected: HashMap<&'static str, IntCounter>,
    questions: IntCounter,
    pending: IntGauge,
    latency: Histogram,
    forged: IntCounter,
    rules: Rules,
    callers_left: IntCounter,
}

/// What became of the calls that each rule has held.
#[derive(Debug)]
struct Rules {
    outcomes: IntCounterVec,
    known: Mutex<HashSet<String>>,
}

impl Rules {
    /// Counts an approval by the first of its rules. Rules may make up their names, even from what an
    /// agent sent, so that only so many are told apart.
    fn count(&self, approval: &Approval) {
        let rule = approval.obligations.rules.first().map_or("", String::as_str);
        let mut known = self.known.lock();
        let rule = if known.contains(rule) || known.len() < RULES_MAX { rule } else { "other" };
        if !known.contains(rule) && rule != "other" {
            known.insert(rule.to_owned());
        }
        drop(known);
        self.outcomes.with_label_values(&[rule, approval.state.name()]).inc();
    }
}

impl Metrics {
    /// Registers them.
    ///
    /// # Errors
    /// If `registry` already has one of these names.
    pub fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let counters = |name, help, label, values: &[&'static str]| {
            let vector = IntCounterVec::new(Opts::new(name, help), &[label])?;
            registry.register(Box::new(vector.clone()))?;
            let handles = values.iter().map(|&value| (value, vector.with_label_values(&[value])));
            Ok::<_, prometheus::Error>(handles.collect())
        };
        let counter = |name, help| {
            let counter = IntCounter::new(name, help)?;
            registry.register(Box::new(counter.clone()))?;
            Ok::<_, prometheus::Error>(counter)
        };
        let pending = IntGauge::new("holdpoint_approvals_pending", "Approvals that nobody has decided yet.")?;
        registry.register(Box::new(pending.clone()))?;
        let latency = HistogramOpts::new(
            "holdpoint_decision_latency_seconds",
            "From the opening of an approval to each review of it.",
        )
        .buckets(vec![1.0, 2.0, 3.0, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 240.0, 600.0, 1800.0, 3600.0]);
        let latency = Histogram::with_opts(latency)?;
        registry.register(Box::new(latency.clone()))?;
        let rules = Opts::new(
            "holdpoint_rule_outcomes_total",
            "Held calls that were settled, by the first rule that held them and what came of it.",
        );
        let rules = IntCounterVec::new(rules, &["rule", "outcome"])?;
        registry.register(Box::new(rules.clone()))?;
        Ok(Self {
            rules: Rules { outcomes: rules, known: Mutex::default() },
            callers_left: counter("holdpoint_hold_disconnects_total", "Callers who left while their call was held.")?,
            outcomes: counters(
                "holdpoint_approvals_total",
                "Approvals by the state they have entered.",
                "outcome",
                &State::NAMES,
            )?,
            reviews: counters(
                "holdpoint_decisions_total",
                "Reviews by what they say.",
                "verdict",
                &[ReviewVerdict::Approve.as_str(), ReviewVerdict::Deny.as_str()],
            )?,
            rejected: counters(
                "holdpoint_decision_rejected_total",
                "Decisions without effect, by reason.",
                "reason",
                &ApprovalError::CODES,
            )?,
            questions: counter("holdpoint_clarifications_total", "Questions of reviewers.")?,
            pending,
            latency,
            forged: counter(
                "holdpoint_approvals_forged_total",
                "Records without our valid signature that somebody tried to act on. Anything above zero is an attack or a broken disk.",
            )?,
        })
    }

    /// Sets how many are pending, after a start.
    pub(super) fn pending(&self, count: u64) {
        self.pending.set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    /// Counts an event of the kind `kind` that left `approval` as it is.
    pub(super) fn happened(&self, kind: &str, approval: &Approval) {
        match kind {
            "approval.created" => {
                self.count(&approval.state);
                self.pending.inc();
            }
            "approval.decided" => self.reviewed(approval.reviews.last(), approval),
            "approval.revoked" => {
                self.count(&approval.state);
                // A denial after the approval is one event: it revokes.
                let denial = approval.reviews.last().filter(|review| review.verdict == ReviewVerdict::Deny);
                self.reviewed(denial, approval);
            }
            "approval.asked" => self.questions.inc(),
            "approval.caller_left" => self.callers_left.inc(),
            "approval.answered" | "approval.caller_joined" | "approval.unclaimed" => {}
            "approval.approved" | "approval.denied" | "approval.expired" | "approval.withdrawn" => {
                self.count(&approval.state);
                self.rules.count(approval);
                self.pending.dec();
            }
            _ => self.count(&approval.state),
        }
    }

    /// Counts a decision without effect.
    pub(super) fn rejected(&self, error: &ApprovalError) {
        self.rejected.get(error.code()).into_iter().for_each(IntCounter::inc);
    }

    /// Counts a record that somebody else has written.
    pub(super) fn forged(&self) {
        self.forged.inc();
    }

    fn reviewed(&self, review: Option<&Review>, approval: &Approval) {
        let Some(review) = review else { return };
        self.reviews.get(review.verdict.as_str()).into_iter().for_each(IntCounter::inc);
        self.latency.observe(review.at.since(approval.created).as_secs_f64());
    }

    fn count(&self, state: &State) {
        self.outcomes.get(state.name()).into_iter().for_each(IntCounter::inc);
    }
}

/// Rules that are counted apart; all others are `other`.
const RULES_MAX: usize = 200;
