//! The agent's own endpoints, under `/.well-known/holdpoint/`: what became of its calls, answers to
//! questions, and taking a call back. They never reach an upstream, and show an agent its own
//! approvals only.

use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use http::HeaderValue;
use http::Method;
use http::Response;
use http::StatusCode;
use http::header;
use serde::Deserialize;
use serde_json::Value;
use serde_json::json;

use crate::approval::Approval;
use crate::approval::ApprovalError;
use crate::approval::Approvals;
use crate::approval::State;
use crate::approval::store::Query;
use crate::gate::BodySource;
use crate::model::ApprovalId;
use crate::model::Body;
use crate::model::Principal;
use crate::model::Refusal;
use crate::model::RefusalCode;
use crate::wire::Head;

use super::answer::Answer;
use super::payload::Downstream;

/// Where they are. Nothing under it is ever sent to an upstream.
pub(super) const PREFIX: &str = "/.well-known/holdpoint/";

/// The path of one approval, for the `Location` of an answer.
pub(super) fn location(id: ApprovalId) -> String {
    format!("{PREFIX}approvals/{id}")
}

/// Answers a request of `principal` to one of the endpoints.
///
/// # Errors
/// A refusal that says what is wrong with it.
pub(super) async fn answer(
    approvals: &Approvals,
    principal: &Principal,
    method: &Method,
    head: &Head,
    headers: &HeaderMap,
    body: Downstream,
) -> Result<Response<Answer>, Refusal> {
    let rest = head.path.strip_prefix(PREFIX).unwrap_or_default();
    let segments: Vec<&str> = rest.split('/').collect();
    let query = head.query.as_deref().unwrap_or_default();
    match (segments.as_slice(), method) {
        (["approvals"], &Method::GET) => list(approvals, principal, query).await,
        (["approvals", id], &Method::GET) => show(approvals, principal, parse(id)?, headers).await,
        (["approvals", id], &Method::DELETE) => withdraw(approvals, principal, parse(id)?).await,
        (["approvals", id, "messages"], &Method::POST) => say(approvals, principal, parse(id)?, body).await,
        (["approvals"] | ["approvals", _] | ["approvals", _, "messages"], _) => Err(Refusal::new(
            RefusalCode::BadRequest,
            format!(
                "`{method}` means nothing here; GET shows, POST to `messages` answers a question, DELETE takes a call back"
            ),
        )),
        _ => Err(Refusal::new(RefusalCode::NoRoute, format!("there is nothing at `{}`", head.path))),
    }
}

async fn list(approvals: &Approvals, principal: &Principal, query: &str) -> Result<Response<Answer>, Refusal> {
    let mut wanted = Query { principal: Some(principal.id.clone()), limit: PAGE, ..Query::default() };
    for (name, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
        match name {
            "state" if State::NAMES.contains(&value) => wanted.states.push(value.to_owned()),
            "after" => wanted.after = Some(parse(value)?),
            "limit" => wanted.limit = value.parse().map_err(|_| bad(name, value, "a number from 1 to 500"))?,
            "state" => return Err(bad(name, value, &State::NAMES.join(", "))),
            _ => return Err(bad(name, value, "`state`, `after` and `limit`")),
        }
    }
    let items = approvals.list(wanted).await.map_err(|error| refused(&error))?;
    let items: Vec<Value> = items.iter().map(view).collect();
    Ok(respond(StatusCode::OK, &json!({ "items": items })))
}

/// With `Prefer: wait=30` (RFC 7240 §4.3) the answer comes when something has happened, or then.
async fn show(
    approvals: &Approvals,
    principal: &Principal,
    id: ApprovalId,
    headers: &HeaderMap,
) -> Result<Response<Answer>, Refusal> {
    // Listening first, reading second: what happens in between is not missed.
    let mut notices = approvals.subscribe();
    let mut approval = own(approvals, principal, id).await?;
    let seen = headers.get(header::IF_NONE_MATCH).and_then(|value| value.to_str().ok());
    let unchanged = seen.is_none_or(|seen| seen == etag(&approval));
    if let Some(wait) = wait(headers).filter(|_| unchanged) {
        let changed = async {
            // Whoever lags behind has missed something, so there is something to tell.
            while notices.recv().await.is_ok_and(|notice| notice.approval != id) {}
        };
        if tokio::time::timeout(wait, changed).await.is_ok() {
            approval = own(approvals, principal, id).await?;
        }
    }
    let mut response = respond(StatusCode::OK, &view(&approval));
    if let Ok(value) = HeaderValue::try_from(etag(&approval)) {
        response.headers_mut().insert(header::ETAG, value);
    }
    Ok(response)
}

async fn withdraw(approvals: &Approvals, principal: &Principal, id: ApprovalId) -> Result<Response<Answer>, Refusal> {
    own(approvals, principal, id).await?;
    let approval = approvals.withdraw_as_caller(id, &principal.id).await.map_err(|error| refused(&error))?;
    Ok(respond(StatusCode::OK, &view(&approval)))
}

