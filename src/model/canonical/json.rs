//! The digest of a JSON text that does not depend on blanks between tokens or the order of members.
//!
//! Only blanks and order: strings and numbers count as they are spelt, so no reader's idea of
//! precision, escapes, surrogates or U+0000 can matter. A text counts byte for byte instead
//! ([`digest`] says `None`) if it is not strictly JSON (RFC 8259: UTF-8, no byte order mark, no
//! comments, nothing behind the value), is nested deeper than 64, or if the order of the members
//! of any object could matter to some reader:
//!
//! - Two members have names that a reader might take for one: equal, or equal but for case (Go),
//!   for `_` and `-` (protobuf takes `user_id` for `userId`), or for any other punctuation. Readers
//!   differ in whether the first or the last one holds.
//! - A name has an escape or a letter outside of ASCII in it, so that being equal is a matter of
//!   opinion (escapes, case, Unicode normal forms).
//! - A name begins with `$`: .NET reads `$type` in the first place only, MongoDB runs `$set` and
//!   its like in their order.
//! - It is in the value of `sort` or `orderBy`, where the first member sorts first, of an object and
//!   of each object of an array (Elasticsearch).
//!
//! To a reader that goes by the order of other members, RFC 8259 §4 gives no leave: the same names
//! with the same values, all of which a reviewer has seen, may then be taken in another order.

use crate::model::CanonicalHasher;
use crate::model::Sha256;

/// Whether a content type says JSON in UTF-8: one value, so not the kinds with many.
pub(super) fn is_json(content_type: &str) -> bool {
    let (essence, parameters) = content_type.split_once(';').unwrap_or((content_type, ""));
    let essence = essence.trim().to_ascii_lowercase();
    let json = matches!(
        &*essence,
        "application/json" | "text/json" | "application/x-amz-json-1.0" | "application/x-amz-json-1.1"
    ) || (essence.starts_with("application/") && essence.ends_with("+json"));
    let parameters = parameters.to_ascii_lowercase();
    json && (!parameters.contains("charset") || matches!(parameters.trim(), "charset=utf-8" | "charset=\"utf-8\""))
}

/// The digest of the value in `text`, or `None` if `text` counts byte for byte.
pub(super) fn digest(text: &[u8]) -> Option<Sha256> {
    let mut reader = Reader { rest: std::str::from_utf8(text).ok()?.as_bytes() };
    let mut hasher = CanonicalHasher::new("holdpoint/json/v1");
    reader.value(&mut hasher, 0)?;
    reader.blanks();
    reader.rest.is_empty().then(|| hasher.finish())
}

/// A member of an object: its name as spelt, and its value.
struct Member<'a> {
    name: &'a [u8],
    value: Value<'a>,
}

/// A value whose place among others is not known yet.
enum Value<'a> {
    /// A string, number or word, as spelt.
    Scalar(&'a [u8]),
    /// An object or an array.
    Nested(Sha256),
}

