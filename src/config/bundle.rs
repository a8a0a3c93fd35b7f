//! A signed bundle of policies, from a file or a server.

use std::fmt;
use std::path::Path;
use std::path::PathBuf;
use std::str::FromStr;

use serde::Deserialize;
use serde::Serialize;

use super::duration::HumanDuration;
use super::file::FileRef;
use super::text::shown;
use super::text::written_as_text;

/// A bundle of policies (OPA's `bundle.tar.gz`), signed with Ed25519.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Bundle {
    /// Where it is fetched from, `https://…`; asked again every `poll`, with `If-None-Match`. Either
    /// this or `path`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<BundleUrl>,
    /// A `tar.gz` file or a folder of this machine, looked at again when it changes. A relative
    /// path is relative to the configuration file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<PathBuf>,
    /// The Ed25519 public key of whoever signs it, in PEM. Needed unless `verification` is `none`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub public_key: Option<FileRef>,
    /// `signed`, or `none`: then nobody needs to have signed it. Only for `path`. Default `signed`:
    /// whoever can change the policy can let every call pass.
    #[serde(default)]
    pub verification: BundleVerification,
    /// How often the server is asked for another one. Default `30s`: soon enough for people to
    /// wait for, and a question that costs next to nothing.
    #[serde(default = "poll")]
    pub poll: HumanDuration,
    /// The certificate authorities that the server is trusted by, in PEM, instead of those of this
    /// machine. Default none: the authorities that the machine trusts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca: Option<FileRef>,
}

/// Whether a bundle has to be signed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum BundleVerification {
    /// By the holder of `public_key`.
    #[default]
    Signed,
    /// It need not be.
    None,
}

impl Bundle {
    pub(super) fn resolve(&mut self, base: &Path) {
        if let Some(path) = &mut self.path {
            *path = base.join(&*path);
        }
        self.public_key.iter_mut().chain(self.ca.as_mut()).for_each(|file| file.resolve(base));
    }

    /// What its keys say together and must not, each with the key it is about.
    pub(super) fn problems(&self) -> Vec<(&'static str, &'static str)> {
        let mut problems = Vec::new();
        match (&self.url, &self.path) {
            (Some(_), None) | (None, Some(_)) => {}
            (None, None) => problems.push(("", "a bundle needs a `url` or a `path`")),
            (Some(_), Some(_)) => problems.push((".path", "a bundle has a `url` or a `path`, not both")),
        }
        match self.verification {
            BundleVerification::Signed if self.public_key.is_none() => {
                problems.push(("", "a bundle needs the `public_key` of whoever signs it"));
            }
            BundleVerification::None if self.url.is_some() => {
                problems.push((".verification", "a bundle from a server has to be signed; name the `public_key`"));
            }
            BundleVerification::Signed | BundleVerification::None => {}
        }
        if self.poll.get().as_secs() < POLL_SECONDS_MIN {
            problems.push((".poll", "the server would be asked without a pause; use at least `1s`"));
        }
        problems
    }
}

/// The shortest pause between two questions.
const POLL_SECONDS_MIN: u64 = 1;

fn poll() -> HumanDuration {
    HumanDuration::seconds(30)
}

/// Where a bundle is, such as `https://policies.internal/holdpoint/bundle.tar.gz`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(into = "String", try_from = "String")]
#[schemars(extend("pattern" = "^https://.+$"))]
pub struct BundleUrl(String); // Invariant: an absolute `https` URI with a host and without user or fragment.

/// A text that is no such URL.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not where a bundle can be; use `https://HOST[:PORT]/PATH`")]
pub struct ParseBundleUrlError(String);

impl BundleUrl {
    /// The URL.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for BundleUrl {
    type Err = ParseBundleUrlError;

    fn from_str(text: &str) -> Result<Self, ParseBundleUrlError> {
        let uri: Option<http::Uri> = text.parse().ok().filter(|_| !text.contains(['#', '@']));
        let is_secure =
            |uri: &http::Uri| uri.scheme_str() == Some("https") && uri.host().is_some_and(|host| !host.is_empty());
        match uri.filter(is_secure) {
            Some(_) => Ok(Self(text.to_owned())),
            None => Err(ParseBundleUrlError(shown(text))),
        }
    }
}

written_as_text!(BundleUrl, ParseBundleUrlError);

impl fmt::Display for BundleUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_secure_place_is_one() {
        for (text, is_fine) in [
            ("https://policies.internal/a/bundle.tar.gz", true),
            ("https://[::1]:8443/b?v=1", true),
            ("http://policies.internal/bundle.tar.gz", false),
            ("https://ana:secret@policies.internal/b", false),
            ("https://", false),
            ("/bundle.tar.gz", false),
            ("https://policies.internal/b#c", false),
        ] {
            assert_eq!(text.parse::<BundleUrl>().is_ok(), is_fine, "{text}");
        }
    }

    #[test]
    fn a_bundle_has_one_place_and_a_key() {
        let problems = |yaml: &str| {
            let bundle: Bundle = serde_saphyr::from_str(yaml).unwrap();
            bundle.problems().into_iter().map(|(_, problem)| problem).collect::<Vec<_>>().join("; ")
        };
        assert_eq!(problems("{ url: 'https://a/b', public_key: 'file:k' }"), "");
        assert_eq!(problems("{ path: b.tar.gz, public_key: 'file:k' }"), "");
        assert_eq!(problems("{ path: b.tar.gz, verification: none }"), "");
        assert_eq!(
            problems("{}"),
            "a bundle needs a `url` or a `path`; a bundle needs the `public_key` of whoever signs it"
        );
        assert_eq!(
            problems("{ url: 'https://a/b', path: b, public_key: 'file:k' }"),
            "a bundle has a `url` or a `path`, not both"
        );
        assert_eq!(
            problems("{ url: 'https://a/b', verification: none }"),
            "a bundle from a server has to be signed; name the `public_key`"
        );
        assert_eq!(
            problems("{ url: 'https://a/b', public_key: 'file:k', poll: 100ms }"),
            "the server would be asked without a pause; use at least `1s`"
        );
    }
}
