//! Why a request's head is refused.

use std::fmt;

use crate::model::Refusal;
use crate::model::RefusalCode;

use super::authority::AuthorityFault;
use super::path::PathFault;
use super::query::QueryFault;

/// A piece of what was received, made safe to print: printable ASCII as it is, anything else
/// escaped, cut off after 80 bytes.
#[derive(Clone, PartialEq, Eq)]
pub struct Excerpt(String);

impl Excerpt {
    /// The beginning of `bytes`.
    pub(super) fn of(bytes: impl AsRef<[u8]>) -> Self {
        let bytes = bytes.as_ref();
        let head = bytes.get(..EXCERPT_BYTES_MAX).unwrap_or(bytes);
        let mut text = String::with_capacity(head.len() + 3);
        for &byte in head {
            match byte {
                // A backtick would end the quotation that our messages put it in.
                b'`' => text.push_str("\\x60"),
                byte => text.extend(byte.escape_ascii().map(char::from)),
            }
        }
        if head.len() < bytes.len() {
            text.push_str("...");
        }
        Self(text)
    }
}

impl fmt::Display for Excerpt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Excerpt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`", self.0)
    }
}

/// Why a request's head is refused: two servers could read it differently, or it asks for
/// something that does not pass this proxy.
///
/// No message repeats a query, a credential or a user name, because they end up in logs.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// Not HTTP/1.1 or HTTP/2.
    #[error("`{0}` is not spoken here; use HTTP/1.1 or HTTP/2")]
    Version(Excerpt),
    /// A method outside of the list, or in lower case.
    #[error(
        "the method `{0}` is not accepted; accepted are GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS, QUERY, SEARCH \
         and REPORT, in upper case"
    )]
    Method(Excerpt),
    /// The target is neither a path nor a whole URL.
    #[error("the request target `{0}` is not a path; it must begin with one `/`, such as `/customers?limit=5`")]
    Target(Excerpt),
    /// The target's scheme is not that of the connection.
    #[error("the request target asks for the scheme `{given}`, but this connection is `{connection}`")]
    Scheme {
        /// What the target says.
        given: Excerpt,
        /// What the connection is.
        connection: &'static str,
    },
    /// No host anywhere.
    #[error("the request names no host; send exactly one `Host` field (or `:authority` in HTTP/2)")]
    NoHost,
    /// The host cannot be read.
    #[error("the host {0}")]
    Authority(AuthorityFault),
    /// Target and `Host` name different hosts.
    #[error("the request target is for `{target}`, but `Host` says `{host}`; send the same in both")]
    HostMismatch {
        /// The authority of the target.
        target: Excerpt,
        /// What `Host` says.
        host: Excerpt,
    },
    /// The connection was made to another host.
    #[error("the request is for `{host}`, but this connection was made to `{sni}` (TLS server name); open one for it")]
    Misdirected {
        /// The host asked for.
        host: Excerpt,
        /// The server name of the TLS handshake.
        sni: Excerpt,
    },
    /// The path is not in normal form.
    #[error("the path `{path}` {fault}")]
    Path {
        /// The path.
        path: Excerpt,
        /// What is wrong with it.
        fault: PathFault,
    },
    /// The query cannot be read in one way only.
    #[error("the query {0}")]
    Query(QueryFault),
    /// A field name with `_`, which many servers take for `-`.
    #[error("the field name `{0}` contains `_`, which some servers read as `-`; use `-`")]
    FieldName(Excerpt),
    /// A field that may be there once, twice.
    #[error("the field `{0}` is there more than once; send it once")]
    Repeated(Excerpt),
    /// `Content-Length` is no plain number.
    #[error("the `Content-Length` `{0}` is not a number of bytes in plain decimal digits")]
    ContentLength(Excerpt),
    /// `Transfer-Encoding` is not `chunked`.
    #[error("the `Transfer-Encoding` `{0}` is not accepted; send `chunked` alone, or `Content-Length`")]
    TransferEncoding(Excerpt),
    /// Both ways of framing at once.
    #[error("`Content-Length` and `Transfer-Encoding` are both there; send one of them")]
    TwoLengths,
    /// `TE` is not `trailers`.
    #[error("the `TE` `{0}` is not accepted; send `trailers` or leave it out")]
    Te(Excerpt),
    /// `Expect` is not `100-continue`.
    #[error("the expectation `{0}` cannot be met; send `100-continue` or leave it out")]
    Expect(Excerpt),
    /// `Connection` names a field that is meant for the upstream.
    #[error("`Connection` names `{0}`, which is not a field for one connection only; take it out of `Connection`")]
    Connection(Excerpt),
    /// A field of HTTP/1.1 connections in HTTP/2.
    #[error("the field `{0}` does not exist in HTTP/2; leave it out")]
    Http1Field(Excerpt),
    /// More than one media type.
    #[error("the `Content-Type` `{0}` names more than one media type; send one")]
    ContentType(Excerpt),
    /// A handshake for a WebSocket that does not hold together (RFC 6455 §4.2.1).
    #[error("the WebSocket handshake is not complete: {0}")]
    WebSocket(&'static str),
    /// A note of the agent is too long.
    #[error("the field `{name}` holds {bytes} bytes, and at most {max} are accepted; shorten it", max = super::NOTE_BYTES_MAX)]
    NoteTooLong {
        /// The field.
        name: &'static str,
        /// How long it is.
        bytes: usize,
    },
    /// A note of the agent is not text.
    #[error("the field `{0}` is not plain text; send UTF-8 without control characters")]
    NoteNotText(&'static str),
    /// Two different reasons.
    #[error("`Approval-Reason` and `X-Approval-Reason` differ; send one of them")]
    TwoReasons,
    /// `Approval-Id` is no id.
    #[error("the `Approval-Id` `{0}` is not an id of an approval; send it as it was given, `apr_` and 32 hex digits")]
    ApprovalId(Excerpt),
    /// The `Idempotency-Key` is too long.
    #[error("the field `idempotency-key` holds {bytes} bytes, and at most {max} are accepted; shorten it", max = super::CALL_ID_BYTES_MAX)]
    CallIdTooLong {
        /// How long it is.
        bytes: usize,
    },
    /// The `Idempotency-Key` holds control characters.
    #[error("the field `idempotency-key` holds control characters; send printable ones only")]
    CallIdControl,
}

impl WireError {
    /// What the caller is told: 421 where the connection is the wrong one, else 400.
    pub fn refusal(&self) -> Refusal {
        let code = match self {
            Self::Misdirected { .. } => RefusalCode::Misdirected,
            _ => RefusalCode::BadRequest,
        };
        Refusal::new(code, self.to_string())
    }

    /// The reason as a metric label, from a closed set.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Version(_) => "version",
            Self::Method(_) => "method",
            Self::Target(_) | Self::Scheme { .. } => "target",
            Self::NoHost | Self::Authority(_) | Self::HostMismatch { .. } => "host",
            Self::Misdirected { .. } => "misdirected",
            Self::Path { .. } => "path",
            Self::Query(_) => "query",
            Self::FieldName(_) => "field_name",
            Self::Repeated(_) => "repeated",
            Self::ContentLength(_) | Self::TransferEncoding(_) | Self::TwoLengths => "framing",
            Self::Te(_) | Self::Expect(_) | Self::Connection(_) | Self::Http1Field(_) => "connection",
            Self::ContentType(_) => "content_type",
            Self::WebSocket(_) => "websocket",
            Self::NoteTooLong { .. } | Self::NoteNotText(_) | Self::TwoReasons | Self::ApprovalId(_) => {
                "approval_field"
            }
            Self::CallIdTooLong { .. } | Self::CallIdControl => "call_id",
        }
    }

    /// Every word that [`Self::reason`] can say.
    pub const REASONS: [&'static str; 15] = [
        "version",
        "method",
        "target",
        "host",
        "misdirected",
        "path",
        "query",
        "field_name",
        "repeated",
        "framing",
        "connection",
        "content_type",
        "websocket",
        "approval_field",
        "call_id",
    ];
}

/// Enough to recognise what was sent, and short enough for a line in a log.
const EXCERPT_BYTES_MAX: usize = 80;
