//! Why a policy cannot be loaded, and why it could not answer.

use std::fmt;
use std::time::Duration;

use super::obligations::ObligationError;
use super::rules::RuleKind;

/// The longest line that is shown with an error, in bytes.
const SNIPPET_BYTES_MAX: usize = 200;

/// Everything that is wrong with a policy, so that one run of `policy check` shows it all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadErrors(pub Vec<LoadError>);

/// One thing that is wrong with a policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadError {
    /// The file, as its source named it; empty where it is about all of them.
    pub file: String,
    /// The line, from 1; 0 where it is about the whole file.
    pub line: u32,
    /// The column, from 1; 0 where it is about the whole file.
    pub column: u32,
    /// How many characters of the line it is about; 0 where that is not known.
    pub width: u32,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
    /// The line of the source that it is about.
    pub snippet: Option<String>,
}

impl LoadError {
    /// An error about the whole of `file`.
    pub(super) fn of_file(file: &str, message: impl Into<String>) -> Self {
        let message = message.into();
        Self { file: file.to_owned(), line: 0, column: 0, width: 0, message, hint: None, snippet: None }
    }

    /// An error at a line and column of `file`, whose text is `text`; a tab counts as four columns,
    /// as it does for regorus.
    pub(super) fn at(file: &str, text: &str, line: u32, column: u32, message: impl Into<String>) -> Self {
        let source = usize::try_from(line).ok().and_then(|line| text.lines().nth(line.checked_sub(1)?));
        let mut width = 1;
        let before = source.unwrap_or_default().chars().take_while(|c| {
            let is_before = width < column;
            width += if *c == '\t' { 4 } else { 1 };
            is_before
        });
        let column = u32::try_from(before.count()).unwrap_or(u32::MAX).saturating_add(1);
        // What is longer is generated, and its place says more than its text.
        let snippet = source.filter(|source| source.len() <= SNIPPET_BYTES_MAX).map(str::to_owned);
        Self { line, column, snippet, ..Self::of_file(file, message) }
    }

    /// The same, about the first line of `text`, which begins at its place.
    pub(super) fn over(mut self, text: &str) -> Self {
        let width = text.lines().next().map_or(0, |line| line.trim_end().chars().count());
        self.width = u32::try_from(width).unwrap_or(0);
        self
    }

    /// The same, with advice.
    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, line, column, width: _, message, hint, snippet } = self;
        match (file.is_empty(), *line) {
            (true, _) => write!(f, "{message}")?,
            (false, 0) => write!(f, "{file}: {message}")?,
            (false, _) => write!(f, "{file}:{line}:{column}: {message}")?,
        }
        if let Some(snippet) = snippet {
            // How wide a tab is shown is up to the reader's terminal; a space keeps the mark in place.
            let before = usize::try_from(*column).unwrap_or(1).saturating_sub(1);
            write!(f, "\n{line:>4} | {}\n     | {:before$}^", snippet.replace('\t', " "), "")?;
        }
        hint.iter().try_for_each(|hint| write!(f, "\n     = {hint}"))
    }
}

impl fmt::Display for LoadErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { "\n" };
            write!(f, "{separator}{error}")?;
        }
        Ok(())
    }
}

impl std::error::Error for LoadError {}
impl std::error::Error for LoadErrors {}

/// Why a policy could not answer for a call; the call is refused. The text is for the operator's
/// log, with the place in the source, and never for the caller.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EvaluateError {
    /// A rule failed.
    #[error("the policy failed: {0}")]
    Rego(String),
    /// The rules took too long.
    #[error("the policy took longer than {limit:?}; simplify the rule, or raise `policy.evaluation_max`: {detail}")]
    TooSlow {
        /// The limit.
        limit: Duration,
        /// Where it was, as far as that is known.
        detail: String,
    },
    /// A set does not hold objects, or an object has a key or value that cannot be used.
    #[error("an object in `{kind}` cannot be used: {error}")]
    Obligation {
        /// The set.
        kind: RuleKind,
        /// What is wrong with it.
        error: ObligationError,
    },
    /// The policy looks at the body, and the body was not read.
    #[error("the policy looks at `input.request.body`, but the body of this call was not read")]
    BodyUnread,
    /// The policy asks what was approved before, and that is not known.
    #[error("the policy looks at `input.context.approved_before`, and nobody has looked it up")]
    HistoryUnknown,
    /// The policy looks at the body, and the body is not what its content type says.
    #[error(
        "the policy looks at `input.request.body`, which cannot be read: {0}; to decide such calls yourself, look at `input.request.body_error`"
    )]
    BodyUnreadable(String),
}
