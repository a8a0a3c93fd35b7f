//! What is wrong with a configuration, and where.

use std::fmt;
use std::io;
use std::path::PathBuf;

use super::source::Source;

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Allowed, and probably not meant.
    Warning,
    /// The configuration cannot be used.
    Error,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Warning => "warning",
            Self::Error => "error",
        })
    }
}

/// One thing that is wrong with a configuration. Shown, it takes several lines: what is wrong,
/// where, and the line of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// The file.
    pub file: PathBuf,
    /// The line, counted from 1.
    pub line: usize,
    /// The column in characters, counted from 1.
    pub column: usize,
    /// The key path, such as `upstreams[0].url`; empty where the whole file is meant.
    pub path: String,
    /// What is wrong, and what is accepted. One line, without any secret.
    pub message: String,
    /// The line of the file with a mark under the place, without any secret.
    pub snippet: String,
}

impl Finding {
    /// A finding at `range` of `source`.
    pub(super) fn new(
        severity: Severity,
        source: &Source,
        path: String,
        range: &std::ops::Range<usize>,
        message: String,
    ) -> Self {
        let (line, column) = source.position(range.start);
        let snippet = source.snippet(range);
        Self { severity, file: source.file.clone(), line, column, path, message, snippet }
    }

    /// Whether the configuration cannot be used.
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { severity, file, line, column, path, message, snippet } = self;
        write!(f, "{severity}: ")?;
        if !path.is_empty() {
            write!(f, "{path}: ")?;
        }
        let margin = " ".repeat(line.to_string().len());
        write!(f, "{message}\n{margin}--> {}:{line}:{column}\n{snippet}", file.display())
    }
}

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file could not be read.
    #[error("configuration `{path}` cannot be read; name another file with `--config`")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file is too long to be a configuration.
    #[error("configuration `{path}` has more than {max} bytes; is it the right file?")]
    TooLong {
        /// The file.
        path: PathBuf,
        /// The most there can be.
        max: usize,
    },
    /// The file is not text.
    #[error("configuration `{0}` is not UTF-8 text")]
    NotText(PathBuf),
    /// Its content is wrong.
    #[error("{}", all(.0))]
    Invalid(Vec<Finding>),
}

impl ConfigError {
    /// What is wrong with the content, if that is the reason.
    pub fn findings(&self) -> &[Finding] {
        match self {
            Self::Invalid(findings) => findings,
            Self::Read { .. } | Self::TooLong { .. } | Self::NotText(_) => &[],
        }
    }
}

fn all(findings: &[Finding]) -> String {
    findings.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n\n")
}
