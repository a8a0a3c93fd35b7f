//! The test runner does what `opa test` does.

use insta::assert_snapshot;

use super::*;
use crate::policy::runner::Covering;
use crate::policy::runner::TestOutcome;
use crate::policy::runner::run_tests;

const POLICY: &str = "package holdpoint\nimport data.holdpoint.lib\nallow contains {\"rule\": \"x\"} if lib.is_known(input.principal.id)";
const LIB: &str = "package holdpoint.lib\nis_known(id) if data.people[id]";

/// One line for each test: what it is called, where it is, and what became of it.
fn run(tests: &str, filter: Option<&str>) -> String {
    let files = [source("p.rego", POLICY), source("lib.rego", LIB), source("p_test.rego", tests)];
    let data = [source("people/data.json", r#"{"ana": true}"#)];
    let report =
        match run_tests(&files, &data, &|name| filter.is_none_or(|filter| name.contains(filter)), Covering::Nothing) {
            Ok(report) => report,
            Err(errors) => return errors.to_string(),
        };
    let lines = report.results.iter().map(|result| {
        let outcome = match &result.outcome {
            TestOutcome::Passed => "passed".to_owned(),
            TestOutcome::Failed(text) => format!("failed: {text}"),
            TestOutcome::Skipped => "skipped".to_owned(),
        };
        let output: String = result.output.iter().map(|line| format!("\n  {line}")).collect();
        format!("{}.{} {}:{} {outcome}{output}", result.package, result.name, result.file, result.line)
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn only_true_passes() {
    assert_snapshot!(run(r#"package holdpoint_test

test_true := true

test_body if 1 == 1

test_false := false

test_undefined if 1 == 2

test_number := 5

test_error if startswith(5, "a")

todo_test_later if 1 == 2

test_printing if {
	print("seen", {"a": 1})
	1 == 2
}

not_a_test if 1 == 2

test_function(x) := x
"#, None), @r#"
    holdpoint_test.test_true p_test.rego:3 passed
    holdpoint_test.test_body p_test.rego:5 passed
    holdpoint_test.test_false p_test.rego:7 failed: p_test.rego:7: `test_false` is `false`, not true
    holdpoint_test.test_undefined p_test.rego:9 failed: p_test.rego:9: `test_undefined` is undefined
    holdpoint_test.test_number p_test.rego:11 failed: p_test.rego:11: `test_number` is `5`, not true
    holdpoint_test.test_error p_test.rego:13 failed: p_test.rego:13: `test_error` failed: --> p_test.rego:13:26
       |
    13 | test_error if startswith(5, "a")
       |                          ^
    error: `startswith` expects string argument. Got `5` instead
    holdpoint_test.todo_test_later p_test.rego:15 skipped
    holdpoint_test.test_printing p_test.rego:17 failed: p_test.rego:17: `test_printing` is undefined
      p_test.rego:18: seen {"a": 1}
    "#);
}

#[test]
fn with_replaces_input_data_functions_and_builtins() {
    assert_snapshot!(run(r#"package holdpoint_test

test_input if count(data.holdpoint.allow) == 1 with input.principal.id as "ana"

test_input_of_somebody_else if count(data.holdpoint.allow) == 0 with input as {"principal": {"id": "bo"}}

test_data if count(data.holdpoint.allow) == 1 with input.principal.id as "bo" with data.people as {"bo": true}

test_function if {
	count(data.holdpoint.allow) == 1 with input.principal.id as "bo" with data.holdpoint.lib.is_known as known
}

known(_) := true

test_builtin if count([1, 2]) == 5 with count as 5
"#, None), @r#"
    holdpoint_test.test_input p_test.rego:3 passed
    holdpoint_test.test_input_of_somebody_else p_test.rego:5 passed
    holdpoint_test.test_data p_test.rego:7 passed
    holdpoint_test.test_function p_test.rego:9 passed
    holdpoint_test.test_builtin p_test.rego:15 passed
    "#);
}

#[test]
fn tests_can_be_in_the_package_itself_and_be_chosen_by_name() {
    let tests = "package holdpoint\ntest_one if count(allow) == 0 with input as {}\ntest_two if false";
    assert_snapshot!(run(tests, Some("holdpoint.test_one")), @"holdpoint.test_one p_test.rego:2 passed");
}

#[test]
fn several_rules_of_one_name_are_one_test() {
    let tests = "package holdpoint_test\ntest_x if false\ntest_x if true";
    assert_snapshot!(run(tests, None), @"holdpoint_test.test_x p_test.rego:2 passed");
}

#[test]
fn files_with_mistakes_are_refused_as_they_are_when_loaded() {
    assert_snapshot!(run("package holdpoint_test\ntest_x if nothing.like(this)", None), @r#"
    p_test.rego:2:11: there is no function `nothing.like`
       2 | test_x if nothing.like(this)
         |           ^
         = define it, import the package that does, or see policies/README.md for the builtins that OPA has and Holdpoint has not
    "#);
}

#[test]
fn test_cases_fail_rather_than_be_passed_over() {
    let tests = "package holdpoint_test\ntest_x[name] if some name in [\"a\"]";
    assert_snapshot!(run(tests, None), @"holdpoint_test.test_x p_test.rego:2 failed: p_test.rego:2: test cases such as `test_x[name]` are not supported; write a test for each, or use `every`");
}

#[test]
fn coverage_is_of_the_policy_alone_and_has_the_files_that_no_test_touches() {
    let files = [
        source(
            "p.rego",
            "package holdpoint\nallow contains {\"rule\": \"a\"} if {\n\tinput.version == 1\n\tinput.request.path == \"/\"\n}",
        ),
        source("q.rego", "package holdpoint\ndeny contains {\"rule\": \"b\"} if input.version == 2"),
        source(
            "p_test.rego",
            "package holdpoint_test\ntest_a if count(data.holdpoint.allow) == 0 with input as {\"version\": 2}",
        ),
    ];
    let report = run_tests(&files, &[], &|_| true, Covering::Lines).unwrap_or_else(|errors| panic!("{errors}"));
    let coverage = report.coverage.unwrap();
    let lines =
        coverage.files.iter().map(|(file, lines)| format!("{file} {:?} {:?}", lines.covered, lines.not_covered));
    assert_snapshot!(lines.collect::<Vec<_>>().join("\n"), @r"
    p.rego {3} {2, 4}
    q.rego {} {2}
    ");
    assert_eq!(coverage.percent(), 25.0);
}
