//! Tests of what a document makes of calls.

use std::sync::LazyLock;

use ::http::HeaderMap;
use insta::assert_snapshot;
use proptest::prelude::*;

use super::*;
use crate::model::Body;

const CLOUD: &str = r##"
openapi: 3.1.0
info: { title: Cloud, version: "1" }
servers: [{ url: "https://{region}.cloud.example/{version}/", variables: { region: { default: eu }, version: { default: v1 } } }]
paths:
  /customers:
    parameters: [{ name: limit, in: query, schema: { type: integer } }]
    get: { operationId: listCustomers, summary: "Lists customers" }
    post: { operationId: createCustomer, description: "\n  Creates one.\n\nMore." }
    query: { operationId: searchCustomers }
  /customers/export:
    get: { operationId: exportCustomers, x-holdpoint-kind: data-export }
  /customers/{id}:
    get: { summary: Shows one }
    delete: { operationId: deleteCustomer, x-holdpoint-irreversible: true }
  /customers/{id}/notes/:
    get: { operationId: listNotes }
  /files/{name}.json:
    get: { operationId: readJson }
  /files/{name}:
    get: { operationId: readFile }
  /files/a+b:
    get: { operationId: readSum }
  /jobs/{id}:cancel:
    post: { operationId: cancelJob, x-holdpoint-kind: write }
  /jobs/{id}:
    post: { operationId: runJob, x-holdpoint-kind: execute }
    get: { operationId: pollJob, x-holdpoint-kind: execute }
  /a/{x}/c:
    get: { operationId: left }
  /a/b/{y}:
    get: { operationId: right }
  /ping:
    servers: [{ url: / }]
    get: { operationId: ping }
  /shared:
    $ref: "#/components/pathItems/Shared"
  x-internal: [1]
components:
  pathItems:
    Shared: { $ref: "#/components/pathItems/Deeper~1~0" }
    Deeper/~: { put: { operationId: shared, servers: [{ url: "https://other.example/base" }] } }
  schemas: { Anything: { x-holdpoint-note: not ours to judge } }
"##;

fn kinds(pairs: &[(&str, ActionKind)]) -> BTreeMap<String, ActionKind> {
    pairs.iter().map(|&(id, kind)| (id.to_owned(), kind)).collect()
}

fn cloud() -> &'static OpenApi {
    static CLOUD_API: LazyLock<OpenApi> = LazyLock::new(|| OpenApi::parse(CLOUD, &BTreeMap::new()).unwrap());
    &CLOUD_API
}

fn classified(api: &OpenApi, method: &str, path: &str) -> Actions {
    let actions = api.classify(&HttpRequest {
        method: method.parse().unwrap(),
        scheme: "https",
        authority: "a.example".into(),
        path: path.into(),
        query: None,
        headers: HeaderMap::new(),
        body: Body::Absent,
        websocket: false,
    });
    assert!(actions.iter().all(|action| action.resource.as_deref() == Some(path)));
    actions
}

/// Every action as `name kind access`.
fn actions(api: &OpenApi, method: &str, path: &str) -> String {
    let lines: Vec<_> = classified(api, method, path)
        .iter()
        .map(|action| format!("{} {} {}", action.name, action.kind.as_str(), action.access.as_str()))
        .collect();
    lines.join(", ")
}

