//! A credential ready for use, and what it does to one call.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use http::HeaderName;
use http::HeaderValue;
use http::header::AUTHORIZATION;
use secrecy::ExposeSecret;
use secrecy::SecretString;
use zeroize::Zeroizing;

use super::error::CredentialError;
use super::error::SecretError;
use super::profile::Profile;
use super::secret::SecretRef;

/// A credential for an upstream, its secrets in memory.
#[derive(Clone, Debug)]
pub struct Credential {
    name: String,
    kind: &'static str,
    source: Source,
}

/// Where the credential of one call comes from. Kinds that ask somebody for a short-lived one
/// become further variants.
#[derive(Clone, Debug)]
enum Source {
    /// The same field on every call, ready, so that a call costs no allocation.
    Static(Injection),
}

/// What one permitted call gets on its way out.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "a call without its credential would reach the upstream as nobody's"]
pub struct Injection {
    field: HeaderName,
    value: HeaderValue, // Invariant: sensitive, so that its Debug form and HPACK hide it.
}

impl Credential {
    /// Reads the secrets of `profile` now; `name` is its configured name, for messages.
    ///
    /// # Errors
    /// [`CredentialError`] if a secret cannot be read or cannot be sent.
    pub fn load(name: &str, profile: &Profile) -> Result<Self, CredentialError> {
        Self::load_with(name, profile, SecretRef::read)
    }

    fn load_with(
        name: &str,
        profile: &Profile,
        read: impl Fn(&SecretRef) -> Result<SecretString, SecretError>,
    ) -> Result<Self, CredentialError> {
        let secret = |reference: &SecretRef| {
            read(reference).map_err(|source| CredentialError::Secret { name: name.to_owned(), source })
        };
        let injection = match profile {
            Profile::Bearer { token } => {
                let secret = secret(token)?;
                let token = checked(name, token, &secret, Place::Token)?;
                Injection::new(AUTHORIZATION, &Zeroizing::new(format!("Bearer {token}")))
            }
            Profile::Basic { username, password } => {
                let user = secret(username)?;
                let user = checked(name, username, &user, Place::Username)?;
                let pass = password.as_ref().map(|reference| Ok((reference, secret(reference)?))).transpose()?;
                let pass = match &pass {
                    Some((reference, secret)) => checked(name, reference, secret, Place::Password)?,
                    None => "",
                };
                let pair = Zeroizing::new(format!("{user}:{pass}"));
                let encoded = Zeroizing::new(STANDARD.encode(pair.as_bytes()));
                Injection::new(AUTHORIZATION, &Zeroizing::new(format!("Basic {}", *encoded)))
            }
            Profile::Header { name: field, value } => {
                let secret = secret(value)?;
                let value = checked(name, value, &secret, Place::FieldValue)?;
                Injection::new(field.as_header().clone(), value)
            }
        };
        Ok(Self { name: name.to_owned(), kind: profile.kind(), source: Source::Static(injection) })
    }

    /// The configured name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The word for its kind, such as `bearer`.
    pub fn kind(&self) -> &'static str {
        self.kind
    }

    /// What a call that has its permit gets. Async because some kinds will ask a token service.
    /// Cancel safe: nothing is half done.
    ///
    /// # Errors
    /// [`CredentialError`] if there is none to be had now; the call is then refused.
    pub async fn fetch(&self) -> Result<Injection, CredentialError> {
        match &self.source {
            Source::Static(injection) => Ok(injection.clone()),
        }
    }
}

impl Injection {
    fn new(field: HeaderName, value: &str) -> Self {
        let mut value = HeaderValue::from_str(value).expect("`checked` lets nothing else through");
        value.set_sensitive(true);
        Self { field, value }
    }

    /// Puts the credential into `fields` in place of whatever stands there under the same name.
    /// Comes last, after every field that may not leave has been dropped.
    pub fn apply(self, fields: &mut HeaderMap) {
        fields.insert(self.field, self.value);
    }

    /// Whether the secret stands anywhere in `value`, such as in an answer that echoes the request.
    pub fn is_shown_in(&self, value: &HeaderValue) -> bool {
        let secret = self.value.as_bytes();
        // `Bearer` and `Basic` are no secret, what follows them is.
        let bare = secret.iter().position(|&byte| byte == b' ').and_then(|space| secret.get(space + 1..));
        let secret = if self.field == AUTHORIZATION { bare.unwrap_or(secret) } else { secret };
        memchr::memmem::find(value.as_bytes(), secret).is_some()
    }
}

/// Where a secret goes, which decides what may be in it.
#[derive(Clone, Copy)]
enum Place {
    Token,
    Username,
    Password,
    FieldValue,
}

