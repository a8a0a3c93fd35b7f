//! Each form of output, over fixed data with an agent's worst in it.

use serde_json::Value;
use serde_json::json;

use crate::cli::approvals::details;
use crate::cli::approvals::output;
use crate::cli::approvals::table;
use crate::cli::approvals::text;
use crate::model::Timestamp;
use crate::review::api::Detail;
use crate::review::api::Item;

fn now() -> Timestamp {
    Timestamp::from_unix_micros(1_795_238_399_000_000)
}

fn item(id: &str, state: &str, reason: Option<&str>) -> Value {
    json!({
        "id": id,
        "state": state,
        "version": 1,
        "created_at": "2026-11-21T05:16:59.000000Z",
        "expires_at": "2026-11-21T05:31:59.000000Z",
        "principal": { "id": "deploy-bot", "owners": ["ana@example.com"] },
        "upstream": { "name": "payments", "environment": "production" },
        "call": { "method": "POST", "authority": "payments.internal", "target": "/customers/export?all=1" },
        "actions": [{
            "name": "openapi:exportCustomers", "kind": "data-export", "access": "read",
            "resource": "/customers/export", "irreversible": false, "summary": "Exports every customer"
        }],
        "digest": "sha256:3f9a77c188e58eb7207b98704ec1dedad76752c11764cd400fb172f818205f29",
        "rules": ["exports-need-an-owner"],
        "reasons": ["customer data leaves"],
        "risk": "high",
        "irreversible": false,
        "agent_reason": reason,
        "quorum": { "needed": 2, "have": 1, "slots": [
            { "group": "data-owners", "person": "bo@example.com" }, { "group": "security", "person": null }
        ] },
        "can_decide": { "allowed": true, "why_not": null, "code": null },
        "caller": { "connected": true },
        "open_question": null,
        "links": {
            "self": "/v1/approvals/x", "decisions": "/v1/approvals/x/decisions", "cancel": "/v1/approvals/x/cancel",
            "messages": "/v1/approvals/x/messages", "events": "/v1/approvals/x/events"
        }
    })
}

fn items() -> Vec<Value> {
    let mut long = item("apr_0198c2f0aaaa7000800000000000abcd", "denied", None);
    long["call"]["target"] = json!(format!("/customers/{}", "x".repeat(80)));
    long["risk"] = Value::Null;
    let hostile = Some("ok\u{1b}[2K\r\u{202e}fine\u{200b}\nDigest: 00000000");
    vec![item("apr_0198c2f0bbbb7000800000000000abce", "pending", hostile), long]
}

fn detail() -> Value {
    let mut detail = items().remove(0);
    let more = json!({
        "request": {
            "method": "POST", "authority": "payments.internal", "target": "/customers/export?all=1",
            "headers": [{ "name": "content-type", "value": "application/json" }, { "name": "x-note", "value": "a\u{9b}31mb" }],
            "body_bytes": 62,
            "body_sha256": "sha256:1f1b72ac6f62cd6c078715c8d6539051b870d4fdfef1faeffafd55767ad4d83e",
            "body_text": "{\"format\":\"csv\",\"format\":\"all\",\"note\":\"\u{202e}x\",\"n\":1.10}",
            "body_base64": null
        },
        "body": {
            "bytes": 62,
            "sha256": "sha256:1f1b72ac6f62cd6c078715c8d6539051b870d4fdfef1faeffafd55767ad4d83e",
            "coding": null,
            "readable_bytes": 62,
            "readable_sha256": "sha256:1f1b72ac6f62cd6c078715c8d6539051b870d4fdfef1faeffafd55767ad4d83e",
            "inline": true,
            "complete": true,
            "link": "/v1/approvals/apr_0198c2f0a1b27c3d8e4f5a6b7c8d9e0f/body"
        },
        "messages": [
            { "by": "bo@example.com", "kind": "question", "text": "what for?", "at": "2026-11-21T05:17:59.000000Z" },
            { "by": "deploy-bot", "kind": "answer", "text": "the report\nApproval   apr_other", "at": "2026-11-21T05:18:09.000000Z" }
        ],
        "reviews": [{
            "person": "bo@example.com", "verdict": "approve", "groups": ["data-owners"], "channel": "api",
            "assurance": "session", "reason": "fine", "at": "2026-11-21T05:18:59.000000Z"
        }],
        "outcome": null,
        "closure": ["ana@example.com", "deploy-bot"],
        "agent_context": null,
        "min_assurance": "session",
        "require_reason": false,
        "policy": "sha256:823412d1eacb67956220e532959f0104603057c88704863ca38e7cd188fda812",
        "decision_id": "dec_0198c2f0bbbb7000800000000000abce"
    });
    detail.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    detail
}

