//! A request's head, read so that no other server could read it differently.

use std::net::IpAddr;

use http::HeaderMap;
use http::HeaderName;
use http::HeaderValue;
use http::Method;
use http::Uri;
use http::Version;
use http::request::Parts;

use super::authority::Authority;
use super::client;
use super::client::Client;
use super::error::Excerpt;
use super::error::WireError;
use super::fields;
use super::note;
use super::path;
use super::query;
use super::upgrade::Handshake;

/// What a connection says about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// Whether TLS ended here.
    pub tls: bool,
    /// The server name of the TLS handshake, in lower case; clients send none for an IP address.
    pub sni: Option<String>,
    /// Where the connection came from.
    pub source_ip: IpAddr,
}

impl Arrival {
    /// `https` or `http`.
    pub fn scheme(&self) -> &'static str {
        if self.tls { "https" } else { "http" }
    }
}

/// A request's head. Path and query are exactly as received: nothing was decoded or repaired.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// One of the accepted methods, in upper case.
    pub method: Method,
    /// The host asked for in lower case, and the port unless it is the scheme's own.
    pub authority: String,
    /// The host alone; an IPv6 address keeps its brackets.
    pub host: String,
    /// The path in normal form, with its leading `/`.
    pub path: String,
    /// The query without the `?`.
    pub query: Option<String>,
    /// Whether it is a complete WebSocket handshake.
    pub websocket: bool,
    /// Why, in the agent's own words (`Approval-Reason`); not to be believed.
    pub reason: Option<String>,
    /// The agent's ticket or session (`Approval-Context`); not to be believed.
    pub context: Option<String>,
    /// The approval to resume (`Approval-Id`), in the form of an id.
    pub approval_id: Option<String>,
    /// Whether the client would rather have a 202 than wait (`Prefer: respond-async`).
    pub respond_async: bool,
    /// Whether a body may follow. Without `Content-Length`, HTTP/2 says so only by ending the
    /// stream, so there it is true until the body itself knows better.
    pub expects_body: bool,
    /// The calling SDK: which attempt at which of its calls this is, and how long it waits.
    pub client: Client,
}

/// Reads the head of a request that came by `arrival`.
///
/// hyper has checked the syntax; this checks what hyper leaves to us. HTTP/1.0 is refused: it has
/// neither a mandatory `Host` nor chunks, and no SDK that we know of speaks it.
///
/// # Errors
/// [`WireError`] if two servers could read it differently, or if it asks for what does not pass.
pub fn read_head(parts: &Parts, arrival: &Arrival) -> Result<Head, WireError> {
    let http2 = match parts.version {
        Version::HTTP_11 => false,
        Version::HTTP_2 => true,
        other => return Err(WireError::Version(Excerpt::of(format!("{other:?}")))),
    };
    if !is_accepted(&parts.method) {
        return Err(WireError::Method(Excerpt::of(parts.method.as_str())));
    }
    let fields = Fields::scan(&parts.headers, http2)?;
    let (path, query) = read_target(&parts.uri)?;
    let authority = read_authority(&parts.uri, fields.host, http2, arrival)?;
    let expects_body = fields.expects_body(http2)?;
    let websocket = fields.handshake.is_websocket(&parts.method, parts.version, expects_body)?;
    Ok(Head {
        method: parts.method.clone(),
        host: authority.host().to_owned(),
        authority: authority.into_string(),
        path: path.to_owned(),
        query: query.map(str::to_owned),
        websocket,
        reason: note::reason(fields.reason, fields.reason_alias)?,
        context: note::context(fields.context)?,
        approval_id: note::approval_id(fields.approval_id)?,
        respond_async: fields.respond_async,
        expects_body,
        client: client::recognise(&parts.headers),
    })
}

/// The methods of RFC 9110 and RFC 5789 that pass a proxy, and the registered safe ones with a
/// body: QUERY, SEARCH (RFC 5323) and REPORT (RFC 3253).
fn is_accepted(method: &Method) -> bool {
    matches!(
        method.as_str(),
        "GET" | "HEAD" | "POST" | "PUT" | "PATCH" | "DELETE" | "OPTIONS" | "QUERY" | "SEARCH" | "REPORT"
    )
}

fn read_target(uri: &Uri) -> Result<(&str, Option<&str>), WireError> {
    // A target without a path is an authority. The user in front of it may be a secret.
    let target = uri.path_and_query().ok_or_else(|| WireError::Target(Excerpt::of(uri.host().unwrap_or_default())))?;
    // `*`; `//host`; and `?a=b`, which the crate lets pass in HTTP/2 and after an authority.
    if target.as_str().starts_with('?') {
        return Err(WireError::Target(Excerpt::of("?")));
    }
    if !target.path().starts_with('/') || target.path().starts_with("//") {
        return Err(WireError::Target(Excerpt::of(target.path())));
    }
    path::check(target.path()).map_err(|fault| WireError::Path { path: Excerpt::of(target.path()), fault })?;
    if let Some(text) = target.query() {
        query::check(text).map_err(WireError::Query)?;
    }
    Ok((target.path(), target.query()))
}

