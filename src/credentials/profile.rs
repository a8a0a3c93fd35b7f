//! What the configuration says of one credential.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use http::HeaderName;
use serde::Deserialize;
use serde::Serialize;

use super::secret::SecretRef;

/// A credential for an upstream: its `kind`, and where its secrets are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case", try_from = "Flat")]
#[schemars(!try_from, deny_unknown_fields)]
pub enum Profile {
    /// `Authorization: Bearer TOKEN` (RFC 6750 §2.1).
    Bearer {
        /// Where the token is.
        token: SecretRef,
    },
    /// `Authorization: Basic …` (RFC 7617).
    Basic {
        /// Where the user name is. It is a reference too, because for some APIs it is the secret.
        username: SecretRef,
        /// Where the password is. Default none: an empty password, as those APIs want it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        password: Option<SecretRef>,
    },
    /// A header field of any other name.
    Header {
        /// The name of the field, such as `X-Api-Key`.
        name: FieldName,
        /// Where the whole value of the field is.
        value: SecretRef,
    },
}

impl Profile {
    /// The word for its kind, as in the configuration.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Bearer { .. } => "bearer",
            Self::Basic { .. } => "basic",
            Self::Header { .. } => "header",
        }
    }

    /// Its secrets, each with the key it stands under.
    pub fn secrets(&self) -> impl Iterator<Item = (&'static str, &SecretRef)> {
        let (first, second) = match self {
            Self::Bearer { token } => (("token", token), None),
            Self::Basic { username, password } => {
                (("username", username), password.as_ref().map(|password| ("password", password)))
            }
            Self::Header { value, .. } => (("value", value), None),
        };
        std::iter::once(first).chain(second)
    }

    /// The same profile, relative paths now relative to `base`.
    #[must_use]
    pub fn resolved(self, base: &Path) -> Self {
        match self {
            Self::Bearer { token } => Self::Bearer { token: token.resolved(base) },
            Self::Basic { username, password } => Self::Basic {
                username: username.resolved(base),
                password: password.map(|password| password.resolved(base)),
            },
            Self::Header { name, value } => Self::Header { name, value: value.resolved(base) },
        }
    }
}

/// The name of a header field that may carry a credential: any that is not about the connection,
/// the framing, the caller's address, or the approval itself.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(into = "String", try_from = "String")]
#[schemars(extend("pattern" = "^[!#$%&'*+.^_`|~0-9A-Za-z-]+$"))]
pub struct FieldName(HeaderName); // Invariant: not one of REFUSED, nor with a prefix of REFUSED_PREFIXES.

/// A text that cannot be the name of such a field.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseFieldNameError {
    /// Not a name at all.
    #[error("`{0}` is not the name of a header field, such as `X-Api-Key`")]
    Form(String),
    /// A field with a meaning of its own.
    #[error("the field `{0}` cannot carry a credential: it has another meaning in HTTP or to this proxy")]
    Refused(String),
}

impl FieldName {
    /// The name as `http` knows it.
    pub fn as_header(&self) -> &HeaderName {
        &self.0
    }
}

impl FromStr for FieldName {
    type Err = ParseFieldNameError;

    fn from_str(text: &str) -> Result<Self, ParseFieldNameError> {
        let shown = || text.escape_debug().take(80).collect();
        let name = HeaderName::from_str(text).map_err(|_| ParseFieldNameError::Form(shown()))?;
        let refused =
            REFUSED.contains(&name.as_str()) || REFUSED_PREFIXES.iter().any(|prefix| name.as_str().starts_with(prefix));
        if refused { Err(ParseFieldNameError::Refused(shown())) } else { Ok(Self(name)) }
    }
}

impl TryFrom<String> for FieldName {
    type Error = ParseFieldNameError;

    fn try_from(text: String) -> Result<Self, ParseFieldNameError> {
        text.parse()
    }
}

impl From<FieldName> for String {
    fn from(name: FieldName) -> String {
        name.0.as_str().to_owned()
    }
}

impl fmt::Display for FieldName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str())
    }
}

impl fmt::Debug for FieldName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The profile as it is written, before its kind says which keys belong to it. A tagged enum
/// would be read through a buffer, which loses the line of every mistake.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Flat {
    kind: Kind,
    token: Option<SecretRef>,
    username: Option<SecretRef>,
    password: Option<SecretRef>,
    name: Option<FieldName>,
    value: Option<SecretRef>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Kind {
    Bearer,
    Basic,
    Header,
}

