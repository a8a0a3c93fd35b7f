//! The journal: what makes a batch durable with one flush, before the files that it belongs in are.
//!
//! Entries, disclosures and tiles are written into their files and left to the system, which may
//! take its time and a few large steps for what would be hundreds of small ones. Until it is done,
//! everything since stands here as well: after a crash, [`super::redo`] puts back what is missing.
//!
//! Two files take turns. When one is full, the other goes on, and a thread asks the system for
//! everything that was written so far (syncfs(2)); after that, the full one may be written over.
//! A file is never cut, since writing over what is there costs a flush no change of its length;
//! records of an earlier turn are told by their epoch.

use std::fs;
use std::fs::File;
use std::fs::OpenOptions;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;

use super::files;
use super::files::Entries;
use super::files::WriteError;
use super::files::failed;
use super::tile::TILE_WIDTH;

/// The journal of a log that is open.
#[derive(Debug)]
pub(super) struct Journal {
    root: PathBuf,
    /// Open from the beginning on: syncfs tells an error to whoever had the file system open when
    /// it came up (Linux 5.8).
    file_system: Arc<File>,
    /// Which of the two files is written.
    active: usize,
    /// Counts the turns.
    epoch: u64,
    /// How many bytes of the active file are good.
    offset: u64,
    other: Other,
}

/// What is in the file whose turn it is not.
#[derive(Debug)]
enum Other {
    /// Nothing that is still needed.
    Free,
    /// What a thread is just making durable.
    Settling(JoinHandle<io::Result<()>>),
    /// What could not be made durable: it has to be written once more.
    Lost,
}

/// Leaves that stand in the same bundle, side by side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Record {
    epoch: u64,
    /// The index of the first leaf.
    pub(super) first: u64,
    /// Where in the bundle its entry begins.
    pub(super) entries_at: u64,
    /// Where their disclosures begin, in the file beside the bundle.
    pub(super) disclosures_at: u64,
    /// The entries, as they stand in the bundle.
    pub(super) entries: Vec<u8>,
    /// The disclosures, as they stand in the file beside it.
    pub(super) disclosures: Vec<u8>,
}

impl Record {
    /// How many bytes it takes in the journal.
    #[cfg(test)]
    pub(super) fn bytes(&self) -> u64 {
        (HEAD_BYTES + self.entries.len() + self.disclosures.len()) as u64
    }

    /// The index after that of the last leaf.
    pub(super) fn end(&self) -> u64 {
        self.first + Entries::new(&self.entries).count() as u64
    }
}

impl Journal {
    /// An empty journal for the log in `root`, whose files are all made durable first.
    pub(super) fn begin(root: PathBuf) -> Result<Self, WriteError> {
        let file_system = Arc::new(File::open(&root).map_err(failed("open", &root))?);
        let mut journal = Self { root, file_system, active: 0, epoch: 0, offset: 0, other: Other::Free };
        journal.end()?;
        Ok(journal)
    }

