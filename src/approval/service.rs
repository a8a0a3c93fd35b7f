//! Everything that can be done with approvals, on top of a store and the audit log.
//!
//! All channels end here: whoever reviews by whatever surface calls [`Approvals::decide`], and
//! whoever waits for a review calls [`Approvals::open`].

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::sync::broadcast;
use tokio::sync::mpsc;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::audit::Log;
use crate::audit::SigningKey;
use crate::identity::People;
use crate::model::ApprovalId;
use crate::model::Assurance;
use crate::model::CallDigest;
use crate::model::CallId;
use crate::model::Clock;
use crate::model::IdSource;
use crate::model::KeptBody;
use crate::model::PersonId;
use crate::model::Timestamp;

use super::error::ApprovalError;
use super::hold::Hold;
use super::hub::Hub;
use super::hub::concerns_waiter;
use super::machine::Command;
use super::machine::Happened;
use super::machine::NewReview;
use super::metrics::Metrics;
use super::new::NewApproval;
use super::publisher;
use super::publisher::Progress;
use super::publisher::Publisher;
use super::record::Approval;
use super::record::Channel;
use super::record::ReviewVerdict;
use super::record::ShownRequest;
use super::record::State;
use super::retry::Found;
use super::retry::Relation;
use super::retry::Sought;
use super::shown;
use super::shown::Shown;
use super::store::Entry;
use super::store::How;
use super::store::Kept;
use super::store::Notice;
use super::store::Opening;
use super::store::Query;
use super::store::Related;
use super::store::Shelf;
use super::store::Store;
use super::sweep;

/// How long things last, and how many there may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// After how long an undecided approval expires, where the policy does not say.
    pub expires_in: Duration,
    /// The longest that a policy may ask for.
    pub expires_in_max: Duration,
    /// How long an approved call waits for its caller.
    pub claim_within: Duration,
    /// How many approvals of one principal may be pending.
    pub pending_per_principal_max: u64,
    /// How many approvals of one rule may be pending.
    pub pending_per_rule_max: u64,
    /// For how long a denial answers the same call again.
    pub denied_for: Duration,
    /// For how long an answer is kept for attempts at its call that come too late.
    pub replay_for: Duration,
    /// How many bytes the long bodies of calls that wait may have together.
    pub stored_bytes_total_max: u64,
}

/// What became of a call that is to be held.
#[derive(Debug)]
pub enum Opened {
    /// It waits.
    Held(Hold),
    /// It is an attempt at a call whose fate is sealed: denied, run, or under way.
    Repeats(Box<Approval>),
}

#[cfg(test)]
impl Opened {
    /// The call that waits.
    pub(crate) fn held(self) -> Hold {
        match self {
            Self::Held(hold) => hold,
            Self::Repeats(before) => panic!("it repeats {} ({})", before.id, before.state.name()),
        }
    }
}

/// What the service is made of.
pub struct Parts {
    /// Where records are kept.
    pub store: Arc<dyn Store>,
    /// What the store's `on_stored` feeds.
    pub stored: mpsc::UnboundedReceiver<Vec<Entry>>,
    /// The audit log.
    pub log: Log,
    /// Signs outcomes.
    pub key: Arc<SigningKey>,
    /// Who is who.
    pub people: Arc<People>,
    /// Asks the time.
    pub clock: Clock,
    /// Draws ids.
    pub ids: Arc<IdSource>,
    /// Names this process in the log.
    pub instance: String,
    /// Counts.
    pub metrics: Metrics,
    /// Durations and limits.
    pub settings: Settings,
    /// Where the service's own tasks run: never on the data plane.
    pub runtime: Handle,
}

/// The approvals of this deployment. Cheap to clone.
#[derive(Clone)]
pub struct Approvals(pub(super) Arc<Inner>);

