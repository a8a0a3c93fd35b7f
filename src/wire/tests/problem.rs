//! Tests of problem documents.

use std::time::Duration;

use insta::assert_snapshot;

use super::*;
use crate::model::ApprovalId;
use crate::model::CallId;
use crate::model::IdSource;
use crate::model::Refusal;
use crate::model::RefusalCode;
use crate::model::Timestamp;

fn shown(refusal: &Refusal, call: Option<CallId>) -> String {
    let response = problem(refusal, call);
    let fields = listed(response.headers()).join("\n");
    format!("{}\n{fields}\n\n{}", response.status(), std::str::from_utf8(response.body()).unwrap())
}

#[test]
fn a_denial_says_who_what_and_never_again() {
    let (source, now) = (IdSource::new([0; 10]), Timestamp::from_unix_micros(0));
    let call = CallId::new(&source, now);
    let approval: ApprovalId = "apr_00000000000070008000000000000001".parse().unwrap();
    let refusal = Refusal::new(RefusalCode::ApprovalDenied, "ana: \"not today\"")
        .about(approval)
        .decided("dec_00000000000070008000000000000002".parse().unwrap())
        .retry_after(Duration::from_secs(5));
    assert_snapshot!(shown(&refusal, Some(call)), @r#"
    403 Forbidden
    approval-id: apr_00000000000070008000000000000001
    approval-status: denied
    cache-control: no-store
    content-type: application/problem+json
    x-content-type-options: nosniff
    x-should-retry: false

    {"type":"https://holdpoint.dev/problems/approval-denied","title":"A reviewer denied this call","status":403,"detail":"ana: \"not today\"","code":"approval-denied","approval_id":"apr_00000000000070008000000000000001","decision_id":"dec_00000000000070008000000000000002","call_id":"call_00000000000070008000000000000000","retryable":false}
    "#);
}

#[test]
fn a_passing_trouble_says_when_to_come_back() {
    let refusal = Refusal::new(RefusalCode::Draining, "come back").retry_after(Duration::from_millis(1_001));
    assert_snapshot!(shown(&refusal, None), @r#"
    503 Service Unavailable
    cache-control: no-store
    content-type: application/problem+json
    retry-after: 2
    x-content-type-options: nosniff

    {"type":"https://holdpoint.dev/problems/draining","title":"This server is about to stop","status":503,"detail":"come back","code":"draining","retryable":true}
    "#);
}

#[test]
fn no_403_makes_an_sdk_try_again() {
    for &code in RefusalCode::ALL {
        let response = problem(&Refusal::new(code, "x").retry_after(Duration::from_secs(1)), None);
        let refused_for_good = response.status() == 403;
        assert_eq!(response.headers().contains_key("retry-after"), !refused_for_good, "{code:?}");
        assert!(!refused_for_good || response.headers()["x-should-retry"] == "false", "{code:?}");
        assert_eq!(response.headers().contains_key("www-authenticate"), response.status() == 401, "{code:?}");
    }
}

#[test]
fn refusals_are_counted_by_reason() {
    let registry = prometheus::Registry::new();
    let metrics = WireMetrics::new(&registry).unwrap();
    metrics.refused(&read("GET /.. | host: a.example").unwrap_err());
    let text = prometheus::TextEncoder::new().encode_to_string(&registry.gather()).unwrap();
    assert!(text.contains("holdpoint_wire_refused_total{reason=\"path\"} 1"), "{text}");
    assert!(text.contains("holdpoint_wire_refused_total{reason=\"host\"} 0"), "{text}");
}
