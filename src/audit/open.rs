//! Opening a log: is it whole, is it ours, and where does it go on after a crash?
//!
//! What a checkpoint covers must be there, unchanged. What stands behind it was written and not
//! yet signed for: whole entries are kept, and what a crash left half-written is cut off, kept in
//! `cut/`, and recorded in the log. What had not reached its file yet is put back first.

use std::collections::HashMap;
use std::collections::HashSet;
use std::fs;
use std::fs::File;
use std::fs::OpenOptions;
use std::fs::TryLockError;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::path::PathBuf;

use serde::Deserialize;

use crate::model::Sha256;
use crate::model::Timestamp;

use super::canonical;
use super::event::EventKind;
use super::files;
use super::files::DisclosureLine;
use super::files::Entries;
use super::files::Files;
use super::files::WriteError;
use super::journal;
use super::key::Vkey;
use super::note::Checkpoint;
use super::note::NOTE_BYTES_MAX;
use super::note::NoteError;
use super::redo;
use super::redo::RedoError;
use super::tile::TILE_WIDTH;
use super::tile::Tile;
use super::tree;
use super::tree::Frontier;

/// Why a log cannot be opened. None of these changes what is on disk, apart from entries that the
/// journal puts back because they were signed for.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The origin cannot name a log.
    #[error(
        "`{0}` cannot name an audit log; `audit.origin` is a text without spaces and `+`, such as `holdpoint.example.com/node-1`"
    )]
    Origin(String),
    /// Another process has it open.
    #[error("the audit log in `{0}` is in use by another process; every process needs a log of its own")]
    Locked(PathBuf),
    /// A file could not be read.
    #[error("cannot read `{path}` of the audit log")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file could not be written.
    #[error("the audit log cannot be written")]
    Write(#[from] WriteError),
    /// The checkpoint is not ours, or was changed.
    #[error(
        "the checkpoint of the audit log in `{path}` cannot be accepted: {source}; use the key and origin that the log was begun with, or start a new log in another directory"
    )]
    Checkpoint {
        /// The log's directory.
        path: PathBuf,
        /// What is wrong with it.
        source: NoteError,
    },
    /// There are entries, and nothing that vouches for them.
    #[error(
        "the audit log in `{0}` has entries but no checkpoint: the file `checkpoint` was removed; restore it from a backup, or start a new log in another directory"
    )]
    NoCheckpoint(PathBuf),
    /// There is less than was signed for.
    #[error(
        "the audit log in `{path}` was truncated: its checkpoint covers {signed} entries, and {found} are there; restore the missing ones from a backup, or start a new log in another directory"
    )]
    Truncated {
        /// The log's directory.
        path: PathBuf,
        /// How many the checkpoint covers.
        signed: u64,
        /// How many whole ones there are.
        found: u64,
    },
    /// What is there is not what was signed for.
    #[error(
        "the audit log in `{path}` was edited or damaged: {what}; `holdpoint audit verify` says where; restore it from a backup, or start a new log in another directory"
    )]
    Edited {
        /// The log's directory.
        path: PathBuf,
        /// What does not fit.
        what: String,
    },
    /// The system gave no random bytes, or no thread.
    #[error("the audit log cannot be started")]
    System(#[source] io::Error),
}

/// A log that was opened, and how it was found.
pub(super) struct Opened {
    pub(super) files: Files,
    /// Held as long as the log is open.
    pub(super) lock: File,
    pub(super) found: Found,
    /// How many entries stood behind the checkpoint and will now be signed for. Until then nothing
    /// but the directory's permissions protected them.
    pub(super) unsigned: u64,
}

/// In which state a log was found.
pub(super) enum Found {
    /// There was none.
    Fresh,
    /// It was closed in good order.
    Closed,
    /// The process before did not close it.
    Unclosed(Option<Cut>),
}

/// What was cut off behind the last whole entry.
pub(super) struct Cut {
    /// How many bytes.
    pub(super) bytes: u64,
    /// Their hash, in the order of their files.
    pub(super) sha256: Sha256,
    /// Disclosures that belonged to no entry.
    pub(super) disclosures: u64,
}

/// Opens the log in `root`, which `vkey` names, and makes it good up to its last whole entry.
pub(super) fn open(root: &Path, vkey: &Vkey, now: Timestamp) -> Result<Opened, OpenError> {
    let dir = fs::DirBuilder::new().recursive(true).mode(0o700).create(root);
    dir.and_then(|()| files::sync_parent(root)).map_err(files::failed("make", root))?;
    let lock = lock(root)?;
    let path = root.join(files::CHECKPOINT);
    let note = files::read(&path, NOTE_BYTES_MAX as u64).map_err(|source| OpenError::Read { path, source })?;
    let (files, found, unsigned) = match note {
        Some(note) => existing(root, vkey, &note, now)?,
        None => (fresh(root)?, Found::Fresh, 0),
    };
    let text = format!("{vkey}\n");
    let path = root.join(VKEY);
    if files::read(&path, NOTE_BYTES_MAX as u64).ok().flatten().as_deref() != Some(text.as_bytes()) {
        files::replace(&path, text.as_bytes())?;
    }
    Ok(Opened { files, lock, found, unsigned })
}

