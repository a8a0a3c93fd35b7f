//! Which part of a request is meant, as a JSON pointer below `input.request`.

use std::fmt;
use std::str::FromStr;

use serde::Deserialize;
use serde::Serialize;

/// Which part of a request is meant, as a JSON pointer (RFC 6901) into `input.request`:
/// `/body/card/number`, `/query/token`, `/headers/x-session`. `*` stands for every member.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct RequestPointer {
    part: RequestPart,
    tokens: Vec<String>, // Invariant: of a query or of headers, at most one.
}

/// The parts of a request that a pointer can lead into.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RequestPart {
    /// The body, where it is JSON or a form.
    Body,
    /// The query, by the names in it.
    Query,
    /// The header and trailer fields.
    Headers,
}

/// A text that is no such pointer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParsePointerError {
    /// It does not lead into a part that can be hidden.
    #[error("it must begin with `/body`, `/query` or `/headers`, such as `/body/card/number`")]
    Part,
    /// It goes on where there is nothing more.
    #[error("a query and headers have one name after them, such as `/query/token`")]
    Long,
    /// `~` without `0` or `1` after it.
    #[error("`~` is written `~0`, and `/` within a name `~1`")]
    Escape,
}

impl RequestPointer {
    /// The part that it leads into.
    pub fn part(&self) -> RequestPart {
        self.part
    }

    /// The names below that; none means all of it.
    pub fn tokens(&self) -> &[String] {
        &self.tokens
    }
}

impl RequestPart {
    const ALL: [Self; 3] = [Self::Body, Self::Query, Self::Headers];

    fn as_str(self) -> &'static str {
        match self {
            Self::Body => "body",
            Self::Query => "query",
            Self::Headers => "headers",
        }
    }
}

impl FromStr for RequestPointer {
    type Err = ParsePointerError;

    fn from_str(text: &str) -> Result<Self, ParsePointerError> {
        let mut tokens = text.strip_prefix('/').ok_or(ParsePointerError::Part)?.split('/');
        let first = tokens.next().unwrap_or_default();
        let part = RequestPart::ALL.into_iter().find(|part| part.as_str() == first).ok_or(ParsePointerError::Part)?;
        let tokens = tokens.map(unescape).collect::<Result<Vec<_>, _>>()?;
        match part {
            RequestPart::Query | RequestPart::Headers if tokens.len() > 1 => Err(ParsePointerError::Long),
            RequestPart::Body | RequestPart::Query | RequestPart::Headers => Ok(Self { part, tokens }),
        }
    }
}

fn unescape(token: &str) -> Result<String, ParsePointerError> {
    let mut text = String::new();
    let mut chars = token.chars();
    while let Some(next) = chars.next() {
        text.push(match next {
            '~' => match chars.next() {
                Some('0') => '~',
                Some('1') => '/',
                Some(_) | None => return Err(ParsePointerError::Escape),
            },
            other => other,
        });
    }
    Ok(text)
}

impl fmt::Display for RequestPointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "/{}", self.part.as_str())?;
        self.tokens.iter().try_for_each(|token| write!(f, "/{}", token.replace('~', "~0").replace('/', "~1")))
    }
}

impl TryFrom<String> for RequestPointer {
    type Error = ParsePointerError;

    fn try_from(text: String) -> Result<Self, ParsePointerError> {
        text.parse()
    }
}

impl From<RequestPointer> for String {
    fn from(pointer: RequestPointer) -> Self {
        pointer.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pointers_come_back_as_they_were_written_or_are_refused() {
        for (text, expected) in [
            ("/body", Ok(())),
            ("/body/card/number", Ok(())),
            ("/body/a~1b/~0/0/*/", Ok(())),
            ("/query/token", Ok(())),
            ("/headers", Ok(())),
            ("", Err(ParsePointerError::Part)),
            ("/", Err(ParsePointerError::Part)),
            ("body/a", Err(ParsePointerError::Part)),
            ("/card/number", Err(ParsePointerError::Part)),
            ("/path", Err(ParsePointerError::Part)),
            ("/query/a/0", Err(ParsePointerError::Long)),
            ("/body/~2", Err(ParsePointerError::Escape)),
            ("/body/~", Err(ParsePointerError::Escape)),
        ] {
            let pointer: Result<RequestPointer, _> = text.parse();
            assert_eq!(pointer.as_ref().map(|_| ()).map_err(Clone::clone), expected, "{text}");
            assert!(pointer.is_ok_and(|pointer| pointer.to_string() == text) || expected.is_err(), "{text}");
        }
    }
}