/// A profile whose keys do not fit its kind.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
enum FlatError {
    #[error("a credential of kind `{kind}` needs `{key}`")]
    Missing { kind: &'static str, key: &'static str },
    #[error("a credential of kind `{kind}` has no `{key}`; it takes {accepted}")]
    Foreign { kind: &'static str, key: &'static str, accepted: &'static str },
}

impl TryFrom<Flat> for Profile {
    type Error = FlatError;

    fn try_from(flat: Flat) -> Result<Self, FlatError> {
        let (kind, accepted, keys): (_, _, &[&str]) = match flat.kind {
            Kind::Bearer => ("bearer", "`token`", &["token"]),
            Kind::Basic => ("basic", "`username` and `password`", &["username", "password"]),
            Kind::Header => ("header", "`name` and `value`", &["name", "value"]),
        };
        let given = [
            ("token", flat.token.is_some()),
            ("username", flat.username.is_some()),
            ("password", flat.password.is_some()),
            ("name", flat.name.is_some()),
            ("value", flat.value.is_some()),
        ];
        if let Some((key, _)) = given.iter().find(|(key, given)| *given && !keys.contains(key)) {
            return Err(FlatError::Foreign { kind, key, accepted });
        }
        let missing = |key| FlatError::Missing { kind, key };
        Ok(match flat.kind {
            Kind::Bearer => Self::Bearer { token: flat.token.ok_or_else(|| missing("token"))? },
            Kind::Basic => {
                Self::Basic { username: flat.username.ok_or_else(|| missing("username"))?, password: flat.password }
            }
            Kind::Header => Self::Header {
                name: flat.name.ok_or_else(|| missing("name"))?,
                value: flat.value.ok_or_else(|| missing("value"))?,
            },
        })
    }
}

/// Fields whose value is somebody else's business.
const REFUSED: [&str; 18] = [
    "accept-encoding",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "date",
    "expect",
    "forwarded",
    "host",
    "keep-alive",
    "proxy-authenticate",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "via",
    "x-real-ip",
];

const REFUSED_PREFIXES: [&str; 2] = ["approval-", "x-forwarded-"];

#[cfg(test)]
mod tests {
    use super::*;

    fn profile(yaml: &str) -> String {
        match serde_saphyr::from_str::<Profile>(yaml) {
            Ok(profile) => format!("{profile:?}"),
            Err(error) => error.without_snippet().to_string(),
        }
    }

    #[test]
    fn a_profile_takes_the_keys_of_its_kind_and_no_others() {
        for (yaml, expected) in [
            ("{kind: bearer, token: env:T}", r#"Bearer { token: Env("T") }"#),
            (
                "{kind: basic, username: env:U, password: file:p}",
                r#"Basic { username: Env("U"), password: Some(File("p")) }"#,
            ),
            ("{kind: basic, username: env:U}", r#"Basic { username: Env("U"), password: None }"#),
            ("{kind: header, name: X-Api-Key, value: env:V}", r#"Header { name: x-api-key, value: Env("V") }"#),
        ] {
            assert_eq!(profile(yaml), expected);
        }
        for (yaml, expected) in [
            ("{kind: bearer}", "a credential of kind `bearer` needs `token`"),
            ("{kind: basic, password: env:P}", "a credential of kind `basic` needs `username`"),
            (
                "{kind: bearer, token: env:T, name: X-A}",
                "a credential of kind `bearer` has no `name`; it takes `token`",
            ),
            ("{kind: bearer, token: sk-live-1}", "a secret is written as a reference"),
            ("{kind: query, name: key, value: env:V}", "unknown variant `query`"),
            ("{kind: bearer, token: env:T, tokne: env:U}", "unknown field `tokne`"),
            ("{token: env:T}", "missing field `kind`"),
        ] {
            let text = profile(yaml);
            assert!(text.contains(expected) && !text.contains("sk-live"), "{text}");
        }
    }

    #[test]
    fn a_credential_cannot_pose_as_another_field() {
        for name in ["x-api-key", "Authorization", "Cookie", "private-token", "DD-API-KEY"] {
            assert!(name.parse::<FieldName>().is_ok(), "{name}");
        }
        for name in ["", "a b", "x:y", "Host", "Transfer-Encoding", "X-Forwarded-For", "Approval-Id", "TE"] {
            assert!(name.parse::<FieldName>().is_err(), "{name}");
        }
    }
}
