//! How many watch, and how many are turned away.

use prometheus::IntCounter;
use prometheus::IntGauge;
use prometheus::Registry;

/// The figures of this room.
#[derive(Clone, Debug)]
pub struct Metrics {
    pub(super) streams: IntGauge,
    pub(super) streams_refused: IntCounter,
}

impl Metrics {
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
        Ok(Self { streams, streams_refused })
    }
}
