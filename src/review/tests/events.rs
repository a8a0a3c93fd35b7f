//! Event streams: nothing missed, nothing twice, nobody who should not be there.

use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use axum::http::Response;
use http_body_util::BodyExt;
use serde_json::Value;
use tower::ServiceExt;

use crate::identity::ReviewerTokens;

use super::Fixture;

/// A stream, read event by event.
struct Reader {
    body: Body,
    text: String,
}

impl Reader {
    async fn open(fixture: &Fixture, router: &axum::Router, target: &str, last: Option<u64>) -> Response<Body> {
        let mut request = Request::get(target).header("authorization", format!("Bearer {}", fixture.token("bo")));
        if let Some(last) = last {
            request = request.header("last-event-id", last.to_string());
        }
        router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap()
    }

    async fn new(fixture: &Fixture, target: &str, last: Option<u64>) -> Self {
        let response = Self::open(fixture, &fixture.router(), target, last).await;
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        assert_eq!(response.headers()["cache-control"], "no-store");
        assert_eq!(response.headers()["x-accel-buffering"], "no");
        Self { body: response.into_body(), text: String::new() }
    }

    /// The next block of lines; `None` at the end of the stream.
    async fn block(&mut self) -> Option<String> {
        loop {
            if let Some((block, rest)) = self.text.split_once("\n\n") {
                let block = block.to_owned();
                self.text = rest.to_owned();
                return Some(block);
            }
            let frame = tokio::time::timeout(Duration::from_secs(20), self.body.frame()).await.unwrap()?;
            self.text.push_str(std::str::from_utf8(frame.unwrap().data_ref().unwrap()).unwrap());
        }
    }

    /// The next event: its id, name and data.
    async fn event(&mut self) -> Option<(u64, String, Value)> {
        loop {
            let block = self.block().await?;
            let field = |name: &str| block.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
            let (Some(id), Some(name), Some(data)) = (field("id:"), field("event:"), field("data:")) else { continue };
            return Some((id.parse().unwrap(), name.to_owned(), serde_json::from_str(data).unwrap()));
        }
    }
}

