//! `GET /v1/approvals/{id}`: one approval with everything there is to know before deciding.

use axum::body::Body;
use axum::extract::State as Extract;
use axum::http::HeaderMap;
use axum::http::HeaderName;
use axum::http::HeaderValue;
use axum::http::StatusCode;
use axum::http::header;
use axum::response::IntoResponse;
use axum::response::Response;

use crate::approval::Approval;
use crate::model::ApprovalId;
use crate::model::PersonId;
use crate::model::Sha256;

use super::Admin;
use super::api::Detail;
use super::api::Problem;
use super::auth::Reviewer;
use super::query::Id;
use super::refused::Code;
use super::refused::Refused;
use super::view;
use super::view::Viewer;

/// Shows one approval, with the whole call.
#[utoipa::path(
    get,
    path = "/v1/approvals/{id}",
    operation_id = "showApproval",
    tag = "approvals",
    params(
        ("id" = String, Path, description = "The approval."),
        ("If-None-Match" = Option<String>, Header, description = "The `ETag` of an earlier answer."),
    ),
    responses(
        (status = 200, description = "The approval, with an `ETag`.", body = Detail),
        (status = 304, description = "Nothing has changed."),
        (status = 400, description = "The path names no approval.", body = Problem, content_type = "application/problem+json"),
        (status = 401, description = "Who is asking is not known.", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "There is no such approval.", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "Approvals cannot be read right now.", body = Problem, content_type = "application/problem+json"),
    ),
    security(("token" = []))
)]
pub(super) async fn show(
    Extract(admin): Extract<Admin>,
    reviewer: Reviewer,
    Id(id): Id,
    headers: HeaderMap,
) -> Result<Response, Refused> {
    let approval = admin.state.approvals.get(id).await?.ok_or_else(|| Refused::no_approval(id))?;
    let response = answer(&admin, &approval, &reviewer.person).await?;
    let tag = response.headers().get(header::ETAG).cloned();
    match tag {
        Some(tag) if names(&headers, &header::IF_NONE_MATCH, &tag) => {
            Ok((StatusCode::NOT_MODIFIED, [(header::ETAG, tag)]).into_response())
        }
        _ => Ok(response),
    }
}

/// The approval as `person` sees it.
pub(super) async fn answer(admin: &Admin, approval: &Approval, person: &PersonId) -> Result<Response, Refused> {
    let id = approval.id;
    let request = admin.state.approvals.request(id).await?.ok_or_else(|| Refused::no_approval(id))?;
    let people = admin.state.approvals.people();
    let viewer = Viewer { person, people: &people, now: admin.state.clock.now() };
    let complete = admin.state.approvals.is_complete(id, &request).await?;
    let body =
        serde_json::to_vec(&view::detail(approval, request, complete, viewer)).expect("strings and numbers are JSON");
    // What may be done differs between people and changes with time, so that the version alone
    // would not name one answer.
    let tag = format!("\"{}.{}\"", approval.version, Sha256::of(&body).short());
    let mut response = Response::new(Body::from(body));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::ETAG, HeaderValue::try_from(tag).expect("digits, a dot and quotes"));
    Ok(response)
}

/// Refuses what is to be done only to the approval as `If-Match` names it (RFC 9110 §13.1.1). Without
/// the field everything goes on.
///
/// # Errors
/// If it is another one by now.
pub(super) async fn check_match(
    admin: &Admin,
    id: ApprovalId,
    person: &PersonId,
    headers: &HeaderMap,
) -> Result<(), Refused> {
    if !headers.contains_key(header::IF_MATCH) {
        return Ok(());
    }
    let approval = admin.state.approvals.get(id).await?.ok_or_else(|| Refused::no_approval(id))?;
    let current = answer(admin, &approval, person).await?;
    if current.headers().get(header::ETAG).is_some_and(|tag| names(headers, &header::IF_MATCH, tag)) {
        return Ok(());
    }
    let detail = "the approval has changed since you looked at it; look again, and send the new `ETag` or none";
    Err(Refused::new(Code::Stale, detail))
}

/// Whether a field names this answer, as the client does that has it already (RFC 9110 §13.1.2).
fn names(headers: &HeaderMap, field: &HeaderName, tag: &HeaderValue) -> bool {
    let Ok(tag) = tag.to_str() else { return false };
    let given = headers.get_all(field).iter().filter_map(|value| value.to_str().ok());
    given
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .any(|candidate| candidate == "*" || candidate.strip_prefix("W/").unwrap_or(candidate) == tag)
}
