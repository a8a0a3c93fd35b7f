//! Who asks for a page, and whether they meant to.
//!
//! A browser sends cookies along whatever page made it ask. So whatever changes something has to
//! come from one of our own pages, which the browser says (`Sec-Fetch-Site`, `Origin`) and which the
//! form's token shows; asking for a page never changes anything.

use std::convert::Infallible;
use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::Ipv6Addr;

use axum::extract::FromRequestParts;
use axum::http::HeaderMap;
use axum::http::Uri;
use axum::http::header;
use axum::http::header::HOST;
use axum::http::request::Parts;
use axum::response::IntoResponse;
use axum::response::Redirect;
use axum::response::Response;
use percent_encoding::NON_ALPHANUMERIC;
use percent_encoding::utf8_percent_encode;

use crate::model::PersonId;
use crate::review::Admin;
use crate::review::Shared;
use crate::review::session::By;
use crate::review::session::Carrier;
use crate::review::session::Known;
use crate::review::sign_in;

/// The other end of a connection to the admin listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Its address, or that of the proxy in between.
    pub address: IpAddr,
    /// Whether it speaks TLS with us.
    pub tls: bool,
}

impl Default for Peer {
    /// Somebody of whom nothing is known.
    fn default() -> Self {
        Self { address: Ipv4Addr::UNSPECIFIED.into(), tls: false }
    }
}

impl Peer {
    /// Whose limits it counts against: its address, and of IPv6 the network, since one customer of a
    /// provider has a whole /64.
    pub(in crate::review) fn network(self) -> IpAddr {
        match self.address.to_canonical() {
            IpAddr::V4(address) => IpAddr::V4(address),
            IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64))),
        }
    }

    pub(super) fn of(parts: &Parts) -> Self {
        parts.extensions.get().copied().unwrap_or_default()
    }
}

impl<S: Sync> FromRequestParts<S> for Peer {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self::of(parts))
    }
}

/// A person whose browser has a good session.
#[derive(Clone, Debug)]
pub(in crate::review) struct Visitor {
    /// Their canonical name.
    pub(super) person: PersonId,
    pub(super) session: Known,
    pub(super) peer: Peer,
}

impl Visitor {
    pub(super) fn of(admin: &Shared, parts: &Parts) -> Option<Self> {
        let peer = Peer::of(parts);
        let by = if is_by_script(&parts.headers) { By::Script } else { By::Person };
        let session = session(admin, &parts.headers, peer, by)?;
        let person = admin.state.approvals.people().canonical_person(session.holder.person());
        Some(Self { person, session, peer })
    }
}

impl FromRequestParts<Admin> for Visitor {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, admin: &Admin) -> Result<Self, Response> {
        Self::of(admin, parts).ok_or_else(|| Redirect::to(&sign_in_for(&parts.uri)).into_response())
    }
}

/// The session of a request, if it has a good one.
pub(in crate::review) fn session(admin: &Shared, headers: &HeaderMap, peer: Peer, by: By) -> Option<Known> {
    let now = admin.state.clock.now();
    let mut known =
        admin.sessions.find(&session_cookie(headers, is_public_secure(admin, peer))?, Carrier::Cookie, by, now)?;
    if sign_in::is_good(admin, &known.holder) {
        sign_in::write(admin, known.key, known.unwritten.take());
        return Some(known);
    }
    sign_in::end(admin, known.key);
    None
}

/// Whether a request comes from one of our own pages. Browsers that tell nothing are refused: all
/// of the last years tell one of the two.
pub(super) fn is_ours(headers: &HeaderMap, uri: &Uri) -> bool {
    let site = headers.get("sec-fetch-site").map(|value| value.as_bytes());
    let origin = headers.get(header::ORIGIN).map(|value| value.to_str().unwrap_or("?"));
    let same_origin = || {
        let origin = origin.and_then(|origin| origin.split_once("://")).map(|(_, authority)| authority);
        let host = headers.get(HOST).and_then(|value| value.to_str().ok());
        let host = uri.authority().map(axum::http::uri::Authority::as_str).or(host);
        origin.zip(host).is_some_and(|(origin, host)| origin.eq_ignore_ascii_case(host))
    };
    match (site, origin) {
        (Some(site), None) => site == b"same-origin",
        (Some(site), Some(_)) => site == b"same-origin" && same_origin(),
        (None, Some(_)) => same_origin(),
        (None, None) => false,
    }
}

/// Whether a script has asked, such as ours that looks for news, and not a person.
fn is_by_script(headers: &HeaderMap) -> bool {
    headers.get("sec-fetch-dest").is_some_and(|value| value == "empty")
}

/// The field that gives a browser its cookie, or takes it away if `value` is `None`.
pub(in crate::review) fn set_cookie(value: Option<&str>, secure: bool, age_max: u64) -> String {
    let (name, more) = if secure { (SECURE_COOKIE, "; Secure") } else { (PLAIN_COOKIE, "") };
    // Lax, since a link in a chat message has to lead to the page and not to the sign-in.
    let age = if value.is_some() { age_max } else { 0 };
    format!("{name}={}; Path=/; Max-Age={age}; HttpOnly; SameSite=Lax{more}", value.unwrap_or_default())
}

