//! `holdpoint serve`.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;

use crate::config::Config;
use crate::server;
use crate::server::Inherited;
use crate::server::Launch;
use crate::server::Source;
use crate::telemetry::Telemetry;

/// How to run the proxy.
#[derive(Debug, Args)]
pub(super) struct ServeArgs {
    /// The configuration file
    #[arg(short, long, env = "HOLDPOINT_CONFIG", value_name = "FILE", default_value = "holdpoint.yaml")]
    config: PathBuf,
    /// Take the place of the process that has the store now, without refusing a connection
    ///
    /// The new process reads its configuration first, then gets the running one's listening sockets and has
    /// it end: calls that run may end within `limits.drain_timeout`, held callers are told to come again, new
    /// connections wait. Both must run as the same user and use the same store. Where none runs, this one just
    /// starts.
    #[arg(long)]
    take_over: bool,
}

pub(super) fn run(args: &ServeArgs) -> anyhow::Result<ExitCode> {
    // First of all: it changes the environment, which other threads may read.
    let launch = Launch { inherited: Inherited::from_system()?, take_over: args.take_over };
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
    server::serve(source, launch, server::system_clock(), &guard, |_| {})?;
    Ok(ExitCode::SUCCESS)
}
