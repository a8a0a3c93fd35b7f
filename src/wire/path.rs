//! Paths in normal form: the one form that every server reads in the same way.
//!
//! Nothing is decoded or repaired here; a path that is not in normal form is refused, so that the
//! path that policy and reviewers see is, byte by byte, the path that the upstream gets. (A
//! fragment never gets this far: the `http` crate cuts it off, and it is not sent on.)

use std::fmt;

/// Checks that `path` is in normal form: segments after single slashes, no dot segment, only the
/// characters of RFC 3986 §3.3 without `;`, escapes in upper case and only of what needs them,
/// and what they spell is UTF-8 without control characters and look-alikes of delimiters.
///
/// # Errors
/// [`PathFault`] says what is not in normal form.
pub fn check(path: &str) -> Result<(), PathFault> {
    let segments = path.strip_prefix('/').ok_or(PathFault::EmptySegment)?;
    let mut rest = Some(segments);
    while let Some(left) = rest {
        let (segment, following) = match left.split_once('/') {
            Some((segment, following)) => (segment, Some(following)),
            None => (left, None),
        };
        // An empty last segment is a trailing slash, which is fine.
        if segment.is_empty() && following.is_some() {
            return Err(PathFault::EmptySegment);
        }
        if segment == "." || segment == ".." {
            return Err(PathFault::DotSegment);
        }
        check_segment(segment)?;
        rest = following;
    }
    Ok(())
}

fn check_segment(segment: &str) -> Result<(), PathFault> {
    let mut bytes = segment.as_bytes();
    let mut high = false;
    while let [first, rest @ ..] = bytes {
        bytes = match first {
            byte if is_plain(*byte) => rest,
            b'%' => {
                let (value, rest) = escape(rest)?;
                high |= value >= 0x80;
                check_escaped(value, rest)?;
                rest
            }
            b';' => return Err(PathFault::MatrixParameter),
            _ => return Err(PathFault::Character(odd_character(segment))),
        };
    }
    if high { check_spelled(segment) } else { Ok(()) }
}

/// The characters that stand for themselves in a segment: RFC 3986 `pchar` without `;`, which
/// starts a parameter for some servers and is a letter like any other for the rest.
const fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'-' | b'.'
                | b'_'
                | b'~'
                | b'!'
                | b'$'
                | b'&'
                | b'\''
                | b'('
                | b')'
                | b'*'
                | b'+'
                | b','
                | b'='
                | b':'
                | b'@'
        )
}

fn odd_character(segment: &str) -> char {
    let plain = |c: &char| c.is_ascii() && (is_plain(*c as u8) || *c == '%');
    segment.chars().find(|c| !plain(c)).unwrap_or('%')
}

/// The byte that two upper-case hex digits stand for, and what follows them.
fn escape(bytes: &[u8]) -> Result<(u8, &[u8]), PathFault> {
    let [high, low, rest @ ..] = bytes else { return Err(PathFault::BadEscape) };
    let digit = |digit: u8| match digit {
        b'0'..=b'9' => Ok(digit - b'0'),
        b'A'..=b'F' => Ok(digit - b'A' + 10),
        b'a'..=b'f' => Err(PathFault::LowerCaseEscape),
        _ => Err(PathFault::BadEscape),
    };
    // Both digits first, so that `%fx` is told apart from `%fF`.
    match (digit(*high), digit(*low)) {
        (Ok(high), Ok(low)) => Ok((high << 4 | low, rest)),
        (Err(PathFault::BadEscape), _) | (_, Err(PathFault::BadEscape)) => Err(PathFault::BadEscape),
        _ => Err(PathFault::LowerCaseEscape),
    }
}

fn check_escaped(value: u8, rest: &[u8]) -> Result<(), PathFault> {
    match value {
        0..=0x1F | 0x7F => Err(PathFault::EscapedControl(value)),
        b'/' | b'\\' | b';' => Err(PathFault::EscapedSeparator(char::from(value))),
        b'%' if decodes_again(rest) => Err(PathFault::DoubleEscape),
        b'-' | b'.' | b'_' | b'~' | b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' => {
            Err(PathFault::NeedlessEscape(char::from(value)))
        }
        _ => Ok(()),
    }
}

/// True if `%25` before `rest` would read as an escape once it is decoded: `%2541` or, for servers
/// that know `%uXXXX`, `%25u0041`.
fn decodes_again(rest: &[u8]) -> bool {
    match rest {
        [b'u' | b'U', digits @ ..] => digits.iter().take_while(|b| b.is_ascii_hexdigit()).take(4).count() == 4,
        [high, low, ..] => high.is_ascii_hexdigit() && low.is_ascii_hexdigit(),
        _ => false,
    }
}

