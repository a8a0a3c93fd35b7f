//! What the `# METADATA` comments of a file say about how its rules are enforced.

use std::collections::BTreeMap;

use serde::Deserialize;

/// One METADATA comment.
pub(super) struct Comment {
    /// The line of `# METADATA`, from 1.
    pub(super) line: u32,
    /// The line right below it, which is what it is about.
    pub(super) about: u32,
    yaml: String,
}

#[derive(Deserialize)]
struct Metadata {
    custom: Option<BTreeMap<String, serde_json::Value>>,
}

impl Comment {
    /// What it says under `custom.enforce`.
    ///
    /// # Errors
    /// Why it cannot be read, if it seems to say something there.
    pub(super) fn enforce(&self) -> Result<Option<String>, String> {
        if !self.yaml.contains("enforce") {
            return Ok(None);
        }
        let metadata: Metadata = serde_saphyr::from_str(&self.yaml).map_err(|error| {
            let error = error.to_string();
            format!("this METADATA is not YAML: {}", error.lines().next().unwrap_or_default())
        })?;
        Ok(metadata.custom.and_then(|mut custom| custom.remove("enforce")).map(|word| match word {
            serde_json::Value::String(word) => word,
            other => other.to_string(),
        }))
    }
}

/// The METADATA comments of a file.
pub(super) fn comments(text: &str) -> Vec<Comment> {
    let mut found: Vec<Comment> = Vec::new();
    let mut is_open = false;
    for (line, text) in (1..).zip(text.lines()) {
        let Some(comment) = text.strip_prefix('#') else {
            is_open = false;
            continue;
        };
        if comment.trim() == "METADATA" {
            is_open = true;
            found.push(Comment { line, about: line + 1, yaml: String::new() });
        } else if let Some(last) = found.last_mut().filter(|_| is_open) {
            last.yaml.push_str(comment);
            last.yaml.push('\n');
            last.about = line + 1;
        }
    }
    found
}
