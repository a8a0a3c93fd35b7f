//! `holdpoint completion`.

use std::process::ExitCode;

use clap::Args;
use clap::Command;
use clap_complete::Shell;

/// Which shell to complete for.
#[derive(Debug, Args)]
pub(super) struct CompletionArgs {
    /// The shell, such as bash, zsh or fish
    shell: Shell,
}

pub(super) fn run(args: &CompletionArgs, command: &mut Command) -> anyhow::Result<ExitCode> {
    clap_complete::generate(args.shell, command, "holdpoint", &mut std::io::stdout());
    Ok(ExitCode::SUCCESS)
}
