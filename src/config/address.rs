//! What an upstream is matched by and where it is: host names, path prefixes, URLs.

use std::fmt;
use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::Ipv6Addr;
use std::str::FromStr;

use serde::Deserialize;
use serde::Serialize;

use super::text::shown;
use super::text::written_as_text;

/// A host name or IP address without a port, such as `payments.internal`. Compared without
/// regard to case, kept in lower case; an IPv6 address stands in brackets, as in `Host`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(into = "String", try_from = "String")]
#[schemars(extend("examples" = ["payments.internal"]))]
pub struct HostName(String); // Invariant: lower case; a DNS name, an IPv4 address, or `[IPv6]`.

/// A text that is no host name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a host name; write it alone, without scheme, port, path or wildcard, such as `payments.internal`"
)]
pub struct ParseHostError(String);

impl HostName {
    /// The name as text, in lower case.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for HostName {
    type Err = ParseHostError;

    fn from_str(text: &str) -> Result<Self, ParseHostError> {
        let bracketed = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        if let Some(address) = bracketed {
            let address: Ipv6Addr = address.parse().map_err(|_| ParseHostError(shown(text)))?;
            return Ok(Self(format!("[{address}]")));
        }
        // What ends in a number is an IPv4 address or nothing (WHATWG URL, "ends in a number").
        let numeric = text.rsplit('.').next().is_some_and(|last| last.bytes().all(|byte| byte.is_ascii_digit()));
        let valid = if numeric { text.parse::<Ipv4Addr>().is_ok() } else { is_dns_name(text) };
        if valid { Ok(Self(text.to_ascii_lowercase())) } else { Err(ParseHostError(shown(text))) }
    }
}

written_as_text!(HostName, ParseHostError);

impl fmt::Display for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The beginning of a path, by whole segments: `/stripe` is the beginning of `/stripe` and
/// `/stripe/v1`, and not of `/stripes`. `/` is the beginning of every path.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(into = "String", try_from = "String")]
#[schemars(extend("pattern" = "^/", "examples" = ["/stripe", "/"]))]
pub struct PathPrefix(String); // Invariant: `/`, or segments of unreserved characters, without a final `/`.

/// A text that cannot be the beginning of a path here.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParsePathPrefixError {
    /// It does not begin as a path does.
    #[error("`{0}` does not begin with `/`; write for example `/stripe`, or `/` for every path")]
    NoSlash(String),
    /// Two servers could read it differently.
    #[error("`{0}` cannot begin a path: segments are letters, digits, `-`, `_`, `~` and `.`, none empty, `.` or `..`")]
    Form(String),
}

impl PathPrefix {
    /// The prefix as text, without a `/` at its end unless it is `/`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for PathPrefix {
    type Err = ParsePathPrefixError;

    fn from_str(text: &str) -> Result<Self, ParsePathPrefixError> {
        let rest = text.strip_prefix('/').ok_or_else(|| ParsePathPrefixError::NoSlash(shown(text)))?;
        if rest.is_empty() {
            return Ok(Self("/".to_owned()));
        }
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let unreserved = |byte: u8| byte.is_ascii_alphanumeric() || b"-_~.".contains(&byte);
        let plain =
            |segment: &str| !segment.is_empty() && segment != "." && segment != ".." && segment.bytes().all(unreserved);
        if rest.split('/').all(plain) {
            Ok(Self(format!("/{rest}")))
        } else {
            Err(ParsePathPrefixError::Form(shown(text)))
        }
    }
}

written_as_text!(PathPrefix, ParsePathPrefixError);

impl fmt::Display for PathPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for PathPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Where an upstream is: `http://` or `https://`, a host, and a port if it is not the usual one.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(into = "String", try_from = "String")]
#[schemars(extend("pattern" = "^https?://[^/?#@]+/?$", "examples" = ["https://api.stripe.com"]))]
pub struct UpstreamUrl {
    /// Whether the scheme is `https`.
    pub tls: bool,
    /// The host; an IPv6 address stands in brackets.
    pub host: HostName,
    /// The port, 443 or 80 where none was written.
    pub port: u16,
}

