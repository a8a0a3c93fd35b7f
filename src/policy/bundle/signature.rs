//! `.signatures.json`: a JWT (RFC 7519) signed with Ed25519 (RFC 8037) over the hashes of all files.
//!
//! As OPA does it: the hash of a structured file (JSON, YAML, the manifest) is that of its compact
//! JSON with sorted names, that of any other file of its bytes.

use std::collections::BTreeMap;

use aws_lc_rs::signature::ED25519;
use aws_lc_rs::signature::Ed25519KeyPair;
use aws_lc_rs::signature::UnparsedPublicKey;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rustls_pki_types::PrivatePkcs8KeyDer;
use rustls_pki_types::SubjectPublicKeyInfoDer;
use rustls_pki_types::pem::PemObject;
use serde::Deserialize;
use serde::Serialize;

use super::BundleError;
use super::MANIFEST;
use super::SIGNATURES;
use crate::model::Sha256;
use crate::policy::data;
use crate::policy::json;

/// What an Ed25519 key begins with in DER (RFC 8410 §4).
const SPKI_PREFIX: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// The public key of whoever signs bundles.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BundleKey([u8; 32]);

/// A text that is no such key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is not an Ed25519 public key in PEM; `openssl pkey -in bundle.key -pubout` writes one")]
pub struct BundleKeyError;

impl BundleKey {
    /// Reads a public key in PEM.
    ///
    /// # Errors
    /// [`BundleKeyError`].
    pub fn from_pem(pem: &str) -> Result<Self, BundleKeyError> {
        let der = SubjectPublicKeyInfoDer::from_pem_slice(pem.as_bytes()).map_err(|_| BundleKeyError)?;
        let key = der.as_ref().strip_prefix(&SPKI_PREFIX).ok_or(BundleKeyError)?;
        key.try_into().map(Self).map_err(|_| BundleKeyError)
    }

    /// The 32 bytes of a key.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

/// The private key of whoever signs bundles.
#[derive(Debug)]
pub struct BundleSigningKey(Ed25519KeyPair);

/// A text that is no such key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is not an Ed25519 private key in PEM (PKCS#8); `openssl genpkey -algorithm ed25519` writes one")]
pub struct BundleSigningKeyError;

impl BundleSigningKey {
    /// Reads a private key in PEM.
    ///
    /// # Errors
    /// [`BundleSigningKeyError`].
    pub fn from_pem(pem: &[u8]) -> Result<Self, BundleSigningKeyError> {
        let der = PrivatePkcs8KeyDer::from_pem_slice(pem).map_err(|_| BundleSigningKeyError)?;
        // "Maybe unchecked" reads version 1 as well, which has no public key to check against.
        let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(der.secret_pkcs8_der());
        pair.map(Self).map_err(|_| BundleSigningKeyError)
    }

    pub(super) fn sign(&self, message: &[u8]) -> Vec<u8> {
        self.0.sign(message).as_ref().to_vec()
    }
}

impl From<Ed25519KeyPair> for BundleSigningKey {
    fn from(pair: Ed25519KeyPair) -> Self {
        Self(pair)
    }
}

#[derive(Deserialize, Serialize)]
pub(super) struct Signatures {
    pub(super) signatures: Vec<String>,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    #[serde(default)]
    crit: Option<serde_json::Value>,
}

#[derive(Deserialize, Serialize)]
pub(super) struct Payload {
    pub(super) files: Vec<Signed>,
}

/// One file that was signed.
#[derive(Deserialize, Serialize)]
pub(super) struct Signed {
    pub(super) name: String,
    pub(super) hash: String,
    pub(super) algorithm: String,
}

/// Checks that exactly these files were signed by the holder of `key`.
pub(super) fn verify(files: &BTreeMap<String, Vec<u8>>, key: &BundleKey) -> Result<(), BundleError> {
    let signatures = files.get(SIGNATURES).ok_or(BundleError::Unsigned)?;
    let mut signed: BTreeMap<String, Signed> = BTreeMap::new();
    for file in payload(signatures, key)?.files {
        if let Some(twice) = signed.insert(file.name.trim_start_matches('/').to_owned(), file) {
            return Err(wrong(format!("it has `{}` twice", twice.name)));
        }
    }
    for (name, bytes) in files.iter().filter(|(name, _)| *name != SIGNATURES) {
        let Some(file) = signed.remove(name) else { return Err(BundleError::NotSigned(name.clone())) };
        if file.algorithm != "SHA-256" {
            return Err(wrong(format!("the hash of `{name}` is not SHA-256")));
        }
        let hash = hash(name, bytes).ok_or_else(|| BundleError::Changed(name.clone()))?;
        if !file.hash.eq_ignore_ascii_case(&hash) {
            return Err(BundleError::Changed(name.clone()));
        }
    }
    match signed.into_keys().next() {
        Some(missing) => Err(BundleError::Missing(missing)),
        None => Ok(()),
    }
}

/// What was signed, if it was signed with `key`.
fn payload(signatures: &[u8], key: &BundleKey) -> Result<Payload, BundleError> {
    let signatures: Signatures = serde_json::from_slice(signatures).map_err(|error| wrong(error.to_string()))?;
    let [token] = signatures.signatures.as_slice() else {
        return Err(wrong(format!("it has {} signatures, and not one", signatures.signatures.len())));
    };
    let mut parts = token.split('.');
    let (Some(header), Some(payload), Some(signature), None) = (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(wrong("it is not a JWT"));
    };
    let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| wrong("it is not a JWT"));
    let head: Header = serde_json::from_slice(&decode(header)?).map_err(|error| wrong(error.to_string()))?;
    if head.alg != "EdDSA" || head.crit.is_some() {
        return Err(wrong("it is not signed with `EdDSA`, which is the only algorithm that is accepted"));
    }
    let message = format!("{header}.{payload}");
    UnparsedPublicKey::new(&ED25519, key.0)
        .verify(message.as_bytes(), &decode(signature)?)
        .map_err(|_| BundleError::Forged)?;
    serde_json::from_slice(&decode(payload)?).map_err(|error| wrong(error.to_string()))
}

