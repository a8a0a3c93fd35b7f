//! Tests of refusals, as problem documents and in the words of SDKs.

use std::time::Duration;

use bytes::Bytes;
use http::Response;
use insta::assert_snapshot;

use super::*;
use crate::model::ApprovalId;
use crate::model::CallId;
use crate::model::IdSource;
use crate::model::Refusal;
use crate::model::RefusalCode;
use crate::model::Timestamp;

fn refuse(form: Form, refusal: &Refusal, call: Option<CallId>) -> Response<Bytes> {
    super::refuse(&Profile { form, ..*Profile::UNKNOWN }, refusal, call)
}

fn shown(refusal: &Refusal, call: Option<CallId>) -> String {
    let response = refuse(Form::Problem, refusal, call);
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
    for (form, code) in every_form_and_code() {
        let response = refuse(form, &Refusal::new(code, "x").retry_after(Duration::from_secs(1)), None);
        let refused_for_good = response.status() == 403;
        assert_eq!(response.headers().contains_key("retry-after"), !refused_for_good, "{form:?} {code:?}");
        assert!(!refused_for_good || response.headers()["x-should-retry"] == "false", "{form:?} {code:?}");
        assert_eq!(response.headers().contains_key("www-authenticate"), response.status() == 401, "{form:?} {code:?}");
        if form == Form::Stripe && !response.status().is_success() {
            let told = response.headers().get("stripe-should-retry");
            assert_eq!(told, response.headers().get("x-should-retry"), "{code:?}");
        }
    }
}

#[test]
fn what_is_pending_makes_only_those_come_again_who_wait_as_they_are_told() {
    let pending = Refusal::new(RefusalCode::ApprovalPending, "nobody has decided yet.");
    let told = pending.clone().retry_after(Duration::from_secs(1));
    for profile in Profile::all().chain([Profile::UNKNOWN]) {
        let name = profile.name;
        let response = super::refuse(profile, &told, None);
        let status = if profile.waits_as_told && profile.form != Form::Anthropic { 429 } else { 403 };
        assert_eq!(response.status(), status, "{name}");
        assert_eq!(
            response.headers()["x-should-retry"],
            if profile.waits_as_told { "true" } else { "false" },
            "{name}"
        );
        assert_eq!(response.headers().get("retry-after").is_some(), profile.waits_as_told, "{name}");
        assert_eq!(response.headers()["approval-status"], "pending", "{name}");
        // An attempt that another one has taken the place of.
        let response = super::refuse(profile, &pending, None);
        assert_eq!(response.status(), 403, "{name}");
        assert_eq!(response.headers()["x-should-retry"], "false", "{name}");
        // And whoever was denied.
        let denied = Refusal::new(RefusalCode::ApprovalDenied, "no").retry_after(Duration::from_secs(1));
        let response = super::refuse(profile, &denied, None);
        assert_eq!((response.status().as_u16(), response.headers().get("retry-after")), (403, None), "{name}");
    }
}

fn every_form_and_code() -> impl Iterator<Item = (Form, RefusalCode)> {
    Form::ALL.iter().flat_map(|&form| RefusalCode::ALL.iter().map(move |&code| (form, code)))
}

#[test]
fn every_form_tells_status_code_approval_and_the_reviewers_words() {
    let approval: ApprovalId = "apr_00000000000070008000000000000001".parse().unwrap();
    for (form, code) in every_form_and_code() {
        let response = refuse(form, &Refusal::new(code, "ana: \"not\u{a0}today\"\n<b>").about(approval), None);
        assert_eq!(response.status(), code.status());
        let body: serde_json::Value = serde_json::from_slice(response.body()).unwrap();
        let text = body.to_string();
        assert!(text.contains(code.as_str()) && text.contains(&approval.to_string()), "{form:?}: {text}");
        assert!(text.contains("ana: \\\"not\u{a0}today\\\"\\n<b>"), "{form:?}: {text}");
    }
}

/// A denial, and a passing trouble.
fn shown_in(form: Form) -> String {
    let (source, now) = (IdSource::new([0; 10]), Timestamp::from_unix_micros(0));
    let call = CallId::new(&source, now);
    let approval: ApprovalId = "apr_00000000000070008000000000000001".parse().unwrap();
    let denied = Refusal::new(RefusalCode::ApprovalDenied, "a reviewer denied this call: too broad.").about(approval);
    let busy = Refusal::new(RefusalCode::TooManyPending, "wait.").retry_after(Duration::from_secs(60));
    let shown = |refusal: &Refusal| {
        let response = refuse(form, refusal, Some(call));
        let fields = listed(response.headers());
        let fields = fields.into_iter().filter(|field| !field.starts_with("x-content") && !field.starts_with("cache"));
        let body: serde_json::Value = serde_json::from_slice(response.body()).unwrap();
        let body = serde_json::to_string_pretty(&body).unwrap();
        format!("{}\n{}\n{body}", response.status(), fields.collect::<Vec<_>>().join("\n"))
    };
    format!("{}\n\n{}", shown(&denied), shown(&busy))
}

