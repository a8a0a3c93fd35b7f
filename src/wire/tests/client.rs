//! Fields as real SDKs send them. Those marked "seen" were caught on the wire or assembled by the
//! SDK's own code; the others follow its source or its documentation.

use std::fmt::Write;

use insta::assert_snapshot;

use super::*;

const INVOCATION: &str = "amz-sdk-invocation-id: 8c3a799a-5ea5-4398-be3e-e5c766adb3bc";
// Seen: botocore 1.43.11; 1.44.8 says `max` on the first attempt too.
const BOTO3: &str = "user-agent: Boto3/1.43.11 md/Botocore#1.43.11 ua/2.1 os/linux#6.1 md/arch#x86_64 lang/python#3.11.7 md/pyimpl#CPython m/N,E,b,e,Z cfg/retry-mode#standard Botocore/1.43.11";
// From the source: aws-cli 2.
const AWS_CLI: &str = "user-agent: aws-cli/2.31.4 md/awscrt#0.27.6 ua/2.1 os/linux#6.1 md/arch#x86_64 lang/python#3.13.7 md/pyimpl#CPython cfg/retry-mode#standard";
// Seen in recorded requests of these SDKs.
const AWS_JS: &str =
    "user-agent: aws-sdk-js/3.758.0 ua/2.1 os/darwin#24.5.0 lang/js md/nodejs#22.14.0 api/lambda#3.758.0 m/E,T,i,o";
const AWS_RUST: &str = "user-agent: aws-sdk-rust/1.3.14 os/linux lang/rust/1.94.1";
// From the sources: google-cloud-storage 3.17.1, @google-cloud/storage 7.22.0.
const GCS_PYTHON: &str = "user-agent: gcloud-python/3.17.1  gl-python/3.11.7 rest/2.34.2 gax/2.44.0 gccl/3.17.1 | x-goog-api-client: gcloud-python/3.17.1  gl-python/3.11.7 rest/2.34.2 gax/2.44.0 gccl/3.17.1 gccl-invocation-id/0f3c8a52-7d4e-4f53-9a0f-5f1d3a0c7c11";
const GCS_JS: &str = "user-agent: gcloud-node-storage/7.22.0 | x-goog-api-client: gl-node/20.20.2 gccl/7.22.0-CJS gccl-invocation-id/6d0ff6c0-93f4-4b50-a0ab-0f7f0a3a4b5e";
// From the sources: azure-core 1.41.0, azure-storage-blob 12.31.1, @azure/storage-blob 12.32.0.
const AZURE_BLOB_PYTHON: &str = "user-agent: azsdk-python-storage-blob/12.31.1 Python/3.11.7 (Linux-6.1-x86_64-with-glibc2.36) | x-ms-client-request-id: 5a3d2f6e-c915-11f0-8f2e-0242ac110002";
const AZURE_PYTHON: &str =
    "user-agent: azsdk-python-mgmt-compute/34.0.0 Python/3.11.7 (Linux-6.1-x86_64-with-glibc2.36)";
