//! References to files, written `file:PATH`.

use std::fmt;
use std::path::Path;
use std::path::PathBuf;
use std::str::FromStr;

use serde::Deserialize;
use serde::Serialize;

use super::text::written_as_text;

/// A file, written `file:PATH`. A relative path is relative to the configuration file.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(into = "String", try_from = "String")]
#[schemars(extend("pattern" = "^file:.+$"))]
pub struct FileRef(PathBuf); // Invariant: not empty.

/// A text that is no such reference.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseFileRefError {
    /// Anything else. It may be a key that somebody pasted here, so it is not repeated.
    #[error("this is written as a reference, `file:PATH`; write `file:` before the path")]
    Form,
    /// `file:` alone.
    #[error("`file:` needs the path of a file")]
    NoPath,
}

impl FileRef {
    /// The path; absolute or relative to the working directory once the configuration is read.
    pub fn path(&self) -> &Path {
        &self.0
    }

    pub(super) fn resolve(&mut self, base: &Path) {
        self.0 = base.join(&self.0);
    }
}

impl FromStr for FileRef {
    type Err = ParseFileRefError;

    fn from_str(text: &str) -> Result<Self, ParseFileRefError> {
        match text.strip_prefix("file:") {
            Some("") => Err(ParseFileRefError::NoPath),
            Some(path) => Ok(Self(path.into())),
            None => Err(ParseFileRefError::Form),
        }
    }
}

written_as_text!(FileRef, ParseFileRefError);

impl fmt::Display for FileRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "file:{}", self.0.display())
    }
}

impl fmt::Debug for FileRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_says_that_it_is_a_file() {
        let mut reference: FileRef = "file:keys/a".parse().unwrap();
        reference.resolve(Path::new("/etc/holdpoint"));
        assert_eq!(reference.path(), Path::new("/etc/holdpoint/keys/a"));
        for (text, expected) in [
            ("tls.crt", "write `file:` before the path"),
            ("file:", "needs the path"),
            ("-----BEGIN", "a reference, `file:PATH`"),
        ] {
            let error = text.parse::<FileRef>().unwrap_err().to_string();
            assert!(error.contains(expected) && !error.contains("BEGIN"), "{error}");
        }
    }
}
