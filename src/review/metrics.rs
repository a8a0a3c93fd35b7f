//! How many watch, and how many are turned away.

use std::time::Duration;

use prometheus::Histogram;
use prometheus::HistogramOpts;
use prometheus::IntCounter;
use prometheus::IntCounterVec;
use prometheus::IntGauge;
use prometheus::Opts;
use prometheus::Registry;

use crate::identity::oidc::SignInError;

use super::session::Carrier;

/// The figures of this room.
#[derive(Clone, Debug)]
pub struct Metrics {
    pub(super) streams: IntGauge,
    pub(super) streams_refused: IntCounter,
    sign_ins: IntCounterVec,
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
        let sign_ins = Opts::new(
            "holdpoint_sign_ins_total",
            "Sign-ins with the identity provider, by result: what the session is carried by, or why there is none.",
        );
        let sign_ins = IntCounterVec::new(sign_ins, &["result"])?;
        registry.register(Box::new(sign_ins.clone()))?;
        for result in [COOKIE, BEARER].into_iter().chain(SignInError::REASONS) {
            sign_ins.with_label_values(&[result]);
        }
        let dwell = HistogramOpts::new(
            "holdpoint_review_dwell_seconds",
            "From the first look at an approval in the web inbox to the review of it.",
        )
        .buckets(vec![1.0, 2.0, 3.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 900.0]);
        let dwell = Histogram::with_opts(dwell)?;
        registry.register(Box::new(dwell.clone()))?;
        Ok(Self { streams, streams_refused, sign_ins, dwell })
    }

    pub(super) fn signed_in(&self, carrier: Carrier) {
        let result = match carrier {
            Carrier::Cookie => COOKIE,
            Carrier::Bearer => BEARER,
        };
        self.sign_ins.with_label_values(&[result]).inc();
    }

    pub(super) fn not_signed_in(&self, error: &SignInError) {
        self.sign_ins.with_label_values(&[error.reason()]).inc();
    }
}

const COOKIE: &str = "cookie";
const BEARER: &str = "bearer";
