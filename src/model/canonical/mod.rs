//! The canonical form of a call: what its digest covers, and what it leaves out.
//!
//! An approval is for one call, and SDKs never send the same bytes twice: a retry has another
//! date, another trace, another multipart boundary. So a digest covers the canonical form, in
//! which exactly that is missing, and a call that has the digest of an approved one is sent in its
//! own bytes. That is safe only while no server could see another call in them. Hence:
//!
//! - **Fields** stay, names and values, except those in [`fields`]: they tell who asks, when, and
//!   how often, and never what.
//! - **Path** and **query** stay byte for byte, except the date and the signature of a presigned
//!   URL ([`query`]). A query that says `timeout=` stays as it is: what is noise of client-go to
//!   Kubernetes is an argument to others, and the agent alone would say which of them it is.
//! - **Multipart** bodies lose their boundary only, and only where no reader of any leniency could
//!   find another number of parts ([`multipart`]).
//! - **JSON** bodies lose the blanks between tokens and the order of members only. Strings and
//!   numbers stay as they are spelt: `1.0` is not `1`, `"\u0061"` is not `"a"`. Bodies in which an
//!   order could decide what a reader sees are left as they are ([`json`]).
//! - **Any other body** stays byte for byte, and so does one of these in a `Content-Encoding`.
//! - A body too long for memory is covered by its length and its SHA-256, so byte for byte too.
//!
//! Which of the forms it is in is part of a digest, so a body never equals one in another form.
//! The digest of the bytes as they are is beside it for the record: `HttpRequest::body_sha256` and
//! `Call::exact_sha256`.

mod fields;
mod json;
mod multipart;
mod query;

use http::HeaderMap;
use http::HeaderValue;
use http::header::CONTENT_ENCODING;
use http::header::CONTENT_TYPE;

use super::call::Body;
use super::call::HttpRequest;
use super::digest::CanonicalHasher;
use super::digest::Sha256;

use multipart::Multipart;

/// The form in which a body is covered.
enum Form<'a> {
    /// There is none.
    Absent,
    /// Not at all, because nobody has read it.
    Unread,
    /// Byte for byte.
    Bytes(&'a [u8]),
    /// As a JSON value, by its digest.
    Json(Sha256),
    /// As parts, whatever divides them.
    Parts(Multipart<'a>),
    /// Byte for byte, by its length and the hash of its bytes.
    Kept(u64, Sha256),
}

impl<'a> Form<'a> {
    fn of(headers: &'a HeaderMap, bytes: &'a [u8]) -> Self {
        let readable = || {
            let content_type = single(headers)?;
            if headers.contains_key(CONTENT_ENCODING) {
                return None;
            }
            let json = || json::is_json(content_type).then(|| json::digest(bytes)).flatten().map(Self::Json);
            json().or_else(|| Multipart::read(content_type, bytes).map(Self::Parts))
        };
        readable().unwrap_or(Self::Bytes(bytes))
    }

    fn name(&self) -> &'static [u8] {
        match self {
            Self::Absent => b"absent",
            Self::Unread => b"unread",
            Self::Bytes(_) => b"bytes",
            Self::Json(_) => b"json",
            Self::Parts(_) => b"parts",
            Self::Kept(..) => b"kept",
        }
    }
}

/// Adds the canonical form of `request`.
pub(super) fn hash_request(request: &HttpRequest, hasher: &mut CanonicalHasher) {
    hasher.field(b"http");
    hasher.field(request.method.as_str().as_bytes());
    hasher.field(request.authority.as_bytes());
    hasher.field(request.path.as_bytes());
    query::hash(request.query.as_deref(), hasher);
    hasher.count(usize::from(request.websocket));
    let (form, trailers) = match &request.body {
        Body::Unread => (Form::Unread, None),
        Body::Absent => (Form::Absent, None),
        // An empty body that was read is the same call as one without a body.
        Body::Read { bytes, trailers } if bytes.is_empty() && trailers.is_empty() => (Form::Absent, None),
        Body::Read { bytes, trailers } => (Form::of(&request.headers, bytes), Some(trailers)),
        Body::Encoded { bytes, trailers, .. } => (Form::Bytes(bytes), Some(trailers)),
        Body::Kept { body, trailers } => (Form::Kept(body.bytes(), body.sha256()), Some(trailers)),
    };
    hasher.field(form.name());
    fields::hash(
        &request.headers,
        |name| match name {
            // A random number that says nothing of what is asked for (RFC 6455 §4.1).
            "sec-websocket-key" => !request.websocket,
            "content-type" => !matches!(form, Form::Parts(_)),
            _ => true,
        },
        hasher,
    );
    match form {
        Form::Absent | Form::Unread => {}
        Form::Bytes(bytes) => hasher.field(bytes),
        Form::Json(digest) => hasher.field(digest.as_bytes()),
        Form::Parts(parts) => parts.hash(hasher),
        Form::Kept(bytes, sha256) => {
            hasher.field(&bytes.to_be_bytes());
            hasher.field(sha256.as_bytes());
        }
    }
    if let Some(trailers) = trailers {
        fields::hash(trailers, |_| true, hasher);
    }
}

/// Adds `request` as it is, nothing left out.
pub(super) fn hash_exactly(request: &HttpRequest, hasher: &mut CanonicalHasher) {
    hasher.field(b"http");
    hasher.field(request.method.as_str().as_bytes());
    hasher.field(request.authority.as_bytes());
    hasher.field(request.target().as_bytes());
    hasher.count(usize::from(request.websocket));
    fields::hash_exactly(&request.headers, hasher);
    match &request.body {
        Body::Absent => hasher.count(0),
        Body::Unread => hasher.count(1),
        Body::Read { bytes, trailers } | Body::Encoded { bytes, trailers, .. } => {
            hasher.count(2);
            hasher.field(bytes);
            fields::hash_exactly(trailers, hasher);
        }
        Body::Kept { body, trailers } => {
            hasher.count(3);
            hasher.field(&body.bytes().to_be_bytes());
            hasher.field(body.sha256().as_bytes());
            fields::hash_exactly(trailers, hasher);
        }
    }
}

/// The one content type, as ASCII.
fn single(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all(CONTENT_TYPE).iter();
    let value: &HeaderValue = values.next()?;
    if values.next().is_some() { None } else { value.to_str().ok() }
}

#[cfg(test)]
mod tests;