    /// Makes the files of the log durable, which leaves nothing for the journal to keep.
    pub(super) fn end(&mut self) -> Result<(), WriteError> {
        self.settle_now()?;
        for path in paths(&self.root) {
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed("remove", &path)(error)),
                _ => {}
            }
        }
        self.offset = 0;
        files::sync_dir(&self.root).map_err(failed("flush", &self.root))
    }

    /// Makes room for another batch. True if what was written before did not all reach the disk:
    /// then it must be written again, from the journal, and be followed by [`Self::settle_now`].
    pub(super) fn make_room(&mut self) -> bool {
        let full = self.offset >= TURN_BYTES_MAX;
        if matches!(&self.other, Other::Settling(thread) if full || thread.is_finished()) {
            self.join();
        }
        if full && matches!(self.other, Other::Free) {
            let file_system = Arc::clone(&self.file_system);
            let settle = move || rustix::fs::syncfs(&file_system).map_err(io::Error::from);
            let thread = std::thread::Builder::new().name("audit-settle".into()).spawn(settle);
            self.other = thread.map_or(Other::Lost, Other::Settling);
            self.active = 1 - self.active;
            self.epoch += 1;
            self.offset = 0;
        }
        matches!(self.other, Other::Lost)
    }

    /// Makes the files of the log durable, and waits for it.
    pub(super) fn settle_now(&mut self) -> Result<(), WriteError> {
        if matches!(self.other, Other::Settling(_)) {
            self.join();
        }
        let settled = rustix::fs::syncfs(&self.file_system).map_err(io::Error::from);
        settled.map_err(failed("flush the file system of", &self.root))?;
        self.other = Other::Free;
        Ok(())
    }

    /// Waits for the thread, if there is one.
    fn join(&mut self) {
        if let Other::Settling(thread) = std::mem::replace(&mut self.other, Other::Lost) {
            match thread.join() {
                Ok(Ok(())) => self.other = Other::Free,
                Ok(Err(error)) => {
                    tracing::error!(%error, "the audit log's files could not be flushed; they are written again")
                }
                Err(_) => {}
            }
        }
    }

    /// Appends `batch` and returns once it is durable.
    pub(super) fn append(&mut self, batch: &Batch) -> Result<(), WriteError> {
        let path = path(&self.root, self.active);
        let error = failed("append to", &path);
        let file = match OpenOptions::new().write(true).open(&path) {
            Err(missing) if missing.kind() == io::ErrorKind::NotFound && self.offset == 0 => {
                let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path).map_err(&error)?;
                files::sync_dir(&self.root).map_err(failed("flush", &self.root))?;
                file
            }
            opened => opened.map_err(&error)?,
        };
        let length = file.metadata().map_err(&error)?.len();
        if length < self.offset {
            return Err(error(files::meddled(self.offset, length)));
        }
        file.write_all_at(&batch.bytes, self.offset).and_then(|()| file.sync_data()).map_err(&error)?;
        self.offset += batch.bytes.len() as u64;
        Ok(())
    }

    /// Where the next batch goes.
    pub(super) fn batch(&self) -> Batch {
        Batch { epoch: self.epoch, bytes: Vec::new() }
    }

    /// Spoils what a failed write may have left behind what is good.
    pub(super) fn cut_back(&mut self) -> Result<(), WriteError> {
        let path = path(&self.root, self.active);
        let spoil = || match OpenOptions::new().write(true).open(&path) {
            Ok(file) if file.metadata()?.len() > self.offset => {
                file.write_all_at(&[0; MAGIC.len()], self.offset)?;
                file.sync_data()
            }
            Ok(_) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        };
        spoil().map_err(failed("cut back", &path))
    }
}

/// Records that are written together.
#[derive(Debug)]
pub(super) struct Batch {
    epoch: u64,
    bytes: Vec<u8>,
}

impl Batch {
    /// Adds a record whose entries, then disclosures, `write` appends to what it is given.
    /// Answers with where they stand in [`Self::bytes`].
    pub(super) fn push<E>(
        &mut self,
        first: u64,
        (entries_at, disclosures_at): (u64, u64),
        write: impl FnOnce(&mut Vec<u8>, &mut Vec<u8>) -> Result<(), E>,
    ) -> Result<[Range<usize>; 2], E> {
        let start = self.bytes.len();
        self.bytes.resize(start + HEAD_BYTES, 0);
        let mut disclosures = Vec::new();
        write(&mut self.bytes, &mut disclosures)?;
        let middle = self.bytes.len();
        self.bytes.extend_from_slice(&disclosures);
        let entries_bytes = (middle - start - HEAD_BYTES) as u64;
        let numbers = [self.epoch, first, entries_at, disclosures_at, entries_bytes, disclosures.len() as u64];
        let (_, record) = self.bytes.split_at_mut(start);
        let (head, _) = record.split_at_mut(HEAD_BYTES);
        let (front, rest) = head.split_at_mut(MAGIC.len() + CHECKSUM_BYTES);
        front[..MAGIC.len()].copy_from_slice(&MAGIC);
        rest.copy_from_slice(numbers.map(u64::to_be_bytes).as_flattened());
        let checksum = crc32fast::hash(&record[MAGIC.len() + CHECKSUM_BYTES..]).to_be_bytes();
        record[MAGIC.len()..MAGIC.len() + CHECKSUM_BYTES].copy_from_slice(&checksum);
        Ok([start + HEAD_BYTES..middle, middle..self.bytes.len()])
    }

