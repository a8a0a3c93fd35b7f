//! What a policy sees of a request, above all of its body.

use std::collections::BTreeSet;

use super::*;
use crate::policy::History;
use crate::policy::input;
use crate::policy::input_json;
use crate::policy::input_schema;
use crate::policy::schema;

fn body_of(fields: &[(&str, &str)], body: &[u8]) -> String {
    let input = input_json(&posted(fields, body), None, now());
    let request = &input["request"];
    match (request.get("body"), request.get("body_error")) {
        (Some(body), None) => body.to_string(),
        (None, Some(error)) => error.as_str().unwrap().to_owned(),
        (None, None) => "absent".to_owned(),
        (Some(_), Some(_)) => panic!("both: {request}"),
    }
}

const JSON: &[(&str, &str)] = &[("content-type", "application/json")];
const FORM: &[(&str, &str)] = &[("content-type", "application/x-www-form-urlencoded")];

#[test]
fn a_body_is_read_as_what_it_says_it_is_or_not_at_all() {
    for (fields, body, expected) in [
        (JSON, &br#"{"a": [1, "x"]}"#[..], r#"{"a":[1,"x"]}"#),
        (&[("content-type", "Application/JSON; charset=UTF-8")], b"1", "1"),
        (&[("content-type", "application/vnd.api+json")], b"null", "null"),
        (FORM, b"a=1&a=2", r#"{"a":["1","2"]}"#),
        (JSON, b"", "absent"),
        (&[], b"", "absent"),
        (&[], b"{}", "it has no content type"),
        (&[("content-type", "text/plain")], b"{}", "`text/plain` is neither JSON nor a form"),
        (JSON, br#"{"a": 1, "a": 2}"#, "as JSON, the object at byte 0 has the same name twice"),
        (JSON, b"\xff", "as JSON, it is not UTF-8"),
        (JSON, b"{", "as JSON, it is not JSON at byte 1"),
        (FORM, b"a=%zz", "as a form, it has a broken escape or is not UTF-8"),
        (&[("content-type", "application/json; charset=utf-16")], b"{}", "its charset is not UTF-8"),
        (&[("content-type", "application/json"), ("content-encoding", "gzip")], b"{}", "it has a content encoding"),
        (
            &[("content-type", "application/json"), ("content-type", "text/plain")],
            b"{}",
            "it has several content types",
        ),
    ] {
        assert_eq!(body_of(fields, body), expected, "{fields:?} {}", String::from_utf8_lossy(body));
    }
    let deep = format!("{}{}", "[".repeat(65), "]".repeat(65));
    assert_eq!(body_of(JSON, deep.as_bytes()), "as JSON, it is nested more than 64 levels deep at byte 64");
}

#[test]
fn a_body_that_cannot_be_read_is_refused_where_a_rule_trusts_it() {
    let trusting =
        "deny contains {\"rule\": \"large\"} if input.request.body.amount > 100\nallow contains {\"rule\": \"rest\"}";
    let policy = loaded(trusting);
    assert_eq!(answer(&policy, &posted(JSON, br#"{"amount": 101}"#)), "deny large");
    assert_eq!(answer(&policy, &posted(JSON, br#"{"amount": 100}"#)), "allow rest");
    let twice = posted(JSON, br#"{"amount": 101, "amount": 1}"#);
    insta::assert_snapshot!(answer(&policy, &twice), @"error: the policy looks at `input.request.body`, which cannot be read: as JSON, the object at byte 0 has the same name twice; to decide such calls yourself, look at `input.request.body_error`");

    let careful =
        loaded(&format!("{trusting}\ndeny contains {{\"rule\": \"unreadable\"}} if input.request.body_error"));
    assert_eq!(answer(&careful, &twice), "deny unreadable");
    assert_eq!(answer(&careful, &posted(&[("content-type", "text/plain")], br#"{"amount": 101}"#)), "deny unreadable");

    // Rules that never look at it have nothing to fear from it.
    assert_eq!(answer(&loaded("allow contains {\"rule\": \"all\"}"), &twice), "allow all");
}

#[test]
fn a_body_that_was_not_read_is_an_error_only_where_it_matters() {
    let unread = call(|_, request| request.body = Body::Unread);
    assert_eq!(answer(&loaded("allow contains {\"rule\": \"x\"} if input.request.path"), &unread), "allow x");
    insta::assert_snapshot!(answer(&loaded("allow contains {\"rule\": \"x\"} if input.request.body_bytes > 1"), &unread), @"error: the policy looks at `input.request.body`, but the body of this call was not read");
    let policy = loaded("allow contains {\"rule\": \"x\"} if input.request.body_bytes == 0");
    assert_eq!(answer(&policy, &any_call()), "allow x");
}

#[test]
fn an_encoded_body_is_what_its_coding_stands_for() {
    let encoded = |decoded: &'static [u8]| {
        let mut call = posted(&[("content-type", "application/json"), ("content-encoding", "gzip")], b"");
        let Message::Http(request) = &mut call.message;
        let (bytes, decoded) = (Bytes::from_static(b"as it is sent"), Bytes::from_static(decoded));
        request.body = Body::Encoded { bytes, trailers: HeaderMap::new(), coding: "gzip", decoded };
        call
    };
    let input = input_json(&encoded(b"{\"amount\": 101}"), None, now());
    assert_eq!(input["request"]["body"]["amount"], 101);
    assert_eq!(input["request"]["body_bytes"], 15);
    let policy = loaded("allow contains {\"rule\": \"small\"} if input.request.body.amount < 100");
    assert_eq!(answer(&policy, &encoded(b"{\"amount\": 99}")), "allow small");
    assert_eq!(answer(&policy, &encoded(b"{\"amount\": 101}")), "no match");
    assert!(answer(&policy, &encoded(b"{\"amount\": 99")).starts_with("error: "));
}

#[test]
fn a_body_too_long_to_be_looked_at_is_an_error_to_rules_that_look() {
    let kept = call(|_, request| {
        let body = std::sync::Arc::new(crate::model::MemoryBody::new(Bytes::from_static(b"{\"a\": 1}")));
        request.body = Body::Kept { body, trailers: HeaderMap::new() };
    });
    assert_eq!(answer(&loaded("allow contains {\"rule\": \"x\"} if input.request.path"), &kept), "allow x");
    for look in ["input.request.body.a == 1", "not input.request.body.a", "input.request.body_bytes > 1", "input"] {
        let policy = loaded(&format!("allow contains {{\"rule\": \"x\"}} if {look}"));
        assert!(answer(&policy, &kept).starts_with("error: the policy looks at"), "{look}");
    }
}

#[test]
fn numbers_that_look_alike_to_others_do_not_look_alike_to_a_policy() {
    let policy = loaded("allow contains {\"rule\": \"exact\"} if input.request.body == 9007199254740993");
    assert_eq!(answer(&policy, &posted(JSON, b"9007199254740993")), "allow exact");
    assert_eq!(answer(&policy, &posted(JSON, b"9007199254740992")), "no match");
    let policy = loaded("allow contains {\"rule\": \"exact\"} if input.request.body == 18446744073709551617");
    assert_eq!(answer(&policy, &posted(JSON, b"18446744073709551617")), "allow exact");
    assert_eq!(answer(&policy, &posted(JSON, b"18446744073709551616")), "no match");
}

#[test]
fn the_rest_of_the_request_is_told_as_it_will_be_sent() {
    let call = call(|call, request| {
        request.authority = "api.example.com:8443".to_owned();
        request.path = "/customers/a%20b".to_owned();
        request.query = Some("limit=5&tag=a&tag=b+c".to_owned());
        request.headers.append("x-y", HeaderValue::from_static("1"));
        request.headers.append("x-y", HeaderValue::from_bytes(b"caf\xe9").unwrap());
        call.reason = Some("to test".to_owned());
        call.context = Some("T-1".to_owned());
    });
    insta::assert_json_snapshot!(input_json(&call, Some(&serde_json::json!({"id": "apr_1"})), now()), @r#"
    {
      "actions": [
        {
          "access": "read",
          "irreversible": false,
          "kind": "read",
          "name": "openapi:listCustomers",
          "resource": "/customers"
        }
      ],
      "approval": {
        "id": "apr_1"
      },
      "context": {
        "reason": "to test",
        "source_ip": "192.0.2.7",
        "ticket": "T-1",
        "time": "2026-11-24T11:00:00.000000Z",
        "weekday": "tuesday"
      },
      "principal": {
        "authn": {
          "key_id": "k1",
          "method": "api-key"
        },
        "chain": [],
        "claims": {
          "team": {
            "name": "core",
            "size": 4
          }
        },
        "groups": [
          "agents"
        ],
        "id": "deploy-bot",
        "kind": "agent",
        "owners": [
          "ana@example.com"
        ]
      },
      "request": {
        "authority": "api.example.com:8443",
        "body_bytes": 0,
        "headers": {
          "x-y": [
            "1",
            "café"
          ]
        },
        "host": "api.example.com",
        "method": "GET",
        "path": "/customers/a%20b",
        "path_segments": [
          "customers",
          "a b"
        ],
        "query": {
          "limit": [
            "5"
          ],
          "tag": [
            "a",
            "b c"
          ]
        },
        "query_raw": "limit=5&tag=a&tag=b+c",
        "scheme": "https",
        "websocket": false
      },
      "upstream": {
        "environment": "production",
        "labels": {
          "data": "customer"
        },
        "name": "cloud"
      },
      "version": 1
    }
    "#);
}

#[test]
fn what_cannot_be_decoded_is_absent_and_its_raw_form_is_there() {
    let call = call(|_, request| {
        request.path = "/a/%ff".to_owned();
        request.query = Some("a=%".to_owned());
    });
    let input = input_json(&call, None, now());
    let request = input["request"].as_object().unwrap();
    assert_eq!((request.get("path_segments"), request.get("query")), (None, None));
    assert_eq!((&request["path"], &request["query_raw"]), (&"/a/%ff".into(), &"a=%".into()));
}

#[test]
fn weekdays_are_those_of_the_calendar() {
    for (time, day) in [
        ("2026-11-24T00:00:00Z", "tuesday"),
        ("2026-11-23T23:59:59.999999Z", "monday"),
        ("1970-01-01T00:00:00Z", "thursday"),
        ("1969-12-31T23:59:59Z", "wednesday"),
        ("2000-02-29T12:00:00Z", "tuesday"),
    ] {
        let time: Timestamp = serde_json::from_value(time.into()).unwrap();
        assert_eq!(input_json(&any_call(), None, time)["context"]["weekday"], day, "{time}");
    }
}

#[test]
fn the_schema_describes_the_input() {
    let schema = input_schema();
    let call = call(|call, request| {
        request.query = Some("a=1".to_owned());
        request.body = Body::Read { bytes: Bytes::from_static(b"x"), trailers: HeaderMap::new() };
        call.reason = Some("r".to_owned());
        call.context = Some("t".to_owned());
        call.actions = Actions::one(Action { summary: Some("s".to_owned()), ..call.actions.first().clone() });
    });
    let (approval, history) = (serde_json::json!({"any": {"thing": 1}}), History { same_fingerprint_30d: 2 });
    let input = input::build(&call, Some(&approval), Some(history), now()).value;
    let input = serde_json::to_value(input).unwrap();
    agree(&schema, &input, "input");
    // Every property of the schema is one that an input can have.
    let mut sent = names(&input["request"]);
    sent.extend(names(&input_json(&posted(JSON, b"1"), None, now())["request"]));
    assert_eq!(sent, described(&schema, "request"));
    for part in ["principal", "upstream", "context"] {
        assert_eq!(names(&input[part]), described(&schema, part), "{part}");
    }
}

fn names(value: &serde_json::Value) -> BTreeSet<String> {
    value.as_object().into_iter().flatten().map(|(name, _)| name.clone()).collect()
}

fn described(schema: &serde_json::Value, part: &str) -> BTreeSet<String> {
    schema::names(schema, &[part]).into_iter().map(str::to_owned).collect()
}

/// As much of JSON Schema as ours uses.
fn agree(schema: &serde_json::Value, value: &serde_json::Value, place: &str) {
    let is = match schema.get("type").and_then(|name| name.as_str()) {
        Some("object") => value.is_object(),
        Some("array") => value.is_array(),
        Some("string") => value.is_string(),
        Some("boolean") => value.is_boolean(),
        Some("integer") => value.is_u64(),
        Some(other) => panic!("{place}: type {other}"),
        None => true,
    };
    assert!(is, "{place}: {value} is not {schema}");
    if let Some(values) = schema.get("enum") {
        assert!(values.as_array().unwrap().contains(value), "{place}: {value}");
    }
    for name in schema.get("required").and_then(|names| names.as_array()).into_iter().flatten() {
        assert!(value.get(name.as_str().unwrap()).is_some(), "{place}: no {name}");
    }
    for (name, inner) in value.as_object().into_iter().flatten() {
        let place = format!("{place}.{name}");
        match (schema["properties"].get(name), schema.get("additionalProperties")) {
            (Some(property), _) => agree(property, inner, &place),
            (None, Some(serde_json::Value::Bool(false))) => panic!("{place} is not in the schema"),
            (None, Some(others)) if others.is_object() => agree(others, inner, &place),
            (None, _) => {}
        }
    }
    for inner in value.as_array().into_iter().flatten() {
        agree(&schema["items"], inner, place);
    }
}
