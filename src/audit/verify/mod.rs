//! Verifying a log offline, from its files and a key that was pinned somewhere else.
//!
//! Nothing here trusts what the writer meant to do: hashes are computed anew, links are followed,
//! and who approved what is worked out again from the events alone.
//! Start at [`verify`].

use std::collections::BTreeSet;
use std::collections::HashMap;
use std::path::Path;
use std::path::PathBuf;

use crate::model::Sha256;

use self::approvals::Approvals;
use self::entry::Entry;
use self::tiles::TileCheck;
use self::unsettled::Unsettled;
use super::disclosure::Disclosure;
use super::event::EventKind;
use super::files;
use super::files::DisclosureLine;
use super::files::Entries;
use super::key::ParseVkeyError;
use super::key::Vkey;
use super::note::Checkpoint;
use super::note::NOTE_BYTES_MAX;
use super::note::NoteError;
use super::open::VKEY;
use super::tail;
use super::tail::ReadError;
use super::tile::TILE_WIDTH;
use super::tile::Tile;
use super::tree;
use super::tree::Frontier;

pub use self::report::Finding;
pub use self::report::Report;

mod approvals;
mod entry;
mod quorum;
mod report;
mod tiles;
mod unsettled;

/// Why a log cannot be verified at all. Whatever is wrong *in* a log is a [`Finding`] instead.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// There is no log.
    #[error("there is no audit log in `{0}`: it has neither `checkpoint` nor `tile/entries`")]
    NoLog(PathBuf),
    /// A file cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The verifier key is none.
    #[error("the verifier key cannot be used")]
    Vkey(#[from] ParseVkeyError),
    /// No key was given, and the log has none.
    #[error("`{0}` has no file `vkey`; give the verifier key that was pinned when the log was begun")]
    NoVkey(PathBuf),
    /// The older checkpoint cannot be compared with.
    #[error("the older checkpoint cannot be used: {0}")]
    OldCheckpoint(#[source] NoteError),
}

/// Verifies the log in the directory `root`.
///
/// `vkey` is the verifier key that was pinned when the log was begun; without one, the log's own
/// is used, which proves only that the log fits itself. `old_checkpoint` is a checkpoint that was
/// kept from earlier, of which the log must be a continuation.
///
/// # Errors
/// [`VerifyError`] if there is nothing to verify, or nothing to verify it with. Everything that
/// is wrong with the log is in the report.
pub fn verify(root: &Path, vkey: Option<&str>, old_checkpoint: Option<&str>) -> Result<Report, VerifyError> {
    let own = read_text(root, VKEY)?;
    let key: Vkey = match (vkey, &own) {
        (Some(pinned), _) => pinned.trim().parse()?,
        (None, Some(own)) => own.trim_end().parse()?,
        (None, None) => return Err(VerifyError::NoVkey(root.to_owned())),
    };
    let old =
        old_checkpoint.map(|note| Checkpoint::open(note, &key)).transpose().map_err(VerifyError::OldCheckpoint)?;
    let mut report = Report::new(&key, vkey.is_some());
    if vkey.is_some() && own.is_some_and(|own| own != format!("{key}\n")) {
        report.find(None, "the log's own file `vkey` names another key than the one that was given");
    }
    // The checkpoint first: while the log is being written, there are then more entries than it
    // covers, and never fewer.
    let checkpoint = match read_text(root, files::CHECKPOINT)? {
        Some(note) => match Checkpoint::open(&note, &key) {
            Ok(checkpoint) => Some(checkpoint),
            Err(error) => {
                report.find(None, format!("the checkpoint cannot be accepted: {error}"));
                None
            }
        },
        None if tail::bundles(root)? == 0 => return Err(VerifyError::NoLog(root.to_owned())),
        None => {
            report.find(None, "the checkpoint is missing: nothing vouches for the entries");
            None
        }
    };
    let signed = checkpoint.as_ref().map_or(0, |checkpoint| checkpoint.size);
    let unsettled = Unsettled::read(root)?;
    let mut walk = Walk {
        root,
        key: &key,
        signed,
        checkpoints: [("the checkpoint", checkpoint), ("the older checkpoint", old)],
        frontier: Frontier::default(),
        tiles: TileCheck::new(signed, unsettled.settled()),
        unsettled,
        approvals: Approvals::default(),
        previous: None,
        report,
    };
    walk.run()?;
    Ok(walk.report)
}

/// One pass over all entries.
struct Walk<'a> {
    root: &'a Path,
    key: &'a Vkey,
    /// How many entries the checkpoint covers.
    signed: u64,
    checkpoints: [(&'static str, Option<Checkpoint>); 2],
    frontier: Frontier,
    tiles: TileCheck,
    unsettled: Unsettled,
    approvals: Approvals,
    /// What the entry before told.
    previous: Option<EventKind>,
    report: Report,
}

impl Walk<'_> {
    fn run(&mut self) -> Result<(), VerifyError> {
        self.compare_roots();
        let mut bundle = 0;
        // Disclosures before entries: of a log that is being written, the entry comes first.
        let mut disclosures = self.disclosures(bundle)?;
        while let Some(bytes) = self.entries(bundle)? {
            if self.frontier.size() != bundle * TILE_WIDTH {
                let text = format!("`{}` stands behind a bundle that is not full", Tile::entries(bundle));
                self.report.find(None, text);
                break;
            }
            self.bundle(bundle, &bytes, &disclosures)?;
            bundle += 1;
            disclosures = self.disclosures(bundle)?;
        }
        self.tiles.finish(self.root, &mut self.report)?;
        let size = self.frontier.size();
        for (name, checkpoint) in &self.checkpoints {
            if let Some(checkpoint) = checkpoint.as_ref().filter(|checkpoint| checkpoint.size > size) {
                let text = format!(
                    "{name} covers {} entries, but only {size} whole ones are there: the log was cut",
                    checkpoint.size
                );
                self.report.find(None, text);
            }
        }
        if let [(_, Some(new)), (_, Some(old))] = &self.checkpoints
            && old.size > new.size
        {
            let text = format!(
                "the log was set back: its checkpoint covers {} entries, and an older one covers {}",
                new.size, old.size
            );
            self.report.find(None, text);
        }
        self.report.unsigned = size.saturating_sub(self.signed);
        self.report.approvals = self.approvals.count();
        Ok(())
    }

    fn bundle(&mut self, bundle: u64, bytes: &[u8], disclosures: &[u8]) -> Result<(), VerifyError> {
        let mut entries = Entries::new(bytes);
        let mut commitments = HashMap::new();
        for _ in 0..TILE_WIDTH {
            let Some(entry) = entries.next() else { break };
            let index = self.frontier.size();
            let hash = tree::leaf_hash(entry);
            self.frontier.push(hash, |height, index, hash| self.tiles.add(height, index, hash));
            self.tiles.compare_full(self.root, &mut self.report)?;
            self.compare_roots();
            match Entry::parse(entry) {
                Ok(entry) => {
                    self.entry(index, hash, &entry);
                    commitments.insert(entry.id.to_string(), (index, entry.commitments));
                }
                Err(error) => self.report.find(Some(index), error.to_string()),
            }
        }
        let rest = bytes.len() - entries.offset();
        if rest > 0 {
            let text = format!("`{}` has {rest} bytes behind its last whole entry", Tile::entries(bundle));
            // Behind what was signed for, that is what a crash leaves, or an append under way.
            let unfinished = self.frontier.size() >= self.signed && self.frontier.size() < (bundle + 1) * TILE_WIDTH;
            if unfinished { self.report.note(text) } else { self.report.find(None, text) }
        }
        self.check_disclosures(bundle, disclosures, commitments);
        Ok(())
    }

    fn entry(&mut self, index: u64, hash: Sha256, entry: &Entry) {
        *self.report.events.entry(entry.kind.as_str()).or_default() += 1;
        self.report.first.get_or_insert(entry.time);
        self.report.last = Some(entry.time);
        if matches!(self.previous, None | Some(EventKind::LogClosed)) && entry.kind != EventKind::LogOpened {
            self.report.find(Some(index), "it stands where the log was not open: only `log.opened` may");
        }
        self.previous = Some(entry.kind);
        if entry.kind == EventKind::LogOpened {
            if entry.text("vkey") != Some(&self.key.to_string()) {
                self.report.find(Some(index), "the log was opened under another key");
            }
            if entry.data.get("closed_before").and_then(serde_json::Value::as_bool) == Some(false) {
                self.report.note(format!(
                    "entry {index}: the log was opened again after it had not been closed, as after a crash"
                ));
            }
        }
        if entry.kind == EventKind::LogRecovered {
            let reason = entry.text("reason").unwrap_or("it does not say why");
            self.report.note(format!("entry {index}: the log recovered: {reason}"));
        }
        for sentence in self.approvals.observe(hash, entry) {
            self.report.find(Some(index), sentence);
        }
    }

    /// Compares the root so far with every checkpoint of this size.
    fn compare_roots(&mut self) {
        let size = self.frontier.size();
        for (name, checkpoint) in &self.checkpoints {
            let Some(checkpoint) = checkpoint.as_ref().filter(|checkpoint| checkpoint.size == size) else { continue };
            let root = self.frontier.root();
            if root != checkpoint.root {
                let text = format!("the first {size} entries are not those that {name} was signed for");
                self.report.find(None, text);
            } else if size == self.signed {
                self.report.size = size;
                self.report.root = Some(root);
            }
        }
    }

    fn entries(&mut self, bundle: u64) -> Result<Option<Vec<u8>>, ReadError> {
        let mut bytes = tail::read_bundle(self.root, bundle)?;
        if self.unsettled.complete_entries(bundle, &mut bytes) {
            self.report.note(format!(
                "`{}` lacks what the journal has, as after a loss of power; opening the log puts it back",
                Tile::entries(bundle)
            ));
        }
        Ok(bytes)
    }

    fn disclosures(&self, bundle: u64) -> Result<Vec<u8>, ReadError> {
        let path = files::disclosures_path(self.root, bundle);
        let bytes = files::read(&path, files::DISCLOSURES_BYTES_MAX);
        let mut bytes = bytes.map_err(|source| ReadError { path, source })?;
        self.unsettled.complete_disclosures(bundle, &mut bytes);
        Ok(bytes.unwrap_or_default())
    }

    /// Every disclosure must be one that a leaf of its bundle commits to. What is committed to and
    /// not there was withheld or destroyed, which is anybody's right.
    fn check_disclosures(&mut self, bundle: u64, bytes: &[u8], commitments: HashMap<String, (u64, BTreeSet<String>)>) {
        let mut open = commitments;
        for (number, line) in bytes.split_inclusive(|byte| *byte == b'\n').enumerate() {
            let parsed: Option<DisclosureLine> = serde_json::from_slice(line).ok();
            let spelled = |parsed: &DisclosureLine| {
                let text = serde_json::to_string(parsed).unwrap_or_default();
                line.strip_suffix(b"\n") == Some(text.as_bytes())
            };
            let name = || format!("`disclosures/{}.jsonl`, line {}", super::tile::number(bundle), number + 1);
            let Some(parsed) = parsed.filter(spelled) else {
                self.report.find(None, format!("{}: it was changed or cut", name()));
                continue;
            };
            let Some((index, committed)) = open.get_mut(&parsed.event) else {
                self.report.find(None, format!("{}: no entry of that bundle is the event `{}`", name(), parsed.event));
                continue;
            };
            for disclosure in &parsed.disclosures {
                if committed.remove(&Disclosure::commitment(disclosure)) {
                    self.report.disclosed += 1;
                } else {
                    self.report.find(Some(*index), format!("{}: the entry commits to no such value", name()));
                }
            }
        }
        self.report.withheld += open.values().map(|(_, committed)| committed.len() as u64).sum::<u64>();
    }
}

fn read_text(root: &Path, name: &str) -> Result<Option<String>, ReadError> {
    let path = root.join(name);
    let bytes = files::read(&path, NOTE_BYTES_MAX as u64).map_err(|source| ReadError { path, source })?;
    // What is no UTF-8 is no checkpoint and no key either, and is refused as such.
    Ok(bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
}
