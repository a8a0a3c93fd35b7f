//! `br` (RFC 7932). Windows of more than 16 MiB, which are an extension, are refused.

use brotli_decompressor::BrotliDecompressStream;
use brotli_decompressor::BrotliResult;
use brotli_decompressor::BrotliState;
use brotli_decompressor::StandardAlloc;

use super::CodingError;
use super::OUTPUT_BYTES;
use super::Output;

pub(super) fn decode(bytes: &[u8], output: &mut Output) -> Result<(), CodingError> {
    let alloc = StandardAlloc::default;
    let mut state = BrotliState::new_strict(alloc(), alloc(), alloc());
    let mut piece = [0; OUTPUT_BYTES];
    let (mut left, mut taken, mut total) = (bytes.len(), 0, 0);
    loop {
        let (mut free, mut given) = (piece.len(), 0);
        let result = BrotliDecompressStream(
            &mut left, &mut taken, bytes, &mut free, &mut given, &mut piece, &mut total, &mut state,
        );
        output.add(piece.get(..given).unwrap_or_default())?;
        return match result {
            BrotliResult::NeedsMoreOutput => continue,
            BrotliResult::ResultSuccess if left == 0 => Ok(()),
            BrotliResult::ResultSuccess => Err(CodingError::Trailing("br")),
            BrotliResult::NeedsMoreInput => Err(CodingError::CutOff("br")),
            BrotliResult::ResultFailure => Err(CodingError::Broken("br")),
        };
    }
}
