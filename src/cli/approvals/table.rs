//! One line an approval, for people.

use std::time::Duration;

use comfy_table::Cell;
use comfy_table::Table;
use comfy_table::presets::NOTHING;

use crate::model::Timestamp;
use crate::review::api::CallLine;
use crate::review::api::Item;
use crate::review::api::Quorum;
use crate::review::api::StateName;

use super::text;

/// A table of `items`; nothing at all if there are none.
pub(super) fn table(items: &[Item], now: Timestamp, wide: bool) -> String {
    if items.is_empty() {
        return String::new();
    }
    let mut table = Table::new();
    table.load_style(NOTHING).set_header(if wide { WIDE.to_vec() } else { NARROW.to_vec() });
    for item in items {
        let row = if wide { wide_row(item, now) } else { row(item, now) };
        table.add_row(row.iter().map(|text| Cell::new(text::one_line(text))));
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    format!("{}\n", table.trim_fmt())
}

const NARROW: [&str; 8] = ["ID", "STATE", "AGENT", "CALL", "RISK", "NEEDS", "AGE", "EXPIRES"];
const WIDE: [&str; 12] =
    ["ID", "STATE", "AGENT", "CALL", "RISK", "NEEDS", "AGE", "EXPIRES", "UPSTREAM", "RULE", "DIGEST", "AGENT-SAYS"];

fn row(item: &Item, now: Timestamp) -> Vec<String> {
    vec![
        short_id(&item.id).to_owned(),
        state(item.state).to_owned(),
        item.principal.id.clone(),
        cut(&call(&item.call)),
        item.risk.clone().unwrap_or_else(|| "-".to_owned()),
        needs(&item.quorum),
        ago(item.created_at, now),
        expires(item, now),
    ]
}

fn wide_row(item: &Item, now: Timestamp) -> Vec<String> {
    let mut row = row(item, now);
    for (column, text) in row.iter_mut().zip([Some(item.id.clone()), None, None, Some(call(&item.call))]) {
        if let Some(text) = text {
            *column = text;
        }
    }
    row.extend([
        item.upstream.name.clone(),
        item.rules.join(","),
        item.digest.clone(),
        item.agent_reason.clone().unwrap_or_else(|| "-".to_owned()),
    ]);
    row
}

/// The last digits of an id, which differ between approvals of one moment.
pub(super) fn short_id(id: &str) -> &str {
    id.char_indices().nth_back(SHORT_ID - 1).and_then(|(start, _)| id.get(start..)).unwrap_or(id)
}

/// Method, host and target.
pub(super) fn call(call: &CallLine) -> String {
    format!("{} {}{}", call.method, call.authority, call.target)
}

/// What is missing, such as `1/2 data-owners, security`.
pub(super) fn needs(quorum: &Quorum) -> String {
    let mut groups: Vec<&str> = Vec::new();
    for slot in &quorum.slots {
        if !groups.contains(&slot.group.as_str()) {
            groups.push(&slot.group);
        }
    }
    format!("{}/{} {}", quorum.have, quorum.needed, groups.join(", "))
}

/// The word for a state.
pub(super) fn state(state: StateName) -> &'static str {
    match state {
        StateName::Pending => "pending",
        StateName::Approved => "approved",
        StateName::Forwarding => "forwarding",
        StateName::Completed => "completed",
        StateName::Failed => "failed",
        StateName::Unknown => "unknown",
        StateName::Denied => "denied",
        StateName::Expired => "expired",
        StateName::Withdrawn => "withdrawn",
        StateName::Revoked => "revoked",
        StateName::Lapsed => "lapsed",
    }
}

/// How long ago, such as `3m ago`.
pub(super) fn ago(then: Timestamp, now: Timestamp) -> String {
    format!("{} ago", span(now.since(then)))
}

/// How long from now, such as `in 12m`.
pub(super) fn until(then: Timestamp, now: Timestamp) -> String {
    if then <= now { "now".to_owned() } else { format!("in {}", span(then.since(now))) }
}

fn expires(item: &Item, now: Timestamp) -> String {
    if item.state == StateName::Pending { until(item.expires_at, now) } else { "-".to_owned() }
}

fn span(span: Duration) -> String {
    let seconds = span.as_secs();
    match seconds {
        0..120 => format!("{seconds}s"),
        120..7_200 => format!("{}m", seconds / 60),
        7_200..172_800 => format!("{}h", seconds / 3_600),
        _ => format!("{}d", seconds / 86_400),
    }
}

/// Enough of a call to know it by; `show` has it whole.
fn cut(text: &str) -> String {
    if text.chars().count() <= CALL_CHARS_MAX {
        return text.to_owned();
    }
    format!("{}…", text.chars().take(CALL_CHARS_MAX - 1).collect::<String>())
}

const CALL_CHARS_MAX: usize = 60;
const SHORT_ID: usize = 8;
