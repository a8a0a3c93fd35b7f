//! Names of tiles and entry bundles: the C2SP tlog-tiles layout, 256 wide.
//!
//! On disk a tile is one file that grows until it is full, so a partial tile is the beginning of
//! that file; the names with `.p/` are only for whoever asks for one over HTTP.

use std::fmt;
use std::str::FromStr;

/// How many hashes or entries a full tile or bundle has.
pub(super) const TILE_WIDTH: u64 = 256;
/// The height of a full tile: 2^8 is 256.
pub(super) const TILE_HEIGHT: u8 = 8;
/// The bytes of one hash in a tile.
pub(super) const HASH_BYTES: u64 = 32;

/// Names one tile of hashes or one bundle of entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tile {
    /// The level of a tile of hashes, 0 for leaf hashes; `None` for a bundle of entries.
    pub level: Option<u8>,
    /// Its place in its level, from 0.
    pub index: u64,
    /// How many hashes or entries of it are meant, 1 to 256.
    pub width: u16,
}

/// A text that does not name a tile.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` does not name a tile; expected a path such as `tile/0/x001/067` or `tile/entries/000.p/5`")]
pub struct ParseTileError(String);

impl Tile {
    /// A full bundle of entries, or the file of a growing one.
    pub(super) fn entries(index: u64) -> Self {
        Self { level: None, index, width: 256 }
    }

    /// A full tile of hashes, or the file of a growing one.
    pub(super) fn hashes(level: u8, index: u64) -> Self {
        Self { level: Some(level), index, width: 256 }
    }
}

impl fmt::Display for Tile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.level {
            Some(level) => write!(f, "tile/{level}/")?,
            None => f.write_str("tile/entries/")?,
        }
        f.write_str(&number(self.index))?;
        if self.width < 256 { write!(f, ".p/{}", self.width) } else { Ok(()) }
    }
}

impl FromStr for Tile {
    type Err = ParseTileError;

    fn from_str(text: &str) -> Result<Self, ParseTileError> {
        let refuse = || ParseTileError(text.escape_debug().take(80).collect());
        let (level, rest) = text.strip_prefix("tile/").and_then(|rest| rest.split_once('/')).ok_or_else(refuse)?;
        let level = match level {
            "entries" => None,
            level => Some(level.parse().ok().filter(|level| *level < 64).ok_or_else(refuse)?),
        };
        let (path, width) = match rest.split_once(".p/") {
            Some((path, width)) => {
                (path, width.parse().ok().filter(|width| (1..256).contains(width)).ok_or_else(refuse)?)
            }
            None => (rest, 256),
        };
        let digits: String = path.split('/').map(|part| part.strip_prefix('x').unwrap_or(part)).collect();
        let tile = Self { level, index: digits.parse().map_err(|_| refuse())?, width };
        // One tile has one name: no signs, no further zeros, an `x` where one belongs.
        if tile.to_string() == text { Ok(tile) } else { Err(refuse()) }
    }
}

/// Three digits a directory, all but the last with an `x`: 1234067 is `x001/x234/067`.
pub(super) fn number(index: u64) -> String {
    let mut text = format!("{:03}", index % 1000);
    let mut rest = index / 1000;
    while rest > 0 {
        text = format!("x{:03}/{text}", rest % 1000);
        rest /= 1000;
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiles_have_the_names_of_the_specification() {
        let cases = [
            (Tile::entries(0), "tile/entries/000"),
            (Tile::hashes(0, 67), "tile/0/067"),
            (Tile::hashes(2, 1000), "tile/2/x001/000"),
            (Tile::hashes(1, 1_234_067), "tile/1/x001/x234/067"),
            (Tile { level: Some(0), index: 1_234_067, width: 8 }, "tile/0/x001/x234/067.p/8"),
            (Tile { level: None, index: 5, width: 255 }, "tile/entries/005.p/255"),
        ];
        for (tile, name) in cases {
            assert_eq!(tile.to_string(), name);
            assert_eq!(name.parse(), Ok(tile));
        }
    }

    #[test]
    fn a_tile_has_no_other_name() {
        let names = [
            "",
            "tile",
            "tile/0",
            "tile/0/",
            "tile/0/0",
            "tile/0/0001",
            "tile/00/000",
            "tile/64/000",
            "tile/+1/000",
            "tile/0/x000/001",
            "tile/0/x001/x002",
            "tile/0/001/002",
            "tile/0/000.p/0",
            "tile/0/000.p/256",
            "tile/0/000.p/01",
            "tile/entries/../x",
            "tile/0/xx01/000",
            "tile/0/x18446744073709551616/000",
            "tile/-1/000",
            "/tile/0/000",
        ];
        for name in names {
            assert!(name.parse::<Tile>().is_err(), "{name}");
        }
    }
}
