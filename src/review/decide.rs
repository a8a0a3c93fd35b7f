//! What changes an approval: decisions, withdrawals and answers. All end in one function of
//! `approval`; here is only the translation.

use axum::extract::State as Extract;
use axum::http::HeaderMap;
use axum::response::Response;

use crate::approval::Approval;
use crate::approval::ApprovalError;
use crate::approval::Channel;
use crate::approval::Decide;
use crate::approval::State;
use crate::approval::Verdict;
use crate::model::ApprovalId;
use crate::model::CallDigest;
use crate::model::PersonId;

use super::Admin;
use super::api::CancelBody;
use super::api::DecisionBody;
use super::api::Detail;
use super::api::MessageBody;
use super::api::Problem;
use super::auth::Reviewer;
use super::body::Object;
use super::body::invalid;
use super::query::Id;
use super::query::short;
use super::refused::Code;
use super::refused::Refused;
use super::show;
use super::view::ASSURANCE;

/// Approves, denies, asks a question, or withdraws.
///
/// Saying the same again changes nothing and is no error.
#[utoipa::path(
    post,
    path = "/v1/approvals/{id}/decisions",
    operation_id = "decideApproval",
    tag = "approvals",
    params(
        ("id" = String, Path, description = "The approval."),
        ("If-Match" = Option<String>, Header, description = "The `ETag` of the approval that was looked at; if it has changed, nothing is done. The digest says already which call is meant, so this is seldom needed."),
        ("Idempotency-Key" = Option<String>, Header, description = "A text drawn for this request; sent again with it, the request is answered as before, for a day."),
    ),
    request_body = DecisionBody,
    responses(
        (status = 200, description = "The approval as it is now.", body = Detail),
        (status = 400, description = "The body is not JSON, or the path names no approval.", body = Problem, content_type = "application/problem+json"),
        (status = 401, description = "Who is asking is not known. Agents' keys are never accepted.", body = Problem, content_type = "application/problem+json"),
        (status = 403, description = "`own-request`, `not-reviewer`, `needs-step-up` or `not-requester`.", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "There is no such approval.", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "`already-decided`, `digest-mismatch` or `idempotency-in-flight`.", body = Problem, content_type = "application/problem+json"),
        (status = 410, description = "It has expired.", body = Problem, content_type = "application/problem+json"),
        (status = 412, description = "The approval is not as `If-Match` says.", body = Problem, content_type = "application/problem+json"),
        (status = 413, description = "The body is too long.", body = Problem, content_type = "application/problem+json"),
        (status = 415, description = "The body is not `application/json`.", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "A field is missing, unknown or wrong; a reason is required; or the key belongs to another request.", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "The store or the audit log is away.", body = Problem, content_type = "application/problem+json"),
    ),
    security(("token" = []))
)]
pub(super) async fn decide(
    Extract(admin): Extract<Admin>,
    reviewer: Reviewer,
    Id(id): Id,
    headers: HeaderMap,
    body: Object,
) -> Result<Response, Refused> {
    body.only(&["verdict", "digest", "reason"])?;
    show::check_match(&admin, id, &reviewer.person, &headers).await?;
    let verdict = verdict(&body)?;
    let digest = digest(&body)?;
    let reason = words(body.text("reason")?);
    let said = Said { verdict, digest, reason, channel: Channel::Api };
    let approval = perform(&admin, &reviewer.person, id, said).await?;
    show::answer(&admin, &approval, &reviewer.person).await
}

/// What a person says about an approval, whatever surface they said it on.
#[derive(Debug)]
pub(super) struct Said {
    pub(super) verdict: Verdict,
    /// The digest of the call that they have looked at. Needed for all but a withdrawal.
    pub(super) digest: Option<CallDigest>,
    pub(super) reason: Option<String>,
    pub(super) channel: Channel,
}

