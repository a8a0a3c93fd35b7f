//! Bodies of held calls that are too long for memory: encrypted, in files that nobody can find.
//!
//! A body is as secret as what is in it, and a call can be held for hours. So a file has no name
//! from the moment it is opened, and with the process it is gone, whatever the process died of;
//! what the disk keeps of it is AES-256-GCM under a key of its own that was never outside of
//! memory. Its pieces are sealed one by one (as in STREAM, Hoang et al. 2015): the number of a
//! piece is its nonce, and the last one also seals that it is the last and how long the whole is.
//! A piece that was changed, moved, taken from another file or cut off does not open.
//!
//! Files are written and read on threads of their own, never on those that carry calls.

use std::fs::File;
use std::fs::Permissions;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::fs::FileExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::aead::AES_256_GCM;
use aws_lc_rs::aead::Aad;
use aws_lc_rs::aead::LessSafeKey;
use aws_lc_rs::aead::NONCE_LEN;
use aws_lc_rs::aead::Nonce;
use aws_lc_rs::aead::UnboundKey;
use bytes::Bytes;
use bytes::BytesMut;
use prometheus::IntGauge;
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::Semaphore;
use zeroize::Zeroizing;

use crate::model::KeptBody;
use crate::model::KeptBodyError;
use crate::model::PIECE_BYTES;
use crate::model::Refusal;
use crate::model::RefusalCode;
use crate::model::Sha256;
use crate::model::Sha256Hasher;

use super::metrics::Metrics;
use super::refuse::overloaded;

/// Where long bodies go. One for all cores.
#[derive(Debug)]
pub struct Spool {
    folder: PathBuf,
    bytes_total_max: usize,
    /// The bytes that still fit.
    room: Arc<Semaphore>,
    /// The bytes that are there.
    gauge: IntGauge,
}

/// Why a body cannot be put there.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    /// The bodies that are there take up all that they may.
    #[error(
        "the bodies of held calls take up all the room there is for them on disk, {0} bytes (`limits.spooled_bytes_total_max`)"
    )]
    Full(usize),
    /// The system says no: the disk is full, or the folder cannot be written.
    #[error("the folder `{folder}` for the bodies of held calls cannot be written")]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// There is no randomness for a key, or no cipher.
    #[error("the body of a held call cannot be encrypted")]
    Cipher,
}

impl SpoolError {
    /// What the caller is told; the cause goes to the log.
    pub fn refusal(&self) -> Refusal {
        let detail = match self {
            Self::Full(_) => {
                return overloaded("the bodies of calls that wait for approval take too much room on disk");
            }
            Self::Folder { .. } | Self::Cipher => {
                "this call needs an approval, and a body as long as its cannot be kept right now. Nothing was sent; try again later."
            }
        };
        let cause = std::error::Error::source(self).map(ToString::to_string).unwrap_or_default();
        tracing::error!(error = %self, cause, "the body of a held call cannot be kept; the call is refused");
        Refusal::new(RefusalCode::SpoolUnavailable, detail).retry_after(RETRY_AFTER)
    }
}

impl Spool {
    /// A spool in `folder`, which is made if it does not exist, for at most so many bytes at once.
    ///
    /// # Errors
    /// The system's, if no file can be made there.
    pub fn open(folder: &Path, bytes_total_max: usize, metrics: &Metrics) -> Result<Self, SpoolError> {
        let failed = |source| SpoolError::Folder { folder: folder.to_owned(), source };
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(failed)?;
        tempfile::tempfile_in(folder).map_err(failed)?;
        let bytes_total_max = bytes_total_max.min(Semaphore::MAX_PERMITS);
        let room = Arc::new(Semaphore::new(bytes_total_max));
        Ok(Self { folder: folder.to_owned(), bytes_total_max, room, gauge: metrics.spooled.clone() })
    }

    /// Begins a body. What was written is gone if the answer is dropped.
    ///
    /// # Errors
    /// [`SpoolError`] if there is no file or no key for it.
    pub async fn begin(self: &Arc<Self>) -> Result<SpoolWriter, SpoolError> {
        let spool = Arc::clone(self);
        let sealer = unblocked(move || {
            let file = spool.file().map_err(|source| spool.failed(source))?;
            Sealer::new(spool, file)
        });
        Ok(SpoolWriter { sealer: Some(sealer.await?), waiting: BytesMut::new() })
    }

