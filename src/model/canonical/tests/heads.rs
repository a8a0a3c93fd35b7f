//! What of a head counts, and what does not.

use super::*;

fn digest_of(change: impl FnOnce(&mut HttpRequest)) -> Sha256 {
    let mut request = request();
    change(&mut request);
    digest(&request)
}

#[test]
fn whatever_carries_meaning_changes_the_digest() {
    let changes: [fn(&mut HttpRequest); 12] = [
        |_| {},
        |r| r.method = Method::PUT,
        |r| r.path = "/customer".into(),
        |r| r.query = Some("limit=6".into()),
        |r| r.query = Some(String::new()),
        |r| r.query = None,
        |r| r.authority = "other.example.com".into(),
        |r| drop(r.headers.insert("content-type", HeaderValue::from_static("text/plain"))),
        |r| drop(r.headers.insert("x-mode", HeaderValue::from_static("force"))),
        |r| r.body = Body::Read { bytes: Bytes::from_static(b"{1}"), trailers: HeaderMap::new() },
        |r| r.body = Body::Unread,
        |r| r.body = Body::Absent,
    ];
    let digests: std::collections::BTreeSet<_> = changes.iter().map(digest_of).collect();
    assert_eq!(digests.len(), changes.len());
}

#[test]
fn what_sdks_vary_does_not_change_the_digest() {
    for name in [
        "user-agent",
        "date",
        "x-amz-date",
        "x-ms-date",
        "traceparent",
        "x-stainless-retry-count",
        "x-stainless-read-timeout",
        "amz-sdk-request",
        "amz-sdk-invocation-id",
        "idempotency-key",
        "x-goog-api-client",
        "x-ms-client-request-id",
        "x-stripe-client-telemetry",
        "kubectl-session",
        "x-datadog-parent-id",
    ] {
        let changed = |value| digest_of(|r| drop(r.headers.insert(name, HeaderValue::from_static(value))));
        assert_eq!((changed("x"), changed("y")), (digest_of(|_| {}), digest_of(|_| {})), "{name}");
        let exact = |value| {
            exact(&{
                let mut request = request();
                request.headers.insert(name, HeaderValue::from_static(value));
                request
            })
        };
        assert_ne!(exact("x"), exact("y"), "{name}");
    }
}

#[test]
fn what_only_looks_like_noise_stays() {
    for name in [
        "baggage",
        "x-amz-content-sha256",
        "content-md5",
        "if-match",
        "prefer",
        "cookie",
        "x-amz-target",
        "stripe-account",
        "impersonate-user",
        "x-date",
        "sec-websocket-key",
        "x-amz-security-token",
    ] {
        let changed = |value| digest_of(|r| drop(r.headers.insert(name, HeaderValue::from_static(value))));
        assert_ne!(changed("x"), changed("y"), "{name}");
    }
}

#[test]
fn the_key_of_a_websocket_handshake_is_a_random_number() {
    let handshake = |key| {
        digest_of(|r| {
            r.websocket = true;
            r.headers.insert("sec-websocket-key", HeaderValue::from_static(key));
        })
    };
    assert_eq!(handshake("x"), handshake("y"));
}

#[test]
fn a_presigned_query_has_a_new_date_and_signature_each_time() {
    let query = |text: &str| digest_of(|r| r.query = Some(text.into()));
    let presigned = |date, signature, more| {
        query(&format!(
            "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=A%2F20261124&X-Amz-Date={date}\
             &X-Amz-SignedHeaders=host&{more}&X-Amz-Signature={signature}"
        ))
    };
    assert_eq!(presigned("1", "a", "x=1"), presigned("2", "b", "x=1"));
    for (one, other) in [
        (presigned("1", "a", "x=1"), presigned("1", "a", "x=2")),
        (presigned("1", "a", "X-Amz-Expires=1"), presigned("1", "a", "X-Amz-Expires=2")),
        // Without the rest they are what any other parameter is.
        (query("X-Amz-Date=1&X-Amz-Signature=a"), query("X-Amz-Date=2&X-Amz-Signature=a")),
        // Which of two a server takes, nobody knows.
        (presigned("1", "a", "X-Amz-Date=1"), presigned("1", "a", "X-Amz-Date=2")),
        (presigned("1", "a", "x-amz-date=1"), presigned("2", "a", "x-amz-date=1")),
        // Servers that divide at `;` too, or decode once more, would find another parameter in it.
        (presigned("1", "a", "x=1"), presigned("1;x=2", "a", "x=1")),
        (presigned("1;x=1", "a", "y=1"), presigned("1;x=2", "a", "y=1")),
        (presigned("1", "a", "x=1"), presigned("1", "a%26x=2", "x=1")),
        // `timeout` has a meaning almost everywhere.
        (query("timeout=5s"), query("timeout=32s")),
    ] {
        assert_ne!(one, other);
    }
}

#[test]
fn an_empty_body_is_no_body_and_its_digest_is_that_of_no_bytes() {
    let mut empty = with_body("text/plain", b"");
    let read = digest(&empty);
    assert_eq!(empty.body_sha256(), Some(Sha256::of(b"")));
    empty.body = Body::Absent;
    assert_eq!((digest(&empty), empty.body_sha256()), (read, Some(Sha256::of(b""))));
    empty.body = Body::Unread;
    assert_eq!(empty.body_sha256(), None);
}

#[test]
fn trailers_count() {
    let trailer = |value| {
        digest_of(|r| {
            let trailers = HeaderMap::from_iter([("x-sum".parse().unwrap(), HeaderValue::from_static(value))]);
            r.body = Body::Read { bytes: Bytes::new(), trailers };
        })
    };
    assert_ne!(trailer("1"), trailer("2"));
}