/// Has what `person` says take effect. Saying the same again changes nothing and is no error.
///
/// # Errors
/// Why it has none.
pub(super) async fn perform(admin: &Admin, person: &PersonId, id: ApprovalId, said: Said) -> Result<Approval, Refused> {
    let Said { verdict, digest, reason, channel } = said;
    let digest = match (verdict, digest) {
        (Verdict::Withdraw, digest) => return withdraw(admin, person, id, digest, reason, channel).await,
        (Verdict::Approve | Verdict::Deny | Verdict::Ask, Some(digest)) => digest,
        (Verdict::Approve | Verdict::Deny | Verdict::Ask, None) => {
            return Err(invalid(
                "`digest` is missing; send the digest of the call that you have looked at, as `GET` of this approval shows it",
            ));
        }
    };
    if verdict == Verdict::Ask && asked_already(admin, person, id, digest, reason.as_deref()).await? {
        return read(admin, id).await;
    }
    let person = person.clone();
    let decide = Decide { id, digest, person, verdict, channel, assurance: ASSURANCE, reason };
    admin.state.approvals.decide(decide).await.map_err(|error| Refused::about(id, error))
}

/// Withdraws a call; only for those who stand behind it.
#[utoipa::path(
    post,
    path = "/v1/approvals/{id}/cancel",
    operation_id = "cancelApproval",
    tag = "approvals",
    params(
        ("id" = String, Path, description = "The approval."),
        ("Idempotency-Key" = Option<String>, Header, description = "A text drawn for this request; sent again with it, the request is answered as before, for a day."),
    ),
    request_body = CancelBody,
    responses(
        (status = 200, description = "The approval as it is now.", body = Detail),
        (status = 401, description = "Who is asking is not known.", body = Problem, content_type = "application/problem+json"),
        (status = 403, description = "`not-requester`.", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "There is no such approval.", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "`already-decided`.", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "A field is unknown or wrong.", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "The store or the audit log is away.", body = Problem, content_type = "application/problem+json"),
    ),
    security(("token" = []))
)]
pub(super) async fn cancel(
    Extract(admin): Extract<Admin>,
    reviewer: Reviewer,
    Id(id): Id,
    body: Object,
) -> Result<Response, Refused> {
    body.only(&["reason"])?;
    let reason = words(body.text("reason")?);
    let said = Said { verdict: Verdict::Withdraw, digest: None, reason, channel: Channel::Api };
    let approval = perform(&admin, &reviewer.person, id, said).await?;
    show::answer(&admin, &approval, &reviewer.person).await
}

/// Answers the open question; only for those who stand behind the call.
#[utoipa::path(
    post,
    path = "/v1/approvals/{id}/messages",
    operation_id = "answerApproval",
    tag = "approvals",
    params(
        ("id" = String, Path, description = "The approval."),
        ("Idempotency-Key" = Option<String>, Header, description = "A text drawn for this request; sent again with it, the request is answered as before, for a day."),
    ),
    request_body = MessageBody,
    responses(
        (status = 200, description = "The approval as it is now.", body = Detail),
        (status = 401, description = "Who is asking is not known.", body = Problem, content_type = "application/problem+json"),
        (status = 403, description = "`not-requester`.", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "There is no such approval.", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "`already-decided` or `no-open-question`.", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "A field is missing, unknown or wrong.", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "The store or the audit log is away.", body = Problem, content_type = "application/problem+json"),
    ),
    security(("token" = []))
)]
pub(super) async fn answer(
    Extract(admin): Extract<Admin>,
    reviewer: Reviewer,
    Id(id): Id,
    body: Object,
) -> Result<Response, Refused> {
    body.only(&["text"])?;
    let text = words(body.text("text")?).ok_or_else(|| invalid("`text` is missing; send the answer"))?;
    let approval = say(&admin, &reviewer.person, id, text).await?;
    show::answer(&admin, &approval, &reviewer.person).await
}

