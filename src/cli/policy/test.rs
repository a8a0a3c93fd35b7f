//! `holdpoint policy test` and `holdpoint policy coverage`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use clap::ValueEnum;
use regex::Regex;
use serde_json::Value;
use serde_json::json;

use crate::cli::out;
use crate::policy::Coverage;
use crate::policy::runner;
use crate::policy::runner::Covering;
use crate::policy::runner::TestOutcome;
use crate::policy::runner::TestReport;
use crate::policy::runner::TestResult;
use crate::server::PolicyFiles;

use super::junit;

/// Which tests to run.
#[derive(Debug, Args)]
pub(in crate::cli) struct TestArgs {
    /// Files and folders with policies and their tests; each is run by itself
    #[arg(value_name = "PATH", default_value = ".")]
    paths: Vec<PathBuf>,
    /// Only tests whose name with its package matches this regular expression
    #[arg(short, long, value_name = "REGEX")]
    run: Option<Regex>,
    /// List every test with what it printed, not only those that fail
    #[arg(short, long)]
    verbose: bool,
    /// Show which lines of the policy the tests have evaluated
    #[arg(long)]
    coverage: bool,
    /// Fail if less than so many per cent of the lines were evaluated
    #[arg(long, value_name = "PERCENT", requires = "coverage", value_parser = percent)]
    threshold: Option<f64>,
    /// How to show the results
    #[arg(short, long, value_enum, default_value_t = TestForm::Text)]
    output: TestForm,
}

/// What to cover.
#[derive(Debug, Args)]
pub(in crate::cli) struct CoverageArgs {
    /// Files and folders with policies and their tests; each is run by itself
    #[arg(value_name = "PATH", default_value = ".")]
    paths: Vec<PathBuf>,
    /// Fail if less than so many per cent of the lines were evaluated
    #[arg(long, value_name = "PERCENT", value_parser = percent)]
    threshold: Option<f64>,
}

/// How to show the results of tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum TestForm {
    /// For people.
    Text,
    /// One JSON object for each test.
    Json,
    /// JUnit's XML, for CI systems.
    Junit,
}

fn percent(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|number| (0.0..=100.0).contains(number));
    number.ok_or_else(|| "it must be a number from 0 to 100".to_owned())
}

/// One of the paths with its files and what became of its tests.
struct Ran {
    path: PathBuf,
    files: PolicyFiles,
    report: TestReport,
}

pub(super) fn run(args: &TestArgs) -> anyhow::Result<ExitCode> {
    let is_wanted = |name: &str| args.run.as_ref().is_none_or(|run| run.is_match(name));
    let covering = if args.coverage { Covering::Lines } else { Covering::Nothing };
    let ran = all(&args.paths, &is_wanted, covering)?;
    let (passed, failed, skipped) = counts(&ran);
    // A folder without tests, or a mistyped `--run`, must not look like success.
    anyhow::ensure!(
        passed + failed > 0,
        "no test was run; tests are rules named `test_…` in files named `…_test.rego`"
    );
    let results = ran.iter().flat_map(|ran| &ran.report.results);
    match args.output {
        TestForm::Text => {
            results.into_iter().try_for_each(|test| show(test, args.verbose))?;
            let skipped = if skipped == 0 { String::new() } else { format!(", {skipped} skipped") };
            out::line(format!("{passed} passed, {failed} failed{skipped}"))?;
        }
        TestForm::Json => results.into_iter().try_for_each(|test| out::json(&as_json(test)))?,
        TestForm::Junit => out::line(junit::document(&results.collect::<Vec<_>>()))?,
    }
    let is_covered = match (args.coverage, args.output) {
        (false, _) => true,
        (true, TestForm::Json) => {
            out::json(&json!({"coverage": coverage_json(&ran)}))?;
            enough(&ran, args.threshold)?
        }
        (true, TestForm::Text) => {
            for (file, percent, missing) in lines(&ran) {
                let missing = if missing.is_empty() { String::new() } else { format!(", not lines {missing}") };
                out::line(format!("{percent:>6.1} %  {file}{missing}"))?;
            }
            enough(&ran, args.threshold)?
        }
        (true, TestForm::Junit) => enough(&ran, args.threshold)?,
    };
    Ok(if failed == 0 && is_covered { ExitCode::SUCCESS } else { ExitCode::from(FAILED) })
}

