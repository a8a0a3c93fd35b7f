//! Canonical JSON (RFC 8785), in the subset that we write: no fractions, ASCII names, integers
//! that every JSON reader holds exactly.
//!
//! The writers here append to a buffer, so that a leaf is made in one go without a tree of values
//! in between; [`parse`] is the other direction and refuses every other spelling.

use std::io::Write;

use serde_json::Value;

use crate::model::Timestamp;

/// The largest integer that a double holds exactly, as RFC 8785 §3.2.2.3 needs: 2^53 - 1.
pub(super) const INTEGER_MAX: u64 = (1 << 53) - 1;

/// Why bytes are not canonical JSON.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotCanonical {
    #[error("it is not JSON: {0}")]
    Json(#[from] serde_json::Error),
    #[error("it is spelled otherwise than RFC 8785 asks")]
    Spelling,
    #[error("it has a number with a fraction, or one beyond 2^53")]
    Number,
    #[error("it has a field name outside ASCII")]
    Name,
}

/// Reads canonical JSON and nothing else.
pub(super) fn parse(bytes: &[u8]) -> Result<Value, NotCanonical> {
    let value: Value = serde_json::from_slice(bytes)?;
    inspect(&value)?;
    // Objects are sorted maps here, so writing the value back sorts names, drops repeated ones
    // and white space, and picks the one way to escape.
    if serde_json::to_vec(&value)? == bytes { Ok(value) } else { Err(NotCanonical::Spelling) }
}

fn inspect(value: &Value) -> Result<(), NotCanonical> {
    match value {
        Value::Null | Value::Bool(_) | Value::String(_) => Ok(()),
        Value::Number(number) => {
            let size = number.as_u64().or_else(|| number.as_i64().map(i64::unsigned_abs));
            size.filter(|&size| size <= INTEGER_MAX).map(drop).ok_or(NotCanonical::Number)
        }
        Value::Array(items) => items.iter().try_for_each(inspect),
        Value::Object(fields) => fields.iter().try_for_each(|(name, value)| {
            if !name.is_ascii() {
                return Err(NotCanonical::Name);
            }
            inspect(value)
        }),
    }
}

/// Appends a string with its quotes, escaped as RFC 8785 §3.2.2.2 asks.
pub(super) fn push_text(out: &mut Vec<u8>, text: &str) {
    let bytes = text.as_bytes();
    out.push(b'"');
    // Looks at all bytes without stopping, which the compiler does many at a time. Hardly any
    // text needs an escape.
    if bytes.iter().fold(true, |plain, byte| plain & is_plain(*byte)) {
        out.extend_from_slice(bytes);
    } else {
        bytes.iter().for_each(|byte| push_escaped(out, *byte));
    }
    out.push(b'"');
}

fn is_plain(byte: u8) -> bool {
    (byte >= 0x20) & (byte != b'"') & (byte != b'\\')
}

fn push_escaped(out: &mut Vec<u8>, byte: u8) {
    match byte {
        plain if is_plain(plain) => out.push(plain),
        b'"' | b'\\' => out.extend([b'\\', byte]),
        0x08 => out.extend(b"\\b"),
        b'\t' => out.extend(b"\\t"),
        b'\n' => out.extend(b"\\n"),
        0x0c => out.extend(b"\\f"),
        b'\r' => out.extend(b"\\r"),
        control => {
            out.extend(b"\\u00");
            push_hex(out, &[control]);
        }
    }
}

/// Appends bytes as lower-case hex digits, without quotes.
pub(super) fn push_hex<const N: usize>(out: &mut Vec<u8>, bytes: &[u8; N]) {
    let pairs = bytes.map(|byte| [hex_digit(byte >> 4), hex_digit(byte & 15)]);
    out.extend_from_slice(pairs.as_flattened());
}

fn hex_digit(nibble: u8) -> u8 {
    if nibble < 10 { b'0' + nibble } else { b'a' + nibble - 10 }
}

