//! What became of the calls of the last days, in short: for the history on a decision page, for
//! the ratios of rules, and for the overview.
//!
//! The records are read page by page, at most so many, and kept for some seconds: figures may be
//! a little late, and a page must not cost more the longer the past is.

use std::sync::Arc;
use std::time::Duration;

use crate::approval::Approval;
use crate::approval::ReviewVerdict;
use crate::approval::State;
use crate::approval::store::PAGE_MAX;
use crate::approval::store::Query;
use crate::model::ApprovalId;
use crate::model::CallDigest;
use crate::model::PersonId;
use crate::model::Timestamp;
use crate::review::Shared;
use crate::review::refused::Refused;

use super::inert::Inert;
use super::moment::Moment;

/// One approval in short.
#[derive(Clone, Debug)]
pub(super) struct Record {
    pub(super) id: ApprovalId,
    pub(super) agent: String,
    pub(super) rules: Vec<String>,
    pub(super) digest: CallDigest,
    pub(super) created: Timestamp,
    pub(super) fate: Fate,
    /// When the last needed review came, if people have decided.
    pub(super) decided: Option<Timestamp>,
    pub(super) last_approver: Option<PersonId>,
    /// Whether its caller is there, while it is open.
    pub(super) attended: bool,
}

/// What people, or time, have made of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Pending,
    /// Enough people approved it, whatever came of it then.
    Approved,
    Denied,
    Expired,
    Withdrawn,
}

impl Record {
    fn of(approval: &Approval) -> Self {
        let denied = approval.reviews.iter().rfind(|review| review.verdict == ReviewVerdict::Deny);
        let approved = approval.approving().last();
        let fate = match &approval.state {
            State::Pending => Fate::Pending,
            State::Approved { .. }
            | State::Forwarding { .. }
            | State::Completed { .. }
            | State::Failed { .. }
            | State::Unknown { .. }
            | State::Lapsed { .. } => Fate::Approved,
            State::Revoked { .. } if denied.is_none() => Fate::Approved,
            State::Revoked { .. } | State::Denied { .. } => Fate::Denied,
            State::Expired { .. } => Fate::Expired,
            State::Withdrawn { .. } => Fate::Withdrawn,
        };
        let decided = match fate {
            Fate::Approved => approved.map(|review| review.at),
            Fate::Denied => denied.map(|review| review.at),
            Fate::Pending | Fate::Expired | Fate::Withdrawn => None,
        };
        Self {
            id: approval.id,
            agent: approval.principal.id.clone(),
            rules: approval.obligations.rules.clone(),
            digest: approval.digest,
            created: approval.created,
            fate,
            decided,
            last_approver: approved.map(|review| review.person.clone()),
            attended: approval.caller.is_some(),
        }
    }

    /// How long it took people to decide.
    pub(super) fn took(&self) -> Option<Duration> {
        self.decided.map(|decided| decided.since(self.created))
    }
}

/// The records of the last days, newest first, as they were a moment ago.
#[derive(Debug, Default)]
pub(in crate::review) struct Pasts(tokio::sync::Mutex<Option<(Timestamp, Arc<Recent>)>>);

/// The records of the last days, newest first.
#[derive(Debug)]
pub(super) struct Recent {
    pub(super) records: Vec<Record>,
    /// Whether there were more than are read.
    pub(super) cut: bool,
}

impl Pasts {
    /// All of them.
    pub(super) async fn recent(&self, admin: &Shared) -> Result<Arc<Recent>, Refused> {
        let now = admin.state.clock.now();
        let mut kept = self.0.lock().await;
        if let Some((at, recent)) = kept.as_ref().filter(|(at, _)| now.since(*at) < KEPT_FOR && now >= *at) {
            let _ = at;
            return Ok(Arc::clone(recent));
        }
        let recent = Arc::new(read(admin, now.minus(DAYS)).await?);
        *kept = Some((now, Arc::clone(&recent)));
        Ok(recent)
    }

    /// What became of calls like this one.
    pub(super) async fn of(&self, admin: &Shared, approval: &Approval) -> Result<Past, Refused> {
        Ok(Past::new(&*self.recent(admin).await?, approval, admin.state.clock.now()))
    }
}

async fn read(admin: &Shared, not_before: Timestamp) -> Result<Recent, Refused> {
    let (mut records, mut after) = (Vec::new(), None);
    while records.len() < RECORDS_MAX {
        let page = admin.state.approvals.list(Query { after, limit: PAGE_MAX, ..Query::default() }).await?;
        let whole = page.len() == PAGE_MAX;
        for approval in &page {
            if approval.created < not_before {
                return Ok(Recent { records, cut: false });
            }
            records.push(Record::of(approval));
        }
        after = page.last().map(|approval| approval.id);
        if !whole {
            return Ok(Recent { records, cut: false });
        }
    }
    Ok(Recent { records, cut: true })
}

/// What became of calls of the same agent under the same rules.
#[derive(Clone, Debug, Default)]
pub(super) struct Past {
    pub(super) approved: usize,
    pub(super) denied: usize,
    pub(super) undecided: usize,
    /// How many of the approved were exactly this call.
    pub(super) same: usize,
    pub(super) last: Option<(Inert, Moment)>,
}

impl Past {
    fn new(recent: &Recent, approval: &Approval, now: Timestamp) -> Self {
        let mut past = Self::default();
        let alike = recent.records.iter().filter(|record| {
            record.id != approval.id
                && record.agent == approval.principal.id
                && record.rules == approval.obligations.rules
        });
        for record in alike {
            match record.fate {
                Fate::Approved => {
                    past.approved += 1;
                    past.same += usize::from(record.digest == approval.digest);
                    if past.last.is_none() {
                        let by = record.last_approver.as_ref().zip(record.decided);
                        past.last = by.map(|(by, at)| (Inert::line(by.as_str()), Moment::new(at, now)));
                    }
                }
                Fate::Denied => past.denied += 1,
                Fate::Expired | Fate::Withdrawn => past.undecided += 1,
                Fate::Pending => {}
            }
        }
        past
    }

    pub(super) fn is_empty(&self) -> bool {
        self.approved + self.denied + self.undecided == 0
    }
}

/// How far back figures go.
const DAYS: Duration = Duration::from_secs(30 * 24 * 3_600);
/// How late figures may be.
const KEPT_FOR: Duration = Duration::from_secs(5);
/// The most records that figures are made of: some 100 ms of the store's reading thread.
const RECORDS_MAX: usize = 5_000;
