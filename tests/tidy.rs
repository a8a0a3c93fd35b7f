//! What no compiler checks: the direction of imports between rooms, and the form of the source files.

#![allow(clippy::unwrap_used, reason = "in a test it says where the test cannot go on")]

use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::path::PathBuf;

/// The rooms; each uses only those before it.
const ROOMS: [&str; 15] = [
    "model",
    "wire",
    "classify",
    "policy",
    "identity",
    "audit",
    "approval",
    "gate",
    "credentials",
    "review",
    "proxy",
    "config",
    "telemetry",
    "server",
    "cli",
];

/// Longer files are hard to hold in one's head.
const LINES_MAX: usize = 600;

/// A source file.
struct Source {
    /// Relative to `src`, with `/`.
    path: String,
    text: String,
}

/// What is wrong, and where.
#[derive(Debug, PartialEq, Eq)]
struct Fault {
    path: String,
    line: usize,
    what: String,
}

type Rule = fn(&Source) -> Vec<Fault>;

const RULES: [(&str, Rule); 4] = [
    ("a room uses only rooms above it", uses_only_rooms_above),
    ("a file opens with what it is", opens_with_a_doc),
    ("a file is not too long", is_not_too_long),
    ("nothing is left for later", has_no_leftovers),
];

#[test]
fn the_sources_are_tidy() {
    let sources = sources();
    assert!(sources.len() > 100, "only {} files were found", sources.len());
    let mut report = String::new();
    for (name, rule) in RULES {
        for fault in sources.iter().flat_map(rule) {
            writeln!(report, "src/{}:{}: {} ({name})", fault.path, fault.line, fault.what).unwrap();
        }
    }
    assert!(report.is_empty(), "\n{report}");
}

#[test]
fn the_library_lists_the_rooms_in_order() {
    let text = fs::read_to_string(root().join("src/lib.rs")).unwrap();
    assert_eq!(modules(&text), ROOMS);
}

#[test]
fn every_folder_is_a_room() {
    let mut folders: Vec<String> = fs::read_dir(root().join("src"))
        .unwrap()
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.file_type().unwrap().is_dir())
        .map(|entry| entry.file_name().into_string().unwrap())
        .collect();
    let mut rooms = ROOMS.map(str::to_owned).to_vec();
    folders.sort();
    rooms.sort();
    assert_eq!(folders, rooms);
}

#[test]
fn each_rule_finds_what_it_is_for() {
    let long = format!("//! Long.\n{}", "fn f() {}\n".repeat(LINES_MAX));
    let cases: [(Rule, &str, &str, Option<usize>); 14] = [
        (uses_only_rooms_above, "wire/a.rs", "//! A.\nuse crate::gate::Gate;\n", Some(2)),
        (uses_only_rooms_above, "wire/a.rs", "//! A.\nfn f() { crate::wire::g(crate::cli::h()) }\n", Some(2)),
        (uses_only_rooms_above, "wire/a.rs", "//! A.\nuse crate::{model, proxy};\n", Some(2)),
        (uses_only_rooms_above, "wire/a.rs", "//! A.\npub(in crate::proxy) fn f() {}\n", Some(2)),
        (uses_only_rooms_above, "gate/a.rs", "//! A.\nuse crate::model::Call;\nuse crate::gate::Gate;\n", None),
        (uses_only_rooms_above, "wire/a.rs", "//! Used by [`crate::gate`].\n", None),
        (opens_with_a_doc, "wire/a.rs", "use std::fmt;\n", Some(1)),
        (opens_with_a_doc, "wire/a.rs", "//! A.\n", None),
        (is_not_too_long, "wire/a.rs", &long, Some(LINES_MAX + 1)),
        (is_not_too_long, "wire/tests.rs", &long, None),
        (is_not_too_long, "wire/tests/a.rs", &long, None),
        (has_no_leftovers, "wire/a.rs", "//! A.\nfn f() {} // TODO: more\n", Some(2)),
        (has_no_leftovers, "wire/a.rs", "//! A.\nfn f() { dbg!(1); }\n", Some(2)),
        (has_no_leftovers, "wire/a.rs", "//! A.\n\n/* FIXME */\n", Some(3)),
    ];
    for (rule, path, text, expected) in cases {
        let source = Source { path: path.to_owned(), text: text.to_owned() };
        let found = rule(&source);
        assert_eq!(found.first().map(|fault| fault.line), expected, "{path}: {text:.80?}: {found:?}");
    }
}

