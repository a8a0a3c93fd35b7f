//! How often callers are turned away, and why.

use std::collections::HashMap;

use prometheus::IntCounter;
use prometheus::IntCounterVec;
use prometheus::Opts;
use prometheus::Registry;

use super::error::IdentityError;
use super::key::KeyKind;

/// `holdpoint_auth_failures_total{kind,reason}`, both labels from closed sets and every series
/// there from the start, so that rates see the first failure.
#[derive(Clone, Debug)]
pub struct AuthMetrics {
    failures: HashMap<(KeyKind, &'static str), IntCounter>,
}

impl AuthMetrics {
    /// Registers the counter.
    ///
    /// # Errors
    /// If `registry` already has one of this name.
    pub fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let opts = Opts::new(
            "holdpoint_auth_failures_total",
            "Requests turned away because the caller is not known, by kind of caller and reason.",
        );
        let vector = IntCounterVec::new(opts, &["kind", "reason"])?;
        registry.register(Box::new(vector.clone()))?;
        let kinds = [(KeyKind::Agent, "agent"), (KeyKind::Reviewer, "reviewer")];
        let failures = kinds
            .iter()
            .flat_map(|&(kind, label)| IdentityError::REASONS.map(|reason| (kind, label, reason)))
            .map(|(kind, label, reason)| ((kind, reason), vector.with_label_values(&[label, reason])))
            .collect();
        Ok(Self { failures })
    }

    /// Counts a failure to authenticate as a caller of `kind`.
    pub fn failed(&self, kind: KeyKind, error: &IdentityError) {
        if let Some(counter) = self.failures.get(&(kind, error.reason())) {
            counter.inc();
        }
    }
}
