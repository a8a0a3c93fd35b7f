//! `/v1/events`: what happens, as it happens (HTML Living Standard §9.2), without gaps.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::Path;
use axum::extract::State;
use axum::response::IntoResponse;
use axum::response::Response;
use axum::response::sse::Event;
use axum::response::sse::KeepAlive;
use axum::response::sse::Sse;
use futures_util::Stream;
use futures_util::stream;
use http::HeaderMap;
use http::HeaderName;
use http::HeaderValue;
use http::Uri;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::Instant;

use crate::approval::Approvals;
use crate::approval::store::Notice;
use crate::model::ApprovalId;

use super::approvals::parse_id;
use super::auth::Person;
use super::problem::Problem;
use super::state::AdminState;
use super::state::Place;

/// Watch all approvals
///
/// Server-sent events; `id` is the event's place. Send the last one as `Last-Event-ID` to go on
/// behind it. Without one, the stream begins with what happens next.
#[utoipa::path(
    get, path = "/v1/events", tag = "events",
    params(
        ("Last-Event-ID" = Option<u64>, Header, description = "Go on behind this event"),
        ("after" = Option<u64>, Query, description = "The same, for clients that cannot set fields"),
    ),
    responses((status = 200, content_type = "text/event-stream"), (status = 401, body = Problem), (status = 429, body = Problem)),
)]
pub(super) async fn all(
    State(state): State<AdminState>,
    person: Person,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response, Problem> {
    watch(state, person, &headers, &uri, None).await
}

/// Watch one approval, from its beginning unless told otherwise
#[utoipa::path(
    get, path = "/v1/approvals/{id}/events", tag = "events",
    params(
        ("id" = String, Path, description = "`apr_` and 32 hex digits"),
        ("Last-Event-ID" = Option<u64>, Header, description = "Go on behind this event"),
    ),
    responses((status = 200, content_type = "text/event-stream"), (status = 401, body = Problem), (status = 404, body = Problem)),
)]
pub(super) async fn one(
    State(state): State<AdminState>,
    person: Person,
    Path(id): Path<String>,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response, Problem> {
    let id = parse_id(&id)?;
    if state.approvals.get(id).await?.is_none() {
        return Err(Problem::not_found(format!("there is no approval `{id}`")));
    }
    watch(state, person, &headers, &uri, Some(id)).await
}

async fn watch(
    state: AdminState,
    Person(person): Person,
    headers: &HeaderMap,
    uri: &Uri,
    only: Option<ApprovalId>,
) -> Result<Response, Problem> {
    let place = state.streams.enter(&person).ok_or_else(Problem::too_many_streams)?;
    // Listening first: whatever happens from here on is either read back or heard.
    let live = state.approvals.subscribe();
    let after = match (resume_point(headers, uri)?, only) {
        (Some(after), _) => after,
        (None, Some(_)) => 0,
        (None, None) => state.approvals.last_event(),
    };
    let watcher = Watcher {
        approvals: state.approvals.clone(),
        only,
        live,
        after,
        ready: std::collections::VecDeque::new(),
        behind: true,
        headers: headers.clone(),
        look_again: Instant::now() + AUTHORIZE_EVERY,
        state,
        _place: place,
    };
    let mut response = Sse::new(events(watcher)).keep_alive(KeepAlive::new().interval(HEARTBEAT)).into_response();
    response.headers_mut().insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    Ok(response)
}

fn resume_point(headers: &HeaderMap, uri: &Uri) -> Result<Option<u64>, Problem> {
    let header = headers.get("last-event-id").map(|value| value.to_str().unwrap_or_default());
    let query = uri.query().unwrap_or_default().split('&').find_map(|pair| pair.strip_prefix("after="));
    let Some(text) = header.or(query).filter(|text| !text.is_empty()) else { return Ok(None) };
    let shown: String = text.chars().take(80).collect();
    let parsed = text.parse().map(Some);
    parsed.map_err(|_| {
        Problem::bad_request(format!("`Last-Event-ID: {shown}` is not the id of an event, which is a number"))
    })
}

struct Watcher {
    approvals: Approvals,
    only: Option<ApprovalId>,
    live: broadcast::Receiver<Notice>,
    after: u64,
    ready: std::collections::VecDeque<Notice>,
    /// Whether there may be events in the store that have not been sent.
    behind: bool,
    headers: HeaderMap,
    look_again: Instant,
    state: AdminState,
    _place: Place,
}

fn events(watcher: Watcher) -> impl Stream<Item = Result<Event, Infallible>> {
    // The first thing sent is how soon to come again after a broken connection.
    let hello = stream::once(async { Ok(Event::default().retry(RETRY).comment("watching")) });
    let rest = stream::unfold(watcher, |mut watcher| async move {
        let notice = watcher.next().await?;
        let event = Event::default().id(notice.seq.to_string()).event(notice.kind.clone());
        let event = event.json_data(&notice).unwrap_or_default();
        Some((Ok(event), watcher))
    });
    futures_util::StreamExt::chain(hello, rest)
}

impl Watcher {
    /// The next event; `None` ends the stream.
    async fn next(&mut self) -> Option<Notice> {
        loop {
            if let Some(notice) = self.ready.pop_front() {
                self.after = notice.seq;
                return Some(notice);
            }
            if self.behind {
                let events = self.approvals.events_after(self.after, self.only).await.ok()?;
                self.behind = !events.is_empty();
                self.ready.extend(events);
                continue;
            }
            let drain = self.state.drain.clone();
            tokio::select! {
                heard = self.live.recv() => match heard {
                    Ok(notice) if notice.seq > self.after && self.only.is_none_or(|id| id == notice.approval) => {
                        self.ready.push_back(notice);
                    }
                    Ok(_) => {}
                    Err(RecvError::Lagged(_)) => self.behind = true,
                    Err(RecvError::Closed) => return None,
                },
                () = tokio::time::sleep_until(self.look_again) => self.authorize()?,
                () = drain.cancelled() => return None,
            }
        }
    }

    /// A token that was taken away ends the stream.
    fn authorize(&mut self) -> Option<()> {
        self.look_again = Instant::now() + AUTHORIZE_EVERY;
        self.state.tokens.load().authenticate(&self.headers, self.state.clock.now()).ok().map(drop)
    }
}

const HEARTBEAT: Duration = Duration::from_secs(15);
const RETRY: Duration = Duration::from_secs(3);
const AUTHORIZE_EVERY: Duration = Duration::from_secs(60);
