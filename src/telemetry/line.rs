//! How one log line is put together.
//!
//! Both forms are built from the same parts: time, level, sentence, and the fields of the event
//! and of the spans around it, the innermost of a name winning. Characters that a terminal or a
//! viewer would act upon are written as escapes, and keys of ours are not written at all.

use std::fmt;
use std::fmt::Write;

use serde_json::Map;
use serde_json::Value;
use tracing::Event;
use tracing::Level;
use tracing::Subscriber;
use tracing::field::Field;
use tracing::field::Visit;
use tracing_subscriber::fmt::FmtContext;
use tracing_subscriber::fmt::FormatEvent;
use tracing_subscriber::fmt::FormattedFields;
use tracing_subscriber::fmt::format::JsonFields;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;
use tracing_subscriber::fmt::time::SystemTime;
use tracing_subscriber::registry::LookupSpan;

use crate::config::LogFormat;

/// Writes log lines in one of the two forms.
pub(super) struct Lines(LogFormat);

impl Lines {
    pub(super) fn new(format: LogFormat) -> Self {
        Self(format)
    }
}

impl<S: Subscriber + for<'s> LookupSpan<'s>> FormatEvent<S, JsonFields> for Lines {
    fn format_event(
        &self,
        context: &FmtContext<'_, S, JsonFields>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut fields = Fields::default();
        for span in context.event_scope().into_iter().flat_map(|scope| scope.from_root()) {
            let extensions = span.extensions();
            let formatted = extensions.get::<FormattedFields<JsonFields>>().map(|formatted| formatted.fields.as_str());
            // What cannot be read back was never written by `JsonFields`.
            let formatted = formatted.and_then(|text| serde_json::from_str::<Map<String, Value>>(text).ok());
            formatted.into_iter().flatten().for_each(|(name, value)| fields.put(&name, value));
        }
        event.record(&mut fields);
        let mut time = String::new();
        SystemTime.format_time(&mut Writer::new(&mut time))?;
        let metadata = event.metadata();
        let line = match self.0 {
            LogFormat::Json => json(&time, *metadata.level(), metadata.target(), fields),
            LogFormat::Pretty => pretty(&time, *metadata.level(), fields),
        };
        writeln!(writer, "{}", without_keys(&line))
    }
}

/// The sentence and the fields of a line.
#[derive(Default)]
struct Fields {
    message: String,
    rest: Map<String, Value>,
}

impl Fields {
    fn put(&mut self, name: &str, value: Value) {
        let name = if RESERVED.contains(&name) { format!("field.{name}") } else { name.to_owned() };
        self.rest.insert(name, value);
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let text = format!("{value:?}");
        if field.name() == "message" { self.message = text } else { self.put(field.name(), Value::String(text)) }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            value.clone_into(&mut self.message);
        } else {
            self.put(field.name(), value.into());
        }
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        // The whole chain, as it is read: what failed, and why.
        let mut text = value.to_string();
        let mut source = value.source();
        while let Some(cause) = source {
            text.push_str(": ");
            text.push_str(&cause.to_string());
            source = cause.source();
        }
        self.put(field.name(), text.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field.name(), value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field.name(), value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field.name(), value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field.name(), value.into());
    }
}

fn json(time: &str, level: Level, target: &str, fields: Fields) -> String {
    let text = |text: &str| Value::from(text).to_string();
    let level = level.as_str().to_ascii_lowercase();
    let mut line = format!(
        r#"{{"ts":{},"level":{},"msg":{},"target":{}"#,
        text(time),
        text(&level),
        text(&fields.message),
        text(target)
    );
    for (name, value) in &fields.rest {
        line.push(',');
        line.push_str(&text(name));
        line.push(':');
        line.push_str(&value.to_string());
    }
    line.push('}');
    // Characters beyond ASCII stand only inside of strings.
    escaped(&line, |c, line| {
        for unit in c.encode_utf16(&mut [0; 2]) {
            let _ = write!(line, "\\u{unit:04x}");
        }
    })
}

fn pretty(time: &str, level: Level, fields: Fields) -> String {
    let mut line = format!("{time} {level:<5} ");
    let rust = |c: char, line: &mut String| line.extend(c.escape_debug());
    line.push_str(&escaped(&fields.message, rust));
    for (name, value) in &fields.rest {
        let value = match value {
            Value::String(text) if is_plain(text) => text.clone(),
            Value::String(text) => escaped(&format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")), rust),
            other => other.to_string(),
        };
        let _ = write!(line, " {name}={value}");
    }
    line
}

/// Whether `text` can stand after `=` without quotation marks.
fn is_plain(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\')
}

/// `text`, where `escape` writes each character that is invisible or moves others.
fn escaped(text: &str, escape: impl Fn(char, &mut String)) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        let shown = matches!(c, '"' | '\'' | '\\') || c.escape_debug().len() == 1;
        if shown { out.push(c) } else { escape(c, &mut out) }
    }
    out
}

/// `line` without the secret part of agents' keys and reviewers' tokens. No line should hold one;
/// this is for the one that does.
fn without_keys(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(start) = rest.find("hp_") {
        let (before, key) = rest.split_at(start);
        let end = key.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(key.len());
        out.push_str(before);
        out.push_str(if end < KEY_LEN_MIN { &key[..end] } else { "hp_[redacted]" });
        rest = &key[end..];
    }
    out.push_str(rest);
    out
}

/// The parts of a line that no field can take the place of.
const RESERVED: [&str; 5] = ["ts", "level", "msg", "target", "message"];

/// The shortest text after which `hp_…` may be a whole key; names and public ids are shorter.
const KEY_LEN_MIN: usize = 40;
