//! `holdpoint config`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use clap::Subcommand;
use prometheus::Registry;

use crate::config;
use crate::config::Config;
use crate::proxy;
use crate::server;

use super::out;

/// What to do with a configuration.
#[derive(Debug, Subcommand)]
pub(super) enum ConfigCommand {
    /// Read a configuration and everything it names, and say what is wrong
    Check(CheckArgs),
    /// Print the JSON Schema of the configuration, for editors
    Schema,
}

/// Which configuration to check.
#[derive(Debug, Args)]
pub(super) struct CheckArgs {
    /// The configuration file
    #[arg(short, long, env = "HOLDPOINT_CONFIG", value_name = "FILE", default_value = "holdpoint.yaml")]
    config: PathBuf,
}

pub(super) fn run(command: &ConfigCommand) -> anyhow::Result<ExitCode> {
    match command {
        ConfigCommand::Schema => out::line(serde_json::to_string_pretty(&config::schema())?)?,
        ConfigCommand::Check(args) => {
            let config = Config::read(&args.config)?;
            let findings = config.check();
            for finding in &findings {
                out::note(finding.to_string())?;
            }
            let failed = findings.iter().filter(|finding| finding.is_error()).count();
            anyhow::ensure!(failed == 0, "`{}` cannot be used: {failed} errors", args.config.display());
            // What only reading the files can show: policies, keys, certificates, documents.
            server::load(&config, 1, &proxy::Metrics::new(&Registry::new())?)?;
            out::line(format!("{} is fine", args.config.display()))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}
