//! METADATA: the comments above rules that tell people, and documents, what they are for.
//!
//! regorus keeps no comments, so they are read from the source: a block of comment lines with
//! `# METADATA` in it, and YAML from there on, above the rule or the package that it is about
//! (<https://www.openpolicyagent.org/docs/policy-language#metadata>).

use regorus::unstable::Source;
use serde_json::Map;
use serde_json::Value;

use super::error::LoadError;

/// One METADATA comment.
pub(super) struct Comment {
    /// The line of `# METADATA`, from 1.
    pub(super) line: u32,
    /// The line of what it is about: the next one that is not blank.
    pub(super) about: u32,
    yaml: String,
}

/// The METADATA comments of a file.
pub(super) fn comments(text: &str) -> Vec<Comment> {
    let mut found: Vec<Comment> = Vec::new();
    // Whether the last one still grows, and whether what it is about is still to come.
    let (mut is_open, mut is_waiting) = (false, false);
    for (line, text) in (1..).zip(text.lines()) {
        let comment = text.strip_prefix('#');
        is_open &= comment.is_some();
        if let Some(last) = found.last_mut().filter(|_| is_waiting) {
            last.about = line;
            is_waiting = is_open || text.trim().is_empty();
        }
        match comment {
            Some(comment) if comment.trim() == "METADATA" => {
                found.push(Comment { line, about: line, yaml: String::new() });
                (is_open, is_waiting) = (true, true);
            }
            Some(comment) if is_open => {
                let last = found.last_mut();
                last.into_iter().for_each(|last| last.yaml.extend([comment, "\n"]));
            }
            Some(_) | None => {}
        }
    }
    found
}

impl Comment {
    /// What it says.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn read(&self) -> Result<Annotations, String> {
        if self.yaml.trim().is_empty() {
            return Ok(Annotations::default());
        }
        let value: Value = serde_saphyr::from_str(&self.yaml).map_err(|error| {
            let error = error.to_string();
            error.lines().next().unwrap_or_default().to_owned()
        })?;
        Annotations::read(value)
    }

    /// What is wrong with it, in its place; `text` is what [`Self::read`] says.
    pub(super) fn error(&self, source: &Source, text: &str) -> LoadError {
        LoadError::at(source.get_path(), source.get_contents(), self.line, 1, unreadable(text))
    }

    /// What it says under `custom.enforce`.
    ///
    /// # Errors
    /// Why it cannot be read, if it seems to say something there.
    pub(super) fn enforce(&self) -> Result<Option<String>, String> {
        if !self.yaml.contains("enforce") {
            return Ok(None);
        }
        let mut said = self.read().map_err(|text| unreadable(&text))?;
        Ok(said.custom.remove("enforce").map(|word| match word {
            Value::String(word) => word,
            other => other.to_string(),
        }))
    }
}

/// What a METADATA comment says. Keys that are not here are kept in `all`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Annotations {
    /// What it is about, in a few words.
    pub title: Option<String>,
    /// What it is about, in some sentences.
    pub description: Option<String>,
    /// `custom.severity`.
    pub severity: Option<String>,
    /// `custom.controls`: what it is there to satisfy, such as `SOC2 CC6.1`.
    pub controls: Vec<String>,
    /// `custom`, with the two above.
    pub custom: Map<String, Value>,
    /// `related_resources`: where to read on.
    pub related: Vec<String>,
}

fn unreadable(text: &str) -> String {
    format!("this METADATA cannot be read: {text}")
}

impl Annotations {
    /// The annotations of what stands on line `line` (from 1) of `text`; empty ones if it has none.
    ///
    /// # Errors
    /// What is wrong with them.
    pub(super) fn above(text: &str, line: u32) -> Result<Self, String> {
        let comment = comments(text).into_iter().find(|comment| comment.about == line);
        comment.map_or(Ok(Self::default()), |comment| comment.read())
    }

