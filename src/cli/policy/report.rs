//! Findings as people read them in a terminal: the source with a mark under what it is about.

use std::fmt;
use std::io::IsTerminal;

use miette::Diagnostic;
use miette::GraphicalReportHandler;
use miette::GraphicalTheme;
use miette::LabeledSpan;
use miette::NamedSource;
use miette::SourceCode;

use crate::policy::Finding;
use crate::policy::Severity;
use crate::server::PolicyFiles;

/// Writes findings, in colour where a person looks at them and NO_COLOR is not set.
pub(super) struct Reporter<'a> {
    handler: GraphicalReportHandler,
    files: &'a PolicyFiles,
}

impl<'a> Reporter<'a> {
    /// For findings about `files`.
    pub(super) fn new(files: &'a PolicyFiles) -> Self {
        let is_plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let is_seen = std::io::stderr().is_terminal();
        let theme = if is_plain || !is_seen { GraphicalTheme::unicode_nocolor() } else { GraphicalTheme::unicode() };
        let handler = GraphicalReportHandler::new_themed(theme).with_links(false).with_width(WIDTH);
        Self { handler, files }
    }

    /// The text of one finding.
    pub(super) fn text(&self, finding: &Finding) -> String {
        let files = self.files.rego.iter().chain(&self.files.data);
        let source = files.into_iter().find(|source| source.path == finding.error.file);
        let source = source.map(|source| NamedSource::new(&source.path, source.text.clone()).with_language("Rego"));
        let mut text = String::new();
        let shown = Shown { finding, source };
        // A string takes all that is written to it.
        let _ = self.handler.render_report(&mut text, &shown);
        text.trim_end().to_owned()
    }
}

struct Shown<'a> {
    finding: &'a Finding,
    source: Option<NamedSource<String>>,
}

impl fmt::Debug for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.finding, f)
    }
}

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let error = &self.finding.error;
        match (error.line, error.file.is_empty()) {
            (0, false) => write!(f, "{}: {}", error.file, error.message),
            _ => f.write_str(&error.message),
        }
    }
}

impl std::error::Error for Shown<'_> {}

impl Diagnostic for Shown<'_> {
    fn code<'b>(&'b self) -> Option<Box<dyn fmt::Display + 'b>> {
        Some(Box::new(self.finding.code))
    }

    fn severity(&self) -> Option<miette::Severity> {
        Some(match self.finding.severity {
            Severity::Error => miette::Severity::Error,
            Severity::Warning => miette::Severity::Warning,
        })
    }

    fn help<'b>(&'b self) -> Option<Box<dyn fmt::Display + 'b>> {
        self.finding.error.hint.as_ref().map(|hint| Box::new(hint) as Box<dyn fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.source.as_ref().filter(|_| self.finding.error.line > 0).map(|source| source as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let error = &self.finding.error;
        let text = self.source.as_ref()?.inner();
        let line = usize::try_from(error.line).ok()?.checked_sub(1)?;
        let start: usize = text.split_inclusive('\n').take(line).map(str::len).sum();
        let bytes = |text: &str, chars: u32| text.chars().take(chars as usize).map(char::len_utf8).sum::<usize>();
        let rest = text.get(start..)?;
        let from = bytes(rest, error.column.saturating_sub(1));
        let length = bytes(rest.get(from..)?, error.width.max(1));
        Some(Box::new(std::iter::once(LabeledSpan::underline((start + from, length)))))
    }
}

/// How wide reports are, in columns.
const WIDTH: usize = 110;
