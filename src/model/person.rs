//! People, as opposed to the agents that act for them.

use std::fmt;
use std::str::FromStr;

use serde::Deserialize;
use serde::Serialize;

/// The stable name of one human being, such as `ana@example.com`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct PersonId(String); // Invariant: 1 to 128 bytes of printable ASCII without spaces.

/// A text that cannot name a person.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` cannot name a person; use 1 to 128 printable ASCII characters without spaces, such as `ana@example.com`"
)]
pub struct ParsePersonIdError(String);

impl PersonId {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for PersonId {
    type Err = ParsePersonIdError;

    fn from_str(text: &str) -> Result<Self, ParsePersonIdError> {
        let valid = (1..=128).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic());
        if valid { Ok(Self(text.to_owned())) } else { Err(ParsePersonIdError(text.escape_debug().take(80).collect())) }
    }
}

impl TryFrom<String> for PersonId {
    type Error = ParsePersonIdError;

    fn try_from(text: String) -> Result<Self, ParsePersonIdError> {
        text.parse()
    }
}

impl From<PersonId> for String {
    fn from(person: PersonId) -> String {
        person.0
    }
}

impl fmt::Display for PersonId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for PersonId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
