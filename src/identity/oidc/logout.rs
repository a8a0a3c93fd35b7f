//! Logout tokens: the provider says that somebody's session there is over (OpenID Connect
//! Back-Channel Logout 1.0).

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use openidconnect::JsonWebKey;
use openidconnect::JsonWebKeyAlgorithm;
use openidconnect::JsonWebKeyUse;
use openidconnect::JwsSigningAlgorithm;
use openidconnect::core::CoreJsonWebKey;
use openidconnect::core::CoreJwsSigningAlgorithm;
use parking_lot::Mutex;
use serde::Deserialize;
use serde_json::Value;

use crate::model::Timestamp;

use super::error::SignInError;
use super::keys::Known;
use super::provider::Provider;
use super::settings::Settings;
use super::token::AGE_MAX;
use super::token::Claims;
use super::token::Doubt;
use super::token::SKEW;
use super::token::algorithms;
use super::token::payload;
use super::token::seconds;

/// Whose sessions are over: all of an account, or those that began with one session there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoggedOut {
    /// The provider that says so.
    pub issuer: String,
    /// The account, if it says which.
    pub subject: Option<String>,
    /// The session there, if it is only about that one.
    pub session: Option<String>,
}

impl LoggedOut {
    /// Whether it is about what began with `session` of an account there. Of one that does not know its
    /// session, with any of the account.
    pub fn is_about(&self, issuer: &str, subject: &str, session: Option<&str>) -> bool {
        let account = self.subject.as_ref().is_none_or(|over| over == subject);
        let theirs = match (self.session.as_deref(), session) {
            (Some(over), Some(theirs)) => over == theirs,
            (Some(_), None) => self.subject.is_some(),
            (None, _) => true,
        };
        self.issuer == issuer && account && theirs
    }
}

/// Logout tokens that were obeyed, by their `jti`, for as long as they would be believed again.
#[derive(Debug, Default)]
pub struct Obeyed(Mutex<BTreeMap<String, Timestamp>>);

impl Obeyed {
    /// Whether this is the first time that `jti` is seen. Where too many are remembered, an old one
    /// may be obeyed again, which only ends more sessions.
    pub fn first(&self, jti: &str, now: Timestamp) -> bool {
        let mut seen = self.0.lock();
        seen.retain(|_, until| *until > now);
        if seen.contains_key(jti) {
            return false;
        }
        if seen.len() < OBEYED_MAX {
            seen.insert(jti.to_owned(), now.plus(AGE_MAX).plus(SKEW).plus(SKEW));
        }
        true
    }
}

impl Provider {
    /// Whose sessions are over, if the provider says so in `token`.
    ///
    /// # Errors
    /// [`SignInError`] if it is not the provider that says so, or was obeyed already.
    pub async fn logged_out(&self, token: &str, obeyed: &Obeyed) -> Result<LoggedOut, SignInError> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(SignInError::Token("it is too long".to_owned()));
        }
        let claims = self.with_keys(|known| verify(token, known, &self.settings, self.clock.now())).await?;
        let text = |name: &str| claims.get(name).and_then(Value::as_str).map(str::to_owned);
        let jti = text("jti").filter(|jti| !jti.is_empty() && jti.len() <= 512);
        let jti = jti.ok_or_else(|| SignInError::Token("its `jti` is missing".to_owned()))?;
        let (subject, session) = (text("sub"), text("sid"));
        if subject.is_none() && session.is_none() {
            return Err(SignInError::Token("it names neither an account nor a session".to_owned()));
        }
        if !obeyed.first(&jti, self.clock.now()) {
            return Err(SignInError::Token("it was obeyed already".to_owned()));
        }
        Ok(LoggedOut { issuer: self.settings.issuer.clone(), subject, session })
    }
}

#[derive(Deserialize)]
struct Header {
    alg: CoreJwsSigningAlgorithm,
    #[serde(default)]
    kid: Option<String>,
    #[serde(default)]
    typ: Option<String>,
    #[serde(default)]
    crit: Option<Value>,
}

