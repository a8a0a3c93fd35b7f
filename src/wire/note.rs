//! What an agent says about its call: its reason, its context, the approval it comes back to.

use http::HeaderValue;

use crate::model::ApprovalId;

use super::error::Excerpt;
use super::error::WireError;

/// The most bytes that a reason or a context may have: a paragraph, which is what a reviewer reads.
pub const NOTE_BYTES_MAX: usize = 1024;

/// The reason, from `Approval-Reason` or its alias.
///
/// A value in the form of a String or a Display String (RFC 9651 §3.3.3, §3.3.8) is read as one;
/// anything else is taken as it stands. An empty reason is none.
pub(super) fn reason(value: Option<&HeaderValue>, alias: Option<&HeaderValue>) -> Result<Option<String>, WireError> {
    let read = |name, value: Option<&HeaderValue>| match value {
        Some(value) => text(name, value).map(|text| Some(unquote(text).unwrap_or_else(|| text.to_owned()))),
        None => Ok(None),
    };
    let reason = match (read("approval-reason", value)?, read("x-approval-reason", alias)?) {
        (Some(reason), Some(alias)) if reason != alias => return Err(WireError::TwoReasons),
        (reason, alias) => reason.or(alias),
    };
    check(REASON, reason)
}

/// The context, from `Approval-Context`, as it stands.
pub(super) fn context(value: Option<&HeaderValue>) -> Result<Option<String>, WireError> {
    let Some(value) = value else { return Ok(None) };
    let context = text(CONTEXT, value)?.to_owned();
    check(CONTEXT, Some(context))
}

/// The approval to resume, from `Approval-Id`.
pub(super) fn approval_id(value: Option<&HeaderValue>) -> Result<Option<String>, WireError> {
    let Some(value) = value else { return Ok(None) };
    let refuse = || WireError::ApprovalId(Excerpt::of(value));
    let text = value.to_str().map_err(|_| refuse())?.trim();
    text.parse::<ApprovalId>().map_err(|_| refuse())?;
    Ok(Some(text.to_owned()))
}

/// True if one of the preferences in `value` is `respond-async` (RFC 7240 §4.1).
pub(super) fn prefers_async(value: &HeaderValue) -> bool {
    value.as_bytes().split(|&byte| byte == b',').any(|preference| {
        let name = preference.split(|&byte| matches!(byte, b';' | b'=')).next().unwrap_or_default();
        name.trim_ascii().eq_ignore_ascii_case(b"respond-async")
    })
}

fn text<'a>(name: &'static str, value: &'a HeaderValue) -> Result<&'a str, WireError> {
    std::str::from_utf8(value.as_bytes()).map(str::trim).map_err(|_| WireError::NoteNotText(name))
}

fn check(name: &'static str, note: Option<String>) -> Result<Option<String>, WireError> {
    let Some(note) = note.filter(|note| !note.is_empty()) else { return Ok(None) };
    if note.len() > NOTE_BYTES_MAX {
        return Err(WireError::NoteTooLong { name, bytes: note.len() });
    }
    if note.chars().any(char::is_control) {
        return Err(WireError::NoteNotText(name));
    }
    Ok(Some(note))
}

fn unquote(text: &str) -> Option<String> {
    if let Some(inner) = text.strip_prefix("%\"") {
        display_string(inner.strip_suffix('"')?)
    } else {
        string(text.strip_prefix('"')?.strip_suffix('"')?)
    }
}

fn string(inner: &str) -> Option<String> {
    let mut text = String::with_capacity(inner.len());
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => text.push(chars.next().filter(|c| matches!(c, '"' | '\\'))?),
            ' '..='~' if c != '"' => text.push(c),
            _ => return None,
        }
    }
    Some(text)
}

fn display_string(inner: &str) -> Option<String> {
    let mut text = Vec::with_capacity(inner.len());
    let mut bytes = inner.as_bytes();
    while let [first, rest @ ..] = bytes {
        bytes = match (first, rest) {
            (b'%', [high, low, rest @ ..]) => {
                let digit = |byte: u8| char::from(byte).to_digit(16).filter(|_| !byte.is_ascii_uppercase());
                text.push(u8::try_from(digit(*high)? << 4 | digit(*low)?).ok()?);
                rest
            }
            (b' '..=b'~', rest) if !matches!(first, b'%' | b'"') => {
                text.push(*first);
                rest
            }
            _ => return None,
        };
    }
    String::from_utf8(text).ok()
}

const REASON: &str = "approval-reason";
const CONTEXT: &str = "approval-context";
