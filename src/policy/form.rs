//! `application/x-www-form-urlencoded`, in queries and bodies (WHATWG URL §5.1).

use std::collections::BTreeMap;

use percent_encoding::percent_decode_str;
use regorus::Value;

/// Reads a form as an object of arrays, because a name may come several times. `None` if an escape
/// is broken or the text is not UTF-8: some servers would read it anyway, each in its own way.
pub(super) fn parse(text: &str) -> Option<Value> {
    let mut fields: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for pair in text.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        fields.entry(decode(name)?).or_default().push(Value::from(decode(value)?));
    }
    let fields: BTreeMap<Value, Value> =
        fields.into_iter().map(|(name, values)| (Value::from(name), Value::from(values))).collect();
    Some(Value::from(fields))
}

fn decode(text: &str) -> Option<String> {
    percent_decode(&text.replace('+', " "))
}

/// Decodes percent-escapes; `None` if one is broken or the result is not UTF-8.
pub(super) fn percent_decode(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    let broken = bytes.iter().enumerate().any(|(at, byte)| {
        let digit = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_hexdigit);
        *byte == b'%' && !(digit(at + 1) && digit(at + 2))
    });
    if broken {
        return None;
    }
    percent_decode_str(text).decode_utf8().ok().map(std::borrow::Cow::into_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_are_read_as_browsers_write_them_or_not_at_all() {
        for (text, expected) in [
            ("a=1&b=2&a=3", Some(r#"{"a":["1","3"],"b":["2"]}"#)),
            ("a+b=c%20d%26", Some(r#"{"a b":["c d&"]}"#)),
            ("flag&&empty=", Some(r#"{"empty":[""],"flag":[""]}"#)),
            ("a=b=c;d", Some(r#"{"a":["b=c;d"]}"#)),
            ("", Some("{}")),
            ("a=%", None),
            ("a=%4", None),
            ("a=%zz", None),
            ("a=%ff", None),
        ] {
            assert_eq!(parse(text).map(|form| form.to_string()).as_deref(), expected, "{text}");
        }
    }
}
