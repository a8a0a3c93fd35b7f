//! The files of one log, and how they grow: entries first, then their hashes, then a checkpoint.
//!
//! No file is kept open between two writes. Each write first checks that the file is as long as
//! it should be, so that a file that was moved, cut or added to by somebody else stops the log
//! at once instead of making it wrong. What a failed write left behind is cut off before the next.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
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

use super::leaf::ENTRY_BYTES_MAX;
use super::leaf::Leaf;
use super::tile;
use super::tile::HASH_BYTES;
use super::tile::TILE_HEIGHT;
use super::tile::TILE_WIDTH;
use super::tile::Tile;
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
    /// Tiles that were written and not yet made durable; a checkpoint does that.
    unsynced_tiles: BTreeSet<(u8, u64)>,
    unsynced_dirs: BTreeSet<PathBuf>,
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
        let (unsynced_tiles, unsynced_dirs) = (BTreeSet::new(), BTreeSet::new());
        Self { root, frontier, bundle_bytes, disclosure_bytes, unsynced_tiles, unsynced_dirs, torn: true }
    }

    /// How many leaves there are.
    pub(super) fn size(&self) -> u64 {
        self.frontier.size()
    }

    /// The root over all of them.
    pub(super) fn root_hash(&self) -> Sha256 {
        self.frontier.root()
    }

    /// Adds `leaves`, at most [`BATCH_MAX`] of them, and returns once their entries and
    /// disclosures are durable.
    ///
    /// # Errors
    /// If so, none of them counts as added, and the next call cuts off what may have been written.
    pub(super) fn append(&mut self, leaves: &[&Leaf]) -> Result<(), WriteError> {
        debug_assert!(leaves.len() <= BATCH_MAX, "the caller splits what is longer");
        self.cut_back()?;
        self.torn = true;
        let mut frontier = self.frontier.clone();
        let mut bytes = (self.bundle_bytes, self.disclosure_bytes);
        let mut tiles = TileWrites::default();
        let mut grown = Grown::default();
        let mut rest = leaves;
        while !rest.is_empty() {
            let (bundle, place) = (frontier.size() / TILE_WIDTH, frontier.size() % TILE_WIDTH);
            let room = usize::try_from(TILE_WIDTH - place).unwrap_or(usize::MAX);
            let (now, later) = rest.split_at(room.min(rest.len()));
            if place == 0 {
                bytes = (0, 0);
            }
            let (mut entries, mut disclosures) = (Vec::new(), Vec::new());
            for leaf in now {
                push_entry(&mut entries, leaf.bytes());
                push_disclosures(&mut disclosures, leaf)?;
                frontier.push(leaf.hash(), |height, index, hash| tiles.add(height, index, hash));
            }
            bytes.0 = self.grow(&self.entries_path(bundle), bytes.0, &entries, &mut grown)?;
            if !disclosures.is_empty() {
                bytes.1 = self.grow(&self.disclosures_path(bundle), bytes.1, &disclosures, &mut grown)?;
            }
            rest = later;
        }
        self.write_tiles(tiles)?;
        grown.sync()?;
        self.frontier = frontier;
        (self.bundle_bytes, self.disclosure_bytes) = bytes;
        self.torn = false;
        Ok(())
    }

    /// Makes the tiles durable, then puts `note` in the place of the last checkpoint.
    ///
    /// # Errors
    /// If so, the last checkpoint still stands.
    pub(super) fn write_checkpoint(&mut self, note: &str) -> Result<(), WriteError> {
        for &(level, index) in &self.unsynced_tiles {
            let path = self.path(&Tile::hashes(level, index).to_string());
            File::open(&path).and_then(|file| file.sync_data()).map_err(failed("flush", &path))?;
        }
        for dir in &self.unsynced_dirs {
            sync_dir(dir).map_err(failed("flush", dir))?;
        }
        replace(&self.path(CHECKPOINT), note.as_bytes())?;
        self.unsynced_tiles.clear();
        self.unsynced_dirs.clear();
        Ok(())
    }

    /// Appends `bytes` at `offset`, which must be the end of the file. Returns the new end.
    fn grow(&self, path: &Path, offset: u64, bytes: &[u8], grown: &mut Grown) -> Result<u64, WriteError> {
        let error = failed("append to", path);
        if offset == 0 {
            self.make_parents(path, &mut grown.dirs).map_err(&error)?;
        }
        let mut options = OpenOptions::new();
        let file = options.write(true).create(offset == 0).mode(0o600).open(path).map_err(&error)?;
        let length = file.metadata().map_err(&error)?.len();
        if length != offset {
            let text =
                format!("it should have {offset} bytes and has {length}; something else changes the log's files");
            return Err(error(io::Error::new(io::ErrorKind::InvalidData, text)));
        }
        file.write_all_at(bytes, offset).map_err(&error)?;
        grown.files.push((path.to_owned(), file));
        Ok(offset + bytes.len() as u64)
    }

    fn write_tiles(&mut self, tiles: TileWrites) -> Result<(), WriteError> {
        for ((level, index), (place, bytes)) in tiles.0 {
            let path = self.path(&Tile::hashes(level, index).to_string());
            let mut grown = Grown::default();
            self.grow(&path, place * HASH_BYTES, &bytes, &mut grown)?;
            self.unsynced_tiles.insert((level, index));
            self.unsynced_dirs.append(&mut grown.dirs);
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
        self.torn = false;
        Ok(())
    }

    fn cut_tiles(&mut self) -> Result<(), WriteError> {
        for level in 0..LEVELS {
            let hashes = self.size() >> (u32::from(level) * u32::from(TILE_HEIGHT));
            let (tile, place) = (hashes / TILE_WIDTH, hashes % TILE_WIDTH);
            cut(&self.path(&Tile::hashes(level, tile).to_string()), place * HASH_BYTES)?;
            let spill = if level == 0 { SPILL_MAX } else { SPILL_MAX / TILE_WIDTH + 1 };
            for later in tile + 1..=tile + spill {
                cut(&self.path(&Tile::hashes(level, later).to_string()), 0)?;
            }
            self.unsynced_tiles.retain(|&(other, index)| other != level || index * TILE_WIDTH < hashes);
        }
        Ok(())
    }

    fn make_parents(&self, path: &Path, made: &mut BTreeSet<PathBuf>) -> io::Result<()> {
        let Some(parent) = path.parent() else { return Ok(()) };
        made.insert(parent.to_owned());
        if parent.is_dir() {
            return Ok(());
        }
        fs::DirBuilder::new().recursive(true).mode(0o700).create(parent)?;
        made.extend(parent.ancestors().take_while(|dir| *dir != self.root).map(Path::to_owned));
        made.insert(self.root.clone());
        Ok(())
    }

    fn entries_path(&self, bundle: u64) -> PathBuf {
        self.path(&Tile::entries(bundle).to_string())
    }

    fn disclosures_path(&self, bundle: u64) -> PathBuf {
        disclosures_path(&self.root, bundle)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }
}