/// Looks at what the escapes of a segment spell. Called only where one is above ASCII.
fn check_spelled(segment: &str) -> Result<(), PathFault> {
    let spelled: Vec<u8> = percent_encoding::percent_decode_str(segment).collect();
    let spelled = std::str::from_utf8(&spelled).map_err(|_| PathFault::NotUtf8)?;
    match spelled.chars().find(|&c| c.is_control() || looks_like_delimiter(c)) {
        Some(c) if c.is_control() => Err(PathFault::EscapedCharacter(c)),
        Some(c) => Err(PathFault::LookAlike(c)),
        None => Ok(()),
    }
}

/// The characters that compatibility normalisation (Unicode 15 NFKC) turns into something with
/// one of `/ \ . % ; ? #` in it. Some servers normalise after they have checked the path.
fn looks_like_delimiter(c: char) -> bool {
    matches!(
        c,
        '\u{37E}'
            | '\u{2024}'..='\u{2026}'
            | '\u{2047}'..='\u{2049}'
            | '\u{2100}'..='\u{2101}'
            | '\u{2105}'..='\u{2106}'
            | '\u{2488}'..='\u{249B}'
            | '\u{33C2}'
            | '\u{33C7}'
            | '\u{33D8}'
            | '\u{FE14}'
            | '\u{FE16}'
            | '\u{FE19}'
            | '\u{FE30}'
            | '\u{FE52}'
            | '\u{FE54}'
            | '\u{FE56}'
            | '\u{FE5F}'
            | '\u{FE68}'
            | '\u{FE6A}'
            | '\u{FF03}'
            | '\u{FF05}'
            | '\u{FF0E}'..='\u{FF0F}'
            | '\u{FF1B}'
            | '\u{FF1F}'
            | '\u{FF3C}'
            | '\u{1F100}'
    )
}

/// Why a path is not in normal form. The words follow "the path `…`".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathFault {
    /// `.` or `..`.
    DotSegment,
    /// Two slashes in a row.
    EmptySegment,
    /// A character that has to be escaped.
    Character(char),
    /// `;`.
    MatrixParameter,
    /// `%` without two hex digits.
    BadEscape,
    /// `%c3`.
    LowerCaseEscape,
    /// `%41`.
    NeedlessEscape(char),
    /// `%2F`, `%5C` or `%3B`.
    EscapedSeparator(char),
    /// `%00` and other control bytes.
    EscapedControl(u8),
    /// An escaped control character above ASCII.
    EscapedCharacter(char),
    /// `%2541`.
    DoubleEscape,
    /// The escapes spell no UTF-8.
    NotUtf8,
    /// A character that some servers take for a delimiter.
    LookAlike(char),
}

impl fmt::Display for PathFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DotSegment => f.write_str("holds a `.` or `..` segment; send the path that it leads to"),
            Self::EmptySegment => f.write_str("holds two slashes in a row; send one"),
            Self::Character(c) => write!(f, "holds the character `{}`; percent-encode it", c.escape_default()),
            Self::MatrixParameter => {
                f.write_str("holds a `;`, which servers read in different ways; it cannot be sent")
            }
            Self::BadEscape => f.write_str("holds a `%` that two hex digits do not follow; send `%25` for a plain `%`"),
            Self::LowerCaseEscape => f.write_str("holds an escape in lower case; write its digits in upper case"),
            Self::NeedlessEscape(c) => write!(f, "escapes `{c}`, which needs no escape; send it as it is"),
            Self::EscapedSeparator(c) => {
                write!(f, "holds an escaped `{c}`, which servers read in different ways; it cannot be sent")
            }
            Self::EscapedControl(byte) => write!(f, "holds the escaped control byte `%{byte:02X}`; it cannot be sent"),
            Self::EscapedCharacter(c) => {
                write!(f, "holds the escaped control character `{}`; it cannot be sent", c.escape_default())
            }
            Self::DoubleEscape => f.write_str("is escaped twice (`%25` and two hex digits); escape it once"),
            Self::NotUtf8 => f.write_str("holds escapes that are not UTF-8; escape the bytes of UTF-8 text"),
            Self::LookAlike(c) => {
                write!(f, "holds `{}`, which some servers take for a delimiter; it cannot be sent", c.escape_default())
            }
        }
    }
}