fn lock(root: &Path) -> Result<File, OpenError> {
    let path = root.join("lock");
    let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path);
    let file = file.map_err(files::failed("open", &path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::Locked(root.to_owned())),
        Err(TryLockError::Error(source)) => Err(WriteError { action: "lock", path, source }.into()),
    }
}

/// There is no checkpoint: a new log, or one whose making was cut short before its first.
fn fresh(root: &Path) -> Result<Files, OpenError> {
    let begun = read_bundle(root, 0)?.is_none_or(|bytes| Entries::new(&bytes).count() <= BOOT_ENTRIES_MAX);
    let journal = journal::read(root).map_err(|source| OpenError::Read { path: root.to_owned(), source })?;
    let journalled = journal.last().is_none_or(|last| last.end() <= BOOT_ENTRIES_MAX as u64);
    if !begun || !journalled || read_bundle(root, 1)?.is_some() {
        return Err(OpenError::NoCheckpoint(root.to_owned()));
    }
    Ok(Files::empty(root.to_owned())?)
}

fn existing(root: &Path, vkey: &Vkey, note: &[u8], now: Timestamp) -> Result<(Files, Found, u64), OpenError> {
    let note = String::from_utf8_lossy(note);
    let checkpoint =
        Checkpoint::open(&note, vkey).map_err(|source| OpenError::Checkpoint { path: root.to_owned(), source })?;
    redo::redo(root, &checkpoint).map_err(|error| match error {
        RedoError::Read(path, source) => OpenError::Read { path, source },
        RedoError::Write(error) => error.into(),
        RedoError::NotSigned => edited(root, "its journal has other entries than were signed for".into()),
    })?;
    let frontier = Frontier::load(checkpoint.size, |height, index| subtree(root, height, index))?;
    if frontier.root() != checkpoint.root {
        return Err(edited(root, "its tiles do not add up to the root that was signed".into()));
    }
    let scan = Scan::run(root, checkpoint.size)?;
    if scan.count < checkpoint.size {
        return Err(OpenError::Truncated { path: root.to_owned(), signed: checkpoint.size, found: scan.count });
    }
    // An attempt to open it again may have failed before its first checkpoint, more than once.
    let opening = |kind: &Option<EventKind>| matches!(kind, Some(EventKind::LogOpened | EventKind::LogRecovered));
    if scan.last_signed == Some(EventKind::LogClosed) && !scan.unsigned_kinds.iter().all(opening) {
        return Err(edited(root, "entries were added after it had been closed".into()));
    }
    let tile = read_tile(root, 0, scan.first)?;
    let signed: Vec<u8> = scan.signed.iter().flat_map(|hash| *hash.as_bytes()).collect();
    if !tile.starts_with(&signed) {
        let bundle = Tile::entries(scan.first);
        return Err(edited(root, format!("the entries in `{bundle}` are not those whose hashes were signed")));
    }
    // From here on, things are put right.
    for (bundle, bytes) in &scan.cut {
        keep(root, *bundle, bytes, now)?;
    }
    let mut disclosures = 0;
    let mut disclosure_bytes = 0;
    for (&bundle, ids) in &scan.ids {
        let (kept, dropped) = clean_disclosures(root, bundle, ids)?;
        disclosures += dropped;
        if bundle == scan.count / TILE_WIDTH {
            disclosure_bytes = kept;
        }
    }
    let files = Files::recover(root.to_owned(), frontier, &scan.unsigned, scan.bundle_bytes, disclosure_bytes)?;
    let cut: Vec<u8> = scan.cut.iter().flat_map(|(_, bytes)| bytes.iter().copied()).collect();
    let torn = !cut.is_empty() || disclosures > 0;
    let closed = scan.unsigned.is_empty() && scan.last_signed == Some(EventKind::LogClosed);
    let found = if closed && !torn {
        Found::Closed
    } else {
        Found::Unclosed(torn.then(|| Cut { bytes: cut.len() as u64, sha256: Sha256::of(&cut), disclosures }))
    };
    Ok((files, found, scan.unsigned.len() as u64))
}

/// What stands at the end of a log.
#[derive(Default)]
struct Scan {
    /// The bundle that the last signed entry is in.
    first: u64,
    /// How many whole entries the log has.
    count: u64,
    /// Hashes of the signed entries from `first` on.
    signed: Vec<Sha256>,
    /// Hashes of the entries behind the checkpoint.
    unsigned: Vec<Sha256>,
    /// The ids of the entries, by bundle.
    ids: HashMap<u64, HashSet<String>>,
    /// The good bytes of the last bundle.
    bundle_bytes: u64,
    /// What the last signed entry tells.
    last_signed: Option<EventKind>,
    /// What the entries behind the checkpoint tell, as far as this version knows.
    unsigned_kinds: Vec<Option<EventKind>>,
    /// What is to be cut off, by bundle.
    cut: Vec<(u64, Vec<u8>)>,
}

