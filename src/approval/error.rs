//! Why a review, a claim or an opening was refused.

use crate::audit;
use crate::model::ApprovalId;
use crate::model::Assurance;

/// Why something said about an approval has no effect.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ApprovalError {
    /// There is none of this id.
    #[error("there is no approval `{0}`")]
    NotFound(ApprovalId),
    /// The reviewer looked at another call.
    #[error(
        "the digest `{given}` is not that of approval `{approval}`, whose call has the digest `{expected}`; look at the call again before you decide"
    )]
    DigestMismatch {
        /// The approval.
        approval: ApprovalId,
        /// What was sent.
        given: String,
        /// What it should be.
        expected: String,
    },
    /// The reviewer stands behind the caller.
    #[error(
        "`{person}` stands behind this call (as {role}), and nobody decides on their own call; ask another reviewer"
    )]
    OwnRequest {
        /// Who.
        person: String,
        /// In which way.
        role: &'static str,
    },
    /// The reviewer is in none of the groups asked for.
    #[error("`{person}` is in none of the groups that may review this call: {groups}")]
    NotReviewer {
        /// Who.
        person: String,
        /// The groups.
        groups: String,
    },
    /// The channel proves too little about who speaks.
    #[error(
        "the policy asks for the assurance `{needed}`, and this channel gives `{given}`; approve by a stronger channel"
    )]
    NeedsAssurance {
        /// What the policy asks for.
        needed: &'static str,
        /// What this channel has.
        given: &'static str,
    },
    /// The policy wants to know why.
    #[error("the policy asks for a reason with every approval; send one")]
    ReasonRequired,
    /// A question or an answer without words.
    #[error("a question or an answer needs a text; send one")]
    QuestionRequired,
    /// A text that is too long.
    #[error("the text has {given} bytes; at most {max} are accepted")]
    TextTooLong {
        /// How many bytes it has.
        given: usize,
        /// How many are accepted.
        max: usize,
    },
    /// Too much was asked already.
    #[error("{max} questions and answers stand on this approval already, and no more fit; approve or deny it")]
    ThreadFull {
        /// How many there may be.
        max: usize,
    },
    /// It is settled already.
    #[error("approval `{approval}` is {state} already; nothing was changed")]
    AlreadyDecided {
        /// The approval.
        approval: ApprovalId,
        /// Where it stands.
        state: &'static str,
    },
    /// Its time is over.
    #[error("approval `{0}` has expired; the agent has to make the call again")]
    Expired(ApprovalId),
    /// Only those behind a call may withdraw it.
    #[error("`{person}` does not stand behind this call; only those who do may withdraw it, reviewers deny instead")]
    NotRequester {
        /// Who.
        person: String,
    },
    /// Another run has it, or it is not approved.
    #[error("approval `{approval}` cannot be run: it is {state}")]
    NotClaimable {
        /// The approval.
        approval: ApprovalId,
        /// Where it stands.
        state: &'static str,
    },
    /// This run does not have it.
    #[error("the run that reports on approval `{approval}` is not the one that claimed it")]
    NotRunning {
        /// The approval.
        approval: ApprovalId,
    },
    /// The signature over its record is not ours.
    #[error("approval `{0}` carries no valid signature; its record has been changed outside of this program")]
    Forged(ApprovalId),
    /// Nobody could ever approve the call.
    #[error("nobody could ever approve this call: {0}")]
    NoReviewer(String),
    /// A part of the body is to be hidden, and nobody can tell where it is.
    #[error(
        "a part of the body is hidden from reviewers, and this body cannot be searched for it: it is not JSON or a form as its content type says, or it is longer than `limits.inspect_bytes_max`"
    )]
    NotSearchable,
    /// Too many calls wait already.
    #[error("{pending} calls of {whose} wait for approval already, and no more than {max} may")]
    TooManyPending {
        /// Whose calls.
        whose: String,
        /// How many there are.
        pending: u64,
        /// How many may be.
        max: u64,
    },
    /// The record's body has to be stored first.
    #[error("the body of the call is not stored whole with approval `{0}`")]
    BodyNotStored(ApprovalId),
    /// The bodies of calls that wait take up all that they may.
    #[error(
        "the long bodies of calls that wait for approval take up {bytes} bytes, and no more than {max} may (`limits.stored_bytes_total_max`)"
    )]
    BodiesFull {
        /// How many bytes they have.
        bytes: u64,
        /// How many they may have.
        max: u64,
    },
    /// The body cannot be read any more.
    #[error("the body of the call of approval `{0}` is not kept any more; it is kept until the approval is over")]
    BodyGone(ApprovalId),
    /// The store is away.
    #[error("approvals cannot be kept: {0}")]
    Store(String),
    /// The audit log is away.
    #[error("the audit log cannot be written: {0}")]
    Audit(String),
}

impl ApprovalError {
    /// The reason as a word for machines and metrics, from a closed set.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotFound(_) => "not-found",
            Self::DigestMismatch { .. } => "digest-mismatch",
            Self::OwnRequest { .. } => "own-request",
            Self::NotReviewer { .. } => "not-reviewer",
            Self::NeedsAssurance { .. } => "needs-step-up",
            Self::ReasonRequired => "reason-required",
            Self::QuestionRequired => "question-required",
            Self::TextTooLong { .. } => "text-too-long",
            Self::ThreadFull { .. } => "thread-full",
            Self::AlreadyDecided { .. } => "already-decided",
            Self::Expired(_) => "expired",
            Self::NotRequester { .. } => "not-requester",
            Self::NotClaimable { .. } => "not-claimable",
            Self::NotRunning { .. } => "not-running",
            Self::Forged(_) => "forged",
            Self::NoReviewer(_) => "no-eligible-reviewer",
            Self::NotSearchable => "body-not-searchable",
            Self::TooManyPending { .. } => "too-many-pending",
            Self::BodyNotStored(_) => "body-not-stored",
            Self::BodiesFull { .. } => "bodies-full",
            Self::BodyGone(_) => "body-gone",
            Self::Store(_) => "store-unavailable",
            Self::Audit(_) => "audit-unavailable",
        }
    }

    /// Every word that [`Self::code`] can say.
    pub const CODES: [&'static str; 23] = [
        "not-found",
        "digest-mismatch",
        "own-request",
        "not-reviewer",
        "needs-step-up",
        "reason-required",
        "question-required",
        "text-too-long",
        "thread-full",
        "already-decided",
        "expired",
        "not-requester",
        "not-claimable",
        "not-running",
        "forged",
        "no-eligible-reviewer",
        "body-not-searchable",
        "too-many-pending",
        "body-not-stored",
        "bodies-full",
        "body-gone",
        "store-unavailable",
        "audit-unavailable",
    ];
}

impl From<audit::Unavailable> for ApprovalError {
    fn from(error: audit::Unavailable) -> Self {
        Self::Audit(error.to_string())
    }
}

/// The word for an assurance.
pub(super) fn assurance_name(assurance: Assurance) -> &'static str {
    match assurance {
        Assurance::Chat => "chat",
        Assurance::Session => "session",
        Assurance::Stepup => "stepup",
    }
}