const AZURE_JS: &str = "user-agent: azsdk-js-azure-storage-blob/12.32.0 core-rest-pipeline/1.24.0 Node/20.20.2 OS/(x64-Linux-6.1) | x-ms-client-request-id: 1c1ad6a1-1b9c-4b6e-9d57-9a2ff6a0e8d3";
// Seen: kubectl 1.32.4. From the source: kubernetes 37.0.2.
const KUBECTL: &str = "user-agent: kubectl/v1.32.4 (linux/amd64) kubernetes/4cb5f07 | kubectl-command: kubectl get | kubectl-session: 61b0a91b-54aa-4673-9e44-f13d72ddc473";
const CLIENT_GO: &str = "user-agent: manager/v0.0.0 (linux/amd64) kubernetes/$Format";
const KUBERNETES_PYTHON: &str = "user-agent: OpenAPI-Generator/37.0.2/python";
// From the sources: openai 3.57.0 and 6.49.0, anthropic 2.13.0 and 1.13.0.
const OPENAI_PYTHON: &str = "user-agent: OpenAI/Python 3.57.0 | x-stainless-lang: python | x-stainless-package-version: 3.57.0 | x-stainless-runtime: CPython | x-stainless-read-timeout: 600";
const OPENAI_JS: &str = "user-agent: OpenAI/JS 6.49.0 | x-stainless-lang: js | x-stainless-package-version: 6.49.0 | x-stainless-runtime: node | x-stainless-runtime-version: v20.20.2";
const ANTHROPIC_PYTHON: &str = "user-agent: AsyncAnthropic/Python 2.13.0 | x-stainless-lang: python | anthropic-version: 2023-06-01 | x-stainless-timeout: NOT_GIVEN | x-stainless-read-timeout: 600";
const ANTHROPIC_JS: &str = "user-agent: Anthropic/JS 1.13.0 | x-stainless-lang: js | x-stainless-runtime: node | anthropic-version: 2026-10-21 | x-stainless-timeout: 600";
const ANTHROPIC_DENO: &str = "user-agent: Anthropic/JS 1.13.0 | x-stainless-lang: js | x-stainless-runtime: deno | anthropic-version: 2026-10-21 | x-stainless-timeout: 900";
// From the sources: stripe 16.1.0 and 23.1.0.
const STRIPE_PYTHON: &str =
    "user-agent: Stripe/v1 PythonBindings/16.1.0 | idempotency-key: 2f1d0a9e-54a6-4ec1-a2a0-77b1a4b6d0c5";
const STRIPE_JS: &str = "user-agent: Stripe/v1 NodeBindings/23.1.0 | idempotency-key: stripe-node-retry-4f0c6e0e-0d9d-4b62-8f4b-1b3f0a7a6a63";

/// `profile attempt/max last=... patience id`, with `-` for what is not known.
fn line(label: &str, fields: &str) -> String {
    let client = read(&format!("POST /a | host: a.example | {fields}")).unwrap().client;
    let number = |number: Option<u32>| number.map_or("-".to_owned(), |number| number.to_string());
    let last = client.is_last_attempt().map_or("-", |last| if last { "yes" } else { "no" });
    let patience = client.patience().map_or("-".to_owned(), |patience| format!("{patience:?}"));
    let attempt = format!("{}/{}", number(client.call.attempt), number(client.call.attempts_max));
    let waits = if client.profile.waits_as_told { "waits" } else { "" };
    let id = client.call.id.as_deref().map_or("-", |id| id.get(..12).unwrap_or(id));
    let line =
        format!("{label:<18} {:<21} {attempt:<5} last={last:<4} {patience:<6} {id:<13} {waits}", client.profile.name);
    line.trim_end().to_owned() + "\n"
}

