//! The files of one log, and how they grow: entries first, then their hashes, then the journal,
//! whose one flush makes a batch durable, and now and then a checkpoint.
//!
//! No file is kept open between two writes. Each write first checks that the file is as long as
//! it should be, so that a file that was moved, cut or added to by somebody else stops the log
//! at once instead of making it wrong. What a failed write left behind is cut off before the next.

use std::collections::BTreeMap;
use std::fs;
use std::fs::File;
use std::fs::OpenOptions;
use std::io;
use std::io::Read;
use std::io::Write;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::fs::FileExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::path::PathBuf;

use serde::Deserialize;
use serde::Serialize;

use crate::model::Sha256;

use super::journal::Journal;
use super::leaf::ENTRY_BYTES_MAX;
use super::leaf::Leaf;
use super::redo;
use super::tile;
use super::tile::HASH_BYTES;
use super::tile::TILE_HEIGHT;
use super::tile::TILE_WIDTH;
use super::tile::Tile;
use super::tree;
use super::tree::Frontier;

/// Something that could not be done with a file of the log.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} `{path}`")]
pub struct WriteError {
    /// What could not be done, such as `append to`.
    pub action: &'static str,
    /// With which file.
    pub path: PathBuf,
    /// What the system said.
    pub source: io::Error,
}

/// The files of one log, and how far they are known to be good.
#[derive(Debug)]
pub(super) struct Files {
    root: PathBuf,
    frontier: Frontier,
    /// How many bytes of the bundle that the next leaf belongs to are good.
    bundle_bytes: u64,
    /// The same for the disclosures beside it.
    disclosure_bytes: u64,
    /// What was written and may not have reached the disk yet. `None` before the first leaf.
    journal: Option<Journal>,
    /// True while something may stand behind what is good.
    torn: bool,
}

/// One line of the disclosures beside a bundle.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DisclosureLine {
    pub(super) event: String,
    pub(super) disclosures: Vec<String>,
}

impl Files {
    /// A log without any leaf; whatever is there is removed.
    pub(super) fn empty(root: PathBuf) -> Result<Self, WriteError> {
        let mut files = Self::at(root, Frontier::default(), 0, 0);
        files.cut_back()?;
        Ok(files)
    }

    /// Files that are good up to the leaves in `frontier`, followed by `replayed`, whose entries
    /// stand on disk already behind a checkpoint. `bundle_bytes` and `disclosure_bytes` say how
    /// long the last files of these are; whatever stands behind is cut off.
    pub(super) fn recover(
        root: PathBuf,
        frontier: Frontier,
        replayed: &[Sha256],
        bundle_bytes: u64,
        disclosure_bytes: u64,
    ) -> Result<Self, WriteError> {
        let mut tiles = TileWrites::default();
        let mut grown = frontier.clone();
        replayed.iter().for_each(|hash| grown.push(*hash, |height, index, hash| tiles.add(height, index, hash)));
        let mut files = Self::at(root, frontier, bundle_bytes, disclosure_bytes);
        // Tiles are made anew from the checkpoint on: after a crash, their ends may be anything.
        files.cut_tiles()?;
        files.write_tiles(tiles)?;
        files.frontier = grown;
        files.cut_back()?;
        Ok(files)
    }

    fn at(root: PathBuf, frontier: Frontier, bundle_bytes: u64, disclosure_bytes: u64) -> Self {
        Self { root, frontier, bundle_bytes, disclosure_bytes, journal: None, torn: true }
    }

    /// How many leaves there are.
    pub(super) fn size(&self) -> u64 {
        self.frontier.size()
    }

    /// The root over all of them.
    pub(super) fn root_hash(&self) -> Sha256 {
        self.frontier.root()
    }

    /// Adds `leaves`, at most [`BATCH_MAX`] of them, and returns once they are durable.
    ///
    /// # Errors
    /// If so, none of them counts as added, and the next call cuts off what may have been written.
    pub(super) fn append(&mut self, leaves: &[&Leaf]) -> Result<(), WriteError> {
        debug_assert!(leaves.len() <= BATCH_MAX, "the caller splits what is longer");
        self.cut_back()?;
        let mut journal = self.make_room()?;
        self.torn = true;
        let added = self.add(leaves, &mut journal);
        self.journal = Some(journal);
        added?;
        self.torn = false;
        Ok(())
    }