fn parsed() -> Vec<Item> {
    items().iter().map(|item| serde_json::from_value(item.clone()).unwrap()).collect()
}

#[test]
fn table_for_people() {
    insta::assert_snapshot!(table::table(&parsed(), now(), false));
    assert_eq!(table::table(&[], now(), false), "");
}

#[test]
fn table_for_people_with_wide_terminals() {
    insta::assert_snapshot!(table::table(&parsed(), now(), true));
}

#[test]
fn json() {
    insta::assert_snapshot!(output::json(&json!({ "items": items() })));
}

#[test]
fn json_lines() {
    let lines: String = items().iter().map(output::json_line).collect();
    assert_eq!(lines.lines().count(), 2);
    let back: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(back, items());
}

#[test]
fn yaml() {
    let yaml = output::yaml(&json!({ "items": items() })).unwrap();
    insta::assert_snapshot!(yaml);
    assert_eq!(serde_saphyr::from_str::<Value>(&yaml).unwrap(), json!({ "items": items() }));
}

#[test]
fn names() {
    let names: String = parsed().iter().map(|item| output::name(&item.id)).collect();
    insta::assert_snapshot!(names);
}

#[test]
fn one_approval_for_people() {
    let detail: Detail = serde_json::from_value(detail()).unwrap();
    insta::assert_snapshot!(details::details(&detail, now()));
}

#[test]
fn every_ending_for_people() {
    let endings = [
        ("approved", json!({ "at": "2026-11-21T05:18:59Z", "claim_until": "2026-11-21T05:28:59Z" })),
        ("denied", json!({ "at": "2026-11-21T05:18:59Z", "by": "bo@example.com", "reason": "too\u{1b}[1m broad" })),
        ("completed", json!({ "at": "2026-11-21T05:18:59Z", "upstream_status": 200 })),
        ("expired", json!({ "at": "2026-11-21T05:18:59Z" })),
    ];
    let mut shown = String::new();
    for (state, outcome) in endings {
        let mut value = detail();
        value["state"] = json!(state);
        value["outcome"] = outcome;
        value["caller"]["connected"] = json!(false);
        let detail: Detail = serde_json::from_value(value).unwrap();
        let page = details::details(&detail, now());
        shown.extend(page.lines().skip(1).take(2).flat_map(|line| [line.to_owned(), "\n".to_owned()]));
    }
    insta::assert_snapshot!(shown);
}

#[test]
fn no_form_lets_through_what_cannot_be_seen() {
    let all = json!({ "items": items(), "detail": detail() });
    let parsed_detail: Detail = serde_json::from_value(detail()).unwrap();
    let forms = [
        table::table(&parsed(), now(), false),
        table::table(&parsed(), now(), true),
        output::json(&all),
        output::json_line(&all),
        output::yaml(&all).unwrap(),
        details::details(&parsed_detail, now()),
    ];
    for form in forms {
        let hidden = form.chars().find(|char| *char != '\n' && text::is_hidden(*char));
        assert_eq!(hidden, None, "{form}");
    }
}
