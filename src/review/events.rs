//! `GET /v1/events`: what happens, as server-sent events, without gap or repetition.
//!
//! A stream that resumes first reads from the store what it has missed, then follows what comes;
//! one that falls behind reads from the store again. Subscribing comes before reading, so nothing
//! slips between.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::time::Duration;

use axum::extract::State as Extract;
use axum::http::HeaderMap;
use axum::http::HeaderName;
use axum::http::HeaderValue;
use axum::http::Uri;
use axum::response::IntoResponse;
use axum::response::Response;
use axum::response::sse::Event;
use axum::response::sse::KeepAlive;
use axum::response::sse::Sse;
use futures_util::StreamExt;
use futures_util::stream;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::Interval;
use tokio::time::MissedTickBehavior;

use crate::approval::store::Notice;
use crate::model::ApprovalId;

use super::Admin;
use super::api::EventView;
use super::api::Problem;
use super::auth::Reviewer;
use super::query;
use super::query::Id;
use super::refused::Code;
use super::refused::Refused;
use super::streams::Stream;

/// Everything that happens, as it happens.
///
/// Each event's `id` is its place in the order of all changes, its name is what happened, and its
/// data an `EventView`. Whoever was away sends `Last-Event-ID` (or `after`) and misses nothing;
/// without either the stream begins with the present. Silence is filled with comments.
#[utoipa::path(
    get,
    path = "/v1/events",
    operation_id = "watchAll",
    tag = "events",
    params(
        ("Last-Event-ID" = Option<u64>, Header, description = "The `id` of the last event that was seen."),
        ("after" = Option<u64>, Query, description = "The same; the header field wins. 0 begins with the first event there is."),
    ),
    responses(
        (status = 200, description = "Server-sent events.", body = EventView, content_type = "text/event-stream"),
        (status = 400, description = "The place to resume at is not a number.", body = Problem, content_type = "application/problem+json"),
        (status = 401, description = "Who is asking is not known.", body = Problem, content_type = "application/problem+json"),
        (status = 429, description = "Too many streams are open.", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "This process is about to stop.", body = Problem, content_type = "application/problem+json"),
    ),
    security(("token" = []))
)]
pub(super) async fn all(
    Extract(admin): Extract<Admin>,
    reviewer: Reviewer,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Refused> {
    start(admin, reviewer, &uri, &headers, None)
}

/// What happens to one approval, as it happens.
#[utoipa::path(
    get,
    path = "/v1/approvals/{id}/events",
    operation_id = "watchApproval",
    tag = "events",
    params(
        ("id" = String, Path, description = "The approval."),
        ("Last-Event-ID" = Option<u64>, Header, description = "The `id` of the last event that was seen."),
        ("after" = Option<u64>, Query, description = "The same; the header field wins. 0 begins with the first event of this approval."),
    ),
    responses(
        (status = 200, description = "Server-sent events.", body = EventView, content_type = "text/event-stream"),
        (status = 400, description = "The place to resume at is not a number.", body = Problem, content_type = "application/problem+json"),
        (status = 401, description = "Who is asking is not known.", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "There is no such approval.", body = Problem, content_type = "application/problem+json"),
        (status = 429, description = "Too many streams are open.", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "This process is about to stop.", body = Problem, content_type = "application/problem+json"),
    ),
    security(("token" = []))
)]
pub(super) async fn of_one(
    Extract(admin): Extract<Admin>,
    reviewer: Reviewer,
    Id(id): Id,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Refused> {
    if admin.state.approvals.get(id).await?.is_none() {
        return Err(Refused::no_approval(id));
    }
    start(admin, reviewer, &uri, &headers, Some(id))
}

fn start(
    admin: Admin,
    reviewer: Reviewer,
    uri: &Uri,
    headers: &HeaderMap,
    only: Option<ApprovalId>,
) -> Result<Response, Refused> {
    let cursor = resume_at(uri, headers)?;
    if admin.state.drain.is_cancelled() {
        return Err(Refused::new(Code::Draining, "this process is about to stop; connect again"));
    }
    let open = admin.streams.open(&reviewer.person)?;
    let heartbeat = admin.state.settings.heartbeat_every;
    let every = admin.state.settings.reauthorize_every;
    let mut reauthorize = tokio::time::interval_at(tokio::time::Instant::now() + every, every);
    reauthorize.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let feed = Feed {
        live: admin.state.approvals.subscribe(),
        behind: cursor.is_some(),
        backlog: VecDeque::new(),
        cursor,
        only,
        reauthorize,
        reviewer,
        admin,
        _open: open,
    };
    let hello = Event::default().retry(RETRY).comment("holdpoint");
    let events = stream::unfold(feed, |mut feed| async move {
        let notice = feed.next().await?;
        Some((Ok::<_, Infallible>(event(notice)), feed))
    });
    let events = stream::once(std::future::ready(Ok(hello))).chain(events);
    let mut response = Sse::new(events).keep_alive(KeepAlive::new().interval(heartbeat)).into_response();
    response.headers_mut().insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    Ok(response)
}

/// One stream. Cancel safe: `next` loses nothing if it is dropped.
struct Feed {
    admin: Admin,
    reviewer: Reviewer,
    live: Receiver<Notice>,
    /// What was read from the store and not been sent yet.
    backlog: VecDeque<Notice>,
    /// Whether there may be more in the store than was read.
    behind: bool,
    /// The last event that was sent or passed over.
    cursor: Option<u64>,
    only: Option<ApprovalId>,
    reauthorize: Interval,
    _open: Stream,
}

impl Feed {
    /// The next event; `None` ends the stream, and the client connects again.
    async fn next(&mut self) -> Option<Notice> {
        loop {
            if self.admin.state.drain.is_cancelled() {
                return None;
            }
            if let Some(notice) = self.backlog.pop_front() {
                self.cursor = Some(notice.seq);
                return Some(notice);
            }
            if self.behind {
                self.read().await?;
                continue;
            }
            tokio::select! {
                biased;
                () = self.admin.state.drain.cancelled() => return None,
                _ = self.reauthorize.tick() => {
                    if !self.reviewer.is_still_known(&self.admin) {
                        return None;
                    }
                }
                received = self.live.recv() => match received {
                    Ok(notice) if self.cursor.is_some_and(|cursor| notice.seq <= cursor) => {}
                    Ok(notice) => {
                        self.cursor = Some(notice.seq);
                        if self.only.is_none_or(|only| only == notice.approval) {
                            return Some(notice);
                        }
                    }
                    // Where nothing was seen yet, nobody knows from where on to read.
                    Err(RecvError::Lagged(_)) if self.cursor.is_none() => return None,
                    Err(RecvError::Lagged(_)) => self.behind = true,
                    Err(RecvError::Closed) => return None,
                },
            }
        }
    }

    async fn read(&mut self) -> Option<()> {
        let after = self.cursor.unwrap_or(0);
        match self.admin.state.approvals.events_after(after, self.only).await {
            Ok(page) => {
                self.behind = !page.is_empty();
                self.backlog.extend(page);
                Some(())
            }
            Err(error) => {
                tracing::warn!(%error, "an event stream cannot be continued; its client will come again");
                None
            }
        }
    }
}

fn event(notice: Notice) -> Event {
    let Notice { seq, kind, approval, at } = notice;
    let view = EventView { seq, kind, approval: approval.to_string(), at };
    let data = serde_json::to_string(&view).expect("strings and numbers are always JSON");
    Event::default().id(seq.to_string()).event(view.kind).data(data)
}

/// The last event that the client has seen; `None` if it wants to begin with the present.
fn resume_at(uri: &Uri, headers: &HeaderMap) -> Result<Option<u64>, Refused> {
    let pairs = query::pairs(uri, &["after"])?;
    let field = headers.get("last-event-id").map(|value| value.to_str().unwrap_or("?").trim().to_owned());
    let asked = pairs.into_iter().next_back().map(|(_, value)| value);
    let Some(text) = field.filter(|text| !text.is_empty()).or(asked) else { return Ok(None) };
    let shown = query::short(&text);
    let place = text.parse().ok().filter(|place| *place <= SEQ_MAX);
    place.map(Some).ok_or_else(|| query::bad(format!("`{shown}` is not the `id` of an event; those are whole numbers")))
}

/// How long a client waits before it connects again.
const RETRY: Duration = Duration::from_secs(3);

/// The largest number that the store can count to.
const SEQ_MAX: u64 = i64::MAX.unsigned_abs();
