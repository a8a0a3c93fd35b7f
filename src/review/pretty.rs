//! JSON laid out for people, without any of it left out.
//!
//! Reading it into values and printing those would drop the second of two fields of one name and
//! round long numbers, and a reviewer must see what will be sent. So only space between the
//! tokens is changed.

/// `text` with one field or element a line; `None` if it is no JSON.
pub fn json(text: &str) -> Option<String> {
    serde_json::from_str::<serde::de::IgnoredAny>(text).ok()?;
    let mut laid_out = String::with_capacity(text.len() * 2);
    let mut depth = 0_usize;
    let mut in_string = false;
    let mut escaped = false;
    let mut chars = text.chars().peekable();
    while let Some(char) = chars.next() {
        if in_string {
            laid_out.push(char);
            in_string = escaped || char != '"';
            escaped = !escaped && char == '\\';
            continue;
        }
        match char {
            ' ' | '\t' | '\r' | '\n' => {}
            '"' => {
                laid_out.push(char);
                in_string = true;
            }
            '{' | '[' => {
                laid_out.push(char);
                while chars.next_if(|next| matches!(next, ' ' | '\t' | '\r' | '\n')).is_some() {}
                match chars.next_if(|next| matches!(next, '}' | ']')) {
                    Some(close) => laid_out.push(close),
                    None => {
                        depth += 1;
                        new_line(&mut laid_out, depth);
                    }
                }
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                new_line(&mut laid_out, depth);
                laid_out.push(char);
            }
            ',' => {
                laid_out.push(char);
                new_line(&mut laid_out, depth);
            }
            ':' => laid_out.push_str(": "),
            other => laid_out.push(other),
        }
    }
    Some(laid_out)
}

fn new_line(text: &mut String, depth: usize) {
    text.push('\n');
    // Deep nesting is not indented for ever: it would make a screen of spaces out of a few bytes.
    text.extend(std::iter::repeat_n("  ", depth.min(DEPTH_SHOWN_MAX)));
}

const DEPTH_SHOWN_MAX: usize = 20;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn nothing_is_left_out() {
        let cases = [
            ("{}", Some("{}")),
            ("[ ]", Some("[]")),
            ("{\"a\":1,\"a\":2}", Some("{\n  \"a\": 1,\n  \"a\": 2\n}")),
            ("[1.00,12345678901234567890123]", Some("[\n  1.00,\n  12345678901234567890123\n]")),
            ("{\"t\":\"a, {b}: \\\" [c]\\\\\"}", Some("{\n  \"t\": \"a, {b}: \\\" [c]\\\\\"\n}")),
            (
                "{\"o\":{\"l\":[true,null]}}",
                Some("{\n  \"o\": {\n    \"l\": [\n      true,\n      null\n    ]\n  }\n}"),
            ),
            ("{\"a\":", None),
            ("plain", None),
            ("", None),
        ];
        for (text, expected) in cases {
            assert_eq!(json(text).as_deref(), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn only_space_outside_of_strings_changes(keys in proptest::collection::vec(any::<String>(), 0..4)) {
            let value = serde_json::json!({ "list": keys, "nested": { "of": keys.clone() } });
            let laid_out = json(&value.to_string()).unwrap();
            prop_assert_eq!(serde_json::from_str::<serde_json::Value>(&laid_out).unwrap(), value);
        }
    }
}