/// A text that does not say where an upstream is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseUpstreamUrlError {
    /// Another scheme, or none.
    #[error("`{0}` does not begin with `https://` or `http://`")]
    Scheme(String),
    /// `user:password@`; not repeated, because it is a secret.
    #[error("a URL with a user or password in it is refused; declare a `credential` of kind `basic` instead")]
    UserInfo,
    /// More than scheme, host and port.
    #[error(
        "`{0}` has a path, query or fragment, which is not supported: calls keep their own path; \
         write only scheme, host and port, such as `https://api.example.com`"
    )]
    Path(String),
    /// The host is none.
    #[error(transparent)]
    Host(#[from] ParseHostError),
    /// The port is none.
    #[error("`{0}` has no usable port; a port is a number from 1 to 65535")]
    Port(String),
}

impl UpstreamUrl {
    /// Host and port as `Host` has them: the usual port of the scheme is left out.
    pub fn authority(&self) -> String {
        if self.port == default_port(self.tls) { self.host.to_string() } else { format!("{}:{}", self.host, self.port) }
    }

    /// The address, where the host is one rather than a name.
    pub fn ip(&self) -> Option<IpAddr> {
        self.host.as_str().trim_start_matches('[').trim_end_matches(']').parse().ok()
    }

    /// Whether the host is this machine by its own words.
    pub fn is_loopback(&self) -> bool {
        self.host.as_str() == "localhost" || self.ip().is_some_and(|ip| ip.to_canonical().is_loopback())
    }
}

impl FromStr for UpstreamUrl {
    type Err = ParseUpstreamUrlError;

    fn from_str(text: &str) -> Result<Self, ParseUpstreamUrlError> {
        let (scheme, rest) = text.split_once("://").ok_or_else(|| ParseUpstreamUrlError::Scheme(without_user(text)))?;
        let tls = match scheme.to_ascii_lowercase().as_str() {
            "https" => true,
            "http" => false,
            _ => return Err(ParseUpstreamUrlError::Scheme(without_user(text))),
        };
        if rest.contains('@') {
            return Err(ParseUpstreamUrlError::UserInfo);
        }
        let authority = rest.strip_suffix('/').unwrap_or(rest);
        if authority.contains(['/', '?', '#', '\\']) {
            return Err(ParseUpstreamUrlError::Path(shown(text)));
        }
        let colon = authority.rfind(':').filter(|colon| !authority[*colon..].contains(']'));
        let (host, port) = match colon {
            None => (authority, default_port(tls)),
            Some(colon) => {
                let port = &authority[colon + 1..];
                let digits = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
                let port = port.parse().ok().filter(|port| digits && *port != 0);
                (&authority[..colon], port.ok_or_else(|| ParseUpstreamUrlError::Port(shown(text)))?)
            }
        };
        Ok(Self { tls, host: host.parse()?, port })
    }
}

written_as_text!(UpstreamUrl, ParseUpstreamUrlError);

impl fmt::Display for UpstreamUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", if self.tls { "https" } else { "http" }, self.authority())
    }
}

impl fmt::Debug for UpstreamUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Whether an upstream may have `ip` only where the operator lists it in `allow_addresses`:
/// addresses that mean this very link, cloud metadata services, many hosts, or none.
pub(super) fn needs_permission(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => {
            ip.is_link_local()
                || ip.is_multicast()
                || ip.is_broadcast()
                || ip.octets().first() == Some(&0)
                || METADATA_V4.contains(&ip)
        }
        IpAddr::V6(ip) => {
            ip.is_unicast_link_local() || ip.is_multicast() || ip.is_unspecified() || METADATA_V6.contains(&ip)
        }
    }
}

fn default_port(tls: bool) -> u16 {
    if tls { 443 } else { 80 }
}

/// `text` for a message, without what stands before an `@`.
fn without_user(text: &str) -> String {
    shown(text.rsplit('@').next().unwrap_or_default())
}

fn is_dns_name(text: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    text.len() <= 253 && text.split('.').all(label)
}

