//! Sign-in in a browser: off to the identity provider, and back with its answer.

use axum::extract::Request;
use axum::extract::State as Extract;
use axum::http::HeaderMap;
use axum::http::HeaderValue;
use axum::http::StatusCode;
use axum::http::Uri;
use axum::http::header;
use axum::response::IntoResponse;
use axum::response::Response;

use crate::identity::oidc::Answer;
use crate::identity::oidc::Proof;
use crate::identity::oidc::SignInError;
use crate::model::Sha256;
use crate::review::Admin;
use crate::review::query;
use crate::review::refused::Refused;
use crate::review::session::By;
use crate::review::session::Carrier;
use crate::review::session::random;
use crate::review::web;
use crate::review::web::Peer;

use super::end;
use super::establish;
use super::provider;
use super::refused;

/// What has to be known when a browser is back.
pub(super) struct Waiting {
    proof: Proof,
    /// The hash of the cookie that only this browser has, so that nobody can send somebody back
    /// with an answer that is about somebody else.
    browser: Sha256,
    to: String,
}

/// `GET /signin/oidc?to=PLACE`: off to the provider. Begins an attempt and nothing else.
pub(in crate::review) async fn begin(Extract(admin): Extract<Admin>, peer: Peer, uri: Uri) -> Response {
    go(&admin, peer, &uri).await.unwrap_or_else(|refused| web::problem(None, &refused))
}

/// `GET /signin/oidc/callback`: back with the answer.
pub(in crate::review) async fn callback(Extract(admin): Extract<Admin>, request: Request) -> Response {
    let (parts, _) = request.into_parts();
    let peer = parts.extensions.get().copied().unwrap_or_default();
    let back = come(&admin, &parts.uri, &parts.headers, peer).await;
    back.unwrap_or_else(|refused| web::problem(None, &refused))
}

async fn go(admin: &Admin, peer: Peer, uri: &Uri) -> Result<Response, Refused> {
    let to = query::pairs(uri, &["to"])?.into_iter().next().map(|(_, to)| to).unwrap_or_default();
    let provider = provider(admin)?;
    let begun = provider.begin().await.map_err(|error| refused(admin, &error))?;
    let cookie = random().ok_or_else(|| refused(admin, &SignInError::NoRandomness))?;
    let browser = Sha256::of(cookie.as_bytes());
    let waiting = Waiting { proof: begun.proof, browser, to: web::place_here(&to).to_owned() };
    admin.desk.browsers.remember(&begun.state, peer.network(), waiting, admin.state.clock.now());
    let secure = provider.settings().is_public_secure();
    let field = set_cookie(&attempt_cookie(&begun.state, secure), Some(&cookie), secure, ATTEMPT_SECONDS);
    Ok(see(&begun.url, &[field]))
}

async fn come(admin: &Admin, uri: &Uri, headers: &HeaderMap, peer: Peer) -> Result<Response, Refused> {
    let unknown = || refused(admin, &SignInError::Unknown);
    let (state, answer) = answer(uri).ok_or_else(unknown)?;
    let provider = provider(admin)?;
    let secure = provider.settings().is_public_secure();
    let name = attempt_cookie(&state, secure);
    let cookie = web::cookie(headers, &name).ok_or_else(unknown)?;
    let waiting = admin.desk.browsers.take(&state, admin.state.clock.now()).ok_or_else(unknown)?;
    if Sha256::of(cookie.as_bytes()) != waiting.browser {
        return Err(unknown());
    }
    let who = provider.finish(answer, waiting.proof).await.map_err(|error| refused(admin, &error))?;
    // A session that was open in this browser is not the one that goes on.
    if let Some(before) = web::session(admin, headers, peer, By::Script) {
        end(admin, before.key);
    }
    let session = establish(admin, &who, Carrier::Cookie).await?;
    let age = admin.state.settings.sessions.age_max.as_secs();
    let fields = [web::set_cookie(Some(&session.secret), secure, age), set_cookie(&name, None, secure, 0)];
    Ok(see(&waiting.to, &fields))
}

/// The state and the answer in a URL, each part there once.
fn answer(uri: &Uri) -> Option<(String, Answer)> {
    let mut state = None;
    let mut answer = Answer::default();
    // Providers add parameters of their own, such as `session_state`.
    for (name, value) in query::any_pairs(uri).ok()? {
        let place = match name.as_str() {
            "state" => &mut state,
            "code" => &mut answer.code,
            "error" => &mut answer.error,
            "iss" => &mut answer.iss,
            _ => continue,
        };
        if value.len() > PART_BYTES_MAX || place.replace(value).is_some() {
            return None;
        }
    }
    let state = state.filter(|state| state.len() >= STATE_BYTES && state.bytes().all(is_cookie_byte))?;
    Some((state, answer))
}

fn see(place: &str, cookies: &[String]) -> Response {
    let mut response = StatusCode::SEE_OTHER.into_response();
    let Ok(place) = HeaderValue::try_from(place) else { return StatusCode::INTERNAL_SERVER_ERROR.into_response() };
    response.headers_mut().insert(header::LOCATION, place);
    for cookie in cookies {
        if let Ok(cookie) = HeaderValue::try_from(cookie) {
            response.headers_mut().append(header::SET_COOKIE, cookie);
        }
    }
    response
}

/// One for each attempt, so that two windows do not disturb each other.
fn attempt_cookie(state: &str, secure: bool) -> String {
    let short = state.get(..12).unwrap_or_default();
    format!("{}holdpoint-signin-{short}", if secure { "__Host-" } else { "" })
}

fn set_cookie(name: &str, value: Option<&str>, secure: bool, seconds: u64) -> String {
    let more = if secure { "; Secure" } else { "" };
    // Lax, since the provider sends the browser back from another site.
    format!("{name}={}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Lax{more}", value.unwrap_or_default())
}

fn is_cookie_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_'
}

/// As long as an attempt is remembered.
const ATTEMPT_SECONDS: u64 = 600;

/// A code has at most a few thousand bytes; Entra's are the longest.
const PART_BYTES_MAX: usize = 8_192;

/// 256 bits.
const STATE_BYTES: usize = 43;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_has_each_part_once() {
        let state = "s".repeat(43);
        let read = |query: &str| {
            let uri: Uri = format!("/signin/oidc/callback?{query}").parse().unwrap();
            answer(&uri).map(|(_, answer)| (answer.code, answer.error, answer.iss))
        };
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(
            read(&format!("code=a%2Fb&state={state}&iss=https%3A%2F%2Fidp&session_state=x")),
            Some((some("a/b"), None, some("https://idp")))
        );
        assert_eq!(read(&format!("error=access_denied&state={state}")), Some((None, some("access_denied"), None)));
        for query in [
            "code=a".to_owned(),
            "code=a&state=short".to_owned(),
            format!("code=a&code=b&state={state}"),
            format!("code=a&state={state}&state={state}"),
            format!("code=a&state={state}%0a"),
            format!("code={}&state={state}", "a".repeat(PART_BYTES_MAX + 1)),
        ] {
            assert_eq!(read(&query), None, "{query}");
        }
    }
}
