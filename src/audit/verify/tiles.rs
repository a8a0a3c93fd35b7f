//! Whether the tiles hold the hashes of the entries.

use std::collections::BTreeMap;
use std::path::Path;

use crate::model::Sha256;

use super::super::files;
use super::super::tail::ReadError;
use super::super::tile::HASH_BYTES;
use super::super::tile::TILE_HEIGHT;
use super::super::tile::TILE_WIDTH;
use super::super::tile::Tile;
use super::report::Report;

/// Collects the hashes that each tile should have, and compares a tile once it is full.
pub(super) struct TileCheck {
    /// How many entries are signed for: only their hashes have to be there.
    signed: u64,
    /// How many entries' hashes have to be on disk: those of the others are made anew when the log
    /// is opened. All, if the log was closed.
    settled: u64,
    /// By level: the tile, and what it should hold.
    open: BTreeMap<u8, (u64, Vec<u8>)>,
    full: Vec<(u8, u64, Vec<u8>)>,
}

impl TileCheck {
    pub(super) fn new(signed: u64, settled: Option<u64>) -> Self {
        Self { signed, settled: settled.unwrap_or(u64::MAX), open: BTreeMap::new(), full: Vec::new() }
    }

    /// Takes note of a full subtree.
    pub(super) fn add(&mut self, height: u8, index: u64, hash: Sha256) {
        if !height.is_multiple_of(TILE_HEIGHT) {
            return;
        }
        let level = height / TILE_HEIGHT;
        // The last entry below this subtree has to be signed for.
        if (index + 1) << height > self.signed {
            return;
        }
        let (tile, bytes) = self.open.entry(level).or_insert_with(|| (index / TILE_WIDTH, Vec::new()));
        bytes.extend_from_slice(hash.as_bytes());
        if bytes.len() as u64 == TILE_WIDTH * HASH_BYTES {
            let (tile, bytes) = (*tile, std::mem::take(bytes));
            self.open.remove(&level);
            self.full.push((level, tile, bytes));
        }
    }

    /// Compares the tiles that have become full.
    pub(super) fn compare_full(&mut self, root: &Path, report: &mut Report) -> Result<(), ReadError> {
        for (level, tile, expected) in std::mem::take(&mut self.full) {
            self.compare(root, level, tile, &expected, report)?;
        }
        Ok(())
    }

    /// Compares the last tile of each level.
    pub(super) fn finish(&mut self, root: &Path, report: &mut Report) -> Result<(), ReadError> {
        for (level, (tile, expected)) in std::mem::take(&mut self.open) {
            self.compare(root, level, tile, &expected, report)?;
        }
        Ok(())
    }

    fn compare(
        &self,
        root: &Path,
        level: u8,
        index: u64,
        expected: &[u8],
        report: &mut Report,
    ) -> Result<(), ReadError> {
        let name = Tile::hashes(level, index).to_string();
        let path = root.join(&name);
        let found = match files::read(&path, files::TILE_BYTES_MAX) {
            Ok(found) => found.unwrap_or_default(),
            Err(source) => return Err(ReadError { path, source }),
        };
        let (expected, _) = expected.as_chunks::<32>();
        let (found, _) = found.as_chunks::<32>();
        // Hashes of entries that stand in the journal as well may be anything after a loss of power.
        let below = level * TILE_HEIGHT;
        let settled = (self.settled >> below).saturating_sub(index * TILE_WIDTH);
        let settled = usize::try_from(settled).unwrap_or(usize::MAX).min(expected.len());
        let mut unsettled = found.len() < expected.len();
        if found.len() < settled {
            report.find(None, format!("`{name}` has {} hashes and should have {}", found.len(), expected.len()));
            unsettled = false;
        }
        for (place, _) in expected.iter().zip(found).enumerate().filter(|(_, (expected, found))| expected != found) {
            let subtree = index * TILE_WIDTH + place as u64;
            if place >= settled {
                unsettled = true;
            } else if level == 0 {
                report.find(Some(subtree), format!("its hash is not the one in `{name}`: one of the two was changed"));
            } else {
                report.find(None, format!("the hash at place {place} in `{name}` is not that of the entries below it"));
            }
        }
        if unsettled {
            report.note(format!("`{name}` lacks hashes, as after a loss of power; opening the log makes them anew"));
        }
        Ok(())
    }
}