    /// A file without a name where the system can make such files (`O_TMPFILE`), unlinked at once
    /// where it cannot; for its owner only in either case.
    fn file(&self) -> io::Result<File> {
        let file = tempfile::tempfile_in(&self.folder)?;
        file.set_permissions(Permissions::from_mode(0o600))?;
        Ok(file)
    }

    fn take_room(&self, bytes: usize) -> Result<Room, SpoolError> {
        let full = SpoolError::Full(self.bytes_total_max);
        let Ok(count) = u32::try_from(bytes) else { return Err(full) };
        let permit = Arc::clone(&self.room).try_acquire_many_owned(count).map_err(|_| full)?;
        self.gauge.add(count.into());
        Ok(Room { permit, gauge: self.gauge.clone() })
    }

    fn failed(&self, source: io::Error) -> SpoolError {
        SpoolError::Folder { folder: self.folder.clone(), source }
    }
}

/// Room that is taken, until it is dropped.
struct Room {
    permit: OwnedSemaphorePermit,
    gauge: IntGauge,
}

impl Drop for Room {
    fn drop(&mut self) {
        self.gauge.sub(i64::try_from(self.permit.num_permits()).unwrap_or(i64::MAX));
    }
}

/// Takes a body as it arrives.
#[derive(Debug)]
pub struct SpoolWriter {
    /// There unless it is at work, or was given up in the middle of it.
    sealer: Option<Sealer>,
    /// What is not sealed yet: more than a piece at most for a moment, and never nothing once
    /// something has come, because the last piece is sealed as the last.
    waiting: BytesMut,
}

impl SpoolWriter {
    /// Adds the next bytes, and returns once they may be followed by more.
    ///
    /// # Errors
    /// [`SpoolError`] if there is no room for them. Then all of it is of no more use.
    pub async fn write(&mut self, bytes: &[u8]) -> Result<(), SpoolError> {
        self.waiting.extend_from_slice(bytes);
        while self.waiting.len() > PIECE_BYTES {
            let piece = self.waiting.split_to(PIECE_BYTES);
            self.seal(piece, Ending::More).await?;
        }
        Ok(())
    }

    /// Adds no more.
    ///
    /// # Errors
    /// As [`Self::write`].
    pub async fn finish(mut self) -> Result<SpooledBody, SpoolError> {
        let last = std::mem::take(&mut self.waiting);
        if !last.is_empty() {
            self.seal(last, Ending::Last).await?;
        }
        Ok(self.sealer.take().ok_or(SpoolError::Cipher)?.finish())
    }

    async fn seal(&mut self, piece: BytesMut, ending: Ending) -> Result<(), SpoolError> {
        let mut sealer = self.sealer.take().ok_or(SpoolError::Cipher)?;
        let sealer = unblocked(move || {
            sealer.seal(piece, ending)?;
            Ok(sealer)
        });
        self.sealer = Some(sealer.await?);
        Ok(())
    }
}

/// Whether more follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    More,
    Last,
}

/// Writes sealed pieces.
struct Sealer {
    spool: Arc<Spool>,
    file: File,
    key: LessSafeKey,
    hasher: Sha256Hasher,
    pieces: u64,
    bytes: u64,
    room: Vec<Room>,
}

impl std::fmt::Debug for Sealer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sealer")
    }
}

impl Sealer {
    fn new(spool: Arc<Spool>, file: File) -> Result<Self, SpoolError> {
        let mut key = Zeroizing::new([0; 32]);
        aws_lc_rs::rand::fill(key.as_mut()).map_err(|_| SpoolError::Cipher)?;
        let key = UnboundKey::new(&AES_256_GCM, key.as_ref()).map_err(|_| SpoolError::Cipher)?;
        let (key, hasher) = (LessSafeKey::new(key), Sha256Hasher::new());
        Ok(Self { spool, file, key, hasher, pieces: 0, bytes: 0, room: Vec::new() })
    }

