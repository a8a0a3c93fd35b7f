//! Proof that one event is in the log, for somebody who has nothing but the pinned key
//! (C2SP tlog-proof): its place, its Merkle path, and the signed checkpoint above.
//!
//! The event itself travels along as `extra`, so that one file tells all there is to know. It
//! reveals nothing of the others but hashes.

use std::fmt;
use std::io;
use std::path::Path;
use std::path::PathBuf;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::model::Sha256;

use super::canonical;
use super::files;
use super::key::ParseVkeyError;
use super::key::Vkey;
use super::leaf::ENTRY_BYTES_MAX;
use super::note::Checkpoint;
use super::note::NOTE_BYTES_MAX;
use super::note::NoteError;
use super::open::VKEY;
use super::tail;
use super::tail::ReadError;
use super::tail::Start;
use super::tree;

/// A proof that an event is in a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    index: u64,
    leaf: Vec<u8>,
    path: Vec<Sha256>, // From the leaf to the root.
    checkpoint: String,
}

/// What a proof proves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proven {
    /// Names the log.
    pub origin: String,
    /// The event's place in the log, from 0.
    pub index: u64,
    /// How many events the log had when the checkpoint was signed.
    pub size: u64,
    /// The event, as canonical JSON.
    pub leaf: String,
}

