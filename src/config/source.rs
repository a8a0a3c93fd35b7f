//! The text of the configuration, and where in it everything stands.

use std::ops::Range;
use std::path::PathBuf;

use serde_saphyr::granit_parser::Event;
use serde_saphyr::granit_parser::Parser;

/// The text of a configuration with the place of every key and value.
#[derive(Clone, Debug, Default)]
pub(super) struct Source {
    pub(super) file: PathBuf,
    text: String,
    entries: Vec<Entry>, // In the order of the text, the root first.
    unread: usize,       // Where the part begins that is not YAML; the end of the text if it all is.
}

/// One value, under its key path, such as `upstreams[0].url`.
#[derive(Clone, Debug)]
struct Entry {
    path: String,
    key: Option<Range<usize>>,
    value: Range<usize>,
    scalar: bool,
}

/// A place that a message points at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Spot {
    pub(super) path: String,
    pub(super) range: Range<usize>,
}

/// What is meant by a place in the text at which a key, a mapping and more can begin.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum At {
    /// A key.
    Key,
    /// A value, or else a key.
    Value,
    /// The value of a key, or else a value.
    ValueOfKey,
}

impl Source {
    /// Notes where everything stands in `text`, as far as it can be read.
    pub(super) fn new(file: PathBuf, text: String) -> Self {
        let (entries, unread) = entries(&text);
        Self { file, text, entries, unread }
    }

    /// What stands at the byte `offset`.
    pub(super) fn at(&self, offset: usize, at: At) -> Spot {
        let spot = |entry: &Entry, range: &Range<usize>| Spot { path: entry.path.clone(), range: range.clone() };
        let keyed = || {
            let hit = |entry: &&Entry| entry.key.as_ref().is_some_and(|key| key.contains(&offset));
            self.entries.iter().find(hit)
        };
        let by_key = || keyed().and_then(|entry| entry.key.as_ref().map(|key| spot(entry, key)));
        // Of all values that contain the place, the last one in the text is the innermost.
        let by_value = || {
            let hit = |entry: &&Entry| entry.value.contains(&offset) || entry.value.start == offset;
            self.entries.iter().rev().find(hit).map(|entry| spot(entry, &entry.value))
        };
        let found = match at {
            At::Key => by_key().or_else(by_value),
            At::Value => by_value().or_else(by_key),
            At::ValueOfKey => keyed().map(|entry| spot(entry, &entry.value)).or_else(by_value),
        };
        found.unwrap_or(Spot { path: String::new(), range: offset..offset })
    }

    /// Where `path` stands, or, if it was not written, the innermost of its parents that was.
    pub(super) fn find(&self, path: &str) -> Option<Range<usize>> {
        let mut path = path;
        loop {
            if let Some(entry) = self.entries.iter().find(|entry| entry.path == path) {
                let whole = entry.scalar || entry.key.is_none();
                return Some(if whole { entry.value.clone() } else { entry.key.clone().unwrap_or_default() });
            }
            path = &path[..path.rfind(['.', '['])?];
        }
    }

    /// The last value that ends before the byte `offset`, if it has no parts.
    pub(super) fn before(&self, offset: usize) -> Option<Spot> {
        let entry = self.entries.iter().rev().find(|entry| entry.scalar && entry.value.end <= offset)?;
        Some(Spot { path: entry.path.clone(), range: entry.value.clone() })
    }

    /// Whether the value at `path` has no parts.
    pub(super) fn is_scalar(&self, path: &str) -> bool {
        self.entries.iter().any(|entry| entry.path == path && entry.scalar)
    }

    /// Whether `word` stands at the byte `offset`.
    pub(super) fn starts_with(&self, offset: usize, word: &str) -> bool {
        self.text.get(offset..).is_some_and(|rest| rest.starts_with(word))
    }

    /// The value at `path` as it is written, if it is short.
    pub(super) fn written(&self, path: &str) -> Option<&str> {
        let entry = self.entries.iter().find(|entry| entry.path == path && entry.scalar)?;
        self.text.get(entry.value.clone()).filter(|text| text.len() <= 80)
    }

