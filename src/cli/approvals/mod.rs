//! `holdpoint approvals`: what a reviewer does from a terminal, over the admin API.
//!
//! Data goes to stdout and everything else to stderr. Whatever an agent may have written passes
//! through [`text`] before it reaches a terminal. Nothing is approved unseen: on a terminal the
//! whole call is shown and its digest typed in; without one the digest is an argument.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use clap::Subcommand;
use clap::ValueEnum;

use crate::review::api::Detail;

mod body;
mod client;
mod decide;
mod details;
mod failure;
mod feed;
mod find;
mod list;
mod output;
mod sse;
mod table;
mod terminal;
pub(super) mod text;
mod watch;

#[cfg(test)]
mod tests;

pub(super) use client::Client;
pub(super) use failure::Exit;
pub(super) use failure::Failure;
pub(super) use find::understand;
pub(super) use terminal::Terminal;

/// Review the calls that agents are waiting with.
#[derive(Clone, Debug, Args)]
pub(super) struct ApprovalsArgs {
    /// Where the admin API is.
    #[command(flatten)]
    pub connection: ConnectionArgs,
    /// What to do.
    #[command(subcommand)]
    pub command: ApprovalsCommand,
}

/// How to reach the admin API, and as whom. The token is read from `--token-file` or from the
/// environment variable HOLDPOINT_TOKEN, and else is that of the session that `holdpoint login` has
/// begun; it is never an argument, which other users could see.
#[derive(Clone, Debug, Args)]
pub(super) struct ConnectionArgs {
    /// The admin API; plain http only to this machine itself.
    #[arg(long, global = true, env = "HOLDPOINT_SERVER", default_value = "https://127.0.0.1:9443", value_name = "URL")]
    pub server: String,
    /// A file that holds your token; if not given, it is taken from HOLDPOINT_TOKEN or `login`.
    #[arg(long, global = true, env = "HOLDPOINT_TOKEN_FILE", value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// The certificates (PEM) to trust, instead of those of the system.
    #[arg(long, global = true, env = "HOLDPOINT_CA", value_name = "FILE")]
    pub ca: Option<PathBuf>,
}

/// What can be done with approvals.
#[derive(Clone, Debug, Subcommand)]
pub(super) enum ApprovalsCommand {
    /// List approvals, newest first.
    List {
        /// Only those in these states, separated by commas; `all` for every state.
        #[arg(long, default_value = "pending", value_name = "STATES")]
        state: String,
        /// Only those that you may review now.
        #[arg(long)]
        mine: bool,
        /// How many at most.
        #[arg(long, default_value_t = 500, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
        limit: u32,
        /// In which form.
        #[arg(short, long, value_enum, default_value_t = Output::Table)]
        output: Output,
    },
    /// Show one approval with the whole call.
    Show {
        /// The approval: its id, or the beginning or end of the id of a pending one.
        id: String,
        /// In which form.
        #[arg(short, long, value_enum, default_value_t = Output::Table)]
        output: Output,
    },
    /// Fetch the whole body of a call, as the agent wrote it; on a terminal, made safe to look at.
    Body {
        /// The approval: its id, or the beginning or end of the id of a pending one.
        id: String,
        /// Save it in this file, which must not exist yet; if not given, it goes to stdout.
        #[arg(long, value_name = "FILE")]
        output_file: Option<PathBuf>,
    },
    /// Let a call run, once you have seen exactly what it is.
    Approve {
        /// The approval: its id, or the beginning or end of the id of a pending one.
        id: String,
        /// The digest of the call you have seen, or at least its first 4 hex digits.
        #[arg(long, value_name = "HEX")]
        digest: Option<String>,
        /// Why.
        #[arg(short = 'm', long, value_name = "TEXT")]
        reason: Option<String>,
    },
    /// Refuse a call; the agent is told the reason.
    Deny {
        /// The approval: its id, or the beginning or end of the id of a pending one.
        id: String,
        /// Why, for the agent to read.
        #[arg(short = 'm', long, value_name = "TEXT")]
        reason: String,
    },
    /// Ask the agent something before you decide.
    Ask {
        /// The approval: its id, or the beginning or end of the id of a pending one.
        id: String,
        /// The question, for the agent to read.
        #[arg(short = 'm', long, value_name = "TEXT")]
        question: String,
    },
    /// Take back a call of an agent that you answer for.
    Withdraw {
        /// The approval: its id, or the beginning or end of the id of a pending one.
        id: String,
        /// Why.
        #[arg(short = 'm', long, value_name = "TEXT")]
        reason: Option<String>,
    },
    /// Show what is pending and what comes; on a terminal, decide it from the keyboard.
    Watch {
        /// Only those that you may review now.
        #[arg(long)]
        mine: bool,
        /// In which form: `table` prints a line for people, `jsonl` one JSON object a line.
        #[arg(short, long, value_enum, default_value_t = Output::Table)]
        output: Output,
    },
}

/// In which form to print.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Output {
    /// For people.
    Table,
    /// For people with wide terminals.
    Wide,
    /// As the API says it.
    Json,
    /// As JSON, one object a line.
    Jsonl,
    /// As YAML.
    Yaml,
    /// Only the ids.
    Name,
}

/// Does what `args` say. What went wrong is printed to the terminal's stderr and told by the exit
/// code.
///
/// # Errors
/// Only if not even that can be printed.
pub(super) async fn run(args: ApprovalsArgs, terminal: &mut Terminal) -> anyhow::Result<ExitCode> {
    Ok(ExitCode::from(execute(args, terminal).await? as u8))
}

/// One approval with the whole call, for other commands.
///
/// # Errors
/// What the server or the way to it has against it.
pub(super) async fn fetch(connection: &ConnectionArgs, terminal: &Terminal, id: &str) -> anyhow::Result<Detail> {
    let client = terminal.client(connection).map_err(|failure| anyhow::anyhow!(failure.message))?;
    let target = format!("/v1/approvals/{}", client::encode(id));
    let answer = client.get(&target).await.map_err(|failure| anyhow::anyhow!(failure.message))?;
    serde_json::from_value(answer).context("the approval cannot be read; is the server of the same version?")
}

async fn execute(args: ApprovalsArgs, terminal: &mut Terminal) -> anyhow::Result<Exit> {
    match dispatch(args, terminal).await {
        Ok(()) => Ok(Exit::Ok),
        Err(failure) => {
            terminal.complain(&failure)?;
            Ok(failure.exit)
        }
    }
}

async fn dispatch(args: ApprovalsArgs, terminal: &mut Terminal) -> Result<(), Failure> {
    let client = terminal.client(&args.connection)?;
    match args.command {
        ApprovalsCommand::List { state, mine, limit, output } => {
            list::list(&client, terminal, &state, mine, limit as usize, output).await
        }
        ApprovalsCommand::Show { id, output } => list::show(&client, terminal, &id, output).await,
        ApprovalsCommand::Body { id, output_file } => body::body(&client, terminal, &id, output_file.as_deref()).await,
        ApprovalsCommand::Approve { id, digest, reason } => {
            decide::approve(&client, terminal, &id, digest.as_deref(), reason).await
        }
        ApprovalsCommand::Deny { id, reason } => decide::deny(&client, terminal, &id, reason).await,
        ApprovalsCommand::Ask { id, question } => decide::ask(&client, terminal, &id, question).await,
        ApprovalsCommand::Withdraw { id, reason } => decide::withdraw(&client, terminal, &id, reason).await,
        ApprovalsCommand::Watch { mine, output } => watch::watch(client, terminal, mine, output).await,
    }
}
