//! Held calls whose answer is an event stream: the one case in which a held caller hears something.
//!
//! A client that asked for server-sent events, in `Accept` or in its body, ignores comment lines (HTML Living Standard §9.2.6),
//! and its SDK takes them as signs of life. So after [`SILENCE`] the answer begins with status 200
//! and comments, and goes on with the upstream's own events, or with one `error` event. Earlier
//! than that the caller can still get a real 403, which SDKs turn into a typed error.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::task::Context;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use http::HeaderValue;
use http::Response;
use http::header;
use http_body::Body as _;
use http_body::Frame;
use tokio::time::Interval;

use crate::model::Refusal;
use crate::model::RefusalCode;
use crate::wire;
use crate::wire::Form;

use super::answer::Answer;
use super::answer::AnswerError;

/// An answer that is still to come.
pub(super) type Pending = Pin<Box<dyn Future<Output = Result<Response<Answer>, Refusal>> + Send>>;

/// Says whether a call is being held at this moment.
#[derive(Clone, Debug, Default)]
pub(super) struct HeldFlag(Arc<AtomicBool>);

impl HeldFlag {
    pub(super) fn set(&self, held: bool) {
        self.0.store(held, Ordering::Relaxed);
    }

    pub(super) fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Whether the client asked for an event stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    /// It did.
    Events,
    /// Its body says so, or not.
    InBody,
    /// It did not.
    Nothing,
}

impl Wish {
    /// Looks into the body, once it is there.
    pub(super) fn learn(&mut self, body: &[u8]) {
        /// Of all members only this one; where it stands twice, nobody knows which one holds.
        #[derive(serde::Deserialize)]
        struct Asked {
            #[serde(default)]
            stream: bool,
        }
        if *self == Self::InBody {
            let wanted = serde_json::from_slice(body).is_ok_and(|Asked { stream }| stream);
            *self = if wanted { Self::Events } else { Self::Nothing };
        }
    }
}

/// What the head says about that; `None` if the answer can be no event stream.
///
/// The SDKs of two large APIs ask for one in their bodies, and for JSON in `Accept`.
pub(super) fn wish(headers: &HeaderMap, form: Form) -> Option<Wish> {
    let names = |name, media: &str| {
        let values = headers.get_all(name).iter().filter_map(|value: &HeaderValue| value.to_str().ok());
        values.flat_map(|value| value.split(',')).any(|part| {
            let named = part.split(';').next().unwrap_or_default();
            named.trim().eq_ignore_ascii_case(media)
        })
    };
    // Whoever takes JSON as well has not asked for a stream: a 200 before the verdict would lie to it.
    if names(header::ACCEPT, "text/event-stream") && !names(header::ACCEPT, "application/json") {
        return Some(Wish::Events);
    }
    (form.streams_by_body() && names(header::CONTENT_TYPE, "application/json")).then_some(Wish::InBody)
}

/// Waits for `pending` in silence; if the call is held for longer than [`SILENCE`], answers with a
/// stream that begins with comments.
pub(super) async fn answer(mut pending: Pending, held: HeldFlag) -> Result<Response<Answer>, Refusal> {
    loop {
        match tokio::time::timeout(SILENCE, &mut pending).await {
            Ok(answered) => return answered,
            Err(_) if held.is_set() => break,
            // Not held: the upstream takes its time, and its own head is still to come.
            Err(_) => {}
        }
    }
    let mut every = tokio::time::interval(COMMENT_EVERY);
    every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut response = Response::new(Answer::Events(Box::new(Events::Held { pending, every })));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    Ok(response)
}

/// The body of such an answer.
pub(super) enum Events {
    /// People have not decided yet.
    Held { pending: Pending, every: Interval },
    /// They have, and the upstream speaks.
    Upstream(Answer),
    /// Nothing more comes.
    Over,
}

impl std::fmt::Debug for Events {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Held { .. } => "Held",
            Self::Upstream(_) => "Upstream",
            Self::Over => "Over",
        })
    }
}

