//! Runs the tests of a policy as `opa test` does: every rule whose name begins with `test_`.
//!
//! A test passes if it is true. One that is undefined, anything else, or fails, fails. Those named
//! `todo_test_…` are listed and not run. `with` replaces input, data, functions and builtins.
//! Test cases (`test_x[name] if …`) fail: the evaluator does not tell which of them were not true,
//! and to pass over them would look like success.

use std::collections::BTreeSet;
use std::time::Duration;
use std::time::Instant;

use regorus::Engine;
use regorus::Value;
use regorus::unstable::Rule;
use regorus::unstable::RuleHead;

use super::ast;
use super::coverage::Coverage;
use super::error::LoadErrors;
use super::load;
use super::load::Source;
use super::settings::Limits;
use super::trace;

/// How long one test may take.
const TEST_DURATION_MAX: Duration = Duration::from_secs(10);

/// What became of all tests, in the order of the files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TestReport {
    /// One for each test.
    pub results: Vec<TestResult>,
    /// What the tests have evaluated, if that was asked for.
    pub coverage: Option<Coverage>,
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
    /// The first expression that does not hold, if it failed for one and that can be told.
    pub because: Option<String>,
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

/// Whether to note which lines are evaluated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Covering {
    /// Note them.
    Lines,
    /// Do not.
    Nothing,
}

/// Runs every test of the files whose `package.name` `is_wanted`.
///
/// # Errors
/// If the files cannot be loaded.
pub fn run_tests(
    rego: &[Source],
    data: &[Source],
    is_wanted: &dyn Fn(&str) -> bool,
    covering: Covering,
) -> Result<TestReport, LoadErrors> {
    let mut rego: Vec<&Source> = rego.iter().collect();
    rego.sort_by(|a, b| a.path.cmp(&b.path));
    let mut data: Vec<&Source> = data.iter().collect();
    data.sort_by(|a, b| a.path.cmp(&b.path));
    let mut loaded = load::compile(&rego, &data, &Limits::default())?;
    load::set_timer(&mut loaded.engine, TEST_DURATION_MAX);

    let mut seen = BTreeSet::new();
    let mut coverage = (covering == Covering::Lines).then(|| Coverage::of(&loaded.modules));
    let mut results = Vec::new();
    for module in &loaded.modules {
        let package = ast::package(module);
        for rule in &module.policy {
            let Some(name) = test_name(rule) else { continue };
            let path = ast::rule_path(&package, rule);
            let package = package.get(1..).unwrap_or_default().join(".");
            // Several rules of one name are one document, and so one test.
            if !is_wanted(&format!("{package}.{name}")) || !seen.insert(path.clone()) {
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
                because: None,
            };
            if has_cases(rule) && !name.starts_with("todo_") {
                result.outcome = TestOutcome::Failed(format!("{}:{}: {CASES}", result.file, result.line));
            } else if !name.starts_with("todo_") {
                let mut engine = loaded.engine.clone();
                engine.set_enable_coverage(coverage.is_some());
                run(&mut engine, &path.join("."), &mut result);
                if matches!(result.outcome, TestOutcome::Failed(_)) {
                    result.because = trace::why_not(&loaded.engine, module, name);
                }
                coverage.iter_mut().for_each(|coverage| coverage.add(&engine));
            }
            results.push(result);
        }
    }
    Ok(TestReport { results, coverage })
}

/// The name of a rule that is a test: a single value or a set without arguments.
pub(super) fn test_name(rule: &Rule) -> Option<&str> {
    let is_value = matches!(rule, Rule::Spec { head: RuleHead::Compr { .. } | RuleHead::Set { .. }, .. });
    let head = ast::head(rule).filter(|_| is_value)?;
    head.root.filter(|name| name.starts_with("test_") || name.starts_with("todo_test_"))
}

/// True for `test_x[name]`, which is a test for each name.
fn has_cases(rule: &Rule) -> bool {
    ast::head(rule).is_some_and(|head| !head.parts.is_empty())
}

const CASES: &str = "test cases such as `test_x[name]` are not supported; write a test for each, or use `every`";

fn run(engine: &mut Engine, path: &str, result: &mut TestResult) {
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
