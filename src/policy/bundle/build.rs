//! Making a bundle out of files.

use std::collections::BTreeMap;
use std::io;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use flate2::Compression;
use flate2::write::GzEncoder;

use super::Bundle;
use super::BundleError;
use super::MANIFEST;
use super::SIGNATURES;
use super::Verification;
use super::archive;
use super::signature;
use super::signature::BundleSigningKey;
use super::signature::Payload;
use super::signature::Signatures;
use super::signature::Signed;

/// Packs `files` with a manifest that names `revision`, signed with `key` if there is one. The same
/// files give the same archive.
///
/// # Errors
/// If a data document cannot be read, or has a name that no archive can hold.
pub fn build(
    mut files: BTreeMap<String, Vec<u8>>,
    revision: &str,
    key: Option<&BundleSigningKey>,
) -> io::Result<Vec<u8>> {
    let manifest = serde_json::json!({ "revision": revision, "roots": [""], "rego_version": 1 });
    files.entry(MANIFEST.to_owned()).or_insert_with(|| manifest.to_string().into_bytes());
    pack(files, key)
}

/// The bundle `archive` signed with `key`, in the place of whoever signed it before.
///
/// # Errors
/// What is wrong with the bundle as it is.
pub fn sign(archive: &[u8], key: &BundleSigningKey) -> Result<Vec<u8>, BundleError> {
    let mut files = archive::unpack(archive)?;
    files.remove(SIGNATURES);
    Bundle::of_files(files.clone(), &Verification::None)?;
    pack(files, Some(key)).map_err(BundleError::Archive)
}

fn pack(mut files: BTreeMap<String, Vec<u8>>, key: Option<&BundleSigningKey>) -> io::Result<Vec<u8>> {
    if let Some(key) = key {
        files.insert(SIGNATURES.to_owned(), signatures(&files, key)?);
    }
    let mut archive = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::default()));
    for (name, bytes) in &files {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        archive.append_data(&mut header, name, bytes.as_slice())?;
    }
    archive.into_inner()?.finish()
}

fn signatures(files: &BTreeMap<String, Vec<u8>>, key: &BundleSigningKey) -> io::Result<Vec<u8>> {
    let signed = files.iter().filter(|(name, _)| *name != SIGNATURES).map(|(name, bytes)| {
        let hash = signature::hash(name, bytes)
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, format!("`{name}` cannot be read")))?;
        Ok(Signed { name: name.clone(), hash, algorithm: "SHA-256".to_owned() })
    });
    let payload = Payload { files: signed.collect::<io::Result<_>>()? };
    let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let message = format!("{}.{}", encode(br#"{"alg":"EdDSA"}"#), encode(&serde_json::to_vec(&payload)?));
    let signature = encode(&key.sign(message.as_bytes()));
    Ok(serde_json::to_vec(&Signatures { signatures: vec![format!("{message}.{signature}")] })?)
}
