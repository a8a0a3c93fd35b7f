//! Which person asks.

use axum::extract::FromRequestParts;
use axum::http::HeaderMap;
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
use super::sign_in::session::BEARER_PREFIX;
use super::sign_in::session::Carrier;
use super::sign_in::session::Session;
use super::sign_in::session::SessionKey;

/// The person who asks, proved by a token of their own. Handlers that take one are closed to
/// everybody else, agents above all.
#[derive(Clone, Debug)]
pub(super) struct Reviewer {
    /// Their canonical name.
    pub(super) person: PersonId,
    /// The session that they are signed in by, if it is not a token.
    pub(super) session: Option<(SessionKey, Session)>,
    credential: HeaderMap,
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
            Some((_, session)) => session.person.clone(),
            None => state.tokens.load().authenticate(headers, state.clock.now()).map_err(unknown)?,
        };
        let credential = headers.get_all(AUTHORIZATION).iter().map(|value| {
            let mut value = value.clone();
            value.set_sensitive(true);
            (AUTHORIZATION, value)
        });
        let person = state.approvals.people().canonical_person(&person);
        Ok(Self { person, session, credential: credential.collect() })
    }

    /// When their session ends, if they have one.
    pub(super) fn expires(&self, admin: &Shared) -> Option<Timestamp> {
        self.session.as_ref().map(|(_, session)| admin.desk.sessions.expires(session))
    }

    /// Whether the same credential would let the same person in now.
    pub(super) fn is_still_known(&self, admin: &Shared) -> bool {
        Self::new(admin, &self.credential).is_ok_and(|now| now.person == self.person)
    }
}

/// The session of a request, if it shows one. An agent's key beside it is no session.
fn session(admin: &Shared, headers: &HeaderMap) -> Option<Result<(SessionKey, Session), IdentityError>> {
    let mut fields = headers.get_all(AUTHORIZATION).iter();
    let (scheme, secret) = fields.next()?.to_str().ok()?.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("bearer") || !secret.trim().starts_with(BEARER_PREFIX) {
        return None;
    }
    if fields.next().is_some() {
        return Some(Err(IdentityError::Repeated("authorization")));
    }
    let found = admin.desk.sessions.find(secret.trim(), Carrier::Bearer, admin.state.clock.now());
    let (key, session) = match found {
        Some(found) => found,
        None => return Some(Err(IdentityError::NoSession)),
    };
    let directory = &admin.state.sign_in.directory;
    if !directory.is_still(&session.issuer, &session.subject, &session.person) {
        admin.desk.sessions.end(key);
        return Some(Err(IdentityError::NoSession));
    }
    Some(Ok((key, session)))
}

impl FromRequestParts<Admin> for Reviewer {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, admin: &Admin) -> Result<Self, Refused> {
        Self::new(admin, &parts.headers)
    }
}