    fn add(&mut self, leaves: &[&Leaf], journal: &mut Journal) -> Result<(), WriteError> {
        let mut frontier = self.frontier.clone();
        let mut bytes = (self.bundle_bytes, self.disclosure_bytes);
        let mut tiles = TileWrites::default();
        let mut batch = journal.batch();
        let mut rest = leaves;
        while !rest.is_empty() {
            let (bundle, place) = (frontier.size() / TILE_WIDTH, frontier.size() % TILE_WIDTH);
            let room = usize::try_from(TILE_WIDTH - place).unwrap_or(usize::MAX);
            let (now, later) = rest.split_at(room.min(rest.len()));
            if place == 0 {
                bytes = (0, 0);
            }
            let [entries, disclosures] = batch.push(frontier.size(), bytes, |entries, disclosures| {
                for leaf in now {
                    push_entry(entries, leaf.bytes());
                    push_disclosures(disclosures, leaf)?;
                    frontier.push(leaf.hash(), |height, index, hash| tiles.add(height, index, hash));
                }
                Ok(())
            })?;
            let [entries, disclosures] =
                [entries, disclosures].map(|range| batch.bytes().get(range).unwrap_or_default());
            bytes.0 = grow(&self.entries_path(bundle), bytes.0, entries)?;
            if !disclosures.is_empty() {
                bytes.1 = grow(&self.disclosures_path(bundle), bytes.1, disclosures)?;
            }
            rest = later;
        }
        self.write_tiles(tiles)?;
        // Last, so that nothing can be put back of a batch that failed.
        journal.append(&batch)?;
        self.frontier = frontier;
        (self.bundle_bytes, self.disclosure_bytes) = bytes;
        Ok(())
    }

    /// The journal, with room for another batch.
    fn make_room(&mut self) -> Result<Journal, WriteError> {
        let Some(mut journal) = self.journal.take() else { return Journal::begin(self.root.clone()) };
        if journal.make_room()
            && let Err(error) = redo::again(&self.root).and_then(|()| journal.settle_now())
        {
            // It knows what is still to be made durable.
            self.journal = Some(journal);
            return Err(error);
        }
        Ok(journal)
    }

    /// Puts `note`, which covers what is durable, in the place of the last checkpoint.
    ///
    /// # Errors
    /// If so, the last checkpoint still stands.
    pub(super) fn write_checkpoint(&self, note: &str) -> Result<(), WriteError> {
        replace(&self.path(CHECKPOINT), note.as_bytes())
    }

    /// Makes all files durable, so that they need no journal.
    pub(super) fn close(&mut self) -> Result<(), WriteError> {
        self.journal.as_mut().map_or(Ok(()), Journal::end)
    }

    fn write_tiles(&self, tiles: TileWrites) -> Result<(), WriteError> {
        for (path, offset, bytes) in tiles.writes(&self.root) {
            grow(&path, offset, &bytes)?;
        }
        Ok(())
    }

    /// Cuts off whatever a failed write may have left behind what is good.
    fn cut_back(&mut self) -> Result<(), WriteError> {
        if !self.torn {
            return Ok(());
        }
        let (bundle, place) = (self.size() / TILE_WIDTH, self.size() % TILE_WIDTH);
        let (entries, disclosures) = if place == 0 { (0, 0) } else { (self.bundle_bytes, self.disclosure_bytes) };
        cut(&self.entries_path(bundle), entries)?;
        cut(&self.disclosures_path(bundle), disclosures)?;
        for later in bundle + 1..=bundle + SPILL_MAX {
            cut(&self.entries_path(later), 0)?;
            cut(&self.disclosures_path(later), 0)?;
        }
        self.cut_tiles()?;
        if let Some(journal) = &mut self.journal {
            journal.cut_back()?;
        }
        self.torn = false;
        Ok(())
    }

    fn cut_tiles(&self) -> Result<(), WriteError> {
        for level in 0..LEVELS {
            let hashes = self.size() >> (u32::from(level) * u32::from(TILE_HEIGHT));
            let (tile, place) = (hashes / TILE_WIDTH, hashes % TILE_WIDTH);
            cut(&self.path(&Tile::hashes(level, tile).to_string()), place * HASH_BYTES)?;
            let spill = if level == 0 { SPILL_MAX } else { SPILL_MAX / TILE_WIDTH + 1 };
            for later in tile + 1..=tile + spill {
                cut(&self.path(&Tile::hashes(level, later).to_string()), 0)?;
            }
        }
        Ok(())
    }