impl Events {
    pub(super) fn poll_frame(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, AnswerError>>> {
        loop {
            match self {
                Self::Held { pending, every } => match pending.as_mut().poll(context) {
                    Poll::Ready(Ok(response)) if is_event_stream(&response) => {
                        *self = Self::Upstream(response.into_body());
                    }
                    Poll::Ready(Ok(response)) => {
                        let status = response.status().as_u16();
                        let detail = format!("the call was approved and has run; the upstream answered {status}");
                        let event = wire::last_event(&Refusal::new(RefusalCode::AlreadyRun, detail));
                        *self = Self::Over;
                        return Poll::Ready(Some(Ok(Frame::data(event))));
                    }
                    Poll::Ready(Err(refusal)) => {
                        let event = wire::last_event(&refusal);
                        *self = Self::Over;
                        return Poll::Ready(Some(Ok(Frame::data(event))));
                    }
                    Poll::Pending => {
                        std::task::ready!(every.poll_tick(context));
                        return Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b": held for approval\n\n")))));
                    }
                },
                Self::Upstream(answer) => return Pin::new(answer).poll_frame(context),
                Self::Over => return Poll::Ready(None),
            }
        }
    }
}

fn is_event_stream(response: &Response<Answer>) -> bool {
    let media = response.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    response.status().is_success() && media.starts_with("text/event-stream")
}

/// How long the caller hears nothing, because a real refusal may still come.
const SILENCE: Duration = Duration::from_secs(30);

/// Well under the read time-outs of the SDKs that stream.
const COMMENT_EVERY: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    fn refused_after(seconds: u64) -> (Pending, HeldFlag) {
        let held = HeldFlag::default();
        held.set(true);
        let pending = async move {
            tokio::time::sleep(Duration::from_secs(seconds)).await;
            Err(Refusal::new(RefusalCode::ApprovalDenied, "too broad"))
        };
        (Box::pin(pending), held)
    }

    #[tokio::test(start_paused = true)]
    async fn an_early_verdict_is_a_real_refusal() {
        let (pending, held) = refused_after(29);
        assert_eq!(answer(pending, held).await.unwrap_err().code, RefusalCode::ApprovalDenied);
    }

    #[tokio::test(start_paused = true)]
    async fn a_late_verdict_follows_comments() {
        let (pending, held) = refused_after(55);
        let response = answer(pending, held).await.unwrap();
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        let text = response.into_body().collect().await.unwrap().to_bytes();
        let text = std::str::from_utf8(&text).unwrap();
        assert_eq!(text.matches(": held for approval\n\n").count(), 3, "{text}");
        assert!(
            text.ends_with("\n\n") && text.contains("event: error\ndata: {") && text.contains("too broad"),
            "{text}"
        );
    }

    #[test]
    fn an_event_stream_is_wished_for_in_accept_or_in_the_body_of_an_sdk_that_says_it_there() {
        let wished = |form, (name, value), body: &str| {
            let fields = [(http::HeaderName::from_static(name), HeaderValue::from_static(value))];
            let mut wish = wish(&fields.into_iter().collect(), form)?;
            wish.learn(body.as_bytes());
            Some(wish)
        };
        let json = ("content-type", "application/json; charset=utf-8");
        let events = ("accept", "text/plain, Text/Event-Stream;q=0.9");
        let either = ("accept", "application/json, text/event-stream");
        let parts = ("content-type", "multipart/form-data; boundary=x");
        for (form, field, body, expected) in [
            (Form::Problem, events, "", Some(Wish::Events)),
            (Form::Problem, either, "", None),
            (Form::Problem, json, r#"{"stream":true}"#, None),
            (Form::OpenAi, json, r#"{"stream":true,"messages":[]}"#, Some(Wish::Events)),
            (Form::Anthropic, json, r#"{"stream":true}"#, Some(Wish::Events)),
            (Form::OpenAi, json, r#"{"stream":false}"#, Some(Wish::Nothing)),
            (Form::OpenAi, json, r#"{"options":{"stream":true}}"#, Some(Wish::Nothing)),
            (Form::OpenAi, json, r#"{"stream":true,"stream":true}"#, Some(Wish::Nothing)),
            (Form::OpenAi, json, r#"{"stream":"yes"}"#, Some(Wish::Nothing)),
            (Form::OpenAi, json, "not JSON", Some(Wish::Nothing)),
            (Form::OpenAi, parts, "", None),
        ] {
            assert_eq!(wished(form, field, body), expected, "{form:?} {body}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_that_is_not_held_is_waited_for_in_silence() {
        let (pending, held) = refused_after(300);
        held.set(false);
        assert!(answer(pending, held).await.is_err());
    }
}
