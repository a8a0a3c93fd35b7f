//! From the text of the file to the configuration, and from the parser's errors to ours.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use serde_saphyr::Error;
use serde_saphyr::MessageFormatter;
use serde_saphyr::Options;
use serde_saphyr::UserMessageFormatter;
use serde_saphyr::budget::BudgetBreach;

use super::Config;
use super::check;
use super::finding::ConfigError;
use super::finding::Finding;
use super::finding::Severity;
use super::source::At;
use super::source::Source;
use super::source::is_secret;
use super::source::join;
use super::text::shown;

impl Config {
    /// Reads the configuration file at `path`. Relative paths in it are relative to its directory.
    ///
    /// # Errors
    /// [`ConfigError`] if it cannot be read or used; [`ConfigError::Invalid`] says where and why.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let failed = |source| ConfigError::Read { path: path.to_owned(), source };
        let mut bytes = Vec::new();
        let file = File::open(path).map_err(failed)?;
        file.take(CONFIG_BYTES_MAX as u64 + 1).read_to_end(&mut bytes).map_err(failed)?;
        if bytes.len() > CONFIG_BYTES_MAX {
            return Err(ConfigError::TooLong { path: path.to_owned(), max: CONFIG_BYTES_MAX });
        }
        let text = String::from_utf8(bytes).map_err(|_| ConfigError::NotText(path.to_owned()))?;
        let base = path.parent().unwrap_or(Path::new(""));
        Self::parse_as(text, path, base)
    }

    /// Reads a configuration from `text`, where relative paths are relative to `base`.
    ///
    /// # Errors
    /// [`ConfigError`] if it cannot be used.
    pub fn parse(text: &str, base: &Path) -> Result<Self, ConfigError> {
        let file = base.join("holdpoint.yaml");
        if text.len() > CONFIG_BYTES_MAX {
            return Err(ConfigError::TooLong { path: file, max: CONFIG_BYTES_MAX });
        }
        Self::parse_as(text.to_owned(), &file, base)
    }

    fn parse_as(text: String, file: &Path, base: &Path) -> Result<Self, ConfigError> {
        let parsed = serde_saphyr::from_str_with_options::<Self>(&text, options());
        let source = Source::new(file.to_owned(), text);
        let mut config = parsed.map_err(|error| ConfigError::Invalid(vec![finding(&error, &source)]))?;
        config.source = Arc::new(source);
        let errors = check::errors(&config);
        if !errors.is_empty() {
            return Err(ConfigError::Invalid(errors));
        }
        config.resolve(base);
        Ok(config)
    }
}

/// The strict reading of YAML, with budgets far above any sensible configuration.
fn options() -> Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_events: 200_000,
            max_nodes: 100_000,
            max_depth: 32,
            flow_nesting_limit: 32,
            max_documents: 1,
            max_aliases: 1_000,
            max_anchors: 1_000,
            max_merge_keys: 1_000,
            max_recorded_anchor_events: 100_000,
            max_total_scalar_bytes: 4 * CONFIG_BYTES_MAX,
        },
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: 50_000,
            max_replay_stack_depth: 8,
        },
        strict_booleans: true,
        reject_unsupported_tags: true,
        reject_tagged_field_names: true,
        with_snippet: false,
    }
}

fn finding(error: &Error, source: &Source) -> Finding {
    let error = error.without_snippet();
    let offset = error.location().map_or(0, |location| {
        let span = location.span();
        let bytes = span.byte_offset().and_then(|offset| usize::try_from(offset).ok());
        let line = |number: u64| usize::try_from(number).unwrap_or(1);
        bytes.unwrap_or_else(|| source.offset(line(location.line()), line(location.column())))
    });
    let at = match error {
        Error::SerdeUnknownField { .. } | Error::DuplicateMappingKey { .. } => At::Key,
        // Found only once the value has been read, so that the place is that of its key.
        Error::SerdeInvalidValue { .. } | Error::SerdeInvalidType { .. } => At::ValueOfKey,
        Error::SerdeUnknownVariant { variant, .. } if !source.starts_with(offset, variant) => At::ValueOfKey,
        Error::SerdeUnknownVariant { .. } => At::Key,
        _ => At::Value,
    };
    let mut spot = source.at(offset, at);
    if spot.path.is_empty() && matches!(error, Error::Unexpected { .. }) {
        // Found only once the next thing has been read.
        spot = source.before(offset).unwrap_or(spot);
    }
    let (path, message) = match error {
        Error::SerdeMissingField { field, .. } => {
            (join(&spot.path, field), "this key is needed, and missing".to_owned())
        }
        error => (spot.path.clone(), message(error, &spot.path, source)),
    };
    let range = match error {
        Error::SerdeMissingField { .. } => spot.range.start..spot.range.start + 1,
        // A mapping or list is marked only where the mistake is, for it may reach over the whole file.
        _ if at == At::Key || source.is_scalar(&spot.path) => spot.range,
        _ => offset..offset + 1,
    };
    Finding::new(Severity::Error, source, path, &range, message)
}

