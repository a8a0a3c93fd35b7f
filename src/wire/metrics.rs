//! How many requests are refused for their heads, and why.

use std::collections::HashMap;

use prometheus::IntCounter;
use prometheus::IntCounterVec;
use prometheus::Opts;
use prometheus::Registry;

use super::error::WireError;

/// `holdpoint_wire_refused_total{reason}`, the label from a closed set and every series there from
/// the start, so that rates see the first refusal.
#[derive(Clone, Debug)]
pub struct WireMetrics {
    refused: HashMap<&'static str, IntCounter>,
}

impl WireMetrics {
    /// Registers the counter.
    ///
    /// # Errors
    /// If `registry` already has one of this name.
    pub fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let opts = Opts::new(
            "holdpoint_wire_refused_total",
            "Requests refused because their head cannot be read safely, by reason.",
        );
        let vector = IntCounterVec::new(opts, &["reason"])?;
        registry.register(Box::new(vector.clone()))?;
        let refused = WireError::REASONS.map(|reason| (reason, vector.with_label_values(&[reason]))).into();
        Ok(Self { refused })
    }

    /// Counts a head refused for `error`.
    pub fn refused(&self, error: &WireError) {
        if let Some(counter) = self.refused.get(error.reason()) {
            counter.inc();
        }
    }
}