    fn entries_path(&self, bundle: u64) -> PathBuf {
        entries_path(&self.root, bundle)
    }

    fn disclosures_path(&self, bundle: u64) -> PathBuf {
        disclosures_path(&self.root, bundle)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }
}

/// Where bundle `bundle` is.
pub(super) fn entries_path(root: &Path, bundle: u64) -> PathBuf {
    root.join(Tile::entries(bundle).to_string())
}

/// Where the disclosures of the leaves in bundle `bundle` are.
pub(super) fn disclosures_path(root: &Path, bundle: u64) -> PathBuf {
    root.join(format!("disclosures/{}.jsonl", tile::number(bundle)))
}

/// Hashes to add to tiles: by level and tile, the place of the first one and their bytes.
#[derive(Default)]
pub(super) struct TileWrites(BTreeMap<(u8, u64), (u64, Vec<u8>)>);

impl TileWrites {
    /// Notes a full subtree, if it is one that stands in a tile.
    pub(super) fn add(&mut self, height: u8, index: u64, hash: Sha256) {
        if !height.is_multiple_of(TILE_HEIGHT) {
            return;
        }
        let tile = (height / TILE_HEIGHT, index / TILE_WIDTH);
        let (_, bytes) = self.0.entry(tile).or_insert_with(|| (index % TILE_WIDTH, Vec::new()));
        bytes.extend_from_slice(hash.as_bytes());
    }

    /// What to write: the files of tiles, at which bytes, and what.
    pub(super) fn writes(self, root: &Path) -> impl Iterator<Item = (PathBuf, u64, Vec<u8>)> {
        let path = |(level, index)| root.join(Tile::hashes(level, index).to_string());
        self.0.into_iter().map(move |(tile, (place, bytes))| (path(tile), place * HASH_BYTES, bytes))
    }
}

pub(super) fn push_entry(out: &mut Vec<u8>, entry: &[u8]) {
    let length = u16::try_from(entry.len()).expect("a leaf is at most 65,535 bytes");
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(entry);
}

fn push_disclosures(out: &mut Vec<u8>, leaf: &Leaf) -> Result<(), WriteError> {
    if leaf.disclosures().is_empty() {
        return Ok(());
    }
    let line = DisclosureLine { event: leaf.id().to_string(), disclosures: leaf.disclosures().to_vec() };
    serde_json::to_writer(&mut *out, &line).map_err(|error| failed("write", Path::new("disclosures"))(error.into()))?;
    out.push(b'\n');
    Ok(())
}

/// The entries of a bundle, one after the other; ends after the last whole one.
#[derive(Clone, Debug)]
pub(super) struct Entries<'a> {
    bytes: &'a [u8],
    offset: usize,
}

impl<'a> Entries<'a> {
    /// The entries in the bytes of a bundle.
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, offset: 0 }
    }

    /// How many bytes the entries so far have.
    pub(super) fn offset(&self) -> usize {
        self.offset
    }
}

impl<'a> Iterator for Entries<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let rest = self.bytes.get(self.offset..)?;
        let (length, rest) = rest.split_first_chunk::<2>()?;
        let length = usize::from(u16::from_be_bytes(*length));
        let entry = rest.get(..length)?;
        self.offset += 2 + length;
        Some(entry)
    }
}

/// The hash of a full subtree, from the tiles; `None` if they do not have it.
pub(super) fn subtree(root: &Path, height: u8, index: u64) -> Result<Option<Sha256>, (PathBuf, io::Error)> {
    let (level, below) = (height / TILE_HEIGHT, height % TILE_HEIGHT);
    let start = index << below;
    let path = root.join(Tile::hashes(level, start / TILE_WIDTH).to_string());
    let tile = read(&path, TILE_BYTES_MAX).map_err(|error| (path, error))?.unwrap_or_default();
    let from = start % TILE_WIDTH * HASH_BYTES;
    let to = from + (HASH_BYTES << below);
    let range = usize::try_from(from).unwrap_or(usize::MAX)..usize::try_from(to).unwrap_or(usize::MAX);
    let Some(bytes) = tile.get(range) else { return Ok(None) };
    let (hashes, _) = bytes.as_chunks::<32>();
    Ok(Some(tree::fold(hashes.iter().copied().map(Sha256::from_bytes))))
}