#[test]
fn a_request_is_the_operation_that_the_document_describes() {
    let cloud = cloud();
    for (method, path, expected) in [
        ("GET", "/v1/customers", "openapi:listCustomers read read"),
        ("POST", "/v1/customers", "openapi:createCustomer write write"),
        ("QUERY", "/v1/customers", "openapi:searchCustomers read read"),
        ("GET", "/v1/customers/export", "openapi:exportCustomers data-export read"),
        ("GET", "/v1/customers/42", "openapi:GET /customers/{id} read read"),
        ("DELETE", "/v1/customers/42", "openapi:deleteCustomer delete write"),
        ("GET", "/v1/customers/4%202", "openapi:GET /customers/{id} read read"),
        ("GET", "/v1/customers/42/notes/", "openapi:listNotes read read"),
        ("GET", "/v1/files/a.json", "openapi:readJson read read"),
        ("GET", "/v1/files/a.txt", "openapi:readFile read read"),
        ("GET", "/v1/files/.json", "openapi:readFile read read"),
        ("GET", "/v1/files/a+b", "openapi:readSum read read"),
        ("GET", "/v1/files/a%2Bb", "openapi:readSum read read"),
        ("POST", "/v1/jobs/7:cancel", "openapi:cancelJob write write"),
        ("POST", "/v1/jobs/7%3Acancel", "openapi:cancelJob write write"),
        ("POST", "/v1/jobs/7", "openapi:runJob execute write"),
        ("GET", "/v1/a/z/c", "openapi:left read read"),
        ("GET", "/v1/a/b/z", "openapi:right read read"),
        ("GET", "/ping", "openapi:ping read read"),
        ("PUT", "/base/shared", "openapi:shared write write"),
    ] {
        assert_eq!(actions(cloud, method, path), expected, "{method} {path}");
    }
}

#[test]
fn what_the_document_does_not_describe_is_unclassified() {
    let cloud = cloud();
    for (method, path) in [
        ("GET", "/customers"),
        ("GET", "/v1"),
        ("GET", "/v1/"),
        ("GET", "/"),
        ("GET", "/v1/customers/"),
        ("GET", "/v1/customers/42/"),
        ("GET", "/v1/customers/42/notes"),
        ("GET", "/v1/customers/42/notes/1"),
        ("GET", "/v1/ping"),
        ("PUT", "/v1/shared"),
        // The path is known, but not with this method: another path does not take its place.
        ("DELETE", "/v1/customers/export"),
        ("OPTIONS", "/v1/customers"),
        ("get", "/v1/customers"),
        ("GET", "/V1/customers"),
        // Nearly an export, which some servers take for one.
        ("GET", "/v1/customers/EXPORT"),
        ("GET", "/v1/customers/%45xport"),
        ("GET", "/v1/customers/export.json"),
        ("GET", "/v1/customers/Export.csv"),
        ("DELETE", "/v1/customers/EXPORT"),
        ("POST", "/v1/jobs/7:CANCEL"),
        ("GET", "/v1/files/a.JSON"),
        // Not text, or not a path in normal form.
        ("GET", "/v1/customers/%FF"),
        ("GET", "/v1/customers/a%2Fb"),
        ("GET", "v1/customers"),
        ("GET", ""),
    ] {
        assert_eq!(actions(cloud, method, path), "openapi:unclassified unknown write", "{method} {path}");
    }
}

#[test]
fn where_two_paths_match_equally_both_are_named() {
    let cloud = cloud();
    let both = classified(cloud, "GET", "/v1/a/b/c");
    let mut names: Vec<_> = both.iter().map(|action| action.name.as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["openapi:left", "openapi:right"]);
    assert_eq!(actions(cloud, "POST", "/v1/a/b/c"), "openapi:unclassified unknown write");
}

#[test]
fn a_head_is_its_get_without_the_content() {
    let cloud = cloud();
    for (path, expected) in [
        ("/v1/customers", "openapi:listCustomers read read"),
        ("/v1/customers/export", "openapi:exportCustomers read read"),
        ("/v1/jobs/7", "openapi:pollJob execute write"),
        ("/v1/jobs/7:cancel", "openapi:unclassified unknown write"),
    ] {
        assert_eq!(actions(cloud, "HEAD", path), expected, "{path}");
    }
}

#[test]
fn the_configuration_has_the_last_word_on_kinds() {
    let configured = kinds(&[
        ("exportCustomers", ActionKind::Payment),
        ("GET /customers/{id}", ActionKind::CredentialIssue),
        ("createCustomer", ActionKind::Read),
    ]);
    let cloud = OpenApi::parse(CLOUD, &configured).unwrap();
    assert_eq!(actions(&cloud, "GET", "/v1/customers/export"), "openapi:exportCustomers payment write");
    assert_eq!(actions(&cloud, "GET", "/v1/customers/7"), "openapi:GET /customers/{id} credential-issue write");
    assert_eq!(actions(&cloud, "POST", "/v1/customers"), "openapi:createCustomer read read");
}

