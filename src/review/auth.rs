//! Which person asks.

use axum::extract::FromRequestParts;
use axum::http::HeaderMap;
use axum::http::Method;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;

use crate::identity::IdentityError;
use crate::identity::KeyKind;
use crate::model::PersonId;
use crate::model::Timestamp;

use super::Admin;
use super::Shared;
use super::refused::Code;
use super::refused::Refused;
use super::session::BEARER_PREFIX;
use super::session::By;
use super::session::Carrier;
use super::session::Known;
use super::session::SessionKey;
use super::sign_in;
use super::web;

/// The person who asks, proved by a token of their own, or by the session that they opened with it.
/// Handlers that take one are closed to everybody else, agents above all.
#[derive(Clone, Debug)]
pub(super) struct Reviewer {
    /// Their canonical name.
    pub(super) person: PersonId,
    credential: Credential,
    /// The session that they are signed in by, if it is one.
    session: Option<(SessionKey, Timestamp)>,
}

#[derive(Clone, Debug)]
enum Credential {
    /// What stands in `Authorization`: a token, or a program's session.
    Fields(HeaderMap),
    /// A browser's session; good for reading only, since browsers send it whoever made them ask.
    Cookie(SessionKey),
}

impl Reviewer {
    fn new(admin: &Shared, headers: &HeaderMap) -> Result<Self, Refused> {
        let state = &admin.state;
        let unknown = |error: IdentityError| {
            state.auth_metrics.failed(KeyKind::Reviewer, &error);
            Refused::new(Code::Unauthenticated, error.to_string())
        };
        let session = session(admin, headers).transpose().map_err(unknown)?;
        let person = match &session {
            Some(known) => known.holder.person().clone(),
            None => state.tokens.load().authenticate(headers, state.clock.now()).map_err(unknown)?,
        };
        let credential = headers.get_all(AUTHORIZATION).iter().map(|value| {
            let mut value = value.clone();
            value.set_sensitive(true);
            (AUTHORIZATION, value)
        });
        let person = state.approvals.people().canonical_person(&person);
        let session = session.map(|known| (known.key, known.expires));
        Ok(Self { person, credential: Credential::Fields(credential.collect()), session })
    }

    fn by_cookie(admin: &Shared, parts: &Parts) -> Option<Self> {
        let reads = matches!(parts.method, Method::GET | Method::HEAD);
        if !reads || parts.headers.contains_key(AUTHORIZATION) {
            return None;
        }
        let peer = parts.extensions.get().copied().unwrap_or_default();
        let known = web::session(admin, &parts.headers, peer, By::Script)?;
        let person = admin.state.approvals.people().canonical_person(known.holder.person());
        Some(Self { person, credential: Credential::Cookie(known.key), session: Some((known.key, known.expires)) })
    }

    /// When their session ends in any case, if they have one.
    pub(super) fn expires(&self) -> Option<Timestamp> {
        self.session.map(|(_, expires)| expires)
    }

    /// Their session, if they have one.
    pub(super) fn key(&self) -> Option<SessionKey> {
        self.session.map(|(key, _)| key)
    }

    /// Whether the same credential would let the same person in now.
    pub(super) fn is_still_known(&self, admin: &Shared) -> bool {
        match &self.credential {
            Credential::Fields(headers) => Self::new(admin, headers).is_ok_and(|now| now.person == self.person),
            Credential::Cookie(key) => {
                let holder = admin.sessions.holder(*key, admin.state.clock.now());
                holder.is_some_and(|holder| sign_in::is_good(admin, &holder))
            }
        }
    }

    /// The session, if a browser asks.
    pub(super) fn session(&self) -> Option<SessionKey> {
        match &self.credential {
            Credential::Fields(_) => None,
            Credential::Cookie(key) => Some(*key),
        }
    }
}

/// The session of a program, if it shows one.
fn session(admin: &Shared, headers: &HeaderMap) -> Option<Result<Known, IdentityError>> {
    let mut fields = headers.get_all(AUTHORIZATION).iter();
    let (scheme, secret) = fields.next()?.to_str().ok()?.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("bearer") || !secret.trim().starts_with(BEARER_PREFIX) {
        return None;
    }
    if fields.next().is_some() {
        return Some(Err(IdentityError::Repeated("authorization")));
    }
    let found = admin.sessions.find(secret.trim(), Carrier::Bearer, By::Person, admin.state.clock.now());
    match found {
        Some(known) if sign_in::is_good(admin, &known.holder) => Some(Ok(known)),
        Some(known) => {
            sign_in::end(admin, known.key);
            Some(Err(IdentityError::NoSession))
        }
        None => Some(Err(IdentityError::NoSession)),
    }
}

impl FromRequestParts<Admin> for Reviewer {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, admin: &Admin) -> Result<Self, Refused> {
        match Self::by_cookie(admin, parts) {
            Some(reviewer) => Ok(reviewer),
            None => Self::new(admin, &parts.headers),
        }
    }
}
