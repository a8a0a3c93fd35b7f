//! The host and port that a request is for, in one spelling.

use std::fmt;
use std::fmt::Write;
use std::net::Ipv4Addr;
use std::net::Ipv6Addr;

use super::error::Excerpt;

/// A host and perhaps a port: lower case, IPv6 addresses in brackets and in their shortest form
/// (RFC 5952), the scheme's own port left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Authority {
    text: String,
    host_len: usize,
}

impl Authority {
    /// Reads `host`, `host:port`, `[v6]` or `[v6]:port` (RFC 9110 §7.2), without user information.
    ///
    /// Names are letters, digits, `-` and `_` between dots. A name that ends like a number must be
    /// an IPv4 address in four plain decimal numbers, so that `127.1`, `0x7f000001` and the like,
    /// which resolvers read as addresses, are not taken for names.
    ///
    /// # Errors
    /// [`AuthorityFault`] says why it cannot be read in one way only.
    pub(super) fn parse(given: &[u8], tls: bool) -> Result<Self, AuthorityFault> {
        let other = || AuthorityFault::Other(Excerpt::of(given));
        if given.is_empty() {
            return Err(AuthorityFault::Empty);
        }
        if given.contains(&b'@') {
            return Err(AuthorityFault::UserInfo);
        }
        let given_text = std::str::from_utf8(given).map_err(|_| other())?;
        if let Some(odd) = given_text.chars().find(|&c| !is_allowed(c)) {
            return Err(AuthorityFault::Character { given: Excerpt::of(given), odd });
        }
        let (host, port) = split(given_text).ok_or_else(other)?;
        let mut text = String::with_capacity(given_text.len());
        match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
            Some(v6) => {
                let address: Ipv6Addr = v6.parse().map_err(|_| other())?;
                write!(text, "[{address}]").expect("writing to a string cannot fail");
            }
            None => {
                check_name(host).ok_or_else(other)?;
                text.extend(host.chars().map(|c| c.to_ascii_lowercase()));
            }
        }
        let host_len = text.len();
        if let Some(port) = port {
            let number = parse_port(port).ok_or_else(|| AuthorityFault::Port(Excerpt::of(port)))?;
            if number != if tls { 443 } else { 80 } {
                text.push(':');
                text.push_str(port);
            }
        }
        Ok(Self { text, host_len })
    }

    /// The host alone; an IPv6 address keeps its brackets.
    pub(super) fn host(&self) -> &str {
        self.text.get(..self.host_len).unwrap_or_default()
    }

    /// Host, and the port unless it is the scheme's own.
    pub(super) fn as_str(&self) -> &str {
        &self.text
    }

    /// The text of [`Self::as_str`].
    pub(super) fn into_string(self) -> String {
        self.text
    }
}

fn is_allowed(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | ':' | '[' | ']')
}

fn split(text: &str) -> Option<(&str, Option<&str>)> {
    if text.starts_with('[') {
        let end = text.find(']')? + 1;
        let (host, rest) = text.split_at_checked(end)?;
        return match rest.strip_prefix(':') {
            Some(port) => Some((host, Some(port))),
            None => rest.is_empty().then_some((host, None)),
        };
    }
    match text.split_once(':') {
        Some((host, port)) => Some((host, Some(port))),
        None => Some((text, None)),
    }
}

fn check_name(host: &str) -> Option<()> {
    let label = |label: &str| !label.is_empty() && label.len() <= 63;
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if host.len() > 253 || !host.chars().all(plain) || !host.split('.').all(label) {
        return None;
    }
    let last = host.rsplit('.').next().unwrap_or_default();
    let hex = last.get(..2).is_some_and(|prefix| prefix.eq_ignore_ascii_case("0x"));
    if hex || last.chars().all(|c| c.is_ascii_digit()) {
        host.parse::<Ipv4Addr>().ok()?;
    }
    Some(())
}

fn parse_port(text: &str) -> Option<u16> {
    let plain = text.bytes().all(|b| b.is_ascii_digit()) && !text.starts_with('0');
    plain.then(|| text.parse().ok()).flatten()
}

/// Why a host cannot be read in one way only. The words follow "the host".
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AuthorityFault {
    /// Nothing there.
    Empty,
    /// `user@host`. What stood there is not repeated.
    UserInfo,
    /// A character that no host has.
    Character {
        /// The host.
        given: Excerpt,
        /// The character.
        odd: char,
    },
    /// A port that is no number from 1 to 65535 in plain digits.
    Port(Excerpt),
    /// Neither a name nor an address.
    Other(Excerpt),
}

impl fmt::Display for AuthorityFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("is empty; send `Host: name` or `Host: name:port`"),
            Self::UserInfo => f.write_str("holds a user name before `@`; send the name and port alone"),
            Self::Character { given, odd } => {
                write!(f, "`{given}` holds the character `{}`; send one name and port alone", odd.escape_default())
            }
            Self::Port(port) => write!(f, "has the port `{port}`, which is not a number from 1 to 65535"),
            Self::Other(given) => {
                write!(f, "`{given}` is neither a name nor an IP address; write addresses in full, IPv6 in brackets")
            }
        }
    }
}
