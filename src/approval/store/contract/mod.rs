//! What every store must do. [`suite`] makes a test of each function here, for one store.

use std::collections::BTreeSet;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;

use crate::approval::fixtures;
use crate::approval::fixtures::Ids;
use crate::approval::fixtures::at;
use crate::approval::fixtures::people;
use crate::approval::fixtures::person;
use crate::approval::machine::Command;
use crate::approval::machine::Ending;
use crate::approval::machine::Happened;
use crate::approval::machine::NewReview;
use crate::approval::machine::Surroundings;
use crate::approval::record::Channel;
use crate::approval::record::ReviewVerdict;
use crate::approval::retry::Relation;
use crate::audit::Actor;
use crate::audit::Event;
use crate::audit::EventKind;
use crate::audit::Fields;
use crate::identity::People;
use crate::model::Assurance;
use crate::model::Attempt;
use crate::model::CallId;
use crate::model::EventId;
use crate::model::OnDisconnect;

use super::*;

mod attempts;
mod kept;

pub(in crate::approval) use attempts::an_attempt_finds_the_call_it_belongs_to_by_its_id;
pub(in crate::approval) use attempts::what_has_ended_is_found_for_a_while;
pub(in crate::approval) use kept::a_kept_text_is_there_until_its_time_is_over;

/// Makes a test of every function of the contract. `$fresh` is an async function that gives an
/// empty store and whatever must live as long.
macro_rules! suite {
    ($fresh:path: $($name:ident)*) => {
        $(#[tokio::test]
        async fn $name() {
            let (store, _keep) = $fresh().await;
            $crate::approval::store::contract::$name($crate::approval::store::contract::Bench::new(store)).await;
        })*
    };
    ($fresh:path) => {
        $crate::approval::store::contract::suite! { $fresh:
            what_was_opened_is_read_back
            an_opening_joins_only_an_open_record_of_the_same_call_without_a_caller
            of_many_identical_calls_at_once_one_joins
            an_attempt_finds_the_call_it_belongs_to_by_its_id
            what_has_ended_is_found_for_a_while
            no_more_may_be_pending_than_the_limits_say
            a_change_that_is_refused_leaves_nothing
            a_change_without_events_leaves_nothing
            of_many_decisions_at_once_the_first_final_one_wins
            of_sixty_claims_at_once_one_wins
            no_review_is_lost_where_many_come_at_once
            a_list_is_filtered_and_comes_in_pages_newest_first
            what_is_due_comes_earliest_first
            events_wait_in_order_until_they_are_logged
            events_are_told_again_after_any_place
            whoever_was_left_behind_is_found
            what_was_asked_for_is_done_though_nobody_waits
            a_long_body_comes_before_its_record_and_goes_with_it
            long_bodies_take_no_more_room_than_they_may
            a_kept_text_is_there_until_its_time_is_over
        }
    };
}
pub(in crate::approval) use suite;

/// A store and what is needed to fill it.
pub(in crate::approval) struct Bench {
    pub(in crate::approval) store: Arc<dyn Store>,
    pub(in crate::approval) ids: Arc<Ids>,
    pub(in crate::approval) people: Arc<People>,
}

impl Bench {
    pub(in crate::approval) fn new(store: Arc<dyn Store>) -> Self {
        let people = people("owners: ana bo cy dan; security: eve", &[]);
        Self { store, ids: Arc::new(Ids::new()), people: Arc::new(people) }
    }

    /// `POST /<name>` by `principal`, ready to be held.
    pub(in crate::approval) fn opening(&self, principal: &str, name: &str) -> Opening {
        let call = fixtures::call(&self.ids, principal, name);
        let (approval, request) = fixtures::record(&self.ids, &call, "owners=2", &self.people);
        let sought = Sought {
            principal: principal.to_owned(),
            closure: approval.closure.clone(),
            digest: approval.digest,
            attempt: Attempt::default(),
            named: None,
            now: at(10),
            denied_for: Duration::from_secs(60),
            replay_for: Duration::from_secs(60),
        };
        Opening {
            step: step(&self.ids, approval, &[Happened::Created(fixtures::exact())]),
            request,
            sought: sought.clone(),
            relate: self.relate(sought, call.id),
            pending_per_principal_max: 100,
            pending_per_rule_max: 100,
        }
    }