/// Back-Channel Logout 1.0 §2.6. The library does not know this kind of token; its keys do.
fn verify(token: &str, known: &Known, settings: &Settings, now: Timestamp) -> Result<Claims, Doubt> {
    let doubt = |why: &str| Doubt::Token(SignInError::Token(why.to_owned()));
    let form = || doubt("it is no signed logout token");
    let (message, signature) = token.rsplit_once('.').ok_or_else(form)?;
    let head = message.split('.').next().unwrap_or_default();
    let header: Header =
        URL_SAFE_NO_PAD.decode(head).ok().and_then(|head| serde_json::from_slice(&head).ok()).ok_or_else(form)?;
    let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| form())?;
    let typ = header.typ.as_deref().map(str::to_ascii_lowercase);
    if message.matches('.').count() != 1
        || header.crit.is_some()
        || !matches!(typ.as_deref(), None | Some("logout+jwt" | "jwt"))
    {
        return Err(form());
    }
    if !algorithms().contains(&header.alg) {
        return Err(doubt("it is signed with an algorithm that is not accepted"));
    }
    let fits = |key: &&CoreJsonWebKey| fits(key, &header);
    let mut fitting = known.keys.keys().iter().filter(fits);
    let (key, another) = (fitting.next().ok_or(Doubt::Key)?, fitting.next());
    if another.is_some() {
        return Err(doubt("it does not say with which of the provider's keys it is signed"));
    }
    key.verify_signature(&header.alg, message.as_bytes(), &signature).map_err(|_| doubt("its signature is wrong"))?;
    let claims = payload(token).ok_or_else(form)?;
    check(&claims, settings, now).map_err(doubt)?;
    Ok(claims)
}

fn fits(key: &CoreJsonWebKey, header: &Header) -> bool {
    let named = header.kid.as_deref().is_none_or(|kid| key.key_id().is_some_and(|id| id.as_str() == kid));
    let signs = key.key_use().is_none_or(JsonWebKeyUse::allows_signature);
    let algorithm = match key.signing_alg() {
        JsonWebKeyAlgorithm::Unspecified => true,
        JsonWebKeyAlgorithm::Algorithm(alg) => *alg == header.alg,
        JsonWebKeyAlgorithm::Unsupported => false,
    };
    named && signs && algorithm && header.alg.key_type().as_ref() == Some(key.key_type())
}

fn check(claims: &Claims, settings: &Settings, now: Timestamp) -> Result<(), &'static str> {
    if claims.get("iss").and_then(Value::as_str) != Some(&settings.issuer) {
        return Err("it was made by another issuer (`iss`)");
    }
    let ours = |value: &Value| value.as_str() == Some(&settings.client_id);
    if !claims
        .get("aud")
        .is_some_and(|aud| aud.as_array().map_or_else(|| ours(aud), |all| all.len() == 1 && all.iter().all(ours)))
    {
        return Err("it was made for another program (`aud`)");
    }
    let at = |name: &str| claims.get(name).map(|value| value.as_f64().map(seconds));
    match at("iat") {
        Some(Some(issued)) if issued <= now.plus(SKEW) && now.since(issued) <= AGE_MAX => {}
        _ => return Err("it was not made just now (`iat`); check the clocks"),
    }
    // Required since the final version of the specification; earlier ones did not have it.
    if at("exp").is_some_and(|until| until.is_none_or(|until| until <= now.minus(SKEW))) {
        return Err("it has expired (`exp`)");
    }
    let event = claims.get("events").and_then(|events| events.get(EVENT));
    if !event.is_some_and(Value::is_object) {
        return Err("it is about something else than a logout (`events`)");
    }
    // So that no ID token can ever be taken for one.
    if claims.contains_key("nonce") {
        return Err("it has a `nonce`, which no logout token has");
    }
    Ok(())
}

const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";

/// Logout tokens have some hundred bytes.
const TOKEN_BYTES_MAX: usize = 16 * 1024;

/// One for everybody in a large organisation who logs out within minutes.
const OBEYED_MAX: usize = 100_000;
