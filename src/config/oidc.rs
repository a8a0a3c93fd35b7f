//! How reviewers sign in with the organisation's own accounts: OpenID Connect.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fmt;
use std::num::NonZeroU32;
use std::path::Path;
use std::str::FromStr;

use serde::Deserialize;
use serde::Serialize;

use crate::credentials::SecretRef;
use crate::model::PersonId;

use super::address::UpstreamUrl;
use super::duration::HumanDuration;
use super::file::FileRef;
use super::name::Name;
use super::text::shown;
use super::text::written_as_text;

/// Sign-in by OpenID Connect: an identity provider says who somebody is, and may say which groups
/// they are in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Oidc {
    /// The provider's issuer, exactly as its discovery document says it, such as
    /// `https://example.okta.com` or `https://login.microsoftonline.com/TENANT/v2.0`.
    pub issuer: IssuerUrl,
    /// What the provider knows this deployment by.
    #[schemars(length(min = 1))]
    pub client_id: String,
    /// The secret that belongs to it, as a reference. Default none: a public client, which proves
    /// itself by PKCE alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_secret: Option<SecretRef>,
    /// Where reviewers' browsers reach the admin listener, without a path. The provider must have
    /// this with `/signin/oidc/callback` as a redirect URI.
    pub public_url: UpstreamUrl,
    /// What is asked for beside `openid`. Default `["profile","email"]`; some providers give groups
    /// only to who asks for the scope `groups`.
    #[serde(default = "scopes")]
    pub scopes: Vec<String>,
    /// The claim that says which person somebody is. Default `sub`, the only one that a provider
    /// never gives to somebody else: whoever it names `00u1` is the person `oidc:00u1`, and
    /// `subjects` or `reviewers.aliases` can say who that is. `email` counts only where the provider
    /// says that it is verified. Never choose one that people can change themselves.
    #[serde(default = "person_claim")]
    #[schemars(length(min = 1))]
    pub person_claim: String,
    /// Which person an account of the provider is, by its `sub`; stronger than `person_claim`.
    /// Default none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(with = "BTreeMap<String, String>")]
    pub subjects: BTreeMap<String, PersonId>,
    /// The claim that lists somebody's groups, such as `groups` or `roles`. Default none: only
    /// `reviewers.groups` says who is in which group. Where it is set, nobody whose groups are not
    /// known for sure can sign in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub groups_claim: Option<String>,
    /// From how many entries on the claim is taken as cut off. Default `100`, where Okta cuts off
    /// without saying so; raise it for a provider that says when it leaves groups out.
    #[serde(default = "groups_claim_max")]
    pub groups_claim_max: NonZeroU32,
    /// Which values of that claim make somebody a member of which group of reviewers, beside those
    /// whom `reviewers.groups` names. Default none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(with = "BTreeMap<String, BTreeSet<String>>")]
    pub groups: BTreeMap<Name, BTreeSet<String>>,
    /// How long after a sign-in the groups that it named count. Default `8h`, as long as a session
    /// lasts: what somebody approved does not count after that, unless they have signed in again.
    #[serde(default = "groups_valid_for")]
    pub groups_valid_for: HumanDuration,
    /// Whether `holdpoint login` may sign terminals in by device code. Default `false`: anybody who
    /// reaches the admin listener can begin such a sign-in and ask a reviewer to finish it for them.
    #[serde(default)]
    pub device_sign_in: bool,
    /// The certificate authorities that the provider is trusted by, in PEM, instead of those of
    /// this machine. Default none: the authorities that the machine trusts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca: Option<FileRef>,
}

impl Oidc {
    /// What is wrong with it by itself: the key, and why.
    pub(super) fn problems(&self) -> Vec<(&'static str, String)> {
        let mut problems = Vec::new();
        let mut wrong = |key, message: &str| problems.push((key, message.to_owned()));
        if self.client_id.is_empty() {
            wrong("client_id", "an empty text is no client id; the provider's registration of this deployment has one");
        }
        if self.person_claim.is_empty() {
            wrong("person_claim", "an empty text is no claim; `sub` is the usual one");
        }
        if self.groups_claim.as_deref() == Some("") {
            wrong("groups_claim", "an empty text is no claim; remove the key, or write for example `groups`");
        }
        if self.groups_claim.is_none() && !self.groups.is_empty() {
            wrong("groups", "needs `groups_claim`, which says where the provider lists somebody's groups");
        }
        if self.groups_claim.is_some() && self.groups.is_empty() {
            wrong("groups_claim", "needs `groups`, which says what its values stand for here");
        }
        if !self.public_url.tls && !self.public_url.is_loopback() {
            wrong("public_url", "sessions are given out there, so it has to begin with `https://`");
        }
        if self.scopes.iter().any(|scope| !is_scope(scope)) {
            wrong("scopes", "a scope is one word of printable ASCII, such as `profile`");
        }
        problems
    }

