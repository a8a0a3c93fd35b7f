//! Approve, deny, ask, withdraw: with the call looked at first.

use std::io;
use std::io::IsTerminal;
use std::process::ExitCode;

use clap::Args;
use serde_json::Value;
use serde_json::json;

use crate::server::system_clock;

use super::super::out;
use super::Form;
use super::client::Client;
use super::find;
use super::print;
use super::show;

/// What to decide on.
#[derive(Debug, Args)]
pub(super) struct DecideArgs {
    /// Its id, or enough of its beginning or end
    id: String,
    /// The first digits of the digest of the call that you have looked at, at least 4
    #[arg(long, value_name = "HEX")]
    digest: Option<String>,
    /// Why; with `ask`, the question. `-` reads it from standard input
    #[arg(short = 'm', long = "message", value_name = "TEXT")]
    message: Option<String>,
    /// How to show the result
    #[arg(short, long, value_enum)]
    output: Option<Form>,
}

/// What to take back.
#[derive(Debug, Args)]
pub(super) struct WithdrawArgs {
    /// Its id, or enough of its beginning or end
    id: String,
    /// Why
    #[arg(short = 'm', long = "message", value_name = "TEXT")]
    message: Option<String>,
}

/// The command was not understood.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Usage(pub(super) String);

pub(super) async fn run(client: &Client, args: &DecideArgs, verdict: &str) -> anyhow::Result<ExitCode> {
    let message = message(args.message.as_deref())?;
    if matches!(verdict, "ask" | "deny") && message.is_none() {
        let what = if verdict == "ask" { "your question" } else { "the reason, which the agent is told" };
        return Err(Usage(format!("say {what}: `-m TEXT`")).into());
    }
    let item = find(client, &args.id).await?;
    let digest = match &args.digest {
        Some(prefix) => matching(&item, prefix)?,
        None => confirm(&item, verdict)?,
    };
    let decided = send(client, &item, verdict, &digest, message.as_deref()).await?;
    match args.output {
        Some(form) => print(&decided, form)?,
        None => out::note(outcome(&decided, verdict))?,
    }
    Ok(ExitCode::SUCCESS)
}

pub(super) async fn withdraw(client: &Client, args: &WithdrawArgs) -> anyhow::Result<ExitCode> {
    let item = find(client, &args.id).await?;
    let path = format!("/v1/approvals/{}/cancel", show::text(&item, "id"));
    let decided = client.post(&path, &json!({ "reason": args.message })).await?;
    out::note(outcome(&decided, "withdraw"))?;
    Ok(ExitCode::SUCCESS)
}

/// Sends a verdict on the call that was looked at.
pub(super) async fn send(
    client: &Client,
    item: &Value,
    verdict: &str,
    digest: &str,
    message: Option<&str>,
) -> anyhow::Result<Value> {
    let path = format!("/v1/approvals/{}/decisions", show::text(item, "id"));
    client.post(&path, &json!({ "verdict": verdict, "digest": digest, "reason": message })).await
}

/// The whole digest, if it begins with what was given.
pub(super) fn matching(item: &Value, prefix: &str) -> anyhow::Result<String> {
    let digest = show::text(item, "digest");
    let prefix = prefix.trim().trim_start_matches("sha256:").to_ascii_lowercase();
    if prefix.len() < DIGITS_MIN || !prefix.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(Usage(format!("give at least {DIGITS_MIN} digits of the digest that `show` prints")).into());
    }
    if !digest.trim_start_matches("sha256:").starts_with(&prefix) {
        return Err(Usage(format!(
            "the call has the digest {}, not `{prefix}`; look at it again before you decide",
            show::short_digest(item)
        ))
        .into());
    }
    Ok(digest)
}

/// Shows the call and asks for its digest: nobody approves what they have not looked at.
fn confirm(item: &Value, verdict: &str) -> anyhow::Result<String> {
    if !io::stdin().is_terminal() {
        let hint = format!("name the call that you have looked at: `--digest {}`", show::short_digest(item));
        return Err(Usage(hint).into());
    }
    out::note(show::detail(item, system_clock().now()))?;
    out::note(format!(
        "\nTo {verdict} exactly this call, type the first {DIGITS_MIN} digits of its digest ({}):",
        show::short_digest(item)
    ))?;
    let mut typed = String::new();
    io::stdin().read_line(&mut typed)?;
    if typed.trim().is_empty() {
        return Err(Usage("nothing was decided".to_owned()).into());
    }
    matching(item, &typed)
}

fn message(given: Option<&str>) -> anyhow::Result<Option<String>> {
    match given {
        Some("-") => Ok(Some(io::read_to_string(io::stdin())?.trim().to_owned())),
        Some(text) => Ok(Some(text.to_owned())),
        None => Ok(None),
    }
}

pub(super) fn outcome(decided: &Value, verdict: &str) -> String {
    let id = show::text(decided, "id");
    match (verdict, show::text(decided, "state").as_str()) {
        ("ask", _) => format!("asked; the agent has been told ({id})"),
        ("approve", "pending") => {
            let have = decided.pointer("/quorum/have").and_then(Value::as_u64).unwrap_or_default();
            let needed = decided.pointer("/quorum/needed").and_then(Value::as_u64).unwrap_or_default();
            format!("your approval counts; {have} of {needed} are in ({id})")
        }
        ("approve", "approved") if decided["caller_connected"] == false => {
            format!("approved; its caller is gone, so it runs when the caller comes again ({id})")
        }
        (_, state) => format!("{state} ({id})"),
    }
}

const DIGITS_MIN: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_of_four_digits_is_enough_and_three_are_not() {
        let item = json!({ "digest": "sha256:3f9a77c1aa" });
        for good in ["3f9a", "3F9A77c1", "sha256:3f9a7"] {
            assert_eq!(matching(&item, good).unwrap(), "sha256:3f9a77c1aa", "{good}");
        }
        for bad in ["3f9", "", "3f9b", "zzzz", "3f9a77c1aabb"] {
            assert!(matching(&item, bad).unwrap_err().is::<Usage>(), "{bad}");
        }
    }
}
