//! Requests, answers and connections (EDGES I). Every handle is resolved before the first request.

use std::time::Duration;

use http::Method;
use http::StatusCode;
use prometheus::Histogram;
use prometheus::HistogramOpts;
use prometheus::HistogramVec;
use prometheus::IntCounter;
use prometheus::IntCounterVec;
use prometheus::IntGauge;
use prometheus::Opts;
use prometheus::Registry;

/// The figures of the agents' listener.
#[derive(Debug)]
pub struct Metrics {
    requests: IntCounterVec,
    durations: HistogramVec,
    /// For requests that no route was found for.
    pub(super) unrouted: RouteMetrics,
    pub(super) connections: IntGauge,
    pub(super) accept_errors: IntCounter,
    pub(super) handshake_errors: IntCounter,
}

/// The figures of one route.
#[derive(Debug)]
pub struct RouteMetrics {
    requests: [[IntCounter; CLASSES.len()]; METHODS.len()],
    duration: Histogram,
}

impl Metrics {
    /// Registers them.
    ///
    /// # Errors
    /// If `registry` already has one of these names.
    pub fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let requests = IntCounterVec::new(
            Opts::new("holdpoint_http_requests_total", "Answers to agents, by route, method and class of the status."),
            &["route", "method", "code_class"],
        )?;
        registry.register(Box::new(requests.clone()))?;
        let durations = HistogramOpts::new(
            "holdpoint_http_request_duration_seconds",
            "From the head of a request to the head of its answer, holding included.",
        )
        .buckets(vec![0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0]);
        let durations = HistogramVec::new(durations, &["route"])?;
        registry.register(Box::new(durations.clone()))?;
        let connections = IntGauge::new("holdpoint_connections", "Open connections of agents.")?;
        registry.register(Box::new(connections.clone()))?;
        let counter = |name, help| {
            let counter = IntCounter::new(name, help)?;
            registry.register(Box::new(counter.clone()))?;
            Ok::<_, prometheus::Error>(counter)
        };
        let unrouted = RouteMetrics::new(&requests, &durations, "none");
        Ok(Self {
            unrouted,
            requests,
            durations,
            connections,
            accept_errors: counter("holdpoint_accept_errors_total", "Connections that could not be accepted.")?,
            handshake_errors: counter("holdpoint_tls_handshake_errors_total", "TLS handshakes that failed.")?,
        })
    }

    /// The figures of the route to the upstream of this configured name.
    pub fn route(&self, name: &str) -> RouteMetrics {
        RouteMetrics::new(&self.requests, &self.durations, name)
    }

    /// The place of a method among those that are told apart.
    pub(super) fn method(&self, method: &Method) -> usize {
        METHODS.iter().position(|known| *known == method.as_str()).unwrap_or(METHODS.len() - 1)
    }
}

impl RouteMetrics {
    fn new(requests: &IntCounterVec, durations: &HistogramVec, route: &str) -> Self {
        Self {
            requests: METHODS.map(|method| CLASSES.map(|class| requests.with_label_values(&[route, method, class]))),
            duration: durations.with_label_values(&[route]),
        }
    }

    /// Counts an answer to a request with the method at this place.
    pub(super) fn answered(&self, method: usize, status: StatusCode, took: Duration) {
        let class = usize::from(status.as_u16() / 100).saturating_sub(1);
        if let Some(counter) = self.requests.get(method).and_then(|classes| classes.get(class)) {
            counter.inc();
        }
        self.duration.observe(took.as_secs_f64());
    }
}

const METHODS: [&str; 8] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "other"];
const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];
