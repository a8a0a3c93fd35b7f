//! `Forwarded` and its forerunners: where a request came from, in our words.

use std::fmt::Write;
use std::ops::Range;

use bytes::Bytes;
use bytes::BytesMut;
use http::HeaderMap;
use http::HeaderName;
use http::HeaderValue;
use http::header::FORWARDED;

use super::head::Arrival;

/// Says where the request came from: `Forwarded` (RFC 7239) and the older `X-Forwarded-For`,
/// `-Proto` and `-Host`, in the place of any that are there. `authority` is that of
/// [`super::Head`], which is safe to quote.
pub fn write_forwarded(headers: &mut HeaderMap, arrival: &Arrival, authority: &str) {
    // All four values are pieces of one buffer.
    let mut text = BytesMut::with_capacity(96 + authority.len());
    let source = arrival.source_ip.to_canonical();
    text.extend_from_slice(if source.is_ipv6() { b"for=\"[" } else { b"for=" });
    let from = append(&mut text, |text| write!(text, "{source}"));
    if source.is_ipv6() {
        text.extend_from_slice(b"]\"");
    }
    text.extend_from_slice(b";proto=");
    let proto = append(&mut text, |text| text.write_str(if arrival.tls { "https" } else { "http" }));
    // A port or an address in brackets is no token.
    let quote = if authority.contains([':', '[']) { "\"" } else { "" };
    text.extend_from_slice(b";host=");
    text.extend_from_slice(quote.as_bytes());
    let host = append(&mut text, |text| text.write_str(authority));
    text.extend_from_slice(quote.as_bytes());
    let text = text.freeze();
    insert(headers, X_FORWARDED_FOR, text.slice(from));
    insert(headers, X_FORWARDED_PROTO, text.slice(proto));
    insert(headers, X_FORWARDED_HOST, text.slice(host));
    insert(headers, FORWARDED, text);
}

fn append(text: &mut BytesMut, write: impl Fn(&mut BytesMut) -> std::fmt::Result) -> Range<usize> {
    let start = text.len();
    write(text).expect("a growing buffer takes all");
    start..text.len()
}

/// Inserts `value`, or nothing where it is no field value; what was there goes in any case.
fn insert(headers: &mut HeaderMap, name: HeaderName, value: Bytes) {
    match HeaderValue::from_maybe_shared(value) {
        Ok(value) => drop(headers.insert(name, value)),
        Err(_) => drop(headers.remove(name)),
    }
}

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
