//! Bundles: the files of a policy in one archive, signed (OPA's bundle format).
//!
//! `bundle.tar.gz` holds `.rego` files, `data.json` or `data.yaml` files whose folders say where in
//! `data` they go, `.manifest` with a revision and the roots, and `.signatures.json` with a JWT over
//! the hash of every other file. Nothing is ever unpacked to a disk. Pure: bytes in, files out.

mod archive;
mod build;
mod manifest;
mod signature;

use std::collections::BTreeMap;

use super::load::Source;

pub use build::build;
pub use build::sign;
pub use signature::BundleKey;
pub use signature::BundleKeyError;
pub use signature::BundleSigningKey;
pub use signature::BundleSigningKeyError;

/// The largest archive, compressed, in bytes.
pub const ARCHIVE_BYTES_MAX: usize = 16 << 20;
/// The most bytes that an archive may unpack to, whatever they are.
pub const UNPACKED_BYTES_MAX: u64 = 64 << 20;
/// The most entries of an archive.
pub const FILES_MAX: usize = 2_000;

/// What is not part of the policy and says what the rest is.
const MANIFEST: &str = ".manifest";
const SIGNATURES: &str = ".signatures.json";

/// The files of a policy, out of a bundle that was checked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bundle {
    /// What the manifest calls this version; empty if it does not.
    pub revision: String,
    /// The rules.
    pub rego: Vec<Source>,
    /// The data documents.
    pub data: Vec<Source>,
}

/// Whether a bundle must be signed, and by whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verification {
    /// By the holder of this key.
    Key(BundleKey),
    /// It need not be, and its signatures are not looked at. Only for files of this machine.
    None,
}

/// Why a bundle cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// It is no archive, or a broken one.
    #[error("it is not a `tar.gz` archive that can be read")]
    Archive(#[source] std::io::Error),
    /// It is too large.
    #[error("it has more than {max} {what}")]
    TooLarge {
        /// What there is too much of.
        what: &'static str,
        /// The limit.
        max: u64,
    },
    /// A name that a file of a bundle cannot have.
    #[error("it has an entry `{0}`, and names are relative, without `..`, `.`, `\\` and empty parts")]
    Name(String),
    /// The same name twice.
    #[error("it has `{0}` twice")]
    Duplicate(String),
    /// A link or a device.
    #[error("`{0}` is not a plain file")]
    Kind(String),
    /// A file that no policy has.
    #[error("`{0}` is not a file of a bundle; it has `.rego`, `data.json`, `data.yaml` and `data.yml` files")]
    Unknown(String),
    /// A file that is not text.
    #[error("`{0}` is not UTF-8")]
    NotText(String),
    /// The manifest cannot be used.
    #[error("its `.manifest` cannot be used: {0}")]
    Manifest(String),
    /// A file outside of what the manifest says it is about.
    #[error("`{file}` is outside of the roots of `.manifest`: {roots}")]
    Root {
        /// The file.
        file: String,
        /// The roots.
        roots: String,
    },
    /// It has to be signed, and is not.
    #[error("it has no `.signatures.json`, and has to be signed")]
    Unsigned,
    /// The signature cannot be used.
    #[error("its `.signatures.json` cannot be used: {0}")]
    Signature(String),
    /// The signature is another's.
    #[error("its signature does not verify with the configured key")]
    Forged,
    /// A file is not the one that was signed.
    #[error("`{0}` is not as it was signed")]
    Changed(String),
    /// A file that was not signed.
    #[error("`{0}` is not signed")]
    NotSigned(String),
    /// A signed file that is not there.
    #[error("`{0}` is signed, and is missing")]
    Missing(String),
}

impl Bundle {
    /// Reads an archive.
    ///
    /// # Errors
    /// [`BundleError`] says what is wrong; then nothing of it may be used.
    pub fn read(archive: &[u8], verification: &Verification) -> Result<Self, BundleError> {
        Self::of_files(archive::unpack(archive)?, verification)
    }

    /// Takes the files of a folder as those of a bundle, by their names relative to it.
    ///
    /// # Errors
    /// [`BundleError`].
    pub fn of_files(files: BTreeMap<String, Vec<u8>>, verification: &Verification) -> Result<Self, BundleError> {
        // The signature first: whoever could not sign it has no say in what else is read.
        if let Verification::Key(key) = verification {
            signature::verify(&files, key)?;
        }
        let manifest = manifest::Manifest::read(files.get(MANIFEST).map(Vec::as_slice))?;
        let mut bundle = Self { revision: manifest.revision.clone(), ..Self::default() };
        for (path, bytes) in files {
            if matches!(path.as_str(), MANIFEST | SIGNATURES) {
                continue;
            }
            let list = match kind(&path) {
                Some(Kind::Rego) => &mut bundle.rego,
                Some(Kind::Data) => &mut bundle.data,
                None => return Err(BundleError::Unknown(path)),
            };
            let Ok(text) = String::from_utf8(bytes) else { return Err(BundleError::NotText(path)) };
            list.push(Source { path, text });
        }
        manifest.check_roots(&bundle)?;
        Ok(bundle)
    }
}

enum Kind {
    Rego,
    Data,
}

fn kind(path: &str) -> Option<Kind> {
    let name = path.rsplit('/').next().unwrap_or(path);
    match name {
        "data.json" | "data.yaml" | "data.yml" => Some(Kind::Data),
        _ if name.ends_with(".rego") => Some(Kind::Rego),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
