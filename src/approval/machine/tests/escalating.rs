//! Escalation: after some time others may take a place; never fewer people.

use std::collections::BTreeSet;

use super::*;
use crate::model::Escalation;

fn step(after: u64, needs: &str) -> Escalation {
    Escalation { after: Duration::from_secs(after), reviewers: fixtures::requirements(needs) }
}

fn case(needs: &str, steps: &[Escalation]) -> Case {
    let mut case = Case::new(needs);
    case.approval.obligations.escalate = steps.to_vec();
    case
}

impl Case {
    fn approve_at(&mut self, seconds: i64, name: &str) -> String {
        let review = self.review(name, ReviewVerdict::Approve);
        self.try_at(seconds, Command::Review(review))
    }

    fn filled(&self, seconds: i64) -> String {
        let slots = self.approval.slots(&self.people, at(seconds));
        let slot = |slot: &crate::approval::Slot| {
            let person = slot.person.as_ref().map_or("-", |person| person.as_str());
            let by = slot.stands_in.as_ref().map_or(String::new(), |by| format!(" ({by})"));
            format!("{}={person}{by}", slot.group)
        };
        slots.iter().map(slot).collect::<Vec<_>>().join(" ")
    }
}

#[test]
fn whoever_is_escalated_to_may_approve_from_then_on_and_not_before() {
    let mut case = case("owners=1", &[step(60, "others=1")]);
    assert_eq!(case.approve_at(59, "zed"), "!not-reviewer");
    assert_eq!(case.approve_at(60, "zed"), "zed approve+->approved");
    assert_eq!(case.filled(60), "owners=zed (others)");
    let people = people("owners: ana; others: zed", &[]);
    // What is needed is asked for again before it runs, by the same rule.
    let mut obligations = fixtures::obligations("owners=1");
    assert!(!case.approval.meets(&obligations, &people, at(60)));
    obligations.escalate = vec![step(60, "others=1")];
    assert!(case.approval.meets(&obligations, &people, at(60)));
    assert!(!case.approval.meets(&obligations, &people, at(59)));
    obligations.escalate = vec![step(60, "others=1")];
    obligations.reviewers = fixtures::requirements("owners=2");
    assert!(!case.approval.meets(&obligations, &people, at(60)));
    assert_eq!(
        case.try_at(61, Command::Claim { run: case.call, exact: fixtures::exact(), behind: BTreeSet::new() }),
        "->forwarding"
    );
}

#[test]
fn escalation_never_lowers_how_many_must_approve() {
    let mut two = case("owners=2", &[step(60, "others=1 security=1")]);
    two.people = people("owners: ana bo; security: cy; others: zed zoe", &[]);
    assert_eq!(two.approve_at(60, "zed"), "zed approve");
    // One of the group is all that may stand in.
    assert_eq!(two.approve_at(61, "zoe"), "zoe approve");
    assert_eq!(two.filled(61), "owners=zed (others) owners=-");
    assert_eq!(two.approve_at(62, "zed"), "-");
    assert_eq!(two.approve_at(63, "cy"), "cy approve+->approved");
    let mut mixed = case("owners=1 security=1", &[step(60, "others=1")]);
    assert_eq!(mixed.approve_at(60, "zed"), "zed approve");
    assert_eq!(mixed.filled(60), "owners=zed (others) security=-");
    // Whoever has a place of their own takes it, and the other one moves.
    assert_eq!(mixed.approve_at(61, "ana"), "ana approve+->approved");
    assert_eq!(mixed.filled(61), "owners=ana security=zed (others)");
}

#[test]
fn nobody_is_escalated_to_their_own_call() {
    let mut case = case("owners=1", &[step(60, "behind=1")]);
    case.people = people("owners: ana; behind: olga@example.com kim@example.com", &[]);
    assert_eq!(case.approve_at(60, "olga@example.com"), "!own-request");
}

#[test]
fn a_call_that_only_an_escalation_can_save_is_held() {
    let mut case = case("nobody=1", &[step(60, "others=1")]);
    assert!(case.approval.can_ever_be_approved(&case.people).is_ok());
    case.approval.obligations.escalate = vec![step(1_000, "others=1")];
    assert!(case.approval.can_ever_be_approved(&case.people).is_err(), "it expires first");
    case.approval.obligations.escalate = vec![step(60, "others=1")];
    case.approval.obligations.reviewers = fixtures::requirements("nobody=2");
    assert!(case.approval.can_ever_be_approved(&case.people).is_err(), "one is not enough");
}

#[test]
fn each_step_is_told_once_when_it_begins() {
    let mut case =
        case("owners=1", &[step(20, "security=1"), step(20, "others=1"), step(60, "others=1"), step(500, "others=1")]);
    assert_eq!(case.approval.deadline(), Some(at(20)));
    assert_eq!(case.try_at(19, Command::Tick), "-");
    assert_eq!(case.try_at(20, Command::Tick), "escalated 2");
    assert_eq!(case.try_at(21, Command::Tick), "-");
    assert_eq!(case.approval.deadline(), Some(at(60)));
    assert_eq!(case.try_at(70, Command::Tick), "escalated 3");
    // The last one would begin only after the end.
    assert_eq!((case.approval.deadline(), case.approval.open_until()), (Some(at(100)), Some(at(100))));
    let mut late = case.clone();
    assert_eq!(late.try_at(100, Command::Tick), "->expired");
    assert_eq!(case.approve_at(80, "ana"), "ana approve+->approved");
    assert_eq!(case.approval.deadline(), case.approval.open_until());
    assert_eq!(case.try_at(81, Command::Tick), "-");
    let mut asleep = Case::new("owners=1");
    asleep.approval.obligations.escalate = vec![step(20, "others=1")];
    assert_eq!(asleep.try_at(100, Command::Tick), "->expired");
}