#[test]
fn reviewers_see_what_the_document_says() {
    let cloud = cloud();
    let summary = |method, path| classified(cloud, method, path).first().summary.clone();
    assert_eq!(summary("GET", "/v1/customers").as_deref(), Some("Lists customers"));
    assert_eq!(summary("POST", "/v1/customers").as_deref(), Some("Creates one."));
    assert_eq!(summary("GET", "/v1/customers/export"), None);
    assert!(classified(cloud, "DELETE", "/v1/customers/7").first().irreversible);
    assert!(!classified(cloud, "GET", "/v1/customers/7").first().irreversible);
    assert_eq!(cloud.operations().count(), 17);
}

#[test]
fn json_is_read_as_well() {
    let json = r#" {"openapi":"3.0.3","paths":{"/a":{"get":{"operationId":"a","deprecated":true}}}}"#;
    let api = OpenApi::parse(json, &BTreeMap::new()).unwrap();
    assert_eq!(actions(&api, "GET", "/a"), "openapi:a read read");
}

#[test]
fn a_merge_key_in_yaml_gives_way_to_the_operations_own_keys() {
    let yaml = "openapi: 3.0.0\nx-base: &base { operationId: base, summary: Base }\npaths:\n  /a:\n    get: { <<: *base, operationId: own }\n";
    let api = OpenApi::parse(yaml, &BTreeMap::new()).unwrap();
    assert_eq!(actions(&api, "GET", "/a"), "openapi:own read read");
    assert_eq!(api.operations().next().unwrap().summary.as_deref(), Some("Base"));
}

/// What is wrong with a document of these paths.
fn fault(paths: &str) -> String {
    whole_fault(&format!("openapi: 3.0.0\npaths:\n{paths}"))
}

fn whole_fault(text: &str) -> String {
    OpenApi::parse(text, &BTreeMap::new()).map(|_| ()).unwrap_err().to_string()
}

