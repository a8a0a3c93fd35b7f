//! Queries that can be decoded in one way only.

use std::fmt;

/// Checks that `query` holds only visible ASCII and that each `%` starts an escape of two hex
/// digits, of either case. What the escapes spell is for those to judge who read the query.
///
/// # Errors
/// [`QueryFault`] says what could be decoded in two ways.
pub(super) fn check(query: &str) -> Result<(), QueryFault> {
    let mut bytes = query.as_bytes();
    while let [first, rest @ ..] = bytes {
        bytes = match (first, rest) {
            (b'%', [high, low, rest @ ..]) if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => rest,
            (b'%', _) => return Err(QueryFault::BadEscape),
            (b'!'..=b'~', rest) if !matches!(first, b'\\' | b'#') => rest,
            _ => {
                let odd = query.chars().find(|c| !c.is_ascii_graphic() || matches!(c, '\\' | '#'));
                return Err(QueryFault::Character(odd.unwrap_or('\u{FFFD}')));
            }
        };
    }
    Ok(())
}

/// Why a query could be decoded in two ways. The words follow "the query"; they repeat nothing of
/// it but one character, because secrets travel in queries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QueryFault {
    /// `%` without two hex digits.
    BadEscape,
    /// A character that has to be escaped.
    Character(char),
}

impl fmt::Display for QueryFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadEscape => f.write_str("holds a `%` that two hex digits do not follow; send `%25` for a plain `%`"),
            Self::Character(c) => write!(f, "holds the character `{}`; percent-encode it", c.escape_default()),
        }
    }
}