    fn relate(&self, sought: Sought, call: CallId) -> Relate {
        let (ids, people) = (Arc::clone(&self.ids), Arc::clone(&self.people));
        Box::new(move |current, found| {
            let around = Surroundings { people: &people, claim_within: Duration::from_secs(50), now: sought.now };
            match sought.relate(current, found, false) {
                Relation::Stranger => Ok(Related::Stranger),
                Relation::Repeats => Ok(Related::Repeats),
                Relation::Joins => {
                    let mut approval = current.clone();
                    let command = Command::Join { call, instead_of: current.caller, reason: None };
                    let happened = approval.apply(command, around)?;
                    Ok(Related::Joins(Box::new(step(&ids, approval, &happened))))
                }
            }
        })
    }

    /// As [`Self::opening`], by a caller that says this of itself.
    fn seeking(&self, name: &str, say: impl FnOnce(&mut Sought)) -> Opening {
        let mut opening = self.opening("deploy-bot", name);
        say(&mut opening.sought);
        let call = opening.step.approval.caller.unwrap();
        opening.relate = self.relate(opening.sought.clone(), call);
        opening
    }

    pub(in crate::approval) async fn open(&self, principal: &str, name: &str) -> Approval {
        let opened = self.store.open(self.opening(principal, name)).await.unwrap();
        assert_eq!(opened.how, How::New);
        opened.approval
    }

    fn command(&self, seconds: i64, command: Command) -> Change {
        let (ids, people) = (Arc::clone(&self.ids), Arc::clone(&self.people));
        Box::new(move |current| {
            let around = Surroundings { people: &people, claim_within: Duration::from_secs(50), now: at(seconds) };
            let mut approval = current.clone();
            let happened = approval.apply(command.clone(), around)?;
            Ok(step(&ids, approval, &happened))
        })
    }

    pub(in crate::approval) async fn change(&self, id: ApprovalId, command: Command) -> Result<Changed, ApprovalError> {
        self.store.change(id, self.command(10, command)).await
    }

    fn review(&self, approval: &Approval, name: &str, verdict: ReviewVerdict) -> Command {
        Command::Review(NewReview {
            person: person(name),
            digest: approval.digest,
            verdict,
            channel: Channel::Api,
            assurance: Assurance::Session,
            reason: None,
        })
    }

    async fn approve(&self, approval: &Approval) {
        for name in ["ana", "bo"] {
            self.change(approval.id, self.review(approval, name, ReviewVerdict::Approve)).await.unwrap();
        }
    }

    async fn leave(&self, approval: &Approval) {
        let call = approval.caller.unwrap();
        self.change(approval.id, Command::Leave { call }).await.unwrap();
    }

    async fn read(&self, id: ApprovalId) -> Approval {
        self.store.read(id).await.unwrap().unwrap()
    }

    async fn kinds(&self, id: ApprovalId) -> Vec<String> {
        self.store.events_after(0, Some(id)).await.unwrap().into_iter().map(|notice| notice.kind).collect()
    }
}