    fn seal(&mut self, piece: BytesMut, ending: Ending) -> Result<(), SpoolError> {
        self.room.push(self.spool.take_room(piece.len())?);
        self.hasher.update(&piece);
        self.bytes += piece.len() as u64;
        let mut sealed = Vec::with_capacity(PIECE_BYTES + TAG_BYTES);
        sealed.extend_from_slice(&piece);
        let (nonce, aad) = (nonce(self.pieces), aad(ending, self.bytes));
        self.key.seal_in_place_append_tag(nonce, aad, &mut sealed).map_err(|_| SpoolError::Cipher)?;
        let place = place(self.pieces).ok_or(SpoolError::Cipher)?;
        self.file.write_all_at(&sealed, place).map_err(|source| self.spool.failed(source))?;
        self.pieces += 1;
        Ok(())
    }

    fn finish(self) -> SpooledBody {
        let Self { file, key, hasher, pieces, bytes, room, .. } = self;
        SpooledBody { file, key, pieces, bytes, sha256: hasher.finish(), _room: room }
    }
}

/// A whole body in the spool. Dropping it removes it.
pub struct SpooledBody {
    file: File,
    key: LessSafeKey,
    pieces: u64,
    bytes: u64,
    sha256: Sha256,
    _room: Vec<Room>,
}

impl std::fmt::Debug for SpooledBody {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SpooledBody").field("bytes", &self.bytes).field("sha256", &self.sha256).finish_non_exhaustive()
    }
}

impl KeptBody for SpooledBody {
    fn bytes(&self) -> u64 {
        self.bytes
    }

    fn sha256(&self) -> Sha256 {
        self.sha256
    }

    fn piece(&self, number: u64) -> Result<Bytes, KeptBodyError> {
        let place = place(number).filter(|_| number < self.pieces).ok_or(KeptBodyError::Damaged)?;
        let ending = if number + 1 == self.pieces { Ending::Last } else { Ending::More };
        let left = self.bytes - number * PIECE_BYTES as u64;
        let length = usize::try_from(left).unwrap_or(usize::MAX).min(PIECE_BYTES) + TAG_BYTES;
        let mut piece = vec![0; length];
        self.file.read_exact_at(&mut piece, place).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => KeptBodyError::Damaged,
            _ => KeptBodyError::Unreadable(error.to_string()),
        })?;
        let opened = self.key.open_in_place(nonce(number), aad(ending, self.bytes), &mut piece);
        let length = opened.map_err(|_| KeptBodyError::Damaged)?.len();
        piece.truncate(length);
        Ok(piece.into())
    }
}

/// Each piece has its own under one key, which has no other use.
fn nonce(number: u64) -> Nonce {
    let mut bytes = [0; NONCE_LEN];
    let (_, counter) = bytes.split_at_mut(NONCE_LEN - size_of::<u64>());
    counter.copy_from_slice(&number.to_be_bytes());
    Nonce::assume_unique_for_key(bytes)
}

/// What is sealed along with a piece: whether it is the last one, and then how long the whole is.
fn aad(ending: Ending, bytes: u64) -> Aad<[u8; 9]> {
    let mut sealed = [0; 9];
    if ending == Ending::Last {
        let (last, length) = sealed.split_at_mut(1);
        last.fill(1);
        length.copy_from_slice(&bytes.to_be_bytes());
    }
    Aad::from(sealed)
}

/// Where a piece begins in the file.
fn place(number: u64) -> Option<u64> {
    number.checked_mul((PIECE_BYTES + TAG_BYTES) as u64)
}

/// Runs what waits for the disk where nobody else waits.
async fn unblocked<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, SpoolError> + Send + 'static,
) -> Result<T, SpoolError> {
    // It panics only if `work` does, or the process is about to end.
    tokio::task::spawn_blocking(work).await.unwrap_or(Err(SpoolError::Cipher))
}

/// A disk that is full stays so for a while.
const RETRY_AFTER: Duration = Duration::from_secs(30);

/// AES-GCM's, behind each piece.
const TAG_BYTES: usize = 16;

#[cfg(test)]
mod tests;