    fn read(value: Value) -> Result<Self, String> {
        let Value::Object(fields) = value else { return Err("it is not a mapping of names to values".to_owned()) };
        let custom = match fields.get("custom") {
            None | Some(Value::Null) => Map::new(),
            Some(Value::Object(custom)) => custom.clone(),
            Some(_) => return Err("`custom` is not a mapping of names to values".to_owned()),
        };
        Ok(Self {
            title: text(&fields, "title")?,
            description: text(&fields, "description")?,
            severity: text(&custom, "severity")?,
            controls: texts(&custom, "controls")?,
            related: related(&fields)?,
            custom,
        })
    }
}

fn text(fields: &Map<String, Value>, name: &str) -> Result<Option<String>, String> {
    match fields.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.trim().to_owned())),
        Some(_) => Err(format!("`{name}` is not a text")),
    }
}

fn texts(fields: &Map<String, Value>, name: &str) -> Result<Vec<String>, String> {
    let wrong = || format!("`{name}` is not a list of texts");
    match fields.get(name) {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::String(text)) => Ok(vec![text.clone()]),
        Some(Value::Array(items)) => {
            items.iter().map(|item| item.as_str().map(str::to_owned).ok_or_else(wrong)).collect()
        }
        Some(_) => Err(wrong()),
    }
}

/// Each is a text, or a mapping with a `ref`.
fn related(fields: &Map<String, Value>) -> Result<Vec<String>, String> {
    let wrong = || "`related_resources` is not a list of texts and of mappings with a `ref`".to_owned();
    let items = match fields.get("related_resources") {
        None | Some(Value::Null) => return Ok(Vec::new()),
        Some(Value::Array(items)) => items,
        Some(_) => return Err(wrong()),
    };
    let address = |item: &Value| item.as_str().or_else(|| item.get("ref")?.as_str()).map(str::to_owned);
    items.iter().map(|item| address(item).ok_or_else(wrong)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn above(comment: &str) -> Result<Annotations, String> {
        let text = format!("package holdpoint\n\n{comment}\nallow contains {{}}");
        Annotations::above(&text, u32::try_from(text.lines().count()).unwrap())
    }

    #[test]
    fn annotations_are_read_as_opa_documents_them() {
        let found = above(
            "# METADATA\n# title: Exports\n# description: >-\n#   Data leaves\n#   with consent.\n# custom:\n#   severity: high\n#   controls: [SOC2 CC6.1, NIST AC-3]\n#   team: data\n# related_resources:\n# - https://a.example\n# - ref: https://b.example\n#   description: more",
        );
        let found = found.unwrap();
        assert_eq!(found.title.as_deref(), Some("Exports"));
        assert_eq!(found.description.as_deref(), Some("Data leaves with consent."));
        assert_eq!(found.severity.as_deref(), Some("high"));
        assert_eq!(found.controls, ["SOC2 CC6.1", "NIST AC-3"]);
        assert_eq!(found.custom.get("team"), Some(&Value::from("data")));
        assert_eq!(found.related, ["https://a.example", "https://b.example"]);
    }

    #[test]
    fn what_stands_elsewhere_is_not_an_annotation() {
        for comment in
            ["", "# a comment", "# METADATA", "# METADATA\n# title: a\nx := 1", "x := 1 # METADATA\n# title: a"]
        {
            assert_eq!(above(comment), Ok(Annotations::default()), "{comment}");
        }
        // Blank lines in between are no matter, and words before the mark are none of it.
        for comment in ["# METADATA\n# title: a\n\n", "# about\n# METADATA\n# title: a"] {
            assert_eq!(above(comment).unwrap().title.as_deref(), Some("a"), "{comment}");
        }
    }

    #[test]
    fn mistakes_are_told() {
        for (comment, told) in [
            ("# METADATA\n# - a", "it is not a mapping of names to values"),
            ("# METADATA\n# title: [a]", "`title` is not a text"),
            ("# METADATA\n# custom: a", "`custom` is not a mapping of names to values"),
            ("# METADATA\n# custom: {controls: 5}", "`controls` is not a list of texts"),
            (
                "# METADATA\n# related_resources: [5]",
                "`related_resources` is not a list of texts and of mappings with a `ref`",
            ),
        ] {
            assert_eq!(above(comment), Err(told.to_owned()), "{comment}");
        }
        assert!(above("# METADATA\n# title: [a").is_err());
    }
}