#[test]
fn a_library_in_another_order_is_noticed() {
    assert_eq!(modules("//! A.\n\npub mod wire;\n\npub mod model;\nmod own;\n"), ["wire", "model"]);
}

fn uses_only_rooms_above(source: &Source) -> Vec<Fault> {
    let Some(own) = source.path.split('/').next().and_then(place) else { return Vec::new() };
    let mut faults = Vec::new();
    for (number, line) in code_lines(&source.text) {
        for room in rooms_in(line) {
            match place(room) {
                Some(other) if other <= own => {}
                Some(_) => faults.push(source.fault(number, format!("`{}` must not use `{room}`", ROOMS[own]))),
                None => faults.push(source.fault(number, format!("`crate::{room}` is no room"))),
            }
        }
    }
    faults
}

fn opens_with_a_doc(source: &Source) -> Vec<Fault> {
    let opens = source.text.starts_with("//! ");
    if opens { Vec::new() } else { vec![source.fault(1, "it does not begin with `//!`".to_owned())] }
}

fn is_not_too_long(source: &Source) -> Vec<Fault> {
    let is_test = source.path.ends_with("/tests.rs") || source.path.contains("/tests/");
    let lines = source.text.lines().count();
    if is_test || lines <= LINES_MAX { Vec::new() } else { vec![source.fault(lines, format!("{lines} lines"))] }
}

fn has_no_leftovers(source: &Source) -> Vec<Fault> {
    let lines = source.text.lines().enumerate();
    let found = lines.flat_map(|(number, line)| {
        let words = ["TODO", "FIXME", "dbg!"].into_iter().filter(move |word| line.contains(word));
        words.map(move |word| source.fault(number + 1, format!("`{word}`")))
    });
    found.collect()
}

impl Source {
    fn fault(&self, line: usize, what: String) -> Fault {
        Fault { path: self.path.clone(), line, what }
    }
}

/// The lines that are no comments, with their numbers.
fn code_lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let lines = text.lines().enumerate().map(|(number, line)| (number + 1, line));
    lines.filter(|(_, line)| !line.trim_start().starts_with("//"))
}

/// The first segment of every path in `line` that begins with `crate::`.
fn rooms_in(line: &str) -> Vec<&str> {
    let mut rooms = Vec::new();
    for (at, word) in line.match_indices("crate::") {
        let rest = &line[at + word.len()..];
        match rest.strip_prefix('{').and_then(|group| group.split('}').next()) {
            Some(group) => rooms.extend(group.split(',').map(|path| first_segment(path.trim()))),
            None => rooms.push(first_segment(rest)),
        }
    }
    rooms
}

fn first_segment(path: &str) -> &str {
    let end = path.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    &path[..end.unwrap_or(path.len())]
}

fn place(room: &str) -> Option<usize> {
    ROOMS.iter().position(|known| *known == room)
}

/// The public modules that `text` declares, in order.
fn modules(text: &str) -> Vec<&str> {
    text.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';')).collect()
}

fn sources() -> Vec<Source> {
    let src = root().join("src");
    let mut paths = Vec::new();
    walk(&src, &mut paths);
    paths.sort();
    let read = |path: &PathBuf| Source {
        path: path.strip_prefix(&src).unwrap().to_str().unwrap().to_owned(),
        text: fs::read_to_string(path).unwrap(),
    };
    paths.iter().map(read).collect()
}

fn walk(folder: &Path, into: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            walk(&path, into);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            into.push(path);
        }
    }
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}
