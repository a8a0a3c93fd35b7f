//! How many event streams may be open, of one person and of all.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::model::PersonId;

use super::metrics::Metrics;
use super::refused::Code;
use super::refused::Refused;

/// The streams that are open.
pub(super) struct Streams {
    open: Mutex<Open>,
    per_person_max: usize,
    max: usize,
    metrics: Metrics,
}

#[derive(Default)]
struct Open {
    by_person: HashMap<PersonId, usize>,
    total: usize,
}

/// One open stream. Dropping it closes it.
pub(super) struct Stream {
    streams: Arc<Streams>,
    person: PersonId,
}

impl Streams {
    pub(super) fn new(per_person_max: usize, max: usize, metrics: Metrics) -> Self {
        Self { open: Mutex::default(), per_person_max, max, metrics }
    }

    /// Opens one more stream of `person`.
    ///
    /// # Errors
    /// If there are too many.
    pub(super) fn open(self: &Arc<Self>, person: &PersonId) -> Result<Stream, Refused> {
        let mut open = self.open.lock();
        let own = open.by_person.get(person).copied().unwrap_or(0);
        let refused = if own >= self.per_person_max {
            Some(format!("you have {own} event streams open, and nobody may have more; close one"))
        } else if open.total >= self.max {
            Some(format!("{} event streams are open, and no more may be", open.total))
        } else {
            None
        };
        if let Some(detail) = refused {
            self.metrics.streams_refused.inc();
            return Err(Refused::new(Code::TooManyStreams, detail));
        }
        open.by_person.insert(person.clone(), own + 1);
        open.total += 1;
        self.metrics.streams.inc();
        Ok(Stream { streams: Arc::clone(self), person: person.clone() })
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        let mut open = self.streams.open.lock();
        open.total -= 1;
        let own = open.by_person.get(&self.person).map_or(0, |own| own - 1);
        if own == 0 {
            open.by_person.remove(&self.person);
        } else {
            open.by_person.insert(self.person.clone(), own);
        }
        self.streams.metrics.streams.dec();
    }
}