#[tokio::test]
async fn a_stream_says_how_to_come_back_and_tells_what_happens() {
    let fixture = Fixture::new().await;
    let mut reader = Reader::new(&fixture, "/v1/events", None).await;
    let hello = reader.block().await.unwrap();
    assert!(hello.lines().any(|line| line.replace(' ', "") == "retry:3000"), "{hello}");
    let hold = fixture.hold("/a").await;
    let (seq, name, data) = reader.event().await.unwrap();
    assert_eq!((name.as_str(), &data["approval"]), ("approval.created", &Value::from(hold.id().to_string())));
    assert_eq!((&data["seq"], &data["kind"]), (&Value::from(seq), &Value::from(name)));
    fixture.decide("bo", hold.id(), "approve", None).await;
    assert_eq!(reader.event().await.unwrap().1, "approval.decided");
    assert_eq!(reader.event().await.unwrap().1, "approval.approved");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_comes_back_misses_nothing_and_hears_nothing_twice() {
    const HOLDS: usize = 300;
    let fixture = std::sync::Arc::new(Fixture::new().await);
    let writer = {
        let fixture = std::sync::Arc::clone(&fixture);
        tokio::spawn(async move {
            let mut holds = Vec::new();
            for number in 0..HOLDS {
                holds.push(fixture.hold(&format!("/customers/{number}")).await);
            }
            holds
        })
    };
    let mut seen = Vec::new();
    while seen.len() < HOLDS {
        // Every reader leaves after a few events, and the next one goes on behind it.
        let mut reader = Reader::new(&fixture, "/v1/events?after=0", seen.last().copied()).await;
        for _ in 0..13_usize.min(HOLDS - seen.len()) {
            seen.push(reader.event().await.unwrap().0);
        }
    }
    let holds = writer.await.unwrap();
    let stored = fixture.approvals.events_after(0, None).await.unwrap();
    let stored: Vec<u64> = stored.iter().map(|notice| notice.seq).take(HOLDS).collect();
    assert_eq!(seen, stored);
    drop(holds);
}

#[tokio::test]
async fn whoever_falls_behind_catches_up_from_the_store() {
    let fixture = Fixture::new().await;
    let first = fixture.hold("/first").await;
    let mut reader = Reader::new(&fixture, "/v1/events?after=0", None).await;
    let (start, _, _) = reader.event().await.unwrap();
    // More events than a watcher may lag behind, none of them read meanwhile.
    for number in 0..350 {
        let hold = fixture.hold(&format!("/customers/{number}")).await;
        fixture.decide("bo", hold.id(), "deny", None).await;
    }
    let mut last = start;
    let mut approvals = std::collections::BTreeSet::new();
    while approvals.len() < 350 {
        let (seq, name, data) = reader.event().await.unwrap();
        assert_eq!(seq, last + 1);
        last = seq;
        if name == "approval.denied" {
            approvals.insert(data["approval"].as_str().unwrap().to_owned());
        }
    }
    drop(first);
}

#[tokio::test]
async fn one_approval_is_watched_alone() {
    let fixture = Fixture::new().await;
    let (hold, other) = (fixture.hold("/a").await, fixture.hold("/b").await);
    let mut reader = Reader::new(&fixture, &format!("/v1/approvals/{}/events?after=0", hold.id()), None).await;
    assert_eq!(reader.event().await.unwrap().1, "approval.created");
    fixture.decide("bo", other.id(), "deny", None).await;
    fixture.decide("bo", hold.id(), "deny", None).await;
    for expected in ["approval.decided", "approval.denied"] {
        let (_, name, data) = reader.event().await.unwrap();
        assert_eq!((name.as_str(), &data["approval"]), (expected, &Value::from(hold.id().to_string())));
    }
}

#[tokio::test]
async fn silence_is_filled_with_comments() {
    let fixture = Fixture::with(|settings| settings.heartbeat_every = Duration::from_millis(10)).await;
    let mut reader = Reader::new(&fixture, "/v1/events", None).await;
    reader.block().await.unwrap();
    assert!(reader.block().await.unwrap().starts_with(':'));
}

#[tokio::test]
async fn a_stream_ends_with_the_token_that_opened_it() {
    let fixture = Fixture::with(|settings| settings.reauthorize_every = Duration::from_millis(10)).await;
    let mut reader = Reader::new(&fixture, "/v1/events", None).await;
    reader.block().await.unwrap();
    fixture.state.tokens.store(std::sync::Arc::new(ReviewerTokens::default()));
    assert_eq!(reader.event().await, None);
}

#[tokio::test]
async fn a_stream_ends_when_the_process_is_about_to_stop() {
    let fixture = Fixture::new().await;
    let mut reader = Reader::new(&fixture, "/v1/events", None).await;
    reader.block().await.unwrap();
    fixture.state.drain.cancel();
    assert_eq!(reader.event().await, None);
}

#[tokio::test]
async fn nobody_opens_more_streams_than_they_may() {
    let fixture = Fixture::with(|settings| settings.streams_per_person_max = 2).await;
    let router = fixture.router();
    let first = Reader::open(&fixture, &router, "/v1/events", None).await;
    let second = Reader::open(&fixture, &router, "/v1/events", None).await;
    let third = Reader::open(&fixture, &router, "/v1/events", None).await;
    assert_eq!((first.status().as_u16(), second.status().as_u16(), third.status().as_u16()), (200, 200, 429));
    assert!(third.headers().contains_key("retry-after"));
    let metrics = fixture.get("-", "/metrics").await.text;
    assert!(metrics.contains("holdpoint_event_streams 2") && metrics.contains("_refused_total 1"), "{metrics}");
    drop(first);
    assert_eq!(Reader::open(&fixture, &router, "/v1/events", None).await.status(), 200);

    let fixture = Fixture::with(|settings| settings.streams_max = 0).await;
    assert_eq!(fixture.get("bo", "/v1/events").await.said(), "429 too-many-streams");
}
