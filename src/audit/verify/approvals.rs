//! The life of each approval, worked out again from its events alone: the links between them,
//! who reviewed, whether that was enough, and whether the call ran only after it.
//!
//! Shares no code with the room that decides, so that a mistake there shows here.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::collections::HashMap;

use crate::model::ApprovalId;
use crate::model::CallDigest;
use crate::model::Requirement;
use crate::model::Sha256;
use crate::model::Timestamp;

use super::super::event::EventKind;
use super::entry::Entry;
use super::entry::Who;
use super::quorum;

/// Every approval that the log tells of.
#[derive(Default)]
pub(super) struct Approvals(HashMap<ApprovalId, Approval>);

/// One approval, as far as its events tell.
struct Approval {
    last: Sha256,
    state: State,
    terms: Option<Terms>,
    reviews: BTreeMap<String, Review>,
}

/// What had to be met.
struct Terms {
    digest: CallDigest,
    requirements: Vec<Requirement>,
    closure: BTreeSet<String>,
    escalation: Vec<Step>,
}

/// Who else may approve, and from when on.
#[derive(serde::Deserialize)]
struct Step {
    begins: Timestamp,
    reviewers: Vec<Requirement>,
}

impl Terms {
    /// Who may fill any place by `now`.
    fn stand_ins(&self, now: Timestamp) -> Vec<Requirement> {
        let begun = self.escalation.iter().filter(|step| step.begins <= now);
        begun.flat_map(|step| step.reviewers.iter().cloned()).collect()
    }
}

/// The last review of one person.
struct Review {
    verdict: Verdict,
    groups: BTreeSet<String>,
    at: Timestamp,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Approve,
    Deny,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Unborn,
    Pending,
    Approved,
    Forwarding,
    Ended,
}

impl State {
    fn as_str(self) -> &'static str {
        match self {
            Self::Unborn => "not created",
            Self::Pending => "pending",
            Self::Approved => "approved",
            Self::Forwarding => "forwarding",
            Self::Ended => "at its end",
        }
    }
}

impl Approvals {
    /// How many there are.
    pub(super) fn count(&self) -> u64 {
        self.0.len() as u64
    }

    /// Takes in the next entry, whose leaf hash is `hash`. Returns what is wrong with it.
    pub(super) fn observe(&mut self, hash: Sha256, entry: &Entry) -> Vec<String> {
        let mut wrong = Vec::new();
        let Some(subject) = entry.subject else {
            if entry.kind.as_str().starts_with("approval.") {
                wrong.push("it is about an approval and does not say which".to_owned());
            }
            if entry.prev.is_some() {
                wrong.push("it names a previous event but no approval".to_owned());
            }
            return wrong;
        };
        match self.0.get(&subject).map(|approval| approval.last) {
            Some(last) if entry.prev == Some(last) => {}
            Some(_) => wrong
                .push(format!("its `prev` is not the previous event of `{subject}`: one is missing or out of place")),
            None if entry.prev.is_none() => {}
            None => wrong.push(format!("its `prev` names an event of `{subject}`, of which this log has none")),
        }
        let approval = self.0.entry(subject).or_insert_with(|| Approval {
            last: hash,
            state: State::Unborn,
            terms: None,
            reviews: BTreeMap::new(),
        });
        approval.last = hash;
        approval.apply(entry, &mut wrong);
        wrong
    }
}

impl Approval {
    fn apply(&mut self, entry: &Entry, wrong: &mut Vec<String>) {
        match entry.kind {
            EventKind::ApprovalCreated => self.create(entry, wrong),
            EventKind::ApprovalDecided => self.review(entry, wrong),
            EventKind::ApprovalApproved => {
                self.step(entry, &[State::Pending], State::Approved, wrong);
                self.same_call(entry, wrong);
                self.backed(entry.time, wrong);
            }
            EventKind::ApprovalDenied => {
                self.step(entry, &[State::Pending], State::Ended, wrong);
                let denied = self.eligible().any(|review| review.verdict == Verdict::Deny);
                if !denied {
                    wrong.push("it was denied, and nobody who might review it said so".to_owned());
                }
            }
            EventKind::ApprovalExpired | EventKind::ApprovalWithdrawn => {
                self.step(entry, &[State::Pending], State::Ended, wrong);
            }
            EventKind::ApprovalRevoked | EventKind::ApprovalLapsed => {
                self.step(entry, &[State::Approved], State::Ended, wrong);
            }
            EventKind::ApprovalClaimed => {
                self.step(entry, &[State::Approved], State::Forwarding, wrong);
                self.same_call(entry, wrong);
            }
            EventKind::ApprovalUnclaimed => self.step(entry, &[State::Forwarding], State::Approved, wrong),
            EventKind::ApprovalCompleted | EventKind::ApprovalFailed | EventKind::ApprovalUnknown => {
                self.step(entry, &[State::Forwarding], State::Ended, wrong);
            }
            EventKind::ApprovalEscalated => self.step(entry, &[State::Pending], State::Pending, wrong),
            EventKind::ApprovalViewed
            | EventKind::ApprovalAsked
            | EventKind::ApprovalAnswered
            | EventKind::ApprovalCallerLeft
            | EventKind::ApprovalCallerJoined => {
                if self.state == State::Unborn {
                    wrong.push(format!("`{}` comes before `approval.created`", entry.kind.as_str()));
                }
            }
            // These may say which approval they have to do with, and change nothing about it.
            EventKind::RequestAllowed
            | EventKind::RequestDenied
            | EventKind::RequestHeld
            | EventKind::RequestReplayed
            | EventKind::UpstreamCompleted
            | EventKind::PolicyLoaded
            | EventKind::ConfigChanged
            | EventKind::KeyCreated
            | EventKind::LogOpened
            | EventKind::LogRecovered
            | EventKind::LogClosed => {}
        }
    }

