//! Tests of heads that are read, and of those that are refused.

use http::Method;
use insta::assert_snapshot;

use super::*;
use crate::model::RefusalCode;

/// The word for what came of a head: `ok`, or the reason of its refusal.
fn word(text: &str) -> &'static str {
    read(text).map_or_else(|error| error.reason(), |_| "ok")
}

#[test]
fn a_plain_request_is_read_as_it_is() {
    let head =
        read("GET /customers/42?limit=5&q=%c3%A9 | host: A.Example:443 | prefer: wait=5, Respond-Async").unwrap();
    assert_eq!(
        head,
        Head {
            method: Method::GET,
            authority: "a.example".into(),
            host: "a.example".into(),
            path: "/customers/42".into(),
            query: Some("limit=5&q=%c3%A9".into()),
            websocket: false,
            reason: None,
            context: None,
            approval_id: None,
            respond_async: true,
            expects_body: false,
            client: recognise(&HeaderMap::new()),
        }
    );
}

#[test]
fn what_two_servers_could_read_differently_is_refused() {
    for (text, expected) in [
        ("GET /a | host: a.example", "ok"),
        ("GET /a 1.0 | host: a.example", "version"),
        ("GET https://a.example/a 2", "ok"),
        ("GET https://a.example/a 2 | host: a.example", "ok"),
        ("GET https://a.example/a 2 | host: b.example", "host"),
        ("GET https://b.example/a 2", "misdirected"),
        ("GET /a 2 | host: a.example", "ok"),
        ("GET /a 2", "host"),
        ("GET https://a.example/a 2 | connection: close", "connection"),
        ("GET https://a.example/a 2 | keep-alive: 5", "connection"),
        ("POST https://a.example/a 2 | transfer-encoding: chunked", "connection"),
        ("GET https://a.example/a 2 | cookie: a=1 | cookie: b=2", "ok"),
        ("GET /a | host: a.example | cookie: a=1 | cookie: b=2", "repeated"),
        ("get /a | host: a.example", "method"),
        ("Get /a | host: a.example", "method"),
        ("TRACE /a | host: a.example", "method"),
        ("PROPFIND /a | host: a.example", "method"),
        ("QUERY /a | host: a.example", "ok"),
        ("CONNECT a.example:443 | host: a.example", "method"),
        ("CONNECT https://a.example/chat 2", "method"),
        ("OPTIONS /a | host: a.example", "ok"),
        ("OPTIONS * | host: a.example", "target"),
        ("GET a.example:443 | host: a.example", "target"),
        ("GET user:pw@a.example:443 | host: a.example", "target"),
        ("GET //b.example/a | host: a.example", "target"),
        ("GET https://a.example//b.example/a | host: a.example", "target"),
        ("GET https://a.example/a | host: a.example", "ok"),
        ("GET https://A.example:443/a | host: a.example", "ok"),
        ("GET https://a.example?x=1 | host: a.example", "target"),
        ("GET https://a.example/a", "host"),
        ("GET https://b.example/a | host: a.example", "host"),
        ("GET https://user@a.example/a | host: a.example", "host"),
        ("GET http://a.example/a | host: a.example", "target"),
        ("GET ftp://a.example/a | host: a.example", "target"),
        ("GET /a", "host"),
        ("GET /a | host:", "host"),
        ("GET /a | host: a.example | host: a.example", "repeated"),
        ("GET /a | host: b.example", "misdirected"),
        ("GET /a | host: a.example:8443", "ok"),
        ("GET /a?b=100% | host: a.example", "query"),
        ("GET /a?b=%4 | host: a.example", "query"),
        ("GET /a?b=%zz | host: a.example", "query"),
        ("GET /a?b=é | host: a.example", "query"),
        ("GET /a?b=c%2f..%2f | host: a.example", "ok"),
        ("GET /a | host: a.example | x_forwarded_for: 1", "field_name"),
        ("GET /a | host: a.example | authorization: x | authorization: x", "repeated"),
        ("GET /a | host: a.example | approval-reason: x | approval-reason: x", "repeated"),
        ("POST /a | host: a.example | content-type: text/plain | content-type: text/plain", "repeated"),
        ("POST /a | host: a.example | content-type: text/plain, application/json", "content_type"),
        ("POST /a | host: a.example | content-type: multipart/form-data; boundary=\"a\\\",b\"", "ok"),
        ("POST /a | host: a.example | content-length: 5", "ok"),
        ("POST /a | host: a.example | content-length: 5 | content-length: 5", "repeated"),
        ("POST /a | host: a.example | content-length: 05", "framing"),
        ("POST /a | host: a.example | content-length: +5", "framing"),
        ("POST /a | host: a.example | content-length: 5, 5", "framing"),
        ("POST /a | host: a.example | content-length:", "framing"),
        ("POST /a | host: a.example | content-length: 18446744073709551616", "framing"),
        ("POST /a | host: a.example | transfer-encoding: chunked", "ok"),
        ("POST /a | host: a.example | transfer-encoding: chunked | transfer-encoding: chunked", "repeated"),
        ("POST /a | host: a.example | transfer-encoding: gzip, chunked", "framing"),
        ("POST /a | host: a.example | transfer-encoding: Chunked", "framing"),
        ("POST /a | host: a.example | transfer-encoding: identity", "framing"),
        ("POST /a | host: a.example | transfer-encoding: chunked | content-length: 5", "framing"),
        ("GET /a | host: a.example | te: trailers", "ok"),
        ("GET /a | host: a.example | te: gzip", "connection"),
        ("GET /a | host: a.example | te: trailers, gzip", "connection"),
        ("POST /a | host: a.example | expect: 100-Continue", "ok"),
        ("POST /a | host: a.example | expect: 200-ok", "connection"),
        ("GET /a | host: a.example | connection: keep-alive, X-Hop", "ok"),
        ("GET /a | host: a.example | connection: close, Authorization", "connection"),
        ("GET /a | host: a.example | connection: If-Match", "connection"),
        ("GET /a | host: a.example | connection: a b", "connection"),
        ("GET /a | host: a.example | connection: Upgrade | upgrade: h2c | http2-settings: AAMA", "ok"),
    ] {
        assert_eq!(word(text), expected, "{text}");
    }
}