    /// Every key that stands there without a value.
    pub(super) fn without_value(&self) -> impl Iterator<Item = &str> {
        let none = |entry: &&Entry| {
            let text = self.text.get(entry.value.clone());
            entry.scalar && text.is_some_and(|text| ["", "~", "null", "Null", "NULL"].contains(&text))
        };
        self.entries.iter().filter(none).map(|entry| entry.path.as_str())
    }

    /// Line and column of the byte `offset`, counted from 1, columns in characters.
    pub(super) fn position(&self, offset: usize) -> (usize, usize) {
        let before = self.text.get(..offset.min(self.text.len())).unwrap_or(&self.text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
    }

    /// The byte at `line` and `column`, counted as in [`Self::position`].
    pub(super) fn offset(&self, line: usize, column: usize) -> usize {
        let start = match line.checked_sub(2) {
            None => 0,
            Some(newline) => {
                let newline = self.text.match_indices('\n').nth(newline);
                newline.map_or(self.text.len(), |(newline, _)| newline + 1)
            }
        };
        let rest = &self.text[start..];
        start + rest.char_indices().nth(column.saturating_sub(1)).map_or(rest.len(), |(offset, _)| offset)
    }

    /// The line that `range` begins in, or the part of it around there, with a mark under the range
    /// and without anything that may be a secret.
    pub(super) fn snippet(&self, range: &Range<usize>) -> String {
        let (line, _) = self.position(range.start);
        let start = self.offset(line, 1);
        let end = self.text[start..].find('\n').map_or(self.text.len(), |newline| start + newline);
        let marked = range.start..range.end.clamp(range.start + 1, end.max(range.start + 1));
        let from = self.text.floor_char_boundary(range.start.saturating_sub(SNIPPET_BYTES_BEFORE)).max(start);
        let to = self.text.ceil_char_boundary(from + SNIPPET_BYTES_MAX).min(end);
        let cut = |cut: bool| if cut { "…" } else { "" };
        let (mut shown, mut mark) = (cut(from > start).to_owned(), if from > start { " " } else { "" }.to_owned());
        for (offset, c) in self.text[from..to].char_indices() {
            let offset = from + offset;
            shown.push(if self.hidden(offset) { '*' } else { visible(c) });
            mark.push(if marked.contains(&offset) { '^' } else { ' ' });
        }
        if marked.start >= end {
            mark.push('^');
        }
        shown.push_str(cut(to < end));
        let number = line.to_string();
        let margin = " ".repeat(number.len());
        format!("{margin} |\n{number} | {}\n{margin} | {}", shown.trim_end(), mark.trim_end())
    }

    /// Whether the character at `offset` may be part of a secret.
    fn hidden(&self, offset: usize) -> bool {
        let known = self.entries.iter().rev().find(|entry| entry.scalar && entry.value.contains(&offset));
        match known {
            Some(entry) => {
                let text = &self.text[entry.value.clone()];
                let has_user = text.split_once("://").is_some_and(|(_, rest)| rest.contains('@'));
                has_user || (is_secret(&entry.path) && !is_reference(text))
            }
            // What could not be read, because of a mistake in the YAML itself, may be the secret that
            // belongs to the last key before it.
            None => self
                .text
                .get(self.unread..offset)
                .is_some_and(|before| SECRET_KEYS.iter().any(|key| before.contains(&format!("{key}:")))),
        }
    }
}

/// Whether the value at `path` ought to be a reference to a secret, so that whatever else stands
/// there may be the secret itself.
pub(super) fn is_secret(path: &str) -> bool {
    let last = path.rsplit('.').next().unwrap_or_default();
    let section = path.split(['.', '[']).next().unwrap_or_default();
    (section == "credentials" && last != "kind" && last != "name")
        || SECRET_KEYS.contains(&last)
        // Whatever somebody has put there in the place of a reference.
        || path.split(['.', '[']).any(|segment| segment == "client_secret")
        || last.starts_with("api_keys[")
        || last.starts_with("tokens[")
}

fn is_reference(text: &str) -> bool {
    let text = text.trim_start_matches(['"', '\'']);
    text.starts_with("file:") || text.starts_with("env:")
}

/// Characters that would move or recolour a terminal are shown as one that does not.
fn visible(c: char) -> char {
    match c {
        '\t' => ' ',
        c if c.escape_debug().len() > 1 && !matches!(c, '"' | '\'' | '\\') => '\u{fffd}',
        c => c,
    }
}

/// How much of a line is shown, and how much of it before the place that is meant.
const SNIPPET_BYTES_MAX: usize = 160;
const SNIPPET_BYTES_BEFORE: usize = 60;

/// Keys under which a reference to a secret stands.
const SECRET_KEYS: [&str; 7] = ["token", "username", "password", "value", "key", "secret", "client_secret"];

/// A collection that is not closed yet.
struct Open {
    entry: usize,
    kind: OpenKind,
}

enum OpenKind {
    Sequence {
        next: usize,
    },
    Mapping {
        key: Option<(String, Range<usize>)>,
    },
    /// A collection as a key; nothing of ours looks like that.
    Foreign,
}

/// Every value of `text`, and where that begins which could not be read.
fn entries(text: &str) -> (Vec<Entry>, usize) {
    let mut read = 0;
    let mut entries: Vec<Entry> = Vec::new();
    let mut open: Vec<Open> = Vec::new();
    for event in Parser::new_from_str(text) {
        let Ok((event, span)) = event else { break };
        let range = span.byte_range().unwrap_or_default();
        read = if event == Event::StreamEnd { text.len() } else { read.max(range.end) };
        let kind = match &event {
            Event::Scalar(value, ..) => {
                if let Some(Open { kind: OpenKind::Mapping { key: key @ None }, .. }) = open.last_mut() {
                    *key = Some((value.to_string(), range));
                    continue;
                }
                None
            }
            Event::Alias(_) => None,
            Event::SequenceStart(..) => Some(OpenKind::Sequence { next: 0 }),
            Event::MappingStart(..) => Some(OpenKind::Mapping { key: None }),
            Event::SequenceEnd | Event::MappingEnd => {
                if let Some(closed) = open.pop()
                    && let Some(entry) = entries.get_mut(closed.entry)
                {
                    entry.value.end = range.end.max(entry.value.end);
                }
                continue;
            }
            _ => continue,
        };
        let (path, key) = place(&entries, open.last_mut());
        let scalar = kind.is_none();
        if let Some(kind) = kind {
            let kind = if path.is_some() { kind } else { OpenKind::Foreign };
            open.push(Open { entry: entries.len(), kind });
        }
        entries.push(Entry { path: path.unwrap_or_else(|| "?".to_owned()), key, value: range, scalar });
    }
    // A key whose value could not be read is part of what was not read.
    if let Some(Open { kind: OpenKind::Mapping { key: Some((_, key)) }, .. }) = open.last() {
        read = key.start;
    }
    // What was still open where the text could no longer be read reaches to its end.
    for Open { entry, .. } in open {
        if let Some(entry) = entries.get_mut(entry) {
            entry.value.end = text.len();
        }
    }
    (entries, read)
}

/// The key path of the next value in `parent`, and where its key stands.
fn place(entries: &[Entry], parent: Option<&mut Open>) -> (Option<String>, Option<Range<usize>>) {
    let Some(parent) = parent else { return (Some(String::new()), None) };
    let prefix = entries.get(parent.entry).map_or("", |entry| entry.path.as_str());
    match &mut parent.kind {
        OpenKind::Sequence { next } => {
            *next += 1;
            (Some(format!("{prefix}[{}]", *next - 1)), None)
        }
        OpenKind::Mapping { key } => match key.take() {
            Some((key, range)) => (Some(join(prefix, &key)), Some(range)),
            None => (None, None),
        },
        OpenKind::Foreign => (None, None),
    }
}

/// The path of `key` in the mapping at `prefix`.
pub(super) fn join(prefix: &str, key: &str) -> String {
    if prefix.is_empty() { key.to_owned() } else { format!("{prefix}.{key}") }
}