/// Appends a point in time with its quotes, as [`Timestamp`] prints it: RFC 3339, UTC,
/// microseconds. By hand, because every leaf has one and the general way costs several times as
/// much.
pub(super) fn push_time(out: &mut Vec<u8>, time: Timestamp) {
    const DAY: u64 = 86_400_000_000;
    /// 9999-12-30T22:00:00Z, after which the general way has a form of its own.
    const END: u64 = 253_402_207_200_000_000;
    out.push(b'"');
    match u64::try_from(time.unix_micros()).ok().filter(|&micros| micros < END) {
        Some(micros) => {
            let (year, month, day) = civil(micros / DAY);
            let rest = micros % DAY;
            let mut text = *b"0000-00-00T00:00:00.000000Z";
            let parts = [
                (4, year),
                (7, month),
                (10, day),
                (13, rest / 3_600_000_000),
                (16, rest / 60_000_000 % 60),
                (19, rest / 1_000_000 % 60),
                (26, rest % 1_000_000),
            ];
            parts.into_iter().for_each(|(end, number)| put_digits(&mut text, end, number));
            out.extend_from_slice(&text);
        }
        None => push_display(out, &time),
    }
    out.push(b'"');
}

/// Writes `number` into `text` so that its last digit stands before `end`.
fn put_digits(text: &mut [u8], end: usize, number: u64) {
    let mut rest = number;
    for digit in text.iter_mut().take(end).rev() {
        if rest == 0 {
            break;
        }
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
}

/// Year, month and day of the day `days` after 1970-01-01, in the proleptic Gregorian calendar
/// (Howard Hinnant, "chrono-compatible low-level date algorithms", `civil_from_days`).
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468; // From 0000-03-01 on, so that leap days end a year.
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153; // 0 is March.
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (year + era * 400 + u64::from(month <= 2), month, day)
}

/// Appends what `value` prints, which must need no escapes.
pub(super) fn push_display(out: &mut Vec<u8>, value: &dyn std::fmt::Display) {
    // Writing to a Vec cannot fail.
    let _ = write!(out, "{value}");
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(text: &str) -> String {
        let mut out = Vec::new();
        push_text(&mut out, text);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_string_example_of_rfc_8785() {
        let example = "\u{20ac}$\u{f}\nA'B\"\\\\\"/";
        assert_eq!(text(example), r#""€$\u000f\nA'B\"\\\\\"/""#);
    }

    #[test]
    fn only_the_canonical_spelling_is_read() {
        for good in ["{}", r#"{"a":1,"b":[null,true,"é\n"]}"#, "-9007199254740991", r#""""#] {
            assert!(parse(good.as_bytes()).is_ok(), "{good}");
        }
        let bad = [
            r#"{"b":1,"a":2}"#,
            r#"{"a":1,"a":1}"#,
            r#"{ "a":1}"#,
            r#"{"a":1.0}"#,
            r#"{"a":1e3}"#,
            r#"{"a":-0}"#,
            r#"{"a":9007199254740992}"#,
            r#""\u0041""#,
            r#""\/""#,
            r#""\u000F""#,
            r#"{"é":1}"#,
            "{}\n",
            "{",
            "",
        ];
        for bad in bad {
            assert!(parse(bad.as_bytes()).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn texts_are_written_as_every_json_library_does(sample in any::<String>()) {
            prop_assert_eq!(text(&sample), serde_json::to_string(&sample).unwrap());
        }

        #[test]
        fn times_are_written_as_timestamps_print(micros in any::<i64>(), near in 0_i64..253_402_300_800_000_000) {
            for time in [micros, near, near / 1_000_000 * 1_000_000].map(Timestamp::from_unix_micros) {
                let mut out = Vec::new();
                push_time(&mut out, time);
                prop_assert_eq!(String::from_utf8(out).unwrap(), format!("\"{time}\""));
            }
        }
    }
}
