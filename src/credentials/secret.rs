//! References to secrets, which are all that a configuration may hold of them.

use std::env::VarError;
use std::ffi::OsString;
use std::fmt;
use std::fs::File;
use std::io;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::path::PathBuf;
use std::str::FromStr;

use secrecy::SecretString;
use serde::Deserialize;
use serde::Serialize;
use zeroize::Zeroize;
use zeroize::Zeroizing;

use super::error::SecretError;

/// The most bytes that a secret can have. The longest in use, tokens full of claims, stay below
/// 16 KiB; a longer file is a mistake.
pub const SECRET_BYTES_MAX: usize = 64 * 1024;

/// Where a secret is: `file:PATH` or `env:NAME`. The secret itself never stands in the
/// configuration. Of a file, one line break at its end does not belong to the secret.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(into = "String", try_from = "String")]
#[schemars(extend("pattern" = "^(file:.+|env:[A-Za-z_][A-Za-z0-9_]*)$"))]
pub enum SecretRef {
    /// The whole content of this file.
    File(PathBuf),
    /// The value of this environment variable.
    Env(String),
}

/// A text that is no reference. It may be the secret itself, so it is not repeated.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseSecretRefError {
    /// Neither of the two forms.
    #[error("a secret is written as a reference, `file:PATH` or `env:NAME`, and never stands here itself")]
    Form,
    /// `file:` without a path.
    #[error("`file:` needs the path of the file that holds the secret")]
    NoPath,
    /// `env:` without a usable name.
    #[error("`env:` needs the name of an environment variable: letters, digits and `_`, not beginning with a digit")]
    BadVariable,
}

impl SecretRef {
    /// Reads the secret now.
    ///
    /// # Errors
    /// [`SecretError`] if there is none, or it is empty, too long, or not text.
    pub fn read(&self) -> Result<SecretString, SecretError> {
        self.read_with(environment)
    }

    /// Reads the secret now, where `variable` knows the environment.
    pub(super) fn read_with(&self, variable: impl Fn(&str) -> Option<OsString>) -> Result<SecretString, SecretError> {
        let mut bytes = match self {
            Self::File(path) => read_file(path, self)?,
            Self::Env(name) => {
                let value = variable(name).ok_or_else(|| SecretError::Unset(name.clone()))?;
                Zeroizing::new(value.into_encoded_bytes())
            }
        };
        if bytes.len() > SECRET_BYTES_MAX {
            return Err(SecretError::TooLong(self.clone()));
        }
        if matches!(self, Self::File(_)) {
            trim_line_break(&mut bytes);
        }
        if bytes.is_empty() {
            return Err(SecretError::Empty(self.clone()));
        }
        match String::from_utf8(std::mem::take(&mut *bytes)) {
            Ok(text) => Ok(SecretString::from(text)),
            Err(error) => {
                error.into_bytes().zeroize();
                Err(SecretError::NotText(self.clone()))
            }
        }
    }

    /// The same reference, a relative path now relative to `base`.
    #[must_use]
    pub fn resolved(self, base: &Path) -> Self {
        match self {
            Self::File(path) => Self::File(base.join(path)),
            Self::Env(name) => Self::Env(name),
        }
    }

    /// Whether every user of this machine can read the secret, because of the mode of its file.
    pub fn world_readable(&self) -> bool {
        match self {
            Self::File(path) => path.metadata().is_ok_and(|file| file.permissions().mode() & 0o004 != 0),
            Self::Env(_) => false,
        }
    }

    /// Whether there is anything to read; says nothing about what.
    pub fn exists(&self) -> bool {
        match self {
            Self::File(path) => path.exists(),
            Self::Env(name) => environment(name).is_some(),
        }
    }
}

impl FromStr for SecretRef {
    type Err = ParseSecretRefError;

    fn from_str(text: &str) -> Result<Self, ParseSecretRefError> {
        if let Some(path) = text.strip_prefix("file:") {
            return if path.is_empty() { Err(ParseSecretRefError::NoPath) } else { Ok(Self::File(path.into())) };
        }
        let name = text.strip_prefix("env:").ok_or(ParseSecretRefError::Form)?;
        let valid = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
            && name.bytes().next().is_some_and(|first| !first.is_ascii_digit());
        if valid { Ok(Self::Env(name.to_owned())) } else { Err(ParseSecretRefError::BadVariable) }
    }
}

impl TryFrom<String> for SecretRef {
    type Error = ParseSecretRefError;

    fn try_from(text: String) -> Result<Self, ParseSecretRefError> {
        // If it was the secret itself, no copy of it stays behind.
        let text = Zeroizing::new(text);
        text.parse()
    }
}

impl From<SecretRef> for String {
    fn from(reference: SecretRef) -> String {
        reference.to_string()
    }
}

impl fmt::Display for SecretRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "file:{}", path.display()),
            Self::Env(name) => write!(f, "env:{name}"),
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "a secret is not a setting: the configuration names the variable, and nothing else is read from there"
)]
fn environment(name: &str) -> Option<OsString> {
    match std::env::var(name) {
        Ok(value) => Some(value.into()),
        Err(VarError::NotUnicode(value)) => Some(value),
        Err(VarError::NotPresent) => None,
    }
}

