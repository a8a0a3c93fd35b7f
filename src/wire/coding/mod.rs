//! Content codings of request bodies (RFC 9110 §8.4.1): taken off to look at a body, never put on
//! and never changed, since a body is sent as it came.
//!
//! What is read here must be what the upstream reads. So a body is one stream and nothing behind
//! it: readers differ in what they make of a second gzip member or zstd frame. Names are taken as
//! they are registered, in lower case, and one of them; checksums must be right; and nothing
//! grows beyond what was agreed on, neither in length nor in proportion to what came.

use std::io::Read;
use std::panic::AssertUnwindSafe;
use std::panic::catch_unwind;

use bytes::Bytes;
use flate2::Decompress;
use flate2::FlushDecompress;
use flate2::Status;
use flate2::bufread::GzDecoder;
use http::HeaderMap;
use http::header::CONTENT_ENCODING;

use crate::model::Refusal;
use crate::model::RefusalCode;

use super::error::Excerpt;

mod brotli;
mod zstd;

#[cfg(test)]
mod tests;

/// A content coding that can be taken off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Coding {
    /// RFC 1952, one member.
    Gzip,
    /// The zlib format (RFC 1950) with a deflate stream in it; never the bare stream.
    Deflate,
    /// RFC 7932, without large windows.
    Brotli,
    /// RFC 8878, one frame, with a window as in RFC 9659 and no dictionary.
    Zstd,
}

/// Why a coding cannot be taken off.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CodingError {
    /// One that is not known, or a known one under another name.
    #[error("the content coding `{0}` is not read here; use gzip, deflate, br or zstd, in lower case, or none")]
    Unknown(Excerpt),
    /// Several, one on top of the other.
    #[error("the body is in several content codings; use one, or none")]
    Several,
    /// Not such a stream, or damaged.
    #[error("the body is not what its content coding `{0}` says, or it is damaged")]
    Broken(&'static str),
    /// The stream has no end.
    #[error("the body breaks off before the end of its content coding `{0}`")]
    CutOff(&'static str),
    /// It can be read as a stream of either sort that goes by this name.
    #[error("the body can be read as `deflate` in two ways, with and without the zlib format around it; use gzip")]
    Ambiguous,
    /// Something is behind the end of the stream.
    #[error("the body goes on behind the end of its content coding `{0}`")]
    Trailing(&'static str),
    /// What it stands for is too long.
    #[error("the body has to be looked at, and decoded it is longer than the {0} bytes that can be")]
    TooLong(u64),
    /// What it stands for is out of all proportion.
    #[error("decoded, the body grows to more than {EXPANSION_MAX} times its length")]
    TooDense,
}

impl CodingError {
    /// What the caller is told.
    pub fn refusal(&self) -> Refusal {
        let code = match self {
            Self::Unknown(_) | Self::Several => RefusalCode::UnsupportedCoding,
            Self::Broken(_) | Self::CutOff(_) | Self::Ambiguous | Self::Trailing(_) => RefusalCode::BodyUndecodable,
            Self::TooLong(_) | Self::TooDense => RefusalCode::BodyTooLarge,
        };
        Refusal::new(code, format!("{self}; nothing was sent"))
    }
}

impl Coding {
    /// The coding that a request says its body is in; `None` for a body that is as it is.
    ///
    /// # Errors
    /// [`CodingError::Unknown`] and [`CodingError::Several`].
    pub fn of(headers: &HeaderMap) -> Result<Option<Self>, CodingError> {
        let mut values = headers.get_all(CONTENT_ENCODING).iter();
        let Some(value) = values.next() else { return Ok(None) };
        if values.next().is_some() || value.as_bytes().contains(&b',') {
            return Err(CodingError::Several);
        }
        match value.as_bytes() {
            b"identity" => Ok(None),
            b"gzip" => Ok(Some(Self::Gzip)),
            b"deflate" => Ok(Some(Self::Deflate)),
            b"br" => Ok(Some(Self::Brotli)),
            b"zstd" => Ok(Some(Self::Zstd)),
            // `x-gzip` is gzip to some servers and nothing to others; so is `GZIP`.
            other => Err(CodingError::Unknown(Excerpt::of(other))),
        }
    }

    /// Its registered name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Deflate => "deflate",
            Self::Brotli => "br",
            Self::Zstd => "zstd",
        }
    }

    /// What `bytes` stands for, if that is at most `bytes_max` long. Takes memory for that, and
    /// for a window of at most 16 MiB.
    ///
    /// # Errors
    /// [`CodingError`] says what is wrong with it.
    pub fn decode(self, bytes: &[u8], bytes_max: u64) -> Result<Bytes, CodingError> {
        let mut output = Output::new(bytes.len(), bytes_max);
        // Decoders are large; should one of them ever panic, this body is refused.
        let decoded = catch_unwind(AssertUnwindSafe(|| match self {
            Self::Gzip => self.gzip(bytes, &mut output),
            Self::Deflate => self.deflate(bytes, &mut output),
            Self::Brotli => brotli::decode(bytes, &mut output),
            Self::Zstd => zstd::decode(bytes, &mut output),
        }));
        decoded.unwrap_or(Err(CodingError::Broken(self.name())))?;
        Ok(output.bytes.into())
    }

    fn gzip(self, bytes: &[u8], output: &mut Output) -> Result<(), CodingError> {
        let mut decoder = GzDecoder::new(bytes);
        let mut piece = [0; OUTPUT_BYTES];
        loop {
            // The last read also compares checksum and length.
            match decoder.read(&mut piece) {
                Ok(0) => break,
                Ok(length) => output.add(piece.get(..length).unwrap_or_default())?,
                Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
                    return Err(CodingError::CutOff(self.name()));
                }
                Err(_) => return Err(CodingError::Broken(self.name())),
            }
        }
        if decoder.into_inner().is_empty() { Ok(()) } else { Err(CodingError::Trailing(self.name())) }
    }

    fn deflate(self, bytes: &[u8], output: &mut Output) -> Result<(), CodingError> {
        if is_bare_deflate_too(bytes) {
            return Err(CodingError::Ambiguous);
        }
        let mut decoder = Decompress::new(true);
        let mut piece = [0; OUTPUT_BYTES];
        let mut rest = bytes;
        loop {
            let (taken, given) = (decoder.total_in(), decoder.total_out());
            let status = decoder.decompress(rest, &mut piece, FlushDecompress::None);
            let status = status.map_err(|_| CodingError::Broken(self.name()))?;
            let taken = usize::try_from(decoder.total_in() - taken).unwrap_or(usize::MAX);
            let given = usize::try_from(decoder.total_out() - given).unwrap_or(usize::MAX);
            rest = rest.get(taken..).unwrap_or_default();
            output.add(piece.get(..given).unwrap_or_default())?;
            match status {
                Status::StreamEnd if rest.is_empty() => return Ok(()),
                Status::StreamEnd => return Err(CodingError::Trailing(self.name())),
                Status::Ok | Status::BufError if taken == 0 && given == 0 => {
                    return Err(CodingError::CutOff(self.name()));
                }
                Status::Ok | Status::BufError => {}
            }
        }
    }
}

