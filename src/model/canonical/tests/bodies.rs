//! What of a body counts, and in which form.

use super::*;

#[test]
fn json_may_be_laid_out_and_ordered_differently() {
    let json = |text: &str| body_digest("application/json", text);
    for (one, other) in [
        (r#"{"a":1,"b":[true,null]}"#, "{ \"b\" : [ true,\r\n null ],\t\"a\" : 1 }\n"),
        (r#"{"a":{"x":1,"y":{}}}"#, r#" {"a": {"y":{}, "x":1}}"#),
        (r#"[{"a":1,"b":2}]"#, r#"[{"b":2,"a":1}]"#),
        (r#"{"order":{"id":1,"n":2}}"#, r#"{"order":{"n":2,"id":1}}"#),
        ("1", " 1 "),
    ] {
        assert_eq!(json(one), json(other), "{one} and {other}");
    }
}

#[test]
fn json_that_a_reader_could_take_for_something_else_is_another_call() {
    let json = |text: &str| body_digest("application/json", text);
    for (one, other) in [
        ("1", "1.0"),
        ("1.0", "1e0"),
        ("1e0", "1E0"),
        ("0", "-0"),
        ("100000000000000000000", "100000000000000000001"),
        (r#""a""#, r#""\u0061""#),
        (r#""\u00e9""#, r#""\u00E9""#),
        (r#"" a""#, r#""a ""#),
        (r#"["a","b"]"#, r#"["b","a"]"#),
        (r#"[1,[2]]"#, r#"[[1],2]"#),
        ("[]", "{}"),
        ("[[]]", "[]"),
        ("[null]", "[]"),
        (r#""1""#, "1"),
        (r#"{"a":1,"b":2}"#, r#"{"a":2,"b":1}"#),
        (r#"{"a":{"b":1}}"#, r#"{"a":{"b":{}}}"#),
        (r#"{"a":1}"#, r#"{"a":1,"b":null}"#),
        // The order of these may matter.
        (r#"{"a":1,"a":2}"#, r#"{"a":2,"a":1}"#),
        (r#"{"amount":1,"Amount":9}"#, r#"{"Amount":9,"amount":1}"#),
        (r#"{"user_id":1,"userId":9}"#, r#"{"userId":9,"user_id":1}"#),
        (r#"{"a":{"x-y":1,"x_y":9}}"#, r#"{"a":{"x_y":9,"x-y":1}}"#),
        (r#"{"a":1,"\u0061":9}"#, r#"{"\u0061":9,"a":1}"#),
        ("{\"\u{e9}\":1,\"e\u{301}\":9}", "{\"e\u{301}\":9,\"\u{e9}\":1}"),
        ("{\"k\":1,\"\u{212a}\":9}", "{\"\u{212a}\":9,\"k\":1}"),
        (r#"{"$type":"A","b":1}"#, r#"{"b":1,"$type":"A"}"#),
        (r#"{"sort":{"a":1,"b":-1}}"#, r#"{"sort":{"b":-1,"a":1}}"#),
        (r#"{"sort":[{"a":1,"b":-1}]}"#, r#"{"sort":[{"b":-1,"a":1}]}"#),
        (r#"{"order_by":{"a":1,"b":-1}}"#, r#"{"order_by":{"b":-1,"a":1}}"#),
    ] {
        assert_ne!(json(one), json(other), "{one} and {other}");
    }
}

#[test]
fn what_is_not_strictly_json_counts_byte_for_byte() {
    let deep = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    let json = |text: &[u8]| body_digest("application/json", text);
    let is_canonical = |text: &[u8]| json(text) == json(&[b" ", text, b"\n"].concat());
    for text in [
        "",
        "{",
        "[1,]",
        "{\"a\":1,}",
        "{a:1}",
        "{'a':1}",
        "[01]",
        "[1.]",
        "[.5]",
        "[+1]",
        "[1e]",
        "[-]",
        "[NaN]",
        "tru",
        "truee",
        "[1] [2]",
        "{\"a\":1}{\"b\":2}",
        "{\"a\" 1}",
        "[1 2]",
        "// x\n1",
        "\u{feff}1",
        "[\"\t\"]",
        "[\"\\x\"]",
        "[\"\\u12g4\"]",
        "[\"\\u+123\"]",
        "[\"\\ud800\"]",
        "[\"\\udc00\\ud800\"]",
        "[\"\\ud800\\u0061\"]",
        "\"",
        "[\"\\",
        "\u{a0}1",
        "[1,,2]",
        &deep(65),
    ] {
        assert!(!is_canonical(text.as_bytes()), "{text}");
    }
    assert!(!is_canonical(b"\"\xff\"") && !is_canonical(b"\"\xc0\xaf\"") && !is_canonical(&[0, b'1']));
    for text in [
        "0",
        "-1.5e+10",
        "[1E5]",
        "\"\u{e9}\\ud83d\\ude00\\n\\u0000\"",
        "{}",
        "[{}]",
        "{\"\":null}",
        &deep(64),
        "\"\u{7f}\u{2028}\"",
    ] {
        assert!(is_canonical(text.as_bytes()), "{text}");
    }
}

#[test]
fn only_json_in_utf_8_is_read_as_json() {
    let is_canonical = |content_type| body_digest(content_type, "[1]") == body_digest(content_type, "[ 1]");
    for (content_type, expected) in [
        ("application/json", true),
        ("Application/JSON; charset=UTF-8", true),
        ("application/json;charset=\"utf-8\"", true),
        ("application/merge-patch+json", true),
        ("application/vnd.elasticsearch+json; compatible-with=9", true),
        ("application/x-amz-json-1.1", true),
        ("application/json; charset=utf-16", false),
        ("application/json; charset=utf-8; charset=utf-7", false),
        ("application/x-ndjson", false),
        ("application/vnd.elasticsearch+x-ndjson; compatible-with=9", false),
        ("application/json-seq", false),
        ("text/plain", false),
        ("text/html+json", false),
    ] {
        assert_eq!(is_canonical(content_type), expected, "{content_type}");
    }
    let encoded = |body: &[u8]| {
        let mut request = with_body("application/json", body);
        request.headers.insert("content-encoding", HeaderValue::from_static("br"));
        digest(&request)
    };
    assert_ne!(encoded(b"[1]"), encoded(b"[ 1]"));
}

/// Two parts as urllib3 writes them.
fn form(boundary: &str) -> String {
    format!(
        "--{boundary}\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n\
         --{boundary}\r\nContent-Disposition: form-data; name=\"f\"; filename=\"x\"\r\n\r\n\r\n--{boundary}--\r\n"
    )
}

#[test]
fn the_boundaries_of_real_sdks_do_not_count() {
    for (content_type, one, other) in [
        // httpx, urllib3; undici; axios; curl; Go; aiohttp; Google's client; a browser.
        ("multipart/form-data; boundary=@", "0f3c8a527d4e4f539a0f5f1d3a0c7c11", "9d2b7a4ac3b04d1fa4c6d7e2b9f0a3e5"),
        ("multipart/form-data; boundary=@", "----formdata-undici-053473823849", "----formdata-undici-013982749123"),
        (
            "multipart/form-data; boundary=@",
            "--------------------------1529472839",
            "--------------------------9829384765",
        ),
        ("multipart/form-data; boundary=@", "------------------------Ub7RkX9yWq", "------------------------a8sKq2LmZo"),
        ("multipart/related; boundary=\"@\"", "===============5735==", "===============9182=="),
        ("multipart/related; type=\"a/b\"; boundary=\"@\"; x=y", "q1", "q2"),
        (
            "multipart/form-data;boundary=@;charset=utf-8",
            "----WebKitFormBoundary7MA4YW",
            "----WebKitFormBoundaryXk2pQs",
        ),
    ] {
        let digest = |boundary: &str| body_digest(&content_type.replace('@', boundary), form(boundary));
        assert_eq!(digest(one), digest(other), "{content_type} {one}");
        assert_ne!(exact(&with_body("a/b", form(one).as_bytes())), exact(&with_body("a/b", form(other).as_bytes())));
    }
}

#[test]
fn a_boundary_that_could_be_read_in_two_ways_counts() {
    let usual = |boundary: &str| format!("multipart/form-data; boundary={boundary}");
    let same = |content_type: &dyn Fn(&str) -> String, body: &dyn Fn(&str) -> String| {
        body_digest(&content_type("b1"), body("b1")) == body_digest(&content_type("b2"), body("b2"))
    };
    assert!(same(&usual, &|b| form(b)));
    let content_types: [fn(&str) -> String; 13] = [
        |b| format!("multipart/form-data; boundary={b}; boundary=x"),
        |b| format!("multipart/form-data; boundary*0={b}; boundary*1=x"),
        |b| format!("multipart/form-data; boundary*=utf-8''{b}"),
        |b| format!("multipart/form-data; boundary ={b}"),
        |b| format!("multipart/form-data; boundary= {b}"),
        |b| format!("multipart/form-data; boundary='{b}'"),
        |b| format!("multipart/form-data; boundary=\"{b}"),
        |b| format!("multipart/form-data; boundary=\"{b}\"x"),
        |b| format!("multipart/form-data; x-boundary={b}"),
        |b| format!("multipart/form-data; type=\"; boundary={b}\""),
        |b| format!("multipart/form-data; (; boundary={b})"),
        |b| format!("multipart/form-data; boundary={b}=x"),
        |b| format!("application/form-data; boundary={b}"),
    ];
    for (index, content_type) in content_types.iter().enumerate() {
        assert!(!same(content_type, &|b| form(b)), "content type {index}");
    }
    let bodies: [fn(&str) -> String; 13] = [
        |b| format!("preamble\r\n{}", form(b)),
        |b| format!("\r\n{}", form(b)),
        |b| format!("{}epilogue", form(b)),
        |b| format!("{}\r\n", form(b)),
        |b| form(b).replace("\r\n", "\n"),
        |b| form(b).replace("--\r\n", ""),
        |b| form(b).replacen("\r\n", " \r\n", 1),
        // The text of the boundary in a part: a lenient reader might divide there.
        |b| form(b).replace("1\r\n", &format!("1\n--{b}\n\n2\r\n")),
        |b| form(b).replace("1\r\n", &format!("1\r\n--{b}x\r\n")),
        |b| form(b).replace("1\r\n", &format!("{b}\r\n")),
        |b| form(b).replace("name=\"a\"", &format!("name=\"{b}\"")),
        |b| form(b).replacen("--", "", 1),
        |b| form(b).replacen(b, "other", 1),
    ];
    for (index, body) in bodies.iter().enumerate() {
        assert!(!same(&usual, body), "body {index}");
    }
    let long = |c: &str| c.repeat(71);
    assert_ne!(body_digest(&usual(&long("a")), form(&long("a"))), body_digest(&usual(&long("b")), form(&long("b"))));
}

#[test]
fn every_byte_of_a_part_counts_and_so_does_the_order() {
    let digest =
        |change: &dyn Fn(String) -> String| body_digest("multipart/form-data; boundary=b1", change(form("b1")));
    let usual = digest(&|body| body);
    let changes: [fn(String) -> String; 6] = [
        |body| body.replace("\r\n\r\n1", "\r\n\r\n2"),
        |body| body.replace("\r\n\r\n1", "\r\n\r\n1\r\n"),
        |body| body.replace("name=\"a\"", "name=\"A\""),
        |body| body.replace("Disposition: form-data; name=\"a\"", "disposition: form-data; name=\"a\""),
        |body| body.trim_end().to_owned(),
        |body| {
            let parts: Vec<_> = body.split("--b1").collect();
            [parts[0], parts[2], parts[1], parts[3]].join("--b1")
        },
    ];
    for (index, change) in changes.iter().enumerate() {
        assert_ne!(digest(change), usual, "change {index}");
    }
    let other_type = body_digest("multipart/mixed; boundary=b1", form("b1"));
    assert_ne!(other_type, usual);
}

#[test]
fn a_body_that_was_decoded_to_look_at_it_counts_as_it_is_sent() {
    let encoded = |bytes: &'static [u8], decoded: Option<&'static [u8]>| {
        let mut request = with_body("application/json", bytes);
        request.headers.insert("content-encoding", HeaderValue::from_static("gzip"));
        if let Some(decoded) = decoded {
            let (bytes, decoded) = (Bytes::from_static(bytes), Bytes::from_static(decoded));
            request.body = Body::Encoded { bytes, trailers: HeaderMap::new(), coding: "gzip", decoded };
        }
        request
    };
    // Whether somebody has looked is no part of the call.
    let (read, decoded) = (encoded(b"sent", None), encoded(b"sent", Some(b"{}")));
    assert_eq!((digest(&read), exact(&read)), (digest(&decoded), exact(&decoded)));
    assert_ne!(digest(&encoded(b"sent", Some(b"{}"))), digest(&encoded(b"Sent", Some(b"{}"))));
}

#[test]
fn every_byte_of_a_kept_body_counts() {
    let kept = |bytes: &[u8]| {
        let mut request = with_body("application/json", b"");
        let body = crate::model::MemoryBody::new(Bytes::copy_from_slice(bytes));
        request.body = Body::Kept { body: std::sync::Arc::new(body), trailers: HeaderMap::new() };
        request
    };
    assert_eq!(digest(&kept(b"[1]")), digest(&kept(b"[1]")));
    let mut trailed = kept(b"[1]");
    let mut trailers = HeaderMap::new();
    trailers.insert("x-sum", HeaderValue::from_static("1"));
    let Body::Kept { body, .. } = &trailed.body else { panic!("it is not kept") };
    trailed.body = Body::Kept { body: std::sync::Arc::clone(body), trailers };
    // Blanks too, and it is never mistaken for a body in memory.
    for other in [kept(b"[ 1]"), kept(b"[2]"), kept(b""), trailed, with_body("application/json", b"[1]")] {
        assert_ne!(digest(&kept(b"[1]")), digest(&other));
        assert_ne!(exact(&kept(b"[1]")), exact(&other));
    }
}