#[test]
fn a_fragment_goes_no_further() {
    let head = read("GET /a?b#/../c | host: a.example").unwrap();
    assert_eq!((head.path.as_str(), head.query.as_deref()), ("/a", Some("b")));
}

#[test]
fn only_paths_in_normal_form_are_accepted() {
    for (path, expected) in [
        ("/", "ok"),
        ("/a/", "ok"),
        ("/a.b/..c/.d/e..", "ok"),
        ("/...", "ok"),
        ("/-._~!$&'()*+,=:@", "ok"),
        ("/a%20b%3Fc%23", "ok"),
        ("/100%25", "ok"),
        ("/100%25/41", "ok"),
        ("/100%25g1", "ok"),
        ("/%C3%A9%E2%82%AC", "ok"),
        ("/a/./b", "DotSegment"),
        ("/a/..", "DotSegment"),
        ("/..", "DotSegment"),
        ("/a//b", "EmptySegment"),
        ("/a//", "EmptySegment"),
        ("//a", "target"),
        ("/%2e%2E/b", "LowerCaseEscape"),
        ("/%2E%2E/b", "NeedlessEscape('.')"),
        ("/a%2Fb", "EscapedSeparator('/')"),
        ("/a%2fb", "LowerCaseEscape"),
        ("/a%5Cb", "EscapedSeparator('\\\\')"),
        ("/a%3Bb", "EscapedSeparator(';')"),
        ("/a%00", "EscapedControl(0)"),
        ("/a%0D%0A", "EscapedControl(13)"),
        ("/a%7F", "EscapedControl(127)"),
        ("/%41", "NeedlessEscape('A')"),
        ("/%7E", "NeedlessEscape('~')"),
        ("/%252E", "DoubleEscape"),
        ("/%252f", "DoubleEscape"),
        ("/%25u002e", "DoubleEscape"),
        ("/%u002e", "BadEscape"),
        ("/100%", "BadEscape"),
        ("/%4", "BadEscape"),
        ("/%gg", "BadEscape"),
        ("/%fg", "BadEscape"),
        ("/%c3%a9", "LowerCaseEscape"),
        ("/a;b=c", "MatrixParameter"),
        ("/..;/b", "MatrixParameter"),
        ("/a|b", "Character('|')"),
        ("/a\"b", "Character('\"')"),
        ("/a{b}", "Character('{')"),
        ("/é", "Character('é')"),
        ("/%C0%AE", "NotUtf8"),
        ("/%C3", "NotUtf8"),
        ("/%FF", "NotUtf8"),
        ("/%ED%A0%80", "NotUtf8"),
        ("/%C2%85", "EscapedCharacter('\\u{85}')"),
        ("/%EF%BC%8E%EF%BC%8E/a", "LookAlike('．')"),
        ("/a%EF%BC%8Fb", "LookAlike('／')"),
        ("/%E2%80%A5/", "LookAlike('‥')"),
    ] {
        assert_eq!(path_word(path), expected, "{path}");
    }
}