/// The record after `happened`, with an event for each, as the service would make them.
fn step(ids: &Ids, mut approval: Approval, happened: &[Happened]) -> Step {
    let mut events = Vec::new();
    for happened in happened {
        let kind = match happened {
            Happened::Claimed(_) => EventKind::ApprovalClaimed,
            Happened::Created(_) => EventKind::ApprovalCreated,
            Happened::Joined(_) => EventKind::ApprovalCallerJoined,
            Happened::Left(_) => EventKind::ApprovalCallerLeft,
            Happened::Reviewed(_) => EventKind::ApprovalDecided,
            Happened::Overruled(_) => EventKind::ApprovalRevoked,
            Happened::Asked { .. } => EventKind::ApprovalAsked,
            Happened::Answered(_) => EventKind::ApprovalAnswered,
            Happened::Unclaimed(_) => EventKind::ApprovalUnclaimed,
            Happened::Escalated => EventKind::ApprovalEscalated,
            Happened::Entered => EventKind::from_word(&format!("approval.{}", approval.state.name()))
                .unwrap_or(EventKind::ApprovalClaimed),
        };
        let event = Event {
            id: EventId::new(&ids.0, at(0)),
            time: at(10),
            kind,
            subject: Some(approval.id),
            prev: approval.link,
            policy: None,
            actor: Actor::System,
            data: Fields::new(),
            private: vec![("reason", "because".into())],
        };
        let leaf = event.seal("node-1", || [7; 16]).unwrap();
        approval.link = Some(leaf.hash());
        events.push(NewEntry { kind: kind.as_str().to_owned(), at: at(10), leaf });
    }
    approval.version += u64::from(!events.is_empty());
    Step { approval, events }
}

pub(in crate::approval) async fn what_was_opened_is_read_back(bench: Bench) {
    let opening = bench.opening("deploy-bot", "export");
    let (expected, request) = (opening.step.approval.clone(), opening.request.clone());
    assert_eq!(bench.store.read(expected.id).await.unwrap(), None);
    assert_eq!(bench.store.request(expected.id).await.unwrap(), None);
    assert_eq!((bench.store.pending().await.unwrap(), bench.store.last_seq(None).await.unwrap()), (0, 0));
    let opened = bench.store.open(opening).await.unwrap();
    assert_eq!((opened.how, &opened.approval), (How::New, &expected));
    assert_eq!(bench.read(expected.id).await, expected);
    let shown = bench.store.request(expected.id).await.unwrap().unwrap();
    assert_eq!((shown.hash(), &shown), (expected.request_sha256, &request));
    assert_eq!(bench.store.pending().await.unwrap(), 1);
    assert_eq!(bench.store.last_seq(None).await.unwrap(), opened.seq);
}

pub(in crate::approval) async fn an_opening_joins_only_an_open_record_of_the_same_call_without_a_caller(bench: Bench) {
    let first = bench.open("deploy-bot", "export").await;
    // It has a caller, so an identical call is a second action.
    let second = bench.open("deploy-bot", "export").await;
    assert_ne!(first.id, second.id);
    bench.leave(&first).await;
    bench.leave(&second).await;
    bench.open("other-bot", "export").await;
    bench.open("deploy-bot", "import").await;
    let opening = bench.opening("deploy-bot", "export");
    let call = opening.step.approval.caller;
    let joined = bench.store.open(opening).await.unwrap();
    // The oldest that is free.
    assert_eq!((joined.how, joined.approval.id, joined.approval.caller), (How::Joined, first.id, call));
    assert_eq!(bench.read(first.id).await, joined.approval);
    assert_eq!(bench.kinds(first.id).await.last().map(String::as_str), Some("approval.caller_joined"));
    assert_eq!(bench.store.last_seq(None).await.unwrap(), joined.seq);
    // An approved one is joined as well; a settled one is not.
    bench.approve(&second).await;
    let joined = bench.store.open(bench.opening("deploy-bot", "export")).await.unwrap();
    assert_eq!((joined.how, joined.approval.id, joined.approval.state.name()), (How::Joined, second.id, "approved"));
    bench.leave(&joined.approval).await;
    bench
        .change(second.id, Command::Claim { run: bench.ids.call(), exact: fixtures::exact(), behind: BTreeSet::new() })
        .await
        .unwrap_err();
    let run = bench.store.open(bench.opening("deploy-bot", "export")).await.unwrap().approval.caller.unwrap();
    bench.change(second.id, Command::Claim { run, exact: fixtures::exact(), behind: BTreeSet::new() }).await.unwrap();
    bench.open("deploy-bot", "export").await;
    // Nor is one that is over, whether or not the sweep has come to it.
    let due = bench.open("deploy-bot", "late").await;
    bench.leave(&due).await;
    let opening = bench.seeking("late", |sought| sought.now = due.expires);
    assert_eq!(bench.store.open(opening).await.unwrap().how, How::New);
}

