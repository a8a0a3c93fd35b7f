//! A request in memory of its own.
//!
//! What a connection reads goes into buffers of many KiB, and a field's value or a short body is a
//! slice that keeps the whole of one from being used again. That is right for a call that leaves at
//! once, and not for one that waits for hours.

use bytes::Bytes;
use bytes::BytesMut;
use http::HeaderMap;
use http::HeaderValue;

use super::call::Body;
use super::call::HttpRequest;

/// Copies what may be slices. The request stays the same, byte for byte.
pub(super) fn detach(request: &mut HttpRequest) {
    request.headers = copied(&request.headers);
    match &mut request.body {
        Body::Read { bytes, trailers } | Body::Encoded { bytes, trailers, .. } => {
            if bytes.len() <= COPIED_BYTES_MAX {
                *bytes = Bytes::copy_from_slice(bytes);
            }
            *trailers = copied(trailers);
        }
        Body::Kept { trailers, .. } => *trailers = copied(trailers),
        Body::Absent | Body::Unread => {}
    }
}

/// The same fields in the same order, their values in one piece of memory.
fn copied(fields: &HeaderMap) -> HeaderMap {
    let mut values = BytesMut::with_capacity(fields.values().map(HeaderValue::len).sum());
    let mut copies = HeaderMap::with_capacity(fields.keys_len());
    for (name, value) in fields {
        values.extend_from_slice(value.as_bytes());
        let copy = HeaderValue::from_maybe_shared(values.split().freeze());
        // It is a copy of a valid one, so this cannot fail; the value itself would do as well.
        let mut copy = copy.unwrap_or_else(|_| value.clone());
        copy.set_sensitive(value.is_sensitive());
        copies.append(name, copy);
    }
    copies
}

/// Up to here a body may be a small part of the buffer that it came in; a longer one is most of it.
const COPIED_BYTES_MAX: usize = 16 * 1024;

#[cfg(test)]
mod tests {
    use http::Method;
    use proptest::prelude::*;

    use super::*;

    fn request(fields: &[(&'static str, Vec<u8>)], body: Body) -> HttpRequest {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, HeaderValue::from_bytes(value).unwrap());
        }
        HttpRequest {
            method: Method::POST,
            scheme: "https",
            authority: "api.example.com".to_owned(),
            path: "/customers".to_owned(),
            query: None,
            headers,
            body,
            websocket: false,
        }
    }

    #[test]
    fn a_slice_gives_its_buffer_back() {
        let buffer = Bytes::from(vec![b'x'; 8_192]);
        let trailers = HeaderMap::from_iter([(
            http::HeaderName::from_static("checksum"),
            HeaderValue::from_maybe_shared(buffer.slice(20..30)).unwrap(),
        )]);
        let mut request = request(&[], Body::Read { bytes: buffer.slice(0..10), trailers });
        request.headers.insert("accept", HeaderValue::from_maybe_shared(buffer.slice(10..20)).unwrap());
        assert!(!buffer.is_unique());
        detach(&mut request);
        assert!(buffer.is_unique());
    }

    #[test]
    fn what_is_sensitive_stays_so() {
        let mut request = request(&[("x-token", b"secret".to_vec())], Body::Absent);
        request.headers.get_mut("x-token").unwrap().set_sensitive(true);
        detach(&mut request);
        assert!(request.headers["x-token"].is_sensitive());
    }

    proptest! {
        #[test]
        fn the_request_stays_the_same(
            values in proptest::collection::vec((0_usize..4, "[ -~]{0,20}"), 0..12),
            body in proptest::collection::vec(any::<u8>(), 0..40_000),
        ) {
            let names = ["accept", "accept", "x-custom-name", "user-agent"];
            let fields: Vec<_> = values.iter().map(|(name, value)| (names[*name], value.clone().into_bytes())).collect();
            let mut request = request(&fields, Body::Read { bytes: body.clone().into(), trailers: HeaderMap::new() });
            let before: Vec<_> = request.headers.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
            detach(&mut request);
            let after: Vec<_> = request.headers.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
            prop_assert_eq!(before, after);
            let Body::Read { bytes, .. } = &request.body else { panic!("the body is gone") };
            prop_assert_eq!(&bytes[..], &body[..]);
        }
    }
}