    /// All of it.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// The records of the log in `root` that may be missing in its files: side by side, oldest first.
pub(super) fn read(root: &Path) -> io::Result<Vec<Record>> {
    let [first, second] = paths(root).map(|path| files::read(&path, TURN_READ_MAX));
    let mut turns = [first?, second?].map(|bytes| parse(&bytes.unwrap_or_default()));
    turns.sort_by_key(|turn| turn.first().map(|record| record.epoch));
    let [mut older, newer] = turns;
    // With a gap between, the older one was no longer needed.
    if let (Some(last), Some(next)) = (older.last(), newer.first())
        && last.end() != next.first
    {
        older.clear();
    }
    older.extend(newer);
    Ok(older)
}

/// The records of one turn, up to the first that is not whole.
fn parse(bytes: &[u8]) -> Vec<Record> {
    let mut records: Vec<Record> = Vec::new();
    let mut rest = bytes;
    while let Some((record, later)) = parse_record(rest) {
        let follows = records.last().is_none_or(|last| last.epoch == record.epoch && last.end() == record.first);
        if !follows {
            break;
        }
        records.push(record);
        rest = later;
    }
    records
}

fn parse_record(bytes: &[u8]) -> Option<(Record, &[u8])> {
    let rest = bytes.strip_prefix(&MAGIC)?;
    let (checksum, checked) = rest.split_first_chunk::<CHECKSUM_BYTES>()?;
    let (numbers, content) = checked.split_first_chunk::<NUMBERS_BYTES>()?;
    let (numbers, _) = numbers.as_chunks::<8>();
    let &[epoch, first, entries_at, disclosures_at, entries_bytes, disclosures_bytes] = numbers else { return None };
    let [epoch, first, entries_at, disclosures_at] = [epoch, first, entries_at, disclosures_at].map(u64::from_be_bytes);
    let [entries_bytes, disclosures_bytes] =
        [entries_bytes, disclosures_bytes].map(|bytes| usize::try_from(u64::from_be_bytes(bytes)));
    let (entries, rest) = content.split_at_checked(entries_bytes.ok()?)?;
    let (disclosures, rest) = rest.split_at_checked(disclosures_bytes.ok()?)?;
    let checked = checked.get(..checked.len() - rest.len())?;
    if crc32fast::hash(checked).to_be_bytes() != *checksum {
        return None;
    }
    let mut counted = Entries::new(entries);
    let count = counted.by_ref().count() as u64;
    let whole = counted.offset() == entries.len() && (1..=TILE_WIDTH - first % TILE_WIDTH).contains(&count);
    let record =
        Record { epoch, first, entries_at, disclosures_at, entries: entries.into(), disclosures: disclosures.into() };
    whole.then_some((record, rest))
}

fn paths(root: &Path) -> [PathBuf; 2] {
    [path(root, 0), path(root, 1)]
}

fn path(root: &Path, turn: usize) -> PathBuf {
    root.join(format!("journal-{turn}"))
}

/// How long a file grows before it is the other's turn: a second or two of full load, and no more
/// than a moment to put back after a crash. Tests take more turns.
const TURN_BYTES_MAX: u64 = if cfg!(test) { 1024 * 1024 } else { 32 * 1024 * 1024 };
/// The longest file that is read: it may grow by one more batch, and by what an outage kept.
const TURN_READ_MAX: u64 = 1024 * 1024 * 1024;
/// Begins a record. No entry and no disclosure can contain it, since they are UTF-8.
const MAGIC: [u8; 4] = [0xff, 0xff, 0xff, 0xff];
const CHECKSUM_BYTES: usize = 4;
const NUMBERS_BYTES: usize = 6 * 8;
const HEAD_BYTES: usize = MAGIC.len() + CHECKSUM_BYTES + NUMBERS_BYTES;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn batch(epoch: u64, records: &[(u64, &[&str], &str)]) -> Vec<u8> {
        let mut batch = Batch { epoch, bytes: Vec::new() };
        for (first, entries, disclosures) in records {
            let write = |out: &mut Vec<u8>, beside: &mut Vec<u8>| -> Result<(), ()> {
                entries.iter().for_each(|entry| files::push_entry(out, entry.as_bytes()));
                beside.extend_from_slice(disclosures.as_bytes());
                Ok(())
            };
            let [entries, beside] = batch.push(*first, (first * 100, first * 10), write).unwrap();
            assert_eq!(&batch.bytes()[beside.clone()], disclosures.as_bytes());
            assert_eq!(entries.end, beside.start);
        }
        batch.bytes
    }

