//! Names that the operator gives to things.

use std::fmt;
use std::str::FromStr;

use serde::Deserialize;
use serde::Serialize;

use super::text::shown;
use super::text::written_as_text;

/// The name of an upstream, principal, group or credential: 1 to 64 letters, digits, `-`, `_`
/// and `.`, beginning with a letter or digit. Names end up in policies, records and metrics.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(into = "String", try_from = "String")]
#[schemars(extend("pattern" = "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"))]
pub struct Name(String); // Invariant: as said above.

/// A text that cannot be a name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` cannot be a name; use 1 to 64 letters, digits, `-`, `_` and `.`, beginning with a letter or digit")]
pub struct ParseNameError(String);

impl Name {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Name {
    type Err = ParseNameError;

    fn from_str(text: &str) -> Result<Self, ParseNameError> {
        let valid = (1..=64).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
            && text.bytes().next().is_some_and(|first| first.is_ascii_alphanumeric());
        if valid { Ok(Self(text.to_owned())) } else { Err(ParseNameError(shown(text))) }
    }
}

written_as_text!(Name, ParseNameError);

impl std::borrow::Borrow<str> for Name {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_short_and_plain() {
        for name in ["a", "deploy-bot", "v1.2_x", "9", &"x".repeat(64)] {
            assert!(name.parse::<Name>().is_ok(), "{name}");
        }
        for name in ["", "-a", ".a", "a b", "a/b", "ä", "a\u{202e}b", &"x".repeat(65)] {
            assert!(name.parse::<Name>().is_err(), "{name}");
        }
    }
}
