//! Where a session is between two commands: one file, which only its owner can read.

use std::collections::BTreeMap;
use std::fs::DirBuilder;
use std::fs::File;
use std::io;
use std::io::Read;
use std::io::Write;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::path::PathBuf;

use secrecy::SecretString;
use serde::Deserialize;
use serde::Serialize;

use crate::model::Timestamp;

/// The sessions of one user of this machine, each with one server.
#[derive(Clone, Debug)]
pub(in crate::cli) struct SessionFile(PathBuf);

/// One of them.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Kept {
    pub(super) token: String,
    pub(super) person: String,
    pub(super) expires: Timestamp,
}

/// Why the file cannot be used.
#[derive(Debug, thiserror::Error)]
pub(in crate::cli) enum SessionFileError {
    #[error("`{path}`: {source}")]
    Io { path: String, source: io::Error },
    #[error("others can read `{path}`, so what is in it may be known; `chmod 600 {path}`, then `holdpoint logout`")]
    Readable { path: String },
    #[error("`{path}` cannot be read as the file of `holdpoint login`; remove it and sign in again: {source}")]
    Form { path: String, source: serde_json::Error },
}

impl SessionFile {
    /// The file in the user's configuration folder, by the XDG Base Directory Specification.
    pub(in crate::cli) fn of_user() -> Option<Self> {
        let folder = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let config = folder("XDG_CONFIG_HOME").or_else(|| folder("HOME").map(|home| home.join(".config")))?;
        Some(Self(config.join("holdpoint").join("sessions.json")))
    }

    /// Another file.
    #[cfg(test)]
    pub(in crate::cli) fn at(path: PathBuf) -> Self {
        Self(path)
    }

    #[cfg(test)]
    fn path(&self) -> &Path {
        &self.0
    }

    /// The token of the session with `server`, unless it is over at `now`.
    pub(in crate::cli) fn token(&self, server: &str, now: Timestamp) -> Result<Option<SecretString>, SessionFileError> {
        let kept = self.read()?.remove(&name(server));
        Ok(kept.filter(|kept| now < kept.expires).map(|kept| SecretString::from(kept.token)))
    }

    /// Keeps a session with `server` in the place of the one before.
    pub(super) fn put(&self, server: &str, kept: Kept) -> Result<(), SessionFileError> {
        let mut all = self.read()?;
        all.insert(name(server), kept);
        self.write(&all)
    }

    /// Forgets the session with `server`.
    pub(super) fn forget(&self, server: &str) -> Result<(), SessionFileError> {
        let mut all = self.read()?;
        if all.remove(&name(server)).is_none() {
            return Ok(());
        }
        self.write(&all)
    }

    fn read(&self) -> Result<BTreeMap<String, Kept>, SessionFileError> {
        let file = match File::open(&self.0) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
            Err(error) => return Err(self.io(error)),
        };
        let mode = file.metadata().map_err(|error| self.io(error))?.permissions().mode();
        if mode & 0o077 != 0 {
            return Err(SessionFileError::Readable { path: self.0.display().to_string() });
        }
        let mut text = String::new();
        file.take(BYTES_MAX).read_to_string(&mut text).map_err(|error| self.io(error))?;
        serde_json::from_str(&text)
            .map_err(|source| SessionFileError::Form { path: self.0.display().to_string(), source })
    }

    /// The new file takes the place of the old one whole, and nobody else can read it at any time.
    fn write(&self, all: &BTreeMap<String, Kept>) -> Result<(), SessionFileError> {
        let folder = self.0.parent().unwrap_or(Path::new("."));
        let write = || {
            DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
            // Made with mode 0600.
            let mut file = tempfile::NamedTempFile::new_in(folder)?;
            file.write_all(serde_json::to_string_pretty(all)?.as_bytes())?;
            file.as_file().sync_all()?;
            file.persist(&self.0)?;
            Ok(())
        };
        write().map_err(|error| self.io(error))
    }

    fn io(&self, source: io::Error) -> SessionFileError {
        SessionFileError::Io { path: self.0.display().to_string(), source }
    }
}

/// One server has one name, however its URL was typed.
fn name(server: &str) -> String {
    server.trim_end_matches('/').to_ascii_lowercase()
}

/// A thousand sessions.
const BYTES_MAX: u64 = 256 * 1024;

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_unix_micros(seconds * 1_000_000)
    }

    fn kept(token: &str) -> Kept {
        Kept { token: token.to_owned(), person: "ana@example.com".to_owned(), expires: at(100) }
    }

    #[test]
    fn a_session_is_kept_for_its_server_and_its_time() {
        let folder = tempfile::tempdir().unwrap();
        let file = SessionFile::at(folder.path().join("a/b/sessions.json"));
        let token =
            |server: &str, now| file.token(server, at(now)).unwrap().map(|token| token.expose_secret().to_owned());
        assert_eq!(token("https://a", 0), None);
        file.forget("https://a").unwrap();
        file.put("https://a", kept("one")).unwrap();
        file.put("https://B:1/", kept("two")).unwrap();
        assert_eq!(token("https://A/", 99).as_deref(), Some("one"));
        assert_eq!(token("https://b:1", 99).as_deref(), Some("two"));
        assert_eq!(token("https://a", 100), None);
        file.forget("https://a").unwrap();
        assert_eq!((token("https://a", 0), token("https://b:1", 0).as_deref()), (None, Some("two")));
        let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(file.path()), mode(file.path().parent().unwrap())), (0o600, 0o700));
    }

    #[test]
    fn a_file_that_others_can_read_is_not_used() {
        let folder = tempfile::tempdir().unwrap();
        let file = SessionFile::at(folder.path().join("sessions.json"));
        file.put("https://a", kept("one")).unwrap();
        std::fs::set_permissions(file.path(), std::fs::Permissions::from_mode(0o640)).unwrap();
        let error = file.token("https://a", at(0)).unwrap_err().to_string();
        assert!(error.starts_with("others can read"), "{error}");
        std::fs::set_permissions(file.path(), std::fs::Permissions::from_mode(0o600)).unwrap();
        std::fs::write(file.path(), "no").unwrap();
        assert!(file.token("https://a", at(0)).unwrap_err().to_string().contains("remove it"));
    }
}
