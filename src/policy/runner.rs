//! Runs the tests of a policy as `opa test` does: every rule whose name begins with `test_`.
//!
//! A test passes if it is true. One that is undefined, anything else, or fails, fails. Those named
//! `todo_test_…` are listed and not run. `with` replaces input, data, functions and builtins.

use std::collections::BTreeSet;
use std::time::Duration;
use std::time::Instant;

use regorus::Engine;
use regorus::Value;
use regorus::unstable::Rule;
use regorus::unstable::RuleHead;

use super::ast;
use super::error::LoadErrors;
use super::load;
use super::load::Source;
use super::settings::Limits;

/// How long one test may take.
const TEST_DURATION_MAX: Duration = Duration::from_secs(10);

/// What became of all tests, in the order of the files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TestReport {
    /// One for each test.
    pub results: Vec<TestResult>,
}

/// What became of one test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TestResult {
    /// The rule's name, such as `test_reads_are_allowed`.
    pub name: String,
    /// The package it is in, such as `holdpoint`.
    pub package: String,
    /// The file it is in.
    pub file: String,
    /// The line, from 1.
    pub line: u32,
    /// What became of it.
    pub outcome: TestOutcome,
    /// How long it took; zero if it was not run.
    pub duration: Duration,
    /// What it printed.
    pub output: Vec<String>,
}

/// What became of one test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TestOutcome {
    /// It was true.
    Passed,
    /// It was not, and why.
    Failed(String),
    /// It was not run.
    Skipped,
}

impl TestReport {
    /// True if no test failed.
    pub fn passed(&self) -> bool {
        !self.results.iter().any(|result| matches!(result.outcome, TestOutcome::Failed(_)))
    }
}

/// Runs every test of the files whose `package.name` contains `filter`.
///
/// # Errors
/// If the files cannot be loaded.
pub fn run_tests(rego: &[Source], data: &[Source], filter: Option<&str>) -> Result<TestReport, LoadErrors> {
    let mut rego: Vec<&Source> = rego.iter().collect();
    rego.sort_by(|a, b| a.path.cmp(&b.path));
    let mut data: Vec<&Source> = data.iter().collect();
    data.sort_by(|a, b| a.path.cmp(&b.path));
    let mut loaded = load::compile(&rego, &data, &Limits::default())?;
    load::set_timer(&mut loaded.engine, TEST_DURATION_MAX);

    let mut seen = BTreeSet::new();
    let mut results = Vec::new();
    for module in &loaded.modules {
        let package = ast::package(module);
        for rule in &module.policy {
            let Some(name) = test_name(rule) else { continue };
            let path = ast::rule_path(&package, rule);
            let package = package.get(1..).unwrap_or_default().join(".");
            let is_wanted = filter.is_none_or(|filter| format!("{package}.{name}").contains(filter));
            // Several rules of one name are one document, and so one test.
            if !is_wanted || !seen.insert(path.clone()) {
                continue;
            }
            let span = rule.span();
            let mut result = TestResult {
                name: name.to_owned(),
                package,
                file: span.source.get_path().clone(),
                line: span.line,
                outcome: TestOutcome::Skipped,
                duration: Duration::ZERO,
                output: Vec::new(),
            };
            if !name.starts_with("todo_") {
                run(loaded.engine.clone(), &path.join("."), &mut result);
            }
            results.push(result);
        }
    }
    Ok(TestReport { results })
}

/// The name of a rule that is a test: a single value or a set without arguments.
pub(super) fn test_name(rule: &Rule) -> Option<&str> {
    let is_value = matches!(rule, Rule::Spec { head: RuleHead::Compr { .. } | RuleHead::Set { .. }, .. });
    let head = ast::head(rule).filter(|head| is_value && head.parts.is_empty())?;
    head.root.filter(|name| name.starts_with("test_") || name.starts_with("todo_test_"))
}

fn run(mut engine: Engine, path: &str, result: &mut TestResult) {
    let start = Instant::now();
    let answer = engine.eval_rule(path.to_owned());
    result.duration = start.elapsed();
    result.output = engine.take_prints().unwrap_or_default();
    let place = format!("{}:{}", result.file, result.line);
    result.outcome = match answer {
        Ok(Value::Bool(true)) => TestOutcome::Passed,
        Ok(Value::Undefined) => TestOutcome::Failed(format!("{place}: `{}` is undefined", result.name)),
        Ok(other) => TestOutcome::Failed(format!("{place}: `{}` is `{other}`, not true", result.name)),
        Err(error) => TestOutcome::Failed(format!("{place}: `{}` failed: {}", result.name, error.to_string().trim())),
    };
}