/// The text of `secret`, if it can be sent.
fn checked<'a>(
    name: &str,
    reference: &SecretRef,
    secret: &'a SecretString,
    place: Place,
) -> Result<&'a str, CredentialError> {
    let text = secret.expose_secret();
    let what = if text.contains(['\n', '\r']) {
        Some("a line break")
    } else if text.chars().any(char::is_control) {
        Some("a control character")
    } else {
        match place {
            Place::Token if text.contains(' ') => Some("a space"),
            Place::Token | Place::FieldValue if !text.is_ascii() => Some("a character outside ASCII"),
            Place::FieldValue if text.trim() != text => Some("a space at its beginning or end"),
            Place::Username if text.contains(':') => Some("a colon, at which a Basic user name ends"),
            Place::Token | Place::Username | Place::Password | Place::FieldValue => None,
        }
    };
    match what {
        None => Ok(text),
        Some(what) => Err(CredentialError::Character { name: name.to_owned(), reference: reference.clone(), what }),
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::*;

    const SECRET: &str = "planted-s3cret";

    /// What a variable of the environment holds, for tests that cannot set one.
    fn reading<'a>(
        values: &'a [(&'a str, &'a str)],
    ) -> impl Fn(&SecretRef) -> Result<SecretString, SecretError> + use<'a> {
        move |reference| {
            reference.read_with(|name| {
                values.iter().find(|(known, _)| *known == name).map(|(_, value)| OsString::from(value))
            })
        }
    }

    fn load(yaml: &str, values: &[(&str, &str)]) -> Result<Credential, CredentialError> {
        let profile: Profile = serde_saphyr::from_str(yaml).unwrap();
        Credential::load_with("example", &profile, reading(values))
    }

    fn sent(yaml: &str, values: &[(&str, &str)], before: &[(&'static str, &'static str)]) -> String {
        let credential = load(yaml, values).unwrap();
        let mut fields = HeaderMap::new();
        for (name, value) in before {
            fields.append(*name, HeaderValue::from_static(value));
        }
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(credential.fetch()).unwrap().apply(&mut fields);
        let shown = fields.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()));
        shown.collect::<Vec<_>>().join(" | ")
    }

    #[test]
    fn each_kind_replaces_what_stands_in_its_place() {
        for (yaml, before, expected) in [
            ("{kind: bearer, token: env:A}", &[][..], "authorization: Bearer aaa"),
            (
                "{kind: bearer, token: env:A}",
                &[("authorization", "Bearer hp_x"), ("authorization", "Basic x"), ("accept", "*/*")],
                "authorization: Bearer aaa | accept: */*",
            ),
            ("{kind: basic, username: env:A, password: env:B}", &[], "authorization: Basic YWFhOmJiYjpi"),
            ("{kind: basic, username: env:A}", &[], "authorization: Basic YWFhOg=="),
            (
                "{kind: header, name: X-Api-Key, value: env:C}",
                &[("x-api-key", "theirs"), ("x-api-key", "another")],
                "x-api-key: key c",
            ),
        ] {
            assert_eq!(sent(yaml, &[("A", "aaa"), ("B", "bbb:b"), ("C", "key c")], before), expected, "{yaml}");
        }
    }

    #[test]
    fn a_secret_that_cannot_be_sent_is_refused_without_repeating_it() {
        let bearer = "{kind: bearer, token: env:A}";
        let basic = "{kind: basic, username: env:A, password: env:A}";
        let header = "{kind: header, name: X-Key, value: env:A}";
        for (yaml, value, expected) in [
            (bearer, format!("{SECRET}\n"), "a line break"),
            (bearer, format!("{SECRET} x"), "a space"),
            (bearer, format!("{SECRET}é"), "a character outside ASCII"),
            (bearer, format!("{SECRET}\u{7f}"), "a control character"),
            (basic, format!("{SECRET}:x"), "a colon"),
            (basic, format!("{SECRET}\tx"), "a control character"),
            (header, format!(" {SECRET}"), "a space at its beginning"),
            (header, format!("{SECRET}\0"), "a control character"),
        ] {
            let error = load(yaml, &[("A", &value)]).unwrap_err();
            let text = format!("{error} {error:?}");
            assert!(text.contains(expected) && !text.contains(SECRET), "{text}");
        }
        let error = load(bearer, &[]).unwrap_err();
        assert_eq!(error.to_string(), "credential `example` cannot be loaded");
    }

    #[test]
    fn no_debug_form_shows_a_secret() {
        let credential = load("{kind: bearer, token: env:A}", &[("A", SECRET)]).unwrap();
        let mut fields = HeaderMap::new();
        let Source::Static(injection) = credential.source.clone();
        let text = format!("{credential:?} {injection:?}");
        injection.apply(&mut fields);
        assert!(fields["authorization"].is_sensitive());
        let text = format!("{text} {fields:?}");
        assert!(!text.contains(SECRET) && text.contains("Sensitive"), "{text}");
    }
}