#[test]
fn what_is_wrong_with_a_document_is_said_with_its_place() {
    assert_snapshot!(whole_fault("swagger: '2.0'\npaths: {}"), @"the document says it is version `2.0`; accepted are OpenAPI 3.0, 3.1 and 3.2 (`openapi: 3.1.0`)");
    assert_snapshot!(whole_fault("openapi: 3.10.0\npaths: {}"), @"the document says it is version `3.10.0`; accepted are OpenAPI 3.0, 3.1 and 3.2 (`openapi: 3.1.0`)");
    assert_snapshot!(whole_fault("paths: {}"), @"the document does not say its version; OpenAPI documents begin with a line like `openapi: 3.1.0`");
    assert_snapshot!(whole_fault("openapi: 3.1.0\npaths: {}"), @"the document describes no operation under `paths`; every call would be unclassified");
    assert_snapshot!(whole_fault("{\"openapi\":\"3.1.0\",\n\"paths\":{\"/a\":{\"get\":7}}}"), @"the document cannot be read as JSON: invalid type: integer `7`, expected an operation at line 2 column 22");
    assert_snapshot!(whole_fault("{\"openapi\":\"3.1.0\",\n\"paths\":{\"/a\":{\"get\":{},\"get\":{}}}}"), @"the document cannot be read as JSON: the key `get` is there twice at line 2 column 29");
    assert_snapshot!(fault("  /a: { get: { operationId: [] } }"), @"the document cannot be read as YAML: expected string scalar at line 3, column 29");
    assert_snapshot!(fault("  /a: {}\n  /a: {}"), @"the document cannot be read as YAML: the key `/a` is there twice at line 3, column 3");
    assert_snapshot!(fault("  a: { get: {} }"), @"the path `a` does not begin with `/`");
    assert_snapshot!(fault("  /a?b=c: { get: {} }"), @"the path `/a?b=c` holds a `?` or `#`; operations are told apart by method and path only");
    assert_snapshot!(fault("  '/a/{id': { get: {} }"), @"the path `/a/{id` has braces that do not enclose a name; write parameters like `{id}`");
    assert_snapshot!(fault("  '/a/{proxy+}': { get: {} }"), @"the path `/a/{proxy+}` has the parameter `{proxy+}`, which would match several segments; a parameter matches one");
    assert_snapshot!(fault("  '/a/{b}{c}': { get: {} }"), @"the path `/a/{b}{c}` has two parameters side by side; put some text between them");
    assert_snapshot!(fault("  /a//b: { get: {} }"), @"the path `/a//b` can never be called, because it holds two slashes in a row; send one");
    assert_snapshot!(fault("  /a/../b: { get: {} }"), @"the path `/a/../b` can never be called, because it holds a `.` or `..` segment; send the path that it leads to");
    assert_snapshot!(fault("  '/a/{b}': { get: {} }\n  '/a/{c}': { put: {} }"), @"the paths `/a/{b}` and `/a/{c}` match the same calls; describe their operations under one path");
    assert_snapshot!(fault("  /a: { get: { operationId: x }, put: { operationId: x } }"), @"the `operationId` `x` is used by both GET /a and PUT /a; every operation needs its own");
    assert_snapshot!(fault("  /a: { get: { operationId: \"x\\ty\" } }"), @r"the `operationId` `x\ty` of GET /a cannot be used; it must be 1 to 200 visible characters");
    assert_snapshot!(fault("  /a: { get: { x-holdpoint-kind: export } }"), @"the `x-holdpoint-kind` of GET /a is `export`; accepted are `read`, `write`, `delete`, `data-export`, `privilege-escalation`, `credential-issue`, `infrastructure-change`, `network-change`, `configuration-change`, `execute`, `payment`, `unknown`");
    assert_snapshot!(fault("  /a: { get: { x-holdpoint-knid: read } }"), @"`x-holdpoint-knid` of GET /a is not known here; operations may have `x-holdpoint-kind` and `x-holdpoint-irreversible`");
    assert_snapshot!(fault("  /a: { x-holdpoint-kind: read, get: {} }"), @"`x-holdpoint-kind` of the path `/a` is not known here; operations may have `x-holdpoint-kind` and `x-holdpoint-irreversible`");
    assert_snapshot!(fault("  /a: { $ref: 'other.yaml#/a' }"), @"the path `/a` refers to `other.yaml#/a`, which is outside of the document; bundle it into one first");
    assert_snapshot!(fault("  /a: { $ref: '#/paths/~1b' }"), @"the path `/a` refers to `#/paths/~1b`, which is not in the document");
    assert_snapshot!(fault("  /a: { $ref: '#/paths/~1a' }"), @"the path `/a` refers to `#/paths/~1a`, which leads on too often, or in a circle");
    assert_snapshot!(fault("  /a: { $ref: '#/paths/~1b', get: {} }\n  /b: {}"), @"the path `/a` refers to `#/paths/~1b`, which stands beside operations of its own; keep one of the two");
    assert_snapshot!(fault("  /a: { get: { servers: [{ url: v1 }] } }"), @"the server `v1` of GET /a is relative to the document; write a whole URL, or a path that begins with `/`");
    assert_snapshot!(whole_fault("openapi: 3.0.0\nservers: [{ url: 'https://a.example/{v}' }]\npaths: {}"), @"the server `https://a.example/{v}` of the document has a variable in its path that `variables` does not define");
    assert_snapshot!(whole_fault("openapi: 3.0.0\nservers: [{ url: /a/../b }]\npaths: {}"), @"the server `/a/../b` of the document has a path that is not in normal form, so that no call could have it");
}

#[test]
fn a_kind_for_an_unknown_operation_is_refused() {
    let error = OpenApi::parse(CLOUD, &kinds(&[("exportCustomer", ActionKind::DataExport)])).unwrap_err();
    assert_snapshot!(error.to_string(), @"a kind is configured for the operation `exportCustomer`, which the document does not describe; it has `GET /customers/{id}`, `cancelJob`, `createCustomer`, `deleteCustomer`, `exportCustomers`, `left`, `listCustomers`, `listNotes`, `ping`, `pollJob` and 7 more");
}

