//! Making a bundle out of files.

use std::collections::BTreeMap;
use std::io;

use aws_lc_rs::signature::Ed25519KeyPair;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use flate2::Compression;
use flate2::write::GzEncoder;

use super::MANIFEST;
use super::SIGNATURES;
use super::signature;
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
    key: Option<&Ed25519KeyPair>,
) -> io::Result<Vec<u8>> {
    let manifest = serde_json::json!({ "revision": revision, "roots": [""], "rego_version": 1 });
    files.entry(MANIFEST.to_owned()).or_insert_with(|| manifest.to_string().into_bytes());
    if let Some(key) = key {
        files.insert(SIGNATURES.to_owned(), sign(&files, key)?);
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

fn sign(files: &BTreeMap<String, Vec<u8>>, key: &Ed25519KeyPair) -> io::Result<Vec<u8>> {
    let signed = files.iter().filter(|(name, _)| *name != SIGNATURES).map(|(name, bytes)| {
        let hash = signature::hash(name, bytes)
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, format!("`{name}` cannot be read")))?;
        Ok(Signed { name: name.clone(), hash, algorithm: "SHA-256".to_owned() })
    });
    let payload = Payload { files: signed.collect::<io::Result<_>>()? };
    let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let message = format!("{}.{}", encode(br#"{"alg":"EdDSA"}"#), encode(&serde_json::to_vec(&payload)?));
    let signature = encode(key.sign(message.as_bytes()).as_ref());
    Ok(serde_json::to_vec(&Signatures { signatures: vec![format!("{message}.{signature}")] })?)
}
