//! Sign-in from a terminal. The provider is asked from here (RFC 8628); the terminal asks us.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State as Extract;
use tokio::sync::watch;

use crate::identity::oidc::DeviceCode;
use crate::identity::oidc::Provider;
use crate::identity::oidc::SignInError;
use crate::identity::oidc::SignedIn;
use crate::review::Admin;
use crate::review::api::DeviceBody;
use crate::review::api::DeviceSession;
use crate::review::api::DeviceStart;
use crate::review::api::Problem;
use crate::review::auth::Reviewer;
use crate::review::body::Object;
use crate::review::body::invalid;
use crate::review::refused::Code;
use crate::review::refused::Refused;
use crate::review::session::Carrier;
use crate::review::session::random;
use crate::review::web::Peer;

use super::establish;
use super::forget;
use super::provider;
use super::refused;

/// What came of an attempt.
pub(super) type Outcome = Arc<Result<SignedIn, SignInError>>;

/// Begins a sign-in from a terminal.
#[utoipa::path(
    post,
    path = "/v1/sign-in/device",
    operation_id = "signInDevice",
    tag = "people",
    request_body(content = Object, description = "An empty object."),
    responses(
        (status = 200, description = "What the person has to do.", body = DeviceStart),
        (status = 403, description = "The identity provider does not offer it, or the configuration does not allow it.", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "No identity provider is configured.", body = Problem, content_type = "application/problem+json"),
        (status = 429, description = "Too many are at it.", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "The identity provider does not answer.", body = Problem, content_type = "application/problem+json"),
    ),
    security(())
)]
pub(in crate::review) async fn begin(
    Extract(admin): Extract<Admin>,
    peer: Peer,
    body: Object,
) -> Result<Json<DeviceStart>, Refused> {
    body.only(&[])?;
    let provider = provider(&admin)?;
    let now = admin.state.clock.now();
    // Held until the attempt is remembered, so that no more are on their way to the provider either.
    let place = admin.desk.beginning.try_acquire();
    if place.is_err() || admin.desk.devices.is_full_for(peer.network(), now) {
        return Err(refused(&admin, &SignInError::Busy));
    }
    let code = provider.begin_device().await.map_err(|error| refused(&admin, &error))?;
    let device = random().ok_or_else(|| refused(&admin, &SignInError::NoRandomness))?;
    let start = DeviceStart {
        device: device.clone(),
        user_code: code.user_code().to_owned(),
        verification_uri: code.verification_uri().to_owned(),
        expires_in: code.expires_in().as_secs(),
        interval: INTERVAL.as_secs(),
    };
    let (tell, told) = watch::channel(None);
    admin.desk.devices.remember(&device, peer.network(), told, now);
    tokio::spawn(ask(provider, code, tell, admin.state.drain.clone()));
    Ok(Json(start))
}

/// Asks the provider until it knows, or nobody waits any more.
async fn ask(
    provider: Arc<Provider>,
    code: DeviceCode,
    tell: watch::Sender<Option<Outcome>>,
    drain: tokio_util::sync::CancellationToken,
) {
    let known = tokio::select! {
        known = provider.finish_device(&code) => known,
        () = tell.closed() => return,
        () = drain.cancelled() => return,
    };
    // Nobody waits any more: so be it.
    let _ = tell.send(Some(Arc::new(known)));
}

/// What came of a sign-in from a terminal. Waits a while before it says that nothing has.
#[utoipa::path(
    post,
    path = "/v1/sign-in/device/session",
    operation_id = "signInDeviceSession",
    tag = "people",
    request_body = DeviceBody,
    responses(
        (status = 200, description = "Nothing yet, or a session, which is told once.", body = DeviceSession),
        (status = 403, description = "Nobody has signed in, or may.", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "No identity provider is configured.", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "A field is missing, unknown or wrong.", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "The identity provider does not answer.", body = Problem, content_type = "application/problem+json"),
    ),
    security(())
)]
pub(in crate::review) async fn session(
    Extract(admin): Extract<Admin>,
    body: Object,
) -> Result<Json<DeviceSession>, Refused> {
    body.only(&["device"])?;
    let device = body.text("device")?.ok_or_else(|| invalid("`device` is missing; send that of the beginning"))?;
    let now = || admin.state.clock.now();
    let told = admin.desk.devices.look(device, now(), |told| told.clone());
    let mut told = told.ok_or_else(|| refused(&admin, &SignInError::Expired))?;
    let known = async { told.wait_for(Option::is_some).await.ok().and_then(|outcome| outcome.clone()) };
    let Ok(outcome) = tokio::time::timeout(WAIT, known).await else { return Ok(Json(pending())) };
    // Told once: of two who ask at the same time one gets it.
    admin.desk.devices.take(device, now()).ok_or_else(|| refused(&admin, &SignInError::Expired))?;
    let who = match outcome.as_deref() {
        Some(Ok(who)) => who,
        Some(Err(error)) => return Err(refused(&admin, error)),
        None => return Err(refused(&admin, &SignInError::Expired)),
    };
    let session = establish(&admin, who, Carrier::Bearer).await?;
    Ok(Json(DeviceSession {
        state: "signed-in".to_owned(),
        token: Some(session.secret),
        person: Some(session.person),
        expires: Some(session.expires),
    }))
}

/// Ends the session that asks for it.
#[utoipa::path(
    post,
    path = "/v1/sign-out",
    operation_id = "signOut",
    tag = "people",
    request_body(content = Object, description = "An empty object."),
    responses(
        (status = 200, description = "It is over.", body = Object),
        (status = 400, description = "It is no session: a reviewer's token ends in the configuration.", body = Problem, content_type = "application/problem+json"),
        (status = 401, description = "Who is asking is not known.", body = Problem, content_type = "application/problem+json"),
    ),
    security(("token" = []))
)]
pub(in crate::review) async fn leave(
    Extract(admin): Extract<Admin>,
    reviewer: Reviewer,
    body: Object,
) -> Result<Json<serde_json::Value>, Refused> {
    body.only(&[])?;
    let key = reviewer.key().ok_or_else(|| {
        Refused::new(
            Code::BadRequest,
            "a reviewer's token is no session; take it out of the files of `reviewers.tokens` to end it",
        )
    })?;
    admin.sessions.end(key);
    forget(&admin, &[key]).await?;
    Ok(Json(serde_json::json!({})))
}

fn pending() -> DeviceSession {
    DeviceSession { state: "pending".to_owned(), token: None, person: None, expires: None }
}

/// How long an answer waits for news; shorter than clients and proxies do.
const WAIT: Duration = Duration::from_secs(15);

/// How long a terminal waits before it asks again.
const INTERVAL: Duration = Duration::from_secs(1);
