//! `zstd` (RFC 8878): one frame, without a dictionary, with a window of at most 8 MiB (RFC 9659).

use ruzstd::decoding::BlockDecodingStrategy;
use ruzstd::decoding::FrameDecoder;

use super::CodingError;
use super::OUTPUT_BYTES;
use super::Output;

pub(super) fn decode(bytes: &[u8], output: &mut Output) -> Result<(), CodingError> {
    let broken = CodingError::Broken("zstd");
    let mut rest = bytes;
    let mut decoder = FrameDecoder::new();
    decoder.set_max_window_size(WINDOW_BYTES_MAX);
    // A frame to be skipped, a dictionary and a larger window are errors here.
    decoder.init(&mut rest).map_err(|_| if rest.is_empty() { CodingError::CutOff("zstd") } else { broken.clone() })?;
    // Known beforehand, though nobody has to say it.
    let declared = decoder.content_size();
    output.check(declared)?;
    while !decoder.is_finished() {
        let decoded = decoder.decode_blocks(&mut rest, BlockDecodingStrategy::UptoBytes(OUTPUT_BYTES));
        decoded.map_err(|_| if rest.is_empty() { CodingError::CutOff("zstd") } else { broken.clone() })?;
        // All but the window, which is kept for what follows and is bounded itself.
        output.add(&decoder.collect().unwrap_or_default())?;
    }
    output.add(&decoder.collect().unwrap_or_default())?;
    let checksum = decoder.get_checksum_from_data();
    if checksum.is_some() && checksum != decoder.get_calculated_checksum() {
        return Err(broken);
    }
    if declared != 0 && declared != output.bytes.len() as u64 {
        return Err(broken);
    }
    if rest.is_empty() { Ok(()) } else { Err(CodingError::Trailing("zstd")) }
}

/// RFC 9659 §3.
const WINDOW_BYTES_MAX: u64 = 8 << 20;
