//! Entries of a log read back together with what is kept beside them.

use std::collections::HashMap;
use std::path::Path;

use serde_json::Value;

use super::disclosure::Disclosure;
use super::files;
use super::files::DisclosureLine;
use super::tail::ReadError;
use super::tail::Start;
use super::tail::bundles;
use super::tail::tail;

/// One entry with its private fields, as far as they have not been destroyed.
#[derive(Clone, Debug)]
pub struct Disclosed {
    /// The entry's index in the log, from 0.
    pub index: u64,
    /// The entry.
    pub leaf: Value,
    /// The private fields that are still there and are what the entry commits to.
    pub private: HashMap<String, Value>,
    /// How many private fields the entry commits to, still there or not.
    pub commitments: usize,
}

/// Every entry of the log in `root`, to its present end. Proves nothing: that is for `verify`.
///
/// # Errors
/// [`ReadError`] if a file cannot be read.
pub fn disclosed(root: &Path) -> Result<impl Iterator<Item = Result<Disclosed, ReadError>>, ReadError> {
    let mut beside: HashMap<String, Vec<String>> = HashMap::new();
    for bundle in 0..bundles(root)? {
        let path = files::disclosures_path(root, bundle);
        let bytes = files::read(&path, files::BUNDLE_BYTES_MAX);
        let bytes = bytes.map_err(|source| ReadError { path, source })?.unwrap_or_default();
        let lines = bytes.split(|byte| *byte == b'\n');
        for line in lines.filter_map(|line| serde_json::from_slice::<DisclosureLine>(line).ok()) {
            beside.insert(line.event, line.disclosures);
        }
    }
    let entries = tail(root, Start::Index(0))?;
    Ok(entries.filter_map(move |entry| {
        let (index, bytes) = match entry {
            Ok(entry) => entry,
            Err(error) => return Some(Err(error)),
        };
        let leaf: Value = serde_json::from_slice(&bytes).ok()?;
        let committed: Vec<&str> =
            leaf.get("sd").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
        let texts = leaf.get("id").and_then(Value::as_str).and_then(|id| beside.get(id));
        let own = texts.into_iter().flatten().filter(|text| committed.contains(&Disclosure::commitment(text).as_str()));
        let private =
            own.filter_map(|text| text.parse::<Disclosure>().ok()).map(|field| (field.name, field.value)).collect();
        let commitments = committed.len();
        Some(Ok(Disclosed { index, leaf, private, commitments }))
    }))
}