/// What is wrong, in our words where the parser's would name types or lack what is accepted.
fn message(error: &Error, path: &str, source: &Source) -> String {
    let written = source.written(path);
    let value = written.filter(|_| !is_secret(path)).map_or("this ".to_owned(), |text| format!("`{}` ", shown(text)));
    let expects = |what: &str| match written {
        Some("") => format!("there is no value here; write {}, or remove the key", plain(what)),
        Some(_) | None => format!("{value}does not belong here; write {}", plain(what)),
    };
    match error {
        Error::SerdeUnknownField { expected, field, .. } => unknown_key(field, expected),
        Error::DuplicateMappingKey { .. } => "this key is there twice; keep one of the two".to_owned(),
        Error::SerdeUnknownVariant { variant, expected, .. } if !is_secret(path) => {
            format!("`{}` is not accepted here; use {}", shown(variant), list(expected, "or"))
        }
        Error::SerdeUnknownVariant { expected, .. } => format!("use {}", list(expected, "or")),
        Error::SerdeInvalidType { expected, .. } | Error::SerdeInvalidValue { expected, .. } => expects(expected),
        Error::InvalidScalar { ty, .. } => expects(ty),
        Error::Unexpected { expected, .. } => expects(expected),
        Error::NullIntoString { .. } => expects("a string"),
        Error::ExpectedMappingEndAfterEnumVariantValue { .. } => "only one key can stand here".to_owned(),
        Error::UnknownAnchor { .. } => "there is no anchor of this name above".to_owned(),
        Error::MultipleDocuments { .. } | Error::Budget { breach: BudgetBreach::Documents { .. }, .. } => {
            "the file holds a second document; a configuration is one document, without `---` in between".to_owned()
        }
        Error::Budget { .. } => "the file is too large or too deep to be a configuration".to_owned(),
        Error::Eof { .. } => "the file holds no configuration; `holdpoint config schema` tells what one has".to_owned(),
        Error::Message { msg, .. } => msg.clone(),
        Error::AliasError { error, .. } => message(error, path, source),
        error => UserMessageFormatter.format_message(error).into_owned(),
    }
}

fn unknown_key(key: &str, expected: &[&'static str]) -> String {
    let near = expected.iter().map(|known| (distance(key, known), known)).min();
    match near {
        Some((distance, known)) if distance <= 2 => format!("there is no such key here; did you mean `{known}`?"),
        Some(_) => format!("there is no such key here; there are {}", list(expected, "and")),
        None => "no key belongs here".to_owned(),
    }
}

fn list(words: &[&str], conjunction: &str) -> String {
    let words: Vec<_> = words.iter().map(|word| format!("`{word}`")).collect();
    match words.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} {conjunction} {last}", rest.join(", ")),
        _ => words.concat(),
    }
}

/// What is expected, in words that are not those of Rust.
fn plain(expected: &str) -> &str {
    match expected {
        "a string" | "string scalar" | "String" => "a text",
        "u32" | "a nonzero u32" | "unsigned integer" => "a whole number from 1 to 4294967295",
        "usize" | "a nonzero usize" => "a whole number, at least 1",
        "a sequence" | "sequence start" => "a list",
        "a map" | "mapping start" => "a mapping (`key: value`)",
        _ if expected.starts_with("struct ") => "a mapping (`key: value`)",
        other => other,
    }
}

/// How many letters must be changed, added, removed or swapped at most (Levenshtein).
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, l) in left.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, r) in right.iter().enumerate() {
            let changed = diagonal + usize::from(l != *r);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row.last().copied().unwrap_or_default()
}

/// The most bytes that a configuration can have: ten thousand upstreams fit in.
const CONFIG_BYTES_MAX: usize = 1 << 20;