pub(in crate::approval) async fn of_many_identical_calls_at_once_one_joins(bench: Bench) {
    let free = bench.open("deploy-bot", "export").await;
    bench.leave(&free).await;
    let opened = join_all((0..20).map(|_| bench.store.open(bench.opening("deploy-bot", "export")))).await;
    let opened: Vec<Opened> = opened.into_iter().map(Result::unwrap).collect();
    assert_eq!(opened.iter().filter(|opened| opened.how == How::Joined).count(), 1);
    let ids: HashSet<ApprovalId> = opened.iter().map(|opened| opened.approval.id).collect();
    assert_eq!(ids.len(), 20);
    assert_eq!(bench.store.pending().await.unwrap(), 20);
}

pub(in crate::approval) async fn no_more_may_be_pending_than_the_limits_say(bench: Bench) {
    let limited = |principal: &str, name: &str, per_principal, per_rule| Opening {
        pending_per_principal_max: per_principal,
        pending_per_rule_max: per_rule,
        ..bench.opening(principal, name)
    };
    let first = bench.open("deploy-bot", "export").await;
    bench.open("deploy-bot", "import").await;
    let refused = bench.store.open(limited("deploy-bot", "more", 2, 100)).await.unwrap_err();
    let whose = "the principal `deploy-bot`".to_owned();
    assert_eq!(refused, ApprovalError::TooManyPending { whose, pending: 2, max: 2 });
    let refused = bench.store.open(limited("other-bot", "more", 2, 2)).await.unwrap_err();
    let whose = "the rule `customer-export`".to_owned();
    assert_eq!(refused, ApprovalError::TooManyPending { whose, pending: 2, max: 2 });
    assert_eq!(bench.store.pending().await.unwrap(), 2);
    // Whoever comes back to what is there already adds nothing.
    bench.leave(&first).await;
    assert_eq!(bench.store.open(limited("deploy-bot", "export", 2, 2)).await.unwrap().how, How::Joined);
    // What is decided is not pending.
    bench.approve(&first).await;
    assert!(bench.store.open(limited("deploy-bot", "more", 2, 2)).await.is_ok());
    assert!(bench.store.open(limited("deploy-bot", "none", 0, 2)).await.is_err());
}

pub(in crate::approval) async fn a_change_that_is_refused_leaves_nothing(bench: Bench) {
    let approval = bench.open("deploy-bot", "export").await;
    let seq = bench.store.last_seq(None).await.unwrap();
    let refused = bench.change(approval.id, Command::Revoke { reason: "x".to_owned() }).await.unwrap_err();
    assert!(matches!(refused, ApprovalError::AlreadyDecided { .. }), "{refused}");
    assert_eq!(bench.read(approval.id).await, approval);
    let nobody = ApprovalId::new(&bench.ids.0, at(0));
    assert_eq!(bench.change(nobody, Command::Tick).await.unwrap_err(), ApprovalError::NotFound(nobody));
    assert_eq!(bench.store.last_seq(None).await.unwrap(), seq);
}

pub(in crate::approval) async fn a_change_without_events_leaves_nothing(bench: Bench) {
    let approval = bench.open("deploy-bot", "export").await;
    let changed = bench.change(approval.id, Command::Tick).await.unwrap();
    assert_eq!((changed.seq, &changed.approval), (None, &approval));
    // Not even if the function has touched the record.
    let touched: Change = Box::new(|current| {
        let mut approval = current.clone();
        approval.version = 99;
        Ok(Step { approval, events: Vec::new() })
    });
    let changed = bench.store.change(approval.id, touched).await.unwrap();
    assert_eq!((changed.seq, &changed.approval), (None, &approval));
    assert_eq!(bench.read(approval.id).await, approval);
}

