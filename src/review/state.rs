//! What the handlers need.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use prometheus::Registry;
use tokio_util::sync::CancellationToken;

use crate::approval::Approvals;
use crate::audit::Log;
use crate::identity::AuthMetrics;
use crate::identity::ReviewerTokens;
use crate::model::Clock;
use crate::model::PersonId;

/// What the admin API needs. Cheap to clone.
#[derive(Clone)]
pub struct AdminState {
    /// The approvals.
    pub approvals: Approvals,
    /// Who may use this API.
    pub tokens: Arc<ArcSwap<ReviewerTokens>>,
    /// Every figure of this process.
    pub registry: Registry,
    /// Counts callers that are not known.
    pub auth_metrics: AuthMetrics,
    /// Asks the time.
    pub clock: Clock,
    /// The audit log, for its latest checkpoint.
    pub log: Log,
    /// Whether calls can be served, and why not.
    pub ready: Arc<dyn Fn() -> Result<(), String> + Send + Sync>,
    /// Cancelled to end event streams.
    pub drain: CancellationToken,
    /// Event streams that are open.
    pub streams: Streams,
}

impl std::fmt::Debug for AdminState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AdminState")
    }
}

/// Counts open event streams, so that nobody takes all connections.
#[derive(Clone, Debug, Default)]
pub struct Streams(Arc<Mutex<HashMap<PersonId, usize>>>);

/// A place for one event stream, given back when dropped.
#[derive(Debug)]
pub(super) struct Place {
    streams: Streams,
    person: PersonId,
}

impl Streams {
    /// A place for a stream of `person`, unless too many are taken.
    pub(super) fn enter(&self, person: &PersonId) -> Option<Place> {
        let mut open = self.0.lock();
        let all: usize = open.values().sum();
        let own = open.entry(person.clone()).or_default();
        if *own >= STREAMS_PER_PERSON_MAX || all >= STREAMS_MAX {
            return None;
        }
        *own += 1;
        Some(Place { streams: self.clone(), person: person.clone() })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.streams.0.lock();
        if let Some(own) = open.get_mut(&self.person) {
            *own -= 1;
            if *own == 0 {
                open.remove(&self.person);
            }
        }
    }
}

/// A person with many tabs and a terminal or two.
pub(super) const STREAMS_PER_PERSON_MAX: usize = 16;

/// All streams of this process; half of what the admin listener accepts.
const STREAMS_MAX: usize = 512;
