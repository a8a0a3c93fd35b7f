//! `approve`, `deny`, `ask` and `withdraw`.

use serde_json::Value;
use serde_json::json;

use crate::review::api::Detail;
use crate::review::api::StateName;

use super::client::Client;
use super::client::encode;
use super::details;
use super::failure::Exit;
use super::failure::Failure;
use super::failure::exit_of;
use super::find;
use super::output;
use super::table;
use super::terminal::Terminal;
use super::text;

pub(super) async fn approve(
    client: &Client,
    terminal: &mut Terminal,
    typed: &str,
    digest: Option<&str>,
    reason: Option<String>,
) -> Result<(), Failure> {
    if let Some(digest) = digest {
        check_form(digest)?;
    } else if !terminal.is_interactive() {
        return Err(Failure::usage(
            "nobody is there to be shown the call; look at it with `holdpoint approvals show`, then give its digest with --digest",
        ));
    }
    let id = find::resolve(client, typed).await?;
    let (_, detail) = find::get(client, &id).await?;
    if let Some(digest) = digest {
        check_digest(digest, &detail)?;
        return send(client, terminal, &detail, "approve", reason).await;
    }
    terminal.say(&details::details(&detail, terminal.now()))?;
    may_go_on(&detail)?;
    let reason = match reason {
        None if detail.require_reason => {
            terminal.prompt("The policy wants to know why you approve it: ")?;
            Some(terminal.line().await.unwrap_or_default())
        }
        reason => reason,
    };
    terminal.prompt(CONFIRM)?;
    let digits = terminal.line().await.unwrap_or_default();
    if digits.trim().is_empty() {
        return Err(Failure::error("nothing was typed and nothing was approved"));
    }
    check_form(&digits)?;
    check_digest(&digits, &detail)?;
    send(client, terminal, &detail, "approve", reason).await
}

pub(super) async fn deny(client: &Client, terminal: &mut Terminal, typed: &str, reason: String) -> Result<(), Failure> {
    let id = find::resolve(client, typed).await?;
    let (_, detail) = find::get(client, &id).await?;
    send(client, terminal, &detail, "deny", Some(reason)).await
}

pub(super) async fn ask(
    client: &Client,
    terminal: &mut Terminal,
    typed: &str,
    question: String,
) -> Result<(), Failure> {
    let id = find::resolve(client, typed).await?;
    let (_, detail) = find::get(client, &id).await?;
    send(client, terminal, &detail, "ask", Some(question)).await
}

pub(super) async fn withdraw(
    client: &Client,
    terminal: &mut Terminal,
    typed: &str,
    reason: Option<String>,
) -> Result<(), Failure> {
    let id = find::resolve(client, typed).await?;
    let (_, detail) = find::get(client, &id).await?;
    send(client, terminal, &detail, "withdraw", reason).await
}

/// Says `verdict` about exactly the call in `detail`, and prints where that leads.
pub(super) async fn send(
    client: &Client,
    terminal: &mut Terminal,
    detail: &Detail,
    verdict: &str,
    reason: Option<String>,
) -> Result<(), Failure> {
    let id = &detail.item.id;
    let body =
        json!({ "verdict": verdict, "digest": detail.item.digest, "reason": reason.map_or(Value::Null, Value::from) });
    let target = format!("/v1/approvals/{}/decisions", encode(id));
    let after: Detail = find::understand(&client.post(&target, &body).await?)?;
    terminal.print(&format!("{} {}", output::name(&after.item.id).trim_end(), table::state(after.item.state)))?;
    match (verdict, after.item.state) {
        ("approve", StateName::Pending) => {
            terminal.say(&format!("it still needs others: {}", text::one_line(&table::needs(&after.item.quorum))))?;
        }
        ("approve", StateName::Approved) if !after.item.caller.connected => {
            terminal.say("the agent has disconnected; the call runs once it tries again")?;
        }
        ("ask", _) => terminal.say("the agent is told your question")?,
        _ => {}
    }
    Ok(())
}

/// Stops before somebody types digits that would only be refused.
fn may_go_on(detail: &Detail) -> Result<(), Failure> {
    let can = &detail.item.can_decide;
    let (code, why) = (can.code.as_deref().unwrap_or(""), can.why_not.clone().unwrap_or_default());
    let exit = match code {
        "own-request" | "not-reviewer" | "needs-step-up" => exit_of(code, 403),
        "expired" => Exit::Expired,
        "already-decided" => Exit::Conflict,
        // What is not known here is left to the server.
        _ => return Ok(()),
    };
    Err(Failure::new(exit, format!("{why} ({code})")))
}

/// Whether `given` can be (the beginning of) a digest.
pub(super) fn check_form(given: &str) -> Result<(), Failure> {
    let digits = bare(given);
    if (DIGITS_MIN..=64).contains(&digits.len()) && digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return Ok(());
    }
    let shown = text::one_line(given).into_owned();
    Err(Failure::usage(format!("`{shown}` is no digest; give at least its first {DIGITS_MIN} hex digits")))
}

/// Whether `given` is the beginning of this call's digest.
pub(super) fn check_digest(given: &str, detail: &Detail) -> Result<(), Failure> {
    let own = bare(&detail.item.digest);
    if own.starts_with(&bare(given)) {
        return Ok(());
    }
    let (given, own) = (bare(given), own.chars().take(8).collect::<String>());
    Err(Failure::new(
        Exit::Conflict,
        format!(
            "the digest begins with `{own}` and not with `{given}`: this is another call than the one you have seen; nothing was sent"
        ),
    ))
}

fn bare(digest: &str) -> String {
    let digest = digest.trim();
    digest.strip_prefix("sha256:").unwrap_or(digest).to_ascii_lowercase()
}

/// What is asked before anything is approved.
pub(super) const CONFIRM: &str = "To approve exactly this call, type the first 4 or more digits of its digest: ";

const DIGITS_MIN: usize = 4;
