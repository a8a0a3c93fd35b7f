//! The policies that we ship: they load, their tests pass, and they answer as the guide says.

use http::Method;

use super::*;
use crate::policy::RuleKind;
use crate::policy::runner::Covering;
use crate::policy::runner::run_tests;

fn starter() -> Vec<Source> {
    macro_rules! files {
        ($($name:literal)*) => {
            vec![$(source($name, include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/policies/starter/", $name))),)*]
        };
    }
    files!(
        "reads.rego" "reads_test.rego" "customer-export.rego" "customer-export_test.rego"
        "infrastructure.rego" "infrastructure_test.rego" "writes.rego" "writes_test.rego"
    )
}

fn policy() -> Policy {
    Policy::load(&starter(), &[], settings()).unwrap_or_else(|errors| panic!("{errors}"))
}

#[test]
fn their_own_tests_pass() {
    let report = run_tests(&starter(), &[], &|_| true, Covering::Nothing).unwrap_or_else(|errors| panic!("{errors}"));
    assert!(report.passed(), "{report:#?}");
    assert_eq!(report.results.len(), 14);
}

#[test]
fn they_answer_as_the_guide_says() {
    let policy = policy();
    let cases = [
        ("openapi:listCustomers", ActionKind::Read, Access::Read, Method::GET, "/customers", "allow reads"),
        ("openapi:exportCustomers", ActionKind::DataExport, Access::Read, Method::GET, "/x", "hold customer-export"),
        ("openapi:exportCustomers", ActionKind::DataExport, Access::Write, Method::POST, "/x", "hold customer-export"),
        (
            "openapi:deleteCluster",
            ActionKind::InfrastructureChange,
            Access::Write,
            Method::DELETE,
            "/clusters/prod-1",
            "deny no-production-cluster-deletion",
        ),
        (
            "openapi:resizeCluster",
            ActionKind::InfrastructureChange,
            Access::Write,
            Method::PATCH,
            "/clusters/prod-1",
            "hold infrastructure",
        ),
        ("openapi:deleteCustomer", ActionKind::Delete, Access::Write, Method::DELETE, "/customers/1", "hold deletes"),
        ("openapi:createCustomer", ActionKind::Write, Access::Write, Method::POST, "/customers", "hold writes"),
        ("openapi:pay", ActionKind::Payment, Access::Write, Method::POST, "/pay", "no match"),
        ("http:GET", ActionKind::Unknown, Access::Write, Method::GET, "/elsewhere", "no match"),
    ];
    for (name, kind, access, method, path, expected) in cases {
        let call = call(|call, request| {
            let resource = Some(path.to_owned());
            call.actions = Actions::one(Action { resource, ..action(name, kind, access) });
            request.method = method;
            request.path = path.to_owned();
        });
        assert_eq!(answer(&policy, &call), expected, "{name}");
    }
}

#[test]
fn they_decide_on_the_head_alone() {
    assert!(!policy().reads_body());
}

#[test]
fn their_rules_have_names_and_titles() {
    let rules = policy().rules();
    let listed: Vec<_> = rules.iter().map(|rule| (rule.kind, rule.name.as_str(), rule.title.as_deref())).collect();
    assert_eq!(
        listed,
        [
            (RuleKind::Hold, "customer-export", Some("Customer data leaves only with its owner's consent")),
            (
                RuleKind::Deny,
                "no-production-cluster-deletion",
                Some("Clusters in production are not deleted by agents")
            ),
            (RuleKind::Hold, "infrastructure", Some("Infrastructure changes with the consent of security")),
            (RuleKind::Allow, "reads", Some("Looking at things needs nobody's approval")),
            (RuleKind::Hold, "writes", Some("Changes with the consent of those who own the data")),
            (RuleKind::Hold, "deletes", Some("Deletions with the consent of those who own the data")),
        ]
    );
}

const GUIDE: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/policies/README.md"));

#[test]
fn the_guides_example_does_what_it_says() {
    let example = GUIDE.split("```rego\n").nth(1).unwrap().split("```").next().unwrap();
    let policy = Policy::load(&[source("guide.rego", example)], &[], settings()).unwrap_or_else(|e| panic!("{e}"));
    for (body, expected) in [
        (&br#"{"amount": 101}"#[..], "hold large-refund"),
        (br#"{"amount": 100}"#, "no match"),
        (b"{}", "deny no-refund-without-amount"),
    ] {
        let mut call = posted(&[("content-type", "application/json")], body);
        call.actions = Actions::one(action("openapi:refund", ActionKind::Payment, Access::Write));
        assert_eq!(answer(&policy, &call), expected, "{}", String::from_utf8_lossy(body));
    }
}

#[test]
fn the_guide_tells_truly_what_is_missing() {
    for call in [
        "crypto.sha256(\"\")",
        "io.jwt.decode(\"\")",
        "graphql.parse(\"\", \"\")",
        "rego.parse_module(\"\", \"\")",
        "yaml.unmarshal(\"\")",
        "json.match_schema({}, {})",
        "json.verify_schema({})",
        "net.cidr_intersects(\"\", \"\")",
        "net.cidr_merge([])",
        "net.lookup_ip_addr(\"\")",
    ] {
        let name = call.split('(').next().unwrap();
        let error = refusal(&format!("allow contains {{\"rule\": \"x\"}} if {call}"));
        assert!(error.contains(&format!("there is no function `{name}`")), "{error}");
    }
    for name in
        ["http.send", "opa.runtime", "time.now_ns", "rand.intn", "uuid.rfc4122", "trace", "graph.reachable_paths"]
    {
        let error = refusal(&format!("allow contains {{\"rule\": \"x\"}} if {name}()"));
        assert!(error.contains(&format!("`{name}` cannot be used")), "{error}");
        assert!(GUIDE.contains(&format!("`{name}`")), "{name}");
    }
    let subset = loaded("allow contains {\"rule\": \"subset\"} if {\"name\": _} = input.principal.claims.team");
    assert_eq!(answer(&subset, &any_call()), "allow subset");
}

#[test]
fn functions_of_a_package_of_several_files_can_be_called_by_its_alias() {
    let files = [
        source(
            "p.rego",
            "package holdpoint\nimport data.holdpoint.lib\nimport data.holdpoint.lib.is_b\nallow contains {\"rule\": \"x\"} if { lib.is_a(\"a\"); is_b }",
        ),
        source("lib/a.rego", "package holdpoint.lib\nis_a(x) if x == letter"),
        source("lib/b.rego", "package holdpoint.lib\nletter := \"a\"\nis_b if is_a(letter)"),
    ];
    let policy = Policy::load(&files, &[], settings()).unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!(answer(&policy, &any_call()), "allow x");
}
