//! Which person asks.

use axum::extract::FromRequestParts;
use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;

use crate::identity::KeyKind;
use crate::model::PersonId;

use super::Admin;
use super::Shared;
use super::refused::Code;
use super::refused::Refused;

/// The person who asks, proved by a token of their own. Handlers that take one are closed to
/// everybody else, agents above all.
#[derive(Clone, Debug)]
pub(super) struct Reviewer {
    /// Their canonical name.
    pub(super) person: PersonId,
    credential: HeaderMap,
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
        Ok(Self { person, credential: credential.collect() })
    }

    /// Whether the same credential would let the same person in now.
    pub(super) fn is_still_known(&self, admin: &Shared) -> bool {
        Self::new(admin, &self.credential).is_ok_and(|now| now.person == self.person)
    }
}

impl FromRequestParts<Admin> for Reviewer {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, admin: &Admin) -> Result<Self, Refused> {
        Self::new(admin, &parts.headers)
    }
}
