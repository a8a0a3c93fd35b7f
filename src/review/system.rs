//! What operators and machines ask: who am I, is it alive, what are the figures.

use axum::Json;
use axum::extract::State as Extract;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::response::Response;
use prometheus::TextEncoder;

use super::Admin;
use super::api::Me;
use super::api::Problem;
use super::auth::Reviewer;
use super::refused::Code;
use super::refused::Refused;

/// Says who you are, by your token.
#[utoipa::path(
    get,
    path = "/v1/me",
    operation_id = "me",
    tag = "people",
    responses(
        (status = 200, description = "You.", body = Me),
        (status = 401, description = "Who is asking is not known.", body = Problem, content_type = "application/problem+json"),
    ),
    security(("token" = []))
)]
pub(super) async fn me(Extract(admin): Extract<Admin>, reviewer: Reviewer) -> Json<Me> {
    let people = admin.state.approvals.people();
    let groups = people.groups_of(&reviewer.person).map(ToOwned::to_owned).collect();
    Json(Me { person: reviewer.person.to_string(), groups, session_expires: reviewer.expires() })
}

/// This document.
#[utoipa::path(
    get,
    path = "/v1/openapi.json",
    operation_id = "openapi",
    tag = "system",
    responses((status = 200, description = "OpenAPI 3.1.", body = Object, content_type = "application/json")),
    security(())
)]
pub(super) async fn openapi(Extract(admin): Extract<Admin>) -> Response {
    ([(CONTENT_TYPE, "application/json")], admin.openapi.clone()).into_response()
}

/// The latest signed checkpoint of the audit log, a C2SP signed note.
#[utoipa::path(
    get,
    path = "/log/checkpoint",
    operation_id = "checkpoint",
    tag = "audit",
    responses(
        (status = 200, description = "The checkpoint.", body = String, content_type = "text/plain"),
        (status = 404, description = "There is none yet.", body = Problem, content_type = "application/problem+json"),
    ),
    security(())
)]
pub(super) async fn checkpoint(Extract(admin): Extract<Admin>) -> Result<Response, Refused> {
    let note = admin.state.log.checkpoint();
    let note = note.ok_or_else(|| Refused::new(Code::NotFound, "no checkpoint has been signed yet; ask again soon"))?;
    Ok(text(note))
}

/// The figures of this process, in the text form of Prometheus.
#[utoipa::path(
    get,
    path = "/metrics",
    operation_id = "metrics",
    tag = "system",
    responses((status = 200, description = "The figures.", body = String, content_type = "text/plain")),
    security(())
)]
pub(super) async fn metrics(Extract(admin): Extract<Admin>) -> Result<Response, Refused> {
    let families = admin.state.registry.gather();
    let body = TextEncoder::new().encode_to_string(&families).map_err(|error| {
        tracing::error!(%error, "the figures cannot be written");
        Refused::new(Code::Internal, "the figures cannot be written; the log says more")
    })?;
    Ok(([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], body).into_response())
}

/// Whether this process runs.
#[utoipa::path(
    get,
    path = "/livez",
    operation_id = "livez",
    tag = "system",
    responses((status = 200, description = "It does.", body = String, content_type = "text/plain")),
    security(())
)]
pub(super) async fn livez() -> Response {
    text("ok\n".to_owned())
}

/// Whether this process can do its work.
#[utoipa::path(
    get,
    path = "/readyz",
    operation_id = "readyz",
    tag = "system",
    responses(
        (status = 200, description = "It can.", body = String, content_type = "text/plain"),
        (status = 503, description = "It cannot, and why.", body = Problem, content_type = "application/problem+json"),
    ),
    security(())
)]
pub(super) async fn readyz(Extract(admin): Extract<Admin>) -> Result<Response, Refused> {
    if admin.state.drain.is_cancelled() {
        return Err(Refused::new(Code::Draining, "this process is about to stop"));
    }
    (admin.state.ready)().map_err(|reasons| Refused::new(Code::NotReady, reasons))?;
    Ok(text("ok\n".to_owned()))
}

fn text(body: String) -> Response {
    ([(CONTENT_TYPE, "text/plain; charset=utf-8")], body).into_response()
}
