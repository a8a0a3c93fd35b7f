//! A body that is too long to be handed around whole, and how it is read back.
//!
//! Where the bytes are is no business of this room. Whoever reads them gets them piece by piece,
//! and the last piece only once all of them together are known to be those that were kept: a body
//! that was damaged meanwhile is never read to its end.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

use super::digest::Sha256;
use super::digest::Sha256Hasher;

/// A whole body that is kept in pieces of [`PIECE_BYTES`], the last one shorter or as long.
pub trait KeptBody: fmt::Debug + Send + Sync {
    /// How many bytes it has.
    fn bytes(&self) -> u64;

    /// The hash of all of them.
    fn sha256(&self) -> Sha256;

    /// The piece of this number, counted from 0. May wait for a disk.
    ///
    /// # Errors
    /// [`KeptBodyError`] if there is no such piece, or it cannot be read as it was written.
    fn piece(&self, number: u64) -> Result<Bytes, KeptBodyError>;
}

/// Why a kept body cannot be read back.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeptBodyError {
    /// The system does not give it back.
    #[error("the kept body cannot be read back: {0}")]
    Unreadable(String),
    /// What comes back is something else.
    #[error("the kept body was damaged: what is read back is not what was kept")]
    Damaged,
}

/// How long a piece is: long enough that its handling costs nothing, short enough that a thousand
/// bodies under way fit into memory.
pub const PIECE_BYTES: usize = 256 << 10;

/// A body in memory.
#[derive(Debug)]
pub struct MemoryBody {
    bytes: Bytes,
    sha256: Sha256,
}

impl MemoryBody {
    /// Keeps `bytes`.
    pub fn new(bytes: Bytes) -> Self {
        let sha256 = Sha256::of(&bytes);
        Self { bytes, sha256 }
    }
}

impl KeptBody for MemoryBody {
    fn bytes(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn sha256(&self) -> Sha256 {
        self.sha256
    }

    fn piece(&self, number: u64) -> Result<Bytes, KeptBodyError> {
        let start = usize::try_from(number).ok().and_then(|number| number.checked_mul(PIECE_BYTES));
        let start = start.filter(|start| *start < self.bytes.len()).ok_or(KeptBodyError::Damaged)?;
        Ok(self.bytes.slice(start..self.bytes.len().min(start + PIECE_BYTES)))
    }
}

/// Reads a kept body from its beginning to its end.
#[derive(Debug)]
pub struct BodyReader {
    body: Arc<dyn KeptBody>,
    number: u64,
    read: u64,
    hasher: Option<Sha256Hasher>,
}

impl BodyReader {
    /// Nothing was read yet.
    pub fn new(body: Arc<dyn KeptBody>) -> Self {
        Self { body, number: 0, read: 0, hasher: Some(Sha256Hasher::new()) }
    }

    /// The next piece; `None` behind the last one. May wait for a disk.
    ///
    /// # Errors
    /// [`KeptBodyError`] instead of a piece that cannot be read, and instead of the last one if
    /// the whole is not what was kept. Then there is nothing more to read.
    pub fn next_piece(&mut self) -> Result<Option<Bytes>, KeptBodyError> {
        let total = self.body.bytes();
        // It is taken away by the last piece and by any error.
        let Some(mut hasher) = self.hasher.take() else { return Ok(None) };
        let piece = if total == 0 { Bytes::new() } else { self.body.piece(self.number)? };
        let expected = (total - self.read).min(PIECE_BYTES as u64);
        if piece.len() as u64 != expected {
            return Err(KeptBodyError::Damaged);
        }
        hasher.update(&piece);
        self.number += 1;
        self.read += expected;
        if self.read < total {
            self.hasher = Some(hasher);
        } else if hasher.finish() != self.body.sha256() {
            return Err(KeptBodyError::Damaged);
        }
        Ok((total > 0).then_some(piece))
    }

    /// How many bytes are still to come.
    pub fn left(&self) -> u64 {
        self.body.bytes() - self.read
    }

    /// Whether nothing is to come any more.
    pub fn is_over(&self) -> bool {
        self.left() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: Arc<dyn KeptBody>) -> (Vec<u8>, Result<(), KeptBodyError>) {
        let (mut reader, mut all) = (BodyReader::new(body), Vec::new());
        loop {
            match reader.next_piece() {
                Ok(Some(piece)) => all.extend_from_slice(&piece),
                Ok(None) => return (all, Ok(())),
                Err(error) => {
                    assert_eq!(reader.next_piece(), Ok(None), "nothing comes behind an error");
                    return (all, Err(error));
                }
            }
        }
    }

    #[test]
    fn what_was_kept_is_read_back() {
        for length in [0, 1, PIECE_BYTES - 1, PIECE_BYTES, PIECE_BYTES + 1, 3 * PIECE_BYTES] {
            let bytes: Vec<u8> = (0..length).map(|at| (at % 251) as u8).collect();
            let body = Arc::new(MemoryBody::new(bytes.clone().into()));
            assert!(read(body) == (bytes, Ok(())), "{length}");
        }
    }

    /// A body that says of itself what is not so.
    #[derive(Debug)]
    struct Changed(MemoryBody, u64, Sha256);

    impl KeptBody for Changed {
        fn bytes(&self) -> u64 {
            self.1
        }

        fn sha256(&self) -> Sha256 {
            self.2
        }

        fn piece(&self, number: u64) -> Result<Bytes, KeptBodyError> {
            self.0.piece(number)
        }
    }

    #[test]
    fn the_last_piece_of_another_body_is_not_given_away() {
        let length = 2 * PIECE_BYTES + 7;
        let kept = Sha256::of(&vec![1; length]);
        let mut other = vec![1; length];
        other[3] = 2;
        let shorter = vec![1; length - 1];
        for (bytes, total) in [(other, length), (shorter, length), (vec![1; length + 1], length)] {
            let changed = Changed(MemoryBody::new(bytes.into()), total as u64, kept);
            let (read, end) = read(Arc::new(changed));
            assert_eq!((read.len(), end), (2 * PIECE_BYTES, Err(KeptBodyError::Damaged)));
        }
    }
}