pub(in crate::approval) async fn of_many_decisions_at_once_the_first_final_one_wins(bench: Bench) {
    for round in 0..10 {
        let approval = bench.open("deploy-bot", &format!("export-{round}")).await;
        let say = |index: usize| {
            let name = ["ana", "bo", "cy", "dan"][index % 4];
            // Nobody says both here, so that one person's second word cannot hide a lost update.
            let verdict = if index % 4 == 3 { ReviewVerdict::Deny } else { ReviewVerdict::Approve };
            bench.change(approval.id, bench.review(&approval, name, verdict))
        };
        let said = join_all((round..round + 24).map(say)).await;
        let kinds = bench.kinds(approval.id).await;
        let finals = |wanted: &[&str]| kinds.iter().filter(|kind| wanted.contains(&kind.as_str())).count();
        assert_eq!(finals(&["approval.approved", "approval.denied"]), 1, "{kinds:?}");
        let after = bench.read(approval.id).await;
        let changes = said.iter().filter(|said| said.as_ref().is_ok_and(|changed| changed.seq.is_some())).count();
        assert_eq!(after.version, 1 + changes as u64, "{kinds:?}");
        let people: BTreeSet<_> = after.reviews.iter().map(|review| review.person.clone()).collect();
        assert_eq!(people.len(), after.reviews.len(), "somebody was counted twice");
    }
}

pub(in crate::approval) async fn of_sixty_claims_at_once_one_wins(bench: Bench) {
    let approval = bench.open("deploy-bot", "export").await;
    bench.approve(&approval).await;
    let run = approval.caller.unwrap();
    let tasks = (0..60).map(|_| {
        let (store, claim) = (
            Arc::clone(&bench.store),
            bench.command(10, Command::Claim { run, exact: fixtures::exact(), behind: BTreeSet::new() }),
        );
        tokio::spawn(async move { store.change(approval.id, claim).await })
    });
    let claims: Vec<_> = join_all(tasks).await.into_iter().map(Result::unwrap).collect();
    assert_eq!(claims.iter().filter(|claim| claim.is_ok()).count(), 1);
    let kinds = bench.kinds(approval.id).await;
    assert_eq!(kinds.iter().filter(|kind| *kind == "approval.claimed").count(), 1, "{kinds:?}");
    let strangers = (0..5).map(|_| {
        bench.change(
            approval.id,
            Command::Claim { run: bench.ids.call(), exact: fixtures::exact(), behind: BTreeSet::new() },
        )
    });
    assert!(join_all(strangers).await.iter().all(Result::is_err));
}

pub(in crate::approval) async fn no_review_is_lost_where_many_come_at_once(bench: Bench) {
    let approvals = join_all((0..30).map(|index| {
        let bench = &bench;
        async move { bench.open("deploy-bot", &format!("export-{index}")).await }
    }))
    .await;
    let reviews = approvals.iter().flat_map(|approval| ["ana", "bo"].map(|name| (approval, name)));
    let said =
        reviews.map(|(approval, name)| bench.change(approval.id, bench.review(approval, name, ReviewVerdict::Approve)));
    assert!(join_all(said).await.iter().all(Result::is_ok));
    for approval in approvals {
        assert_eq!(bench.read(approval.id).await.state.name(), "approved");
    }
    let all = bench.store.events_after(0, None).await.unwrap();
    assert!(all.windows(2).all(|pair| pair[0].seq < pair[1].seq));
    assert_eq!(all.len(), 30 * 4);
}

