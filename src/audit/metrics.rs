//! How the log is doing: its size, how long writing takes, and what no checkpoint covers yet.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use parking_lot::Mutex;
use prometheus::Gauge;
use prometheus::Histogram;
use prometheus::HistogramOpts;
use prometheus::IntCounter;
use prometheus::IntCounterVec;
use prometheus::IntGauge;
use prometheus::Opts;
use prometheus::Registry;
use prometheus::core::Collector;
use prometheus::core::Desc;
use prometheus::proto::MetricFamily;

use super::log::Unavailable;

/// The metrics of one log.
#[derive(Clone, Debug)]
pub struct Metrics {
    size: IntGauge,
    append: Histogram,
    unintegrated: IntGauge,
    age: Age,
    waited: IntCounter,
    refused: HashMap<&'static str, IntCounter>,
}

impl Metrics {
    /// Registers the metrics.
    ///
    /// # Errors
    /// If `registry` already has one of these names.
    pub fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let append =
            HistogramOpts::new("holdpoint_log_append_seconds", "How long it takes to make a batch of leaves durable.");
        let refused = IntCounterVec::new(
            Opts::new("holdpoint_log_refused_total", "Leaves that the log did not take, by reason."),
            &["reason"],
        )?;
        let age = Opts::new(
            "holdpoint_log_checkpoint_age_seconds",
            "How long leaves have been waiting for a checkpoint to cover them; 0 when none waits.",
        );
        let metrics = Self {
            size: IntGauge::new("holdpoint_log_size", "Leaves in the audit log.")?,
            append: Histogram::with_opts(append.buckets(APPEND_BUCKETS.to_vec()))?,
            unintegrated: IntGauge::new("holdpoint_log_unintegrated", "Leaves taken that no checkpoint covers yet.")?,
            age: Age { gauge: Gauge::with_opts(age)?, since: Arc::default() },
            waited: IntCounter::new(
                "holdpoint_log_waited_total",
                "Calls that waited for room in the queue of the audit log.",
            )?,
            refused: Unavailable::REASONS
                .into_iter()
                .map(|reason| (reason, refused.with_label_values(&[reason])))
                .collect(),
        };
        registry.register(Box::new(metrics.size.clone()))?;
        registry.register(Box::new(metrics.append.clone()))?;
        registry.register(Box::new(metrics.unintegrated.clone()))?;
        registry.register(Box::new(metrics.age.clone()))?;
        registry.register(Box::new(metrics.waited.clone()))?;
        registry.register(Box::new(refused))?;
        Ok(metrics)
    }

    /// A batch was made durable in `took`.
    pub(super) fn appended(&self, took: Duration) {
        self.append.observe(took.as_secs_f64());
    }

    /// The log has `size` leaves; `waiting` leaves wait for a checkpoint, the first `since` then.
    pub(super) fn standing(&self, size: u64, waiting: u64, since: Option<Instant>) {
        self.size.set(i64::try_from(size).unwrap_or(i64::MAX));
        self.unintegrated.set(i64::try_from(waiting).unwrap_or(i64::MAX));
        *self.age.since.lock() = since;
    }

    /// A leaf has to wait for room.
    pub(super) fn waited(&self) {
        self.waited.inc();
    }

    /// A leaf was not taken.
    pub(super) fn refused(&self, why: &Unavailable) {
        if let Some(counter) = self.refused.get(why.reason()) {
            counter.inc();
        }
    }
}

/// A gauge that is worked out when it is read: an age grows while nothing happens, and that is
/// when somebody should notice.
#[derive(Clone, Debug)]
struct Age {
    gauge: Gauge,
    since: Arc<Mutex<Option<Instant>>>,
}

impl Collector for Age {
    fn desc(&self) -> Vec<&Desc> {
        self.gauge.desc()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let since = *self.since.lock();
        self.gauge.set(since.map_or(0.0, |since| since.elapsed().as_secs_f64()));
        self.gauge.collect()
    }
}

const APPEND_BUCKETS: [f64; 14] =
    [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5];
