//! The policies that we ship: they load, their tests pass, and they answer as the guide says.

use http::Method;

use super::*;
use crate::policy::RuleKind;
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
    let report = run_tests(&starter(), &[], None).unwrap_or_else(|errors| panic!("{errors}"));
    assert!(report.passed(), "{report:#?}");
    assert_eq!(report.results.len(), 15);
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
