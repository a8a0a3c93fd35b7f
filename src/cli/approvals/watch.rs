//! `watch`: what is pending, and what comes. On a terminal, one after the other can be decided.

use std::collections::HashSet;
use std::collections::VecDeque;

use serde_json::Value;
use serde_json::json;

use crate::review::api::Detail;
use crate::review::api::Item;
use crate::review::api::StateName;

use super::Output;
use super::client::Client;
use super::decide;
use super::details;
use super::failure::Exit;
use super::failure::Failure;
use super::feed::Feed;
use super::feed::Told;
use super::find;
use super::output;
use super::table;
use super::terminal::Terminal;
use super::text;

pub(super) async fn watch(client: Client, terminal: &mut Terminal, mine: bool, form: Output) -> Result<(), Failure> {
    let json = match form {
        Output::Table | Output::Wide => false,
        Output::Jsonl => true,
        Output::Json | Output::Yaml | Output::Name => {
            return Err(Failure::usage("`watch` never ends, so it prints one line each; use -o table or -o jsonl"));
        }
    };
    let interactive = terminal.is_interactive() && !json;
    let mut feed = Feed::start(client.clone());
    let mut watch =
        Watch { client, mine, json, interactive, seen: HashSet::new(), queue: VecDeque::new(), step: Step::Idle };
    loop {
        watch.offer(terminal).await?;
        tokio::select! {
            told = feed.next() => match told {
                Some(Told::Connected) => watch.catch_up(terminal).await?,
                Some(Told::Event(event)) => watch.happened(terminal, &event.kind, Some(event.seq), &event.approval).await?,
                Some(Told::Lost(why)) => terminal.say(&format!("connecting again: {}", text::one_line(&why)))?,
                Some(Told::Failed(failure)) => return Err(failure),
                None => return Ok(()),
            },
            line = terminal.line(), if interactive => match line {
                Some(line) => watch.typed(terminal, line.trim()).await?,
                None => return Ok(()),
            },
        }
    }
}

struct Watch {
    client: Client,
    mine: bool,
    json: bool,
    interactive: bool,
    /// The approvals that were printed as pending.
    seen: HashSet<String>,
    /// Those that wait to be shown.
    queue: VecDeque<String>,
    step: Step,
}

/// What the next line that is typed means.
enum Step {
    /// Nothing is being decided.
    Idle,
    /// `a`, `d`, `q` or `s`.
    Choose(Box<Detail>),
    /// Why it is approved.
    Reason(Box<Detail>),
    /// The digits that approve it.
    Confirm(Box<Detail>, Option<String>),
    /// The reason to deny it, or the question.
    Words(Box<Detail>, &'static str),
}

impl Step {
    fn detail(&self) -> Option<&Detail> {
        match self {
            Self::Idle => None,
            Self::Choose(detail) | Self::Reason(detail) | Self::Confirm(detail, _) | Self::Words(detail, _) => {
                Some(detail)
            }
        }
    }
}

impl Watch {
    /// After every connection: what is pending and was not seen, oldest first.
    async fn catch_up(&mut self, terminal: &mut Terminal) -> Result<(), Failure> {
        let listed = match find::list(&self.client, "pending", self.mine, usize::MAX).await {
            Ok(listed) => listed,
            // The server is away again; after the next connection there is another chance.
            Err(failure) if matches!(failure.exit, Exit::Error | Exit::Expired) => {
                return Ok(terminal.say(&text::one_line(&failure.message))?);
            }
            Err(failure) => return Err(failure),
        };
        for (raw, item) in listed.raw.iter().zip(&listed.items).rev() {
            self.pending(terminal, "approval.pending", None, raw, item)?;
        }
        Ok(())
    }

    async fn happened(
        &mut self,
        terminal: &mut Terminal,
        kind: &str,
        seq: Option<u64>,
        id: &str,
    ) -> Result<(), Failure> {
        let (raw, detail) = match find::get(&self.client, id).await {
            Ok(found) => found,
            Err(failure) if failure.exit == Exit::NotFound => return Ok(()),
            // The feed itself tells when the server is away.
            Err(failure) => {
                return Ok(terminal.say(&format!("{}: {}", text::one_line(id), text::one_line(&failure.message)))?);
            }
        };
        if kind == "approval.created" {
            let item = &detail.item;
            if self.mine && !item.can_decide.allowed {
                return Ok(());
            }
            return self.pending(terminal, kind, seq, &raw, item);
        }
        if self.mine && !self.seen.contains(id) {
            return Ok(());
        }
        self.line(terminal, kind, seq, &raw, &detail.item)?;
        let current = self.step.detail().is_some_and(|shown| shown.item.id == detail.item.id);
        if current && detail.item.state != StateName::Pending {
            terminal.say(&format!("\nit is {} meanwhile", table::state(detail.item.state)))?;
            self.step = Step::Idle;
        }
        Ok(())
    }

