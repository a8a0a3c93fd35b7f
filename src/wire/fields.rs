//! Which fields end at this proxy, and which travel on.

use bytes::BufMut;
use bytes::BytesMut;
use http::HeaderMap;
use http::HeaderName;
use http::HeaderValue;
use http::header::CONNECTION;
use http::header::CONTENT_TYPE;
use http::header::COOKIE;

use super::error::Excerpt;

/// Keeps the fields of a request that travel from end to end.
///
/// Dropped are the fields for one connection and those that `Connection` names (RFC 9110 §7.6.1),
/// what hyper writes itself (`Host`, `Content-Length`, `Expect`), all `Approval-*`, and whatever
/// only a trusted proxy may say: where the request came from, what it originally asked for, which
/// method it really means, whom it speaks for. The pieces that HTTP/2 cuts a `Cookie` into are put
/// together again (RFC 9113 §8.2.3).
pub fn keep_end_to_end(headers: &mut HeaderMap) {
    remove_named_by_connection(headers);
    remove_all(headers, |name| is_hop_by_hop(name) || ends_here(name));
    join_cookies(headers);
}

/// Keeps the fields of a response that travel from end to end.
///
/// Dropped are the fields for one connection and those that `Connection` names, what only we may
/// say (`Approval-*`), what would lead the client around this proxy (`Alt-Svc`), and credentials
/// that an upstream repeats.
pub fn keep_end_to_end_response(headers: &mut HeaderMap) {
    remove_named_by_connection(headers);
    remove_all(headers, |name| {
        is_hop_by_hop(name) || name.starts_with("approval-") || matches!(name, "alt-svc" | "authorization" | "cookie")
    });
}

/// Drops what is meant for us from `Prefer` (RFC 7240 §4.1 and §4.3): we have acted on it, and the
/// same call made again without it is the same call.
pub fn drop_respond_async(headers: &mut HeaderMap) {
    let values: Vec<HeaderValue> = headers.get_all("prefer").iter().cloned().collect();
    headers.remove("prefer");
    for value in values {
        let text = value.to_str().unwrap_or_default();
        let kept = text.split(',').map(str::trim).filter(|preference| {
            let name = preference.split(['=', ';']).next().unwrap_or_default().trim();
            !name.eq_ignore_ascii_case("respond-async") && !name.eq_ignore_ascii_case("wait")
        });
        let kept = kept.collect::<Vec<_>>().join(", ");
        if let Some(value) = HeaderValue::try_from(kept).ok().filter(|value| !value.is_empty()) {
            headers.append("prefer", value);
        }
    }
}

/// Keeps the trailer fields that are only information about the content: drops those that frame,
/// route, authenticate, or change how the message is to be read (RFC 9110 §6.5.1).
pub fn keep_safe_trailers(trailers: &mut HeaderMap) {
    remove_all(trailers, |name| {
        is_hop_by_hop(name) || ends_here(name) || is_protected(name) || has_meaning_up_front(name)
    });
}

/// True for fields about which one connection may not decide, because dropping them would make
/// another call of it: `Connection` may not name them.
pub(super) fn is_protected(name: &str) -> bool {
    name.starts_with("content-")
        || name.starts_with("if-")
        || name.starts_with("approval-")
        || name.starts_with("x-amz-")
        || name.starts_with("sec-")
        || matches!(
            name,
            "accept"
                | "api-key"
                | "authorization"
                | "cookie"
                | "expect"
                | "forwarded"
                | "host"
                | "idempotency-key"
                | "origin"
                | "prefer"
                | "range"
                | "set-cookie"
                | "trailer"
                | "www-authenticate"
                | "x-api-key"
                | "x-approval-reason"
        )
}

/// True for fields that may be there once only, because servers differ in which one they take.
/// `http2` allows a `Cookie` in pieces.
pub(super) fn is_singleton(name: &str, http2: bool) -> bool {
    match name {
        "cookie" => !http2,
        "api-key"
        | "approval-context"
        | "approval-id"
        | "approval-reason"
        | "authorization"
        | "content-disposition"
        | "content-encoding"
        | "content-length"
        | "content-location"
        | "content-range"
        | "content-type"
        | "date"
        | "expect"
        | "from"
        | "host"
        | "idempotency-key"
        | "if-modified-since"
        | "if-range"
        | "if-unmodified-since"
        | "max-forwards"
        | "origin"
        | "proxy-authorization"
        | "range"
        | "referer"
        | "sec-websocket-key"
        | "sec-websocket-version"
        | "soapaction"
        | "te"
        | "transfer-encoding"
        | "upgrade"
        | "user-agent"
        | "x-amz-content-sha256"
        | "x-amz-date"
        | "x-amz-security-token"
        | "x-amz-target"
        | "x-api-key"
        | "x-approval-reason"
        | "x-http-method-override" => true,
        _ => false,
    }
}

