//! Agents' API keys: wherever an SDK puts its key, we find it.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use http::HeaderValue;
use zeroize::Zeroizing;

use crate::model::Authn;
use crate::model::PersonId;
use crate::model::Principal;
use crate::model::PrincipalKind;
use crate::model::Sha256;
use crate::model::Timestamp;

use super::error::IdentityError;
use super::error::KeySetError;
use super::key::KEY_BYTES_MAX;
use super::key::KeyHolder;
use super::key::KeyKind;
use super::key::KeyRecord;
use super::key::Presented;

/// What the configuration says of one agent.
#[derive(Clone, Debug, PartialEq)]
pub struct PrincipalSettings {
    /// Its name, such as `deploy-bot`.
    pub id: String,
    /// The people who answer for it.
    pub owners: Vec<PersonId>,
    /// Groups that policies may ask for.
    pub groups: Vec<String>,
    /// Anything else, for policies.
    pub claims: BTreeMap<String, serde_json::Value>,
}

/// What may be shown of one agent key.
#[derive(Clone, Debug)]
pub struct AgentKeyInfo {
    /// Whose it is; `authn` names the key.
    pub principal: Arc<Principal>,
    /// The first moment at which it is no longer good.
    pub expires: Option<Timestamp>,
}

/// Every agent key there is. Each has its principal ready, so that a call costs one hash and no
/// allocation, or one for Basic.
#[derive(Debug, Default)]
pub struct AgentKeys {
    keys: HashMap<String, AgentKey>,
}

#[derive(Debug)]
struct AgentKey {
    sha256: Sha256,
    expires: Option<Timestamp>,
    principal: Arc<Principal>,
}

impl AgentKey {
    fn check(&self, id: &str, now: Timestamp) -> Result<(), IdentityError> {
        if self.expires.is_some_and(|expires| now >= expires) {
            return Err(IdentityError::Expired { kind: KeyKind::Agent, id: id.to_owned() });
        }
        Ok(())
    }
}

impl AgentKeys {
    /// The keys of these principals.
    ///
    /// # Errors
    /// [`KeySetError`] if a key is listed twice, is somebody else's, or is a reviewer's token.
    pub fn new(principals: Vec<(PrincipalSettings, Vec<KeyRecord>)>) -> Result<Self, KeySetError> {
        let mut keys = HashMap::new();
        for (settings, records) in principals {
            for record in records {
                check_holder(&settings, &record)?;
                let KeyRecord { id, sha256, expires, created_by, .. } = record;
                let principal = Arc::new(principal(&settings, &id, created_by));
                if keys.insert(id.clone(), AgentKey { sha256, expires, principal }).is_some() {
                    return Err(KeySetError::Duplicate(id));
                }
            }
        }
        Ok(Self { keys })
    }

    /// Who sends a request with these fields at `now`.
    ///
    /// The key may stand in more than one of the accepted fields, if it is the same one.
    ///
    /// # Errors
    /// [`IdentityError`] says why nobody is known by them.
    pub fn authenticate(&self, fields: &HeaderMap, now: Timestamp) -> Result<Arc<Principal>, IdentityError> {
        // Grows only for Basic: wiping room that was never used costs more than the whole lookup.
        let mut buffer = Zeroizing::new(Vec::new());
        let text = presented(fields, &mut buffer)?;
        let key = Presented::parse(text).map_err(|form| IdentityError::bad_form(form, KeyKind::Agent))?;
        if key.kind == KeyKind::Reviewer {
            return Err(IdentityError::WrongKind(KeyKind::Reviewer));
        }
        // Ids are public, so it gives nothing away that an unknown one is answered sooner.
        let known = self.keys.get(key.id).filter(|known| key.matches(&known.sha256));
        let known = known.ok_or(IdentityError::Unknown(KeyKind::Agent))?;
        known.check(key.id, now)?;
        Ok(Arc::clone(&known.principal))
    }

    /// Who `principal` is at `now`, if the key that it came with is still good, and still its own.
    ///
    /// # Errors
    /// [`IdentityError`] says what has become of the key.
    pub fn know_again(&self, principal: &Principal, now: Timestamp) -> Result<Arc<Principal>, IdentityError> {
        let id = &principal.authn.key_id;
        let known = self.keys.get(id).filter(|known| known.principal.id == principal.id);
        let known = known.ok_or(IdentityError::Unknown(KeyKind::Agent))?;
        known.check(id, now)?;
        Ok(Arc::clone(&known.principal))
    }

    /// What may be shown of all keys, in the order of principals and key ids.
    pub fn list(&self) -> Vec<AgentKeyInfo> {
        let info = |key: &AgentKey| AgentKeyInfo { principal: Arc::clone(&key.principal), expires: key.expires };
        let mut list: Vec<AgentKeyInfo> = self.keys.values().map(info).collect();
        list.sort_by(|a, b| {
            let name = |info: &AgentKeyInfo| (info.principal.id.clone(), info.principal.authn.key_id.clone());
            name(a).cmp(&name(b))
        });
        list
    }

