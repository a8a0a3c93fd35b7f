//! The files of a set of policies, read from a folder.

use std::io;
use std::path::Path;
use std::path::PathBuf;

use crate::policy::Source;

/// The files of a set of policies.
#[derive(Clone, Debug, Default)]
pub struct PolicyFiles {
    /// The rules, and their tests.
    pub rego: Vec<Source>,
    /// Data documents, in files named `….json`, `data.yaml` or `data.yml`.
    pub data: Vec<Source>,
}

impl PolicyFiles {
    /// Reads the file `path`, or every file in the folder `path` and the folders in it. Hidden
    /// files are passed over, which ConfigMap mounts are full of.
    ///
    /// # Errors
    /// What the system says, with the file in the message.
    pub fn read(path: &Path) -> io::Result<Self> {
        let mut files = Vec::new();
        collect(path, &mut files, 0)?;
        files.sort();
        let base = if path.is_dir() { path } else { path.parent().unwrap_or(path) };
        let mut read = Self::default();
        for file in files {
            let name = file.strip_prefix(base).unwrap_or(&file).to_string_lossy().into_owned();
            let list = if name.ends_with(".rego") {
                &mut read.rego
            } else if is_data(&name) {
                &mut read.data
            } else {
                continue;
            };
            let text = std::fs::read_to_string(&file).map_err(|error| named(&file, &error))?;
            list.push(Source { path: name, text });
        }
        if read.rego.is_empty() {
            let text = format!("there is no `.rego` file in `{}`", path.display());
            return Err(io::Error::new(io::ErrorKind::NotFound, text));
        }
        Ok(read)
    }
}

/// Any JSON is data. YAML is used for so much else that it has to say so.
pub(super) fn is_data(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    name.ends_with(".json") || matches!(name, "data.yaml" | "data.yml")
}

fn collect(path: &Path, files: &mut Vec<PathBuf>, depth: usize) -> io::Result<()> {
    if !path.is_dir() {
        files.push(path.to_owned());
        return Ok(());
    }
    if depth > DEPTH_MAX || files.len() > FILES_MAX {
        return Err(io::Error::other(format!("`{}` holds too many files or folders for policies", path.display())));
    }
    for entry in std::fs::read_dir(path).map_err(|error| named(path, &error))? {
        let entry = entry?;
        if !entry.file_name().to_string_lossy().starts_with('.') {
            collect(&entry.path(), files, depth + 1)?;
        }
    }
    Ok(())
}

fn named(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("`{}`: {error}", path.display()))
}

const DEPTH_MAX: usize = 16;
const FILES_MAX: usize = 10_000;
