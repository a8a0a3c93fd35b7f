//! A catalogue of a policy's rules for people who do not read Rego: auditors, owners of data, new
//! colleagues. Made of METADATA comments and of what is constant in the rules.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde_json::Value;

use super::annotations::Annotations;
use super::entries::Entry;
use super::inspection::Inspection;

/// In which language to write the catalogue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CatalogFormat {
    /// CommonMark with tables.
    Markdown,
    /// One page that needs nothing else.
    Html,
}

impl Inspection {
    /// The catalogue of all rules.
    pub fn catalog(&self, format: CatalogFormat) -> String {
        let rows: Vec<Row> = self.entries().iter().map(Row::of).collect();
        let digest = self.policy.digest().to_string();
        match format {
            CatalogFormat::Markdown => markdown(&rows, &digest),
            CatalogFormat::Html => html(&rows, &digest),
        }
    }
}

/// One rule.
struct Row {
    kind: String,
    name: String,
    place: String,
    notes: Annotations,
    /// What it asks for: names and values.
    asks: Vec<(String, String)>,
}

impl Row {
    fn of(entry: &Entry<'_>) -> Self {
        let constants = entry.constants.iter().filter(|(key, _)| !matches!(key.as_str(), "rule" | "enforce"));
        let mut asks: Vec<(String, String)> = constants.map(|(key, value)| (key.clone(), words(value))).collect();
        let dynamic = entry.dynamic.iter().filter(|key| *key != "rule");
        asks.extend(dynamic.map(|key| (key.clone(), "depends on the call".to_owned())));
        Self {
            kind: if entry.shadow { format!("{} in shadow mode", entry.kind) } else { entry.kind.to_string() },
            name: entry.label(),
            place: format!("{}:{}", entry.file(), entry.line()),
            notes: entry.annotations(),
            asks,
        }
    }

    fn title(&self) -> &str {
        self.notes.title.as_deref().unwrap_or(&self.name)
    }
}

/// A value in words: `1 of data-owners, 1 of security`.
fn words(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(words).collect::<Vec<_>>().join(", "),
        Value::Object(fields) => match fields.get("group").and_then(Value::as_str) {
            Some(group) => format!("{} of {group}", fields.get("count").and_then(Value::as_u64).unwrap_or(1)),
            None => {
                fields.iter().map(|(name, value)| format!("{name}: {}", words(value))).collect::<Vec<_>>().join(", ")
            }
        },
        Value::Null | Value::Bool(_) | Value::Number(_) => value.to_string(),
    }
}

/// The rules under each control.
fn controls(rows: &[Row]) -> BTreeMap<&str, Vec<&Row>> {
    let mut controls: BTreeMap<&str, Vec<&Row>> = BTreeMap::new();
    for row in rows {
        row.notes.controls.iter().for_each(|control| controls.entry(control).or_default().push(row));
    }
    controls
}

fn markdown(rows: &[Row], digest: &str) -> String {
    let mut page = Page::default();
    page.line(format_args!("# Policy rules\n\nPolicy `{digest}`, {} rules.\n", rows.len()));
    page.line(format_args!("| effect | rule | title | severity | controls |\n|---|---|---|---|---|"));
    for row in rows {
        let severity = row.notes.severity.as_deref().unwrap_or_default();
        let cells = [row.kind.as_str(), &row.name, row.title(), severity, &row.notes.controls.join(", ")].map(md);
        page.line(format_args!("| {} |", cells.join(" | ")));
    }
    for row in rows {
        page.line(format_args!("\n## {}\n", md(row.title())));
        page.line(format_args!("{} rule {} in {}.", md(&row.kind), md(&row.name), md(&row.place)));
        row.notes.description.iter().for_each(|text| page.line(format_args!("\n{}", md(text))));
        if !row.asks.is_empty() {
            page.line(format_args!(""));
        }
        row.asks.iter().for_each(|(name, value)| page.line(format_args!("- {}: {}", md(name), md(value))));
        if !row.notes.related.is_empty() {
            page.line(format_args!("\nSee {}.", md(&row.notes.related.join(", "))));
        }
    }
    let controls = controls(rows);
    if !controls.is_empty() {
        page.line(format_args!("\n## Controls\n\n| control | rules |\n|---|---|"));
        for (control, rows) in controls {
            let names: Vec<&str> = rows.iter().map(|row| row.name.as_str()).collect();
            page.line(format_args!("| {} | {} |", md(control), md(&names.join(", "))));
        }
    }
    page.0
}