fn wrong(text: impl Into<String>) -> BundleError {
    BundleError::Signature(text.into())
}

/// The hash of a file in hex, as OPA makes it; `None` if a structured file cannot be read.
pub(super) fn hash(name: &str, bytes: &[u8]) -> Option<String> {
    let file = name.rsplit('/').next().unwrap_or(name);
    let text = || std::str::from_utf8(bytes).ok();
    let hash = match file {
        _ if file == MANIFEST || file.ends_with(".json") => Sha256::of(compact(text()?)?.as_bytes()),
        _ if file.ends_with(".yaml") || file.ends_with(".yml") => {
            Sha256::of(compact(&data::yaml_json(text()?).ok()?)?.as_bytes())
        }
        _ => Sha256::of(bytes),
    };
    Some(hash.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect())
}

/// JSON without white space and with sorted names; numbers stay as they are written.
fn compact(text: &str) -> Option<String> {
    json::parse(text.as_bytes()).ok()?;
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    write(&mut rest, &mut out)?;
    Some(out)
}

/// Writes the value that `rest` begins with; it is JSON, and no deeper than our reader goes.
fn write(rest: &mut &str, out: &mut String) -> Option<()> {
    *rest = rest.trim_start();
    match rest.bytes().next()? {
        b'{' => {
            let mut members: BTreeMap<String, String> = BTreeMap::new();
            while let Some(name) = member(rest, '}')? {
                let mut value = String::new();
                let name = name.trim_start();
                *rest = name;
                let name = string(rest)?;
                *rest = rest.trim_start().strip_prefix(':')?;
                write(rest, &mut value)?;
                members.insert(name, value);
            }
            let members = members.iter().map(|(name, value)| format!("{}:{value}", quoted(name)));
            out.push_str(&format!("{{{}}}", members.collect::<Vec<_>>().join(",")));
        }
        b'[' => {
            let mut items = Vec::new();
            while let Some(item) = member(rest, ']')? {
                *rest = item;
                let mut value = String::new();
                write(rest, &mut value)?;
                items.push(value);
            }
            out.push_str(&format!("[{}]", items.join(",")));
        }
        b'"' => out.push_str(&quoted(&string(rest)?)),
        _ => {
            let end = rest.find([',', '}', ']', ' ', '\t', '\r', '\n']).unwrap_or(rest.len());
            let (word, left) = rest.split_at_checked(end)?;
            out.push_str(word);
            *rest = left;
        }
    }
    Some(())
}

/// What follows the bracket or comma that `rest` begins with, or `None` behind the `end`.
fn member<'t>(rest: &mut &'t str, end: char) -> Option<Option<&'t str>> {
    let after = rest.trim_start();
    if let Some(after) = after.strip_prefix(end) {
        *rest = after;
        return Some(None);
    }
    let inner = after.strip_prefix(['{', '[', ','])?.trim_start();
    if let Some(after) = inner.strip_prefix(end) {
        *rest = after;
        return Some(None);
    }
    Some(Some(inner))
}

/// The text that `rest` begins with.
fn string(rest: &mut &str) -> Option<String> {
    let mut escaped = false;
    let end = rest.char_indices().skip(1).find(|(_, c)| {
        let ends = *c == '"' && !escaped;
        escaped = *c == '\\' && !escaped;
        ends
    });
    let (text, left) = rest.split_at_checked(end?.0 + 1)?;
    *rest = left;
    serde_json::from_str(text).ok()
}

/// A text as OPA writes it: the two line separators are escaped as well.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string().replace('\u{2028}', "\\u2028").replace('\u{2029}', "\\u2029")
}