pub(super) struct Inner {
    pub(super) store: Arc<dyn Store>,
    pub(super) log: Log,
    pub(super) key: Arc<SigningKey>,
    pub(super) people: ArcSwap<People>,
    pub(super) settings: ArcSwap<Settings>,
    pub(super) clock: Clock,
    pub(super) ids: Arc<IdSource>,
    pub(super) instance: String,
    pub(super) metrics: Arc<Metrics>,
    pub(super) hub: Arc<Hub>,
    notices: broadcast::Sender<Notice>,
    pub(super) progress: watch::Receiver<Progress>,
    /// Some record may have to be looked at earlier than the sweep knows.
    pub(super) deadline_set: Notify,
    pub(super) runtime: Handle,
    /// What is under way.
    pub(super) tasks: TaskTracker,
    /// Cancelled first: the sweep ends, and nothing is tried again.
    pub(super) stop: CancellationToken,
    /// The publisher, which ends last.
    publisher: TaskTracker,
    /// Cancelled when nothing is under way any more: the publisher ends.
    finish: CancellationToken,
}

impl std::fmt::Debug for Approvals {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Approvals")
    }
}

/// What a person says about an approval. `digest` is that of the call they have looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decide {
    /// The approval.
    pub id: ApprovalId,
    /// The call they have looked at.
    pub digest: CallDigest,
    /// Who.
    pub person: PersonId,
    /// What.
    pub verdict: Verdict,
    /// By which channel.
    pub channel: Channel,
    /// How sure we are that it was them.
    pub assurance: Assurance,
    /// Why; with [`Verdict::Ask`], the question.
    pub reason: Option<String>,
}

/// What a person can say about an approval.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// It may run.
    Approve,
    /// It may not run.
    Deny,
    /// A question first.
    Ask,
    /// Somebody behind the caller takes it back.
    Withdraw,
}

impl Approvals {
    /// Starts the service: first whatever the last process left unfinished is brought to an end.
    ///
    /// # Errors
    /// [`ApprovalError`] if the store or the audit log cannot be used.
    pub async fn start(parts: Parts) -> Result<Self, ApprovalError> {
        let Parts { store, stored, log, key, people, clock, ids, instance, metrics, settings, runtime } = parts;
        let replayed = publisher::replay(store.as_ref(), &log).await?;
        if replayed > 0 {
            tracing::info!(replayed, "events that a crash had kept from the audit log are in it now");
        }
        let (notices, _) = broadcast::channel(NOTICES_MAX);
        // All that is stored by now is in the log.
        let (publish, progress) = watch::channel(Progress::until(store.last_seq(None).await?));
        let (publishers, finish) = (TaskTracker::new(), CancellationToken::new());
        let hub = Arc::new(Hub::default());
        let metrics = Arc::new(metrics);
        metrics.pending(store.pending().await?);
        let publisher = Publisher {
            store: Arc::clone(&store),
            log: log.clone(),
            hub: Arc::clone(&hub),
            metrics: Arc::clone(&metrics),
            notices: notices.clone(),
            progress: publish,
            finish: finish.clone(),
        };
        publishers.spawn_on(publisher.run(stored), &runtime);
        let approvals = Self(Arc::new(Inner {
            store,
            log,
            key,
            people: ArcSwap::new(people),
            settings: ArcSwap::from_pointee(settings),
            clock,
            ids,
            instance,
            metrics,
            hub,
            notices,
            progress,
            deadline_set: Notify::new(),
            runtime: runtime.clone(),
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
            publisher: publishers,
            finish,
        }));
        sweep::recover(&approvals).await?;
        approvals.0.tasks.spawn_on(sweep::run(approvals.clone()), &runtime);
        Ok(approvals)
    }

