//! Which person asks.

use axum::extract::FromRequestParts;
use axum::http::HeaderMap;
use axum::http::Method;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;

use crate::identity::KeyKind;
use crate::model::PersonId;

use super::Admin;
use super::Shared;
use super::refused::Code;
use super::refused::Refused;
use super::web;
use super::web::By;
use super::web::SessionKey;

/// The person who asks, proved by a token of their own, or by the session that they opened with it.
/// Handlers that take one are closed to everybody else, agents above all.
#[derive(Clone, Debug)]
pub(super) struct Reviewer {
    /// Their canonical name.
    pub(super) person: PersonId,
    credential: Credential,
}

#[derive(Clone, Debug)]
enum Credential {
    Token(HeaderMap),
    /// A browser's; good for reading only, since browsers send it whoever made them ask.
    Session(SessionKey),
}

impl Reviewer {
    fn new(admin: &Shared, headers: &HeaderMap) -> Result<Self, Refused> {
        let state = &admin.state;
        let person = state.tokens.load().authenticate(headers, state.clock.now()).map_err(|error| {
            state.auth_metrics.failed(KeyKind::Reviewer, &error);
            Refused::new(Code::Unauthenticated, error.to_string())
        })?;
        let credential = headers.get_all(AUTHORIZATION).iter().map(|value| {
            let mut value = value.clone();
            value.set_sensitive(true);
            (AUTHORIZATION, value)
        });
        let person = state.approvals.people().canonical_person(&person);
        Ok(Self { person, credential: Credential::Token(credential.collect()) })
    }

    fn by_session(admin: &Shared, parts: &Parts) -> Option<Self> {
        let reads = matches!(parts.method, Method::GET | Method::HEAD);
        if !reads || parts.headers.contains_key(AUTHORIZATION) {
            return None;
        }
        let peer = parts.extensions.get().copied().unwrap_or_default();
        let known = web::session(admin, &parts.headers, peer, By::Script)?;
        let person = admin.state.approvals.people().canonical_person(known.token.person());
        Some(Self { person, credential: Credential::Session(known.key) })
    }

    /// Whether the same credential would let the same person in now.
    pub(super) fn is_still_known(&self, admin: &Shared) -> bool {
        match &self.credential {
            Credential::Token(headers) => Self::new(admin, headers).is_ok_and(|now| now.person == self.person),
            Credential::Session(key) => {
                let now = admin.state.clock.now();
                let token = admin.sessions.token(*key, now);
                token.is_some_and(|token| admin.state.tokens.load().is_good(&token, now))
            }
        }
    }

    /// The session, if a browser asks.
    pub(super) fn session(&self) -> Option<SessionKey> {
        match &self.credential {
            Credential::Token(_) => None,
            Credential::Session(key) => Some(*key),
        }
    }
}

impl FromRequestParts<Admin> for Reviewer {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, admin: &Admin) -> Result<Self, Refused> {
        match Self::by_session(admin, parts) {
            Some(reviewer) => Ok(reviewer),
            None => Self::new(admin, &parts.headers),
        }
    }
}
