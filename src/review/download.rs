//! `GET /v1/approvals/{id}/body`: the whole body of a call, as people read it.
//!
//! It is what an agent wrote, so it is a file to be saved and never a page: no browser may guess
//! what it is or show it here.

use std::io;

use axum::body::Body;
use axum::extract::State as Extract;
use axum::http::HeaderName;
use axum::http::HeaderValue;
use axum::http::header;
use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures_util::stream;

use crate::approval::ReviewBody;

use super::Admin;
use super::api::Problem;
use super::auth::Reviewer;
use super::query::Id;
use super::refused::Refused;

/// Gives out the whole body of a call.
#[utoipa::path(
    get,
    path = "/v1/approvals/{id}/body",
    operation_id = "downloadBody",
    tag = "approvals",
    params(("id" = String, Path, description = "The approval.")),
    responses(
        (status = 200, description = "The body without its content coding, byte for byte as the agent wrote it; `Repr-Digest` has its SHA-256 (RFC 9530). Verified by nobody: it may be anything.", body = String, content_type = "application/octet-stream"),
        (status = 400, description = "The path names no approval.", body = Problem, content_type = "application/problem+json"),
        (status = 401, description = "Who is asking is not known.", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "There is no such approval.", body = Problem, content_type = "application/problem+json"),
        (status = 410, description = "It is not kept any more: long bodies go when their approval is over.", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "Approvals cannot be read right now.", body = Problem, content_type = "application/problem+json"),
    ),
    security(("token" = []))
)]
pub(super) async fn download(
    Extract(admin): Extract<Admin>,
    reviewer: Reviewer,
    Id(id): Id,
) -> Result<Response, Refused> {
    let body = admin.state.approvals.body(id).await.map_err(|error| Refused::about(id, error))?;
    let body = body.ok_or_else(|| Refused::no_approval(id))?;
    let length = HeaderValue::from(body.bytes());
    let digest = format!("sha-256=:{}:", STANDARD.encode(body.sha256().as_bytes()));
    let disposition = format!("attachment; filename=\"{id}.body\"");
    let session = reviewer.session();
    let given = move || {
        let now = admin.state.clock.now();
        session.iter().for_each(|session| admin.sessions.was_given_all(*session, id, now));
    };
    let mut response = Response::new(Body::from_stream(stream::try_unfold((body, given), next)));
    let fields = [
        (header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream")),
        // Whoever gets less than this has not seen all of it, and can tell.
        (header::CONTENT_LENGTH, length),
        (header::CONTENT_DISPOSITION, HeaderValue::try_from(disposition).expect("an id is ASCII")),
        (HeaderName::from_static("repr-digest"), HeaderValue::try_from(digest).expect("Base64 is ASCII")),
    ];
    response.headers_mut().extend(fields);
    Ok(response)
}

/// The next piece; `given` hears of it when all were taken.
async fn next<F: Fn()>((mut body, given): (ReviewBody, F)) -> io::Result<Option<(bytes::Bytes, (ReviewBody, F))>> {
    match body.next_piece().await {
        Ok(Some(piece)) => Ok(Some((piece, (body, given)))),
        Ok(None) => {
            given();
            Ok(None)
        }
        Err(error) => {
            tracing::error!(%error, "a body that was being read by a reviewer was cut off");
            Err(io::Error::other(error))
        }
    }
}