    /// Holds a call: stores its approval, or joins the one that the call belongs to
    /// (`approval::retry`). Reviewers hear of it once it is in the audit log.
    ///
    /// # Errors
    /// [`ApprovalError::NoReviewer`], [`ApprovalError::TooManyPending`],
    /// [`ApprovalError::NotSearchable`], and those of the store and the log.
    pub async fn open(&self, new: NewApproval<'_>) -> Result<Opened, ApprovalError> {
        self.0.log.healthy().map_err(ApprovalError::Audit)?;
        let now = self.0.clock.now();
        let id = ApprovalId::new(&self.0.ids, now);
        let settings = self.0.settings.load_full();
        let people = self.people();
        let (call, exact) = (new.call.id, new.call.exact_sha256());
        let (digest, attempt, named) = (new.digest, new.call.attempt.clone(), new.call.resumes);
        let secret = shown::secret(id, &self.0.key);
        let (approval, Shown { request, long_body, is_blind }) = new.record(id, now, &settings, &people, secret);
        if is_blind {
            return Err(ApprovalError::NotSearchable);
        }
        let sought = Sought {
            principal: approval.principal.id.clone(),
            closure: approval.closure.clone(),
            digest,
            attempt,
            named,
            now,
            denied_for: settings.denied_for,
            replay_for: settings.replay_for,
        };
        approval.can_ever_be_approved(&people)?;
        let reason = approval.reason.clone();
        let service = self.clone();
        let step = self.step(approval, &[Happened::Created(exact)])?;
        let opening = move || Opening {
            step: step.clone(),
            request: request.clone(),
            sought: sought.clone(),
            relate: {
                let (service, sought, reason) = (service.clone(), sought.clone(), reason.clone());
                Box::new(move |current, found| service.relate(current, found, &sought, call, reason.as_ref()))
            },
            pending_per_principal_max: settings.pending_per_principal_max,
            pending_per_rule_max: settings.pending_per_rule_max,
        };
        // A task of its own: should the caller leave meanwhile, the hold is still made, and its
        // drop says that the caller has left.
        let service = self.clone();
        let opening = async move { service.open_or_join(id, call, opening, long_body).await };
        let opened = self.0.tasks.spawn_on(opening, &self.0.runtime);
        opened.await.map_err(|_| ApprovalError::Store("this process is about to stop".to_owned()))?
    }

    /// What a call is to the record `current`, carried out.
    fn relate(
        &self,
        current: &Approval,
        found: Found,
        sought: &Sought,
        call: CallId,
        reason: Option<&String>,
    ) -> Result<Related, ApprovalError> {
        let has_left = current.caller.is_some_and(|caller| self.0.hub.has_left(current.id, caller));
        match sought.relate(current, found, has_left) {
            Relation::Stranger => Ok(Related::Stranger),
            Relation::Repeats => self.check_seal(current).map(|()| Related::Repeats),
            Relation::Joins => {
                let command = Command::Join { call, instead_of: current.caller, reason: reason.cloned() };
                let joins = Related::Joins(Box::new(self.act(current, command)?));
                // Asked of a record that is known to be ours.
                Ok(if sought.is_by_those_behind(current) { joins } else { Related::Stranger })
            }
        }
    }

    async fn open_or_join(
        &self,
        id: ApprovalId,
        call: CallId,
        opening: impl Fn() -> Opening,
        body: Option<Arc<dyn KeptBody>>,
    ) -> Result<Opened, ApprovalError> {
        let sought = opening().sought;
        if sought.attempt.of.is_none() {
            self.0.hub.until_alone(sought.digest, TWIN_PATIENCE).await;
        }
        // Registered before it is stored, so that no review can arrive before somebody listens.
        let woken = self.0.hub.register(id, call, sought.digest, 0);
        let opened = match self.store_opening(id, opening, body).await {
            Ok(opened) if opened.how == How::New => {
                let hold = Hold::new(self.clone(), id, call, woken);
                self.0.deadline_set.notify_one();
                self.published(opened.seq).await?;
                return Ok(Opened::Held(hold));
            }
            other => {
                self.0.hub.forget(id, call);
                other?
            }
        };
        if opened.how == How::Repeated {
            // As whoever waited for it: what is not in the log yet is told to nobody.
            self.logged(Some(opened.approval.id)).await?;
            return Ok(Opened::Repeats(Box::new(opened.approval)));
        }
        let (id, version) = (opened.approval.id, opened.approval.version);
        let mut hold = Hold::new(self.clone(), id, call, self.0.hub.register(id, call, sought.digest, version));
        self.published(opened.seq).await?;
        // Registered first, read second: nothing can have slipped between.
        let current = self.told(id).await?.ok_or(ApprovalError::NotFound(id))?;
        if concerns_waiter(&current) {
            hold.ready(Arc::new(current));
        }
        Ok(Opened::Held(hold))
    }