/// Some servers read `deflate` as the bare stream (RFC 9110 §8.4.1.2 warns of them). To them the first
/// byte of the zlib format begins a stored block, whose length stands in the next two bytes, and
/// once more in the two behind those with all bits turned (RFC 1951 §3.2.4). By chance that is so
/// once in 65,536 streams.
fn is_bare_deflate_too(bytes: &[u8]) -> bool {
    matches!(bytes, [_, low, high, not_low, not_high, ..] if low ^ not_low == 0xff && high ^ not_high == 0xff)
}

/// What comes out, as long as it may.
struct Output {
    bytes: Vec<u8>,
    /// The longest that it may be, for two reasons.
    long: u64,
    dense: u64,
}

impl Output {
    fn new(encoded_bytes: usize, bytes_max: u64) -> Self {
        let dense = (encoded_bytes as u64).saturating_mul(EXPANSION_MAX).max(EXPANSION_BYTES_FLOOR);
        Self { bytes: Vec::new(), long: bytes_max, dense }
    }

    fn add(&mut self, piece: &[u8]) -> Result<(), CodingError> {
        self.check(self.bytes.len() as u64 + piece.len() as u64)?;
        self.bytes.extend_from_slice(piece);
        Ok(())
    }

    /// Whether it may become so long.
    fn check(&self, length: u64) -> Result<(), CodingError> {
        if length > self.long {
            return Err(CodingError::TooLong(self.long));
        }
        if length > self.dense { Err(CodingError::TooDense) } else { Ok(()) }
    }
}

/// How many times longer a body may become when it is decoded. Text that people and programs write
/// shrinks to a fifth or a tenth; what grows more than twentyfold is made to take up memory, or
/// says the same thing so often that nobody reads it.
const EXPANSION_MAX: u64 = 20;

/// Up to this length proportions do not matter: short texts can repeat themselves a lot.
const EXPANSION_BYTES_FLOOR: u64 = 64 << 10;

/// How much is decoded at a time.
const OUTPUT_BYTES: usize = 16 << 10;
