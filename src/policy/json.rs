//! JSON that every reader understands alike (RFC 8259, within I-JSON, RFC 7493).
//!
//! What two parsers could read differently is refused: a name given twice in one object, lone
//! surrogates, a byte order mark, and numbers that would have to be rounded. Two numbers that are
//! accepted are equal in a policy exactly if they are equal as written.

use std::collections::BTreeMap;

use regorus::Value;

/// How deep arrays and objects may be nested.
pub(super) const DEPTH_MAX: usize = 64;
/// The longest number, in characters.
const NUMBER_CHARS_MAX: usize = 400;

/// Why a text is not JSON that can be relied on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum JsonError {
    #[error("it is not UTF-8")]
    NotUtf8,
    #[error("it is not JSON at byte {0}")]
    Syntax(usize),
    #[error("the object at byte {0} has the same name twice")]
    DuplicateName(usize),
    #[error("it is nested more than {DEPTH_MAX} levels deep at byte {0}")]
    TooDeep(usize),
    #[error("the number at byte {0} cannot be kept without rounding")]
    Inexact(usize),
}

/// Reads one JSON value and nothing else.
pub(super) fn parse(bytes: &[u8]) -> Result<Value, JsonError> {
    let text = std::str::from_utf8(bytes).map_err(|_| JsonError::NotUtf8)?;
    let mut parser = Parser { text, at: 0 };
    let value = parser.value(0)?;
    parser.space();
    if parser.at == text.len() { Ok(value) } else { Err(JsonError::Syntax(parser.at)) }
}

struct Parser<'t> {
    text: &'t str,
    at: usize,
}