/// The names in a `Connection` value, as they stand.
pub(super) fn connection_options(value: &HeaderValue) -> impl Iterator<Item = &[u8]> {
    value.as_bytes().split(|&byte| byte == b',').map(<[u8]>::trim_ascii).filter(|option| !option.is_empty())
}

fn is_hop_by_hop(name: &str) -> bool {
    name.starts_with("proxy-")
        || matches!(
            name,
            "connection" | "keep-alive" | "te" | "transfer-encoding" | "upgrade" | "http2-settings" | "early-data"
        )
}

/// Fields of a request that are for us, that we or hyper write anew, or that only a trusted proxy
/// may write.
fn ends_here(name: &str) -> bool {
    match name.as_bytes() {
        [b'x', b'-', ..] => is_proxy_claim(name),
        _ => {
            name.starts_with("approval-")
                || name.starts_with("impersonate-")
                || name.starts_with("remote-")
                || name.starts_with("ssl-client-")
                || matches!(
                    name,
                    "host"
                        | "content-length"
                        | "expect"
                        | "forwarded"
                        | "via"
                        | "proxy"
                        | "cf-connecting-ip"
                        | "cf-connecting-ipv6"
                        | "client-cert"
                        | "client-cert-chain"
                        | "client-ip"
                        | "cluster-client-ip"
                        | "fastly-client-ip"
                        | "front-end-https"
                        | "true-client-ip"
                )
        }
    }
}

fn is_proxy_claim(name: &str) -> bool {
    const PREFIXES: [&str; 8] = [
        "x-approval-",
        "x-forwarded",
        "x-original-",
        "x-rewrite-",
        "x-remote-",
        "x-envoy-",
        "x-ssl-",
        "x-auth-request-",
    ];
    PREFIXES.iter().any(|prefix| name.starts_with(prefix))
        || matches!(
            name,
            "x-authenticated-user"
                | "x-client-cert"
                | "x-client-ip"
                | "x-cluster-client-ip"
                | "x-host"
                | "x-http-host-override"
                | "x-http-method"
                | "x-http-method-override"
                | "x-method-override"
                | "x-originating-ip"
                | "x-proxyuser-ip"
                | "x-real-ip"
                | "x-scheme"
                | "x-url-scheme"
                | "x-webauth-user"
        )
}

/// Fields that a server has to know before the content, so that in a trailer they are a trick.
fn has_meaning_up_front(name: &str) -> bool {
    name.contains('_')
        || matches!(
            name,
            "age"
                | "alt-svc"
                | "cache-control"
                | "date"
                | "expires"
                | "location"
                | "max-forwards"
                | "pragma"
                | "retry-after"
                | "vary"
                | "x-should-retry"
        )
}

/// The charset that a body is said to be in, if its bytes would be another text in it than in UTF-8: then
/// people and policy would read something else than the upstream. Latin-1 may stay, whose ASCII is the same.
pub fn strange_charset(headers: &HeaderMap) -> Option<Excerpt> {
    let types = headers.get_all(CONTENT_TYPE).iter().map(|value| String::from_utf8_lossy(value.as_bytes()));
    types.into_iter().find_map(|value| {
        let parameters = value.split(';').skip(1).filter_map(|parameter| parameter.split_once('='));
        let named = parameters.filter(|(name, _)| name.trim().to_ascii_lowercase().starts_with("charset"));
        let mut charsets = named.map(|(_, charset)| charset.trim().trim_matches('"').to_ascii_lowercase());
        charsets.find(|charset| !CHARSETS.contains(&charset.as_str())).map(Excerpt::of)
    })
}

/// In these ASCII is ASCII, so that nobody finds another structure in a body.
const CHARSETS: [&str; 7] = ["utf-8", "utf8", "us-ascii", "ascii", "iso-8859-1", "latin1", "windows-1252"];

fn remove_named_by_connection(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .flat_map(connection_options)
        .filter_map(|option| HeaderName::from_bytes(option).ok())
        .collect();
    for name in named {
        headers.remove(name);
    }
}

fn remove_all(headers: &mut HeaderMap, drops: impl Fn(&str) -> bool) {
    // The map cannot be changed while it is walked. Cloning a name copies no text.
    let dropped: Vec<HeaderName> = headers.keys().filter(|name| drops(name.as_str())).cloned().collect();
    for name in dropped {
        headers.remove(name);
    }
}

fn join_cookies(headers: &mut HeaderMap) {
    let pieces = headers.get_all(COOKIE);
    if pieces.iter().nth(1).is_none() {
        return;
    }
    let mut joined = BytesMut::new();
    for piece in pieces {
        if !joined.is_empty() {
            joined.put_slice(b"; ");
        }
        joined.put_slice(piece.as_bytes());
    }
    let joined = HeaderValue::from_maybe_shared(joined.freeze()).expect("pieces of valid values make a valid value");
    headers.insert(COOKIE, joined);
}
