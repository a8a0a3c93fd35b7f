//! After a crash: what the files of a log lack, and the journal has, is put back.
//!
//! The journal knows nothing better than the files: it is only sooner on the disk. So it is
//! trusted no further. What it puts back has to continue the tree that is there, and where a
//! checkpoint was signed, it has to be what was signed for.

use std::fs;
use std::io;
use std::path::Path;
use std::path::PathBuf;

use super::files;
use super::files::Entries;
use super::files::TileWrites;
use super::files::WriteError;
use super::files::failed;
use super::journal;
use super::journal::Record;
use super::note::Checkpoint;
use super::tile::TILE_WIDTH;
use super::tree;
use super::tree::Frontier;

/// Why nothing was put back.
#[derive(Debug)]
pub(super) enum RedoError {
    /// A file cannot be read.
    Read(PathBuf, io::Error),
    /// The entries in the journal are not those that were signed for.
    NotSigned,
    /// A file cannot be written.
    Write(WriteError),
}

/// Writes what the journal of the log in `root` has into the files that it belongs in, unless they
/// lack what comes before, or the journal ends before `checkpoint` does: then the files are all
/// there is. Nothing is changed in case of an error but [`RedoError::Write`].
pub(super) fn redo(root: &Path, checkpoint: &Checkpoint) -> Result<(), RedoError> {
    let records = read(root)?;
    if records.last().is_none_or(|last| last.end() < checkpoint.size) {
        return Ok(());
    }
    match continued(root, &records, Some(checkpoint))? {
        Some(tiles) => put_back(root, &records, tiles).map_err(RedoError::Write),
        None => Ok(()),
    }
}

/// Writes into the files of an open log again what the system could not make durable.
pub(super) fn again(root: &Path) -> Result<(), WriteError> {
    let gone = || io::Error::new(io::ErrorKind::InvalidData, "what was made durable before is not there any more");
    let unread = |error| match error {
        RedoError::Write(error) => error,
        RedoError::Read(path, error) => failed("read", &path)(error),
        RedoError::NotSigned => failed("write again", root)(gone()),
    };
    let records = read(root).map_err(unread)?;
    match continued(root, &records, None).map_err(unread)? {
        Some(tiles) => put_back(root, &records, tiles),
        None => Err(failed("write again", root)(gone())),
    }
}

fn read(root: &Path) -> Result<Vec<Record>, RedoError> {
    journal::read(root).map_err(|error| RedoError::Read(root.join("journal-0"), error))
}

/// The tiles that `records` make, if the files have everything before them.
fn continued(
    root: &Path,
    records: &[Record],
    checkpoint: Option<&Checkpoint>,
) -> Result<Option<TileWrites>, RedoError> {
    let Some(first) = records.first() else { return Ok(Some(TileWrites::default())) };
    let path = files::entries_path(root, first.first / TILE_WIDTH);
    if length(&path).map_err(|error| RedoError::Read(path, error))? < first.entries_at {
        return Ok(None);
    }
    let subtree = |height, index| match files::subtree(root, height, index) {
        Ok(hash) => hash.ok_or(None),
        Err((path, error)) => Err(Some(RedoError::Read(path, error))),
    };
    let mut frontier = match Frontier::load(first.first, subtree) {
        Ok(frontier) => frontier,
        Err(None) => return Ok(None),
        Err(Some(error)) => return Err(error),
    };
    let signed = |frontier: &Frontier| {
        checkpoint.is_none_or(|signed| signed.size != frontier.size() || signed.root == frontier.root())
    };
    let mut tiles = TileWrites::default();
    let mut fits = signed(&frontier);
    for entry in records.iter().flat_map(|record| Entries::new(&record.entries)) {
        frontier.push(tree::leaf_hash(entry), |height, index, hash| tiles.add(height, index, hash));
        fits &= signed(&frontier);
    }
    if fits { Ok(Some(tiles)) } else { Err(RedoError::NotSigned) }
}

fn length(path: &Path) -> io::Result<u64> {
    match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
        metadata => Ok(metadata?.len()),
    }
}

fn put_back(root: &Path, records: &[Record], tiles: TileWrites) -> Result<(), WriteError> {
    for record in records {
        let bundle = record.first / TILE_WIDTH;
        files::put(&files::entries_path(root, bundle), record.entries_at, &record.entries)?;
        let path = files::disclosures_path(root, bundle);
        // Disclosures that were destroyed meanwhile stay so.
        let there = record.disclosures_at <= length(&path).map_err(failed("read", &path))?;
        if there && !record.disclosures.is_empty() {
            files::put(&path, record.disclosures_at, &record.disclosures)?;
        }
    }
    tiles.writes(root).try_for_each(|(path, offset, bytes)| files::put(&path, offset, &bytes))
}

#[cfg(test)]
mod tests {
    use crate::model::EventId;
    use crate::model::IdSource;
    use crate::model::Timestamp;

    use super::super::event::Actor;
    use super::super::event::Event;
    use super::super::event::EventKind;
    use super::super::event::Fields;
    use super::super::files::Files;
    use super::super::leaf::Leaf;
    use super::*;

    fn leaf(ids: &IdSource) -> Leaf {
        let time = Timestamp::from_unix_micros(1_795_238_219_123_456);
        let event = Event {
            id: EventId::new(ids, time),
            time,
            kind: EventKind::PolicyLoaded,
            subject: None,
            prev: None,
            policy: None,
            actor: Actor::System,
            data: Fields::new(),
            private: vec![("reason", "none".into())],
        };
        event.seal("node-1", || [1; 16]).unwrap()
    }

    #[test]
    fn what_an_open_log_lost_is_written_again() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        let ids = IdSource::new([7; 10]);
        let leaves: Vec<Leaf> = (0..300).map(|_| leaf(&ids)).collect();
        let mut files = Files::empty(root.to_owned()).unwrap();
        files.append(&leaves.iter().take(200).collect::<Vec<_>>()).unwrap();
        files.append(&leaves.iter().skip(200).collect::<Vec<_>>()).unwrap();
        let names = ["tile/entries/000", "tile/entries/001", "tile/0/000", "tile/0/001", "tile/1/000"];
        let names = names.into_iter().chain(["disclosures/000.jsonl", "disclosures/001.jsonl"]);
        for path in names.map(|name| root.join(name)) {
            let good = fs::read(&path).unwrap();
            fs::write(&path, vec![0; good.len() / 2]).unwrap();
            again(root).unwrap();
            assert_eq!(fs::read(&path).unwrap(), good, "{}", path.display());
        }
        files.close().unwrap();
        assert!(journal::read(root).unwrap().is_empty());
        again(root).unwrap();
    }
}
