//! Reading leaves back from the files of a log, while it is being written or afterwards.

use std::collections::HashSet;
use std::io;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use crate::model::ApprovalId;
use crate::model::EventId;
use crate::model::Timestamp;

use super::files;
use super::files::Entries;
use super::tile::TILE_WIDTH;
use super::tile::Tile;

/// Which leaf to begin with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// The one with this index.
    Index(u64),
    /// So many before the end.
    Last(u64),
}

/// A file of the log that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read `{path}` of the audit log")]
pub struct ReadError {
    /// The file.
    pub path: PathBuf,
    /// What the system said.
    pub source: io::Error,
}

/// The leaves of a log from some point to its present end, as index and canonical JSON.
#[derive(Debug)]
pub struct Tail {
    root: PathBuf,
    next: u64,
    bundle: Option<Vec<u8>>,
    offset: usize,
}

/// The leaves of the log in `root` from `start` to its present end.
///
/// # Errors
/// [`ReadError`] if it cannot be read.
pub fn tail(root: &Path, start: Start) -> Result<Tail, ReadError> {
    let next = match start {
        Start::Index(index) => index,
        Start::Last(count) => size(root)?.saturating_sub(count),
    };
    let mut tail = Tail { root: root.to_owned(), next: next / TILE_WIDTH * TILE_WIDTH, bundle: None, offset: 0 };
    // Entries differ in length, so those before it in its bundle are passed over one by one.
    while tail.next < next {
        match tail.next() {
            Some(entry) => drop(entry?),
            None => break,
        }
    }
    Ok(tail)
}

/// How many whole entries the log in `root` has, signed for or not. Reads its last bundle only.
///
/// # Errors
/// [`ReadError`] if that cannot be read.
pub fn size(root: &Path) -> Result<u64, ReadError> {
    let Some(last) = bundles(root)?.checked_sub(1) else { return Ok(0) };
    let bytes = read_bundle(root, last)?.unwrap_or_default();
    Ok(last * TILE_WIDTH + Entries::new(&bytes).count() as u64)
}

/// Which of `ids` are in the log, looking back from its end until `not_before`.
pub(super) fn find(root: &Path, ids: &HashSet<EventId>, not_before: Timestamp) -> Result<HashSet<EventId>, ReadError> {
    #[derive(Deserialize)]
    struct Head {
        id: EventId,
        time: Timestamp,
    }
    let mut found = HashSet::new();
    for bundle in (0..bundles(root)?).rev() {
        let bytes = read_bundle(root, bundle)?.unwrap_or_default();
        let mut all_older = true;
        for head in Entries::new(&bytes).filter_map(|entry| serde_json::from_slice::<Head>(entry).ok()) {
            all_older &= head.time.plus(ORDER_SLACK) < not_before;
            if ids.contains(&head.id) {
                found.insert(head.id);
            }
        }
        if all_older || found.len() == ids.len() {
            break;
        }
    }
    Ok(found)
}

/// The place of the event of the sort `kind` about `subject` that happened at `at`; `None` if it was
/// not found. Leaves stand nearly in the order of their times, so that only some bundles have to be
/// read: as many as were written in a minute around it, or at most `BUNDLES_SEARCHED_MAX`.
///
/// # Errors
/// [`ReadError`] if the log in `root` cannot be read.
pub fn place_of(root: &Path, subject: ApprovalId, kind: &str, at: Timestamp) -> Result<Option<u64>, ReadError> {
    #[derive(Deserialize)]
    struct Head {
        time: Timestamp,
        #[serde(rename = "type")]
        kind: String,
        subject: Option<ApprovalId>,
    }
    let bundles = bundles(root)?;
    let begins = |bundle: u64| -> Result<Option<Timestamp>, ReadError> {
        let bytes = read_bundle(root, bundle)?.unwrap_or_default();
        let first = Entries::new(&bytes).next().and_then(|entry| serde_json::from_slice::<Head>(entry).ok());
        Ok(first.map(|head| head.time))
    };
    let (mut low, mut high) = (0, bundles);
    while low < high {
        let middle = low + (high - low) / 2;
        let earlier = begins(middle)?.is_some_and(|time| time.plus(ORDER_SLACK) < at);
        if earlier { low = middle + 1 } else { high = middle }
    }
    let needle = subject.to_string();
    for bundle in low.saturating_sub(1)..bundles.min(low.saturating_add(BUNDLES_SEARCHED_MAX)) {
        let bytes = read_bundle(root, bundle)?.unwrap_or_default();
        for (index, entry) in (bundle * TILE_WIDTH..).zip(Entries::new(&bytes)) {
            if memchr::memmem::find(entry, needle.as_bytes()).is_none() {
                continue;
            }
            let Ok(head) = serde_json::from_slice::<Head>(entry) else { continue };
            if head.subject == Some(subject) && head.kind == kind && head.time == at {
                return Ok(Some(index));
            }
        }
    }
    Ok(None)
}

/// How many bundles there are, found by doubling and halving: they stand side by side from 0.
pub(super) fn bundles(root: &Path) -> Result<u64, ReadError> {
    let exists = |bundle: u64| {
        let path = root.join(Tile::entries(bundle).to_string());
        path.try_exists().map_err(|source| ReadError { path, source })
    };
    let mut high = 1;
    while exists(high - 1)? {
        high *= 2;
    }
    let mut low = high / 2;
    // All below `low` exist; the one before `high` does not.
    while low < high - 1 {
        let middle = low + (high - low) / 2;
        if exists(middle - 1)? { low = middle } else { high = middle }
    }
    Ok(low)
}

pub(super) fn read_bundle(root: &Path, bundle: u64) -> Result<Option<Vec<u8>>, ReadError> {
    let path = root.join(Tile::entries(bundle).to_string());
    files::read(&path, files::BUNDLE_BYTES_MAX).map_err(|source| ReadError { path, source })
}

impl Iterator for Tail {
    type Item = Result<(u64, Vec<u8>), ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.bundle.is_none() {
            match read_bundle(&self.root, self.next / TILE_WIDTH) {
                Ok(bytes) => self.bundle = Some(bytes?),
                Err(error) => return Some(Err(error)),
            }
            self.offset = 0;
        }
        let rest = self.bundle.as_ref()?.get(self.offset..)?;
        let mut entries = Entries::new(rest);
        let entry = entries.next()?.to_vec();
        self.offset += entries.offset();
        let index = self.next;
        self.next += 1;
        if self.next.is_multiple_of(TILE_WIDTH) {
            self.bundle = None;
        }
        Some(Ok((index, entry)))
    }
}

/// Leaves from several cores may stand a little out of the order of their times, and clocks are
/// set back now and then.
const ORDER_SLACK: Duration = Duration::from_secs(60);

/// Bundles that are read to find one event: a million leaves, a second or two of the disk.
const BUNDLES_SEARCHED_MAX: u64 = 4_096;