fn read_file(path: &Path, reference: &SecretRef) -> Result<Zeroizing<Vec<u8>>, SecretError> {
    let failed = |source: io::Error| SecretError::Read { path: path.to_owned(), source };
    // Asked before opening: opening a pipe nobody writes to would wait for ever.
    let metadata = path.metadata().map_err(failed)?;
    if !metadata.is_file() {
        return Err(SecretError::NotAFile(path.to_owned()));
    }
    if metadata.len() > SECRET_BYTES_MAX as u64 {
        return Err(SecretError::TooLong(reference.clone()));
    }
    // Room for all of it at once, so that no half of it stays behind where the buffer grew.
    let mut bytes = Zeroizing::new(Vec::with_capacity(SECRET_BYTES_MAX + 1));
    let file = File::open(path).map_err(failed)?;
    file.take(SECRET_BYTES_MAX as u64 + 1).read_to_end(&mut bytes).map_err(failed)?;
    Ok(bytes)
}

fn trim_line_break(bytes: &mut Vec<u8>) {
    if bytes.last() == Some(&b'\n') {
        bytes.pop();
        if bytes.last() == Some(&b'\r') {
            bytes.pop();
        }
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    #[test]
    fn a_reference_is_a_file_or_a_variable() {
        for text in ["file:keys/a", "file:/etc/a b", "env:A_1", "env:_x"] {
            assert_eq!(text.parse::<SecretRef>().unwrap().to_string(), text);
        }
        for (text, expected) in [
            ("sk-live-1", ParseSecretRefError::Form),
            ("", ParseSecretRefError::Form),
            ("ENV:A", ParseSecretRefError::Form),
            ("file:", ParseSecretRefError::NoPath),
            ("env:", ParseSecretRefError::BadVariable),
            ("env:1A", ParseSecretRefError::BadVariable),
            ("env:A-B", ParseSecretRefError::BadVariable),
            ("env:$A", ParseSecretRefError::BadVariable),
        ] {
            let error = text.parse::<SecretRef>().unwrap_err();
            assert_eq!(error, expected, "{text}");
            assert!(!text.contains("sk-live") || !error.to_string().contains(text), "{error}");
        }
    }

    fn read(content: &[u8]) -> String {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("secret");
        std::fs::write(&path, content).unwrap();
        match SecretRef::File(path).read() {
            Ok(secret) => format!("{:?}", secret.expose_secret()),
            Err(error) => error.to_string().replace(&directory.path().display().to_string(), "DIR"),
        }
    }

    #[test]
    fn one_line_break_at_the_end_is_not_part_of_the_secret() {
        for (content, expected) in [
            (&b"s3cret"[..], r#""s3cret""#),
            (b"s3cret\n", r#""s3cret""#),
            (b"s3cret\r\n", r#""s3cret""#),
            (b"s3cret\n\n", r#""s3cret\n""#),
            (b" s3cret ", r#"" s3cret ""#),
            (b"", "secret `file:DIR/secret` is empty"),
            (b"\n", "secret `file:DIR/secret` is empty"),
            (b"\xff\xfe", "secret `file:DIR/secret` is not UTF-8 text"),
            (&[b'a'; SECRET_BYTES_MAX + 1], "secret `file:DIR/secret` has more than 65536 bytes; is it the right one?"),
        ] {
            assert_eq!(read(content), expected);
        }
        assert_eq!(read(&[b'a'; SECRET_BYTES_MAX]).len(), SECRET_BYTES_MAX + 2);
    }

    #[test]
    fn a_directory_or_a_missing_file_holds_no_secret() {
        let directory = tempfile::tempdir().unwrap();
        let read = |path: &Path| SecretRef::File(path.to_owned()).read();
        assert!(matches!(read(directory.path()), Err(SecretError::NotAFile(_))));
        assert!(matches!(read(&directory.path().join("none")), Err(SecretError::Read { .. })));
    }

    #[test]
    fn a_variable_is_read_as_it_is() {
        let read = |value: Option<&str>| {
            let reference = SecretRef::Env("TOKEN".to_owned());
            let secret = reference.read_with(|name| (name == "TOKEN").then(|| value.map(OsString::from)).flatten());
            secret.map(|secret| secret.expose_secret().to_owned()).map_err(|error| error.to_string())
        };
        assert_eq!(read(Some("s3cret\n")).unwrap(), "s3cret\n");
        assert_eq!(read(Some("")).unwrap_err(), "secret `env:TOKEN` is empty");
        assert!(read(None).unwrap_err().starts_with("environment variable `TOKEN` is not set"));
    }

    #[test]
    fn a_file_that_everybody_can_read_is_noticed() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let reference = SecretRef::File(file.path().to_owned());
        for (mode, expected) in [(0o600, false), (0o640, false), (0o644, true)] {
            file.as_file().set_permissions(std::fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(reference.world_readable(), expected, "{mode:o}");
        }
    }
}
