//! `list` and `show`.

use super::Output;
use super::client::Client;
use super::details;
use super::failure::Failure;
use super::find;
use super::output;
use super::table;
use super::terminal::Terminal;

pub(super) async fn list(
    client: &Client,
    terminal: &mut Terminal,
    states: &str,
    mine: bool,
    limit: usize,
    form: Output,
) -> Result<(), Failure> {
    let listed = find::list(client, states, mine, limit).await?;
    let text = match form {
        Output::Table | Output::Wide => table::table(&listed.items, terminal.now(), form == Output::Wide),
        Output::Json => output::json(&serde_json::json!({ "items": listed.raw })),
        Output::Jsonl => listed.raw.iter().map(output::json_line).collect(),
        Output::Yaml => output::yaml(&serde_json::json!({ "items": listed.raw }))?,
        Output::Name => listed.items.iter().map(|item| output::name(&item.id)).collect(),
    };
    terminal.print(&text)?;
    if listed.items.is_empty() && matches!(form, Output::Table | Output::Wide) {
        terminal.say(if mine { "nothing waits for your review" } else { "there are none" })?;
    }
    if listed.more {
        terminal.say(&format!("there are more than {limit}; raise --limit to see them"))?;
    }
    Ok(())
}

pub(super) async fn show(client: &Client, terminal: &mut Terminal, typed: &str, form: Output) -> Result<(), Failure> {
    let id = find::resolve(client, typed).await?;
    let (raw, detail) = find::get(client, &id).await?;
    let text = match form {
        Output::Table | Output::Wide => details::details(&detail, terminal.now()),
        Output::Json => output::json(&raw),
        Output::Jsonl => output::json_line(&raw),
        Output::Yaml => output::yaml(&raw)?,
        Output::Name => output::name(&detail.item.id),
    };
    Ok(terminal.print(&text)?)
}
