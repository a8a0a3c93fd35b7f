//! Where agents and reviewers connect.

use std::net::IpAddr;
use std::net::SocketAddr;
use std::path::Path;

use serde::Deserialize;
use serde::Deserializer;
use serde::Serialize;

use super::file::FileRef;
use super::text::shown;

/// One address at which agents connect. It speaks TLS, unless it is a loopback address or
/// `plaintext` asks for it in so many words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Listener {
    /// An IP address and a port, such as `0.0.0.0:8443` or `[::]:8443`. Port 0 takes a free one.
    #[serde(deserialize_with = "socket_address")]
    #[schemars(with = "String", extend("examples" = ["0.0.0.0:8443", "[::]:8443"]))]
    pub address: SocketAddr,
    /// The server's certificates. Default none, which only a loopback address or `plaintext`
    /// permits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,
    /// Permits a listener without TLS at an address that others can reach. Default none: agents'
    /// keys would travel where everybody on the way can read them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plaintext: Option<Plaintext>,
}

/// Where reviewers, their programs and metrics collectors connect; never where agents do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Admin {
    /// An IP address and a port. Default `127.0.0.1:9443`: reviewers on other machines are let in
    /// when the operator says so, and then over TLS.
    #[serde(deserialize_with = "socket_address")]
    #[schemars(with = "String")]
    pub address: SocketAddr,
    /// The server's certificates. Default none, which only a loopback address or `plaintext`
    /// permits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,
    /// Permits the address to be without TLS where others can reach it. Default none: reviewers'
    /// tokens would travel where everybody on the way can read them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plaintext: Option<Plaintext>,
}

impl Default for Admin {
    fn default() -> Self {
        Self { address: SocketAddr::from(([127, 0, 0, 1], 9443)), tls: None, plaintext: None }
    }
}

/// The certificates of a listener. Which one is used follows the name that the client asks for
/// (SNI); the first is for clients that ask for none of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// The certificate chain in PEM, the server's own first.
    pub certificate: FileRef,
    /// Its private key in PEM.
    pub key: FileRef,
    /// Further certificates, for other names. Default none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub also: Vec<KeyPair>,
}

impl Tls {
    /// All certificates with their keys, the first one first.
    pub fn pairs(&self) -> impl Iterator<Item = (&FileRef, &FileRef)> {
        std::iter::once((&self.certificate, &self.key))
            .chain(self.also.iter().map(|pair| (&pair.certificate, &pair.key)))
    }

    pub(super) fn resolve(&mut self, base: &Path) {
        self.certificate.resolve(base);
        self.key.resolve(base);
        for pair in &mut self.also {
            pair.certificate.resolve(base);
            pair.key.resolve(base);
        }
    }
}

/// A certificate with its private key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KeyPair {
    /// The certificate chain in PEM, the server's own first.
    pub certificate: FileRef,
    /// Its private key in PEM.
    pub key: FileRef,
}

/// The words that permit a listener without TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Plaintext {
    /// Whoever writes this knows that keys and tokens can be read on the way.
    KeysTravelUnencrypted,
}

/// What is wrong with how an address is protected, if anything.
pub(super) fn protection_problem(address: IpAddr, tls: bool, plaintext: Option<Plaintext>) -> Option<String> {
    match (tls, plaintext) {
        (true, Some(_)) => Some("`tls` and `plaintext` contradict each other; remove one of them".to_owned()),
        (false, None) if !address.to_canonical().is_loopback() => Some(format!(
            "`{address}` can be reached from other machines, so it needs `tls`; where something in front ends TLS, \
             write `plaintext: keys-travel-unencrypted`, or listen at 127.0.0.1"
        )),
        (true, None) | (false, _) => None,
    }
}

fn socket_address<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SocketAddr, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.parse().map_err(|_| {
        serde::de::Error::custom(format!(
            "`{}` is not an IP address with a port, such as `0.0.0.0:8443` or `[::]:8443`",
            shown(&text)
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_listener_is_for_loopback_or_for_those_who_say_so() {
        let plain = Some(Plaintext::KeysTravelUnencrypted);
        for (address, tls, plaintext, expected) in [
            ("127.0.0.1", false, None, ""),
            ("127.8.0.1", false, None, ""),
            ("::1", false, None, ""),
            ("::ffff:127.0.0.1", false, None, ""),
            ("0.0.0.0", true, None, ""),
            ("0.0.0.0", false, plain, ""),
            ("127.0.0.1", false, plain, ""),
            ("0.0.0.0", false, None, "can be reached"),
            ("::", false, None, "can be reached"),
            ("10.0.0.1", false, None, "can be reached"),
            ("0.0.0.0", true, plain, "contradict"),
        ] {
            let problem = protection_problem(address.parse().unwrap(), tls, plaintext).unwrap_or_default();
            assert!(problem.contains(expected) && problem.is_empty() == expected.is_empty(), "{address}: {problem}");
        }
    }
}
