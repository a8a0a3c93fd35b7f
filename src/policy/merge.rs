//! One answer out of all rules that matched: the strictest of each wins.

use std::collections::BTreeMap;

use super::obligations::ObligationError;
use super::obligations::Obligations;
use super::obligations::UNNAMED;
use crate::model::AllowObligations;
use crate::model::Assurance;
use crate::model::Escalation;
use crate::model::Grant;
use crate::model::HoldObligations;
use crate::model::MatchedRule;
use crate::model::OnDisconnect;
use crate::model::Requirement;

/// The most fields that rules can have logged together, so that an event stays one that fits.
const LOG_MAX: usize = 32;

/// The denials, in the order of their names.
pub(super) fn denials(matched: Vec<Obligations>) -> Vec<MatchedRule> {
    let mut rules: Vec<MatchedRule> =
        matched.into_iter().map(|deny| MatchedRule { rule: name(deny.rule), reason: deny.reason }).collect();
    rules.sort();
    rules
}

/// All holds as one.
///
/// # Errors
/// If two rules name different credentials: neither is the stricter one.
pub(super) fn holds(
    mut matched: Vec<Obligations>,
    default_reviewers: &[Requirement],
) -> Result<HoldObligations, ObligationError> {
    matched.sort_by(|a, b| (&a.rule, &a.reason).cmp(&(&b.rule, &b.reason)));
    let credential = credential(&matched)?;
    let escalate = escalate(&matched);
    let mut merged = HoldObligations {
        rules: Vec::new(),
        reasons: Vec::new(),
        risk: None,
        reviewers: Vec::new(),
        expires_in: None,
        hold_for: None,
        assurance: Assurance::Chat,
        require_reason: false,
        irreversible: false,
        credential,
        on_disconnect: OnDisconnect::Wait,
        repeatable: !matched.is_empty() && matched.iter().all(|hold| hold.repeatable),
        channels: Vec::new(),
        grant: grant(&matched),
        redact: Vec::new(),
        escalate,
    };
    let mut counts: BTreeMap<String, u32> = BTreeMap::new();
    for hold in matched {
        for Requirement { group, count } in hold.reviewers.as_deref().unwrap_or(default_reviewers) {
            let most = counts.entry(group.clone()).or_default();
            *most = (*most).max(*count);
        }
        push_new(&mut merged.rules, name(hold.rule));
        hold.reason.into_iter().for_each(|reason| push_new(&mut merged.reasons, reason));
        merged.risk = merged.risk.max(hold.risk);
        merged.expires_in = shortest(merged.expires_in, hold.expires_in);
        merged.hold_for = shortest(merged.hold_for, hold.hold_for);
        merged.assurance = hold.assurance.map_or(merged.assurance, |assurance| merged.assurance.max(assurance));
        merged.require_reason |= hold.require_reason;
        merged.irreversible |= hold.irreversible;
        if hold.on_disconnect == OnDisconnect::Withdraw {
            merged.on_disconnect = OnDisconnect::Withdraw;
        }
        merged.channels.extend(hold.channels);
        merged.redact.extend(hold.redact);
    }
    sort(&mut merged.channels);
    sort(&mut merged.redact);
    merged.reviewers = counts.into_iter().map(|(group, count)| Requirement { group, count }).collect();
    Ok(merged)
}

/// All allows as one.
///
/// # Errors
/// If two rules name different credentials.
pub(super) fn allows(matched: Vec<Obligations>) -> Result<AllowObligations, ObligationError> {
    let credential = credential(&matched)?;
    let mut log: Vec<String> = matched.iter().flat_map(|allow| allow.log.iter().cloned()).collect();
    sort(&mut log);
    if log.len() > LOG_MAX {
        let rule = matched.first().map(|allow| name(allow.rule.clone()));
        let message = format!("the matching rules together want more than {LOG_MAX} fields in `log`");
        return Err(ObligationError { rule, message });
    }
    Ok(AllowObligations { rules: names(matched), credential, log })
}

/// The names of the rules, in order.
pub(super) fn names(matched: Vec<Obligations>) -> Vec<String> {
    let mut rules: Vec<String> = matched.into_iter().map(|matched| name(matched.rule)).collect();
    sort(&mut rules);
    rules
}

fn sort<T: Ord>(items: &mut Vec<T>) {
    items.sort();
    items.dedup();
}

/// The smallest bounds, if every hold offers a grant and none calls the action irreversible.
fn grant(matched: &[Obligations]) -> Option<Grant> {
    if matched.iter().any(|hold| hold.irreversible) {
        return None;
    }
    let grants: Option<Vec<Grant>> = matched.iter().map(|hold| hold.grant).collect();
    grants?
        .into_iter()
        .reduce(|a, b| Grant { max_uses: a.max_uses.min(b.max_uses), max_duration: a.max_duration.min(b.max_duration) })
}

/// The steps that every hold offers: a stand-in may fill any place, so that those of one rule would
/// fill the places that another one demands.
fn escalate(matched: &[Obligations]) -> Vec<Escalation> {
    let Some((first, others)) = matched.split_first() else { return Vec::new() };
    let offered = first.escalate.iter().filter(|step| others.iter().all(|hold| hold.escalate.contains(step)));
    let mut steps: Vec<Escalation> = offered.cloned().collect();
    sort(&mut steps);
    steps
}

fn name(rule: Option<String>) -> String {
    rule.unwrap_or_else(|| UNNAMED.to_owned())
}

fn push_new(texts: &mut Vec<String>, text: String) {
    if !texts.contains(&text) {
        texts.push(text);
    }
}

fn shortest<T: Ord>(a: Option<T>, b: Option<T>) -> Option<T> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

fn credential(matched: &[Obligations]) -> Result<Option<String>, ObligationError> {
    let mut chosen: Option<(&Obligations, &String)> = None;
    for rule in matched {
        let Some(credential) = &rule.credential else { continue };
        match chosen {
            Some((other, before)) if before != credential => {
                let other = name(other.rule.clone());
                let message = format!("it asks for credential `{credential}`, and rule `{other}` for `{before}`");
                return Err(ObligationError { rule: Some(name(rule.rule.clone())), message });
            }
            Some(_) => {}
            None => chosen = Some((rule, credential)),
        }
    }
    Ok(chosen.map(|(_, credential)| credential.clone()))
}
