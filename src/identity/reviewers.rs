//! Reviewers' personal tokens. A decision needs a credential that is bound to one person.

use std::collections::HashMap;

use http::HeaderMap;

use crate::model::PersonId;
use crate::model::Sha256;
use crate::model::Timestamp;

use super::agents::API_KEY_FIELDS;
use super::agents::scheme;
use super::agents::single;
use super::error::IdentityError;
use super::error::KeySetError;
use super::key::KeyHolder;
use super::key::KeyKind;
use super::key::KeyRecord;
use super::key::Presented;

/// Every reviewer token there is.
#[derive(Debug, Default)]
pub struct ReviewerTokens {
    tokens: HashMap<String, ReviewerToken>,
}

#[derive(Debug)]
struct ReviewerToken {
    sha256: Sha256,
    expires: Option<Timestamp>,
    person: PersonId,
}

impl ReviewerTokens {
    /// These tokens.
    ///
    /// # Errors
    /// [`KeySetError`] if a token is listed twice, or a key of an agent is among them.
    pub fn new(records: Vec<KeyRecord>) -> Result<Self, KeySetError> {
        let mut tokens = HashMap::new();
        for KeyRecord { id, sha256, holder, expires, .. } in records {
            let person = match holder {
                KeyHolder::Reviewer(person) => person,
                KeyHolder::Principal(principal) => return Err(KeySetError::AgentAmongReviewers { id, principal }),
            };
            if tokens.insert(id.clone(), ReviewerToken { sha256, expires, person }).is_some() {
                return Err(KeySetError::Duplicate(id));
            }
        }
        Ok(Self { tokens })
    }

    /// Which person sends a request with these fields at `now`.
    ///
    /// # Errors
    /// [`IdentityError`] says why nobody is known by them. Whoever presents an agent's key, in
    /// whatever field, is an agent and refused.
    pub fn authenticate(&self, fields: &HeaderMap, now: Timestamp) -> Result<PersonId, IdentityError> {
        for name in API_KEY_FIELDS {
            let values = fields.get_all(name).iter().filter_map(|value| value.to_str().ok());
            if values
                .map(|text| Presented::parse(text.trim()))
                .any(|key| key.is_ok_and(|key| key.kind == KeyKind::Agent))
            {
                return Err(IdentityError::WrongKind(KeyKind::Agent));
            }
        }
        let value = single(fields, "authorization")?.ok_or(IdentityError::Missing(KeyKind::Reviewer))?;
        let (scheme, text) = scheme(value, KeyKind::Reviewer)?;
        if !scheme.eq_ignore_ascii_case("bearer") {
            return Err(IdentityError::Scheme(KeyKind::Reviewer));
        }
        self.person(text, now)
    }

    fn person(&self, text: &str, now: Timestamp) -> Result<PersonId, IdentityError> {
        let key = Presented::parse(text).map_err(|form| IdentityError::bad_form(form, KeyKind::Reviewer))?;
        if key.kind == KeyKind::Agent {
            return Err(IdentityError::WrongKind(KeyKind::Agent));
        }
        let known = self.tokens.get(key.id).filter(|known| key.matches(&known.sha256));
        let known = known.ok_or(IdentityError::Unknown(KeyKind::Reviewer))?;
        if known.expires.is_some_and(|expires| now >= expires) {
            return Err(IdentityError::Expired { kind: KeyKind::Reviewer, id: key.id.to_owned() });
        }
        Ok(known.person.clone())
    }

    /// The people who have a token, expired or not.
    pub fn people(&self) -> impl Iterator<Item = &PersonId> {
        self.tokens.values().map(|token| &token.person)
    }
}
