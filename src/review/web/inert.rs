//! Text on a page that cannot do anything, whoever wrote it.
//!
//! [`Inert`] is the only form in which templates take text that is not their own. It writes its
//! own HTML: everything that means something to a browser is escaped, everything that a reader
//! would not see is shown as its number, and nothing is left out, unless a list asked for less
//! ([`Inert::short`]), which shows that and how much is missing. What it writes has no quotes, so that
//! it could not end an attribute either.

use std::fmt;

use askama::filters::HtmlSafe;

use crate::model::visible::is_hidden;

/// Text from a record, a request or a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Inert {
    text: String,
    form: Form,
    /// Characters that were left out at the end.
    missing: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// Line ends stay what they are.
    Lines,
    /// Line ends are shown.
    OneLine,
    /// So is everything that is not ASCII, since other letters can pass for those of a host's name.
    Host,
}

impl Inert {
    /// All of `text`, on one line.
    pub(super) fn line(text: impl Into<String>) -> Self {
        Self { text: text.into(), form: Form::OneLine, missing: 0 }
    }

    /// All of `text`, in lines of its own.
    pub(super) fn lines(text: impl Into<String>) -> Self {
        Self { text: text.into(), form: Form::Lines, missing: 0 }
    }

    /// The name of a host. Names with other letters than those of ASCII arrive as Punycode.
    pub(super) fn host(text: impl Into<String>) -> Self {
        Self { text: text.into(), form: Form::Host, missing: 0 }
    }

    /// At most `max` characters of `text`, on one line.
    pub(super) fn short(text: &str, max: usize) -> Self {
        let shown: String = text.chars().take(max).collect();
        let missing = text.chars().count().saturating_sub(max);
        Self { text: shown, form: Form::OneLine, missing }
    }

    /// The text as it was given.
    pub(super) fn as_str(&self) -> &str {
        &self.text
    }

    fn is_shown_as_number(&self, char: char) -> bool {
        match self.form {
            Form::Lines => char != '\n' && char != '\t' && is_hidden(char),
            Form::OneLine => is_hidden(char),
            Form::Host => is_hidden(char) || !char.is_ascii(),
        }
    }
}

impl fmt::Display for Inert {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for char in self.text.chars() {
            match char {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&#34;")?,
                '\'' => f.write_str("&#39;")?,
                '`' => f.write_str("&#96;")?,
                char if self.is_shown_as_number(char) => {
                    write!(f, "<b class=hid>{}</b>", name(char))?;
                }
                char => write!(f, "{char}")?,
            }
        }
        if self.missing > 0 {
            write!(f, "<b class=cut>… {} more</b>", self.missing)?;
        }
        Ok(())
    }
}

impl HtmlSafe for Inert {}

/// What stands in the place of a character that cannot be seen.
fn name(char: char) -> String {
    match char {
        '\n' => "\\n".to_owned(),
        '\r' => "\\r".to_owned(),
        '\t' => "\\t".to_owned(),
        char => format!("U+{:04X}", u32::from(char)),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn markup_and_what_cannot_be_seen_are_shown_as_they_are() {
        let cases = [
            (Inert::line("<img src=x onerror=\"alert(1)\">"), "&lt;img src=x onerror=&#34;alert(1)&#34;&gt;"),
            (Inert::line("' ` &amp;"), "&#39; &#96; &amp;amp;"),
            (Inert::line("pay\u{202e}lap"), "pay<b class=hid>U+202E</b>lap"),
            (Inert::line("a\nb"), "a<b class=hid>\\n</b>b"),
            (Inert::lines("a\nb\r\u{0}"), "a\nb<b class=hid>\\r</b><b class=hid>U+0000</b>"),
            (Inert::line("漢字 ü 🙂"), "漢字 ü 🙂"),
            (Inert::host("pаypal.com:443"), "p<b class=hid>U+0430</b>ypal.com:443"),
            (Inert::host("xn--pypal-4ve.com"), "xn--pypal-4ve.com"),
            (Inert::short("abcdef", 4), "abcd<b class=cut>… 2 more</b>"),
            (Inert::short("abcd", 4), "abcd"),
        ];
        for (inert, expected) in cases {
            assert_eq!(inert.to_string(), expected);
        }
    }

    proptest! {
        #[test]
        fn no_text_has_a_tag_or_ends_an_attribute(text in any::<String>()) {
            for inert in [Inert::line(text.clone()), Inert::lines(text.clone()), Inert::host(text.clone())] {
                let html = inert.to_string();
                prop_assert!(!html.contains(['"', '\'', '`']), "{}", html);
                let plain = html.replace("<b class=hid>", "").replace("</b>", "");
                prop_assert!(!plain.contains(['<', '>']), "{}", html);
                prop_assert!(!html.chars().any(|char| char != '\n' && char != '\t' && is_hidden(char)), "{}", html);
            }
        }
    }
}