#[test]
fn the_sdks_are_told_by_their_fields() {
    let mut lines = String::new();
    for (label, fields) in [
        ("boto3", &*format!("{BOTO3} | {INVOCATION} | amz-sdk-request: attempt=1")),
        ("boto3 1.44", &format!("{BOTO3} | {INVOCATION} | amz-sdk-request: attempt=1; max=3")),
        ("boto3, 2nd", &format!("{BOTO3} | {INVOCATION} | amz-sdk-request: ttl=20261124T125645Z; attempt=2; max=3")),
        ("boto3, 3rd", &format!("{BOTO3} | {INVOCATION} | amz-sdk-request: ttl=20261124T125645Z; attempt=3; max=3")),
        ("boto3, 3rd of 5", &format!("{BOTO3} | {INVOCATION} | amz-sdk-request: attempt=3; max=5")),
        ("boto3, only one", &format!("{BOTO3} | {INVOCATION} | amz-sdk-request: attempt=1; max=1")),
        (
            "dynamodb, 3rd",
            &format!("{BOTO3} | {INVOCATION} | x-amz-target: DynamoDB_20120810.PutItem | amz-sdk-request: attempt=3"),
        ),
        (
            "dynamodb, 4th",
            &format!("{BOTO3} | {INVOCATION} | x-amz-target: DynamoDB_20120810.PutItem | amz-sdk-request: attempt=4"),
        ),
        ("aws-cli", &format!("{AWS_CLI} | {INVOCATION} | amz-sdk-request: attempt=3; max=3")),
        ("aws-sdk-js", &format!("{AWS_JS} | {INVOCATION} | amz-sdk-request: attempt=3; max=3")),
        ("aws-sdk-rust", &format!("{AWS_RUST} | {INVOCATION} | amz-sdk-request: attempt=1; max=3")),
        ("gcs py", GCS_PYTHON),
        ("gcs js", GCS_JS),
        ("azure blob py", AZURE_BLOB_PYTHON),
        ("azure py", AZURE_PYTHON),
        ("azure js", AZURE_JS),
        ("kubectl", KUBECTL),
        ("client-go", CLIENT_GO),
        ("kubernetes py", KUBERNETES_PYTHON),
        ("openai py", &format!("{OPENAI_PYTHON} | x-stainless-retry-count: 0")),
        ("openai py, 3rd", &format!("{OPENAI_PYTHON} | x-stainless-retry-count: 2")),
        ("openai js, 3rd", &format!("{OPENAI_JS} | x-stainless-retry-count: 2")),
        ("openai js, 20 s", &format!("{OPENAI_JS} | x-stainless-retry-count: 2 | x-stainless-timeout: 20")),
        ("anthropic py, 3rd", &format!("{ANTHROPIC_PYTHON} | x-stainless-retry-count: 2")),
        ("anthropic js, 3rd", &format!("{ANTHROPIC_JS} | x-stainless-retry-count: 2")),
        ("anthropic on deno", &format!("{ANTHROPIC_DENO} | x-stainless-retry-count: 2")),
        ("stripe py", STRIPE_PYTHON),
        ("stripe js", STRIPE_JS),
        // From the sources: PyGithub 2.10.0, @octokit/rest 22.0.1.
        ("pygithub", "user-agent: PyGithub/Python"),
        ("octokit", "user-agent: octokit-rest.js/22.0.1 octokit-core.js/7.0.8 Node.js/20.20.2 (linux; x64)"),
        // From the source: elasticsearch 9.5.1, elastic-transport 9.4.2. As documented: 9.4.3.
        ("elasticsearch py", "user-agent: elasticsearch-py/9.5.1 (Python/3.11.7; elastic-transport/9.4.2)"),
        ("elasticsearch js", "user-agent: elasticsearch-js/9.4.3 (linux 6.1-x64; Node.js 20.20.2; Transport 9.4.0)"),
        // From the source: slack_sdk 3.48.0.
        ("slack_sdk", "user-agent: Python/3.11.7 slackclient/3.48.0 Linux/6.1"),
        // Seen: all of the rest.
        ("httpx", "user-agent: python-httpx/0.28.1"),
        ("aiohttp", "user-agent: Python/3.11 aiohttp/3.14.5"),
        ("requests", "user-agent: python-requests/2.34.2"),
        ("urllib3", "user-agent: python-urllib3/2.7.0"),
        ("node fetch", "user-agent: node | sec-fetch-mode: cors"),
        ("axios", "user-agent: axios/1.21.1"),
        ("curl", "user-agent: curl/7.88.1"),
        ("nobody", "accept: */*"),
    ] {
        lines.write_str(&line(label, fields)).unwrap();
    }
    assert_snapshot!(lines, @r"
    boto3              boto3                 1/-   last=no   -      8c3a799a-5ea
    boto3 1.44         boto3                 1/3   last=no   -      8c3a799a-5ea
    boto3, 2nd         boto3                 2/3   last=no   -      8c3a799a-5ea
    boto3, 3rd         boto3                 3/3   last=yes  58s    8c3a799a-5ea
    boto3, 3rd of 5    boto3                 3/5   last=no   -      8c3a799a-5ea
    boto3, only one    boto3                 1/1   last=yes  58s    8c3a799a-5ea
    dynamodb, 3rd      boto3-dynamodb        3/-   last=no   -      8c3a799a-5ea
    dynamodb, 4th      boto3-dynamodb        4/-   last=yes  58s    8c3a799a-5ea
    aws-cli            boto3                 3/3   last=yes  58s    8c3a799a-5ea
    aws-sdk-js         aws-sdk-js            3/3   last=yes  -      8c3a799a-5ea  waits
    aws-sdk-rust       aws-sdk-rust          1/3   last=no   -      8c3a799a-5ea
    gcs py             gcs-python            -/-   last=-    -      0f3c8a52-7d4
    gcs js             gcs-js                -/-   last=-    -      6d0ff6c0-93f
    azure blob py      azure-storage-python  -/-   last=-    -      -
    azure py           azure-python          -/-   last=-    -      -
    azure js           azure-js              -/-   last=-    -      1c1ad6a1-1b9
    kubectl            client-go             -/-   last=yes  -      -             waits
    client-go          client-go             -/-   last=yes  -      -             waits
    kubernetes py      openapi-generator     -/-   last=-    -      -
    openai py          stainless-python      1/-   last=no   -      -
    openai py, 3rd     stainless-python      3/-   last=yes  598s   -
    openai js, 3rd     stainless-js-node     3/-   last=yes  298s   -
    openai js, 20 s    stainless-js-node     3/-   last=yes  18s    -
    anthropic py, 3rd  anthropic-python      3/-   last=yes  598s   -             waits
    anthropic js, 3rd  anthropic-js-node     3/-   last=yes  298s   -             waits
    anthropic on deno  anthropic-js          3/-   last=yes  898s   -             waits
    stripe py          stripe-python         -/-   last=-    -      2f1d0a9e-54a
    stripe js          stripe-js             -/-   last=-    -      stripe-node-
    pygithub           pygithub              -/-   last=-    -      -
    octokit            octokit               -/-   last=yes  298s   -
    elasticsearch py   elasticsearch-python  -/-   last=yes  8s     -
    elasticsearch js   elasticsearch-js      -/-   last=yes  -      -
    slack_sdk          slack-python          -/-   last=yes  28s    -
    httpx              httpx                 -/-   last=yes  3s     -
    aiohttp            aiohttp               -/-   last=yes  298s   -
    requests           requests              -/-   last=yes  -      -
    urllib3            unknown               -/-   last=-    -      -
    node fetch         node-fetch            -/-   last=yes  298s   -
    axios              unknown               -/-   last=-    -      -
    curl               curl                  -/-   last=yes  -      -
    nobody             unknown               -/-   last=-    -      -
    ");
}

#[test]
fn what_makes_no_sense_counts_as_not_said() {
    let long = "9".repeat(2_000);
    for (fields, expected) in [
        ("amz-sdk-request: attempt=0; max=0", "-/-"),
        ("amz-sdk-request: attempt=-1; max=+3", "-/-"),
        ("amz-sdk-request: attempt=1; attempt=3; max=3", "-/3"),
        ("amz-sdk-request: attempt=1 | amz-sdk-request: attempt=2", "-/-"),
        ("amz-sdk-request: attempt=4294967295; max=4294967296", "-/-"),
        ("amz-sdk-request: attempts=2; maximum=3", "-/-"),
        ("amz-sdk-request: attempt=2;max=3", "2/3"),
        ("amz-sdk-request: attempt=é; max=3", "-/-"),
        ("x-stainless-retry-count: 1", "2/-"),
        ("x-stainless-retry-count: -1", "-/-"),
        ("x-stainless-retry-count: 1.0", "-/-"),
        ("x-stainless-retry-count:", "-/-"),
        (&format!("x-stainless-retry-count: {long}"), "-/-"),
        ("x-stainless-retry-count: 4294967295", "-/-"),
    ] {
        let line = line("", fields);
        assert_eq!(line.split_whitespace().nth(1), Some(expected), "{fields}");
    }
}

#[test]
fn a_read_timeout_is_taken_at_its_word_where_it_is_one() {
    for (told, expected) in [
        ("x-stainless-read-timeout: 30.5", "30.5s"),
        ("x-stainless-timeout: 30", "30s"),
        ("x-stainless-timeout: 5 | x-stainless-read-timeout: 7", "7s"),
        ("x-stainless-timeout: NOT_GIVEN", "600s"),
        ("x-stainless-timeout: None", "600s"),
        ("x-stainless-timeout: 0", "600s"),
        ("x-stainless-timeout: -1", "600s"),
        ("x-stainless-timeout: 1e3", "600s"),
        ("x-stainless-timeout: inf", "600s"),
        ("x-stainless-timeout: .", "600s"),
        ("x-stainless-timeout: 1..2", "600s"),
        ("x-stainless-timeout: 99999999999999999999999999999999999999999999", "600s"),
        ("x-stainless-timeout: 9999999999", "600s"),
        ("x-stainless-timeout: 3 | x-stainless-timeout: 4", "600s"),
    ] {
        let client = recognise(&fields(format!("x-stainless-lang: python | {told}").split(" | ")));
        assert_eq!(format!("{:?}", client.read_timeout.unwrap()), expected, "{told}");
    }
}

#[test]
fn a_short_patience_is_half_of_the_wait() {
    for (told, expected) in [("10", 8_000), ("4", 2_000), ("3", 1_500), ("1", 500)] {
        let told = format!("x-stainless-lang: python | x-stainless-retry-count: 2 | x-stainless-timeout: {told}");
        let patience = recognise(&fields(told.split(" | "))).patience().unwrap();
        assert_eq!(patience.as_millis(), expected, "{told}");
    }
}

#[test]
fn a_call_id_is_what_stays_the_same_over_all_attempts() {
    let (long, longest) = ("k".repeat(256), "k".repeat(255));
    for (fields, expected) in [
        ("idempotency-key: k-1", Some("k-1")),
        ("idempotency-key: \"k-1\"", Some("\"k-1\"")),
        (&format!("idempotency-key: {longest}"), Some(longest.as_str())),
        ("idempotency-key:", None),
        ("idempotency-key: é", None),
        ("amz-sdk-invocation-id: a-1", Some("a-1")),
        ("amz-sdk-invocation-id: a-1 | amz-sdk-invocation-id: a-2", None),
        (&format!("amz-sdk-invocation-id: {long}"), None),
        ("amz-sdk-invocation-id: a-1 | idempotency-key: k-1", Some("k-1")),
        ("x-goog-api-client: gl-python/3.11 gccl-invocation-id/g-1 cred-type/u", Some("g-1")),
        ("x-goog-api-client: gccl-invocation-id/g-1 gccl-invocation-id/g-2", None),
        ("x-goog-api-client: gccl-invocation-id/", None),
        ("x-ms-client-request-id: m-1", None),
        ("user-agent: azsdk-python-core/1.41.0 | x-ms-client-request-id: m-1", None),
        ("user-agent: azsdk-js-app/1.0.0 | x-ms-client-request-id: m-1", Some("m-1")),
    ] {
        let client = read(&format!("POST /a | host: a.example | {fields}")).unwrap().client;
        assert_eq!(client.call.id.as_deref(), expected, "{fields}");
    }
}

#[test]
fn an_absurd_idempotency_key_is_refused_and_named() {
    for value in ["k".repeat(256), "a\tb".to_owned(), "a\u{85}b".to_owned()] {
        let error = read(&format!("POST /a | host: a.example | idempotency-key: {value}")).unwrap_err();
        assert_eq!((error.reason(), error.refusal().code), ("call_id", crate::model::RefusalCode::BadRequest));
        assert!(error.to_string().contains("`idempotency-key`"), "{error}");
    }
    let error = read("POST /a | host: a.example | idempotency-key: a | idempotency-key: b").unwrap_err();
    assert_eq!(error.reason(), "repeated");
}