#[test]
fn a_host_has_one_spelling() {
    for (host, expected) in [
        ("a.example", "a.example"),
        ("A.EXAMPLE:443", "a.example"),
        ("a.example:80", "a.example:80"),
        ("a_b.example", "a_b.example"),
        ("127.0.0.1:8443", "127.0.0.1:8443"),
        ("[::1]", "[::1]"),
        ("[0:0::0001]:9000", "[::1]:9000"),
        ("a.example.", "refused"),
        (".a", "refused"),
        ("a..b", "refused"),
        ("a.example:", "refused"),
        ("a.example:0", "refused"),
        ("a.example:0443", "refused"),
        ("a.example:+1", "refused"),
        ("a.example:65536", "refused"),
        ("a:1:2", "refused"),
        ("a.example, b.example", "refused"),
        ("a.example b.example", "refused"),
        ("user:secret@a.example", "refused"),
        ("a.example/b", "refused"),
        ("a.example#b", "refused"),
        ("a%2eexample", "refused"),
        ("127.1", "refused"),
        ("2130706433", "refused"),
        ("0x7f000001", "refused"),
        ("0177.0.0.1", "refused"),
        ("1.2.3.4.5", "refused"),
        ("::1", "refused"),
        ("[::1", "refused"),
        ("[::1]x", "refused"),
        ("[fe80::1%25eth0]", "refused"),
        ("[a.example]", "refused"),
        ("bücher.example", "refused"),
    ] {
        let head = read_head(&parts(&format!("GET / | host: {host}")), &arrival(true, None));
        assert_eq!(head.as_ref().map_or("refused", |head| &head.authority), expected, "{host}");
        assert!(!format!("{head:?}").contains("secret"), "{head:?}");
    }
}

#[test]
fn the_host_alone_keeps_the_brackets_of_an_address() {
    let head = read_head(&parts("GET / | host: [2001:DB8::1]:81"), &arrival(false, Some("ignored.example"))).unwrap();
    assert_eq!((head.host.as_str(), head.authority.as_str()), ("[2001:db8::1]", "[2001:db8::1]:81"));
    let plain = read_head(&parts("GET / | host: a.example:80"), &arrival(false, None)).unwrap();
    assert_eq!(plain.authority, "a.example");
}

#[test]
fn a_websocket_is_a_whole_handshake_or_none() {
    const GOOD: &str = "upgrade: websocket | connection: keep-alive, Upgrade | sec-websocket-version: 13 | \
                        sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==";
    let websocket = |start: &str, fields: &str| match read(&format!("{start} | host: a.example | {fields}")) {
        Ok(head) => if head.websocket { "yes" } else { "no" }.to_owned(),
        Err(error) => error.reason().to_owned(),
    };
    assert_eq!(websocket("GET /", GOOD), "yes");
    assert_eq!(websocket("GET /", &GOOD.replace("websocket |", "WebSocket |")), "yes");
    assert_eq!(websocket("POST /", GOOD), "websocket");
    for (from, to, expected) in [
        ("upgrade: websocket | ", "", "no"),
        ("upgrade: websocket", "upgrade: h2c", "no"),
        ("upgrade: websocket", "upgrade: h2c, websocket", "websocket"),
        ("Upgrade", "close", "websocket"),
        ("version: 13", "version: 8", "websocket"),
        ("dGhlIHNhbXBsZSBub25jZQ==", "dGhl", "websocket"),
        ("dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZSBub25j!Q==", "websocket"),
        ("upgrade: websocket", "upgrade: websocket | content-length: 1", "websocket"),
        ("upgrade: websocket", "upgrade: websocket | upgrade: websocket", "repeated"),
    ] {
        assert_eq!(websocket("GET /", &GOOD.replace(from, to)), expected, "{from} -> {to}");
    }
}

