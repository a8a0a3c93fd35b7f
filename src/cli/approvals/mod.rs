//! `holdpoint approvals`: where reviewers list, look at and decide on approvals.

mod client;
mod decide;
mod show;
mod text;
mod watch;

use std::process::ExitCode;

use clap::Args;
use clap::Subcommand;
use clap::ValueEnum;
use http::StatusCode;
use serde_json::Value;

use crate::server::system_clock;

use super::out;

use client::Client;
use client::Connection;
use client::Refused;

/// What to do with approvals.
#[derive(Debug, Args)]
pub(super) struct ApprovalsArgs {
    #[command(flatten)]
    connection: Connection,
    #[command(subcommand)]
    command: ApprovalsCommand,
}

#[derive(Debug, Subcommand)]
enum ApprovalsCommand {
    /// List approvals, newest first; those that wait unless told otherwise
    #[command(visible_alias = "ls")]
    List(ListArgs),
    /// Show one, with the whole call
    Show(ShowArgs),
    /// Approve one
    Approve(decide::DecideArgs),
    /// Deny one
    Deny(decide::DecideArgs),
    /// Ask the agent something before you decide
    Ask(decide::DecideArgs),
    /// Take back a call that you stand behind
    Withdraw(decide::WithdrawArgs),
    /// Show new ones as they come, and decide from the keyboard
    Watch(watch::WatchArgs),
}

/// Which approvals to list.
#[derive(Debug, Args)]
struct ListArgs {
    /// Only those in these states, such as `pending,approved`; `all` for every state
    #[arg(long, default_value = "pending")]
    state: String,
    /// Only those that you can decide now
    #[arg(long)]
    mine: bool,
    /// Only those of this principal
    #[arg(long, value_name = "ID")]
    principal: Option<String>,
    /// Only those to this upstream
    #[arg(long, value_name = "NAME")]
    upstream: Option<String>,
    /// How many at most
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=500))]
    limit: u32,
    /// How to show them
    #[arg(short, long, value_enum, default_value_t = Form::Table)]
    output: Form,
}

/// Which approval to show.
#[derive(Debug, Args)]
struct ShowArgs {
    /// Its id, or enough of its beginning or end
    id: String,
    /// How to show it
    #[arg(short, long, value_enum, default_value_t = Form::Table)]
    output: Form,
}

/// How data is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Form {
    /// For people
    Table,
    /// For people with wide screens
    Wide,
    /// One JSON document
    Json,
    /// One JSON document a line
    Jsonl,
    /// YAML
    Yaml,
    /// Ids alone
    Name,
}

/// Runs the command. The exit code says how it ended: 0 done, 1 error, 2 usage, 3 not found, 4 not
/// permitted, 5 decided already or another call, 6 a stronger sign-in needed, 7 expired (EDGES E).
pub(super) async fn run(args: ApprovalsArgs) -> anyhow::Result<ExitCode> {
    let client = Client::new(&args.connection)?;
    let done = match args.command {
        ApprovalsCommand::List(args) => list(&client, &args).await,
        ApprovalsCommand::Show(args) => show_one(&client, &args).await,
        ApprovalsCommand::Approve(args) => decide::run(&client, &args, "approve").await,
        ApprovalsCommand::Deny(args) => decide::run(&client, &args, "deny").await,
        ApprovalsCommand::Ask(args) => decide::run(&client, &args, "ask").await,
        ApprovalsCommand::Withdraw(args) => decide::withdraw(&client, &args).await,
        ApprovalsCommand::Watch(args) => watch::run(&client, &args).await,
    };
    match done {
        Ok(code) => Ok(code),
        Err(error) => {
            let code = exit_code(&error);
            out::note(format!("error: {error:#}"))?;
            Ok(ExitCode::from(code))
        }
    }
}

fn exit_code(error: &anyhow::Error) -> u8 {
    if error.is::<decide::Usage>() {
        return 2;
    }
    let Some(refused) = error.downcast_ref::<Refused>() else { return 1 };
    match (refused.status, refused.code.as_str()) {
        (_, "needs-step-up") => 6,
        (StatusCode::NOT_FOUND, _) => 3,
        (StatusCode::FORBIDDEN | StatusCode::UNAUTHORIZED, _) => 4,
        (StatusCode::CONFLICT, _) => 5,
        (StatusCode::GONE, _) => 7,
        _ => 1,
    }
}

async fn list(client: &Client, args: &ListArgs) -> anyhow::Result<ExitCode> {
    let mut query = vec![format!("limit={}", args.limit)];
    if args.state != "all" {
        query.push(format!("state={}", encoded(&args.state)));
    }
    if args.mine {
        query.push("mine=review".to_owned());
    }
    query.extend(args.principal.iter().map(|id| format!("principal={}", encoded(id))));
    query.extend(args.upstream.iter().map(|name| format!("upstream={}", encoded(name))));
    let page = client.get(&format!("/v1/approvals?{}", query.join("&"))).await?;
    let items = page["items"].as_array().cloned().unwrap_or_default();
    match args.output {
        Form::Table | Form::Wide if items.is_empty() => out::note("nothing waits for approval here")?,
        Form::Table | Form::Wide => {
            let wide = args.output == Form::Wide;
            out::line(show::table(&items, system_clock().now(), wide))?;
            if page["next"].is_string() {
                out::note("there are more; raise `--limit`")?;
            }
        }
        Form::Json => out::line(serde_json::to_string_pretty(&page)?)?,
        Form::Jsonl => items.iter().try_for_each(out::json)?,
        Form::Yaml => out::line(serde_saphyr::to_string(&page)?.trim_end())?,
        Form::Name => items.iter().try_for_each(|item| out::line(show::text(item, "id")))?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn show_one(client: &Client, args: &ShowArgs) -> anyhow::Result<ExitCode> {
    let item = find(client, &args.id).await?;
    print(&item, args.output)?;
    Ok(ExitCode::SUCCESS)
}

fn print(item: &Value, form: Form) -> anyhow::Result<()> {
    match form {
        Form::Table | Form::Wide => out::line(show::detail(item, system_clock().now()))?,
        Form::Json => out::line(serde_json::to_string_pretty(item)?)?,
        Form::Jsonl => out::json(item)?,
        Form::Yaml => out::line(serde_saphyr::to_string(item)?.trim_end())?,
        Form::Name => out::line(show::text(item, "id"))?,
    }
    Ok(())
}

/// The approval that `text` names: its whole id, or a beginning or end that only one of those that
/// wait has.
async fn find(client: &Client, text: &str) -> anyhow::Result<Value> {
    let whole = text.len() == "apr_".len() + 32;
    let plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if !plain || text.is_empty() {
        return Err(decide::Usage(format!("`{}` is not an id of an approval", text::visible(text))).into());
    }
    if whole {
        return client.get(&format!("/v1/approvals/{text}")).await;
    }
    let page = client.get("/v1/approvals?state=pending,approved&limit=500").await?;
    let ids = page["items"].as_array().into_iter().flatten().map(|item| show::text(item, "id"));
    let fitting: Vec<String> = ids
        .filter(|id| id.starts_with(text) || id.trim_start_matches("apr_").starts_with(text) || id.ends_with(text))
        .collect();
    match fitting.as_slice() {
        [id] => client.get(&format!("/v1/approvals/{id}")).await,
        [] => Err(decide::Usage(format!("no approval that waits is called `{text}`; give its whole id")).into()),
        several => Err(decide::Usage(format!("`{text}` fits {} approvals; give more of the id", several.len())).into()),
    }
}

fn encoded(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}
