//! `holdpoint audit`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use clap::Subcommand;
use clap::ValueEnum;

use crate::audit;
use crate::audit::Start;
use crate::config::Config;

use super::approvals::Exit;
use super::out;

/// What to do with the audit log.
#[derive(Debug, Subcommand)]
pub(super) enum AuditCommand {
    /// Print the latest events, one JSON object on a line
    Tail(TailArgs),
    /// Verify the log offline: signatures, hashes, history, quorum and separation of duties
    Verify(VerifyArgs),
}

/// Where the log is.
#[derive(Debug, Args)]
struct Place {
    /// The log's folder; else the one that the configuration names
    #[arg(long, value_name = "DIR")]
    path: Option<PathBuf>,
    /// The configuration file
    #[arg(short, long, env = "HOLDPOINT_CONFIG", value_name = "FILE", default_value = "holdpoint.yaml")]
    config: PathBuf,
}

/// Which events to print.
#[derive(Debug, Args)]
pub(super) struct TailArgs {
    #[command(flatten)]
    place: Place,
    /// How many of the latest events
    #[arg(short = 'n', long, default_value_t = 10)]
    lines: u64,
    /// From this event on instead, counted from 0
    #[arg(long, value_name = "INDEX", conflicts_with = "lines")]
    from: Option<u64>,
    /// Go on with new events as they come
    #[arg(short, long)]
    follow: bool,
}

/// What to verify against.
#[derive(Debug, Args)]
pub(super) struct VerifyArgs {
    #[command(flatten)]
    place: Place,
    /// The verifier key that you kept from elsewhere; without it only the log's own word is checked
    #[arg(long, value_name = "VKEY")]
    vkey: Option<String>,
    /// A file with an earlier checkpoint that you kept; the log must be a continuation of it
    #[arg(long, value_name = "FILE")]
    checkpoint: Option<PathBuf>,
    /// How to show the result
    #[arg(short, long, value_enum, default_value_t = Form::Text)]
    output: Form,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Form {
    Text,
    Json,
}

pub(super) fn run(command: &AuditCommand) -> anyhow::Result<ExitCode> {
    match command {
        AuditCommand::Tail(args) => tail(args),
        AuditCommand::Verify(args) => verify(args),
    }
}

impl Place {
    fn folder(&self) -> anyhow::Result<PathBuf> {
        match &self.path {
            Some(path) => Ok(path.clone()),
            None => {
                let hint = || "where the log is is not known; name its folder with `--path`, or the configuration with `--config`";
                Ok(Config::read(&self.config).with_context(hint)?.audit.path)
            }
        }
    }
}

fn tail(args: &TailArgs) -> anyhow::Result<ExitCode> {
    let folder = args.place.folder()?;
    let mut next = match args.from {
        Some(index) => index,
        None => audit::size(&folder)?.saturating_sub(args.lines),
    };
    loop {
        for entry in audit::tail(&folder, Start::Index(next))? {
            let (index, leaf) = entry?;
            out::line(String::from_utf8_lossy(&leaf))?;
            next = index + 1;
        }
        if !args.follow {
            return Ok(ExitCode::SUCCESS);
        }
        wait_for_more(&folder, next)?;
    }
}

/// Returns once the log has more than `size` events.
fn wait_for_more(folder: &std::path::Path, size: u64) -> anyhow::Result<()> {
    use notify::Watcher;
    let (changed, changes) = std::sync::mpsc::channel();
    let mut watcher = notify::recommended_watcher(move |event| {
        // The receiver lives as long as this watcher.
        let _ = changed.send(event);
    })?;
    watcher.watch(folder, notify::RecursiveMode::Recursive)?;
    while audit::size(folder)? <= size {
        changes.recv()??;
    }
    Ok(())
}

fn verify(args: &VerifyArgs) -> anyhow::Result<ExitCode> {
    let folder = args.place.folder()?;
    let checkpoint = args.checkpoint.as_ref().map(|path| {
        std::fs::read_to_string(path).with_context(|| format!("the checkpoint `{}` cannot be read", path.display()))
    });
    let report = audit::verify(&folder, args.vkey.as_deref(), checkpoint.transpose()?.as_deref())?;
    match args.output {
        Form::Text => out::line(report.to_string())?,
        Form::Json => out::json(&report)?,
    }
    Ok(if report.ok { ExitCode::SUCCESS } else { ExitCode::from(Exit::NotVerified as u8) })
}
