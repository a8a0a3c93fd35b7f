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

/// A token that was accepted once, to be known again without its secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownToken {
    id: String,
    sha256: Sha256,
    person: PersonId,
}

impl KnownToken {
    /// Whose it is.
    pub fn person(&self) -> &PersonId {
        &self.person
    }
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
        self.sign_in(text, now).map(|known| known.person)
    }

    /// The token that `text` is, if it is good at `now`.
    ///
    /// # Errors
    /// [`IdentityError`] says why it is not.
    pub fn sign_in(&self, text: &str, now: Timestamp) -> Result<KnownToken, IdentityError> {
        let key = Presented::parse(text).map_err(|form| IdentityError::bad_form(form, KeyKind::Reviewer))?;
        if key.kind == KeyKind::Agent {
            return Err(IdentityError::WrongKind(KeyKind::Agent));
        }
        let known = self.tokens.get(key.id).filter(|known| key.matches(&known.sha256));
        let known = known.ok_or(IdentityError::Unknown(KeyKind::Reviewer))?;
        if known.expires.is_some_and(|expires| now >= expires) {
            return Err(IdentityError::Expired { kind: KeyKind::Reviewer, id: key.id.to_owned() });
        }
        Ok(KnownToken { id: key.id.to_owned(), sha256: known.sha256, person: known.person.clone() })
    }

    /// Whether a token that was accepted before is still good at `now`, and still its person's.
    pub fn is_good(&self, token: &KnownToken, now: Timestamp) -> bool {
        self.tokens.get(&token.id).is_some_and(|known| {
            known.sha256 == token.sha256
                && known.person == token.person
                && known.expires.is_none_or(|expires| now < expires)
        })
    }

    /// The people who have a token, expired or not.
    pub fn people(&self) -> impl Iterator<Item = &PersonId> {
        self.tokens.values().map(|token| &token.person)
    }
}
