//! Where in a JSON text the values are that a pointer leads to. The text itself stays as it is.

use serde::de::IgnoredAny;

/// True if `text` is one JSON value.
pub(super) fn is_json(text: &str) -> bool {
    serde_json::from_str::<IgnoredAny>(text).is_ok()
}

/// The spans of all values that `tokens` lead to in `text`, which is JSON. A name that comes twice
/// in one object is found twice; `*` stands for every member.
pub(super) fn find(text: &str, tokens: &[String]) -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    let mut scan = Scan { text, bytes: text.as_bytes(), at: 0 };
    scan.value(tokens, &mut found);
    found
}

struct Scan<'t> {
    text: &'t str,
    bytes: &'t [u8],
    at: usize,
}

impl Scan<'_> {
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    /// Goes over one value; as deep as there are tokens, and no deeper.
    fn value(&mut self, tokens: &[String], found: &mut Vec<(usize, usize)>) {
        self.space();
        let Some((token, rest)) = tokens.split_first() else {
            let start = self.at;
            self.skip();
            return found.push((start, self.at));
        };
        match self.peek() {
            Some(b'{') => self.members(b'}', |scan, _| {
                let start = scan.at;
                scan.string();
                let name = scan.text.get(start..scan.at).and_then(|name| serde_json::from_str::<String>(name).ok());
                scan.space();
                scan.at += 1; // The colon.
                // A name that cannot be read may be the one that is meant.
                scan.member(token == "*" || name.is_none_or(|name| name == *token), rest, found);
            }),
            Some(b'[') => self.members(b']', |scan, index| {
                scan.member(token == "*" || *token == index.to_string(), rest, found);
            }),
            Some(_) | None => self.skip(),
        }
    }

    fn member(&mut self, is_meant: bool, rest: &[String], found: &mut Vec<(usize, usize)>) {
        self.space();
        if is_meant { self.value(rest, found) } else { self.skip() }
    }

    /// Goes over an object or an array, member by member.
    fn members(&mut self, end: u8, mut member: impl FnMut(&mut Self, usize)) {
        self.at += 1;
        for index in 0.. {
            self.space();
            match self.peek() {
                None => return,
                Some(byte) if byte == end => break,
                Some(b',') => self.at += 1,
                Some(_) => {}
            }
            self.space();
            member(self, index);
        }
        self.at += 1;
    }

    fn string(&mut self) {
        self.at += 1;
        while let Some(byte) = self.peek() {
            self.at += 1;
            match byte {
                b'"' => return,
                b'\\' => self.at += 1,
                _ => {}
            }
        }
    }

    /// Goes over one value without looking into it.
    fn skip(&mut self) {
        let mut depth = 0usize;
        loop {
            self.space();
            match self.peek() {
                None => return,
                Some(b'"') => self.string(),
                Some(b'{' | b'[') => {
                    depth += 1;
                    self.at += 1;
                    continue;
                }
                Some(b'}' | b']') => {
                    depth = depth.saturating_sub(1);
                    self.at += 1;
                }
                Some(b',' | b':') => self.at += 1,
                Some(_) => {
                    while self.peek().is_some_and(|byte| !b" \t\n\r,:]}".contains(&byte)) {
                        self.at += 1;
                    }
                }
            }
            if depth == 0 {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;
    use serde_json::json;

    use super::*;

    fn values(text: &str, pointer: &str) -> Vec<String> {
        assert!(is_json(text), "{text}");
        let tokens: Vec<String> = pointer.split('/').skip(1).map(str::to_owned).collect();
        find(text, &tokens).into_iter().map(|(start, end)| text[start..end].to_owned()).collect()
    }

    #[test]
    fn the_values_that_a_pointer_leads_to_are_found_wherever_they_are() {
        let text = r#" { "a" : [ 1, {"b":"x,]}\"", "\u0062":{"c":[ ]}} , null], "": true, "a":-2.5e3,"0":{"*":7} } "#;
        for (pointer, expected) in [
            ("/a", &[r#"[ 1, {"b":"x,]}\"", "\u0062":{"c":[ ]}} , null]"#, "-2.5e3"][..]),
            ("/a/0", &["1"]),
            ("/a/1/b", &[r#""x,]}\"""#, r#"{"c":[ ]}"#]),
            ("/a/1/b/c", &["[ ]"]),
            ("/a/2", &["null"]),
            ("/a/3", &[]),
            ("/a/00", &[]),
            ("/a/*/b/c", &["[ ]"]),
            ("/", &["true"]),
            ("/0/*", &["7"]),
            ("/*/1", &[r#"{"b":"x,]}\"", "\u0062":{"c":[ ]}}"#]),
            ("/b", &[]),
            ("/a/0/b", &[]),
        ] {
            assert_eq!(values(text, pointer), expected, "{pointer}");
        }
        assert_eq!(values("5", "/a"), [""; 0]);
        assert_eq!(values("[]", "/0"), [""; 0]);
        assert_eq!(values("{}", "/*"), [""; 0]);
    }

    fn json_values() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<i32>().prop_map(Value::from),
            "[a-c\\\\\"{}\\[\\],: ]{0,6}".prop_map(Value::from)
        ];
        leaf.prop_recursive(3, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map("[abé\\\\\"]{0,2}", inner, 0..4).prop_map(|map| json!(map)),
            ]
        })
    }

    proptest! {
        /// Against the JSON pointers of `serde_json`.
        #[test]
        fn a_pointer_finds_what_another_reader_finds(
            value in json_values(),
            tokens in prop::collection::vec("[abé0-3\\\\\"]{0,2}", 1..4),
            pretty in any::<bool>(),
        ) {
            let text = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) }.unwrap();
            let pointer: String = tokens.iter().map(|token| format!("/{token}")).collect();
            let found = find(&text, &tokens);
            let found: Vec<Value> =
                found.into_iter().map(|(start, end)| serde_json::from_str(&text[start..end]).unwrap()).collect();
            prop_assert_eq!(found, value.pointer(&pointer).cloned().into_iter().collect::<Vec<_>>());
        }
    }
}
