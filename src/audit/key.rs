//! The deployment's Ed25519 key (RFC 8032): it signs checkpoints here, and outcomes in `approval`.
//!
//! Kept as PKCS#8 in PEM, as `openssl genpkey -algorithm ed25519` writes it too. Whoever signs
//! something new with it begins the message with words that no other kind of message begins
//! with, so that a signature can never be taken for one over something else.

use std::fmt;
use std::fs;
use std::fs::File;
use std::fs::OpenOptions;
use std::io;
use std::io::Read;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

use aws_lc_rs::signature::ED25519;
use aws_lc_rs::signature::Ed25519KeyPair;
use aws_lc_rs::signature::KeyPair;
use aws_lc_rs::signature::UnparsedPublicKey;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls_pki_types::PrivatePkcs8KeyDer;
use rustls_pki_types::pem::PemObject;
use zeroize::Zeroizing;

use crate::model::Sha256;

/// The deployment's signing key. Cheap to clone.
#[derive(Clone)]
pub struct SigningKey {
    pair: Arc<Ed25519KeyPair>,
    public: PublicKey,
}

/// The public half of a [`SigningKey`].
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct PublicKey([u8; 32]);

/// A public key and the name it signs under: the text that verifiers pin.
///
/// As C2SP signed-note: `name+hash+key`, where the hash is the first four bytes of
/// SHA-256(name, newline, 1, key) in hex and the key is the base64 of 1 and its 32 bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vkey {
    name: String, // Invariant: not empty, no white space, no `+`.
    public: PublicKey,
}

/// Why a signing key cannot be used or made.
#[derive(Debug, thiserror::Error)]
pub enum SigningKeyError {
    /// The file could not be read.
    #[error("signing key `{path}` cannot be read; `openssl genpkey -algorithm ed25519` makes one")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file could not be made.
    #[error("signing key `{path}` cannot be written")]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// There is a file already.
    #[error(
        "signing key `{0}` exists already; it is never overwritten, because records signed with it would be orphaned"
    )]
    Exists(PathBuf),
    /// The file holds something else.
    #[error("`{0}` holds no Ed25519 private key; expected PKCS#8 in PEM (`-----BEGIN PRIVATE KEY-----`)")]
    NoKey(PathBuf),
    /// The system gave no random bytes.
    #[error("the system gives no random numbers; no key was made")]
    NoRandomness,
}

/// A text that is not a verifier key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a verifier key; expected `name+hash+key`, as it stands in the file `vkey` of a log")]
pub struct ParseVkeyError(String);

impl SigningKey {
    /// Reads the key in the file `path`.
    ///
    /// # Errors
    /// [`SigningKeyError`] if it cannot be read or holds no Ed25519 key.
    pub fn load(path: &Path) -> Result<Self, SigningKeyError> {
        let read_error = |source| SigningKeyError::Read { path: path.to_owned(), source };
        let mut pem = Zeroizing::new(Vec::with_capacity(FILE_BYTES_MAX as usize));
        File::open(path).and_then(|file| file.take(FILE_BYTES_MAX).read_to_end(&mut pem)).map_err(read_error)?;
        Self::from_pem(&pem).ok_or_else(|| SigningKeyError::NoKey(path.to_owned()))
    }

    /// Makes a new key and writes it to the file `path`, readable by its owner only.
    ///
    /// # Errors
    /// [`SigningKeyError::Exists`] rather than overwriting anything; others if it cannot be made.
    pub fn generate_file(path: &Path) -> Result<Self, SigningKeyError> {
        let pair = Ed25519KeyPair::generate().map_err(|_| SigningKeyError::NoRandomness)?;
        let document = pair.to_pkcs8v1().map_err(|_| SigningKeyError::NoRandomness)?;
        let body = Zeroizing::new(STANDARD.encode(document.as_ref()));
        let pem = Zeroizing::new(format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", *body));
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(|source| {
            if source.kind() == io::ErrorKind::AlreadyExists {
                SigningKeyError::Exists(path.to_owned())
            } else {
                SigningKeyError::Write { path: path.to_owned(), source }
            }
        })?;
        if let Err(source) = file.write_all(pem.as_bytes()).and_then(|()| file.sync_all()) {
            // Half a key would be in the way of the next attempt, and is of no use to anybody.
            let _ = fs::remove_file(path);
            return Err(SigningKeyError::Write { path: path.to_owned(), source });
        }
        Ok(Self::new(pair))
    }

    fn from_pem(pem: &[u8]) -> Option<Self> {
        let der = PrivatePkcs8KeyDer::from_pem_slice(pem).ok()?;
        // "Maybe unchecked" reads version 1 as well, which has no public key to check against.
        let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(der.secret_pkcs8_der()).ok()?;
        Some(Self::new(pair))
    }

    fn new(pair: Ed25519KeyPair) -> Self {
        let public = PublicKey(pair.public_key().as_ref().try_into().expect("an Ed25519 public key is 32 bytes"));
        Self { pair: Arc::new(pair), public }
    }

    /// Signs `message`.
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.pair.sign(message).as_ref().try_into().expect("an Ed25519 signature is 64 bytes")
    }