/// Whether the browser speaks TLS, if not with us then with a proxy in front of us.
pub(super) fn is_secure(admin: &Shared, headers: &HeaderMap, peer: Peer) -> bool {
    let origin = headers.get(header::ORIGIN).is_some_and(|origin| origin.as_bytes().starts_with(b"https://"));
    is_public_secure(admin, peer) || origin
}

/// Whether all browsers speak TLS, as far as the configuration says.
fn is_public_secure(admin: &Shared, peer: Peer) -> bool {
    let provider = admin.state.sign_in.provider.load();
    peer.tls || provider.as_ref().is_some_and(|provider| provider.settings().is_public_secure())
}

/// Where TLS is spoken only the cookie counts that nobody can have set without it.
fn session_cookie(headers: &HeaderMap, secure: bool) -> Option<String> {
    let plain = || if secure { None } else { cookie(headers, PLAIN_COOKIE) };
    cookie(headers, SECURE_COOKIE).or_else(plain)
}

/// The one value of the cookie `name`. Two of one name: somebody has tried to put theirs beside ours.
pub(in crate::review) fn cookie(headers: &HeaderMap, name: &str) -> Option<String> {
    let fields = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let pairs = fields.flat_map(|field| field.split(';')).filter_map(|pair| pair.trim().split_once('='));
    let mut values = pairs.filter(|(key, _)| *key == name).map(|(_, value)| value);
    let first = values.next()?;
    values.all(|other| other == first).then(|| first.to_owned())
}

/// The sign-in page that leads back to `uri`.
fn sign_in_for(uri: &Uri) -> String {
    let back = uri.path_and_query().map_or("/", |path| path.as_str());
    if back == "/" {
        return "/sign-in".to_owned();
    }
    format!("/sign-in?to={}", utf8_percent_encode(back, NON_ALPHANUMERIC))
}

/// `to`, if it is a place on this site and not another one in disguise.
pub(in crate::review) fn place_here(to: &str) -> &str {
    let is_here = to.starts_with('/')
        && !to.starts_with("//")
        && to.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\')
        && to.len() <= PLACE_BYTES_MAX;
    if is_here { to } else { "/" }
}

/// Browsers take it only with `Secure`, without `Domain`, and for the whole site.
const SECURE_COOKIE: &str = "__Host-holdpoint";
const PLAIN_COOKIE: &str = "holdpoint";

/// The longest place that the sign-in leads back to.
const PLACE_BYTES_MAX: usize = 2_048;

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn only_our_own_pages_change_anything() {
        let uri: Uri = "/a/apr_1".parse().unwrap();
        let cases: [(&[(&str, &str)], bool); 12] = [
            (&[("host", "h:1"), ("sec-fetch-site", "same-origin")], true),
            (&[("host", "h:1"), ("origin", "https://h:1")], true),
            (&[("host", "h:1"), ("origin", "https://h:1"), ("sec-fetch-site", "same-origin")], true),
            (&[("host", "H:1"), ("origin", "https://h:1")], true),
            (&[("host", "h:1"), ("sec-fetch-site", "same-site")], false),
            (&[("host", "h:1"), ("sec-fetch-site", "cross-site")], false),
            (&[("host", "h:1"), ("sec-fetch-site", "none")], false),
            (&[("host", "h:1"), ("origin", "https://evil.example")], false),
            (&[("host", "h:1"), ("origin", "https://h:1"), ("sec-fetch-site", "cross-site")], false),
            (&[("host", "h:1"), ("origin", "null"), ("sec-fetch-site", "same-origin")], false),
            (&[("host", "h:1"), ("origin", "https://h:2")], false),
            (&[("host", "h:1")], false),
        ];
        for (fields, expected) in cases {
            let map = fields.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
            assert_eq!(is_ours(&map.collect::<HeaderMap>(), &uri), expected, "{fields:?}");
        }
        let http2: Uri = "https://h:1/a".parse().unwrap();
        assert!(is_ours(&headers(&[("origin", "https://h:1")]), &http2));
    }

    #[test]
    fn a_cookie_counts_once_and_where_tls_is_spoken_only_the_safe_one() {
        let (plain, tls) = (false, true);
        let cases = [
            ("holdpoint=a", plain, Some("a")),
            ("holdpoint=a", tls, None),
            ("__Host-holdpoint=b; holdpoint=a", plain, Some("b")),
            ("x=y; __Host-holdpoint=b", tls, Some("b")),
            ("__Host-holdpoint=b; __Host-holdpoint=c", tls, None),
            ("holdpoint=a; holdpoint=b", plain, None),
            ("", plain, None),
        ];
        for (field, secure, expected) in cases {
            assert_eq!(session_cookie(&headers(&[("cookie", field)]), secure).as_deref(), expected, "{field} {secure}");
        }
    }

    #[test]
    fn the_sign_in_leads_nowhere_else() {
        for place in ["//evil.example", "https://evil.example", "/\\evil.example", "", "a", "/a b", "/\u{e9}"] {
            assert_eq!(place_here(place), "/", "{place}");
        }
        assert_eq!(place_here("/a/apr_1?x=y"), "/a/apr_1?x=y");
        assert_eq!(sign_in_for(&"/a/apr_1?x=y".parse().unwrap()), "/sign-in?to=%2Fa%2Fapr%5F1%3Fx%3Dy");
    }
}
