//! A small world in which callers call, hang up and try again, people decide, and the process
//! crashes, in any order. Whatever happens: no approval runs twice, nothing runs that people do
//! not stand by at that moment, and nothing that they have approved is lost.

use std::collections::HashMap;

use proptest::prelude::*;

use crate::approval::fixtures;
use crate::approval::fixtures::Ids;
use crate::approval::fixtures::at;
use crate::approval::fixtures::people;
use crate::approval::fixtures::person;
use crate::approval::machine::Command;
use crate::approval::machine::Ending;
use crate::approval::machine::NewReview;
use crate::approval::machine::Surroundings;
use crate::approval::record::Channel;
use crate::approval::record::ReviewVerdict;
use crate::identity::People;
use crate::model::Assurance;
use crate::model::CallId;

use super::*;

/// Something that somebody does. Numbers choose among whatever there is.
#[derive(Clone, Copy, Debug)]
enum Act {
    /// A caller calls: with which call id, and as which attempt.
    Call { id: Option<u8>, attempt: u32 },
    /// The caller of a connection hangs up.
    HangUp(usize),
    /// The caller of a connection is gone, and nobody has noticed.
    Vanish(usize),
    /// Ana or Bo approves or denies an approval.
    Review(usize, bool, bool),
    /// A connection whose approval is approved claims it.
    Claim(usize),
    /// A connection that has claimed sends its call.
    Send(usize),
    /// The upstream answers one that was sent, or breaks off.
    Answer(usize, bool),
    /// The process dies and starts again.
    Crash,
    /// So many seconds pass.
    Wait(u8),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    Waits,
    Claimed,
    Sent,
    Gone,
}

struct Connection {
    call: CallId,
    approval: usize,
    phase: Phase,
}

struct World {
    ids: Ids,
    people: People,
    now: i64,
    records: Vec<Approval>,
    by_call_id: HashMap<u8, usize>,
    connections: Vec<Connection>,
    /// How often the call of each approval has left.
    sent: Vec<u32>,
}

impl World {
    fn new() -> Self {
        Self {
            ids: Ids::new(),
            people: people("owners: ana bo", &[]),
            now: 0,
            records: Vec::new(),
            by_call_id: HashMap::new(),
            connections: Vec::new(),
            sent: Vec::new(),
        }
    }

    fn apply(&mut self, record: usize, command: Command) -> bool {
        let around = Surroundings { people: &self.people, claim_within: Duration::from_secs(50), now: at(self.now) };
        let mut after = self.records[record].clone();
        let done = after.apply(command, around).is_ok();
        if done {
            self.records[record] = after;
        }
        done
    }

    fn act(&mut self, act: Act) {
        match act {
            Act::Call { id, attempt } => self.call(id, attempt),
            Act::HangUp(index) => self.hang_up(index),
            Act::Vanish(index) => {
                if let Some(connection) = self.connection(index, Phase::Waits) {
                    connection.phase = Phase::Gone;
                }
            }
            Act::Review(index, ana, approves) => self.review(index, ana, approves),
            Act::Claim(index) => {
                let Some((record, run)) = self.connection(index, Phase::Waits).map(|it| (it.approval, it.call)) else {
                    return;
                };
                if self.apply(record, Command::Claim { run, exact: fixtures::exact(), behind: BTreeSet::new() }) {
                    let claimed = matches!(self.records[record].state, State::Forwarding { .. });
                    let phase = if claimed { Phase::Claimed } else { Phase::Gone };
                    self.connections.iter_mut().filter(|it| it.call == run).for_each(|it| it.phase = phase);
                }
            }
            Act::Send(index) => self.send(index),
            Act::Answer(index, whole) => {
                let Some((record, run)) = self.connection(index, Phase::Sent).map(|connection| {
                    connection.phase = Phase::Gone;
                    (connection.approval, connection.call)
                }) else {
                    return;
                };
                let broken = || Ending::Unknown { reason: "x".to_owned() };
                let ending = if whole { Ending::Completed { status: 200 } } else { broken() };
                assert!(self.apply(record, Command::Finish { run, ending }), "a run has no ending");
            }
            Act::Crash => {
                self.connections.clear();
                for record in 0..self.records.len() {
                    self.apply(record, Command::Abandon);
                }
            }
            Act::Wait(seconds) => {
                self.now += i64::from(seconds);
                for record in 0..self.records.len() {
                    self.apply(record, Command::Tick);
                }
            }
        }
    }

    /// One of the connections in `phase`.
    fn connection(&mut self, index: usize, phase: Phase) -> Option<&mut Connection> {
        let count = self.connections.iter().filter(|connection| connection.phase == phase).count();
        let mut all = self.connections.iter_mut().filter(|connection| connection.phase == phase);
        all.nth(index.checked_rem(count)?)
    }

