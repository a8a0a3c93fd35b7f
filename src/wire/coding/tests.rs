//! What was encoded is decoded, and nothing else is.

use std::io::Write;

use flate2::Compression;
use flate2::write::DeflateEncoder;
use flate2::write::GzEncoder;
use flate2::write::ZlibEncoder;
use http::HeaderValue;
use proptest::prelude::*;
use ruzstd::encoding::CompressionLevel;
use ruzstd::encoding::compress_to_vec;

use super::*;

const ALL: [Coding; 4] = [Coding::Gzip, Coding::Deflate, Coding::Brotli, Coding::Zstd];

fn encode(coding: Coding, bytes: &[u8]) -> Vec<u8> {
    match coding {
        Coding::Gzip => {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
            encoder.write_all(bytes).unwrap();
            encoder.finish().unwrap()
        }
        Coding::Deflate => {
            let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
            encoder.write_all(bytes).unwrap();
            encoder.finish().unwrap()
        }
        Coding::Brotli => {
            let mut encoded = Vec::new();
            let settings = ::brotli::enc::BrotliEncoderParams { quality: 4, ..Default::default() };
            ::brotli::BrotliCompress(&mut &*bytes, &mut encoded, &settings).unwrap();
            encoded
        }
        Coding::Zstd => compress_to_vec(bytes, CompressionLevel::Fastest),
    }
}

/// Text that shrinks, but not too much.
fn text(length: usize) -> Vec<u8> {
    (0_u32..).flat_map(|n| format!("{{\"n\":{}}},", n.wrapping_mul(2_654_435_761)).into_bytes()).take(length).collect()
}

const MAX: u64 = 1 << 20;

#[test]
fn the_field_names_one_coding_or_none() {
    let named = |values: &[&[u8]]| {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(CONTENT_ENCODING, HeaderValue::from_bytes(value).unwrap());
        }
        Coding::of(&headers)
    };
    assert_eq!(named(&[]), Ok(None));
    assert_eq!(named(&[b"identity"]), Ok(None));
    for coding in ALL {
        assert_eq!(named(&[coding.name().as_bytes()]), Ok(Some(coding)));
    }
    for several in [&[&b"gzip, gzip"[..]][..], &[b"gzip", b"gzip"], &[b"identity", b"gzip"], &[b"gzip,"], &[b","]] {
        assert_eq!(named(several), Err(CodingError::Several), "{several:?}");
    }
    for unknown in [
        &b""[..],
        b"x-gzip",
        b"GZIP",
        b"identity;q=0",
        b"gzip;q=1",
        b"*",
        b"compress",
        b"aws-chunked",
        b"dcb",
        b"gz\xffip",
        b"\"gzip\"",
    ] {
        let error = named(&[unknown]).unwrap_err();
        assert!(matches!(error, CodingError::Unknown(_)), "{unknown:?}: {error}");
        assert_eq!(error.refusal().code, RefusalCode::UnsupportedCoding);
    }
    insta::assert_snapshot!(named(&[b"x-gzip"]).unwrap_err().refusal().detail, @"the content coding `x-gzip` is not read here; use gzip, deflate, br or zstd, in lower case, or none; nothing was sent");
}

#[test]
fn every_length_comes_back() {
    for coding in ALL {
        for length in [0, 1, 100, OUTPUT_BYTES - 1, OUTPUT_BYTES, OUTPUT_BYTES + 1, 300_000, 1 << 20] {
            let bytes = text(length);
            assert!(coding.decode(&encode(coding, &bytes), MAX) == Ok(bytes.into()), "{coding:?} {length}");
        }
    }
}

