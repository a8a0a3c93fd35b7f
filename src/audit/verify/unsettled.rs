//! What stands in the journal and may not have reached its file: of a log that was not closed, the
//! two belong together.

use std::path::Path;

use super::super::journal;
use super::super::journal::Record;
use super::super::tail::ReadError;
use super::super::tile::TILE_WIDTH;

/// The end of a log, as its journal has it.
pub(super) struct Unsettled(Vec<Record>);

impl Unsettled {
    /// Reads the journal of the log in `root`; that of a closed log is empty.
    pub(super) fn read(root: &Path) -> Result<Self, ReadError> {
        journal::read(root).map(Self).map_err(|source| ReadError { path: root.join("journal-0"), source })
    }

    /// How many entries were made durable in the files themselves; `None` if all are.
    pub(super) fn settled(&self) -> Option<u64> {
        self.0.first().map(|record| record.first)
    }

    /// Completes what the file of bundle `bundle` has. True if something was missing.
    pub(super) fn complete_entries(&self, bundle: u64, file: &mut Option<Vec<u8>>) -> bool {
        self.complete(bundle, file, |record| (record.entries_at, &record.entries))
    }

    /// Completes the disclosures of bundle `bundle`. True if something was missing.
    pub(super) fn complete_disclosures(&self, bundle: u64, file: &mut Option<Vec<u8>>) -> bool {
        self.complete(bundle, file, |record| (record.disclosures_at, &record.disclosures))
    }

    fn complete(&self, bundle: u64, file: &mut Option<Vec<u8>>, part: impl Fn(&Record) -> (u64, &Vec<u8>)) -> bool {
        let mut completed = false;
        for (at, bytes) in self.0.iter().filter(|record| record.first / TILE_WIDTH == bundle).map(part) {
            let start = usize::try_from(at).unwrap_or(usize::MAX);
            let there = file.as_ref().map_or(0, Vec::len);
            if bytes.is_empty() || there < start {
                continue;
            }
            let file = file.get_or_insert_default();
            let end = start + bytes.len();
            if file.get(start..end) != Some(bytes) {
                file.splice(start..end.min(there), bytes.iter().copied());
                completed = true;
            }
        }
        completed
    }
}
