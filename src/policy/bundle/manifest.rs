//! `.manifest`: what a bundle calls itself and what it is about.

use serde::Deserialize;

use super::Bundle;
use super::BundleError;
use crate::policy::data;

/// The longest revision, in bytes. It becomes a label of a metric.
const REVISION_BYTES_MAX: usize = 256;

#[derive(Debug, Deserialize)]
pub(super) struct Manifest {
    #[serde(default)]
    pub(super) revision: String,
    #[serde(default = "everything")]
    roots: Vec<String>,
    #[serde(default)]
    rego_version: Option<u64>,
    #[serde(default)]
    wasm: Vec<serde_json::Value>,
}

/// Without roots, a bundle is about everything.
fn everything() -> Vec<String> {
    vec![String::new()]
}

impl Manifest {
    pub(super) fn read(bytes: Option<&[u8]>) -> Result<Self, BundleError> {
        let manifest: Self =
            serde_json::from_slice(bytes.unwrap_or(b"{}")).map_err(|error| BundleError::Manifest(error.to_string()))?;
        let wrong = |text: &str| Err(BundleError::Manifest(text.to_owned()));
        if manifest.revision.len() > REVISION_BYTES_MAX || manifest.revision.chars().any(char::is_control) {
            return wrong("`revision` is too long, or has control characters");
        }
        if manifest.rego_version.is_some_and(|version| version != 1) {
            return wrong("only `rego_version` 1 is understood");
        }
        if !manifest.wasm.is_empty() {
            return wrong("`wasm` is not supported");
        }
        Ok(manifest)
    }

    /// Nothing of a bundle may lie outside of what it says that it is about.
    pub(super) fn check_roots(&self, bundle: &Bundle) -> Result<(), BundleError> {
        let is_within = |path: &str| {
            self.roots.iter().map(|root| root.trim_matches('/')).any(|root| {
                let rest = path.strip_prefix(root);
                root.is_empty() || rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            })
        };
        let outside = |file: &str| BundleError::Root { file: file.to_owned(), roots: self.roots.join(", ") };
        for source in &bundle.rego {
            let mut lines = source.text.lines().map(str::trim);
            let package = lines.find_map(|line| line.strip_prefix("package ")).unwrap_or_default();
            let package = package.split('#').next().unwrap_or_default().trim().replace('.', "/");
            if !is_within(&package) {
                return Err(outside(&source.path));
            }
        }
        for source in &bundle.data {
            let folder = source.path.rsplit_once('/').map_or("", |(folder, _)| folder);
            // What lies above a root may still be only about it, by the names in it.
            if !is_within(folder)
                && !names(source).is_some_and(|names| names.iter().all(|name| is_within(&join(folder, name))))
            {
                return Err(outside(&source.path));
            }
        }
        Ok(())
    }
}

/// The names at the top of a document.
fn names(source: &super::Source) -> Option<Vec<String>> {
    let document: serde_json::Value = match source.path.ends_with(".json") {
        true => serde_json::from_str(&source.text).ok()?,
        false => serde_json::from_str(&data::yaml_json(&source.text).ok()?).ok()?,
    };
    Some(document.as_object()?.keys().cloned().collect())
}

fn join(folder: &str, name: &str) -> String {
    if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") }
}