/// Prints the policy with a mark before each line that no test has evaluated.
pub(super) fn coverage(args: &CoverageArgs) -> anyhow::Result<ExitCode> {
    let ran = all(&args.paths, &|_| true, Covering::Lines)?;
    let (_, failed, _) = counts(&ran);
    for Ran { files, report, .. } in &ran {
        let Some(coverage) = &report.coverage else { continue };
        for (name, lines) in &coverage.files {
            out::line(format!("{name}: {:.1} % covered", lines.percent()))?;
            let text = files.rego.iter().find(|source| source.path == *name).map_or("", |source| source.text.as_str());
            for (number, line) in (1u32..).zip(text.lines()).filter(|_| !lines.not_covered.is_empty()) {
                let mark = match (lines.covered.contains(&number), lines.not_covered.contains(&number)) {
                    (true, _) => '+',
                    (_, true) => '!',
                    (false, false) => ' ',
                };
                out::line(format!("{mark} {number:>4} | {line}"))?;
            }
        }
    }
    anyhow::ensure!(failed == 0, "{failed} tests failed; see `holdpoint policy test`");
    Ok(if enough(&ran, args.threshold)? { ExitCode::SUCCESS } else { ExitCode::from(FAILED) })
}

fn all(paths: &[PathBuf], is_wanted: &dyn Fn(&str) -> bool, covering: Covering) -> anyhow::Result<Vec<Ran>> {
    let run = |path: &PathBuf| {
        let files = PolicyFiles::read(path).with_context(|| format!("`{}` cannot be read", path.display()))?;
        let report = runner::run_tests(&files.rego, &files.data, is_wanted, covering)
            .map_err(|errors| anyhow::anyhow!("the policies in `{}` cannot be used\n{errors}", path.display()))?;
        Ok(Ran { path: path.clone(), files, report })
    };
    paths.iter().map(run).collect()
}

/// How many tests have passed, failed and were not run.
fn counts(ran: &[Ran]) -> (usize, usize, usize) {
    let results = || ran.iter().flat_map(|ran| &ran.report.results).map(|test| &test.outcome);
    let passed = results().filter(|outcome| matches!(outcome, TestOutcome::Passed)).count();
    let failed = results().filter(|outcome| matches!(outcome, TestOutcome::Failed(_))).count();
    (passed, failed, results().count() - passed - failed)
}

/// Whether enough was evaluated; says so if not.
fn enough(ran: &[Ran], threshold: Option<f64>) -> std::io::Result<bool> {
    let mut total = Coverage::default();
    for (index, coverage) in ran.iter().filter_map(|ran| ran.report.coverage.as_ref()).enumerate() {
        let files = coverage.files.iter().map(|(name, lines)| (format!("{index}/{name}"), lines.clone()));
        total.files.extend(files);
    }
    let percent = total.percent();
    let Some(threshold) = threshold.filter(|threshold| percent < *threshold) else { return Ok(true) };
    out::note(format!("{percent:.1} % of the lines are covered, less than {threshold} %"))?;
    Ok(false)
}

fn show(test: &TestResult, verbose: bool) -> std::io::Result<()> {
    let name = format!("{}.{} ({}:{})", test.package, test.name, test.file, test.line);
    match &test.outcome {
        TestOutcome::Passed if verbose => {
            out::line(format!("pass  {name} ({:.1} ms)", test.duration.as_secs_f64() * 1_000.0))?;
        }
        TestOutcome::Passed => return Ok(()),
        TestOutcome::Skipped => out::line(format!("skip  {name}"))?,
        TestOutcome::Failed(why) => out::line(format!("FAIL  {name}: {why}"))?,
    }
    test.because.iter().try_for_each(|line| out::line(format!("      {line}")))?;
    test.output.iter().try_for_each(|line| out::line(format!("      {line}")))
}

/// Each file with its share in per cent, and the lines that are missing.
fn lines(ran: &[Ran]) -> Vec<(String, f64, String)> {
    let mut rows = Vec::new();
    for Ran { path, report, .. } in ran {
        for (name, lines) in report.coverage.iter().flat_map(|coverage| &coverage.files) {
            let missing: Vec<String> = lines.not_covered.iter().map(ToString::to_string).collect();
            rows.push((path.join(name).display().to_string(), lines.percent(), missing.join(", ")));
        }
    }
    rows
}

fn coverage_json(ran: &[Ran]) -> Value {
    let mut files = serde_json::Map::new();
    for Ran { path, report, .. } in ran {
        for (name, lines) in report.coverage.iter().flat_map(|coverage| &coverage.files) {
            let row = json!({"covered": lines.covered, "not_covered": lines.not_covered, "percent": lines.percent()});
            files.insert(path.join(name).display().to_string(), row);
        }
    }
    Value::Object(files)
}

fn as_json(test: &TestResult) -> Value {
    let (outcome, failure) = match &test.outcome {
        TestOutcome::Passed => ("passed", None),
        TestOutcome::Skipped => ("skipped", None),
        TestOutcome::Failed(why) => ("failed", Some(why)),
    };
    json!({
        "package": test.package,
        "name": test.name,
        "file": test.file,
        "line": test.line,
        "outcome": outcome,
        "failure": failure,
        "because": test.because,
        "duration_seconds": test.duration.as_secs_f64(),
        "output": test.output,
    })
}

/// The exit code where a test has failed, as OPA has it; 1 is for what cannot be run at all.
const FAILED: u8 = 2;
