//! One approval with the whole call, for people. What the agent wrote stands behind a bar, so
//! that no line of it can pass for one of ours.

use crate::model::Timestamp;
use crate::review::api::Detail;
use crate::review::api::Item;
use crate::review::api::StateName;
use crate::review::pretty;

use super::table;
use super::text;

/// Everything there is to know before deciding.
pub(super) fn details(detail: &Detail, now: Timestamp) -> String {
    let item = &detail.item;
    let mut page = Page::default();
    page.field("Approval", &item.id);
    page.field("State", &state(detail, now));
    page.field("Agent", &agent(item));
    page.field("Upstream", &upstream(item));
    for action in &item.actions {
        let summary = action.summary.as_ref().map(|text| format!(": {text}")).unwrap_or_default();
        page.field("Action", &format!("{} ({}, {}){summary}", action.name, action.kind, action.access));
    }
    if item.irreversible {
        page.field("Beware", "this cannot be undone");
    }
    page.field("Rule", &item.rules.join(", "));
    item.reasons.iter().for_each(|reason| page.field("Why held", reason));
    item.risk.iter().for_each(|risk| page.field("Risk", risk));
    page.field("Needs", &table::needs(&item.quorum));
    for review in &detail.reviews {
        let why = review.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
        page.field("Review", &format!("{} by {}, {}{why}", review.verdict, review.person, table::ago(review.at, now)));
    }
    if let Some(why_not) = &item.can_decide.why_not {
        page.field("You", why_not);
    }
    page.field("Digest", item.digest.strip_prefix("sha256:").unwrap_or(&item.digest));
    unverified(&mut page, detail);
    request(&mut page, detail);
    page.0
}

#[derive(Default)]
struct Page(String);

impl Page {
    fn field(&mut self, name: &str, value: &str) {
        self.0.push_str(&format!("{name:<10} {}\n", text::one_line(value)));
    }

    fn heading(&mut self, words: &str) {
        self.0.push_str(&format!("\n{words}\n"));
    }

    /// What somebody said. Only its first line begins at the bar, so that no text can look like two.
    fn said(&mut self, who: &str, words: &str) {
        for (number, line) in text::lines(words).enumerate() {
            self.0.push_str("  | ");
            if number == 0 {
                self.0.push_str(&text::one_line(who))
            } else {
                self.0.push_str("    ")
            }
            self.0.push_str(&line);
            self.0.push('\n');
        }
    }

    fn barred(&mut self, text: &str) {
        for line in text::lines(text) {
            self.0.push_str("  | ");
            self.0.push_str(&line);
            self.0.push('\n');
        }
    }
}

fn state(detail: &Detail, now: Timestamp) -> String {
    let item = &detail.item;
    let word = table::state(item.state);
    let Some(outcome) = &detail.outcome else {
        return format!("{word}, expires {} ({})", table::until(item.expires_at, now), item.expires_at);
    };
    let mut line = format!("{word} {} ({})", table::ago(outcome.at, now), outcome.at);
    for (name, value) in [("by", &outcome.by), ("because", &outcome.reason)] {
        value.iter().for_each(|value| line.push_str(&format!(", {name} {value}")));
    }
    outcome.upstream_status.iter().for_each(|status| line.push_str(&format!(", the upstream answered {status}")));
    outcome.claim_until.iter().for_each(|until| line.push_str(&format!(", lapses {}", table::until(*until, now))));
    line
}

fn agent(item: &Item) -> String {
    let owners = item.principal.owners.join(", ");
    let owners = if owners.is_empty() { "no owner".to_owned() } else { format!("owned by {owners}") };
    let waits = match (item.caller.connected, item.state) {
        (true, _) => "; it waits",
        (false, StateName::Pending | StateName::Approved) => "; it has disconnected, the call runs once it tries again",
        (false, _) => "",
    };
    format!("{} ({owners}){waits}", item.principal.id)
}

fn upstream(item: &Item) -> String {
    let environment = &item.upstream.environment;
    let environment = if environment.is_empty() { String::new() } else { format!(" ({environment})") };
    format!("{}{environment}", item.upstream.name)
}

/// What the agent says of itself, and the talk about it.
fn unverified(page: &mut Page, detail: &Detail) {
    let said = [("reason", &detail.item.agent_reason), ("context", &detail.agent_context)];
    if said.iter().any(|(_, text)| text.is_some()) {
        page.heading("The agent says (written by the agent, verified by nobody):");
        for (name, text) in said {
            text.iter().for_each(|text| page.said(&format!("{name}: "), text));
        }
    }
    if !detail.messages.is_empty() {
        page.heading("Questions and answers:");
        for message in &detail.messages {
            page.said(&format!("{} ({}): ", message.by, message.kind), &message.text);
        }
    }
}

/// The call as it will be sent, credential aside.
fn request(page: &mut Page, detail: &Detail) {
    let request = &detail.request;
    page.heading("The call:");
    page.said(&format!("{} ", request.method), &format!("{}{}", request.authority, request.target));
    request.headers.iter().for_each(|header| page.said(&format!("{}: ", header.name), &header.value));
    let body = &detail.body;
    let size = match &body.coding {
        Some(coding) => format!("{} bytes, sent as {} bytes of {coding}", body.readable_bytes, body.bytes),
        None => format!("{} bytes", body.readable_bytes),
    };
    match (&request.body_text, &request.body_base64) {
        (Some(text), _) => {
            page.heading(&format!("Its body, {size}:"));
            page.barred(pretty::json(text).as_deref().unwrap_or(text));
        }
        (None, Some(base64)) => {
            page.heading(&format!("Its body, {size}, which are no text, in Base64:"));
            page.barred(base64);
        }
        (None, None) if !body.complete => page.heading(&format!("Its body, {size}, is not kept any more.")),
        (None, None) if !body.inline => {
            page.heading(&format!("Its body, {size}, is too long to be shown here. Read it before you decide:"));
            page.0.push_str(&format!("  holdpoint approvals body {}\n", text::one_line(&detail.item.id)));
        }
        (None, None) if body.coding.is_some() => page.heading(&format!("Its body, {size}.")),
        (None, None) => page.heading("It has no body."),
    }
}
