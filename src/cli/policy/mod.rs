//! `holdpoint policy`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use clap::Subcommand;
use clap::ValueEnum;
use serde_json::json;

use crate::config::Config;
use crate::policy::input_schema;
use crate::policy::runner;
use crate::policy::runner::TestOutcome;
use crate::policy::runner::TestResult;
use crate::server;
use crate::server::PolicyFiles;

use super::out;

/// What to do with policies.
#[derive(Debug, Subcommand)]
pub(super) enum PolicyCommand {
    /// Compile the policies of a configuration as the proxy would, and say what is wrong
    Check(CheckArgs),
    /// Run the tests in `_test.rego` files, as `opa test` does
    Test(TestArgs),
    /// Print the JSON Schema of `input`, for editors
    Input,
}

/// Which policies to check.
#[derive(Debug, Args)]
pub(super) struct CheckArgs {
    /// The configuration file: it names the policies, and the groups and credentials they may use
    #[arg(short, long, env = "HOLDPOINT_CONFIG", value_name = "FILE", default_value = "holdpoint.yaml")]
    config: PathBuf,
}

/// Which tests to run.
#[derive(Debug, Args)]
pub(super) struct TestArgs {
    /// Files and folders with policies and their tests; each is run by itself
    #[arg(value_name = "PATH", default_value = ".")]
    paths: Vec<PathBuf>,
    /// Only tests whose name contains this
    #[arg(short, long, value_name = "TEXT")]
    run: Option<String>,
    /// List every test, not only those that fail
    #[arg(short, long)]
    verbose: bool,
    /// How to show the results
    #[arg(short, long, value_enum, default_value_t = Form::Text)]
    output: Form,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Form {
    Text,
    Json,
}

pub(super) fn run(command: &PolicyCommand) -> anyhow::Result<ExitCode> {
    match command {
        PolicyCommand::Check(args) => {
            let policy = server::load_policy(&Config::read(&args.config)?)?;
            out::line(format!("{} rules are fine, digest {}", policy.rules().len(), policy.digest()))?;
            out::line(match policy.shares_decisions() {
                true => "calls that the rules cannot tell apart share a decision",
                false => {
                    "every call is evaluated: a rule reads the time, the body, or a whole object that has one of them"
                }
            })?;
            if policy.reads_body() {
                out::line("bodies are read whole before the decision: a rule looks at them")?;
            }
            Ok(ExitCode::SUCCESS)
        }
        PolicyCommand::Test(args) => test(args),
        PolicyCommand::Input => {
            out::line(serde_json::to_string_pretty(&input_schema())?)?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn test(args: &TestArgs) -> anyhow::Result<ExitCode> {
    let (mut passed, mut failed) = (0, 0);
    for path in &args.paths {
        let files = PolicyFiles::read(path).with_context(|| format!("`{}` cannot be read", path.display()))?;
        let report = runner::run_tests(&files.rego, &files.data, args.run.as_deref())
            .map_err(|errors| anyhow::anyhow!("the policies in `{}` cannot be used\n{errors}", path.display()))?;
        let count =
            |wanted: fn(&TestOutcome) -> bool| report.results.iter().filter(|test| wanted(&test.outcome)).count();
        failed += count(|outcome| matches!(outcome, TestOutcome::Failed(_)));
        passed += count(|outcome| matches!(outcome, TestOutcome::Passed));
        for test in &report.results {
            match args.output {
                Form::Text => show(test, args.verbose)?,
                Form::Json => out::json(&as_json(test))?,
            }
        }
    }
    // A folder without tests, or a mistyped `--run`, must not look like success.
    anyhow::ensure!(
        passed + failed > 0,
        "no test was run; tests are rules named `test_…` in files named `…_test.rego`"
    );
    if args.output == Form::Text {
        out::line(format!("{passed} passed, {failed} failed"))?;
    }
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn show(test: &TestResult, verbose: bool) -> std::io::Result<()> {
    let name = format!("{}.{} ({}:{})", test.package, test.name, test.file, test.line);
    match &test.outcome {
        TestOutcome::Passed if verbose => out::line(format!("pass  {name}"))?,
        TestOutcome::Passed => {}
        TestOutcome::Skipped => out::line(format!("skip  {name}"))?,
        TestOutcome::Failed(why) => {
            out::line(format!("FAIL  {name}: {why}"))?;
            test.output.iter().try_for_each(|line| out::line(format!("      {line}")))?;
        }
    }
    Ok(())
}

fn as_json(test: &TestResult) -> serde_json::Value {
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
        "duration_seconds": test.duration.as_secs_f64(),
        "output": test.output,
    })
}
