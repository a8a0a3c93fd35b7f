//! The library of policies that we ship: each folder works alone, and all of them together.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::path::Path;

use http::Method;
use regorus::unstable::Rule;

use super::*;
use crate::policy::Limits;
use crate::policy::RuleKind;
use crate::policy::ast;
use crate::policy::load;
use crate::policy::runner::Covering;
use crate::policy::runner::run_tests;

/// A folder of the library.
pub(super) struct Folder {
    pub(super) name: String,
    /// Rules and tests, with paths that begin with the folder's name.
    pub(super) rego: Vec<Source>,
}

/// Every folder below `policies` but the starter, which is a policy of its own.
pub(super) fn folders() -> Vec<Folder> {
    let mut folders = Vec::new();
    for entry in std::fs::read_dir(root()).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        if !entry.file_type().unwrap().is_dir() || name == "starter" {
            continue;
        }
        let files = std::fs::read_dir(entry.path()).unwrap().map(|file| file.unwrap().path());
        let mut rego: Vec<Source> = files
            .filter(|path| path.extension().is_some_and(|extension| extension == "rego"))
            .map(|path| {
                let file = path.file_name().unwrap().to_str().unwrap();
                source(&format!("{name}/{file}"), &std::fs::read_to_string(&path).unwrap())
            })
            .collect();
        rego.sort_by(|a, b| a.path.cmp(&b.path));
        folders.push(Folder { name, rego });
    }
    folders.sort_by(|a, b| a.name.cmp(&b.name));
    folders
}

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/policies"))
}

fn everything() -> Vec<Source> {
    folders().into_iter().flat_map(|folder| folder.rego).collect()
}

fn together() -> Policy {
    Policy::load(&everything(), &[], settings()).unwrap_or_else(|errors| panic!("{errors}"))
}

#[test]
fn the_tests_of_all_folders_pass_alone_and_together() {
    for files in folders().into_iter().map(|folder| folder.rego).chain([everything()]) {
        let report = run_tests(&files, &[], &|_| true, Covering::Nothing).unwrap_or_else(|errors| panic!("{errors}"));
        assert!(report.passed() && !report.results.is_empty(), "{report:#?}");
    }
}

#[test]
fn each_folder_loads_for_the_groups_of_the_quick_start() {
    for folder in folders() {
        let policy = Policy::load(&folder.rego, &[], settings()).unwrap_or_else(|errors| panic!("{errors}"));
        assert!(!policy.rules().is_empty(), "{}", folder.name);
    }
}

/// Folders combine because nothing in one can be called like something in another.
#[test]
fn every_name_begins_with_its_folder() {
    for folder in folders() {
        let sources: Vec<&Source> = folder.rego.iter().filter(|file| !file.path.ends_with("_test.rego")).collect();
        let loaded = load::compile(&sources, &[], &Limits::default()).unwrap_or_else(|errors| panic!("{errors}"));
        let prefix = format!("{}_", folder.name.replace('-', "_"));
        for rule in loaded.modules.iter().flat_map(|module| &module.policy) {
            let path = ast::rule_path(&vec!["data".to_owned(), "holdpoint".to_owned()], rule);
            if RuleKind::of(&path).is_none() {
                let name = path.get(2).unwrap();
                assert!(name.starts_with(&prefix), "{}: `{name}`", folder.name);
            }
            let is_function_default = matches!(&**rule, Rule::Default { args, .. } if !args.is_empty());
            assert!(!is_function_default, "{}: {path:?}", folder.name);
        }
    }
    for rule in together().rules() {
        let folder = rule.file.split('/').next().unwrap();
        assert!(rule.name.starts_with(&format!("{folder}-")), "{folder}: `{}`", rule.name);
    }
}