    /// The one function by which people decide, whatever channel they use.
    ///
    /// # Errors
    /// [`ApprovalError`] says why it has no effect.
    pub async fn decide(&self, decide: Decide) -> Result<Approval, ApprovalError> {
        let Decide { id, digest, person, verdict, channel, assurance, reason } = decide;
        let command = match verdict {
            Verdict::Approve | Verdict::Deny => {
                let verdict = if verdict == Verdict::Approve { ReviewVerdict::Approve } else { ReviewVerdict::Deny };
                Command::Review(NewReview { person, digest, verdict, channel, assurance, reason })
            }
            Verdict::Ask => Command::Ask { person, digest, text: reason.unwrap_or_default(), channel, assurance },
            Verdict::Withdraw => Command::Withdraw { person, reason },
        };
        let readable = if verdict == Verdict::Approve { self.check_readable(id).await } else { Ok(()) };
        let decided = match readable {
            Ok(()) => self.change(id, command).await,
            Err(error) => Err(error),
        };
        if let Err(error) = &decided {
            self.0.metrics.rejected(error);
        }
        decided
    }

    /// Answers the open question in the name of a person behind the caller.
    ///
    /// # Errors
    /// [`ApprovalError`] says why it has no effect.
    pub async fn answer(&self, id: ApprovalId, person: &PersonId, text: String) -> Result<Approval, ApprovalError> {
        let approval = self.get(id).await?.ok_or(ApprovalError::NotFound(id))?;
        if !approval.stands_behind(person, &self.people()) {
            return Err(ApprovalError::NotRequester { person: person.to_string() });
        }
        self.change(id, Command::Answer { by: person.to_string(), text }).await
    }

    /// One record.
    ///
    /// # Errors
    /// [`ApprovalError::Store`].
    pub async fn get(&self, id: ApprovalId) -> Result<Option<Approval>, ApprovalError> {
        self.0.store.read(id).await
    }

    /// How many calls of `principal` with this digest have been approved by people and sent, of those
    /// that ended at `since` or later; no more than [`PAGE_MAX`](super::store::PAGE_MAX) are counted.
    ///
    /// # Errors
    /// [`ApprovalError::Store`].
    pub async fn count_runs(
        &self,
        principal: &str,
        digest: CallDigest,
        since: Timestamp,
    ) -> Result<u64, ApprovalError> {
        let runs = self.0.store.runs(principal.to_owned(), digest, since).await?;
        // One that was not sealed by us was approved by nobody.
        Ok(runs.iter().filter(|run| self.check_seal(run).is_ok()).count() as u64)
    }

    /// The whole call that a record is about.
    ///
    /// # Errors
    /// [`ApprovalError::Store`], and [`ApprovalError::Forged`] if it is not the one that was held:
    /// what people see is what runs.
    pub async fn request(&self, id: ApprovalId) -> Result<Option<ShownRequest>, ApprovalError> {
        let (record, request) = (self.0.store.read(id).await?, self.0.store.request(id).await?);
        let (Some(record), Some(request)) = (record, request) else { return Ok(None) };
        self.check_seal(&record)?;
        if record.request_sha256 != request.hash() {
            return Err(self.forged(id));
        }
        Ok(Some(request))
    }

    /// The record once its run is over, at the latest after `patience`: then it may still run.
    ///
    /// # Errors
    /// [`ApprovalError::Store`], [`ApprovalError::NotFound`].
    pub async fn after_run(&self, id: ApprovalId, patience: Option<Duration>) -> Result<Approval, ApprovalError> {
        let over = async {
            let mut notices = self.subscribe();
            loop {
                let approval = self.told(id).await?.ok_or(ApprovalError::NotFound(id))?;
                if !matches!(approval.state, State::Forwarding { .. }) {
                    return Ok(approval);
                }
                while matches!(notices.recv().await, Ok(notice) if notice.approval != id) {}
                // Told, or too much was missed to know: look again.
            }
        };
        match patience {
            None => over.await,
            Some(patience) => match tokio::time::timeout(patience, over).await {
                Ok(approval) => approval,
                Err(_) => self.told(id).await?.ok_or(ApprovalError::NotFound(id)),
            },
        }
    }

