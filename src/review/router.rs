//! Which handler answers what, and what holds for every answer.

use axum::Json;
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::extract::Request;
use axum::extract::State;
use axum::middleware::Next;
use axum::response::IntoResponse;
use axum::response::Response;
use axum::routing::get;
use axum::routing::post;
use http::HeaderValue;
use http::Method;
use http::StatusCode;
use http::Uri;
use http::header;
use prometheus::Encoder;
use prometheus::TextEncoder;
use serde::Serialize;
use tower_http::catch_panic::CatchPanicLayer;
use utoipa::ToSchema;

use super::approvals;
use super::auth::Person;
use super::events;
use super::openapi;
use super::problem::Problem;
use super::state::AdminState;

/// The admin API, to be served on a listener of its own.
pub fn router(state: AdminState) -> Router {
    Router::new()
        .route("/", get(index))
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .route("/log/checkpoint", get(checkpoint))
        .route("/v1/openapi.json", get(|| async { Json(openapi::document()) }))
        .route("/v1/me", get(me))
        .route("/v1/events", get(events::all))
        .route("/v1/approvals", get(approvals::list))
        .route("/v1/approvals/{id}", get(approvals::show))
        .route("/v1/approvals/{id}/events", get(events::one))
        .route("/v1/approvals/{id}/decisions", post(approvals::decide))
        .route("/v1/approvals/{id}/cancel", post(approvals::cancel))
        .route("/v1/approvals/{id}/messages", post(approvals::say))
        .fallback(nothing_here)
        .method_not_allowed_fallback(wrong_method)
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(axum::middleware::from_fn(guard))
        .layer(CatchPanicLayer::custom(panicked))
        .with_state(state)
}

/// Who you are.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Me {
    /// Your name, as the configuration has it.
    person: String,
    /// The reviewer groups that you are in.
    groups: Vec<String>,
}

/// Who you are
#[utoipa::path(get, path = "/v1/me", tag = "me", responses((status = 200, body = Me), (status = 401, body = Problem)))]
pub(super) async fn me(State(state): State<AdminState>, Person(person): Person) -> Json<Me> {
    let people = state.approvals.people();
    let groups = people.groups_of(&person).map(ToOwned::to_owned).collect();
    Json(Me { person: people.canonical_person(&person).to_string(), groups })
}

async fn index() -> &'static str {
    "Holdpoint admin API.\n\n\
     GET  /v1/approvals?state=pending      what waits\n\
     GET  /v1/approvals/{id}               the whole call\n\
     POST /v1/approvals/{id}/decisions     {\"verdict\": \"approve\", \"digest\": \"sha256:...\"}\n\
     GET  /v1/events                       what happens, as it happens\n\
     GET  /v1/openapi.json                 all of it\n\n\
     On a terminal: holdpoint approvals --help\n"
}

async fn ready(State(state): State<AdminState>) -> Response {
    match (state.ready)() {
        Ok(()) => "ready\n".into_response(),
        Err(reason) => {
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, "not-ready", "Calls cannot be served", reason).into_response()
        }
    }
}

async fn metrics(State(state): State<AdminState>) -> Response {
    let encoder = TextEncoder::new();
    let mut text = Vec::new();
    match encoder.encode(&state.registry.gather(), &mut text) {
        Ok(()) => ([(header::CONTENT_TYPE, encoder.format_type().to_owned())], text).into_response(),
        Err(error) => {
            tracing::error!(%error, "the metrics cannot be written");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

async fn checkpoint(State(state): State<AdminState>) -> Result<String, Problem> {
    state.log.checkpoint().ok_or_else(|| Problem::not_found("the log has no checkpoint yet; it will in a moment"))
}

async fn nothing_here(uri: Uri) -> Problem {
    let path: String = uri.path().chars().take(120).collect();
    Problem::not_found(format!("there is nothing at `{path}`; `/v1/openapi.json` describes what there is"))
}

async fn wrong_method(method: Method, uri: Uri) -> Problem {
    let detail = format!("`{method}` means nothing at `{}`; `Allow` names what does", uri.path());
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", "Not with this method", detail)
}

/// What holds for every answer: nothing is cached, nothing is guessed, nothing is framed.
async fn guard(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    let policy = HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'");
    headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    response
}

fn panicked(_: Box<dyn std::any::Any + Send>) -> Response {
    tracing::error!("a handler of the admin API has panicked");
    let detail = "something that should not happen did; the operator finds it in the log";
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal-error", "Something went wrong", detail).into_response()
}

/// Decisions and messages are short.
pub(super) const BODY_BYTES_MAX: usize = 64 * 1024;