    fn firsts(bytes: &[u8]) -> Vec<u64> {
        parse(bytes).iter().map(|record| record.first).collect()
    }

    #[test]
    fn records_are_read_as_they_were_written() {
        let bytes = batch(3, &[(254, &["{\"a\":1}", "{}"], "x\ny\n"), (256, &["{}"], "")]);
        let records = parse(&bytes);
        assert_eq!(firsts(&bytes), [254, 256]);
        assert_eq!((records[0].entries_at, records[0].disclosures_at, records[0].end()), (25_400, 2_540, 256));
        assert_eq!((records[0].entries.len(), records[0].disclosures.as_slice()), (2 + 7 + 2 + 2, &b"x\ny\n"[..]));
    }

    #[test]
    fn what_does_not_follow_is_not_read() {
        let good = batch(3, &[(4, &["{}"], "")]);
        for (epoch, next) in [(2, 5), (4, 5), (3, 4), (3, 6)] {
            assert_eq!(firsts(&[&good[..], &batch(epoch, &[(next, &["{}"], "")])].concat()), [4]);
        }
        assert_eq!(firsts(&[&good[..], &batch(3, &[(5, &["{}"], "")])].concat()), [4, 5]);
        // Longer than a bundle has room for.
        assert_eq!(firsts(&batch(3, &[(255, &["{}", "{}"], "")])), [0_u64; 0]);
    }

    #[test]
    fn of_two_turns_the_newer_counts_and_the_older_if_it_leads_there() {
        let dir = tempfile::tempdir().unwrap();
        let read = |turns: [&[u8]; 2]| {
            for (path, bytes) in paths(dir.path()).iter().zip(turns) {
                fs::write(path, bytes).unwrap();
            }
            read(dir.path()).unwrap().iter().map(|record| record.first).collect::<Vec<_>>()
        };
        let [old, new] = [batch(7, &[(1, &["{}"], ""), (2, &["{}"], "")]), batch(8, &[(3, &["{}"], "")])];
        assert_eq!(read([&old, &new]), [1, 2, 3]);
        assert_eq!(read([&new, &old]), [1, 2, 3]);
        assert_eq!(read([&old, b"torn"]), [1, 2]);
        assert_eq!(read([b"", &new]), [3]);
        assert_eq!(read([&batch(7, &[(1, &["{}"], "")]), &new]), [3]);
    }

    proptest! {
        #[test]
        fn a_torn_or_changed_record_is_no_record(at in 0_usize..200, flip in 1_u8.., cut in 0_usize..200) {
            let first = batch(1, &[(0, &["{\"id\":\"one\"}"], "beside")]);
            let both = [&first[..], &batch(1, &[(1, &["{\"id\":\"two\"}"], "")])].concat();
            let (at, cut) = (at % both.len(), cut % both.len());
            let whole = |length: usize| if length < first.len() { vec![] } else { vec![0] };
            prop_assert_eq!(firsts(&both[..cut]), whole(cut));
            let mut changed = both.clone();
            changed[at] ^= flip;
            prop_assert_eq!(firsts(&changed), whole(at));
        }
    }
}
