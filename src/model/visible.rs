//! Text that an agent may have written, made harmless: nothing in it that a reader cannot see.
//!
//! An agent that could move the cursor, reverse a line or hide a word would decide what its
//! reviewer sees. So every such character is shown as its number, and nothing is left out. The
//! surfaces differ in how they show it; which characters they are stands here.

use std::borrow::Cow;
use std::fmt::Write;

/// Whether a reader would not see `char` as something of its own, or a terminal would obey it:
/// controls, marks of direction, characters without width, blanks that pass for a space, separators of lines, fillers, tags.
pub fn is_hidden(char: char) -> bool {
    char.is_control()
        || matches!(char,
            '\u{a0}' | '\u{1680}' | '\u{2000}'..='\u{200a}' | '\u{202f}' | '\u{205f}' | '\u{3000}' | '\u{1d159}'
            | '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{2800}' | '\u{3164}'
            | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

/// `text` on one line: whatever cannot be seen, or would start a new line, is shown as `\u{…}`.
pub fn one_line(text: &str) -> Cow<'_, str> {
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