#[test]
fn the_openai_sdks_read_this() {
    assert_snapshot!(shown_in(Form::OpenAi), @r#"
    403 Forbidden
    approval-id: apr_00000000000070008000000000000001
    approval-status: denied
    content-type: application/json
    x-should-retry: false
    {
      "error": {
        "approval_id": "apr_00000000000070008000000000000001",
        "call_id": "call_00000000000070008000000000000000",
        "code": "approval-denied",
        "message": "a reviewer denied this call: too broad. (approval-denied, apr_00000000000070008000000000000001)",
        "param": null,
        "type": "permission_error"
      }
    }

    429 Too Many Requests
    content-type: application/json
    retry-after: 60
    {
      "error": {
        "call_id": "call_00000000000070008000000000000000",
        "code": "too-many-pending",
        "message": "wait. (too-many-pending)",
        "param": null,
        "type": "rate_limit_error"
      }
    }
    "#);
}

#[test]
fn the_anthropic_sdks_read_this() {
    assert_snapshot!(shown_in(Form::Anthropic), @r#"
    403 Forbidden
    approval-id: apr_00000000000070008000000000000001
    approval-status: denied
    content-type: application/json
    x-should-retry: false
    {
      "error": {
        "approval_id": "apr_00000000000070008000000000000001",
        "call_id": "call_00000000000070008000000000000000",
        "code": "approval-denied",
        "message": "a reviewer denied this call: too broad. (approval-denied, apr_00000000000070008000000000000001)",
        "type": "permission_error"
      },
      "request_id": "call_00000000000070008000000000000000",
      "type": "error"
    }

    429 Too Many Requests
    content-type: application/json
    retry-after: 60
    {
      "error": {
        "call_id": "call_00000000000070008000000000000000",
        "code": "too-many-pending",
        "message": "wait. (too-many-pending)",
        "type": "rate_limit_error"
      },
      "request_id": "call_00000000000070008000000000000000",
      "type": "error"
    }
    "#);
}

#[test]
fn the_stripe_sdks_read_this() {
    assert_snapshot!(shown_in(Form::Stripe), @r#"
    403 Forbidden
    approval-id: apr_00000000000070008000000000000001
    approval-status: denied
    content-type: application/json
    stripe-should-retry: false
    x-should-retry: false
    {
      "error": {
        "approval_id": "apr_00000000000070008000000000000001",
        "call_id": "call_00000000000070008000000000000000",
        "code": "approval-denied",
        "doc_url": "https://holdpoint.dev/problems/approval-denied",
        "message": "a reviewer denied this call: too broad. (approval-denied, apr_00000000000070008000000000000001)",
        "type": "invalid_request_error"
      }
    }

    429 Too Many Requests
    content-type: application/json
    retry-after: 60
    {
      "error": {
        "call_id": "call_00000000000070008000000000000000",
        "code": "too-many-pending",
        "doc_url": "https://holdpoint.dev/problems/too-many-pending",
        "message": "wait. (too-many-pending)",
        "type": "invalid_request_error"
      }
    }
    "#);
}

#[test]
fn kubectl_reads_this() {
    assert_snapshot!(shown_in(Form::Kubernetes), @r#"
    403 Forbidden
    approval-id: apr_00000000000070008000000000000001
    approval-status: denied
    content-type: application/json
    x-should-retry: false
    {
      "apiVersion": "v1",
      "code": 403,
      "details": {
        "causes": [
          {
            "message": "a reviewer denied this call: too broad.",
            "reason": "approval-denied"
          },
          {
            "message": "apr_00000000000070008000000000000001",
            "reason": "approval-id"
          }
        ]
      },
      "kind": "Status",
      "message": "a reviewer denied this call: too broad. (approval-denied, apr_00000000000070008000000000000001)",
      "metadata": {},
      "reason": "Forbidden",
      "status": "Failure"
    }

    429 Too Many Requests
    content-type: application/json
    retry-after: 60
    {
      "apiVersion": "v1",
      "code": 429,
      "details": {
        "causes": [
          {
            "message": "wait.",
            "reason": "too-many-pending"
          }
        ],
        "retryAfterSeconds": 60
      },
      "kind": "Status",
      "message": "wait. (too-many-pending)",
      "metadata": {},
      "reason": "TooManyRequests",
      "status": "Failure"
    }
    "#);
}

#[test]
fn the_github_sdks_read_this() {
    assert_snapshot!(shown_in(Form::GitHub), @r#"
    403 Forbidden
    approval-id: apr_00000000000070008000000000000001
    approval-status: denied
    content-type: application/json
    x-should-retry: false
    {
      "approval_id": "apr_00000000000070008000000000000001",
      "call_id": "call_00000000000070008000000000000000",
      "code": "approval-denied",
      "documentation_url": "https://holdpoint.dev/problems/approval-denied",
      "message": "a reviewer denied this call: too broad. (approval-denied, apr_00000000000070008000000000000001)",
      "status": "403"
    }

    429 Too Many Requests
    content-type: application/json
    retry-after: 60
    {
      "call_id": "call_00000000000070008000000000000000",
      "code": "too-many-pending",
      "documentation_url": "https://holdpoint.dev/problems/too-many-pending",
      "message": "wait. (too-many-pending)",
      "status": "429"
    }
    "#);
}

#[test]
fn the_google_sdks_read_this() {
    assert_snapshot!(shown_in(Form::Google), @r#"
    403 Forbidden
    approval-id: apr_00000000000070008000000000000001
    approval-status: denied
    content-type: application/json
    x-should-retry: false
    {
      "error": {
        "code": 403,
        "details": [
          {
            "@type": "type.googleapis.com/google.rpc.ErrorInfo",
            "domain": "holdpoint.dev",
            "metadata": {
              "approval_id": "apr_00000000000070008000000000000001",
              "call_id": "call_00000000000070008000000000000000"
            },
            "reason": "APPROVAL_DENIED"
          }
        ],
        "errors": [
          {
            "domain": "holdpoint.dev",
            "message": "a reviewer denied this call: too broad. (approval-denied, apr_00000000000070008000000000000001)",
            "reason": "forbidden"
          }
        ],
        "message": "a reviewer denied this call: too broad. (approval-denied, apr_00000000000070008000000000000001)",
        "status": "PERMISSION_DENIED"
      }
    }

    429 Too Many Requests
    content-type: application/json
    retry-after: 60
    {
      "error": {
        "code": 429,
        "details": [
          {
            "@type": "type.googleapis.com/google.rpc.ErrorInfo",
            "domain": "holdpoint.dev",
            "metadata": {
              "call_id": "call_00000000000070008000000000000000"
            },
            "reason": "TOO_MANY_PENDING"
          }
        ],
        "errors": [
          {
            "domain": "holdpoint.dev",
            "message": "wait. (too-many-pending)",
            "reason": "rateLimitExceeded"
          }
        ],
        "message": "wait. (too-many-pending)",
        "status": "RESOURCE_EXHAUSTED"
      }
    }
    "#);
}

#[test]
fn the_elasticsearch_clients_read_this() {
    assert_snapshot!(shown_in(Form::Elasticsearch), @r#"
    403 Forbidden
    approval-id: apr_00000000000070008000000000000001
    approval-status: denied
    content-type: application/json
    x-elastic-product: Elasticsearch
    x-should-retry: false
    {
      "error": {
        "approval_id": "apr_00000000000070008000000000000001",
        "call_id": "call_00000000000070008000000000000000",
        "reason": "a reviewer denied this call: too broad. (approval-denied, apr_00000000000070008000000000000001)",
        "root_cause": [
          {
            "reason": "a reviewer denied this call: too broad. (approval-denied, apr_00000000000070008000000000000001)",
            "type": "security_exception"
          }
        ],
        "type": "security_exception"
      },
      "status": 403
    }

    429 Too Many Requests
    content-type: application/json
    retry-after: 60
    x-elastic-product: Elasticsearch
    {
      "error": {
        "call_id": "call_00000000000070008000000000000000",
        "reason": "wait. (too-many-pending)",
        "root_cause": [
          {
            "reason": "wait. (too-many-pending)",
            "type": "security_exception"
          }
        ],
        "type": "security_exception"
      },
      "status": 429
    }
    "#);
}

#[test]
fn whoever_asked_not_to_wait_is_told_in_our_own_words() {
    let accepted = Refusal::new(RefusalCode::ApprovalAccepted, "asked");
    for &form in Form::ALL {
        assert_eq!(refuse(form, &accepted, None).headers()["content-type"], "application/problem+json");
    }
}

#[test]
fn an_event_stream_ends_with_one_event_for_all_sdks() {
    let approval: ApprovalId = "apr_00000000000070008000000000000001".parse().unwrap();
    let event = Refusal::new(RefusalCode::ApprovalDenied, "not\ntoday").about(approval);
    let event = last_event(&event);
    assert_snapshot!(std::str::from_utf8(&event).unwrap(), @r#"
    event: error
    data: {"error":{"approval_id":"apr_00000000000070008000000000000001","code":"approval-denied","message":"not\ntoday (approval-denied, apr_00000000000070008000000000000001)","type":"permission_error"},"request_id":null,"type":"error"}
    "#);
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