    /// How many keys there are.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether there is none, so that every call will be refused.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }
}

fn check_holder(settings: &PrincipalSettings, record: &KeyRecord) -> Result<(), KeySetError> {
    match &record.holder {
        KeyHolder::Principal(holder) if *holder == settings.id => Ok(()),
        KeyHolder::Principal(holder) => Err(KeySetError::OtherPrincipal {
            id: record.id.clone(),
            holder: holder.clone(),
            principal: settings.id.clone(),
        }),
        KeyHolder::Reviewer(person) => {
            Err(KeySetError::ReviewerAmongAgents { id: record.id.clone(), reviewer: person.to_string() })
        }
    }
}

fn principal(settings: &PrincipalSettings, key_id: &str, created_by: Option<PersonId>) -> Principal {
    Principal {
        id: settings.id.clone(),
        kind: PrincipalKind::Agent,
        owners: settings.owners.clone(),
        groups: settings.groups.clone(),
        claims: settings.claims.clone(),
        authn: Authn { method: "api-key".to_owned(), key_id: key_id.to_owned(), created_by },
        chain: Vec::new(),
    }
}

/// The one credential that `fields` carry, decoded into `buffer` where it is Basic.
fn presented<'a>(fields: &'a HeaderMap, buffer: &'a mut Vec<u8>) -> Result<&'a str, IdentityError> {
    let mut found = match single(fields, "authorization")? {
        Some(value) => Some(from_authorization(value, buffer)?),
        None => None,
    };
    for name in API_KEY_FIELDS {
        let Some(value) = single(fields, name)? else { continue };
        let text = value.to_str().map_err(|_| IdentityError::Malformed(KeyKind::Agent))?.trim();
        if found.is_some_and(|other| other != text) {
            return Err(IdentityError::Several);
        }
        found = Some(text);
    }
    found.filter(|text| !text.is_empty()).ok_or(IdentityError::Missing(KeyKind::Agent))
}

/// The value of a field that may be there once.
pub(super) fn single<'a>(fields: &'a HeaderMap, name: &'static str) -> Result<Option<&'a HeaderValue>, IdentityError> {
    let mut values = fields.get_all(name).iter();
    let first = values.next();
    if values.next().is_some() { Err(IdentityError::Repeated(name)) } else { Ok(first) }
}

/// Splits `Authorization` into its scheme and what follows (RFC 9110 §11.4).
pub(super) fn scheme(value: &HeaderValue, kind: KeyKind) -> Result<(&str, &str), IdentityError> {
    let text = value.to_str().map_err(|_| IdentityError::Malformed(kind))?.trim();
    text.split_once(' ').map(|(scheme, rest)| (scheme, rest.trim())).ok_or(IdentityError::Scheme(kind))
}

fn from_authorization<'a>(value: &'a HeaderValue, buffer: &'a mut Vec<u8>) -> Result<&'a str, IdentityError> {
    let (scheme, text) = scheme(value, KeyKind::Agent)?;
    if scheme.eq_ignore_ascii_case("bearer") || scheme.eq_ignore_ascii_case("token") {
        Ok(text)
    } else if scheme.eq_ignore_ascii_case("basic") {
        from_basic(text, buffer)
    } else {
        Err(IdentityError::Scheme(KeyKind::Agent))
    }
}

/// The password, or the user name where the password is empty, as SDKs of both habits exist.
fn from_basic<'a>(encoded: &str, buffer: &'a mut Vec<u8>) -> Result<&'a str, IdentityError> {
    const MALFORMED: IdentityError = IdentityError::Malformed(KeyKind::Agent);
    // Once and to its full size, so that no piece of a key is left behind by a move.
    buffer.resize(BASIC_BYTES_MAX, 0);
    let len = STANDARD.decode_slice(encoded, &mut *buffer).map_err(|_| MALFORMED)?;
    let decoded = buffer.get(..len).and_then(|bytes| std::str::from_utf8(bytes).ok()).ok_or(MALFORMED)?;
    let (user, password) = decoded.split_once(':').ok_or(MALFORMED)?;
    match (user, password) {
        (user, "") => Ok(user),
        (user, password) if user != password && user.starts_with(KeyKind::Agent.prefix()) => {
            // Two of our keys at once: not ours to choose.
            if password.starts_with(KeyKind::Agent.prefix()) { Err(IdentityError::Several) } else { Ok(password) }
        }
        (_, password) => Ok(password),
    }
}

/// Where SDKs put a bare key, besides `Authorization`.
pub(super) const API_KEY_FIELDS: [&str; 2] = ["x-api-key", "api-key"];

/// Room for a user name beside the key. What is longer cannot hold one of ours as its password
/// in any use that we know, and is refused as malformed.
const BASIC_BYTES_MAX: usize = 512 + KEY_BYTES_MAX;
