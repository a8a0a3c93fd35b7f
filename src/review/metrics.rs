//! How many watch, and how many are turned away.

use std::time::Duration;

use prometheus::Histogram;
use prometheus::HistogramOpts;
use prometheus::IntCounter;
use prometheus::IntGauge;
use prometheus::Registry;

/// The figures of this room.
#[derive(Clone, Debug)]
pub struct Metrics {
    pub(super) streams: IntGauge,
    pub(super) streams_refused: IntCounter,
    dwell: Histogram,
}

impl Metrics {
    /// Counts how long somebody has looked before they decided.
    pub(super) fn dwelt(&self, looked: Option<Duration>) {
        looked.iter().for_each(|looked| self.dwell.observe(looked.as_secs_f64()));
    }

    /// Registers them.
    ///
    /// # Errors
    /// If `registry` already has one of these names.
    pub fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let streams = IntGauge::new("holdpoint_event_streams", "Event streams that are open.")?;
        registry.register(Box::new(streams.clone()))?;
        let streams_refused = IntCounter::new(
            "holdpoint_event_streams_refused_total",
            "Event streams that were refused because too many were open.",
        )?;
        registry.register(Box::new(streams_refused.clone()))?;
        let dwell = HistogramOpts::new(
            "holdpoint_review_dwell_seconds",
            "From the first look at an approval in the web inbox to the review of it.",
        )
        .buckets(vec![1.0, 2.0, 3.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 900.0]);
        let dwell = Histogram::with_opts(dwell)?;
        registry.register(Box::new(dwell.clone()))?;
        Ok(Self { streams, streams_refused, dwell })
    }
}
