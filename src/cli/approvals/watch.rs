//! `holdpoint approvals watch`: new ones as they come, decided from the keyboard.

use std::collections::VecDeque;
use std::io;
use std::io::IsTerminal;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde_json::Value;
use tokio::sync::mpsc;

use crate::server::system_clock;

use super::super::out;
use super::Form;
use super::client::Client;
use super::client::Refused;
use super::decide;
use super::show;

/// How to watch.
#[derive(Debug, Args)]
pub(super) struct WatchArgs {
    /// Only those that you can decide
    #[arg(long)]
    mine: bool,
    /// How to show them
    #[arg(short, long, value_enum, default_value_t = Form::Table)]
    output: Form,
    /// Only show; do not ask for decisions, even on a terminal
    #[arg(long)]
    no_input: bool,
}

pub(super) async fn run(client: &Client, args: &WatchArgs) -> anyhow::Result<ExitCode> {
    let mut watch = Watch { client, args, last: None, waiting: VecDeque::new(), keyboard: keyboard(args) };
    let mut wait = RECONNECT_FIRST;
    loop {
        match watch.listen().await {
            Ok(()) => wait = RECONNECT_FIRST,
            // What the server says no to does not get better by asking again.
            Err(error) if error.is::<Refused>() => return Err(error),
            Err(error) => out::note(format!("{error:#}; trying again"))?,
        }
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(RECONNECT_MAX);
    }
}

struct Watch<'a> {
    client: &'a Client,
    args: &'a WatchArgs,
    /// The id of the last event, to go on behind it.
    last: Option<String>,
    /// Those that the person has not answered.
    waiting: VecDeque<Value>,
    keyboard: Option<mpsc::Receiver<String>>,
}

impl Watch<'_> {
    /// Shows what waits, then what comes, until the connection breaks.
    async fn listen(&mut self) -> anyhow::Result<()> {
        let first = self.last.is_none();
        let mut events = Events::new(self.client.listen("/v1/events", self.last.as_deref()).await?);
        if first {
            let mine = if self.args.mine { "&mine=review" } else { "" };
            let page = self.client.get(&format!("/v1/approvals?state=pending&limit=500{mine}")).await?;
            // Oldest first: it has waited longest.
            for item in page["items"].as_array().into_iter().flatten().rev() {
                self.show(&super::show::text(item, "id")).await?;
            }
        }
        loop {
            tokio::select! {
                event = events.next() => match event? {
                    Some(event) => self.heard(event).await?,
                    None => return Ok(()),
                },
                line = typed(&mut self.keyboard) => self.typed(&line).await?,
            }
        }
    }

    async fn heard(&mut self, event: Heard) -> anyhow::Result<()> {
        if let Some(id) = event.id {
            self.last = Some(id);
        }
        let id = show::text(&event.data, "approval");
        match event.kind.as_str() {
            "" => Ok(()),
            "approval.created" | "approval.answered" => self.show(&id).await,
            "approval.decided" | "approval.caller_left" | "approval.caller_joined" | "approval.asked" => Ok(()),
            kind => {
                self.waiting.retain(|item| show::text(item, "id") != id);
                match self.args.output {
                    Form::Table | Form::Wide => out::line(format!("{id} {}", kind.trim_start_matches("approval."))),
                    Form::Json | Form::Jsonl | Form::Yaml => out::line(event.data.to_string()),
                    Form::Name => Ok(()),
                }?;
                Ok(())
            }
        }
    }

    async fn show(&mut self, id: &str) -> anyhow::Result<()> {
        let item = self.client.get(&format!("/v1/approvals/{id}")).await?;
        let decidable = item.pointer("/can_decide/allowed") == Some(&Value::Bool(true));
        if show::text(&item, "state") != "pending" || (self.args.mine && !decidable) {
            return Ok(());
        }
        match self.args.output {
            Form::Json | Form::Jsonl => out::json(&item)?,
            Form::Yaml => out::line(format!("---\n{}", serde_saphyr::to_string(&item)?.trim_end()))?,
            Form::Name => out::line(id)?,
            Form::Table | Form::Wide if self.keyboard.is_none() => {
                out::line(show::table(std::slice::from_ref(&item), system_clock().now(), true))?;
            }
            Form::Table | Form::Wide => {}
        }
        if self.keyboard.is_some() && decidable && !self.waiting.iter().any(|known| known["id"] == item["id"]) {
            self.waiting.push_back(item);
            if self.waiting.len() == 1 {
                self.prompt()?;
            } else {
                out::note(format!("({} more wait behind this one)", self.waiting.len() - 1))?;
            }
        }
        Ok(())
    }

    fn prompt(&self) -> anyhow::Result<()> {
        let Some(item) = self.waiting.front() else { return Ok(out::note("nothing waits; watching")?) };
        out::note(format!("\n{}\n", show::detail(item, system_clock().now())))?;
        let digest = show::short_digest(item);
        Ok(out::note(format!(
            "a {digest} [why] approves, d WHY denies, q QUESTION asks, s skips; for `a`, type at least 4 digits of the digest"
        ))?)
    }

    async fn typed(&mut self, line: &str) -> anyhow::Result<()> {
        let Some(item) = self.waiting.front().cloned() else { return Ok(()) };
        let (word, rest) = line.trim().split_once(' ').unwrap_or((line.trim(), ""));
        let rest = rest.trim();
        let sent = match (word, rest) {
            ("s", _) => {
                self.waiting.pop_front();
                return self.prompt();
            }
            ("a", rest) => {
                let (prefix, why) = rest.split_once(' ').unwrap_or((rest, ""));
                match decide::matching(&item, prefix) {
                    Ok(digest) => {
                        let why = Some(why.trim()).filter(|why| !why.is_empty());
                        decide::send(self.client, &item, "approve", &digest, why).await
                    }
                    Err(error) => Err(error),
                }
                .map(|decided| decide::outcome(&decided, "approve"))
            }
            ("d" | "q", "") => return Ok(out::note("say it behind the letter")?),
            ("d", why) => self.say(&item, "deny", why).await,
            ("q", question) => self.say(&item, "ask", question).await,
            _ => return self.prompt(),
        };
        match sent {
            Ok(outcome) => {
                out::note(outcome)?;
                self.waiting.pop_front();
                self.prompt()
            }
            // It stays in front; the person may try again or skip it.
            Err(error) => Ok(out::note(format!("{error:#}"))?),
        }
    }

    async fn say(&self, item: &Value, verdict: &str, text: &str) -> anyhow::Result<String> {
        let digest = show::text(item, "digest");
        let decided = decide::send(self.client, item, verdict, &digest, Some(text)).await?;
        Ok(decide::outcome(&decided, verdict))
    }
}