impl Scan {
    fn run(root: &Path, size: u64) -> Result<Self, OpenError> {
        let first = size.saturating_sub(1) / TILE_WIDTH;
        let mut scan = Self { first, count: first * TILE_WIDTH, ..Self::default() };
        let mut bundle = first;
        while let Some(bytes) = read_bundle(root, bundle)? {
            if scan.count == bundle * TILE_WIDTH {
                scan.bundle(bundle, &bytes, size);
            } else {
                // The bundle before was never filled: this one cannot be part of the log.
                scan.cut.push((bundle, bytes));
            }
            bundle += 1;
        }
        Ok(scan)
    }

    fn bundle(&mut self, bundle: u64, bytes: &[u8], size: u64) {
        let mut entries = Entries::new(bytes);
        let mut good = 0;
        let ids = self.ids.entry(bundle).or_default();
        for _ in 0..TILE_WIDTH {
            let Some(entry) = entries.next() else { break };
            // Zeros, as a crash can leave them behind, would pass for empty entries.
            let Some(head) = Head::of(entry) else { break };
            let kind = EventKind::from_word(&head.r#type);
            ids.insert(head.id);
            let hash = tree::leaf_hash(entry);
            if self.count < size {
                self.signed.push(hash);
                self.last_signed = kind;
            } else {
                self.unsigned.push(hash);
                self.unsigned_kinds.push(kind);
            }
            self.count += 1;
            good = entries.offset();
        }
        self.bundle_bytes = good as u64;
        if let Some(rest) = bytes.get(good..).filter(|rest| !rest.is_empty()) {
            self.cut.push((bundle, rest.to_vec()));
        }
    }
}

/// As much of an entry as every version has.
#[derive(Deserialize)]
struct Head {
    id: String,
    r#type: String,
    #[serde(rename = "v")]
    _version: u64,
}

impl Head {
    fn of(entry: &[u8]) -> Option<Self> {
        Self::deserialize(canonical::parse(entry).ok()?).ok()
    }
}

fn subtree(root: &Path, height: u8, index: u64) -> Result<Sha256, OpenError> {
    match files::subtree(root, height, index) {
        Ok(hash) => hash.ok_or_else(|| edited(root, "the tiles do not reach as far as was signed for".into())),
        Err((path, source)) => Err(OpenError::Read { path, source }),
    }
}

fn read_tile(root: &Path, level: u8, index: u64) -> Result<Vec<u8>, OpenError> {
    let path = root.join(Tile::hashes(level, index).to_string());
    let tile = files::read(&path, files::TILE_BYTES_MAX).map_err(|source| OpenError::Read { path, source })?;
    Ok(tile.unwrap_or_default())
}

fn read_bundle(root: &Path, bundle: u64) -> Result<Option<Vec<u8>>, OpenError> {
    let path = root.join(Tile::entries(bundle).to_string());
    files::read(&path, files::BUNDLE_BYTES_MAX).map_err(|source| OpenError::Read { path, source })
}

/// Keeps what is about to be cut off, for whoever wants to look at it.
fn keep(root: &Path, bundle: u64, bytes: &[u8], now: Timestamp) -> Result<(), WriteError> {
    let dir = root.join("cut");
    fs::DirBuilder::new().recursive(true).mode(0o700).create(&dir).map_err(files::failed("make", &dir))?;
    files::replace(&dir.join(format!("{}-{bundle}", now.unix_micros())), bytes)
}

/// Removes disclosures of events that did not make it into the log. Returns the bytes that are
/// left, and how many lines went.
fn clean_disclosures(root: &Path, bundle: u64, ids: &HashSet<String>) -> Result<(u64, u64), OpenError> {
    let path = files::disclosures_path(root, bundle);
    let bytes = files::read(&path, files::DISCLOSURES_BYTES_MAX)
        .map_err(|source| OpenError::Read { path: path.clone(), source })?;
    let Some(bytes) = bytes else { return Ok((0, 0)) };
    let (mut kept, mut dropped) = (Vec::with_capacity(bytes.len()), 0);
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        let known = line.ends_with(b"\n")
            && serde_json::from_slice(line).is_ok_and(|line: DisclosureLine| ids.contains(&line.event));
        if known { kept.extend_from_slice(line) } else { dropped += 1 }
    }
    if dropped > 0 {
        files::replace(&path, &kept)?;
    }
    Ok((kept.len() as u64, dropped))
}

fn edited(root: &Path, what: String) -> OpenError {
    OpenError::Edited { path: root.to_owned(), what }
}

/// The file with the key that verifies the log; it pins nothing, since it lies beside the log.
pub(super) const VKEY: &str = "vkey";
/// A log that was being made when the process died has its first event and no checkpoint.
const BOOT_ENTRIES_MAX: usize = 1;
