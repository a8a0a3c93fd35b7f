//! How the reviewing goes: what is held, how long people take, what comes of it, which rules ask
//! for little or for much.

use std::collections::BTreeMap;
use std::time::Duration;

use askama::Template;
use axum::extract::State as Extract;
use axum::http::StatusCode;
use axum::response::Response;

use crate::model::Timestamp;
use crate::policy::RuleKind;
use crate::review::Admin;

use super::guard::Visitor;
use super::inert::Inert;
use super::moment::Moment;
use super::moment::long;
use super::page;
use super::page::Frame;
use super::page::Here;
use super::past::Fate;
use super::past::Recent;
use super::past::Record;
use super::plot::Bars;
use super::plot::Stack;

#[derive(Template)]
#[template(path = "overview.html")]
struct Overview {
    frame: Frame,
    figures: Figures,
    cut: bool,
}

/// The figures of the last 30 days.
#[derive(Clone, Debug)]
struct Figures {
    pending: usize,
    oldest: Option<Moment>,
    decided: usize,
    median: String,
    slow: String,
    /// Percent of decisions that came within three seconds.
    hasty: String,
    approved: String,
    expired: usize,
    /// Of those that are pending, how many have no caller that waits.
    gone: usize,
    waiting: Bars,
    days: Stack,
    slow_rules: Bars,
}

/// `GET /overview`.
pub(super) async fn show(Extract(admin): Extract<Admin>, visitor: Visitor) -> Response {
    match admin.past.recent(&admin).await {
        Ok(recent) => {
            let frame = Frame::new(Some(&visitor), Here::Overview, "Overview");
            let figures = figures(&recent, admin.state.clock.now());
            page::render(StatusCode::OK, &frame, &Overview { frame: frame.clone(), figures, cut: recent.cut })
        }
        Err(refused) => page::problem(Some(&visitor), &refused),
    }
}

fn figures(recent: &Recent, now: Timestamp) -> Figures {
    let records = &recent.records;
    let with = |fate| records.iter().filter(move |record| record.fate == fate);
    let mut took: Vec<Duration> = records.iter().filter_map(Record::took).collect();
    took.sort();
    let (approved, denied) = (with(Fate::Approved).count(), with(Fate::Denied).count());
    let hasty = took.iter().filter(|took| **took < HASTY).count();
    let pending: Vec<&Record> = with(Fate::Pending).collect();
    Figures {
        pending: pending.len(),
        oldest: pending.iter().map(|record| record.created).min().map(|at| Moment::new(at, now)),
        decided: took.len(),
        median: at_percent(&took, 50),
        slow: at_percent(&took, 95),
        hasty: percent(hasty, took.len()),
        approved: percent(approved, approved + denied),
        expired: with(Fate::Expired).count(),
        gone: pending.iter().filter(|record| !record.attended).count(),
        waiting: waiting(&took),
        days: days(records, now),
        slow_rules: slow_rules(records),
    }
}

fn waiting(took: &[Duration]) -> Bars {
    const STEPS: [(u64, &str); 8] = [
        (3, "< 3 s"),
        (10, "< 10 s"),
        (30, "< 30 s"),
        (120, "< 2 min"),
        (600, "< 10 min"),
        (1_800, "< 30 min"),
        (7_200, "< 2 h"),
        (u64::MAX, "longer"),
    ];
    let mut from = 0;
    let bars = STEPS.iter().map(|(until, name)| {
        let count = took.iter().filter(|took| (from..*until).contains(&took.as_secs())).count();
        from = *until;
        (Inert::line(*name), count as u64, count.to_string())
    });
    Bars::new(bars.collect())
}

fn days(records: &[Record], now: Timestamp) -> Stack {
    let day = |at: Timestamp| at.unix_micros().div_euclid(DAY_MICROS);
    let today = day(now);
    let mut days = vec![[0_u64; 4]; DAYS_SHOWN];
    for record in records {
        let Ok(ago) = usize::try_from(today - day(record.created)) else { continue };
        let place = match record.fate {
            Fate::Approved => 0,
            Fate::Denied => 1,
            Fate::Expired | Fate::Withdrawn => 2,
            Fate::Pending => 3,
        };
        if let Some(day) = DAYS_SHOWN.checked_sub(ago + 1).and_then(|index| days.get_mut(index)) {
            day[place] += 1;
        }
    }
    let name = |index: usize| {
        let ago = i64::try_from(DAYS_SHOWN - 1 - index).unwrap_or(0);
        let at = jiff::Timestamp::from_microsecond((today - ago) * DAY_MICROS);
        at.map_or_else(|_| String::new(), |at| at.strftime("%-d %b").to_string())
    };
    Stack::new(days.iter().enumerate().map(|(index, counts)| (name(index), *counts)).collect())
}

fn slow_rules(records: &[Record]) -> Bars {
    let mut by_rule: BTreeMap<&str, Vec<Duration>> = BTreeMap::new();
    for record in records {
        let (Some(took), Some(rule)) = (record.took(), record.rules.first()) else { continue };
        by_rule.entry(rule).or_default().push(took);
    }
    let mut rules: Vec<(&str, Duration)> = by_rule
        .into_iter()
        .filter_map(|(rule, mut took)| {
            took.sort();
            Some((rule, *took.get(took.len() / 2)?))
        })
        .collect();
    rules.sort_by_key(|(_, median)| std::cmp::Reverse(*median));
    rules.truncate(RULES_SHOWN);
    let bars = rules.into_iter().map(|(rule, median)| (Inert::short(rule, 40), median.as_secs().max(1), long(median)));
    Bars::new(bars.collect())
}

