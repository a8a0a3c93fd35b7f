//! Who may review a call, and whether those who did are enough.
//!
//! All comparisons are between people, by whatever name, as the configuration knows them now.

use std::collections::BTreeSet;

use crate::approval::error::ApprovalError;
use crate::approval::quorum;
use crate::approval::quorum::Candidate;
use crate::approval::quorum::Slot;
use crate::approval::record::Approval;
use crate::approval::record::Review;
use crate::approval::record::ReviewVerdict;
use crate::identity::People;
use crate::model::Escalation;
use crate::model::HoldObligations;
use crate::model::PersonId;
use crate::model::Principal;
use crate::model::Requirement;
use crate::model::Timestamp;

impl Approval {
    /// Who fills which of the places that the policy asks for, counting only people who might
    /// review when they did and still may: a person who has left a group, or turned out to stand
    /// behind the caller, counts no more. Once it has escalated, others may stand in.
    pub fn slots(&self, people: &People, now: Timestamp) -> Vec<Slot> {
        let still = |review: &Review, person: &PersonId| {
            review.groups.iter().filter(|group| people.in_group(person, group)).cloned().collect()
        };
        let stand_ins = self.stand_ins(&self.obligations, now);
        quorum::fill(&self.obligations.reviewers, &stand_ins, &self.candidates(people, |_| true, still))
    }

    /// Who may take any place by `now`, up to so many of each group.
    fn stand_ins(&self, obligations: &HoldObligations, now: Timestamp) -> Vec<Requirement> {
        let begun = obligations.escalate.iter().filter(|step| self.created.plus(step.after) <= now);
        begun.flat_map(|step| step.reviewers.iter().cloned()).collect()
    }

    /// When the steps of the escalation begin, in order.
    pub fn escalates(&self) -> impl Iterator<Item = (Timestamp, &Escalation)> {
        self.obligations.escalate.iter().map(|step| (self.created.plus(step.after), step))
    }

    /// Whether the reviews so far are enough for `obligations`, which may be others than those
    /// under which it was held.
    pub fn meets(&self, obligations: &HoldObligations, people: &People, now: Timestamp) -> bool {
        let enough = |review: &Review| {
            review.assurance >= obligations.assurance
                && (!obligations.require_reason || gives_reason(review.reason.as_deref()))
        };
        let stand_ins = self.stand_ins(obligations, now);
        let groups =
            |_: &Review, person: &PersonId| groups_of(person, obligations.reviewers.iter().chain(&stand_ins), people);
        quorum::is_met(&quorum::fill(&obligations.reviewers, &stand_ins, &self.candidates(people, enough, groups)))
    }

    /// Whether `person` may approve or deny this call, were it their turn now. Answers with those
    /// of the required groups that they are in.
    ///
    /// # Errors
    /// [`ApprovalError::OwnRequest`] and [`ApprovalError::NotReviewer`].
    pub fn may_review(&self, person: &PersonId, people: &People, now: Timestamp) -> Result<Vec<String>, ApprovalError> {
        if self.stands_behind(person, people) {
            let role = self.role(person, people);
            return Err(ApprovalError::OwnRequest { person: person.to_string(), role });
        }
        let stand_ins = self.stand_ins(&self.obligations, now);
        let asked = || self.obligations.reviewers.iter().chain(&stand_ins);
        let groups = groups_of(person, asked(), people);
        if groups.is_empty() {
            let asked: Vec<&str> = asked().map(|need| need.group.as_str()).collect();
            return Err(ApprovalError::NotReviewer { person: person.to_string(), groups: asked.join(", ") });
        }
        Ok(groups)
    }

    /// Whether enough people exist who could approve this call.
    ///
    /// # Errors
    /// [`ApprovalError::NoReviewer`] says what is missing.
    pub fn can_ever_be_approved(&self, people: &People) -> Result<(), ApprovalError> {
        let needs = &self.obligations.reviewers;
        if needs.is_empty() {
            return Err(ApprovalError::NoReviewer("the policy names no reviewers".to_owned()));
        }
        if quorum::too_many(needs) {
            return Err(ApprovalError::NoReviewer(format!(
                "the policy asks for more than {} people",
                quorum::SLOTS_MAX
            )));
        }
        // Whoever may stand in before it expires may save it.
        let stand_ins = self.stand_ins(&self.obligations, self.expires);
        let asked = || needs.iter().chain(&stand_ins);
        let members: BTreeSet<&PersonId> = asked().filter_map(|need| people.members(&need.group)).flatten().collect();
        let eligible = members.into_iter().filter(|person| !self.stands_behind(person, people));
        let eligible = eligible
            .map(|person| Candidate { person: person.clone(), groups: groups_of(person, asked(), people) })
            .chain(unknown(asked(), people));
        let eligible: Vec<Candidate> = eligible.collect();
        if quorum::is_met(&quorum::fill(needs, &stand_ins, &eligible)) {
            return Ok(());
        }
        let asked: Vec<String> = needs.iter().map(|need| format!("{} of `{}`", need.count, need.group)).collect();
        let asked = asked.join(", ");
        Err(ApprovalError::NoReviewer(format!(
            "the policy asks for {asked}, and too few members of these groups stand outside of the caller's own people"
        )))
    }

