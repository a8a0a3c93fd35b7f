//! What makes an ID token believable (OpenID Connect Core 1.0 §3.1.3.7).

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::DateTime;
use chrono::Utc;
use openidconnect::ClaimsVerificationError;
use openidconnect::ClientId;
use openidconnect::IdTokenVerifier;
use openidconnect::IssuerUrl;
use openidconnect::Nonce;
use openidconnect::SignatureVerificationError;
use openidconnect::core::CoreIdToken;
use openidconnect::core::CoreJwsSigningAlgorithm;
use serde_json::Map;
use serde_json::Value;

use crate::model::Timestamp;

use super::error::SignInError;
use super::keys::Known;
use super::settings::Settings;

/// Claims that the provider has signed for us.
pub(super) type Claims = Map<String, Value>;

/// Why a token is not believed: for want of a key, or for good.
pub(super) enum Doubt {
    /// Its key is not among those that are known.
    Key,
    /// Anything else.
    Token(SignInError),
}

impl Doubt {
    fn because(why: impl Into<String>) -> Self {
        Self::Token(SignInError::Token(why.into()))
    }
}

/// The claims of `token`, if the provider signed it for us, just now, and in answer to `nonce`.
/// The device flow has no nonce: its tokens come from the provider's own hand, and only there.
pub(super) fn verify(
    token: &CoreIdToken,
    nonce: Option<&Nonce>,
    known: &Known,
    settings: &Settings,
    now: Timestamp,
) -> Result<Claims, Doubt> {
    let issuer = IssuerUrl::new(settings.issuer.clone()).map_err(|_| Doubt::because("the issuer is no URL"))?;
    // As a public client, so that no token is ever believed because of a secret that others share:
    // with the public key taken for such a secret anybody could sign (HS/RS confusion).
    let verifier =
        IdTokenVerifier::new_public_client(ClientId::new(settings.client_id.clone()), issuer, known.keys.clone())
            .set_allowed_algs(algorithms())
            .set_time_fn(|| date(now.minus(SKEW)))
            .set_issue_time_verifier_fn(|issued| is_of_now(issued, now));
    let expect = |got: Option<&Nonce>| match (nonce, got) {
        (Some(sent), Some(got)) if got.secret() == sent.secret() => Ok(()),
        (Some(_), _) => Err("its `nonce` is missing or another one".to_owned()),
        (None, _) => Ok(()),
    };
    let claims = token.claims(&verifier, expect).map_err(doubt)?;
    // The library leaves this one to us (§3.1.3.7, 4 and 5).
    if claims.authorized_party().is_some_and(|party| party.as_str() != settings.client_id) {
        return Err(Doubt::because("it was made for another program (`azp`)"));
    }
    let claims = payload(&token.to_string()).ok_or_else(|| Doubt::because("its claims cannot be read"))?;
    let not_before = claims.get("nbf").map(|value| value.as_f64().map(seconds));
    match not_before {
        None => Ok(claims),
        Some(Some(at)) if at <= now.plus(SKEW) => Ok(claims),
        Some(_) => Err(Doubt::because("it is not good yet (`nbf`); check the clocks")),
    }
}

/// The algorithms that prove who has signed: all of them with a key pair, none with a secret.
pub(super) fn algorithms() -> [CoreJwsSigningAlgorithm; 9] {
    [
        CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256,
        CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha384,
        CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha512,
        CoreJwsSigningAlgorithm::RsaSsaPssSha256,
        CoreJwsSigningAlgorithm::RsaSsaPssSha384,
        CoreJwsSigningAlgorithm::RsaSsaPssSha512,
        CoreJwsSigningAlgorithm::EcdsaP256Sha256,
        CoreJwsSigningAlgorithm::EcdsaP384Sha384,
        CoreJwsSigningAlgorithm::EdDsa,
    ]
}

fn doubt(error: ClaimsVerificationError) -> Doubt {
    use ClaimsVerificationError as Claim;
    use SignatureVerificationError as Signature;
    match error {
        Claim::SignatureVerification(Signature::NoMatchingKey) => Doubt::Key,
        Claim::SignatureVerification(Signature::NoSignature) => Doubt::because("it is not signed"),
        Claim::SignatureVerification(Signature::DisallowedAlg(_) | Signature::UnsupportedAlg(_)) => {
            Doubt::because("it is signed with an algorithm that is not accepted; let the provider use RS256 or ES256")
        }
        Claim::SignatureVerification(Signature::AmbiguousKeyId(_)) => {
            Doubt::because("it does not say with which of the provider's keys it is signed")
        }
        Claim::SignatureVerification(_) => Doubt::because("its signature is wrong"),
        Claim::InvalidIssuer(_) => Doubt::because("it was made by another issuer (`iss`)"),
        Claim::InvalidAudience(_) => Doubt::because("it was made for another program (`aud`)"),
        Claim::InvalidNonce(why) => Doubt::because(why),
        Claim::Expired(_) => {
            Doubt::because("it has expired, or was not made just now (`exp`, `iat`); check the clocks")
        }
        Claim::Unsupported(_) => {
            Doubt::because("it has a form that is not accepted: encrypted, nested, or of another type")
        }
        _ => Doubt::because("its claims do not fit"),
    }
}

/// Whether something that was issued then was issued for the present request.
pub(super) fn is_of_now(issued: DateTime<Utc>, now: Timestamp) -> Result<(), String> {
    let issued = Timestamp::from_unix_micros(issued.timestamp_micros());
    if issued > now.plus(SKEW) || now.since(issued) > AGE_MAX {
        return Err("not made just now".to_owned());
    }
    Ok(())
}

/// The claims in a compact JWS, verified or not.
pub(super) fn payload(token: &str) -> Option<Claims> {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?).ok()
}

/// A NumericDate (RFC 7519 §2).
#[expect(clippy::cast_possible_truncation, reason = "a date beyond all bounds becomes the last one there is")]
pub(super) fn seconds(date: f64) -> Timestamp {
    Timestamp::from_unix_micros((date * 1e6) as i64)
}

fn date(at: Timestamp) -> DateTime<Utc> {
    // A present that no calendar has is after every token's end.
    DateTime::from_timestamp_micros(at.unix_micros()).unwrap_or(DateTime::<Utc>::MAX_UTC)
}

/// How far the provider's clock may be from ours.
pub(super) const SKEW: Duration = Duration::from_secs(60);

/// How old a token may be that was made for the request before us.
pub(super) const AGE_MAX: Duration = Duration::from_secs(600);