/// Metadata services outside the link-local ranges: Alibaba's, Oracle's.
const METADATA_V4: [Ipv4Addr; 2] = [Ipv4Addr::new(100, 100, 100, 200), Ipv4Addr::new(192, 0, 0, 192)];

/// Amazon's metadata service over IPv6.
const METADATA_V6: [Ipv6Addr; 1] = [Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)];

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed<T: FromStr<Err: fmt::Display> + fmt::Display>(text: &str) -> String {
        match text.parse::<T>() {
            Ok(value) => format!("ok {value}"),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn a_host_is_a_name_or_an_address_alone() {
        for (text, expected) in [
            ("Payments.Internal", "ok payments.internal"),
            ("localhost", "ok localhost"),
            ("127.0.0.1", "ok 127.0.0.1"),
            ("[::1]", "ok [::1]"),
            ("[0:0::1]", "ok [::1]"),
            ("a_b.c", "ok a_b.c"),
        ] {
            assert_eq!(parsed::<HostName>(text), expected);
        }
        for text in ["", "a:80", "https://a", "a/b", "*.a", "::1", "1.2.3", "0x7f.1", "a..b", "-a", "a b", "ä.de", "a."]
        {
            assert!(parsed::<HostName>(text).contains("is not a host name"), "{text}");
        }
    }

    #[test]
    fn a_path_prefix_has_one_reading() {
        for (text, expected) in [("/", "ok /"), ("/stripe", "ok /stripe"), ("/a/b-c_d.e~f/", "ok /a/b-c_d.e~f")] {
            assert_eq!(parsed::<PathPrefix>(text), expected);
        }
        assert!(parsed::<PathPrefix>("stripe").contains("does not begin with `/`"));
        for text in ["//", "/a//b", "/a/../b", "/.", "/%2f", "/a?b", "/a b", "/a;b", "/ä", "/a//"] {
            assert!(parsed::<PathPrefix>(text).contains("cannot begin a path"), "{text}");
        }
    }

    #[test]
    fn an_upstream_is_a_scheme_a_host_and_a_port() {
        for (text, expected) in [
            ("https://api.stripe.com", "ok https://api.stripe.com"),
            ("HTTPS://API.stripe.com:443/", "ok https://api.stripe.com"),
            ("http://127.0.0.1:8081", "ok http://127.0.0.1:8081"),
            ("http://[::1]:80", "ok http://[::1]"),
            ("https://[::1]:80", "ok https://[::1]:80"),
            ("api.stripe.com", "`api.stripe.com` does not begin with `https://` or `http://`"),
            ("ftp://u:s3cret@a", "`a` does not begin with `https://` or `http://`"),
        ] {
            assert_eq!(parsed::<UpstreamUrl>(text), expected);
        }
        for (text, expected) in [
            ("https://u:s3cret@a", "declare a `credential`"),
            ("https://a/v1", "calls keep their own path"),
            ("https://a?b", "calls keep their own path"),
            ("https://a#b", "calls keep their own path"),
            ("https://a//", "calls keep their own path"),
            ("https://", "is not a host name"),
            ("https://a b", "is not a host name"),
            ("https://a:b:1", "is not a host name"),
            ("https://a:", "no usable port"),
            ("https://a:0", "no usable port"),
            ("https://a:+1", "no usable port"),
            ("https://a:65536", "no usable port"),
        ] {
            let text = parsed::<UpstreamUrl>(text);
            assert!(text.contains(expected) && !text.contains("s3cret"), "{text}");
        }
    }

    #[test]
    fn metadata_services_are_reached_by_permission_only() {
        for ip in [
            "169.254.169.254",
            "::ffff:169.254.169.254",
            "fe80::1",
            "fd00:ec2::254",
            "100.100.100.200",
            "0.0.0.0",
            "::",
            "224.0.0.1",
            "255.255.255.255",
            "0.1.2.3",
        ] {
            assert!(needs_permission(ip.parse().unwrap()), "{ip}");
        }
        for ip in ["127.0.0.1", "::1", "10.0.0.1", "192.168.1.1", "fd00::1", "8.8.8.8", "100.64.0.1"] {
            assert!(!needs_permission(ip.parse().unwrap()), "{ip}");
        }
    }
}
