//! One approval in a list.

use crate::approval::Approval;
use crate::approval::State;
use crate::model::Risk;
use crate::review::view;
use crate::review::view::Viewer;

use super::effect;
use super::inert::Inert;
use super::moment::Moment;

/// One approval in a list.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) id: String,
    pub(super) version: u64,
    pub(super) effect: Inert,
    pub(super) agent: Inert,
    pub(super) upstream: Inert,
    pub(super) environment: Option<Inert>,
    pub(super) method: Inert,
    pub(super) host: Inert,
    pub(super) target: Inert,
    pub(super) rule: Inert,
    pub(super) risk: Option<&'static str>,
    pub(super) irreversible: bool,
    pub(super) state: &'static str,
    pub(super) when: Moment,
    pub(super) pending: bool,
    /// Whether the visitor may decide it now.
    pub(super) yours: bool,
    /// Why not, in a few words.
    pub(super) not_yours: &'static str,
    pub(super) have: usize,
    pub(super) needed: usize,
    pub(super) gone: bool,
    pub(super) asked: bool,
}

impl Row {
    pub(super) fn new(approval: &Approval, viewer: Viewer<'_>) -> Self {
        let why_not = view::why_not(approval, viewer);
        let slots = approval.slots(viewer.people);
        let pending = approval.state == State::Pending;
        let when = approval.state.since().unwrap_or(approval.expires);
        let environment = &approval.upstream.environment;
        let obligations = &approval.obligations;
        Self {
            id: approval.id.to_string(),
            version: approval.version,
            effect: Inert::short(&effect::in_short(&approval.actions), 200),
            agent: Inert::short(&approval.principal.id, 80),
            upstream: Inert::short(&approval.upstream.name, 80),
            environment: (!environment.is_empty()).then(|| Inert::short(environment, 40)),
            method: Inert::short(&approval.line.method, 20),
            host: Inert::host(approval.line.authority.chars().take(80).collect::<String>()),
            target: Inert::short(&approval.line.target, 120),
            rule: Inert::short(&obligations.rules.join(", "), 80),
            risk: obligations.risk.map(risk_word),
            irreversible: obligations.irreversible || approval.actions.iter().any(|action| action.irreversible),
            state: approval.state.name(),
            when: Moment::new(when, viewer.now),
            pending,
            yours: why_not.is_none(),
            not_yours: why_not.map_or("", |(code, _)| in_few_words(&code)),
            have: slots.iter().filter(|slot| slot.person.is_some()).count(),
            needed: slots.len(),
            gone: approval.caller.is_none(),
            asked: approval.open_question().is_some(),
        }
    }
}

pub(super) fn risk_word(risk: Risk) -> &'static str {
    match risk {
        Risk::Low => "low",
        Risk::Medium => "medium",
        Risk::High => "high",
        Risk::Critical => "critical",
    }
}

fn in_few_words(code: &str) -> &'static str {
    match code {
        "own-request" => "your own",
        "not-reviewer" => "for others",
        "needs-step-up" => "needs step-up",
        "already-reviewed" => "you approved",
        "expired" => "expired",
        _ => "",
    }
}
