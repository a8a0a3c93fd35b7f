//! `holdpoint serve`.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;

use crate::config::Config;
use crate::server;
use crate::server::Source;
use crate::telemetry::Telemetry;

/// How to run the proxy.
#[derive(Debug, Args)]
pub(super) struct ServeArgs {
    /// The configuration file
    #[arg(short, long, env = "HOLDPOINT_CONFIG", value_name = "FILE", default_value = "holdpoint.yaml")]
    config: PathBuf,
}

pub(super) fn run(args: &ServeArgs) -> anyhow::Result<ExitCode> {
    let path = args.config.clone();
    let source: Source = Arc::new(move || Config::read(&path));
    let config = source()?;
    let log = &config.telemetry.log;
    let guard = Telemetry::init(log.format, &log.level)?;
    for finding in config.check() {
        if finding.is_error() {
            anyhow::bail!("{finding}");
        }
        tracing::warn!("{finding}");
    }
    server::serve(source, server::system_clock(), &guard, |_| {})?;
    Ok(ExitCode::SUCCESS)
}