impl<'t> Parser<'t> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn wrong<T>(&self) -> Result<T, JsonError> {
        Err(JsonError::Syntax(self.at))
    }

    fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn value(&mut self, depth: usize) -> Result<Value, JsonError> {
        self.space();
        match self.peek() {
            Some(b'{' | b'[') if depth >= DEPTH_MAX => Err(JsonError::TooDeep(self.at)),
            Some(b'{') => self.object(depth),
            Some(b'[') => self.array(depth),
            Some(b'"') => Ok(Value::from(self.string()?)),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't') => self.word("true", Value::from(true)),
            Some(b'f') => self.word("false", Value::from(false)),
            Some(b'n') => self.word("null", Value::Null),
            _ => self.wrong(),
        }
    }

    fn word(&mut self, word: &str, value: Value) -> Result<Value, JsonError> {
        if !self.rest().starts_with(word) {
            return self.wrong();
        }
        self.at += word.len();
        Ok(value)
    }

    fn rest(&self) -> &'t str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn array(&mut self, depth: usize) -> Result<Value, JsonError> {
        self.at += 1;
        let mut items = Vec::new();
        self.space();
        if self.take(b']') {
            return Ok(Value::from(items));
        }
        loop {
            items.push(self.value(depth + 1)?);
            self.space();
            if self.take(b']') {
                return Ok(Value::from(items));
            }
            if !self.take(b',') {
                return self.wrong();
            }
        }
    }

    fn object(&mut self, depth: usize) -> Result<Value, JsonError> {
        let start = self.at;
        self.at += 1;
        let mut fields = BTreeMap::new();
        self.space();
        if self.take(b'}') {
            return Ok(Value::from(fields));
        }
        loop {
            self.space();
            if self.peek() != Some(b'"') {
                return self.wrong();
            }
            let name = Value::from(self.string()?);
            self.space();
            if !self.take(b':') {
                return self.wrong();
            }
            let value = self.value(depth + 1)?;
            if fields.insert(name, value).is_some() {
                return Err(JsonError::DuplicateName(start));
            }
            self.space();
            if self.take(b'}') {
                return Ok(Value::from(fields));
            }
            if !self.take(b',') {
                return self.wrong();
            }
        }
    }

    fn string(&mut self) -> Result<String, JsonError> {
        self.at += 1;
        let mut string = String::new();
        loop {
            let rest = self.rest();
            let plain = rest.bytes().position(|byte| byte == b'"' || byte == b'\\' || byte < b' ');
            let Some(plain) = plain else {
                self.at = self.text.len();
                return self.wrong();
            };
            string.push_str(rest.get(..plain).unwrap_or_default());
            self.at += plain;
            if self.take(b'"') {
                return Ok(string);
            }
            if !self.take(b'\\') {
                return self.wrong();
            }
            string.push(self.escape()?);
        }
    }

    fn escape(&mut self) -> Result<char, JsonError> {
        let Some(letter) = self.peek() else { return self.wrong() };
        let plain = match letter {
            b'"' | b'\\' | b'/' => char::from(letter),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                self.at += 1;
                return self.unicode();
            }
            _ => return self.wrong(),
        };
        self.at += 1;
        Ok(plain)
    }

    /// A `\u` escape, or two that make up one character.
    fn unicode(&mut self) -> Result<char, JsonError> {
        let high = self.hex4()?;
        let code = if (0xD800..0xDC00).contains(&high) {
            if !self.rest().starts_with("\\u") {
                return self.wrong();
            }
            self.at += 2;
            let low = self.hex4()?;
            if !(0xDC00..0xE000).contains(&low) {
                return self.wrong();
            }
            0x1_0000 + ((high - 0xD800) << 10) + (low - 0xDC00)
        } else {
            high
        };
        char::from_u32(code).map_or_else(|| self.wrong(), Ok)
    }

    fn hex4(&mut self) -> Result<u32, JsonError> {
        let digits = self.rest().get(..4).filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()));
        let code = digits.and_then(|digits| u32::from_str_radix(digits, 16).ok());
        let Some(code) = code else { return self.wrong() };
        self.at += 4;
        Ok(code)
    }

    fn number(&mut self) -> Result<Value, JsonError> {
        let start = self.at;
        self.take(b'-');
        if !self.take(b'0') {
            self.digits()?;
        }
        let mut whole = true;
        if self.take(b'.') {
            whole = false;
            self.digits()?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            whole = false;
            self.at += 1;
            if !self.take(b'+') {
                self.take(b'-');
            }
            self.digits()?;
        }
        let text = self.text.get(start..self.at).unwrap_or_default();
        if text.len() > NUMBER_CHARS_MAX {
            return Err(JsonError::Inexact(start));
        }
        let value = if whole { integer(text) } else { fraction(text) };
        value.ok_or(JsonError::Inexact(start))
    }

    fn digits(&mut self) -> Result<(), JsonError> {
        let count = self.rest().bytes().take_while(u8::is_ascii_digit).count();
        if count == 0 {
            return self.wrong();
        }
        self.at += count;
        Ok(())
    }
}

/// A whole number, of any size.
fn integer(text: &str) -> Option<Value> {
    match text.parse::<i64>() {
        Ok(small) => Some(Value::from(small)),
        Err(_) => Value::from_numeric_string(text).ok(),
    }
}

/// A number with a fraction or an exponent, if the nearest floating-point number, printed as short
/// as it can be, is the number that was written. Where two texts are as short, it is the one that
/// JSON libraries write.
fn fraction(text: &str) -> Option<Value> {
    let float: f64 = text.parse().ok()?;
    let exact = float.is_finite() && decimal(&serde_json::to_string(&float).ok()?)? == decimal(text)?;
    exact.then(|| Value::from(float))
}