/// Lines that a person types, where there is one.
fn keyboard(args: &WatchArgs) -> Option<mpsc::Receiver<String>> {
    if args.no_input || !io::stdin().is_terminal() || !matches!(args.output, Form::Table | Form::Wide) {
        return None;
    }
    let (lines, typed) = mpsc::channel(1);
    // A thread, since reading a terminal cannot be cancelled; it ends with the process.
    std::thread::spawn(move || {
        for line in io::stdin().lines().map_while(Result::ok) {
            if lines.blocking_send(line).is_err() {
                return;
            }
        }
    });
    Some(typed)
}

async fn typed(keyboard: &mut Option<mpsc::Receiver<String>>) -> String {
    let Some(keyboard) = keyboard else { return std::future::pending().await };
    match keyboard.recv().await {
        Some(line) => line,
        None => std::future::pending().await,
    }
}

/// One server-sent event.
#[derive(Debug, Default, PartialEq)]
struct Heard {
    id: Option<String>,
    kind: String,
    data: Value,
}

struct Events {
    body: Incoming,
    buffer: String,
}

impl Events {
    fn new(body: Incoming) -> Self {
        Self { body, buffer: String::new() }
    }

    /// The next event; `None` when the connection has ended.
    async fn next(&mut self) -> anyhow::Result<Option<Heard>> {
        loop {
            if let Some(end) = self.buffer.find("\n\n") {
                let block: String = self.buffer.drain(..end + 2).collect();
                return Ok(Some(parse(&block)));
            }
            anyhow::ensure!(self.buffer.len() < EVENT_BYTES_MAX, "an event is too long");
            let Some(frame) = self.body.frame().await else { return Ok(None) };
            if let Ok(data) = frame?.into_data() {
                self.buffer.push_str(&String::from_utf8_lossy(&data));
            }
        }
    }
}

/// The fields that are ours (HTML Living Standard §9.2.6).
fn parse(block: &str) -> Heard {
    let mut heard = Heard::default();
    for line in block.lines() {
        let Some((name, value)) = line.split_once(':') else { continue };
        let value = value.strip_prefix(' ').unwrap_or(value);
        match name {
            "id" => heard.id = Some(value.to_owned()),
            "event" => value.clone_into(&mut heard.kind),
            "data" => heard.data = serde_json::from_str(value).unwrap_or_default(),
            _ => {}
        }
    }
    heard
}

const RECONNECT_FIRST: Duration = Duration::from_millis(500);
const RECONNECT_MAX: Duration = Duration::from_secs(10);
const EVENT_BYTES_MAX: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_event_has_an_id_a_kind_and_data() {
        let heard = parse("id: 7\nevent: approval.created\ndata: {\"approval\":\"apr_1\"}\n\n");
        let expected = Heard {
            id: Some("7".to_owned()),
            kind: "approval.created".to_owned(),
            data: json!({ "approval": "apr_1" }),
        };
        assert_eq!(heard, expected);
        assert_eq!(parse(": heartbeat\n\n"), Heard::default());
    }
}