    /// Whether `person`, by any name, stands behind the caller.
    pub fn stands_behind(&self, person: &PersonId, people: &People) -> bool {
        people.among(person, self.closure.iter().map(String::as_str))
    }

    /// Whoever has approved and may be counted, each person once, with the groups that `groups`
    /// lets them speak for. Two names may have become one person since they reviewed.
    fn candidates(
        &self,
        people: &People,
        counts: impl Fn(&Review) -> bool,
        groups: impl Fn(&Review, &PersonId) -> Vec<String>,
    ) -> Vec<Candidate> {
        let mut candidates: Vec<Candidate> = Vec::new();
        for review in self.approving().filter(|review| counts(review)) {
            let person = people.canonical_person(&review.person);
            if self.stands_behind(&person, people) || self.has_said(&person, ReviewVerdict::Deny, people) {
                continue;
            }
            let groups = groups(review, &person);
            match candidates.iter_mut().find(|candidate| candidate.person == person) {
                Some(candidate) => candidate.groups.extend(groups),
                None => candidates.push(Candidate { person, groups }),
            }
        }
        candidates
    }

    /// Whether `person`, by any name, has given this verdict.
    pub(super) fn has_said(&self, person: &PersonId, verdict: ReviewVerdict, people: &People) -> bool {
        let mut given = self.reviews.iter().filter(|review| review.verdict == verdict);
        given.any(|review| people.same_person(review.person.as_str(), person))
    }

    fn role(&self, person: &PersonId, people: &People) -> &'static str {
        let Principal { id, owners, authn, .. } = &self.principal;
        if owners.iter().any(|owner| people.same_person(owner.as_str(), person)) {
            "an owner of the agent"
        } else if authn.created_by.as_ref().is_some_and(|by| people.same_person(by.as_str(), person)) {
            "the creator of the agent's key"
        } else if people.same_person(id, person) {
            "the caller itself"
        } else {
            "somebody it acts for"
        }
    }
}

/// Every name behind `principal`, as written and as compared: should an alias be forgotten later,
/// whoever it named still stands behind the call.
pub(in crate::approval) fn closure(principal: &Principal, people: &People) -> BTreeSet<String> {
    let names = principal.closure();
    let canonical: Vec<String> = names.iter().map(|name| people.canonical(name).into_owned()).collect();
    names.into_iter().chain(canonical).collect()
}

/// No quorum has more places.
const PLACES_MAX: u32 = quorum::SLOTS_MAX as u32;

/// For each place of an open group somebody who may sign in yet: nobody knows who is in it before.
fn unknown<'a>(needs: impl Iterator<Item = &'a Requirement>, people: &'a People) -> impl Iterator<Item = Candidate> {
    let open = needs.enumerate().filter(|(_, need)| people.is_open(&need.group));
    open.flat_map(|(index, need)| {
        (0..need.count.min(PLACES_MAX)).filter_map(move |place| {
            // Only the place counts, not the name.
            let person = format!("?{index}:{place}").parse().ok()?;
            Some(Candidate { person, groups: vec![need.group.clone()] })
        })
    })
}

/// Whether a reason says anything.
pub(super) fn gives_reason(reason: Option<&str>) -> bool {
    reason.is_some_and(|reason| !reason.trim().is_empty())
}

fn groups_of<'a>(person: &PersonId, needs: impl Iterator<Item = &'a Requirement>, people: &People) -> Vec<String> {
    let mut groups: Vec<String> = Vec::new();
    for need in needs.filter(|need| people.in_group(person, &need.group)) {
        if !groups.contains(&need.group) {
            groups.push(need.group.clone());
        }
    }
    groups
}
