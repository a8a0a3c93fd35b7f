//! Why a credential cannot be used. No message holds any part of a secret.

use std::io;
use std::path::PathBuf;

use super::secret::SECRET_BYTES_MAX;
use super::secret::SecretRef;

/// Why a secret cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The file could not be read.
    #[error("secret file `{path}` cannot be read")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It is a directory, a pipe or a device.
    #[error("secret file `{0}` is not a regular file; name a file whose whole content is the secret")]
    NotAFile(PathBuf),
    /// It is too long to be a secret.
    #[error("secret `{0}` has more than {max} bytes; is it the right one?", max = SECRET_BYTES_MAX)]
    TooLong(SecretRef),
    /// There is nothing in it.
    #[error("secret `{0}` is empty")]
    Empty(SecretRef),
    /// It is not text.
    #[error("secret `{0}` is not UTF-8 text")]
    NotText(SecretRef),
    /// The variable is not set.
    #[error("environment variable `{0}` is not set; set it where the proxy is started, or use a `file:` reference")]
    Unset(String),
}

/// Why a credential cannot be loaded or fetched.
#[derive(Debug, thiserror::Error)]
pub enum CredentialError {
    /// A secret of it cannot be read.
    #[error("credential `{name}` cannot be loaded")]
    Secret {
        /// The configured name of the credential.
        name: String,
        /// What is wrong with the secret.
        source: SecretError,
    },
    /// A secret of it cannot be sent in a header field.
    #[error(
        "credential `{name}`: secret `{reference}` holds {what}, which cannot be sent in a header field; \
         the file or variable must hold the secret and nothing else"
    )]
    Character {
        /// The configured name of the credential.
        name: String,
        /// Where the secret is.
        reference: SecretRef,
        /// What is wrong in it, such as `a line break`.
        what: &'static str,
    },
}