#[test]
fn whether_a_body_may_follow() {
    for (text, expected) in [
        ("POST /a | host: a.example", false),
        ("POST /a | host: a.example | content-length: 0", false),
        ("POST /a | host: a.example | content-length: 1", true),
        ("POST /a | host: a.example | transfer-encoding: chunked", true),
        ("GET https://a.example/a 2", true),
        ("GET https://a.example/a 2 | content-length: 0", false),
    ] {
        assert_eq!(read(text).unwrap().expects_body, expected, "{text}");
    }
}

#[test]
fn a_reason_may_come_in_any_usual_form() {
    let reason = |fields: &str| read(&format!("GET / | host: a.example | {fields}")).map(|head| head.reason);
    let long = "x".repeat(NOTE_BYTES_MAX);
    for (fields, expected) in [
        ("approval-reason: monthly report", Some("monthly report")),
        ("x-approval-reason: monthly report", Some("monthly report")),
        ("approval-reason: \"a \\\"b\\\"\"", Some("a \"b\"")),
        ("approval-reason: %\"f%c3%bcr\"", Some("für")),
        ("approval-reason: für", Some("für")),
        ("approval-reason: \"urgent\" tidying", Some("\"urgent\" tidying")),
        ("approval-reason: 100% sure", Some("100% sure")),
        ("approval-reason: same | x-approval-reason: \"same\"", Some("same")),
        ("approval-reason:", None),
        (&format!("approval-reason: {long}"), Some(&*long)),
    ] {
        assert_eq!(reason(fields).unwrap().as_deref(), expected, "{fields}");
    }
    for fields in [
        "approval-reason: one | x-approval-reason: other".to_owned(),
        format!("approval-reason: {long}x"),
        "approval-reason: a\tb".to_owned(),
        "approval-reason: %\"a%0ab\"".to_owned(),
        format!("approval-context: {long}x"),
        "approval-id: apr_1".to_owned(),
        "approval-id: call_00000000000070000000000000000000".to_owned(),
    ] {
        assert_eq!(reason(&fields).unwrap_err().reason(), "approval_field", "{fields}");
    }
    let head = read(
        "GET / | host: a.example | approval-id: apr_00000000000070000000000000000000 | approval-context: ticket=\"OPS-1\"",
    );
    let head = head.unwrap();
    assert_eq!(head.approval_id.as_deref(), Some("apr_00000000000070000000000000000000"));
    assert_eq!(head.context.as_deref(), Some("ticket=\"OPS-1\""));
}

#[test]
fn the_caller_is_told_what_to_do() {
    let detail = |text: &str| read(text).unwrap_err().refusal().detail;
    assert_snapshot!(detail("get /a | host: a.example"), @"the method `get` is not accepted; accepted are GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS, QUERY, SEARCH and REPORT, in upper case");
    assert_snapshot!(detail("GET /a/../b | host: a.example"), @"the path `/a/../b` holds a `.` or `..` segment; send the path that it leads to");
    assert_snapshot!(detail("GET /é{b | host: a.example"), @r"the path `/\xc3\xa9{b` holds the character `\u{e9}`; percent-encode it");
    assert_snapshot!(detail("GET /a | host: b.example"), @"the request is for `b.example`, but this connection was made to `a.example` (TLS server name); open one for it");
    assert_snapshot!(detail("GET /a | host: a.example, b"), @"the host `a.example, b` holds the character `,`; send one name and port alone");
    assert_snapshot!(detail("GET /a?token=s3cret% | host: a.example"), @"the query holds a `%` that two hex digits do not follow; send `%25` for a plain `%`");
    assert_snapshot!(detail("POST /a | host: a.example | transfer-encoding: gzip, chunked"), @"the `Transfer-Encoding` `gzip, chunked` is not accepted; send `chunked` alone, or `Content-Length`");
    assert_snapshot!(detail("GET /a | host: a.example | te: a`b"), @r"the `TE` `a\x60b` is not accepted; send `trailers` or leave it out");
    let long = detail(&format!("GET /{}; | host: a.example", "a".repeat(500)));
    assert!(long.len() < 200 && long.contains("a...` holds a `;`"), "{long}");
    assert_eq!(read("GET /a | host: b.example").unwrap_err().refusal().code, RefusalCode::Misdirected);
}