#[test]
fn every_rule_says_what_it_is_for_and_the_folders_guide_names_it() {
    let files = everything();
    let rules = together().rules();
    let names: BTreeSet<&str> = rules.iter().map(|rule| rule.name.as_str()).collect();
    assert_eq!(names.len(), rules.len());
    for rule in &rules {
        assert!(rule.title.is_some(), "`{}` has no title", rule.name);
        let text = &files.iter().find(|file| file.path == rule.file).unwrap().text;
        let above: Vec<&str> = text.lines().take(rule.line as usize - 1).collect();
        let comment: Vec<&str> = above.iter().rev().take_while(|line| line.starts_with('#')).copied().collect();
        let custom = comment.iter().find_map(|line| line.strip_prefix("# custom: ")).unwrap_or_default();
        let custom: Custom = serde_saphyr::from_str(custom).unwrap_or_else(|e| panic!("`{}`: {e}", rule.name));
        assert!(["low", "medium", "high", "critical"].contains(&custom.severity.as_str()), "`{}`", rule.name);
        let known = ["SOC2 ", "NIST 800-53 ", "ISO 27001 A."];
        let is_known = |control: &String| known.iter().any(|standard| control.starts_with(standard));
        assert!(!custom.controls.is_empty() && custom.controls.iter().all(is_known), "`{}`", rule.name);
        let folder = rule.file.split('/').next().unwrap();
        let guide = std::fs::read_to_string(root().join(folder).join("README.md")).unwrap();
        assert!(guide.contains(&format!("`{}`", rule.name)), "{folder}/README.md does not tell of `{}`", rule.name);
    }
}

#[derive(serde::Deserialize)]
struct Custom {
    severity: String,
    controls: Vec<String>,
}

/// OPA takes `not` of a call or `in` with something undefined for undefined, and the rule would let
/// pass what it should hold. Here a helper with a positive body stands between.
#[test]
fn no_rule_rests_on_not_of_a_call() {
    for file in everything().iter().filter(|file| !file.path.ends_with("_test.rego")) {
        for (number, line) in file.text.lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with('#')) {
            let Some((_, negated)) = line.split_once("not ") else { continue };
            if line.contains('"') && line.find('"') < line.find("not ") {
                continue;
            }
            let arguments = negated.split_once('(').map_or("", |(_, arguments)| arguments);
            let is_plain = !negated.contains(" in ") && !arguments.contains(['.', '[']) && !negated.contains("!=");
            assert!(is_plain, "{}:{}: {line}", file.path, number + 1);
        }
    }
}

#[test]
fn together_they_answer_with_the_strictest() {
    let policy = together();
    let cases = [
        (
            Method::GET,
            ActionKind::Read,
            Access::Read,
            "production",
            "public",
            "allow environment-defaults-read generic-http-read",
        ),
        (Method::GET, ActionKind::Read, Access::Read, "production", "", "hold data-classification-unknown"),
        (Method::GET, ActionKind::Read, Access::Read, "production", "secret", "deny data-classification-secret"),
        (Method::TRACE, ActionKind::Read, Access::Read, "production", "public", "deny generic-http-forbidden-method"),
        (Method::POST, ActionKind::Write, Access::Write, "test", "public", "hold generic-http-change"),
        (
            Method::POST,
            ActionKind::Payment,
            Access::Write,
            "test",
            "public",
            "hold amount-thresholds-payment environment-defaults-open generic-http-change",
        ),
        (
            Method::POST,
            ActionKind::Write,
            Access::Write,
            "production",
            "public",
            "hold environment-defaults-guarded generic-http-change production-change-windows-change",
        ),
        (
            Method::GET,
            ActionKind::Unknown,
            Access::Write,
            "lab",
            "customer",
            "hold data-classification-confidential environment-defaults-watched generic-http-change generic-http-unknown production-change-windows-change",
        ),
    ];
    for (method, kind, access, environment, label, expected) in cases {
        let mut call = posted(&[], b"");
        let Message::Http(request) = &mut call.message;
        request.method = method;
        call.actions = Actions::one(action("openapi:something", kind, access));
        let labels = BTreeMap::from([("data".to_owned(), label.to_owned())]);
        call.upstream = Arc::new(Upstream { name: "cloud".to_owned(), environment: environment.to_owned(), labels });
        assert_eq!(answer(&policy, &call), expected, "{kind:?} in {environment} with {label}");
    }
}