async fn say(
    approvals: &Approvals,
    principal: &Principal,
    id: ApprovalId,
    mut body: Downstream,
) -> Result<Response<Answer>, Refusal> {
    own(approvals, principal, id).await?;
    let bytes = match body.read(BODY_BYTES_MAX).await? {
        Body::Read { bytes, .. } => bytes,
        Body::Absent | Body::Unread | Body::Encoded { .. } | Body::Kept { .. } => Bytes::new(),
    };
    let message: Message = serde_json::from_slice(&bytes).map_err(|error| {
        Refusal::new(RefusalCode::BadRequest, format!("the body has to be `{{\"text\": \"...\"}}`: {error}"))
    })?;
    let approval =
        approvals.answer_as_caller(id, &principal.id, message.text).await.map_err(|error| refused(&error))?;
    Ok(respond(StatusCode::OK, &view(&approval)))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Message {
    text: String,
}

/// Somebody else's approval does not exist, as far as this agent is concerned.
async fn own(approvals: &Approvals, principal: &Principal, id: ApprovalId) -> Result<Approval, Refusal> {
    let found = approvals.get(id).await.map_err(|error| refused(&error))?;
    match found {
        Some(approval) if approval.principal.id == principal.id => Ok(approval),
        Some(_) => {
            tracing::warn!(principal.id = %principal.id, approval.id = %id, "an agent asks for another agent's approval");
            Err(refused(&ApprovalError::NotFound(id)))
        }
        None => Err(refused(&ApprovalError::NotFound(id))),
    }
}

/// What an agent may know. Reviewers' names are not among it.
fn view(approval: &Approval) -> Value {
    let (reason, status) = match &approval.state {
        State::Denied { reason, .. } | State::Withdrawn { reason, .. } => (reason.clone(), None),
        State::Completed { status, .. } => (None, Some(*status)),
        State::Unknown { reason, .. } | State::Failed { reason, .. } => (Some(reason.clone()), None),
        State::Pending
        | State::Approved { .. }
        | State::Forwarding { .. }
        | State::Expired { .. }
        | State::Revoked { .. }
        | State::Lapsed { .. } => (None, None),
    };
    json!({
        "id": approval.id,
        "state": approval.state.name(),
        "request": { "method": approval.line.method, "authority": approval.line.authority, "target": approval.line.target },
        "upstream": approval.upstream.name,
        "digest": approval.digest,
        "created_at": approval.created,
        "expires_at": approval.expires,
        "held_because": approval.obligations.reasons,
        "question": approval.open_question().map(|message| message.text.as_str()),
        "reason": reason,
        "upstream_status": status,
        "connected": approval.caller.is_some(),
        "next": next(approval),
    })
}

fn next(approval: &Approval) -> &'static str {
    match &approval.state {
        State::Pending if approval.open_question().is_some() => {
            "answer the question: POST {\"text\": ...} to messages, or send the call again with Approval-Reason"
        }
        State::Pending => "wait; send the same call again to wait on its connection",
        State::Approved { .. } => "send the same call again: it runs at once",
        State::Forwarding { .. } => "wait: the call is under way",
        State::Completed { .. } => "nothing: the call has run",
        State::Failed { .. } => "nothing was sent; send the call again to ask anew",
        State::Unknown { .. } => "check whether the call has run before you send it again",
        State::Denied { .. } => "do not send it again unchanged",
        State::Expired { .. } | State::Lapsed { .. } => "nothing was sent; send the call again to ask anew",
        State::Withdrawn { .. } | State::Revoked { .. } => "nothing was sent",
    }
}

fn respond(status: StatusCode, value: &Value) -> Response<Answer> {
    let mut response = Response::new(Answer::own(Bytes::from(format!("{value}\n"))));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

fn etag(approval: &Approval) -> String {
    format!("\"{}\"", approval.version)
}

fn wait(headers: &HeaderMap) -> Option<Duration> {
    let prefer = headers.get("prefer")?.to_str().ok()?;
    let seconds = prefer.split([',', ';']).find_map(|part| part.trim().strip_prefix("wait="))?;
    Some(Duration::from_secs(seconds.parse().ok()?).min(WAIT_MAX))
}

fn parse(text: &str) -> Result<ApprovalId, Refusal> {
    text.parse().map_err(|error| Refusal::new(RefusalCode::BadRequest, format!("{error}")))
}

fn bad(name: &str, value: &str, accepted: &str) -> Refusal {
    let value: String = value.chars().take(80).collect();
    Refusal::new(RefusalCode::BadRequest, format!("the query `{name}={value}` is not accepted; accepted: {accepted}"))
}

fn refused(error: &ApprovalError) -> Refusal {
    let code = match error {
        ApprovalError::NotFound(_) => RefusalCode::NoRoute,
        ApprovalError::Store(_) => RefusalCode::StoreUnavailable,
        ApprovalError::Audit(_) => RefusalCode::AuditUnavailable,
        _ => RefusalCode::BadRequest,
    };
    Refusal::new(code, error.to_string())
}

const PAGE: usize = 50;
const BODY_BYTES_MAX: u64 = 16 * 1024;
/// Longer than this no long poll lasts; proxies and load balancers cut them off.
const WAIT_MAX: Duration = Duration::from_secs(60);
