//! `holdpoint policy`: one file for each command, thin over `policy`, which does no IO.

mod bundle;
mod check;
mod docs;
mod eval;
mod input;
mod junit;
mod new;
mod recorded;
mod replay;
mod report;
mod source;
mod test;

use std::process::ExitCode;

use clap::Subcommand;
use clap::ValueEnum;

use super::approvals;

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
    /// Print the JSON Schema of `input` for editors, or an example of it
    Input(input::InputArgs),
    /// Run the calls of an audit log through another policy, and say which answers would change
    Replay(replay::ReplayArgs),
    /// Write a catalogue of the rules out of their METADATA comments
    Docs(docs::DocsArgs),
    /// Begin a policy, with tests, from one that is known to be good
    New(new::NewArgs),
    /// Pack policies into one file, sign it, verify it
    #[command(subcommand)]
    Bundle(bundle::BundleCommand),
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
        PolicyCommand::Input(args) => input::run(args),
        PolicyCommand::Replay(args) => replay::run(args),
        PolicyCommand::Docs(args) => docs::run(args),
        PolicyCommand::New(args) => new::run(args),
        PolicyCommand::Bundle(command) => bundle::run(command),
    }
}
