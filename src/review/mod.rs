//! Where reviewers answer: the admin API and the web inbox.
//!
//! Owns HTTP on the admin listener, from authentication of a person to the problem document that
//! says what went wrong. Does not own any rule about who may decide what (`approval`), nor sockets
//! and TLS (`server`). Reading never changes anything; whatever changes something needs a
//! credential that is bound to a person, and an agent's credential is refused whatever it holds.
//! Start at [`router`]; [`api`] is the contract with other programs, the CLI among them; `web` has
//! the pages.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use axum::Router;
use axum::http::HeaderMap;
use axum::http::HeaderName;
use axum::http::HeaderValue;
use axum::http::Method;
use axum::http::header;
use axum::middleware::from_fn_with_state;
use axum::response::IntoResponse;
use axum::response::Response;
use axum::routing::get;
use axum::routing::post;
use prometheus::Registry;
use tokio_util::sync::CancellationToken;
use tower_http::catch_panic::CatchPanicLayer;

use crate::approval::Approvals;
use crate::audit::Log;
use crate::identity::AgentKeyInfo;
use crate::identity::AuthMetrics;
use crate::identity::ReviewerTokens;
use crate::model::Clock;
use crate::policy::RuleInfo;

pub mod api;
pub mod pretty;

mod auth;
mod body;
mod decide;
mod download;
mod events;
mod idempotency;
mod list;
mod metrics;
mod openapi;
mod proof;
mod query;
mod refused;
mod session;
mod show;
mod sign_in;
mod streams;
mod system;
mod view;
mod web;

#[cfg(test)]
pub(crate) mod tests;

pub use metrics::Metrics;
pub use openapi::document as openapi;
pub use session::SessionSettings;
pub use sign_in::CALLBACK;
pub use sign_in::SignIn;
pub use web::Peer;

use idempotency::Answers;
use refused::Code;
use refused::Refused;
use session::Sessions;
use sign_in::Desk;
use streams::Streams;
use web::Attempts;
use web::Pasts;

/// What the admin API is made of.
#[derive(Clone)]
pub struct AdminState {
    /// The approvals.
    pub approvals: Approvals,
    /// The reviewers' tokens, as configured now.
    pub tokens: Arc<ArcSwap<ReviewerTokens>>,
    /// Who signs in with an account of the identity provider.
    pub sign_in: SignIn,
    /// Every figure of this process.
    pub registry: Registry,
    /// Counts callers who are turned away.
    pub auth_metrics: AuthMetrics,
    /// Counts what this room does.
    pub metrics: Metrics,
    /// Asks the time.
    pub clock: Clock,
    /// The audit log.
    pub log: Log,
    /// Whether this process can do its work; if not, why, in words for an operator.
    pub ready: Arc<dyn Fn() -> Result<(), String> + Send + Sync>,
    /// What the pages show of the configuration in force.
    pub facts: Arc<dyn Fn() -> Facts + Send + Sync>,
    /// Ends the event streams once this process is about to stop.
    pub drain: CancellationToken,
    /// Limits.
    pub settings: Settings,
}

impl std::fmt::Debug for AdminState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AdminState")
    }
}

/// What the pages show of the configuration in force.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// The rules of the policies.
    pub rules: Vec<RuleInfo>,
    /// The agents' keys.
    pub agents: Vec<AgentKeyInfo>,
}

/// The limits of the admin API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The longest body. Texts are at most 4 KiB, so this is ample.
    pub body_bytes_max: usize,
    /// How long a body may take to arrive.
    pub body_duration_max: Duration,
    /// Event streams of one person: a few browser tabs and terminals.
    pub streams_per_person_max: usize,
    /// Event streams of everybody; each costs a connection.
    pub streams_max: usize,
    /// How often a silent event stream says that it is alive; proxies close after 30 s or more.
    pub heartbeat_every: Duration,
    /// How often the token behind an event stream is checked again.
    pub reauthorize_every: Duration,
    /// How long reviewers stay signed in.
    pub sessions: SessionSettings,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            body_bytes_max: 64 * 1024,
            body_duration_max: Duration::from_secs(10),
            streams_per_person_max: 16,
            streams_max: 256,
            heartbeat_every: Duration::from_secs(15),
            reauthorize_every: Duration::from_secs(60),
            sessions: SessionSettings::default(),
        }
    }
}