/// The one host that target, `Host` and TLS server name agree on.
fn read_authority(
    uri: &Uri,
    host: Option<&HeaderValue>,
    http2: bool,
    arrival: &Arrival,
) -> Result<Authority, WireError> {
    if let Some(scheme) = uri.scheme_str()
        && !scheme.eq_ignore_ascii_case(arrival.scheme())
    {
        return Err(WireError::Scheme { given: Excerpt::of(scheme), connection: arrival.scheme() });
    }
    let parse = |bytes: &[u8]| Authority::parse(bytes, arrival.tls).map_err(WireError::Authority);
    let target = uri.authority().map(|authority| parse(authority.as_str().as_bytes())).transpose()?;
    let host = host.map(|host| parse(host.as_bytes())).transpose()?;
    let authority = match (target, host) {
        (Some(target), Some(host)) if target != host => {
            return Err(WireError::HostMismatch {
                target: Excerpt::of(target.as_str()),
                host: Excerpt::of(host.as_str()),
            });
        }
        (_, Some(host)) => host,
        (Some(target), None) if http2 => target,
        (_, None) => return Err(WireError::NoHost),
    };
    match arrival.sni.as_deref().filter(|_| arrival.tls) {
        Some(sni) if sni != authority.host() => {
            Err(WireError::Misdirected { host: Excerpt::of(authority.host()), sni: Excerpt::of(sni) })
        }
        _ => Ok(authority),
    }
}

/// The fields that this room reads, found in one walk.
#[derive(Default)]
struct Fields<'a> {
    host: Option<&'a HeaderValue>,
    content_length: Option<&'a HeaderValue>,
    chunked: bool,
    handshake: Handshake<'a>,
    reason: Option<&'a HeaderValue>,
    reason_alias: Option<&'a HeaderValue>,
    context: Option<&'a HeaderValue>,
    approval_id: Option<&'a HeaderValue>,
    respond_async: bool,
}

impl<'a> Fields<'a> {
    fn scan(headers: &'a HeaderMap, http2: bool) -> Result<Self, WireError> {
        let mut fields = Self::default();
        let mut last: Option<&HeaderName> = None;
        for (name, value) in headers {
            let text = name.as_str();
            if text.contains('_') {
                return Err(WireError::FieldName(Excerpt::of(text)));
            }
            // The map gives all values of one name in a row.
            if last == Some(name) && fields::is_singleton(text, http2) {
                return Err(WireError::Repeated(Excerpt::of(text)));
            }
            last = Some(name);
            fields.take(text, value, http2)?;
        }
        Ok(fields)
    }

    fn take(&mut self, name: &str, value: &'a HeaderValue, http2: bool) -> Result<(), WireError> {
        match name {
            "connection" | "keep-alive" | "proxy-connection" | "transfer-encoding" | "upgrade" if http2 => {
                return Err(WireError::Http1Field(Excerpt::of(name)));
            }
            "host" => self.host = Some(value),
            "content-length" => self.content_length = Some(value),
            "content-type" => check_content_type(value)?,
            "transfer-encoding" if value == "chunked" => self.chunked = true,
            "transfer-encoding" => return Err(WireError::TransferEncoding(Excerpt::of(value))),
            "te" if !value.as_bytes().eq_ignore_ascii_case(b"trailers") => {
                return Err(WireError::Te(Excerpt::of(value)));
            }
            "expect" if !value.as_bytes().eq_ignore_ascii_case(b"100-continue") => {
                return Err(WireError::Expect(Excerpt::of(value)));
            }
            "connection" => self.handshake.connection_upgrade |= check_connection(value)?,
            "upgrade" => self.handshake.upgrade = Some(value),
            "sec-websocket-key" => self.handshake.key = Some(value),
            "sec-websocket-version" => self.handshake.version = Some(value),
            "approval-reason" => self.reason = Some(value),
            "x-approval-reason" => self.reason_alias = Some(value),
            "approval-context" => self.context = Some(value),
            "approval-id" => self.approval_id = Some(value),
            "idempotency-key" => client::check_idempotency_key(value)?,
            "prefer" => self.respond_async |= note::prefers_async(value),
            _ => {}
        }
        Ok(())
    }

    fn expects_body(&self, http2: bool) -> Result<bool, WireError> {
        let Some(value) = self.content_length else { return Ok(self.chunked || http2) };
        if self.chunked {
            return Err(WireError::TwoLengths);
        }
        let text = value.to_str().unwrap_or_default();
        let plain = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
        match text.parse::<u64>() {
            Ok(bytes) if plain => Ok(bytes > 0),
            _ => Err(WireError::ContentLength(Excerpt::of(value))),
        }
    }
}

/// Whether a `Connection` value names `upgrade`.
///
/// # Errors
/// [`WireError::Connection`] if it names a field that is for the upstream: a client may not have
/// us strip, say, a condition off a request that was approved with it.
fn check_connection(value: &HeaderValue) -> Result<bool, WireError> {
    let mut upgrade = false;
    for option in fields::connection_options(value) {
        if option.eq_ignore_ascii_case(b"upgrade") {
            upgrade = true;
        } else if !option.eq_ignore_ascii_case(b"keep-alive") && !option.eq_ignore_ascii_case(b"close") {
            let name = HeaderName::from_bytes(option).map_err(|_| WireError::Connection(Excerpt::of(option)))?;
            if fields::is_protected(name.as_str()) {
                return Err(WireError::Connection(Excerpt::of(option)));
            }
        }
    }
    Ok(upgrade)
}

/// Refuses a comma outside of quotes, which some servers take for the end of the media type.
fn check_content_type(value: &HeaderValue) -> Result<(), WireError> {
    let (mut quoted, mut escaped) = (false, false);
    for &byte in value.as_bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b',' if !quoted => return Err(WireError::ContentType(Excerpt::of(value))),
            _ => {}
        }
    }
    Ok(())
}