/// Sign, digits without outer zeros, and the power of ten of the last digit.
fn decimal(text: &str) -> Option<(bool, String, i64)> {
    let (negative, text) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i64>().ok()?),
        None => (text, 0),
    };
    let (whole, part) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{part}");
    let trimmed = digits.trim_end_matches('0');
    let zeros = i64::try_from(digits.len() - trimmed.len()).ok()?;
    let trimmed = trimmed.trim_start_matches('0');
    if trimmed.is_empty() {
        return Some((false, String::new(), 0));
    }
    let power = exponent.checked_sub(i64::try_from(part.len()).ok()?)?.checked_add(zeros)?;
    Some((negative, trimmed.to_owned(), power))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> String {
        parse(text.as_bytes()).map_or_else(|error| error.to_string(), |value| value.to_string())
    }

    #[test]
    fn what_parsers_could_read_differently_is_refused() {
        let deep = |levels| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        for (text, expected) in [
            (r#"{"a": 1, "b": [true, null, "xé"]}"#, r#"{"a":1,"b":[true,null,"xé"]}"#),
            (r#"{"a": 1, "a": 1}"#, "the object at byte 0 has the same name twice"),
            (r#"[{"x": {"a": 1, "\u0061": 2}}]"#, "the object at byte 7 has the same name twice"),
            (r#""\ud83d\ude00""#, "\"😀\""),
            (r#""\ud83d""#, "it is not JSON at byte 7"),
            (r#""\ude00""#, "it is not JSON at byte 7"),
            ("\u{feff}{}", "it is not JSON at byte 0"),
            ("{} {}", "it is not JSON at byte 3"),
            ("", "it is not JSON at byte 0"),
            ("[1,]", "it is not JSON at byte 3"),
            (r#"{"a":1,}"#, "it is not JSON at byte 7"),
            ("{a:1}", "it is not JSON at byte 1"),
            ("// x\n1", "it is not JSON at byte 0"),
            ("\"a\nb\"", "it is not JSON at byte 2"),
            ("01", "it is not JSON at byte 1"),
            ("+1", "it is not JSON at byte 0"),
            ("1.", "it is not JSON at byte 2"),
            ("NaN", "it is not JSON at byte 0"),
            // What is printed is rounded, what is kept is not.
            ("18446744073709551616", "1.8446744073709552e+19"),
            ("0.1", "0.1"),
            ("1.50", "1.5"),
            ("2.5e3", "2500"),
            ("0.1000000000000000055511151231257827", "the number at byte 0 cannot be kept without rounding"),
            ("1e400", "the number at byte 0 cannot be kept without rounding"),
            ("1e-400", "the number at byte 0 cannot be kept without rounding"),
            ("-0.0", "-0"),
        ] {
            assert_eq!(read(text).replace(".0", ""), expected.replace(".0", ""), "{text}");
        }
        assert!(parse(deep(DEPTH_MAX).as_bytes()).is_ok());
        assert_eq!(parse(deep(DEPTH_MAX + 1).as_bytes()), Err(JsonError::TooDeep(DEPTH_MAX)));
        assert_eq!(parse(b"\"\xff\""), Err(JsonError::NotUtf8));
    }

    #[test]
    fn numbers_are_equal_exactly_if_they_were_written_as_equals() {
        for (left, right, equal) in [
            ("9007199254740993", "9007199254740992", false),
            ("18446744073709551617", "18446744073709551616", false),
            ("1e2", "100", true),
            ("0.10", "0.1", true),
            ("9007199254740993.0", "9007199254740992", false),
        ] {
            let pair = (parse(left.as_bytes()), parse(right.as_bytes()));
            assert_eq!(matches!(&pair, (Ok(left), Ok(right)) if left == right), equal, "{left} and {right}: {pair:?}");
        }
    }

    fn any_json() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<i64>().prop_map(Into::into),
            any::<f64>().prop_filter("finite", |f| f.is_finite()).prop_map(Into::into),
            ".{0,12}".prop_map(Into::into),
        ];
        leaf.prop_recursive(5, 40, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Into::into),
                prop::collection::btree_map(".{0,6}", inner, 0..6)
                    .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_serde_writes_is_read_as_it_was(json in any_json()) {
            let text = json.to_string();
            prop_assert_eq!(parse(text.as_bytes()), Ok(Value::from(json)), "{}", text);
        }

        #[test]
        fn what_serde_refuses_is_refused(text in r#"[\[\]{}",:0-9.eE+\-\\utrfalsn/ \n]{0,24}"#) {
            if parse(text.as_bytes()).is_ok() {
                prop_assert!(serde_json::from_str::<serde_json::Value>(&text).is_ok(), "{}", text);
            }
        }

        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = parse(&bytes);
        }
    }
}
