//! Approvals for people to read: a table, or everything about one.

use comfy_table::ContentArrangement;
use comfy_table::Table;
use comfy_table::presets::NOTHING;
use serde_json::Value;

use crate::model::Timestamp;

use super::text::clipped;
use super::text::visible;
use super::text::visible_lines;

/// A table of `items`, as `kubectl get` would print it.
pub(super) fn table(items: &[Value], now: Timestamp, wide: bool) -> String {
    let mut table = Table::new();
    table.load_style(NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    let mut head = vec!["ID", "STATE", "DIGEST", "AGENT", "ACTION", "TARGET", "RISK", "QUORUM", "AGE", "EXPIRES"];
    if wide {
        head.extend(["UPSTREAM", "RULES", "CALLER", "AGENT SAYS (UNVERIFIED)"]);
    }
    table.set_header(head);
    for item in items {
        let action = item.pointer("/actions/0/name").and_then(Value::as_str).unwrap_or_default();
        let pending = text(item, "state") == "pending";
        let mut row = vec![
            text(item, "id"),
            text(item, "state"),
            short_digest(item),
            visible(item.pointer("/principal/id").and_then(Value::as_str).unwrap_or_default()),
            visible(action),
            clipped(&visible(&format!("{} {}", text(item, "method"), text(item, "target"))), 60),
            text(item, "risk"),
            quorum(item),
            ago(item, "created_at", now),
            if pending { until(item, "expires_at", now) } else { "-".to_owned() },
        ];
        if wide {
            row.push(visible(item.pointer("/upstream/name").and_then(Value::as_str).unwrap_or_default()));
            row.push(list(item, "rules").join(","));
            row.push(if item["caller_connected"] == true { "waiting" } else { "gone" }.to_owned());
            row.push(clipped(&visible(&text(item, "agent_reason")), 60));
        }
        table.add_row(row);
    }
    // The last column is padded too; nobody wants the spaces.
    let lines: Vec<String> = table.lines().map(|line| line.trim_end().to_owned()).collect();
    lines.join("\n")
}

/// Everything that a reviewer needs to decide, the call itself whole.
pub(super) fn detail(item: &Value, now: Timestamp) -> String {
    let mut out = Vec::new();
    let mut line = |name: &str, value: String| {
        if !value.is_empty() {
            out.push(format!("{name:<12}{value}"));
        }
    };
    let actions = item["actions"].as_array().cloned().unwrap_or_default();
    for action in &actions {
        let summary = action["summary"].as_str().unwrap_or_default();
        let name = action["name"].as_str().unwrap_or_default();
        let kind = action["kind"].as_str().unwrap_or_default();
        line(
            "effect",
            visible(&if summary.is_empty() {
                format!("{name} ({kind})")
            } else {
                format!("{summary} ({name}, {kind})")
            }),
        );
    }
    line("id", text(item, "id"));
    line("state", state(item));
    line("digest", text(item, "digest"));
    let owners = item.pointer("/principal/owners").map(strings).unwrap_or_default().join(", ");
    let agent = item.pointer("/principal/id").and_then(Value::as_str).unwrap_or_default();
    line("agent", visible(&format!("{agent} (owned by {owners})")));
    let upstream = item.pointer("/upstream/name").and_then(Value::as_str).unwrap_or_default();
    let environment = item.pointer("/upstream/environment").and_then(Value::as_str).unwrap_or_default();
    line("upstream", visible(&format!("{upstream} {environment}")).trim_end().to_owned());
    line("rules", list(item, "rules").join(", "));
    line("because", list(item, "reasons").join("; "));
    line("risk", text(item, "risk"));
    if item["irreversible"] == true {
        line("warning", "the policy calls this irreversible".to_owned());
    }
    line("agent says", quoted(&text(item, "agent_reason")));
    line("context", quoted(&text(item, "agent_context")));
    line("quorum", slots(item));
    line("created", ago(item, "created_at", now) + " ago");
    if text(item, "state") == "pending" {
        line("expires", format!("in {}", until(item, "expires_at", now)));
    }
    let waits = if item["caller_connected"] == true {
        "waits on its connection"
    } else {
        "is gone; an approved call runs when it comes again"
    };
    line("caller", waits.to_owned());
    if let Some(why_not) = item.pointer("/can_decide/why_not").and_then(Value::as_str) {
        line("you", visible(why_not));
    }
    for review in item["reviews"].as_array().into_iter().flatten() {
        let reason = review["reason"].as_str().map(|reason| format!(": {}", visible(reason))).unwrap_or_default();
        line("review", format!("{} by {}{reason}", text(review, "verdict"), text(review, "person")));
    }
    for message in item["messages"].as_array().into_iter().flatten() {
        let who = visible(&text(message, "by"));
        line(&text(message, "kind"), format!("{who}: {}", quoted(&text(message, "text"))));
    }
    out.push(String::new());
    out.push(call(&item["request"]));
    out.join("\n")
}

/// The call as it will be sent, credential aside.
fn call(request: &Value) -> String {
    let mut out = vec![format!(
        "  {} {} (host {})",
        visible(&text(request, "method")),
        visible(&text(request, "target")),
        visible(&text(request, "authority"))
    )];
    for field in request["headers"].as_array().into_iter().flatten() {
        out.push(format!("  {}: {}", visible(&text(field, "name")), visible(&text(field, "value"))));
    }
    let body = match (request["body_text"].as_str(), request["body_base64"].as_str()) {
        (Some(body), _) => pretty(body),
        (None, Some(base64)) => format!("(binary, base64) {base64}"),
        (None, None) => String::new(),
    };
    if !body.is_empty() {
        out.push(String::new());
        out.extend(visible_lines(&body).lines().map(|line| format!("  {line}")));
        out.push(String::new());
        out.push(format!("  {} bytes, {}", request["body_bytes"], text(request, "body_sha256")));
    }
    out.join("\n")
}

/// Indented where it is JSON and nothing is lost by that.
fn pretty(body: &str) -> String {
    let parsed: Option<Value> = serde_json::from_str(body).ok();
    // A reader that keeps the last of two equal keys would show something else than what is sent.
    let faithful = parsed.filter(|value| without_spaces(&value.to_string()).len() == without_spaces(body).len());
    match faithful {
        Some(value) => serde_json::to_string_pretty(&value).unwrap_or_else(|_| body.to_owned()),
        None => body.to_owned(),
    }
}

fn without_spaces(text: &str) -> String {
    text.chars().filter(|character| !character.is_ascii_whitespace()).collect()
}

fn state(item: &Value) -> String {
    let mut state = text(item, "state");
    if let Some(status) = item["upstream_status"].as_u64() {
        state.push_str(&format!(" (the upstream answered {status})"));
    }
    let reason = text(item, "outcome_reason");
    if !reason.is_empty() {
        state.push_str(&format!(": {}", visible(&reason)));
    }
    state
}

fn slots(item: &Value) -> String {
    let slots = item.pointer("/quorum/slots").and_then(Value::as_array).cloned().unwrap_or_default();
    let shown = slots.iter().map(|slot| match slot["person"].as_str() {
        Some(person) => format!("{}: {}", text(slot, "group"), visible(person)),
        None => format!("{}: open", text(slot, "group")),
    });
    shown.collect::<Vec<_>>().join(", ")
}

fn quorum(item: &Value) -> String {
    let number = |name: &str| item.pointer(&format!("/quorum/{name}")).and_then(Value::as_u64).unwrap_or_default();
    format!("{}/{}", number("have"), number("needed"))
}

pub(super) fn short_digest(item: &Value) -> String {
    let digest = text(item, "digest");
    digest.trim_start_matches("sha256:").chars().take(8).collect()
}

pub(super) fn text(item: &Value, name: &str) -> String {
    item[name].as_str().unwrap_or_default().to_owned()
}

fn list(item: &Value, name: &str) -> Vec<String> {
    strings(&item[name]).iter().map(|text| visible(text)).collect()
}

fn strings(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().filter_map(Value::as_str).map(ToOwned::to_owned).collect()
}

fn quoted(text: &str) -> String {
    if text.is_empty() { String::new() } else { format!("\"{}\" (unverified)", visible(text)) }
}

fn ago(item: &Value, name: &str, now: Timestamp) -> String {
    time(item, name).map_or("-".to_owned(), |then| span(now.since(then)))
}

fn until(item: &Value, name: &str, now: Timestamp) -> String {
    time(item, name).map_or("-".to_owned(), |then| span(then.since(now)))
}

fn time(item: &Value, name: &str) -> Option<Timestamp> {
    serde_json::from_value(item[name].clone()).ok()
}

/// The largest unit that fits, as kubectl has it.
fn span(span: std::time::Duration) -> String {
    match span.as_secs() {
        seconds @ 0..=119 => format!("{seconds}s"),
        seconds @ 120..=7_199 => format!("{}m", seconds / 60),
        seconds @ 7_200..=172_799 => format!("{}h", seconds / 3_600),
        seconds => format!("{}d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;
    use serde_json::json;

    use super::*;

    fn approval() -> Value {
        json!({
            "id": "apr_01a20d6de7d67a2da1e5ba8893cf67d4", "state": "pending",
            "digest": "sha256:371a92e155497ed754c155c4a2b26131a53ec890cf5235c5e29e8a95b042e588",
            "created_at": "2026-11-24T12:00:00.000000Z", "expires_at": "2026-11-24T12:30:00.000000Z",
            "principal": { "id": "deploy-bot", "owners": ["olga@example.com"] },
            "upstream": { "name": "example", "environment": "production" },
            "actions": [{ "name": "openapi:exportCustomers", "kind": "data-export", "summary": "Exports all customers" }],
            "method": "POST", "target": "/customers/export", "rules": ["customer-export"],
            "reasons": ["exports customer data"], "risk": "high", "irreversible": false,
            "agent_reason": "trust me\u{1b}[2J \u{202e}", "caller_connected": true,
            "quorum": { "needed": 2, "have": 1, "slots": [
                { "group": "data-owners", "person": "bo@example.com" }, { "group": "security", "person": null }] },
            "can_decide": { "allowed": true },
            "reviews": [{ "verdict": "approve", "person": "bo@example.com", "reason": "agreed" }],
            "messages": [],
            "request": {
                "method": "POST", "authority": "api.example.com", "target": "/customers/export",
                "headers": [{ "name": "content-type", "value": "application/json" }],
                "body_bytes": 13, "body_sha256": "sha256:00", "body_text": "{\"all\": true}",
            },
        })
    }

    fn now() -> Timestamp {
        serde_json::from_value(json!("2026-11-24T12:03:00.000000Z")).unwrap()
    }

    #[test]
    fn a_table_has_a_line_for_each() {
        assert_snapshot!(table(&[approval()], now(), false), @r##"
        ID                                    STATE    DIGEST    AGENT       ACTION                   TARGET                  RISK  QUORUM  AGE  EXPIRES
        apr_01a20d6de7d67a2da1e5ba8893cf67d4  pending  371a92e1  deploy-bot  openapi:exportCustomers  POST /customers/export  high  1/2     3m   27m
        "##);
    }

    #[test]
    fn a_reviewer_sees_the_whole_call_and_no_escape() {
        assert_snapshot!(detail(&approval(), now()), @r##"
        effect      Exports all customers (openapi:exportCustomers, data-export)
        id          apr_01a20d6de7d67a2da1e5ba8893cf67d4
        state       pending
        digest      sha256:371a92e155497ed754c155c4a2b26131a53ec890cf5235c5e29e8a95b042e588
        agent       deploy-bot (owned by olga@example.com)
        upstream    example production
        rules       customer-export
        because     exports customer data
        risk        high
        agent says  "trust me\u{1b}[2J \u{202e}" (unverified)
        quorum      data-owners: bo@example.com, security: open
        created     3m ago
        expires     in 27m
        caller      waits on its connection
        review      approve by bo@example.com: agreed

          POST /customers/export (host api.example.com)
          content-type: application/json

          {
            "all": true
          }

          13 bytes, sha256:00
        "##);
    }

    #[test]
    fn a_body_with_two_equal_keys_is_shown_as_it_is() {
        assert_eq!(pretty(r#"{"a":1,"a":2}"#), r#"{"a":1,"a":2}"#);
        assert_eq!(pretty(r#"{"a":1}"#), "{\n  \"a\": 1\n}");
    }
}
