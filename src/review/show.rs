//! `GET /v1/approvals/{id}`: one approval with everything there is to know before deciding.

use axum::body::Body;
use axum::extract::State as Extract;
use axum::http::HeaderMap;
use axum::http::HeaderValue;
use axum::http::StatusCode;
use axum::http::header;
use axum::response::IntoResponse;
use axum::response::Response;

use crate::approval::Approval;
use crate::model::PersonId;
use crate::model::Sha256;

use super::Admin;
use super::api::Detail;
use super::api::Problem;
use super::auth::Reviewer;
use super::query::Id;
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
        Some(tag) if matches(&headers, &tag) => Ok((StatusCode::NOT_MODIFIED, [(header::ETAG, tag)]).into_response()),
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

/// Whether the client has this answer already (RFC 9110 §13.1.2).
fn matches(headers: &HeaderMap, tag: &HeaderValue) -> bool {
    let Ok(tag) = tag.to_str() else { return false };
    let given = headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    given
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .any(|candidate| candidate == "*" || candidate.strip_prefix("W/").unwrap_or(candidate) == tag)
}
