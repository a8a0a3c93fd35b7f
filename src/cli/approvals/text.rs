//! Text that an agent may have written, made harmless for a terminal.
//!
//! An agent that could move the cursor, reverse a line or hide a word would decide what its
//! reviewer sees. So nothing is printed that a reader cannot see: every such character is shown
//! as its number, and nothing is left out.

use std::borrow::Cow;
use std::fmt::Write;

pub(super) use crate::model::visible::is_hidden;
pub(crate) use crate::model::visible::one_line;

/// The lines of `text`, each as [`one_line`] shows it.
pub(crate) fn lines(text: &str) -> impl Iterator<Item = Cow<'_, str>> {
    text.split('\n').map(one_line)
}

/// JSON whose strings hold nothing that cannot be seen: the same value, more of it escaped.
pub(super) fn json(text: &str) -> Cow<'_, str> {
    escape(text, |escaped, char| {
        let mut units = [0; 2];
        char.encode_utf16(&mut units).iter().for_each(|unit| push(escaped, format_args!("\\u{unit:04x}")));
    })
}

/// The same for YAML, whose strings must be in double quotes where they hold such characters.
pub(super) fn yaml(text: &str) -> Cow<'_, str> {
    escape(text, |escaped, char| push(escaped, format_args!("\\U{:08X}", u32::from(char))))
}

fn push(text: &mut String, part: std::fmt::Arguments<'_>) {
    text.write_fmt(part).expect("a string takes all");
}

fn escape(text: &str, write: impl Fn(&mut String, char)) -> Cow<'_, str> {
    let hidden = |char: char| char != '\n' && is_hidden(char);
    if !text.chars().any(hidden) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 16);
    for char in text.chars() {
        if hidden(char) { write(&mut escaped, char) } else { escaped.push(char) }
    }
    Cow::Owned(escaped)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn nothing_that_cannot_be_seen_reaches_the_terminal() {
        let cases = [
            ("quarterly report", "quarterly report"),
            ("Größe: 5 µm, 漢字, 🙂", "Größe: 5 µm, 漢字, 🙂"),
            // A line that clears itself and says something else.
            ("bad\u{1b}[2K\rgood", "bad\\u{1b}[2K\\rgood"),
            // Hyperlinks and the clipboard (OSC 8, OSC 52).
            ("\u{1b}]8;;https://evil.example\u{7}docs", "\\u{1b}]8;;https://evil.example\\u{7}docs"),
            ("\u{1b}]52;c;ZXZpbA==\u{1b}\\", "\\u{1b}]52;c;ZXZpbA==\\u{1b}\\"),
            // The same introduced by one C1 byte.
            ("\u{9b}31mred\u{85}", "\\u{9b}31mred\\u{85}"),
            ("drop \u{202e}elbat\u{202c}", "drop \\u{202e}elbat\\u{202c}"),
            ("a\u{2066}b\u{2069}\u{61c}", "a\\u{2066}b\\u{2069}\\u{61c}"),
            ("pay\u{200b}pal\u{200d}\u{feff}", "pay\\u{200b}pal\\u{200d}\\u{feff}"),
            ("two\nlines\tand\u{2028}more\u{0}", "two\\nlines\\tand\\u{2028}more\\u{0}"),
            // Tags that only a machine reads.
            ("hi\u{e0041}\u{e007f}", "hi\\u{e0041}\\u{e007f}"),
            ("\u{7f}\u{8}", "\\u{7f}\\u{8}"),
        ];
        for (text, expected) in cases {
            assert_eq!(one_line(text), expected);
        }
    }

    proptest! {
        #[test]
        fn whatever_is_printed_can_be_seen(text in any::<String>()) {
            prop_assert!(!one_line(&text).chars().any(is_hidden));
            prop_assert!(lines(&text).all(|line| !line.chars().any(is_hidden)));
            prop_assert_eq!(lines(&text).count(), text.split('\n').count());
        }

        #[test]
        fn json_keeps_its_meaning(text in any::<String>()) {
            let plain = serde_json::to_string(&text).unwrap();
            let shown = json(&plain);
            prop_assert!(!shown.chars().any(is_hidden));
            prop_assert_eq!(serde_json::from_str::<String>(&shown).unwrap(), text);
        }
    }
}