#[test]
fn no_document_is_too_deep_or_too_long_to_be_refused() {
    let deep =
        format!("{{\"x\":{}1{},\"openapi\":\"3.0.0\",\"paths\":{{}}}}", "[".repeat(100_000), "]".repeat(100_000));
    assert_eq!(OpenApi::parse(&deep, &BTreeMap::new()).unwrap_err(), OpenApiError::NoOperations);
    let syntax = |text: &str| matches!(OpenApi::parse(text, &BTreeMap::new()), Err(OpenApiError::Syntax { .. }));
    assert!(syntax(&format!("x: {}{}", "[".repeat(1_000), "]".repeat(1_000))));
    let bomb: String = (1..30).map(|n| format!("x{n}: &x{n} [*x{0}, *x{0}, *x{0}, *x{0}]\n", n - 1)).collect();
    assert!(syntax(&format!("openapi: 3.0.0\nx0: &x0 [1, 2]\n{bomb}")));
    assert!(syntax("openapi: 3.0.0\n---\nopenapi: 3.0.0\n"));
    let many: String = (0..=OPERATIONS_MAX).map(|n| format!(",\"/{n}\":{{\"get\":{{}}}}")).collect();
    let many = format!("{{\"openapi\":\"3.0.0\",\"paths\":{{\"/a\":{{}}{many}}}}}");
    assert_eq!(OpenApi::parse(&many, &BTreeMap::new()).unwrap_err(), OpenApiError::TooManyOperations);
    let long = " ".repeat(DOCUMENT_BYTES_MAX + 1);
    assert!(matches!(OpenApi::parse(&long, &BTreeMap::new()), Err(OpenApiError::TooLong { .. })));
    let segments = |count: usize| fault(&format!("  {}: {{ get: {{ x-holdpoint-kind: no }} }}", "/a".repeat(count)));
    assert!(segments(SEGMENTS_MAX).contains("x-holdpoint-kind"));
    let path = "/a".repeat(SEGMENTS_MAX + 1);
    let deep = OpenApi::parse(&format!("openapi: 3.0.0\npaths: {{ {path}: {{ get: {{}} }} }}"), &BTreeMap::new());
    assert_eq!(deep.unwrap_err(), OpenApiError::Template { path, fault: TemplateFault::Deep });
}

proptest! {
    #[test]
    fn no_path_panics_and_every_call_has_an_action(
        method in "[A-Z]{1,7}",
        path in prop_oneof![
            prop::collection::vec(
                prop::sample::select(vec!["/", "v1", "customers", "export", "a", "b", "%", "%3A", ":cancel", ".json", "é", "{id}"]),
                0..12,
            ).prop_map(|pieces| pieces.concat()),
            ".{0,40}",
        ],
    ) {
        prop_assert!(!classified(cloud(), &method, &path).as_slice().is_empty());
    }

    /// Noise never makes a call look like less than it is: however the export is spelt, it is an
    /// export or unclassified, and never the mere reading of a customer called `export`.
    #[test]
    fn an_export_is_never_taken_for_a_read(
        letters in prop::collection::vec(any::<(bool, bool)>(), 6),
        tail in prop::sample::select(vec!["", ".json", ".XML", ".", "..a"]),
    ) {
        let mut segment = String::new();
        for (letter, (upper, escaped)) in "export".chars().zip(letters) {
            let letter = if upper { letter.to_ascii_uppercase() } else { letter };
            segment += &if escaped { format!("%{:02X}", u32::from(letter)) } else { letter.to_string() };
        }
        let actions = classified(cloud(), "GET", &format!("/v1/customers/{segment}{tail}"));
        prop_assert!(matches!(actions.first().kind, ActionKind::DataExport | ActionKind::Unknown), "{:?}", actions);
    }

    #[test]
    fn a_document_of_noise_is_refused_in_words(text in "[ -~\\n]{0,200}") {
        if let Err(error) = OpenApi::parse(&text, &BTreeMap::new()) {
            prop_assert!(!error.to_string().is_empty());
        }
    }
}