#[test]
fn what_ends_too_early_or_too_late_is_refused() {
    for coding in ALL {
        let whole = encode(coding, &text(2_000));
        for length in 0..whole.len() {
            let error = coding.decode(&whole[..length], MAX).unwrap_err();
            let code = error.refusal().code;
            assert_eq!(code, RefusalCode::BodyUndecodable, "{coding:?} {length} of {}: {error}", whole.len());
        }
        // Something behind it, or the same once more, which some readers would read too.
        for behind in [&b"\0"[..], b" ", b"{\"amount\": 1}", &whole] {
            let long = [&whole[..], behind].concat();
            assert_eq!(coding.decode(&long, MAX), Err(CodingError::Trailing(coding.name())), "{coding:?}");
        }
        assert!(coding.decode(b"{\"amount\": 1}", MAX).is_err());
        assert!(coding.decode(b"", MAX).is_err());
    }
}

#[test]
fn streams_of_other_sorts_are_refused() {
    let bytes = text(500);
    for (coding, other) in ALL.into_iter().flat_map(|coding| ALL.map(|other| (coding, other))) {
        if coding != other {
            assert!(coding.decode(&encode(other, &bytes), MAX).is_err(), "{other:?} as {coding:?}");
        }
    }
    // Without the frame that the registered coding has, though servers are known that take it.
    let mut bare = DeflateEncoder::new(Vec::new(), Compression::default());
    bare.write_all(&bytes).unwrap();
    assert_eq!(Coding::Deflate.decode(&bare.finish().unwrap(), MAX), Err(CodingError::Broken("deflate")));
    // A frame to be skipped before the frame (RFC 8878 §3.1.2), and one with a dictionary.
    let skipped = [&[0x50, 0x2a, 0x4d, 0x18, 4, 0, 0, 0][..], b"junk", &encode(Coding::Zstd, &bytes)].concat();
    assert_eq!(Coding::Zstd.decode(&skipped, MAX), Err(CodingError::Broken("zstd")));
    let dictionary = [0x28, 0xb5, 0x2f, 0xfd, 0b0010_0001, 7, 1, 0b0000_1001, 0, 0, b'x'];
    assert_eq!(Coding::Zstd.decode(&dictionary, MAX), Err(CodingError::Broken("zstd")));
}

/// A server that takes `deflate` for the bare stream would run what nobody was shown.
#[test]
fn a_body_that_is_deflate_in_two_ways_is_refused() {
    // Stored blocks. Within the zlib format, one of 0xfffe bytes and an empty last one; bare, one of
    // a byte, an empty one, and a last one of four.
    let mut shown = b"\0\0\xff\xff\x01\x04\0\xfb\xffevil".to_vec();
    shown.resize(0xfffe, b' ');
    let (mut low, mut high) = (1_u32, 0_u32);
    for byte in &shown {
        low = (low + u32::from(*byte)) % 65_521;
        high = (high + low) % 65_521;
    }
    let adler = ((high << 16) | low).to_be_bytes();
    let both = [&b"\x78\x01\0\xfe\xff\x01\0"[..], &shown, b"\x01\0\0\xff\xff", &adler].concat();
    let (mut zlib, mut bare) = (Vec::new(), Vec::new());
    flate2::read::ZlibDecoder::new(&both[..]).read_to_end(&mut zlib).unwrap();
    flate2::read::DeflateDecoder::new(&both[..]).read_to_end(&mut bare).unwrap();
    assert_eq!((zlib == shown, &bare[..]), (true, &b"\x01evil"[..]));
    assert_eq!(Coding::Deflate.decode(&both, MAX), Err(CodingError::Ambiguous));
}

#[test]
fn a_wrong_checksum_is_found() {
    for (coding, from_end) in [(Coding::Gzip, 8), (Coding::Gzip, 1), (Coding::Deflate, 1), (Coding::Zstd, 1)] {
        let mut encoded = encode(coding, &text(500));
        let at = encoded.len() - from_end;
        encoded[at] ^= 1;
        assert_eq!(coding.decode(&encoded, MAX), Err(CodingError::Broken(coding.name())), "{coding:?} {from_end}");
    }
}