    fn pending(
        &mut self,
        terminal: &mut Terminal,
        kind: &str,
        seq: Option<u64>,
        raw: &Value,
        item: &Item,
    ) -> Result<(), Failure> {
        if !self.seen.insert(item.id.clone()) {
            return Ok(());
        }
        self.line(terminal, kind, seq, raw, item)?;
        if self.interactive && item.can_decide.allowed {
            self.queue.push_back(item.id.clone());
        }
        Ok(())
    }

    fn line(
        &self,
        terminal: &mut Terminal,
        kind: &str,
        seq: Option<u64>,
        raw: &Value,
        item: &Item,
    ) -> Result<(), Failure> {
        if self.json {
            let line = json!({ "kind": kind, "seq": seq, "approval": raw });
            return Ok(terminal.print(&output::json_line(&line))?);
        }
        let what = kind.strip_prefix("approval.").unwrap_or(kind);
        let risk = item.risk.as_deref().unwrap_or("-");
        let rest = if item.state == StateName::Pending {
            format!("needs {}, expires {}", table::needs(&item.quorum), table::until(item.expires_at, terminal.now()))
        } else {
            table::state(item.state).to_owned()
        };
        let line =
            format!("{}  {what}  {}  {}  risk {risk}  {rest}", item.id, item.principal.id, table::call(&item.call));
        Ok(terminal.print(&text::one_line(&line))?)
    }

    /// Shows the next approval that can be decided, if none is being decided.
    async fn offer(&mut self, terminal: &mut Terminal) -> Result<(), Failure> {
        while matches!(self.step, Step::Idle) {
            let Some(id) = self.queue.pop_front() else { return Ok(()) };
            let (_, detail) = match find::get(&self.client, &id).await {
                Ok(found) => found,
                Err(failure) => {
                    terminal.say(&format!("{}: {}", text::one_line(&id), text::one_line(&failure.message)))?;
                    continue;
                }
            };
            if !detail.item.can_decide.allowed {
                continue;
            }
            terminal.say(&format!("\n{}", details::details(&detail, terminal.now())))?;
            self.step = Step::Choose(Box::new(detail));
            self.ask(terminal)?;
        }
        Ok(())
    }

    fn ask(&self, terminal: &mut Terminal) -> Result<(), Failure> {
        let question = match &self.step {
            Step::Idle => return Ok(()),
            Step::Choose(_) => "[a]pprove, [d]eny, [q]uestion or [s]kip, then Enter: ",
            Step::Reason(_) => "The policy wants to know why you approve it: ",
            Step::Confirm(..) => decide::CONFIRM,
            Step::Words(_, "deny") => "Why, for the agent to read: ",
            Step::Words(..) => "Your question to the agent: ",
        };
        Ok(terminal.prompt(question)?)
    }

    async fn typed(&mut self, terminal: &mut Terminal, line: &str) -> Result<(), Failure> {
        self.step = match (std::mem::replace(&mut self.step, Step::Idle), line) {
            (Step::Idle, _) => Step::Idle,
            (Step::Choose(detail), "a") if detail.require_reason => Step::Reason(detail),
            (Step::Choose(detail), "a") => Step::Confirm(detail, None),
            (Step::Choose(detail), "d") => Step::Words(detail, "deny"),
            (Step::Choose(detail), "q") => Step::Words(detail, "ask"),
            (Step::Choose(_), "s") => Step::Idle,
            (Step::Choose(detail), _) => Step::Choose(detail),
            // An empty line goes back, so that nobody is trapped in a choice.
            (Step::Reason(detail) | Step::Confirm(detail, _) | Step::Words(detail, _), "") => Step::Choose(detail),
            (Step::Reason(detail), reason) => Step::Confirm(detail, Some(reason.to_owned())),
            (Step::Confirm(detail, reason), digits) => {
                match decide::check_form(digits).and_then(|()| decide::check_digest(digits, &detail)) {
                    Ok(()) => {
                        self.send(terminal, &detail, "approve", reason).await?;
                        Step::Idle
                    }
                    Err(failure) => {
                        terminal.say(&text::one_line(&failure.message))?;
                        Step::Choose(detail)
                    }
                }
            }
            (Step::Words(detail, verdict), words) => {
                self.send(terminal, &detail, verdict, Some(words.to_owned())).await?;
                Step::Idle
            }
        };
        self.ask(terminal)
    }

    async fn send(
        &self,
        terminal: &mut Terminal,
        detail: &Detail,
        verdict: &str,
        reason: Option<String>,
    ) -> Result<(), Failure> {
        match decide::send(&self.client, terminal, detail, verdict, reason).await {
            // What the server refuses ends this decision and not the watch.
            Err(failure) if !failure.message.is_empty() => {
                Ok(terminal.say(&format!("error: {}", text::one_line(&failure.message)))?)
            }
            other => other,
        }
    }
}