pub(in crate::approval) async fn a_list_is_filtered_and_comes_in_pages_newest_first(bench: Bench) {
    let mut approvals = Vec::new();
    for (principal, name) in
        [("deploy-bot", "a"), ("deploy-bot", "b"), ("other-bot", "a"), ("deploy-bot", "c"), ("deploy-bot", "d")]
    {
        approvals.push(bench.open(principal, name).await);
    }
    bench.approve(&approvals[1]).await;
    bench.change(approvals[3].id, bench.review(&approvals[3], "ana", ReviewVerdict::Deny)).await.unwrap();
    let list = async |query: Query| {
        let listed = bench.store.list(query).await.unwrap();
        listed.iter().map(|approval| approval.id).collect::<Vec<_>>()
    };
    let newest_first = |indexes: &[usize]| {
        let mut ids: Vec<ApprovalId> = indexes.iter().map(|index| approvals[*index].id).collect();
        ids.sort_unstable_by(|left, right| right.cmp(left));
        ids
    };
    let all = |limit| Query { limit, ..Query::default() };
    assert_eq!(list(all(500)).await, newest_first(&[0, 1, 2, 3, 4]));
    assert_eq!(list(all(0)).await, newest_first(&[0, 1, 2, 3, 4])[..1]);
    assert_eq!(list(all(usize::MAX)).await.len(), 5);
    let of = |principal: &str| Query { principal: Some(principal.to_owned()), ..all(10) };
    assert_eq!(list(of("other-bot")).await, newest_first(&[2]));
    assert_eq!(list(of("nobody' OR 1=1 --")).await, []);
    let states = |states: &[&str]| Query { states: states.iter().map(ToString::to_string).collect(), ..all(10) };
    assert_eq!(list(states(&["approved", "denied"])).await, newest_first(&[1, 3]));
    assert_eq!(list(states(&["no-such-state"])).await, []);
    assert_eq!(list(Query { upstream: Some("payments".to_owned()), ..all(10) }).await.len(), 5);
    assert_eq!(list(Query { upstream: Some("other".to_owned()), ..all(10) }).await, []);
    assert_eq!(
        list(Query { principal: Some("deploy-bot".to_owned()), ..states(&["pending"]) }).await,
        newest_first(&[0, 4])
    );
    let (mut paged, mut after) = (Vec::new(), None);
    loop {
        let page = list(Query { after, ..all(2) }).await;
        let Some(last) = page.last() else { break };
        after = Some(*last);
        paged.extend(page);
    }
    assert_eq!(paged, newest_first(&[0, 1, 2, 3, 4]));
}

pub(in crate::approval) async fn what_is_due_comes_earliest_first(bench: Bench) {
    assert_eq!(bench.store.next_deadline().await.unwrap(), None);
    assert_eq!(bench.store.due(at(1_000_000)).await.unwrap(), []);
    let pending = bench.open("deploy-bot", "export").await;
    let approved = bench.open("deploy-bot", "import").await;
    let done = bench.open("deploy-bot", "done").await;
    bench.approve(&approved).await;
    bench.change(done.id, bench.review(&done, "ana", ReviewVerdict::Deny)).await.unwrap();
    // Approved in second 10 for 50 seconds; the other expires in second 100.
    assert_eq!(bench.store.next_deadline().await.unwrap(), Some(at(60)));
    assert_eq!(bench.store.due(at(59)).await.unwrap(), []);
    assert_eq!(bench.store.due(at(60)).await.unwrap(), [approved.id]);
    assert_eq!(bench.store.due(at(100)).await.unwrap(), [approved.id, pending.id]);
    bench.store.change(approved.id, bench.command(60, Command::Tick)).await.unwrap();
    assert_eq!(bench.store.next_deadline().await.unwrap(), Some(at(100)));
    assert_eq!(bench.store.due(at(100)).await.unwrap(), [pending.id]);
}