/// What of the text is not read yet. Every method takes one thing, or says `None`.
struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// A value with the blanks before it. Each form begins with a word of its own, and an array
    /// also ends with one, so that no two values look alike.
    fn value(&mut self, hasher: &mut CanonicalHasher, depth: usize) -> Option<()> {
        match self.peek()? {
            b'{' => self.object(hasher, depth + 1)?,
            b'[' => self.array(hasher, depth + 1)?,
            _ => {
                hasher.field(b"scalar");
                hasher.field(self.scalar()?);
            }
        }
        Some(())
    }

    fn array(&mut self, hasher: &mut CanonicalHasher, depth: usize) -> Option<()> {
        hasher.field(b"array");
        self.opens(depth)?;
        if !self.takes(b']') {
            loop {
                self.value(hasher, depth)?;
                if !self.takes(b',') {
                    break;
                }
            }
            self.takes(b']').then_some(())?;
        }
        hasher.field(b"end");
        Some(())
    }

    fn object(&mut self, hasher: &mut CanonicalHasher, depth: usize) -> Option<()> {
        self.opens(depth)?;
        let mut members = Vec::new();
        if !self.takes(b'}') {
            loop {
                members.push(self.member(depth)?);
                if !self.takes(b',') {
                    break;
                }
            }
            self.takes(b'}').then_some(())?;
        }
        members.sort_unstable_by(|a, b| folded(a.name).cmp(folded(b.name)));
        let alike = |pair: &[Member<'_>]| matches!(pair, [a, b] if folded(a.name).eq(folded(b.name)));
        if members.windows(2).any(alike) {
            return None;
        }
        hasher.field(b"object");
        hasher.count(members.len());
        for member in &members {
            hasher.field(member.name);
            match &member.value {
                Value::Scalar(text) => {
                    hasher.field(b"scalar");
                    hasher.field(text);
                }
                Value::Nested(digest) => {
                    hasher.field(b"nested");
                    hasher.field(digest.as_bytes());
                }
            }
        }
        Some(())
    }

    fn member(&mut self, depth: usize) -> Option<Member<'a>> {
        (self.peek()? == b'"').then_some(())?;
        let name = self.string()?;
        let plain = name.iter().all(|&byte| byte.is_ascii() && byte != b'\\') && !name.starts_with(b"\"$");
        (plain && self.takes(b':')).then_some(())?;
        let value = match self.peek()? {
            b'{' | b'[' if ORDERED.iter().any(|ordered| folded(name).eq(ordered.bytes())) => return None,
            b'{' | b'[' => {
                let mut hasher = CanonicalHasher::new("holdpoint/json/v1");
                self.value(&mut hasher, depth)?;
                Value::Nested(hasher.finish())
            }
            _ => Value::Scalar(self.scalar()?),
        };
        Some(Member { name, value })
    }

    /// The bracket that [`Self::peek`] has seen.
    fn opens(&mut self, depth: usize) -> Option<()> {
        self.rest = self.rest.get(1..).filter(|_| depth <= DEPTH_MAX)?;
        Some(())
    }

    fn scalar(&mut self) -> Option<&'a [u8]> {
        match self.rest.first()? {
            b'"' => self.string(),
            b'-' | b'0'..=b'9' => self.number(),
            _ => {
                let word =
                    [b"true".as_slice(), b"false", b"null"].into_iter().find(|word| self.rest.starts_with(word))?;
                self.take(word.len())
            }
        }
    }

    /// A string with its quotes, as spelt.
    fn string(&mut self) -> Option<&'a [u8]> {
        let mut at = 1;
        loop {
            match *self.rest.get(at)? {
                b'"' => return self.take(at + 1),
                b'\\' => at += escape(self.rest.get(at + 1..)?)? + 1,
                0..0x20 => return None,
                _ => at += 1,
            }
        }
    }

    /// `-? (0 | [1-9][0-9]*) (. [0-9]+)? ([eE] [+-]? [0-9]+)?`
    fn number(&mut self) -> Option<&'a [u8]> {
        let digits = |from: usize| self.rest.iter().skip(from).take_while(|byte| byte.is_ascii_digit()).count();
        let is = |at: usize, set: &[u8]| self.rest.get(at).is_some_and(|byte| set.contains(byte));
        let mut at = usize::from(is(0, b"-"));
        let whole = digits(at);
        if whole == 0 || (whole > 1 && is(at, b"0")) {
            return None;
        }
        at += whole;
        if is(at, b".") {
            at += 1 + Some(digits(at + 1)).filter(|&count| count > 0)?;
        }
        if is(at, b"eE") {
            at += 1 + usize::from(is(at + 1, b"+-"));
            at += Some(digits(at)).filter(|&count| count > 0)?;
        }
        self.take(at)
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(taken)
    }

    /// Takes `byte` and the blanks before it, if it is next.
    fn takes(&mut self, byte: u8) -> bool {
        let next = self.peek() == Some(byte);
        if next {
            self.rest = self.rest.get(1..).unwrap_or_default();
        }
        next
    }

    fn peek(&mut self) -> Option<u8> {
        self.blanks();
        self.rest.first().copied()
    }

    fn blanks(&mut self) {
        let blanks = self.rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r')).count();
        self.rest = self.rest.get(blanks..).unwrap_or_default();
    }
}

/// The length of an escape without its `\`. Half a surrogate pair is not text.
fn escape(rest: &[u8]) -> Option<usize> {
    let unit = |at: usize| {
        let digits = rest.get(at..at + 4).filter(|digits| digits.iter().all(u8::is_ascii_hexdigit))?;
        u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
    };
    match rest.first()? {
        b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Some(1),
        b'u' => match unit(1)? {
            0xd800..0xdc00 => (rest.get(5..7)? == b"\\u" && (0xdc00..0xe000).contains(&unit(7)?)).then_some(11),
            0xdc00..0xe000 => None,
            _ => Some(5),
        },
        _ => None,
    }
}

/// A name in the form in which the most forgiving reader compares it.
fn folded(name: &[u8]) -> impl Iterator<Item = u8> {
    name.iter().filter(|byte| byte.is_ascii_alphanumeric()).map(u8::to_ascii_lowercase)
}

/// Deeper texts are no call of an API; the stack stays small.
const DEPTH_MAX: usize = 64;
/// Names whose members sort one after the other, folded.
const ORDERED: [&str; 3] = ["sort", "sortby", "orderby"];