#[test]
fn nothing_grows_beyond_what_was_agreed_on() {
    for coding in ALL {
        // Short texts may repeat themselves.
        let floor = usize::try_from(EXPANSION_BYTES_FLOOR).unwrap();
        assert_eq!(coding.decode(&encode(coding, &vec![b'a'; floor]), MAX).unwrap().len(), floor);
        // Long ones may not.
        for length in [floor + 1, 16 << 20] {
            let error = coding.decode(&encode(coding, &vec![b'a'; length]), 1 << 30).unwrap_err();
            assert_eq!(error, CodingError::TooDense, "{coding:?} {length}");
            assert_eq!(error.refusal().code, RefusalCode::BodyTooLarge);
        }
        let long = encode(coding, &text(100_001));
        assert_eq!(coding.decode(&long, 100_000), Err(CodingError::TooLong(100_000)));
        assert!(coding.decode(&long, 100_001).is_ok());
    }
}

#[test]
fn windows_that_no_browser_would_make_are_refused_unread() {
    // A frame header with a window of 16 MiB, of 1 GiB, and of the most there is; then a block.
    for window in [14 << 3, 20 << 3, 31 << 3 | 7] {
        let frame = [0x28, 0xb5, 0x2f, 0xfd, 0, window, 0b0000_1001, 0, 0, b'x'];
        assert_eq!(Coding::Zstd.decode(&frame, MAX), Err(CodingError::Broken("zstd")), "{window}");
    }
    // A length of 2^60 that is only said.
    let frame = [&[0x28, 0xb5, 0x2f, 0xfd, 0b1100_0000, 0][..], &(1_u64 << 60).to_le_bytes(), &[1, 0, 0]].concat();
    assert_eq!(Coding::Zstd.decode(&frame, MAX), Err(CodingError::TooLong(MAX)));
    // One that says more than it has.
    let frame = [0x28, 0xb5, 0x2f, 0xfd, 0b0010_0000, 2, 0b0000_1001, 0, 0, b'x'];
    assert_eq!(Coding::Zstd.decode(&frame, MAX), Err(CodingError::Broken("zstd")));
    // Large windows of Brotli begin with this.
    assert_eq!(Coding::Brotli.decode(&[0x11, 0x1e, 0x03], MAX), Err(CodingError::Broken("br")));
}

#[test]
fn gzip_may_carry_a_name_and_a_time() {
    let mut encoder = flate2::GzBuilder::new()
        .filename("report.json")
        .comment("weekly")
        .extra(vec![1, 2])
        .mtime(1_700_000_000)
        .write(Vec::new(), Compression::best());
    encoder.write_all(b"{}").unwrap();
    assert_eq!(Coding::Gzip.decode(&encoder.finish().unwrap(), MAX).unwrap(), "{}");
}

proptest! {
    #[test]
    fn what_was_encoded_is_decoded(
        bytes in prop_oneof![prop::collection::vec(any::<u8>(), 0..4_000), prop::collection::vec(0..4_u8, 0..4_000)],
        which in 0..4_usize,
    ) {
        let coding = ALL[which];
        prop_assert_eq!(coding.decode(&encode(coding, &bytes), MAX), Ok(bytes.into()));
    }

    #[test]
    fn no_bytes_panic_or_grow(bytes in prop::collection::vec(any::<u8>(), 0..400), which in 0..4_usize) {
        if let Ok(decoded) = ALL[which].decode(&bytes, 10_000) {
            prop_assert!(decoded.len() <= 10_000);
        }
    }

    #[test]
    fn a_damaged_stream_is_refused_or_short(at in 0..300_usize, bit in 0..8_u8, which in 0..4_usize) {
        let coding = ALL[which];
        let mut encoded = encode(coding, &text(600));
        let at = at % encoded.len();
        encoded[at] ^= 1 << bit;
        if let Ok(decoded) = coding.decode(&encoded, 10_000) {
            prop_assert!(decoded.len() <= 10_000);
        }
    }
}