pub(in crate::approval) async fn events_wait_in_order_until_they_are_logged(bench: Bench) {
    assert!(bench.store.unlogged().await.unwrap().is_empty());
    let opening = bench.opening("deploy-bot", "export");
    let created = opening.step.events[0].leaf.clone();
    let approval = bench.store.open(opening).await.unwrap().approval;
    bench.approve(&approval).await;
    let waiting = bench.store.unlogged().await.unwrap();
    let kinds: Vec<&str> = waiting.iter().map(|entry| entry.event.kind.as_str()).collect();
    assert_eq!(kinds, ["approval.created", "approval.decided", "approval.decided", "approval.approved"]);
    assert!(waiting.windows(2).all(|pair| pair[0].seq < pair[1].seq));
    assert!(waiting.iter().all(|entry| entry.id == approval.id && entry.approval.is_none()));
    // To the byte, with what it commits to, or the log would not be what was linked to.
    assert_eq!((&waiting[0].event.leaf, waiting[0].event.at), (&created, at(10)));
    assert_eq!(waiting[3].event.leaf.hash(), bench.read(approval.id).await.link.unwrap());
    bench.store.mark_logged(vec![waiting[0].seq, waiting[2].seq]).await.unwrap();
    let left: Vec<u64> = bench.store.unlogged().await.unwrap().iter().map(|entry| entry.seq).collect();
    assert_eq!(left, [waiting[1].seq, waiting[3].seq]);
    bench.store.mark_logged(waiting.iter().map(|entry| entry.seq).chain([999]).collect()).await.unwrap();
    assert!(bench.store.unlogged().await.unwrap().is_empty());
    assert_eq!(bench.kinds(approval.id).await.len(), 4);
}

pub(in crate::approval) async fn events_are_told_again_after_any_place(bench: Bench) {
    let first = bench.open("deploy-bot", "export").await;
    let second = bench.open("deploy-bot", "import").await;
    bench.leave(&first).await;
    let all = bench.store.events_after(0, None).await.unwrap();
    let told: Vec<(ApprovalId, &str)> = all.iter().map(|notice| (notice.approval, notice.kind.as_str())).collect();
    let expected =
        [(first.id, "approval.created"), (second.id, "approval.created"), (first.id, "approval.caller_left")];
    assert_eq!(told, expected);
    assert_eq!(bench.store.events_after(all[0].seq, None).await.unwrap(), all[1..]);
    assert_eq!(bench.store.events_after(all[0].seq, Some(first.id)).await.unwrap(), all[2..]);
    assert_eq!(bench.store.events_after(all[2].seq, None).await.unwrap(), []);
    assert_eq!(bench.store.last_seq(None).await.unwrap(), all[2].seq);
}

pub(in crate::approval) async fn whoever_was_left_behind_is_found(bench: Bench) {
    let waits = bench.open("deploy-bot", "export").await;
    let runs = bench.open("deploy-bot", "import").await;
    let gone = bench.open("deploy-bot", "gone").await;
    let done = bench.open("deploy-bot", "done").await;
    for approval in [&runs, &done] {
        bench.approve(approval).await;
        bench
            .change(
                approval.id,
                Command::Claim { run: approval.caller.unwrap(), exact: fixtures::exact(), behind: BTreeSet::new() },
            )
            .await
            .unwrap();
    }
    bench.leave(&gone).await;
    let (run, ending) = (done.caller.unwrap(), Ending::Completed { status: 200 });
    bench.change(done.id, Command::Finish { run, ending }).await.unwrap();
    let attached: BTreeSet<ApprovalId> = bench.store.attached().await.unwrap().into_iter().collect();
    assert_eq!(attached, [waits.id, runs.id].into());
    for id in attached {
        bench.change(id, Command::Abandon).await.unwrap();
    }
    assert_eq!(bench.store.attached().await.unwrap(), []);
    assert_eq!(bench.read(runs.id).await.state.name(), "unknown");
    assert_eq!(bench.read(waits.id).await.obligations.on_disconnect, OnDisconnect::Wait);
}

pub(in crate::approval) async fn what_was_asked_for_is_done_though_nobody_waits(bench: Bench) {
    let approval = bench.open("deploy-bot", "export").await;
    let call: CallId = approval.caller.unwrap();
    drop(bench.store.change(approval.id, bench.command(10, Command::Leave { call })));
    // In the order of the calls: this one comes after.
    let joined = bench.store.open(bench.opening("deploy-bot", "export")).await.unwrap();
    assert_eq!((joined.how, joined.approval.id), (How::Joined, approval.id));
    let waiting = bench.store.unlogged().await.unwrap();
    drop(bench.store.mark_logged(waiting.iter().map(|entry| entry.seq).collect()));
    bench.change(approval.id, Command::Leave { call: joined.approval.caller.unwrap() }).await.unwrap();
    assert_eq!(bench.store.unlogged().await.unwrap().len(), 1);
}