    fn call(&mut self, id: Option<u8>, attempt: u32) {
        let call = fixtures::call(&self.ids, "deploy-bot", "export");
        let (mut new, _) = fixtures::record(&self.ids, &call, "owners=1", &self.people);
        (new.created, new.expires) = (at(self.now), at(self.now + 100));
        let sought = Sought {
            principal: new.principal.id.clone(),
            closure: new.closure.clone(),
            digest: new.digest,
            attempt: Attempt { of: id.map(|id| id.to_string()), number: Some(attempt) },
            named: None,
            now: at(self.now),
            denied_for: Duration::from_secs(20),
            replay_for: Duration::from_secs(20),
        };
        let (since, everything) = (sought.ended_since(), 0..self.records.len());
        let by_id =
            id.and_then(|id| self.by_call_id.get(&id).copied()).into_iter().map(|record| (record, Found::CallId));
        let open = everything.clone().filter(|record| self.records[*record].state.is_open());
        let ended = everything.filter(|record| match &self.records[*record].state {
            State::Forwarding { .. } => true,
            state => state.since().is_some_and(|at| at >= since),
        });
        let candidates =
            by_id.chain(open.map(|record| (record, Found::Open))).chain(ended.map(|record| (record, Found::Ended)));
        let belongs = candidates
            .map(|(record, found)| (record, sought.relate(&self.records[record], found, false)))
            .find(|(_, relation)| *relation != Relation::Stranger);
        let record = match belongs {
            Some((_, Relation::Repeats | Relation::Stranger)) => return,
            Some((record, Relation::Joins)) => {
                let instead_of = self.records[record].caller;
                assert!(self.apply(record, Command::Join { call: call.id, instead_of, reason: None }), "no place");
                record
            }
            None => {
                self.records.push(new);
                self.sent.push(0);
                self.records.len() - 1
            }
        };
        if let Some(id) = id {
            self.by_call_id.insert(id, record);
        }
        self.connections.push(Connection { call: call.id, approval: record, phase: Phase::Waits });
    }

    fn hang_up(&mut self, index: usize) {
        let Some(count) = self.connections.len().checked_sub(1) else { return };
        let connection = &mut self.connections[index % (count + 1)];
        let (record, call, phase) = (connection.approval, connection.call, connection.phase);
        match phase {
            Phase::Waits => drop(self.apply(record, Command::Leave { call })),
            Phase::Claimed => drop(self.apply(record, Command::Unclaim { run: call })),
            // What was sent goes on without its caller; who has vanished cannot hang up.
            Phase::Sent | Phase::Gone => return,
        }
        self.connections.retain(|connection| connection.call != call);
    }

    fn review(&mut self, index: usize, ana: bool, approves: bool) {
        let Some(record) = index.checked_rem(self.records.len()) else { return };
        let review = NewReview {
            person: person(if ana { "ana" } else { "bo" }),
            digest: self.records[record].digest,
            verdict: if approves { ReviewVerdict::Approve } else { ReviewVerdict::Deny },
            channel: Channel::Api,
            assurance: Assurance::Session,
            reason: None,
        };
        self.apply(record, Command::Review(review));
    }

    fn send(&mut self, index: usize) {
        let Some((record, run)) = self.connection(index, Phase::Claimed).map(|connection| {
            connection.phase = Phase::Sent;
            (connection.approval, connection.call)
        }) else {
            return;
        };
        let approval = &self.records[record];
        assert!(
            matches!(approval.state, State::Forwarding { run: claimed, .. } if claimed == run),
            "a call leaves while its approval is {}",
            approval.state.name()
        );
        assert!(approval.approving().next().is_some(), "a call leaves that nobody has approved");
        assert!(approval.reviews.iter().all(|review| review.verdict == ReviewVerdict::Approve), "one has denied it");
        self.sent[record] += 1;
        assert_eq!(self.sent[record], 1, "an approval has run twice");
    }

    /// Whatever is approved can be had by the next call of the same kind that nobody else waits for.
    fn nothing_is_lost(&mut self) {
        // What was given back too late to be claimed lapses first.
        self.act(Act::Wait(0));
        let waiting = |record: &&Approval| matches!(record.state, State::Approved { .. }) && record.caller.is_none();
        let approved = self.records.iter().filter(waiting).count();
        // Each call takes one, and none asks anybody anew.
        let records = self.records.len();
        for _ in 0..approved {
            self.call(None, 1);
        }
        assert_eq!(self.records.len(), records, "people are asked again for what they have approved");
        let runs: Vec<usize> = (0..self.connections.len()).collect();
        runs.iter().for_each(|_| (0..self.connections.len()).for_each(|index| self.act(Act::Claim(index))));
        let left = self.records.iter().filter(|record| matches!(record.state, State::Approved { .. }));
        let lost = left.filter(|record| {
            let waits = |it: &Connection| Some(it.call) == record.caller && it.phase == Phase::Waits;
            self.connections.iter().any(waits)
        });
        assert_eq!(lost.count(), 0, "an approved call waits and cannot be run");
    }
}

fn act() -> impl Strategy<Value = Act> {
    let index = 0_usize..6;
    prop_oneof![
        4 => (prop::option::of(0_u8..2), 1_u32..3).prop_map(|(id, attempt)| Act::Call { id, attempt }),
        2 => index.clone().prop_map(Act::HangUp),
        1 => index.clone().prop_map(Act::Vanish),
        3 => (index.clone(), any::<bool>(), prop::bool::weighted(0.8)).prop_map(|(at, ana, yes)| Act::Review(at, ana, yes)),
        3 => index.clone().prop_map(Act::Claim),
        3 => index.clone().prop_map(Act::Send),
        2 => (index, prop::bool::weighted(0.7)).prop_map(|(at, whole)| Act::Answer(at, whole)),
        1 => Just(Act::Crash),
        1 => (1_u8..60).prop_map(Act::Wait),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn no_approval_runs_twice_or_unbidden_and_none_is_lost(acts in prop::collection::vec(act(), 1..40)) {
        let mut world = World::new();
        for act in acts {
            world.act(act);
        }
        world.nothing_is_lost();
    }
}
