//! Numbers of bytes, such as `1MiB`.

use std::fmt;
use std::str::FromStr;

use serde::Deserialize;
use serde::Serialize;

use super::text::shown;
use super::text::written_as_text;

/// A number of bytes: a whole number with a unit of `B`, `KiB`, `MiB` or `GiB` (powers of 1024),
/// such as `16KiB`. More than none, and at most 1024 GiB.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(into = "String", try_from = "String")]
#[schemars(extend("pattern" = "^[0-9]+(B|KiB|MiB|GiB)$", "examples" = ["16KiB", "1MiB"]))]
pub struct ByteSize(u64); // Invariant: 1 to SIZE_MAX.

/// A text that is no number of bytes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseByteSizeError {
    /// A number alone.
    #[error("`{0}` has no unit; write for example `{0}B` or `{0}KiB`")]
    NoUnit(String),
    /// A unit of powers of 1000, or one of unclear meaning.
    #[error("`{0}` has the unit `{1}`; sizes are counted in powers of 1024, with `B`, `KiB`, `MiB` or `GiB`")]
    Unit(String, String),
    /// Something else.
    #[error("`{0}` is not a size; write a whole number with `B`, `KiB`, `MiB` or `GiB`, such as `1MiB`")]
    Form(String),
    /// None at all, or more than any machine has for this.
    #[error("`{0}` is out of range; a size is at least `1B` and at most `1024GiB`")]
    Range(String),
}

impl ByteSize {
    /// So many bytes.
    ///
    /// # Panics
    /// If there are none or too many: for constants only.
    pub(super) const fn bytes(bytes: u64) -> Self {
        assert!(bytes > 0 && bytes <= SIZE_MAX, "a constant within the range");
        Self(bytes)
    }

    /// As a number of bytes.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// As a number of bytes that memory is measured in. Where `usize` is too small, all of it.
    pub fn as_usize(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

impl FromStr for ByteSize {
    type Err = ParseByteSizeError;

    fn from_str(text: &str) -> Result<Self, ParseByteSizeError> {
        let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
        if number.is_empty() || !unit.bytes().all(|byte| byte.is_ascii_alphabetic()) {
            return Err(ParseByteSizeError::Form(shown(text)));
        }
        if unit.is_empty() {
            return Err(ParseByteSizeError::NoUnit(shown(text)));
        }
        let factor = UNITS.iter().find(|(name, _)| *name == unit).map(|(_, bytes)| *bytes);
        let factor = factor.ok_or_else(|| ParseByteSizeError::Unit(shown(text), shown(unit)))?;
        let bytes = number.parse::<u64>().ok().and_then(|number| number.checked_mul(factor));
        match bytes {
            Some(bytes) if (1..=SIZE_MAX).contains(&bytes) => Ok(Self(bytes)),
            Some(_) | None => Err(ParseByteSizeError::Range(shown(text))),
        }
    }
}

written_as_text!(ByteSize, ParseByteSizeError);

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, bytes) = UNITS.into_iter().find(|(_, bytes)| self.0.is_multiple_of(*bytes)).unwrap_or(("B", 1));
        write!(f, "{}{name}", self.0 / bytes)
    }
}

impl fmt::Debug for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The units, largest first, in bytes.
const UNITS: [(&str, u64); 4] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

const SIZE_MAX: u64 = 1 << 40;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_size_is_a_number_with_a_unit() {
        for (text, bytes, canonical) in [
            ("1B", 1, "1B"),
            ("16KiB", 16_384, "16KiB"),
            ("1024KiB", 1 << 20, "1MiB"),
            ("1000000B", 1_000_000, "1000000B"),
            ("1024GiB", 1 << 40, "1024GiB"),
        ] {
            let size: ByteSize = text.parse().unwrap();
            assert_eq!((size.get(), size.to_string().as_str()), (bytes, canonical), "{text}");
        }
        for (text, expected) in [
            ("1024", "has no unit"),
            ("1MB", "powers of 1024"),
            ("1M", "powers of 1024"),
            ("1mib", "powers of 1024"),
            ("0B", "out of range"),
            ("1025GiB", "out of range"),
            ("99999999999999999999999B", "out of range"),
            ("", "is not a size"),
            ("MiB", "is not a size"),
            ("1 MiB", "is not a size"),
            ("1.5MiB", "is not a size"),
            ("-1B", "is not a size"),
        ] {
            let error = text.parse::<ByteSize>().unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }

    proptest! {
        #[test]
        fn what_is_shown_reads_as_the_same(bytes in 1..=SIZE_MAX) {
            prop_assert_eq!(ByteSize(bytes).to_string().parse::<ByteSize>().unwrap(), ByteSize(bytes));
        }
    }
}
