//! What holds for every request.

use proptest::prelude::*;

use super::*;

fn normal_segment() -> impl Strategy<Value = String> {
    let plain = "[A-Za-z0-9._~!$&'()*+,=:@-]";
    let escape = "%(20|22|23|2A|3A|3C|3E|3F|40|5B|5D|7B|7C|7D|C3%A9|E2%82%AC)";
    proptest::string::string_regex(&format!("({plain}|{escape}){{1,12}}"))
        .unwrap()
        .prop_filter("dot segments", |segment| segment != "." && segment != "..")
}

fn arbitrary_field() -> impl Strategy<Value = (HeaderName, HeaderValue)> {
    let known = prop::sample::select(vec![
        "host",
        "connection",
        "upgrade",
        "te",
        "transfer-encoding",
        "content-length",
        "content-type",
        "expect",
        "prefer",
        "approval-reason",
        "x-approval-reason",
        "approval-context",
        "approval-id",
        "sec-websocket-key",
        "sec-websocket-version",
        "cookie",
        "user-agent",
        "idempotency-key",
        "amz-sdk-invocation-id",
        "amz-sdk-request",
        "x-goog-api-client",
        "x-ms-client-request-id",
        "x-stainless-lang",
        "x-stainless-retry-count",
        "x-stainless-timeout",
    ])
    .prop_map(str::to_owned);
    let likely = prop::sample::select(vec![
        "a.example",
        "chunked",
        "websocket",
        "upgrade",
        "13",
        "5",
        "trailers",
        "[::1]:",
        "4294967295",
        "-1",
        "1e9",
        "attempt=1; max=3",
        "attempt=99999999999;max=;",
        "gccl-invocation-id/",
        "azsdk-js-x/1 python-httpx/0.28.1",
        "python",
    ])
    .prop_map(|text| text.as_bytes().to_vec());
    (prop_oneof![known, "[a-z_-]{1,12}"], prop_oneof![likely, prop::collection::vec(any::<u8>(), 0..40)])
        .prop_filter_map("a field of the http crate", |(name, value)| {
            Some((HeaderName::from_bytes(name.as_bytes()).ok()?, HeaderValue::from_bytes(&value).ok()?))
        })
}

fn arbitrary_target() -> impl Strategy<Value = Uri> {
    let piece = prop::sample::select(vec![
        "/",
        "//",
        ".",
        "..",
        "%",
        "%2e",
        "%2F",
        "%25",
        "41",
        "%C0%AE",
        ";",
        "?",
        "#",
        "*",
        "a",
        "é",
        "https://",
        "a.example",
        "@",
        ":443",
        "\\",
    ]);
    let built = prop::collection::vec(piece, 1..12).prop_map(|pieces| pieces.concat().into_bytes());
    prop_oneof![built, prop::collection::vec(any::<u8>(), 1..40)]
        .prop_filter_map("a target of the http crate", |bytes| Uri::from_maybe_shared(bytes).ok())
}

proptest! {
    #[test]
    fn a_path_in_normal_form_is_taken_unchanged(
        segments in prop::collection::vec(normal_segment(), 0..6),
        slash in any::<bool>(),
    ) {
        let path = format!("/{}{}", segments.join("/"), if slash && !segments.is_empty() { "/" } else { "" });
        prop_assert_eq!(path_word(&path), "ok");
    }

    #[test]
    fn nothing_makes_it_panic_and_what_passes_is_safe(
        target in arbitrary_target(),
        method in prop_oneof![Just("GET".to_owned()), "[A-Za-z]{1,8}"],
        version in prop::sample::select(vec![Version::HTTP_09, Version::HTTP_10, Version::HTTP_11, Version::HTTP_2, Version::HTTP_3]),
        fields in prop::collection::vec(arbitrary_field(), 0..8),
        tls in any::<bool>(),
    ) {
        let (mut parts, ()) = Request::new(()).into_parts();
        parts.method = Method::from_bytes(method.as_bytes()).unwrap();
        parts.uri = target;
        parts.version = version;
        parts.headers.insert("host", HeaderValue::from_static("a.example"));
        parts.headers.extend(fields);
        match read_head(&parts, &arrival(tls, None)) {
            Ok(head) => {
                prop_assert_eq!(&head.path, parts.uri.path());
                prop_assert_eq!(head.query.as_deref(), parts.uri.query());
                // Decoded as often as anybody may, no segment leads elsewhere.
                let once = percent_encoding::percent_decode_str(&head.path).decode_utf8().unwrap();
                let twice = percent_encoding::percent_decode_str(&once).decode_utf8().unwrap();
                prop_assert_eq!(&once, &twice);
                prop_assert!(!once.contains(['\\', ';', '\0']) && !once.contains("//"));
                prop_assert!(once.split('/').all(|segment| segment != "." && segment != ".."));
                prop_assert_eq!(once.matches('/').count(), head.path.matches('/').count());
                prop_assert!(head.client.call.id.is_none_or(|id| (1..=CALL_ID_BYTES_MAX).contains(&id.len())));
            }
            Err(error) => prop_assert!(error.to_string().is_ascii() && WireError::REASONS.contains(&error.reason())),
        }
    }

    #[test]
    fn no_field_for_one_connection_survives(
        hops in prop::collection::vec("[A-Za-z][A-Za-z0-9-]{0,10}", 0..5),
        separators in prop::collection::vec(prop::sample::select(vec![",", ", ", " ,\t", ",,"]), 5),
        others in prop::collection::vec(arbitrary_field(), 0..8),
    ) {
        let mut fields: HeaderMap = others.into_iter().collect();
        for name in ["keep-alive", "proxy-connection", "te", "upgrade", "transfer-encoding", "forwarded", "x-forwarded-for", "approval-id"] {
            fields.append(name, HeaderValue::from_static("x"));
        }
        let mut connection = String::from("close");
        for (hop, separator) in hops.iter().zip(separators) {
            connection = connection + separator + hop;
            fields.append(hop.parse::<HeaderName>().unwrap(), HeaderValue::from_static("x"));
        }
        fields.append("connection", connection.parse().unwrap());
        let (mut request, mut response) = (fields.clone(), fields);
        keep_end_to_end(&mut request);
        keep_end_to_end_response(&mut response);
        for name in ["connection", "keep-alive", "proxy-connection", "te", "upgrade", "transfer-encoding", "approval-id"] {
            prop_assert!(!request.contains_key(name) && !response.contains_key(name), "{}", name);
        }
        prop_assert!(!request.contains_key("forwarded") && !request.contains_key("x-forwarded-for"));
        for hop in &hops {
            prop_assert!(!request.contains_key(hop.as_str()) && !response.contains_key(hop.as_str()), "{}", hop);
        }
        prop_assert!(request.get_all("cookie").iter().count() <= 1);
    }
}
