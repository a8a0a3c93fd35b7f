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
    /// Print the events about one approval or call, or prove one of them
    Show(ShowArgs),
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

/// Which events to print.
#[derive(Debug, Args)]
pub(super) struct ShowArgs {
    #[command(flatten)]
    place: Place,
    /// The id of an approval, a call, a decision or an event
    #[arg(value_name = "ID")]
    id: String,
    /// Print proof (C2SP tlog-proof) that the event is in the log; of several, the last one, which
    /// for an approval commits to those before
    #[arg(long)]
    proof: bool,
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
    /// A file with proof of one event, as `audit show --proof` prints it: verifies this alone, and
    /// needs no log
    #[arg(long, value_name = "FILE", requires = "vkey", conflicts_with_all = ["checkpoint", "path"])]
    proof: Option<PathBuf>,
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
        AuditCommand::Show(args) => show(args),
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

fn show(args: &ShowArgs) -> anyhow::Result<ExitCode> {
    let folder = args.place.folder()?;
    let mut last = None;
    for entry in audit::tail(&folder, Start::Index(0))? {
        let (index, leaf) = entry?;
        if !is_about(&leaf, &args.id) {
            continue;
        }
        last = Some(index);
        if !args.proof {
            out::line(String::from_utf8_lossy(&leaf))?;
        }
    }
    let Some(last) = last else {
        out::note(format!("no event in the log is about `{}`", args.id.escape_debug()))?;
        return Ok(ExitCode::from(Exit::NotFound as u8));
    };
    if args.proof {
        out::text(audit::prove(&folder, last)?.to_string())?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Whether an event is what `id` names, or is about it.
fn is_about(leaf: &[u8], id: &str) -> bool {
    // Looking for the bytes first spares reading most of the log as JSON.
    if memchr::memmem::find(leaf, id.as_bytes()).is_none() {
        return false;
    }
    let Ok(event) = serde_json::from_slice::<serde_json::Value>(leaf) else { return false };
    let data = ["call", "decision", "approval"].map(|name| &event["data"][name]);
    [&event["id"], &event["subject"]].into_iter().chain(data).any(|named| named == id)
}

fn verify_proof(path: &std::path::Path, vkey: &str, form: Form) -> anyhow::Result<ExitCode> {
    let name = path.display();
    let text = std::fs::read_to_string(path).with_context(|| format!("the proof `{name}` cannot be read"))?;
    let proven = match audit::Proof::verify(&text, vkey) {
        Ok(proven) => proven,
        Err(audit::ProofError::Vkey(error)) => return Err(error).context("the verifier key cannot be used"),
        Err(error) => {
            out::note(format!("`{name}` proves nothing: {error}"))?;
            return Ok(ExitCode::from(Exit::NotVerified as u8));
        }
    };
    match form {
        Form::Text => {
            let (origin, index, size) = (&proven.origin, proven.index, proven.size);
            out::line(format!("proven: event {index} of the {size} in the log `{origin}`, counted from 0"))?;
            out::line(&proven.leaf)?;
        }
        Form::Json => out::json(&serde_json::json!({
            "ok": true, "origin": proven.origin, "index": proven.index, "size": proven.size,
            "event": serde_json::from_str::<serde_json::Value>(&proven.leaf)?,
        }))?,
    }
    Ok(ExitCode::SUCCESS)
}

fn verify(args: &VerifyArgs) -> anyhow::Result<ExitCode> {
    if let (Some(proof), Some(vkey)) = (&args.proof, &args.vkey) {
        return verify_proof(proof, vkey, args.output);
    }
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
