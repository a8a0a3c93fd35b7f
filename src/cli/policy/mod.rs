//! `holdpoint policy`: one file for each command, thin over `policy`, which does no IO.

mod check;
mod eval;
mod junit;
mod report;
mod source;
mod test;

use std::process::ExitCode;

use clap::Subcommand;
use clap::ValueEnum;

use crate::policy::input_schema;

use super::approvals;
use super::out;

/// What to do with policies.
#[derive(Debug, Subcommand)]
pub(super) enum PolicyCommand {
    /// Compile policies as the proxy would, and say what is wrong and what they depend on
    Check(check::CheckArgs),
    /// Run the tests in `_test.rego` files, as `opa test` does
    Test(test::TestArgs),
    /// Print the policy with a mark at each line that no test has evaluated
    Coverage(test::CoverageArgs),
    /// Say what a policy decides about one input, and of each rule whether it applies and why not
    Eval(eval::EvalArgs),
    /// Print the JSON Schema of `input`, for editors
    Input,
}

/// How to show a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Form {
    /// For people.
    Text,
    /// One JSON object.
    Json,
}

pub(super) fn run(command: &PolicyCommand, terminal: &approvals::Terminal) -> anyhow::Result<ExitCode> {
    match command {
        PolicyCommand::Check(args) => check::run(args),
        PolicyCommand::Test(args) => test::run(args),
        PolicyCommand::Coverage(args) => test::coverage(args),
        PolicyCommand::Eval(args) => super::runtime()?.block_on(eval::run(args, terminal)),
        PolicyCommand::Input => {
            out::line(serde_json::to_string_pretty(&input_schema())?)?;
            Ok(ExitCode::SUCCESS)
        }
    }
}