    pub(super) fn resolve(&mut self, base: &Path) {
        self.client_secret = self.client_secret.take().map(|secret| secret.resolved(base));
        if let Some(ca) = &mut self.ca {
            ca.resolve(base);
        }
    }
}

/// A scope, as RFC 6749 §3.3 has it.
fn is_scope(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\')
}

fn scopes() -> Vec<String> {
    ["profile", "email"].map(str::to_owned).into()
}

fn person_claim() -> String {
    "sub".to_owned()
}

fn groups_claim_max() -> NonZeroU32 {
    const { NonZeroU32::new(100).expect("not zero") }
}

fn groups_valid_for() -> HumanDuration {
    HumanDuration::seconds(8 * 3_600)
}

/// The issuer of an identity provider: `https://`, and `http://` only for a loopback host; kept
/// and compared byte for byte, as OpenID Connect Discovery 1.0 §4.3 asks.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(into = "String", try_from = "String")]
#[schemars(extend("pattern" = "^https?://[^?#@]+$", "examples" = ["https://example.okta.com"]))]
pub struct IssuerUrl(String); // Invariant: as said above; no user, query or fragment.

/// A text that is no issuer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseIssuerError {
    /// Not a URL of the form that issuers have.
    #[error("`{0}` is not an issuer; write `https://` and what the provider calls its issuer, without `?` and `#`")]
    Form(String),
    /// What it says could be read and changed on the way.
    #[error("`{0}` is not encrypted, so anybody on the way could say who somebody is; use `https://`")]
    Unencrypted(String),
}

impl IssuerUrl {
    /// The issuer as it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for IssuerUrl {
    type Err = ParseIssuerError;

    fn from_str(text: &str) -> Result<Self, ParseIssuerError> {
        let form = || ParseIssuerError::Form(shown(text.rsplit('@').next().unwrap_or_default()));
        let (scheme, rest) = text.split_once("://").ok_or_else(form)?;
        let end = rest.find('/').unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        if rest.contains('@') || !path.bytes().all(|byte| byte.is_ascii_graphic() && !b"?#\\\"<>".contains(&byte)) {
            return Err(form());
        }
        let origin: UpstreamUrl = format!("{scheme}://{authority}").parse().map_err(|_| form())?;
        if !origin.tls && !origin.is_loopback() {
            return Err(ParseIssuerError::Unencrypted(shown(text)));
        }
        Ok(Self(text.to_owned()))
    }
}

written_as_text!(IssuerUrl, ParseIssuerError);

impl fmt::Display for IssuerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for IssuerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_issuer_is_a_url_that_nobody_can_listen_to() {
        for text in [
            "https://example.okta.com",
            "https://example.okta.com/oauth2/default",
            "https://login.microsoftonline.com/11111111-2222-3333-4444-555555555555/v2.0",
            "https://example.com/",
            "http://127.0.0.1:8080",
            "http://[::1]:8080/realms/a",
            "http://localhost",
        ] {
            assert_eq!(text.parse::<IssuerUrl>().unwrap().as_str(), text);
        }
        for (text, expected) in [
            ("example.okta.com", "is not an issuer"),
            ("https://", "is not an issuer"),
            ("https://a?b", "is not an issuer"),
            ("https://a/b#c", "is not an issuer"),
            ("https://u:s3cret@a", "is not an issuer"),
            ("ftp://a", "is not an issuer"),
            ("https://a/b c", "is not an issuer"),
            ("http://example.okta.com", "is not encrypted"),
            ("http://127.0.0.1.example.com", "is not encrypted"),
        ] {
            let error = text.parse::<IssuerUrl>().unwrap_err().to_string();
            assert!(error.contains(expected) && !error.contains("s3cret"), "{text}: {error}");
        }
    }
}