    /// Records, newest first.
    ///
    /// # Errors
    /// [`ApprovalError::Store`].
    pub async fn list(&self, query: Query) -> Result<Vec<Approval>, ApprovalError> {
        self.0.store.list(query).await
    }

    /// What has happened after `seq`, to one approval or to all.
    ///
    /// # Errors
    /// [`ApprovalError::Store`].
    pub async fn events_after(&self, seq: u64, approval: Option<ApprovalId>) -> Result<Vec<Notice>, ApprovalError> {
        let mut events = self.0.store.events_after(seq, approval).await?;
        // What is not in the log yet has not happened. Asked after reading, so that whatever was
        // in the log when this was called is there.
        let published = self.0.progress.borrow().seq;
        events.retain(|notice| notice.seq <= published);
        Ok(events)
    }

    /// What happens from now on. Whoever is too slow misses some and asks [`Self::events_after`].
    pub fn subscribe(&self) -> broadcast::Receiver<Notice> {
        self.0.notices.subscribe()
    }

    /// Who is who, as configured now.
    pub fn people(&self) -> Arc<People> {
        self.0.people.load_full()
    }

    /// From now on other durations and limits apply.
    pub fn reconfigure(&self, settings: Settings) {
        self.0.settings.store(Arc::new(settings));
    }

    /// Who is who from now on.
    pub fn set_people(&self, people: Arc<People>) {
        self.0.people.store(people);
    }

    /// Keeps a short text beside the approvals.
    ///
    /// # Errors
    /// [`ApprovalError::Store`].
    pub async fn keep(&self, kept: Kept) -> Result<(), ApprovalError> {
        self.0.store.keep(kept, self.0.clock.now()).await
    }

    /// Takes such a text away.
    ///
    /// # Errors
    /// [`ApprovalError::Store`].
    pub async fn drop_kept(&self, shelf: Shelf, name: String) -> Result<(), ApprovalError> {
        self.0.store.drop_kept(shelf, name).await
    }

    /// All such texts of a shelf that are not over.
    ///
    /// # Errors
    /// [`ApprovalError::Store`].
    pub async fn kept(&self, shelf: Shelf) -> Result<Vec<Kept>, ApprovalError> {
        self.0.store.kept(shelf, self.0.clock.now()).await
    }

    /// How many callers wait on this replica.
    pub fn waiting(&self) -> usize {
        self.0.hub.len()
    }

    /// Tells every caller that waits to come again; their approvals stay open.
    pub fn drain(&self) {
        self.0.hub.drain();
    }

    /// Waits until everything under way is stored and in the log, then stops. What the log does
    /// not take now is written to it after the next start.
    pub async fn stop(&self) {
        self.0.stop.cancel();
        self.0.tasks.close();
        self.0.tasks.wait().await;
        self.0.finish.cancel();
        self.0.publisher.close();
        self.0.publisher.wait().await;
    }

    /// Takes back an approval that has not run, because the policy does not stand by it any more.
    ///
    /// # Errors
    /// [`ApprovalError`] says why it has no effect.
    pub async fn revoke(&self, id: ApprovalId, reason: String) -> Result<Approval, ApprovalError> {
        self.change(id, Command::Revoke { reason }).await
    }
}

/// Many clients do not say which call they try again. Their retry comes right behind the end of
/// their earlier connection, and can be read before that end is; so a call that has a twin waits
/// this long for the twin to leave. People take longer to decide on either.
const TWIN_PATIENCE: Duration = Duration::from_millis(200);

/// Events that a watcher may lag behind before it has to ask the store.
const NOTICES_MAX: usize = 1_024;