    fn create(&mut self, entry: &Entry, wrong: &mut Vec<String>) {
        self.step(entry, &[State::Unborn], State::Pending, wrong);
        let digest = entry.read("digest");
        let requirements: Option<Vec<Requirement>> = entry.read("requirements");
        let closure = entry.read("closure");
        let escalation =
            if entry.data.contains_key("escalation") { entry.read("escalation") } else { Some(Vec::new()) };
        match (digest, requirements, closure, escalation) {
            (Some(digest), Some(requirements), Some(closure), Some(escalation)) => {
                if requirements.iter().all(|requirement| requirement.count == 0) {
                    wrong.push("it asks for no reviewer at all".to_owned());
                }
                self.terms = Some(Terms { digest, requirements, closure, escalation });
            }
            _ => wrong.push("it does not say what has to be met: `digest`, `requirements` and `closure`".to_owned()),
        }
    }

    fn review(&mut self, entry: &Entry, wrong: &mut Vec<String>) {
        if self.state != State::Pending {
            wrong.push(format!("it was reviewed while it was {}", self.state.as_str()));
        }
        let Who::Person { id, .. } = &entry.actor else {
            return wrong.push("only a person can review, and this actor is none".to_owned());
        };
        let verdict = match entry.text("verdict") {
            Some("approve") => Verdict::Approve,
            Some("deny") => Verdict::Deny,
            _ => return wrong.push("its verdict is neither `approve` nor `deny`".to_owned()),
        };
        let Some(groups) = entry.read("groups") else {
            return wrong.push("it does not say in which groups the reviewer was".to_owned());
        };
        let Some(terms) = &self.terms else { return };
        if entry.read("digest") != Some(terms.digest) {
            return wrong.push("it is about another call than the approval: the digests differ".to_owned());
        }
        if verdict == Verdict::Approve && terms.closure.contains(id) {
            wrong.push(format!("`{id}` approved a call of their own"));
        }
        self.reviews.insert(id.clone(), Review { verdict, groups, at: entry.time });
    }

    /// Reviews by people who may review: in a group that was asked, and not of their own call.
    fn eligible(&self) -> impl Iterator<Item = &Review> {
        let may = |terms: &Terms, id: &String, review: &Review| {
            let stand_ins = terms.stand_ins(review.at);
            let mut asked = terms.requirements.iter().chain(&stand_ins);
            asked.any(|requirement| review.groups.contains(&requirement.group)) && !terms.closure.contains(id)
        };
        let reviews = self
            .reviews
            .iter()
            .filter(move |(id, review)| self.terms.as_ref().is_some_and(|terms| may(terms, id, review)));
        reviews.map(|(_, review)| review)
    }

    fn backed(&self, now: Timestamp, wrong: &mut Vec<String>) {
        let Some(terms) = &self.terms else {
            return wrong.push("it was approved, and what had to be met is not known".to_owned());
        };
        if self.eligible().any(|review| review.verdict == Verdict::Deny) {
            wrong.push("it was approved although a reviewer had denied it".to_owned());
        }
        let people: Vec<&BTreeSet<String>> =
            self.eligible().filter(|review| review.verdict == Verdict::Approve).map(|review| &review.groups).collect();
        if !quorum::filled(&terms.requirements, &terms.stand_ins(now), &people) {
            let wanted: Vec<String> =
                terms.requirements.iter().map(|r| format!("{} of `{}`", r.count, r.group)).collect();
            wrong.push(format!(
                "it was approved without its quorum: {} asked for, {} people approved",
                wanted.join(" and "),
                people.len()
            ));
        }
    }

    fn same_call(&self, entry: &Entry, wrong: &mut Vec<String>) {
        let Some(terms) = &self.terms else { return };
        if entry.data.contains_key("digest") && entry.read("digest") != Some(terms.digest) {
            wrong.push("it is about another call than the approval: the digests differ".to_owned());
        }
    }

    fn step(&mut self, entry: &Entry, from: &[State], to: State, wrong: &mut Vec<String>) {
        if !from.contains(&self.state) {
            wrong.push(format!(
                "`{}` cannot happen to an approval that is {}",
                entry.kind.as_str(),
                self.state.as_str()
            ));
        }
        self.state = to;
    }
}