/// What every handler gets.
type Admin = Arc<Shared>;

struct Shared {
    state: AdminState,
    streams: Arc<Streams>,
    openapi: String,
    desk: Desk,
    sessions: Arc<Sessions>,
    attempts: Attempts,
    past: Pasts,
    answers: Arc<Answers>,
}

/// The whole admin listener, without its sockets.
pub fn router(state: AdminState) -> Router {
    let streams =
        Streams::new(state.settings.streams_per_person_max, state.settings.streams_max, state.metrics.clone());
    let shared = Arc::new(Shared {
        streams: Arc::new(streams),
        openapi: openapi::json(),
        sessions: Arc::new(Sessions::new(state.settings.sessions.clone(), &state.sign_in.kept)),
        desk: Desk::default(),
        attempts: Attempts::default(),
        past: Pasts::default(),
        answers: Arc::default(),
        state,
    });
    let changing = Router::new()
        .route("/v1/approvals/{id}/decisions", post(decide::decide))
        .route("/v1/approvals/{id}/cancel", post(decide::cancel))
        .route("/v1/approvals/{id}/messages", post(decide::answer))
        .route_layer(from_fn_with_state(Arc::clone(&shared), idempotency::once));
    let router = Router::new()
        .route("/v1/approvals", get(list::list))
        .route("/v1/approvals/{id}", get(show::show))
        .route("/v1/approvals/{id}/body", get(download::download))
        .merge(changing)
        .route("/v1/approvals/{id}/events", get(events::of_one))
        .route("/v1/approvals/{id}/proof", get(proof::proof))
        .route("/v1/events", get(events::all))
        .route("/v1/me", get(system::me))
        .route("/v1/sign-in/device", post(sign_in::device::begin))
        .route("/v1/sign-in/device/session", post(sign_in::device::session))
        .route("/v1/sign-out", post(sign_in::device::leave))
        .route("/signin/oidc", get(sign_in::browser::begin))
        .route(CALLBACK, get(sign_in::browser::callback))
        .route("/signin/oidc/backchannel-logout", post(sign_in::logout::logout))
        .route("/v1/openapi.json", get(system::openapi))
        .route("/log/checkpoint", get(system::checkpoint))
        .route("/metrics", get(system::metrics))
        .route("/livez", get(system::livez))
        .route("/readyz", get(system::readyz))
        .merge(web::routes())
        .method_not_allowed_fallback(method_not_allowed)
        .fallback(unknown_route)
        .with_state(shared);
    // The outermost layers come last: a panic is answered with the same fields as all else.
    router.layer(CatchPanicLayer::custom(panicked)).layer(tower::util::MapResponseLayer::new(secure))
}

async fn unknown_route(uri: axum::http::Uri, fields: HeaderMap) -> Response {
    let path = query::short(uri.path());
    let wants_page = fields.get(header::ACCEPT).is_some_and(|accept| accept.as_bytes().starts_with(b"text/html"));
    if wants_page && !path.starts_with("/v1/") {
        return web::problem(None, &Refused::new(Code::NotFound, format!("there is nothing at `{path}`")));
    }
    Refused::new(Code::NotFound, format!("there is nothing at `{path}`; `/v1/openapi.json` lists what is"))
        .into_response()
}

async fn method_not_allowed(method: Method, uri: axum::http::Uri) -> Refused {
    let detail = format!("`{}` does not take `{method}`; the field `Allow` says what it takes", uri.path());
    Refused::new(Code::MethodNotAllowed, detail)
}

#[expect(clippy::needless_pass_by_value, reason = "the form that `CatchPanicLayer` asks for")]
fn panicked(panic: Box<dyn std::any::Any + Send>) -> Response {
    let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    tracing::error!(panic = text.unwrap_or("without a text"), "an admin request has panicked");
    Refused::new(Code::Internal, "this request has met a mistake in the program; its log says more").into_response()
}

/// Nothing that is served here may be kept or embedded, and but for the pages, which say more about
/// themselves, nothing may load or run anything.
fn secure(mut response: Response) -> Response {
    const FIELDS: [(HeaderName, &str); 5] = [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::CACHE_CONTROL, "no-store"),
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
        (header::REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ];
    let own = response.extensions_mut().remove::<web::OwnFields>().is_some();
    for (name, value) in FIELDS {
        if own && response.headers().contains_key(&name) {
            continue;
        }
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}