/// Whatever an agent can choose, no kind but a plain read gets through all folders at their defaults
/// without people, where nothing is open.
#[test]
fn in_production_nothing_but_plain_reads_is_allowed() {
    let policy = together();
    for kind in KINDS {
        for access in [Access::Read, Access::Write] {
            for method in
                [Method::GET, Method::HEAD, Method::POST, Method::DELETE, Method::from_bytes(b"FETCH").unwrap()]
            {
                let mut call = posted(&[], b"");
                let Message::Http(request) = &mut call.message;
                request.method = method.clone();
                call.actions = Actions::one(action("openapi:something", kind, access));
                let labels = BTreeMap::from([("data".to_owned(), "public".to_owned())]);
                call.upstream =
                    Arc::new(Upstream { name: "cloud".to_owned(), environment: "production".to_owned(), labels });
                let answer = answer(&policy, &call);
                let is_read = kind == ActionKind::Read && access == Access::Read;
                assert_eq!(answer.starts_with("allow"), is_read, "{method} {kind:?} {access:?}: {answer}");
                assert!(!answer.starts_with("error") && answer != "no match", "{method} {kind:?} {access:?}: {answer}");
            }
        }
    }
}

const KINDS: [ActionKind; 12] = [
    ActionKind::Read,
    ActionKind::Write,
    ActionKind::Delete,
    ActionKind::DataExport,
    ActionKind::PrivilegeEscalation,
    ActionKind::CredentialIssue,
    ActionKind::InfrastructureChange,
    ActionKind::NetworkChange,
    ActionKind::ConfigurationChange,
    ActionKind::Execute,
    ActionKind::Payment,
    ActionKind::Unknown,
];

/// Amounts as bytes of real bodies: what is not one clear small amount is held.
#[test]
fn no_body_makes_a_payment_small_by_being_odd() {
    let folder = folders().into_iter().find(|folder| folder.name == "amount-thresholds").unwrap();
    let limits =
        source("amount_thresholds/data.json", r#"{"limits": {"usd": {"allow_up_to": 5000, "hold_up_to": 100000}}}"#);
    let policy = Policy::load(&folder.rego, &[limits], settings()).unwrap_or_else(|errors| panic!("{errors}"));
    let (form, json) = ("application/x-www-form-urlencoded", "application/json");
    let (small, held, refused) =
        ("allow amount-thresholds-small", "hold amount-thresholds-payment", "deny amount-thresholds-too-large");
    for (content_type, body, expected) in [
        (form, "amount=5000&currency=usd&source=tok_visa", small),
        (form, "amount=5001&currency=usd", held),
        (form, "amount=100001&currency=usd", refused),
        (form, "amount=%35000&currency=usd", small),
        (form, "amount=100&amount=999999&currency=usd", held),
        (form, "amount=100&%61mount=999999&currency=usd", held),
        (form, "amount=100&AMOUNT=99999999&currency=usd", refused),
        (form, "amount=100&amount%5B%5D=4901&currency=usd", held),
        (form, "amount=1e1&currency=usd", held),
        (form, "amount=-1&currency=usd", held),
        (form, "amount=100", held),
        (form, "", held),
        (json, r#"{"amount": 5000, "currency": "usd"}"#, small),
        (json, r#"{"amount": 5e3, "currency": "usd"}"#, small),
        (json, r#"{"amount": 5000.5, "currency": "usd"}"#, held),
        (json, r#"{"amount": 1e30, "currency": "usd"}"#, refused),
        (json, r#"{"amount": 99999999999999999999999999, "currency": "usd"}"#, refused),
        (json, r#"{"amount": "5000", "currency": "usd"}"#, held),
        (json, r#"{"\u0061mount": 999999, "amount ": 1, "currency": "usd"}"#, refused),
        (json, r#"[{"amount": 2500}, {"amount": 2501, "currency": "usd"}]"#, held),
        ("text/plain", "amount=5000&currency=usd", held),
        ("application/xml", "<amount>5</amount>", held),
    ] {
        let mut call = posted(&[("content-type", content_type)], body.as_bytes());
        call.actions = Actions::one(action("openapi:pay", ActionKind::Payment, Access::Write));
        assert_eq!(answer(&policy, &call), expected, "{content_type}: {body}");
    }
    for body in
        [r#"{"amount": 1, "amount": 999999, "currency": "usd"}"#, r#"{"amount": 1e999, "currency": "usd"}"#, "{"]
    {
        let mut call = posted(&[("content-type", json)], body.as_bytes());
        call.actions = Actions::one(action("openapi:pay", ActionKind::Payment, Access::Write));
        assert!(answer(&policy, &call).starts_with("error: "), "{body}");
    }
}
