//! Text that an agent may have written, made harmless for a terminal.
//!
//! An agent that could move the cursor, reverse a line or hide a word would decide what its
//! reviewer sees. So nothing is printed that a reader cannot see: every such character is shown
//! as its number, and nothing is left out.

use std::borrow::Cow;
use std::fmt::Write;

/// `text` on one line: whatever cannot be seen, or would start a new line, is shown as `\u{…}`.
pub(crate) fn one_line(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_hidden) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for char in text.chars() {
        match char {
            '\n' => shown.push_str("\\n"),
            '\r' => shown.push_str("\\r"),
            '\t' => shown.push_str("\\t"),
            char if is_hidden(char) => write!(shown, "\\u{{{:x}}}", u32::from(char)).expect("a string takes all"),
            char => shown.push(char),
        }
    }
    Cow::Owned(shown)
}

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

/// Whether a terminal would not show `char` as something of its own, or would obey it: controls,
/// marks of direction, characters without width, separators of lines, fillers, tags.
pub(super) fn is_hidden(char: char) -> bool {
    char.is_control()
        || matches!(char,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{2800}' | '\u{3164}'
            | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
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