/// Has `person` answer the open question.
///
/// # Errors
/// Why they cannot.
pub(super) async fn say(admin: &Admin, person: &PersonId, id: ApprovalId, text: String) -> Result<Approval, Refused> {
    let approval = read(admin, id).await?;
    let people = admin.state.approvals.people();
    // Whether there is a question is nobody's business who may not answer it.
    if approval.stands_behind(person, &people) && approval.state == State::Pending && approval.open_question().is_none()
    {
        let detail = format!("approval `{id}` has no open question; nothing was changed");
        return Err(Refused::new(Code::NoOpenQuestion, detail));
    }
    let answered = admin.state.approvals.answer(id, person, text).await;
    answered.map_err(|error| Refused::about(id, error))
}

async fn withdraw(
    admin: &Admin,
    person: &PersonId,
    id: ApprovalId,
    digest: Option<CallDigest>,
    reason: Option<String>,
    channel: Channel,
) -> Result<Approval, Refused> {
    let approval = read(admin, id).await?;
    if let Some(given) = digest.filter(|digest| *digest != approval.digest) {
        let (given, expected) = (given.short(), approval.digest.short());
        return Err(Refused::about(id, ApprovalError::DigestMismatch { approval: id, given, expected }));
    }
    let decide = Decide {
        id,
        digest: approval.digest,
        person: person.clone(),
        verdict: Verdict::Withdraw,
        channel,
        assurance: ASSURANCE,
        reason,
    };
    match admin.state.approvals.decide(decide).await {
        Ok(approval) => Ok(approval),
        // Said before, and by the same person.
        Err(ApprovalError::AlreadyDecided { .. }) if withdrawn_by(admin, person, id).await? => read(admin, id).await,
        Err(error) => Err(Refused::about(id, error)),
    }
}

async fn withdrawn_by(admin: &Admin, person: &PersonId, id: ApprovalId) -> Result<bool, Refused> {
    let approval = read(admin, id).await?;
    let people = admin.state.approvals.people();
    Ok(matches!(&approval.state, State::Withdrawn { by, .. } if people.same_person(by, person)))
}

/// Whether this very question is the open one: an impatient second click asks nothing new.
async fn asked_already(
    admin: &Admin,
    person: &PersonId,
    id: ApprovalId,
    digest: CallDigest,
    text: Option<&str>,
) -> Result<bool, Refused> {
    let approval = read(admin, id).await?;
    let people = admin.state.approvals.people();
    let same = |question: &crate::approval::ThreadMessage| {
        Some(question.text.as_str()) == text && people.same_person(&question.by, person)
    };
    Ok(approval.digest == digest && approval.state == State::Pending && approval.open_question().is_some_and(same))
}

pub(super) async fn read(admin: &Admin, id: ApprovalId) -> Result<Approval, Refused> {
    admin.state.approvals.get(id).await?.ok_or_else(|| Refused::no_approval(id))
}

fn verdict(body: &Object) -> Result<Verdict, Refused> {
    const ACCEPTED: &str = "accepted are `approve`, `deny`, `ask`, `withdraw`";
    match body.text("verdict")? {
        Some("approve") => Ok(Verdict::Approve),
        Some("deny") => Ok(Verdict::Deny),
        Some("ask") => Ok(Verdict::Ask),
        Some("withdraw") => Ok(Verdict::Withdraw),
        Some(other) => Err(invalid(format!("`verdict` is `{}`; {ACCEPTED}", short(other)))),
        None => Err(invalid(format!("`verdict` is missing; {ACCEPTED}"))),
    }
}

fn digest(body: &Object) -> Result<Option<CallDigest>, Refused> {
    let digest = body.text("digest")?.map(str::parse).transpose();
    digest.map_err(|error| invalid(format!("`digest`: {error}")))
}

/// A text with something in it.
fn words(text: Option<&str>) -> Option<String> {
    text.filter(|text| !text.trim().is_empty()).map(ToOwned::to_owned)
}
