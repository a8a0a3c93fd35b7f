//! Opaque, stable names for people, so that the log can be shown without saying who is who.

use std::fs::File;
use std::fs::OpenOptions;
use std::io;
use std::io::Read;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use aws_lc_rs::hmac;
use aws_lc_rs::rand;
use zeroize::Zeroizing;

use super::canonical;

/// Makes pseudonyms under a secret that is kept beside the log. Without the secret nobody can
/// find a person by trying names; once it is destroyed, nobody at all can.
#[derive(Debug)]
pub(super) struct Pseudonyms(hmac::Key);

impl Pseudonyms {
    /// The secret in the file `path`, which is made if there is none.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let mut secret = Zeroizing::new([0; SECRET_LEN]);
        match File::open(path) {
            Ok(mut file) => {
                let whole = file.metadata()?.len() == SECRET_LEN as u64;
                if !whole {
                    return Err(io::Error::new(io::ErrorKind::InvalidData, "it does not have 32 bytes"));
                }
                file.read_exact(secret.as_mut())?;
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                rand::fill(secret.as_mut()).map_err(|_| io::Error::other("the system gives no random numbers"))?;
                // Under another name first: a crash must not leave half a secret.
                let new = path.with_extension("new");
                let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
                file.write_all(secret.as_ref())?;
                file.sync_all()?;
                std::fs::rename(&new, path)?;
                super::files::sync_parent(path)?;
            }
            Err(error) => return Err(error),
        }
        Ok(Self(hmac::Key::new(hmac::HMAC_SHA256, secret.as_ref())))
    }

    /// The pseudonym of `person`: `prs_` and 32 hex digits.
    pub(super) fn of(&self, person: &str) -> String {
        let tag = hmac::sign(&self.0, person.as_bytes());
        let mut text = b"prs_".to_vec();
        let first: &[u8; 16] = tag.as_ref().first_chunk().expect("HMAC-SHA256 has 32 bytes");
        canonical::push_hex(&mut text, first);
        text.into_iter().map(char::from).collect()
    }
}

const SECRET_LEN: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pseudonym_is_stable_and_tells_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let first = Pseudonyms::open(&dir.path().join("pseudonym.key")).unwrap();
        let again = Pseudonyms::open(&dir.path().join("pseudonym.key")).unwrap();
        let other = Pseudonyms::open(&dir.path().join("other.key")).unwrap();
        let name = first.of("ana@example.com");
        assert_eq!(name.len(), 36);
        assert_eq!(again.of("ana@example.com"), name);
        assert_ne!(first.of("bo@example.com"), name);
        assert_ne!(other.of("ana@example.com"), name);
    }

    #[test]
    fn a_damaged_secret_is_not_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pseudonym.key");
        std::fs::write(&path, "short").unwrap();
        assert!(Pseudonyms::open(&path).is_err());
        assert_eq!(std::fs::read(&path).unwrap(), b"short");
    }
}
