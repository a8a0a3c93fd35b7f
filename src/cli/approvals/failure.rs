//! What went wrong, in words for people and as an exit code for scripts.

use std::io;

use crate::review::api::Problem;

/// The exit codes that scripts can rely on (EDGES E).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Exit {
    /// Done.
    Ok = 0,
    /// Something failed.
    Error = 1,
    /// The command line, or what was sent, makes no sense.
    Usage = 2,
    /// There is no such approval.
    NotFound = 3,
    /// You may not: not your approval to review, your own agent's call, or no valid token.
    NotPermitted = 4,
    /// Decided already, or another call than the one that was looked at.
    Conflict = 5,
    /// It needs a stronger proof of who decides.
    NeedsStepUp = 6,
    /// The time to decide is over, or the server took too long.
    Expired = 7,
    /// What was checked is not what it should be.
    NotVerified = 8,
}

/// Why a command did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::cli) struct Failure {
    pub(in crate::cli) exit: Exit,
    pub(in crate::cli) message: String,
}

impl Failure {
    pub(in crate::cli) fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: message.into() }
    }

    pub(in crate::cli) fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, message)
    }

    pub(in crate::cli) fn error(message: impl Into<String>) -> Self {
        Self::new(Exit::Error, message)
    }
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        let exit = exit_of(&problem.code, problem.status);
        let advice = match problem.code.as_str() {
            "needs-step-up" => "; this command cannot do that yet",
            "unauthenticated" => "; set --token-file or HOLDPOINT_TOKEN, or sign in with `holdpoint login`",
            "reason-required" => "; give it with -m",
            _ => "",
        };
        Self::new(exit, format!("{}{advice} ({})", problem.detail, problem.code))
    }
}

/// The exit code for the code and status of a problem. Codes that are not known are judged by
/// their status.
pub(super) fn exit_of(code: &str, status: u16) -> Exit {
    match (code, status) {
        ("needs-step-up", _) => Exit::NeedsStepUp,
        ("body-gone", _) => Exit::NotFound,
        (_, 401 | 403) => Exit::NotPermitted,
        (_, 404) => Exit::NotFound,
        (_, 409) => Exit::Conflict,
        (_, 408 | 410 | 504) => Exit::Expired,
        (_, 400 | 413 | 415 | 422) => Exit::Usage,
        _ => Exit::Error,
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        // Whoever reads our output has seen enough, as `head` does.
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Self::new(Exit::Ok, "");
        }
        Self::error(format!("the terminal cannot be used: {error}"))
    }
}
