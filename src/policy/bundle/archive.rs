//! `tar.gz`, read into memory and no further than its limits.

use std::collections::BTreeMap;
use std::io;
use std::io::Read;

use flate2::read::GzDecoder;
use tar::EntryType;

use super::ARCHIVE_BYTES_MAX;
use super::BundleError;
use super::FILES_MAX;
use super::UNPACKED_BYTES_MAX;

/// The files of an archive by their names.
pub(super) fn unpack(archive: &[u8]) -> Result<BTreeMap<String, Vec<u8>>, BundleError> {
    if archive.len() > ARCHIVE_BYTES_MAX {
        return Err(BundleError::TooLarge { what: "bytes", max: ARCHIVE_BYTES_MAX as u64 });
    }
    // Headers, padding and long names count as well, so that nothing is read without a limit.
    let limited = Limited { inner: GzDecoder::new(archive), left: UNPACKED_BYTES_MAX };
    let mut archive = tar::Archive::new(limited);
    let mut files = BTreeMap::new();
    for (index, entry) in archive.entries().map_err(failed)?.enumerate() {
        if index >= FILES_MAX {
            return Err(BundleError::TooLarge { what: "entries", max: FILES_MAX as u64 });
        }
        let mut entry = entry.map_err(failed)?;
        let path = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        match entry.header().entry_type() {
            EntryType::Directory => continue,
            EntryType::Regular => {}
            _ => return Err(BundleError::Kind(path.escape_debug().to_string())),
        }
        let path = name(&path)?;
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).map_err(failed)?;
        if files.insert(path.clone(), bytes).is_some() {
            return Err(BundleError::Duplicate(path));
        }
    }
    Ok(files)
}

/// The name of a file within the bundle. `opa build` writes `/data.json` and other tools
/// `./data.json`: both mean the bundle itself, which is nobody's root directory. Everything else
/// that could lead out of it is refused, although nothing is ever written to a disk.
fn name(path: &str) -> Result<String, BundleError> {
    let name = path.strip_prefix("./").or_else(|| path.strip_prefix('/')).unwrap_or(path);
    let is_plain = |part: &str| {
        !matches!(part, "" | "." | "..")
            && !part.chars().any(|c| c.is_control() || matches!(c, '\\' | ':' | '\u{FFFD}'))
    };
    if name.split('/').all(is_plain) {
        return Ok(name.to_owned());
    }
    Err(BundleError::Name(path.escape_debug().to_string()))
}

/// Says which limit it was. The reader of archives keeps only the text of what went wrong below it.
fn failed(error: io::Error) -> BundleError {
    match error.to_string().contains(FULL) {
        true => BundleError::TooLarge { what: "bytes when it is unpacked", max: UNPACKED_BYTES_MAX },
        false => BundleError::Archive(error),
    }
}

const FULL: &str = "the bundle unpacks to too many bytes";

struct Limited<R> {
    inner: R,
    left: u64,
}

impl<R: Read> Read for Limited<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.left = self.left.checked_sub(read as u64).ok_or_else(|| io::Error::other(FULL))?;
        Ok(read)
    }
}