/// Reads a file of the log that has at most `max` bytes; `None` if there is no such file.
pub(super) fn read(path: &Path, max: u64) -> io::Result<Option<Vec<u8>>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut bytes = Vec::with_capacity(usize::try_from(file.metadata()?.len().min(max)).unwrap_or(0));
    file.take(max + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > max {
        return Err(io::Error::new(io::ErrorKind::InvalidData, format!("it has more than {max} bytes")));
    }
    Ok(Some(bytes))
}

/// Appends `bytes` at `offset`, which must be the end of the file. Returns the new end.
fn grow(path: &Path, offset: u64, bytes: &[u8]) -> Result<u64, WriteError> {
    let error = failed("append to", path);
    let file = open_to_write(path, offset).map_err(&error)?;
    let length = file.metadata().map_err(&error)?.len();
    if length != offset {
        return Err(error(meddled(offset, length)));
    }
    file.write_all_at(bytes, offset).map_err(&error)?;
    Ok(offset + bytes.len() as u64)
}

/// Writes `bytes` at `offset`, over what is there already.
pub(super) fn put(path: &Path, offset: u64, bytes: &[u8]) -> Result<(), WriteError> {
    let write = || {
        let file = open_to_write(path, offset)?;
        let length = file.metadata()?.len();
        if length < offset { Err(meddled(offset, length)) } else { file.write_all_at(bytes, offset) }
    };
    write().map_err(failed("put back", path))
}

/// Opens a file to write from `offset` on; makes it only to be written from its beginning.
fn open_to_write(path: &Path, offset: u64) -> io::Result<File> {
    if let Some(parent) = path.parent().filter(|parent| offset == 0 && !parent.is_dir()) {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(parent)?;
    }
    OpenOptions::new().write(true).create(offset == 0).truncate(false).mode(0o600).open(path)
}

/// A file is not as long as it was left.
pub(super) fn meddled(offset: u64, length: u64) -> io::Error {
    let text = format!("it should have {offset} bytes and has {length}; something else changes the log's files");
    io::Error::new(io::ErrorKind::InvalidData, text)
}

/// Puts a file with these bytes in the place of `path`, all or nothing.
pub(super) fn replace(path: &Path, bytes: &[u8]) -> Result<(), WriteError> {
    let new = path.with_extension("new");
    let write = || {
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&new, path)?;
        sync_parent(path)
    };
    write().map_err(failed("replace", path))
}

/// Makes durable which files are in the directory of `path`.
pub(super) fn sync_parent(path: &Path) -> io::Result<()> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    sync_dir(parent.unwrap_or(Path::new(".")))
}

pub(super) fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

/// Cuts `path` to `length` bytes, durably: what was taken back must not come back after a crash.
fn cut(path: &Path, length: u64) -> Result<(), WriteError> {
    let cut = || {
        if length == 0 {
            fs::remove_file(path)?;
            return sync_parent(path);
        }
        let file = OpenOptions::new().write(true).open(path)?;
        if file.metadata()?.len() > length {
            file.set_len(length)?;
            file.sync_all()?;
        }
        Ok(())
    };
    match cut() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other.map_err(failed("cut back", path)),
    }
}

/// Turns what the system said into an error about `path`.
pub(super) fn failed(action: &'static str, path: &Path) -> impl Fn(io::Error) -> WriteError {
    move |source| WriteError { action, path: path.to_owned(), source }
}

/// The file with the latest checkpoint.
pub(super) const CHECKPOINT: &str = "checkpoint";
/// The most leaves written at once.
pub(super) const BATCH_MAX: usize = 16_384;
/// How many bundles one batch can reach beyond the current one.
const SPILL_MAX: u64 = BATCH_MAX as u64 / TILE_WIDTH + 1;
/// Levels that a tree of 2^64 leaves has.
const LEVELS: u8 = 8;
/// The longest bundle.
pub(super) const BUNDLE_BYTES_MAX: u64 = TILE_WIDTH * (2 + ENTRY_BYTES_MAX as u64);
/// The longest tile of hashes.
pub(super) const TILE_BYTES_MAX: u64 = TILE_WIDTH * HASH_BYTES;
/// The longest file of disclosures that is read; they are far shorter, since a call's fields are.
pub(super) const DISCLOSURES_BYTES_MAX: u64 = 256 * 1024 * 1024;