fn html(rows: &[Row], digest: &str) -> String {
    let mut page = Page::default();
    page.line(format_args!("{HEAD}"));
    page.line(format_args!(
        "<h1>Policy rules</h1>\n<p>Policy <code>{}</code>, {} rules.</p>",
        text(digest),
        rows.len()
    ));
    page.line(format_args!("<table><tr><th>effect<th>rule<th>title<th>severity<th>controls</tr>"));
    for (index, row) in rows.iter().enumerate() {
        page.line(format_args!(
            "<tr><td>{}<td><a href=\"#rule-{index}\">{}</a><td>{}<td>{}<td>{}</tr>",
            text(&row.kind),
            text(&row.name),
            text(row.title()),
            text(row.notes.severity.as_deref().unwrap_or_default()),
            text(&row.notes.controls.join(", "))
        ));
    }
    page.line(format_args!("</table>"));
    for (index, row) in rows.iter().enumerate() {
        page.line(format_args!("<h2 id=\"rule-{index}\">{}</h2>", text(row.title())));
        page.line(format_args!(
            "<p>{} rule <code>{}</code> in <code>{}</code>.</p>",
            text(&row.kind),
            text(&row.name),
            text(&row.place)
        ));
        row.notes.description.iter().for_each(|words| page.line(format_args!("<p>{}</p>", text(words))));
        if !row.asks.is_empty() {
            page.line(format_args!("<dl>"));
            row.asks.iter().for_each(|(name, value)| page.line(format_args!("<dt>{}<dd>{}", text(name), text(value))));
            page.line(format_args!("</dl>"));
        }
        if !row.notes.related.is_empty() {
            page.line(format_args!("<p>See {}.</p>", text(&row.notes.related.join(", "))));
        }
    }
    let controls = controls(rows);
    if !controls.is_empty() {
        page.line(format_args!("<h2>Controls</h2>\n<table><tr><th>control<th>rules</tr>"));
        for (control, rows) in controls {
            let names: Vec<&str> = rows.iter().map(|row| row.name.as_str()).collect();
            page.line(format_args!("<tr><td>{}<td>{}</tr>", text(control), text(&names.join(", "))));
        }
        page.line(format_args!("</table>"));
    }
    page.0
}

#[derive(Default)]
struct Page(String);

impl Page {
    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        writeln!(self.0, "{line}").expect("a string takes all");
    }
}

/// Text that no Markdown reader takes for anything else.
fn md(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for char in text.split_whitespace().collect::<Vec<_>>().join(" ").chars() {
        match char {
            '<' => escaped.push_str("&lt;"),
            '&' => escaped.push_str("&amp;"),
            '\\' | '`' | '*' | '_' | '[' | ']' | '#' | '|' | '!' | '~' | '>' => escaped.extend(['\\', char]),
            char => escaped.push(char),
        }
    }
    escaped
}

fn text(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            char => escaped.push(char),
        }
    }
    escaped
}

const HEAD: &str = "<!doctype html>
<html lang=\"en\">
<meta charset=\"utf-8\">
<meta name=\"viewport\" content=\"width=device-width\">
<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">
<title>Policy rules</title>
<style>
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
table { border-collapse: collapse } th, td { border: 1px solid #999; padding: .3rem .6rem; text-align: left }
dt { font-weight: bold }
</style>";
