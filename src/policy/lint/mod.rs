//! What `policy check` finds beyond what the loader refuses: rules that can never matter, and
//! those that say something else than their author may think.
//!
//! Everything here is careful: what it tells is so, and what it does not tell may still be.

mod conditions;
mod relations;

use super::error::LoadError;
use super::inspection::Inspection;

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// It cannot be what is meant.
    Error,
    /// It may be what is meant.
    Warning,
}

/// One thing that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// A word for scripts, such as `unreachable`.
    pub code: &'static str,
    /// What and where it is.
    pub error: LoadError,
}

impl Finding {
    /// What the loader refuses.
    pub fn refused(error: LoadError) -> Self {
        Self { severity: Severity::Error, code: "invalid", error }
    }

    fn error(code: &'static str, error: LoadError) -> Self {
        Self { severity: Severity::Error, code, error }
    }

    fn warning(code: &'static str, error: LoadError) -> Self {
        Self { severity: Severity::Warning, code, error }
    }
}

impl Inspection {
    /// Everything that is worth a look, in the order of the files.
    pub fn findings(&self) -> Vec<Finding> {
        let mut findings = Vec::new();
        conditions::check(&self.modules, &mut findings);
        relations::check(self, &mut findings);
        findings.sort_by(|a, b| {
            let key = |finding: &Finding| (finding.error.file.clone(), finding.error.line, finding.error.column);
            key(a).cmp(&key(b))
        });
        findings.dedup();
        findings
    }
}
