//! Paths of a document, such as `/files/{name}.json`, cut into segments.

use percent_encoding::AsciiSet;
use percent_encoding::NON_ALPHANUMERIC;
use percent_encoding::percent_decode_str;
use percent_encoding::utf8_percent_encode;

use crate::wire::check_path;

use super::error::TemplateFault;

/// The most segments that a path of a document may have, base path included.
pub(super) const SEGMENTS_MAX: usize = 64;

/// One segment of a path. Literal text is in decoded form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Segment {
    /// Text only.
    Literal(String),
    /// Text and parameters, such as `{name}.json`.
    Mixed(Vec<Piece>),
    /// One parameter only.
    Parameter,
}

/// A piece of a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Piece {
    /// This text.
    Text(String),
    /// One character or more.
    Parameter,
}

/// Cuts a path of a document into its segments.
///
/// # Errors
/// [`TemplateFault`] if it cannot be matched, or if the paths that it matches are refused anyway.
pub(super) fn parse(path: &str) -> Result<Vec<Segment>, TemplateFault> {
    let rest = path.strip_prefix('/').ok_or(TemplateFault::NoSlash)?;
    if path.contains(['?', '#']) {
        return Err(TemplateFault::Query);
    }
    let segments: Vec<_> = rest.split('/').map(parse_segment).collect::<Result<_, _>>()?;
    if segments.len() > SEGMENTS_MAX {
        return Err(TemplateFault::Deep);
    }
    check_path(&example(&segments)).map_err(TemplateFault::Unreachable)?;
    Ok(segments)
}

fn parse_segment(segment: &str) -> Result<Segment, TemplateFault> {
    let mut pieces = Vec::new();
    let mut rest = segment;
    while let Some((text, after)) = rest.split_once('{') {
        let (name, after) = after.split_once('}').ok_or(TemplateFault::Braces)?;
        if text.contains('}') || name.is_empty() || name.contains('{') {
            return Err(TemplateFault::Braces);
        }
        if name.starts_with(['+', '*', '#', '/']) || name.ends_with(['+', '*']) {
            return Err(TemplateFault::Greedy(name.to_owned()));
        }
        match text {
            "" if pieces.last() == Some(&Piece::Parameter) => return Err(TemplateFault::Adjacent),
            "" => {}
            text => pieces.push(Piece::Text(decode(text)?)),
        }
        pieces.push(Piece::Parameter);
        rest = after;
    }
    if rest.contains('}') {
        return Err(TemplateFault::Braces);
    }
    let tail = decode(rest)?;
    match pieces.as_slice() {
        [] => return Ok(Segment::Literal(tail)),
        [Piece::Parameter] if tail.is_empty() => return Ok(Segment::Parameter),
        _ if tail.is_empty() => {}
        _ => pieces.push(Piece::Text(tail)),
    }
    Ok(Segment::Mixed(pieces))
}

fn decode(text: &str) -> Result<String, TemplateFault> {
    let decoded = percent_decode_str(text).decode_utf8();
    decoded.map(String::from).map_err(|_| TemplateFault::Unreachable(crate::wire::PathFault::NotUtf8))
}

/// A path that the segments match, in normal form.
fn example(segments: &[Segment]) -> String {
    let mut path = String::new();
    for segment in segments {
        path.push('/');
        match segment {
            Segment::Literal(text) => path.extend(utf8_percent_encode(text, ESCAPED)),
            Segment::Parameter => path.push('x'),
            Segment::Mixed(pieces) => {
                for piece in pieces {
                    match piece {
                        Piece::Text(text) => path.extend(utf8_percent_encode(text, ESCAPED)),
                        Piece::Parameter => path.push('x'),
                    }
                }
            }
        }
    }
    path
}

/// Whether `pieces` match the whole of `text`, with one character or more for every parameter.
/// With `same_case` false, letters of ASCII match in either case.
pub(super) fn matches(pieces: &[Piece], text: &str, same_case: bool) -> bool {
    if same_case {
        return matches_bytes(pieces, text.as_bytes(), |a, b| a == b);
    }
    matches_bytes(pieces, text.as_bytes(), |a, b| a.eq_ignore_ascii_case(b))
}

/// Texts in the middle are taken as early as they come, which leaves the most for those that
/// follow; the last one must be at the end.
fn matches_bytes(pieces: &[Piece], text: &[u8], same: impl Fn(&[u8], &[u8]) -> bool) -> bool {
    let mut rest = text;
    let mut behind_parameter = false;
    let mut pieces = pieces.iter().peekable();
    while let Some(piece) = pieces.next() {
        let Piece::Text(piece) = piece else {
            behind_parameter = true;
            continue;
        };
        let piece = piece.as_bytes();
        // How much the parameter before this text has taken.
        let found = match (behind_parameter, pieces.peek().is_none()) {
            (false, _) => rest.starts_with_same(piece, &same).then_some(0),
            (true, true) => rest.len().checked_sub(piece.len()).filter(|&at| at > 0),
            (true, false) => {
                (1..rest.len()).find(|&at| rest.get(at..).is_some_and(|r| r.starts_with_same(piece, &same)))
            }
        };
        let Some(after) = found.and_then(|at| rest.get(at..)).filter(|rest| rest.starts_with_same(piece, &same)) else {
            return false;
        };
        rest = after.get(piece.len()..).unwrap_or_default();
        behind_parameter = false;
    }
    // A parameter at the end takes what is left; a text at the end has left nothing.
    behind_parameter != rest.is_empty()
}

trait StartsWithSame {
    fn starts_with_same(&self, start: &[u8], same: impl Fn(&[u8], &[u8]) -> bool) -> bool;
}

impl StartsWithSame for [u8] {
    fn starts_with_same(&self, start: &[u8], same: impl Fn(&[u8], &[u8]) -> bool) -> bool {
        self.get(..start.len()).is_some_and(|head| same(head, start))
    }
}

/// All that has to be escaped in a segment (RFC 3986 §3.3).
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'!')
    .remove(b'$')
    .remove(b'&')
    .remove(b'\'')
    .remove(b'(')
    .remove(b')')
    .remove(b'*')
    .remove(b'+')
    .remove(b',')
    .remove(b'=')
    .remove(b':')
    .remove(b'@');

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parameter_is_a_character_or_more() {
        for (template, text, expected) in [
            ("{name}.json", "a.json", true),
            ("{name}.json", ".json", false),
            ("{name}.json", "a.jsonx", false),
            ("{name}.json", "a.json.json", true),
            ("{name}.json", "a.JSON", false),
            ("v{n}", "v1", true),
            ("v{n}", "v", false),
            ("v{n}", "w1", false),
            ("{a}-{b}", "x-y", true),
            ("{a}-{b}", "x-", false),
            ("{a}-{b}", "-y", false),
            ("{a}-{b}", "--y", true),
            ("{a}-{b}", "---", true),
            ("{a}..{b}:cancel", "1..2:cancel", true),
            ("{a}..{b}:cancel", "1..:cancel", false),
            ("{a}aa{b}a", "xaaaya", true),
            ("(id={id})", "(id=7)", true),
            ("(id={id})", "(id=)", false),
        ] {
            let Segment::Mixed(pieces) = parse_segment(template).unwrap() else { panic!("{template}") };
            assert_eq!(matches(&pieces, text, true), expected, "{template} {text}");
        }
        let Segment::Mixed(pieces) = parse_segment("{name}.json").unwrap() else { panic!() };
        assert!(matches(&pieces, "a.JSON", false));
    }
}