/// Where the disclosures of the leaves in bundle `bundle` are.
pub(super) fn disclosures_path(root: &Path, bundle: u64) -> PathBuf {
    root.join(format!("disclosures/{}.jsonl", tile::number(bundle)))
}

/// Files that have grown and are not yet durable.
#[derive(Default)]
struct Grown {
    files: Vec<(PathBuf, File)>,
    dirs: BTreeSet<PathBuf>,
}

impl Grown {
    fn sync(&self) -> Result<(), WriteError> {
        for (path, file) in &self.files {
            file.sync_data().map_err(failed("flush", path))?;
        }
        self.dirs.iter().try_for_each(|dir| sync_dir(dir).map_err(failed("flush", dir)))
    }
}

/// Hashes to add to tiles: by level and tile, the place of the first one and their bytes.
#[derive(Default)]
struct TileWrites(BTreeMap<(u8, u64), (u64, Vec<u8>)>);

impl TileWrites {
    /// Notes a full subtree, if it is one that stands in a tile.
    fn add(&mut self, height: u8, index: u64, hash: Sha256) {
        if !height.is_multiple_of(TILE_HEIGHT) {
            return;
        }
        let tile = (height / TILE_HEIGHT, index / TILE_WIDTH);
        let (_, bytes) = self.0.entry(tile).or_insert_with(|| (index % TILE_WIDTH, Vec::new()));
        bytes.extend_from_slice(hash.as_bytes());
    }
}

fn push_entry(out: &mut Vec<u8>, entry: &[u8]) {
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

fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

/// Cuts `path` to `length` bytes; to none by removing it.
fn cut(path: &Path, length: u64) -> Result<(), WriteError> {
    let result = if length == 0 {
        fs::remove_file(path)
    } else {
        OpenOptions::new()
            .write(true)
            .open(path)
            .and_then(|file| if file.metadata()?.len() > length { file.set_len(length) } else { Ok(()) })
    };
    match result {
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
