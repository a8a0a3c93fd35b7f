//! The provider says that somebody's session there is over (OpenID Connect Back-Channel Logout 1.0
//! §2.5 to §2.8).

use axum::body::Body;
use axum::extract::Request;
use axum::extract::State as Extract;
use axum::http::StatusCode;
use axum::http::header;
use axum::response::IntoResponse;
use axum::response::Response;
use http_body_util::BodyExt;
use http_body_util::Limited;

use crate::review::Admin;

use super::forget;
use super::provider;

/// `POST /signin/oidc/backchannel-logout`.
pub(in crate::review) async fn logout(Extract(admin): Extract<Admin>, request: Request) -> Response {
    let settings = &admin.state.settings;
    let bad = |why: &str| {
        tracing::warn!(why, "a logout token has ended nothing");
        let body = serde_json::json!({ "error": "invalid_request", "error_description": why }).to_string();
        (StatusCode::BAD_REQUEST, [(header::CONTENT_TYPE, "application/json")], body).into_response()
    };
    let Ok(provider) = provider(&admin) else { return StatusCode::NOT_FOUND.into_response() };
    let kind = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
    if !kind.split(';').next().unwrap_or("").trim().eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        return bad("the body is no form");
    }
    let body = Limited::new(request.into_body(), settings.body_bytes_max).collect();
    let body = match tokio::time::timeout(settings.body_duration_max, body).await {
        Ok(Ok(body)) => body.to_bytes(),
        Ok(Err(_)) | Err(_) => return bad("the body is too long, or did not arrive"),
    };
    let Some(token) = logout_token(&body) else { return bad("the form has no `logout_token`, or several") };
    let over = match provider.logged_out(&token, &admin.desk.obeyed).await {
        Ok(over) => over,
        Err(error) if error.is_outage() => {
            tracing::error!(%error, "a logout token could not be checked");
            return StatusCode::SERVICE_UNAVAILABLE.into_response();
        }
        Err(error) => return bad(&error.to_string()),
    };
    let ended = admin.sessions.end_all(&over);
    // Somebody may have signed in whose terminal has not come for its session yet.
    admin.desk.devices.forget(|told| {
        told.borrow()
            .as_deref()
            .and_then(|outcome| outcome.as_ref().ok())
            .is_some_and(|who| over.is_about(&who.issuer, &who.subject, who.session.as_deref()))
    });
    tracing::info!(sessions = ended.len(), "the identity provider has ended sessions");
    if forget(&admin, &ended).await.is_err() {
        // They are over in this process, which goes on trying to tell the store.
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    (StatusCode::OK, Body::empty()).into_response()
}

fn logout_token(form: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(form).ok()?;
    let pairs = text.split('&').filter_map(|pair| pair.split_once('='));
    let mut tokens = pairs.filter(|(name, _)| *name == "logout_token").map(|(_, value)| value);
    let token = tokens.next()?;
    // A compact JWS has no character that a form has to encode.
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    (tokens.next().is_none() && token.bytes().all(plain)).then(|| token.to_owned())
}