/// Why there is no proof.
#[derive(Debug, thiserror::Error)]
pub enum ProveError {
    /// A file cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// Nobody has signed for it.
    #[error("the audit log in `{0}` has no checkpoint or no `vkey`; there is nothing to prove anything with")]
    NoCheckpoint(PathBuf),
    /// The log's own key is none.
    #[error("the log's file `vkey` cannot be used")]
    Vkey(#[from] ParseVkeyError),
    /// The checkpoint is not the log's.
    #[error("the checkpoint cannot be accepted: {0}")]
    Checkpoint(#[from] NoteError),
    /// It is not signed for.
    #[error("the checkpoint covers {size} events, and this is number {index}, counted from 0; try again in a moment")]
    NotCovered {
        /// Which.
        index: u64,
        /// How many are.
        size: u64,
    },
    /// The files do not fit the checkpoint.
    #[error("the log's tiles do not lead to the root that was signed; `holdpoint audit verify` says what is wrong")]
    NotProven,
}

/// Why a proof proves nothing.
#[derive(Debug, thiserror::Error)]
pub enum ProofError {
    /// It has another form.
    #[error("it is not a tlog-proof with an event: {0}")]
    Malformed(&'static str),
    /// The pinned key is none.
    #[error("the verifier key cannot be used")]
    Vkey(#[from] ParseVkeyError),
    /// The checkpoint is not signed by the pinned key.
    #[error("its checkpoint cannot be accepted: {0}")]
    Checkpoint(#[from] NoteError),
    /// The path does not lead there.
    #[error("the event is not in the log that the checkpoint was signed for, or not at that place")]
    NotIncluded,
}

/// Proves that the event number `index` is in the log in `root`.
///
/// # Errors
/// [`ProveError`] if no checkpoint covers it yet, or the log cannot be read or is not whole.
pub fn prove(root: &Path, index: u64) -> Result<Proof, ProveError> {
    let text = |name: &str| {
        let path = root.join(name);
        let bytes = files::read(&path, NOTE_BYTES_MAX as u64).map_err(|source| ReadError { path, source })?;
        let text = bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        text.ok_or_else(|| ProveError::NoCheckpoint(root.to_owned()))
    };
    let (note, vkey) = (text(files::CHECKPOINT)?, text(VKEY)?);
    let checkpoint = Checkpoint::open(&note, &vkey.trim_end().parse()?)?;
    if index >= checkpoint.size {
        return Err(ProveError::NotCovered { index, size: checkpoint.size });
    }
    let entry = tail::tail(root, Start::Index(index))?.next().transpose()?;
    let (_, leaf) = entry.filter(|(found, _)| *found == index).ok_or(ProveError::NotProven)?;
    let mut path = Vec::new();
    climb(root, index, 0, checkpoint.size, &mut path)?;
    if root_of(tree::leaf_hash(&leaf), index, checkpoint.size, &path) != Some(checkpoint.root) {
        return Err(ProveError::NotProven);
    }
    Ok(Proof { index, leaf, path, checkpoint: note })
}

/// The path of the leaf `index` in the tree over the leaves from `start` to `end` (RFC 6962 §2.1.1).
fn climb(root: &Path, index: u64, start: u64, end: u64, path: &mut Vec<Sha256>) -> Result<(), ProveError> {
    if end - start < 2 {
        return Ok(());
    }
    let middle = start + split(end - start);
    let (beside, into) =
        if index < middle { ((middle, end), (start, middle)) } else { ((start, middle), (middle, end)) };
    climb(root, index, into.0, into.1, path)?;
    path.push(hash_over(root, beside.0, beside.1)?);
    Ok(())
}

/// The hash over the leaves from `start` to `end`, as they stand together in the tree.
fn hash_over(root: &Path, start: u64, end: u64) -> Result<Sha256, ProveError> {
    let count = end - start;
    if count.is_power_of_two() {
        let height = count.trailing_zeros() as u8;
        let found = files::subtree(root, height, start >> height);
        let found = found.map_err(|(path, source): (PathBuf, io::Error)| ReadError { path, source })?;
        return found.ok_or(ProveError::NotProven);
    }
    let middle = start + split(count);
    Ok(tree::node_hash(&hash_over(root, start, middle)?, &hash_over(root, middle, end)?))
}

/// How many of `count` leaves, two at least, stand on the left: the largest power of two below.
fn split(count: u64) -> u64 {
    1 << (count - 1).ilog2()
}

/// The root that `path` leads to (RFC 9162 §2.1.3.2); `None` if it is too long or too short.
fn root_of(leaf: Sha256, index: u64, size: u64, path: &[Sha256]) -> Option<Sha256> {
    let (mut place, mut last) = (index, size.checked_sub(1).filter(|last| index <= *last)?);
    let mut hash = leaf;
    for beside in path {
        if last == 0 {
            return None;
        }
        if place & 1 == 1 || place == last {
            hash = tree::node_hash(beside, &hash);
            while place & 1 == 0 && place != 0 {
                place >>= 1;
                last >>= 1;
            }
        } else {
            hash = tree::node_hash(&hash, beside);
        }
        place >>= 1;
        last >>= 1;
    }
    (last == 0).then_some(hash)
}

impl fmt::Display for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{HEADER}\nextra {}\nindex {}", STANDARD.encode(&self.leaf), self.index)?;
        self.path.iter().try_for_each(|hash| writeln!(f, "{}", STANDARD.encode(hash.as_bytes())))?;
        write!(f, "\n{}", self.checkpoint)
    }
}

impl Proof {
    /// Reads a proof and checks it against the key `vkey`, which was pinned when the log was begun.
    ///
    /// # Errors
    /// [`ProofError`] if it proves nothing.
    pub fn verify(text: &str, vkey: &str) -> Result<Proven, ProofError> {
        let vkey: Vkey = vkey.trim().parse()?;
        if text.len() > PROOF_BYTES_MAX {
            return Err(ProofError::Malformed("it is too long"));
        }
        let (head, note) = text.split_once("\n\n").ok_or(ProofError::Malformed("it has no checkpoint"))?;
        let mut lines = head.split('\n');
        if lines.next() != Some(HEADER) {
            return Err(ProofError::Malformed("its first line is another"));
        }
        let extra = lines.next().and_then(|line| line.strip_prefix("extra ")).and_then(decode);
        let leaf = extra.ok_or(ProofError::Malformed("it has no line `extra` with an event"))?;
        let index = lines.next().and_then(|line| line.strip_prefix("index "));
        let index = index.and_then(|text| text.parse::<u64>().ok().filter(|index| index.to_string() == text));
        let index = index.ok_or(ProofError::Malformed("it has no line `index` with a number"))?;
        let hash = |line: &str| decode(line).and_then(|hash| <[u8; 32]>::try_from(hash).ok()).map(Sha256::from_bytes);
        let path: Option<Vec<Sha256>> = lines.map(hash).collect();
        let path = path.ok_or(ProofError::Malformed("a line of its path is not a hash"))?;
        let checkpoint = Checkpoint::open(note, &vkey)?;
        if root_of(tree::leaf_hash(&leaf), index, checkpoint.size, &path) != Some(checkpoint.root) {
            return Err(ProofError::NotIncluded);
        }
        // What a log signed for is what it wrote: this cannot fail unless it wrote something else.
        let event = canonical::parse(&leaf).ok().and_then(|_| String::from_utf8(leaf).ok());
        let leaf = event.ok_or(ProofError::Malformed("what it proves is not an event"))?;
        Ok(Proven { origin: checkpoint.origin, index, size: checkpoint.size, leaf })
    }
}

fn decode(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text).ok()
}

/// The format's name, which is the first line.
const HEADER: &str = "c2sp.org/tlog-proof@v1";
/// The longest proof: the longest event, a path of 64 hashes, the longest checkpoint.
const PROOF_BYTES_MAX: usize = ENTRY_BYTES_MAX * 4 / 3 + 64 * 45 + NOTE_BYTES_MAX + 1_024;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// RFC 6962 §2.1.1, word for word.
    fn path(index: usize, hashes: &[Sha256]) -> Vec<Sha256> {
        if hashes.len() < 2 {
            return Vec::new();
        }
        let (left, right) = hashes.split_at(hashes.len().next_power_of_two() / 2);
        let (mut inner, beside) =
            if index < left.len() { (path(index, left), right) } else { (path(index - left.len(), right), left) };
        inner.push(root(beside));
        inner
    }

    fn root(hashes: &[Sha256]) -> Sha256 {
        match hashes {
            [one] => *one,
            many => {
                let (left, right) = many.split_at(many.len().next_power_of_two() / 2);
                tree::node_hash(&root(left), &root(right))
            }
        }
    }

    proptest! {
        #[test]
        fn a_path_leads_to_the_root_from_its_place_and_from_no_other(size in 1_usize..70, place in any::<usize>(), other in any::<usize>()) {
            let hashes: Vec<Sha256> = (0..size).map(|number| tree::leaf_hash(&number.to_be_bytes())).collect();
            let (index, other) = (place % size, other % size);
            let path = path(index, &hashes);
            let lead = |leaf, index: usize, path: &[Sha256]| root_of(leaf, index as u64, size as u64, path);
            prop_assert_eq!(lead(hashes[index], index, &path), Some(root(&hashes)));
            if other != index {
                prop_assert_ne!(lead(hashes[other], index, &path), Some(root(&hashes)));
                prop_assert_ne!(lead(hashes[index], other, &path), Some(root(&hashes)));
            }
            let longer = [&path[..], &[root(&hashes)]].concat();
            prop_assert_eq!(lead(hashes[index], index, &longer), None);
            if !path.is_empty() {
                prop_assert_eq!(lead(hashes[index], index, &path[1..]), None);
            }
        }
    }
}
