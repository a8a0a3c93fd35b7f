//! Which person asks.

use axum::extract::FromRequestParts;
use http::request::Parts;

use crate::identity::KeyKind;
use crate::model::PersonId;

use super::problem::Problem;
use super::state::AdminState;

/// The person that a request's token is bound to. Agents' keys are refused in whatever field.
#[derive(Clone, Debug)]
pub(super) struct Person(pub(super) PersonId);

impl FromRequestParts<AdminState> for Person {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &AdminState) -> Result<Self, Problem> {
        let person = state.tokens.load().authenticate(&parts.headers, state.clock.now());
        person.map(Self).map_err(|error| {
            state.auth_metrics.failed(KeyKind::Reviewer, &error);
            Problem::unauthenticated(&error)
        })
    }
}
