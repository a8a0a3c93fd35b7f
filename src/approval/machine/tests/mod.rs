//! The rules, in tables: every command in every state, and who may say what.

use std::time::Duration;

use crate::approval::fixtures;
use crate::approval::fixtures::Ids;
use crate::approval::fixtures::at;
use crate::approval::fixtures::people;
use crate::approval::fixtures::person;
use crate::approval::record::State;
use crate::identity::People;
use crate::model::OnDisconnect;
use crate::model::Sha256;

use super::*;

mod escalating;
mod properties;
mod reviewing;
mod running;
mod small_world;
mod states;

const GROUPS: &str = "owners: ana bo olga@example.com kim@example.com hal@example.com; security: bo cy; others: zed";

/// One approval, the people around it, and the call that was held.
#[derive(Clone)]
struct Case {
    approval: Approval,
    people: People,
    call: CallId,
}

impl Case {
    /// A call that is held until `needs` are met.
    fn new(needs: &str) -> Self {
        let ids = Ids::new();
        let call = fixtures::call(&ids, "deploy-bot", "export");
        let people = people(GROUPS, &[("U0LGA", "olga@example.com"), ("bo-2", "bo")]);
        let (approval, _) = fixtures::record(&ids, &call, needs, &people);
        Self { approval, people, call: call.id }
    }

    fn around(&self, seconds: i64) -> Surroundings<'_> {
        Surroundings { people: &self.people, claim_within: Duration::from_secs(50), now: at(seconds) }
    }

    /// Applies `command` in second `seconds`. An error must leave everything as it was, and so
    /// must an answer that nothing has happened.
    fn apply(&mut self, seconds: i64, command: Command) -> Result<Vec<Happened>, ApprovalError> {
        let before = self.approval.clone();
        let mut approval = before.clone();
        let happened = approval.apply(command, self.around(seconds));
        if happened.as_ref().map_or(true, Vec::is_empty) {
            assert_eq!(approval, before, "nothing has happened, so nothing may have changed");
        }
        self.approval = approval;
        happened
    }

    /// What came of `command` in one word: the state it led to, what else happened, `-` for
    /// nothing, or the error.
    fn try_at(&mut self, seconds: i64, command: Command) -> String {
        match self.apply(seconds, command) {
            Err(error) => format!("!{}", error.code()),
            Ok(happened) if happened.is_empty() => "-".to_owned(),
            Ok(happened) => {
                happened.iter().map(|happened| word(happened, &self.approval)).collect::<Vec<_>>().join("+")
            }
        }
    }

    fn try_now(&mut self, command: Command) -> String {
        self.try_at(10, command)
    }

    fn review(&self, name: &str, verdict: ReviewVerdict) -> NewReview {
        NewReview {
            person: person(name),
            digest: self.approval.digest,
            verdict,
            channel: Channel::Api,
            assurance: Assurance::Session,
            reason: None,
        }
    }

    fn approve(&mut self, name: &str) -> String {
        let review = self.review(name, ReviewVerdict::Approve);
        self.try_now(Command::Review(review))
    }

    fn deny(&mut self, name: &str) -> String {
        let review = self.review(name, ReviewVerdict::Deny);
        self.try_now(Command::Review(review))
    }

    fn ask(&mut self, name: &str, text: &str) -> String {
        let command = Command::Ask {
            person: person(name),
            digest: self.approval.digest,
            text: text.to_owned(),
            channel: Channel::Api,
            assurance: Assurance::Session,
        };
        self.try_now(command)
    }

    fn answer(&mut self, text: &str) -> String {
        self.try_now(Command::Answer { by: "deploy-bot".to_owned(), text: text.to_owned() })
    }

    /// The same, approved and waiting for its caller.
    fn approved(mut self) -> Self {
        for name in ["ana", "bo", "cy"] {
            if self.approval.state == State::Pending
                && self.approval.may_review(&person(name), &self.people, at(10)).is_ok()
            {
                self.approve(name);
            }
        }
        assert_eq!(self.state(), "approved");
        self
    }

    fn state(&self) -> &'static str {
        self.approval.state.name()
    }
}

fn word(happened: &Happened, approval: &Approval) -> String {
    match happened {
        Happened::Created(_) => "created".to_owned(),
        Happened::Joined(_) => "joined".to_owned(),
        Happened::Left(_) => "left".to_owned(),
        Happened::Reviewed(review) => format!("{} {}", review.person, review.verdict.as_str()),
        Happened::Overruled(review) => format!("{} overruled->{}", review.person, approval.state.name()),
        Happened::Asked { .. } => "asked".to_owned(),
        Happened::Answered(_) => "answered".to_owned(),
        Happened::Escalated => format!("escalated {}", approval.escalated),
        Happened::Entered | Happened::Claimed(_) => format!("->{}", approval.state.name()),
        Happened::Unclaimed(_) => "unclaimed".to_owned(),
    }
}