/// Makes the call of an opening one with a body of this length that does not stand in its request.
fn lengthen(mut opening: Opening, length: u64) -> Opening {
    opening.request = ShownRequest { body_bytes: length, body_text: None, body_base64: None, ..opening.request };
    opening
}

fn body_piece(id: ApprovalId, number: u64, text: &'static str, total: u64) -> BodyPiece {
    BodyPiece { id, number, bytes: Bytes::from_static(text.as_bytes()), total, bytes_total_max: 20 }
}

pub(in crate::approval) async fn a_long_body_comes_before_its_record_and_goes_with_it(bench: Bench) {
    let store = Arc::clone(&bench.store);
    let opening = || lengthen(bench.opening("deploy-bot", "export"), 9);
    // Without the body, or with a part of it, there is no record.
    let first = opening();
    let id = first.step.approval.id;
    let again = Opening { step: first.step.clone(), request: first.request.clone(), ..opening() };
    assert_eq!(store.open(first).await.unwrap_err(), ApprovalError::BodyNotStored(id));
    store.put_body(body_piece(id, 0, "hello", 9)).await.unwrap();
    let third = Opening { step: again.step.clone(), request: again.request.clone(), ..opening() };
    assert_eq!(store.open(again).await.unwrap_err(), ApprovalError::BodyNotStored(id));
    assert_eq!((store.pending().await.unwrap(), store.body_bytes(id).await.unwrap()), (0, 5));
    store.put_body(body_piece(id, 1, " you", 9)).await.unwrap();
    let approval = store.open(third).await.unwrap().approval;
    assert_eq!(store.body_piece(id, 0).await.unwrap().as_deref(), Some(&b"hello"[..]));
    assert_eq!(store.body_piece(id, 1).await.unwrap().as_deref(), Some(&b" you"[..]));
    assert_eq!(store.body_piece(id, 2).await.unwrap(), None);
    // It belongs to the record now.
    store.drop_body(id).await.unwrap();
    bench.approve(&approval).await;
    let call = approval.caller.unwrap();
    bench.change(id, Command::Claim { run: call, exact: fixtures::exact(), behind: BTreeSet::new() }).await.unwrap();
    assert_eq!((bench.read(id).await.state.name(), store.body_bytes(id).await.unwrap()), ("forwarding", 9));
    bench.change(id, Command::Finish { run: call, ending: Ending::Completed { status: 200 } }).await.unwrap();
    assert_eq!((store.body_bytes(id).await.unwrap(), store.body_piece(id, 0).await.unwrap()), (0, None));
    assert_eq!(store.request(id).await.unwrap().unwrap().body_bytes, 9);
}

pub(in crate::approval) async fn long_bodies_take_no_more_room_than_they_may(bench: Bench) {
    let store = Arc::clone(&bench.store);
    let [first, second] = [(); 2].map(|()| bench.opening("deploy-bot", "export").step.approval.id);
    // The first piece takes the room for all.
    store.put_body(body_piece(first, 0, "a", 15)).await.unwrap();
    let refused = store.put_body(body_piece(second, 0, "a", 6)).await.unwrap_err();
    assert_eq!(refused, ApprovalError::BodiesFull { bytes: 15, max: 20 });
    assert_eq!(store.body_bytes(second).await.unwrap(), 0);
    store.put_body(body_piece(second, 0, "a", 5)).await.unwrap();
    store.drop_body(first).await.unwrap();
    assert_eq!(store.body_bytes(first).await.unwrap(), 0);
    // A piece of what is not there has no place.
    assert!(store.put_body(body_piece(first, 1, "a", 15)).await.is_err());
    store.put_body(body_piece(first, 0, "a", 15)).await.unwrap();
}
