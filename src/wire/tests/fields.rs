//! Tests of which fields travel on.

use insta::assert_snapshot;

use super::*;

#[test]
fn only_end_to_end_fields_of_a_request_travel_on() {
    let mut kept = fields([
        "host: a.example",
        "connection: close, X-Hop, te",
        "x-hop: 1",
        "te: trailers",
        "accept: */*",
        "content-type: text/plain",
        "content-length: 3",
        "expect: 100-continue",
        "approval-reason: x",
        "approval-anything: x",
        "x-approval-reason: x",
        "forwarded: for=10.0.0.1",
        "x-forwarded-for: 10.0.0.1",
        "x-forwarded-user: root",
        "x-real-ip: 10.0.0.1",
        "x-original-url: /admin",
        "x-rewrite-url: /admin",
        "x-http-method-override: DELETE",
        "x-request-id: 7",
        "cookie: a=1",
        "cookie: b=2",
        "trailer: checksum",
        "proxy-authorization: Basic x",
        "proxy: http://10.0.0.1",
        "impersonate-user: root",
        "upgrade: h2c",
        "http2-settings: AAMA",
    ]);
    keep_end_to_end(&mut kept);
    assert_eq!(
        listed(&kept),
        ["accept: */*", "content-type: text/plain", "cookie: a=1; b=2", "trailer: checksum", "x-request-id: 7"]
    );
}

#[test]
fn only_end_to_end_fields_of_a_response_travel_on() {
    let mut kept = fields([
        "connection: X-Hop, keep-alive",
        "x-hop: 1",
        "keep-alive: timeout=5",
        "transfer-encoding: chunked",
        "content-length: 3",
        "approval-id: apr_forged",
        "alt-svc: h3=\":443\"",
        "authorization: Bearer real",
        "set-cookie: a=1",
        "set-cookie: b=2",
        "etag: \"1\"",
        "retry-after: 3",
        "www-authenticate: Basic",
    ]);
    keep_end_to_end_response(&mut kept);
    let expected = [
        "content-length: 3",
        "etag: \"1\"",
        "retry-after: 3",
        "set-cookie: a=1",
        "set-cookie: b=2",
        "www-authenticate: Basic",
    ];
    assert_eq!(listed(&kept), expected);
}

#[test]
fn trailers_carry_information_only() {
    let mut kept = fields([
        "grpc-status: 0",
        "x-checksum: 1",
        "host: b.example",
        "authorization: x",
        "content-length: 3",
        "content-type: text/html",
        "transfer-encoding: chunked",
        "x-forwarded-for: 10.0.0.1",
        "approval-id: x",
        "set-cookie: a=1",
        "x_checksum: 2",
    ]);
    keep_safe_trailers(&mut kept);
    assert_eq!(listed(&kept), ["grpc-status: 0", "x-checksum: 1"]);
}

#[test]
fn where_a_request_came_from_is_in_our_words_alone() {
    let forwarded = |source: &str, tls, authority: &str| {
        let mut fields = fields(["forwarded: for=evil", "x-forwarded-host: evil", "x-forwarded-for: evil"]);
        write_forwarded(&mut fields, &Arrival { tls, sni: None, source_ip: source.parse().unwrap() }, authority);
        listed(&fields).join("\n")
    };
    assert_snapshot!(forwarded("192.0.2.7", true, "a.example"), @"
    forwarded: for=192.0.2.7;proto=https;host=a.example
    x-forwarded-for: 192.0.2.7
    x-forwarded-host: a.example
    x-forwarded-proto: https
    ");
    assert_snapshot!(forwarded("2001:db8::1", false, "a.example:81"), @r#"
    forwarded: for="[2001:db8::1]";proto=http;host="a.example:81"
    x-forwarded-for: 2001:db8::1
    x-forwarded-host: a.example:81
    x-forwarded-proto: http
    "#);
    assert!(forwarded("::ffff:192.0.2.7", true, "a").contains("for=192.0.2.7;"));
    assert!(!forwarded("192.0.2.7", true, "a\r\nb").contains("evil"));
}

#[test]
fn a_charset_in_which_bytes_are_another_text_is_noticed() {
    let cases: [(&[&str], Option<&str>); 9] = [
        (&[], None),
        (&["content-type: application/json"], None),
        (&["content-type: application/json; charset=UTF-8"], None),
        (&["content-type: text/plain;charset=\"iso-8859-1\""], None),
        (&["content-type: application/json; charset=utf-7"], Some("utf-7")),
        (&["content-type: application/json; Charset = \"UTF-16\""], Some("utf-16")),
        (&["content-type: application/json; charset=utf-8; charset=utf-7"], Some("utf-7")),
        (&["content-type: application/json; charset*=x''utf-7"], Some("x''utf-7")),
        (&["content-type: application/json", "content-type: text/plain; charset=ebcdic"], Some("ebcdic")),
    ];
    for (given, expected) in cases {
        let mut map = http::HeaderMap::new();
        for line in given {
            let (name, value) = line.split_once(": ").unwrap();
            map.append(http::HeaderName::try_from(name).unwrap(), value.parse().unwrap());
        }
        let found = strange_charset(&map).map(|charset| charset.to_string().replace("\\'", "'"));
        assert_eq!(found.as_deref(), expected, "{given:?}");
    }
}