    /// Whether `signature` is this key's over `message`.
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        self.public.verify(message, signature)
    }

    /// The public half.
    pub fn public(&self) -> PublicKey {
        self.public
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({:?}, [redacted])", self.public)
    }
}

impl PublicKey {
    /// A key from its 32 bytes.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Whether `signature` is this key's over `message`.
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&ED25519, self.0).verify(message, signature).is_ok()
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ed25519:{}", STANDARD.encode(self.0))
    }
}

impl Vkey {
    /// `public` under the name `name`; `None` if that cannot be a name.
    pub(super) fn new(name: &str, public: PublicKey) -> Option<Self> {
        let valid = !name.is_empty() && !name.contains(|c: char| c.is_whitespace() || c.is_control() || c == '+');
        valid.then(|| Self { name: name.to_owned(), public })
    }

    /// The name: the log's origin.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The key.
    pub fn public(&self) -> PublicKey {
        self.public
    }

    /// The four bytes by which a signature says whose it is.
    pub(super) fn id(&self) -> [u8; 4] {
        let mut bytes = self.name.as_bytes().to_vec();
        bytes.extend([b'\n', ED25519_TYPE]);
        bytes.extend(self.public.0);
        let [a, b, c, d, ..] = *Sha256::of(&bytes).as_bytes();
        [a, b, c, d]
    }
}

impl fmt::Display for Vkey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut key = vec![ED25519_TYPE];
        key.extend(self.public.0);
        write!(f, "{}+{:08x}+{}", self.name, u32::from_be_bytes(self.id()), STANDARD.encode(key))
    }
}

impl FromStr for Vkey {
    type Err = ParseVkeyError;

    fn from_str(text: &str) -> Result<Self, ParseVkeyError> {
        let parse = || {
            let (name, rest) = text.split_once('+')?;
            let (_, key) = rest.split_once('+')?;
            let key = STANDARD.decode(key).ok()?;
            let (&kind, public) = key.split_first()?;
            let vkey = Self::new(name, PublicKey(public.try_into().ok()?))?;
            // Printing it again checks the hash and that nothing is spelled otherwise.
            (kind == ED25519_TYPE && vkey.to_string() == text).then_some(vkey)
        };
        parse().ok_or_else(|| ParseVkeyError(text.escape_debug().take(200).collect()))
    }
}

/// The type byte of a plain Ed25519 signature (C2SP signed-note).
const ED25519_TYPE: u8 = 1;
/// A PEM file with one Ed25519 key has some 120 bytes.
const FILE_BYTES_MAX: u64 = 64 * 1024;

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_key_is_read_back_from_its_file_and_never_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("audit.key");
        let made = SigningKey::generate_file(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let read = SigningKey::load(&path).unwrap();
        assert!(read.verify(b"message", &made.sign(b"message")));
        assert!(!read.verify(b"massage", &made.sign(b"message")));
        assert!(matches!(SigningKey::generate_file(&path), Err(SigningKeyError::Exists(_))));
        assert_eq!(SigningKey::load(&path).unwrap().public(), made.public());
    }

    #[test]
    fn the_file_of_openssl_is_read() {
        // RFC 8410 §10.3.
        let pem = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n-----END PRIVATE KEY-----\n";
        let key = SigningKey::from_pem(pem.as_bytes()).unwrap();
        assert_eq!(key.public().as_bytes()[..4], [0x19, 0xbf, 0x44, 0x09]);
    }

    #[test]
    fn other_files_are_no_keys() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("audit.key");
        for content in ["", "hello", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"] {
            fs::write(&path, content).unwrap();
            assert!(matches!(SigningKey::load(&path), Err(SigningKeyError::NoKey(_))), "{content}");
        }
        assert!(matches!(SigningKey::load(&dir.path().join("none")), Err(SigningKeyError::Read { .. })));
    }

    #[test]
    fn debug_shows_no_secret() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("audit.key");
        let key = SigningKey::generate_file(&path).unwrap();
        let pem = fs::read_to_string(&path).unwrap();
        let secret = pem.lines().nth(1).unwrap().get(22..).unwrap();
        assert!(!format!("{key:?}").contains(secret));
        assert!(format!("{key:?}").ends_with(", [redacted])"));
    }

    #[test]
    fn a_verifier_key_reads_as_it_is_written() {
        // The Go checksum database's own key.
        let text = "sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8";
        let vkey: Vkey = text.parse().unwrap();
        assert_eq!((vkey.name(), vkey.to_string().as_str()), ("sum.golang.org", text));
        let bad = [
            "",
            "sum.golang.org",
            "sum.golang.org+033de0af+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8",
            "sum.golang.com+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8",
            "sum.golang.org+033DE0AE+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8",
            "sum.golang.org+033de0ae+As4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8",
            "sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuA==",
        ];
        for bad in bad {
            assert!(bad.parse::<Vkey>().is_err(), "{bad}");
        }
    }
}
