//! A multipart body (RFC 2046 §5.1) as its parts, whatever divides them.
//!
//! SDKs make up a new boundary for each attempt. It may be left out of a digest only if every
//! reader finds the same parts with it: those that end lines at a bare line feed, that take
//! anything behind the boundary for its end, that look at the first line instead of the content
//! type. So the text of the boundary must stand in the delimiters and nowhere else, and both it
//! and the content type must be of the plainest kind. Anything else is covered byte for byte.

use memchr::memmem;

use crate::model::CanonicalHasher;

/// A multipart body whose boundary does not matter.
pub(super) struct Multipart<'a> {
    /// The content type up to its boundary, and what is behind it.
    content_type: (&'a str, &'a str),
    /// Each part: its fields, an empty line, its content.
    parts: Vec<&'a [u8]>,
    /// Whether a line end follows the last delimiter.
    ends_line: bool,
}

impl<'a> Multipart<'a> {
    /// Reads `body`; `None` unless it is of this content type beyond doubt.
    pub(super) fn read(content_type: &'a str, body: &'a [u8]) -> Option<Self> {
        let (content_type, boundary) = split_content_type(content_type)?;
        let ends_line = body.ends_with(b"--\r\n");
        let body = if ends_line { body.strip_suffix(b"\r\n")? } else { body };
        // Every time that the boundary is there, it must divide. Between two of them is a part.
        let mut found = memmem::find_iter(body, boundary).peekable();
        if found.next()? != 2 || !body.starts_with(b"--") {
            return None;
        }
        let mut parts = Vec::new();
        let mut rest = body.get(2 + boundary.len()..)?;
        let mut start = 2 + boundary.len();
        for at in found {
            rest = rest.strip_prefix(b"\r\n")?;
            let part = rest.get(..at.checked_sub(start + 2)?)?.strip_suffix(b"\r\n--")?;
            parts.push(part);
            start = at + boundary.len();
            rest = body.get(start..)?;
        }
        (rest == b"--").then_some(Self { content_type, parts, ends_line })
    }

    /// Adds the parts, and the content type but for its boundary.
    pub(super) fn hash(&self, hasher: &mut CanonicalHasher) {
        hasher.field(self.content_type.0.as_bytes());
        hasher.field(self.content_type.1.as_bytes());
        hasher.count(self.parts.len());
        self.parts.iter().for_each(|part| hasher.field(part));
        hasher.count(usize::from(self.ends_line));
    }
}

/// Divides `multipart/form-data; boundary=abc; x=y` into what is before the boundary, the
/// boundary, and what is behind it.
fn split_content_type(text: &str) -> Option<((&str, &str), &[u8])> {
    let lower = text.to_ascii_lowercase();
    let (before, _) = lower.split_once("boundary=").filter(|_| lower.starts_with("multipart/"))?;
    let begins = before.trim_end_matches([' ', '\t']).ends_with(';');
    // Not inside of a quotation or a comment, where it would be a part of something else.
    let outside = before.matches('"').count().is_multiple_of(2) && !text.contains(['\\', '(', ')']);
    let (before, rest) = text.split_at_checked(before.len() + "boundary=".len())?;
    let (quote, rest) = rest.strip_prefix('"').map_or(("", rest), |rest| ("\"", rest));
    let length = rest.bytes().take_while(|&byte| is_plain(byte, !quote.is_empty())).count();
    let (boundary, behind) = rest.split_at_checked(length)?;
    let behind_quote = behind.strip_prefix(quote)?;
    let ends = behind_quote.is_empty() || behind_quote.starts_with([';', ' ', '\t']);
    // A reader might take a second one, or put one together of pieces (RFC 2231 §3).
    let alone = lower.matches("boundary").count() - boundary.to_ascii_lowercase().matches("boundary").count() == 1;
    let plain = (1..=BOUNDARY_BYTES_MAX).contains(&length) && !boundary.ends_with('-');
    (begins && outside && ends && alone && plain).then_some(((before, behind), boundary.as_bytes()))
}

/// The bytes that SDKs make boundaries of, and that mean nothing to any reader of parameters.
fn is_plain(byte: u8, quoted: bool) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.') || (quoted && byte == b'=')
}

/// RFC 2046 §5.1.1.
const BOUNDARY_BYTES_MAX: usize = 70;