fn at_percent(sorted: &[Duration], percent: usize) -> String {
    let place = (sorted.len() * percent / 100).min(sorted.len().saturating_sub(1));
    match sorted.get(place) {
        None => "–".to_owned(),
        Some(took) if *took < Duration::from_secs(1) => "under 1 s".to_owned(),
        Some(took) => long(*took),
    }
}

fn percent(part: usize, whole: usize) -> String {
    match whole {
        0 => "–".to_owned(),
        whole => format!("{} %", (part * 100 + whole / 2) / whole),
    }
}

#[derive(Template)]
#[template(path = "rules.html")]
struct Rules {
    frame: Frame,
    rules: Vec<RuleRow>,
}

/// What became of the calls that a rule has held, or that such a rule exists.
#[derive(Clone, Debug)]
struct RuleRow {
    kind: &'static str,
    name: Inert,
    title: Option<Inert>,
    place: Option<Inert>,
    held: usize,
    approved: usize,
    denied: usize,
    expired: usize,
    pending: usize,
    ratio: String,
    /// Of a hundred decided calls, how many were approved; for the bar.
    share: usize,
    decided: usize,
    median: String,
    advice: &'static str,
}

/// `GET /rules`.
pub(super) async fn rules(Extract(admin): Extract<Admin>, visitor: Visitor) -> Response {
    let recent = match admin.past.recent(&admin).await {
        Ok(recent) => recent,
        Err(refused) => return page::problem(Some(&visitor), &refused),
    };
    let known = (admin.state.facts)().rules;
    let mut rows: Vec<RuleRow> = known
        .iter()
        .map(|rule| {
            let mut row = rule_row(&rule.name, if rule.kind == RuleKind::Hold { &recent.records } else { &[] });
            row.kind = rule.kind.as_str();
            row.title = rule.title.as_ref().map(Inert::line);
            row.place = Some(Inert::line(format!("{}:{}", rule.file, rule.line)));
            row
        })
        .collect();
    let mut unknown: Vec<&str> = recent.records.iter().flat_map(|record| &record.rules).map(String::as_str).collect();
    unknown.sort_unstable();
    unknown.dedup();
    unknown.retain(|name| !known.iter().any(|rule| rule.kind == RuleKind::Hold && rule.name == *name));
    rows.extend(unknown.into_iter().map(|name| rule_row(name, &recent.records)));
    let order = |kind| ["hold", "deny", "allow"].iter().position(|known| *known == kind);
    rows.sort_by_key(|row| (order(row.kind), std::cmp::Reverse(row.held)));
    let frame = Frame::new(Some(&visitor), Here::Rules, "Rules");
    page::render(StatusCode::OK, &frame, &Rules { frame: frame.clone(), rules: rows })
}

fn rule_row(name: &str, records: &[Record]) -> RuleRow {
    let held: Vec<&Record> = records.iter().filter(|record| record.rules.iter().any(|rule| rule == name)).collect();
    let with = |fate| held.iter().filter(|record| record.fate == fate).count();
    let (approved, denied) = (with(Fate::Approved), with(Fate::Denied));
    let decided = approved + denied;
    let mut took: Vec<Duration> = held.iter().filter_map(|record| record.took()).collect();
    took.sort();
    RuleRow {
        kind: "hold",
        name: Inert::line(name),
        title: None,
        place: None,
        held: held.len(),
        approved,
        denied,
        expired: with(Fate::Expired),
        pending: with(Fate::Pending),
        ratio: percent(approved, decided),
        share: (approved * 100).checked_div(decided).unwrap_or(0),
        decided,
        median: at_percent(&took, 50),
        advice: advice(approved, denied),
    }
}

/// EDGES F: a rule that is nearly always approved asks for nothing; one that is often denied might
/// as well deny.
fn advice(approved: usize, denied: usize) -> &'static str {
    let decided = approved + denied;
    if decided > RELAX_AFTER && approved * 100 > decided * 99 {
        "nearly always approved: a rule to relax"
    } else if decided >= DENY_AFTER && denied * 100 > decided * 30 {
        "often denied: a rule that could deny outright"
    } else {
        ""
    }
}

/// A decision within this time has hardly been looked at.
const HASTY: Duration = Duration::from_secs(3);
const DAY_MICROS: i64 = 86_400_000_000;
const DAYS_SHOWN: usize = 14;
const RULES_SHOWN: usize = 6;
/// Decisions before anything is said about a rule.
const RELAX_AFTER: usize = 200;
const DENY_AFTER: usize = 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_say_what_little_there_is() {
        assert_eq!(
            (percent(0, 0), percent(1, 3), percent(2, 3)),
            ("–".to_owned(), "33 %".to_owned(), "67 %".to_owned())
        );
        let took: Vec<Duration> = (1..=100).map(Duration::from_secs).collect();
        assert_eq!([at_percent(&[], 50), at_percent(&took, 50), at_percent(&took, 95)], ["–", "51 s", "1 min"]);
    }

    #[test]
    fn advice_waits_for_enough_decisions() {
        assert_eq!(advice(200, 0), "");
        assert!(advice(201, 0).contains("relax") && advice(998, 2).contains("relax"));
        assert_eq!(advice(990, 10), "");
        assert_eq!(advice(12, 7), "");
        assert!(advice(13, 7).contains("deny"));
    }
}
