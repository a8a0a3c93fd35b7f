//! Signing in with a reviewer's own token, and out again.

use askama::Template;
use axum::extract::Request;
use axum::extract::State as Extract;
use axum::http::HeaderValue;
use axum::http::StatusCode;
use axum::http::Uri;
use axum::http::header;
use axum::response::IntoResponse;
use axum::response::Redirect;
use axum::response::Response;

use axum::extract::FromRequest;
use percent_encoding::NON_ALPHANUMERIC;
use percent_encoding::utf8_percent_encode;

use crate::identity::KeyKind;
use crate::review::Admin;
use crate::review::query;
use crate::review::session::By;
use crate::review::session::Carrier;
use crate::review::session::Holder;
use crate::review::sign_in as accounts;

use super::form::Form;
use super::guard;
use super::guard::Peer;
use super::guard::Visitor;
use super::inert::Inert;
use super::moment;
use super::page;
use super::page::Frame;
use super::page::Here;

#[derive(Template)]
#[template(path = "sign_in.html")]
struct SignIn {
    frame: Frame,
    to: String,
    alert: Option<Inert>,
    /// Where the identity provider's sign-in begins, if there is one.
    provider: Option<String>,
}

fn shown(admin: &Admin, status: StatusCode, to: &str, alert: Option<String>) -> Response {
    let frame = Frame::new(None, Here::Nowhere, "Sign in");
    let to = guard::place_here(to).to_owned();
    let provider = admin.state.sign_in.provider.load().is_some();
    let provider = provider.then(|| format!("/signin/oidc?to={}", utf8_percent_encode(&to, NON_ALPHANUMERIC)));
    let page = SignIn { to, alert: alert.map(Inert::line), provider, frame: frame.clone() };
    page::render(status, &frame, &page)
}

/// `GET /sign-in`.
pub(super) async fn ask(Extract(admin): Extract<Admin>, uri: Uri) -> Response {
    let pairs = query::pairs(&uri, &["to"]).unwrap_or_default();
    let to = pairs.into_iter().next().map(|(_, to)| to).unwrap_or_default();
    shown(&admin, StatusCode::OK, &to, None)
}

/// `POST /sign-in`.
pub(super) async fn answer(Extract(admin): Extract<Admin>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let (peer, fields) = (Peer::of(&parts), parts.headers.clone());
    let form = match Form::from_request(Request::from_parts(parts, body), &admin).await {
        Ok(form) => form,
        Err(refused) => return refused,
    };
    let state = &admin.state;
    let now = state.clock.now();
    let to = form.text("to");
    if let Some(wait) = admin.attempts.wait(peer.network(), now) {
        let alert = format!("too many attempts from your address have failed; try again in {}", moment::long(wait));
        let mut response = shown(&admin, StatusCode::TOO_MANY_REQUESTS, to, Some(alert));
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(wait.as_secs() + 1));
        return response;
    }
    let token = match state.tokens.load().sign_in(form.text("token").trim(), now) {
        Ok(token) => token,
        Err(error) => {
            state.auth_metrics.failed(KeyKind::Reviewer, &error);
            admin.attempts.failed(peer.network(), now);
            return shown(&admin, StatusCode::UNAUTHORIZED, to, Some(error.to_string()));
        }
    };
    // A session that was open in this browser is not the one that goes on.
    if let Some(before) = guard::session(&admin, &fields, peer, By::Script) {
        accounts::end(&admin, before.key);
    }
    tracing::info!(person = %token.person(), "signed in to the web inbox");
    let Some(begun) = admin.sessions.begin(Holder::Token(token), Carrier::Cookie, now) else {
        let alert = "the system gives no random numbers; nobody can sign in".to_owned();
        return shown(&admin, StatusCode::INTERNAL_SERVER_ERROR, to, Some(alert));
    };
    begun.ended.into_iter().for_each(|ended| accounts::end(&admin, ended));
    let age_max = state.settings.sessions.age_max.as_secs();
    let field = guard::set_cookie(Some(&begun.secret), guard::is_secure(&admin, &fields, peer), age_max);
    with_cookie(Redirect::to(guard::place_here(to)).into_response(), &field)
}

/// `POST /sign-out`.
pub(super) async fn leave(Extract(admin): Extract<Admin>, visitor: Visitor, request: Request) -> Response {
    let fields = request.headers().clone();
    let form = match Form::from_request(request, &admin).await {
        Ok(form) => form,
        Err(refused) => return refused,
    };
    if visitor.session.made(form.text("csrf")) {
        accounts::end(&admin, visitor.session.key);
    }
    let field = guard::set_cookie(None, guard::is_secure(&admin, &fields, visitor.peer), 0);
    with_cookie(Redirect::to("/sign-in").into_response(), &field)
}

fn with_cookie(mut response: Response, field: &str) -> Response {
    if let Ok(value) = HeaderValue::try_from(field) {
        response.headers_mut().append(header::SET_COOKIE, value);
    }
    response
}
