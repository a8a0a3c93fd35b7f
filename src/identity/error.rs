//! Why a caller is not known, and why a set of keys cannot be used.

use crate::model::Refusal;
use crate::model::RefusalCode;

use super::key::BadForm;
use super::key::KeyKind;

/// Why a caller is not known. No message holds any part of what was presented, apart from the
/// public id of a known key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    /// There is no credential.
    #[error("the request carries no {}; {}", name(*.0), accepted(*.0))]
    Missing(KeyKind),
    /// One field is there more than once.
    #[error("the field `{0}` is there more than once; send one credential in one field")]
    Repeated(&'static str),
    /// Different credentials in one request.
    #[error("the request carries several different credentials; send only one")]
    Several,
    /// `Authorization` has another scheme.
    #[error("the scheme of `Authorization` is not accepted here; {}", accepted(*.0))]
    Scheme(KeyKind),
    /// The credential cannot be one of ours.
    #[error("the credential is not {}; {}", named(*.0), accepted(*.0))]
    Malformed(KeyKind),
    /// The checksum of the credential does not fit.
    #[error("the {} was mistyped or cut off: its checksum does not fit", name(*.0))]
    Checksum(KeyKind),
    /// Well formed, and nobody's.
    #[error("the {} is not known; it may have been revoked", name(*.0))]
    Unknown(KeyKind),
    /// It was good until it expired.
    #[error("the {} `{id}` has expired; ask for a new one", name(*.kind))]
    Expired {
        /// Its kind.
        kind: KeyKind,
        /// Its public id.
        id: String,
    },
    /// A session that is over.
    #[error("the session is over; sign in again, with `holdpoint login` from a terminal")]
    NoSession,
    /// A key of one kind where the other belongs. The kind given is the one presented.
    #[error("{}", wrong_place(*.0))]
    WrongKind(KeyKind),
}

impl IdentityError {
    /// What the caller is told.
    pub fn refusal(&self) -> Refusal {
        Refusal::new(RefusalCode::Unauthenticated, self.to_string())
    }

    /// The reason as a metric label, from a closed set.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Missing(_) => "missing",
            Self::Repeated(_) => "repeated",
            Self::Several => "several",
            Self::Scheme(_) => "scheme",
            Self::Malformed(_) => "malformed",
            Self::Checksum(_) => "checksum",
            Self::Unknown(_) => "unknown",
            Self::Expired { .. } => "expired",
            Self::NoSession => "no_session",
            Self::WrongKind(_) => "wrong_kind",
        }
    }

    /// Every word that [`Self::reason`] can say.
    pub const REASONS: [&'static str; 10] = [
        "missing",
        "repeated",
        "several",
        "scheme",
        "malformed",
        "checksum",
        "unknown",
        "expired",
        "no_session",
        "wrong_kind",
    ];

    /// What to say about a text that is no key, where one of `kind` belongs.
    pub(super) fn bad_form(form: BadForm, kind: KeyKind) -> Self {
        match form {
            BadForm::Foreign | BadForm::Shape => Self::Malformed(kind),
            BadForm::Checksum => Self::Checksum(kind),
        }
    }
}

/// Why a set of keys cannot be used together.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeySetError {
    /// Two keys have the same id.
    #[error("the key `{0}` is listed twice; every key belongs to one holder and stands in one file")]
    Duplicate(String),
    /// A key of somebody else.
    #[error("the key `{id}` belongs to `{holder}`, but its file is listed under the principal `{principal}`")]
    OtherPrincipal {
        /// The key.
        id: String,
        /// Whom its record names.
        holder: String,
        /// Where it is listed.
        principal: String,
    },
    /// A reviewer's token among an agent's keys.
    #[error("the token `{id}` belongs to the reviewer `{reviewer}`; list its file under `reviewers.tokens`")]
    ReviewerAmongAgents {
        /// The token.
        id: String,
        /// Whose it is.
        reviewer: String,
    },
    /// An agent's key among the reviewers' tokens.
    #[error("the key `{id}` belongs to the principal `{principal}`; list its file under that principal's `api_keys`")]
    AgentAmongReviewers {
        /// The key.
        id: String,
        /// Whose it is.
        principal: String,
    },
}

fn name(kind: KeyKind) -> &'static str {
    match kind {
        KeyKind::Agent => "agent key",
        KeyKind::Reviewer => "reviewer token",
    }
}

fn named(kind: KeyKind) -> &'static str {
    match kind {
        KeyKind::Agent => "an agent key of this proxy (`hp_...`)",
        KeyKind::Reviewer => "a reviewer token (`hp_pat_...`)",
    }
}

fn accepted(kind: KeyKind) -> &'static str {
    match kind {
        KeyKind::Agent => {
            "send it as `Authorization: Bearer KEY`, `Authorization: token KEY`, the password of `Authorization: Basic`, \
             `x-api-key: KEY` or `api-key: KEY`"
        }
        KeyKind::Reviewer => "send it as `Authorization: Bearer TOKEN`",
    }
}

fn wrong_place(presented: KeyKind) -> &'static str {
    match presented {
        KeyKind::Agent => "this is an agent's key; agents can decide nothing here, only a reviewer's own token can",
        KeyKind::Reviewer => {
            "this is a reviewer's token, which never speaks for an agent; use the agent's own key, and keep the token from agents"
        }
    }
}
