//! The body of an answer: the upstream's own, streamed, or a few bytes of ours.

use std::future::Future;
use std::pin::Pin;
use std::task::Context;
use std::task::Poll;
use std::task::ready;
use std::time::Duration;

use bytes::Bytes;
use http_body::Frame;
use http_body::SizeHint;
use hyper::body::Incoming;
use tokio::time::Sleep;

use crate::gate::Recording;
use crate::wire;

use super::kept::KeptAnswer;
use super::sse::Events;

/// What may go wrong while an answer is passed on.
pub(super) type AnswerError = Box<dyn std::error::Error + Send + Sync>;

/// The body of an answer.
#[derive(Debug)]
pub(super) enum Answer {
    /// A few bytes of ours.
    Own(Option<Bytes>),
    /// The upstream's, as long as it does not pause for too long.
    Upstream { incoming: Incoming, pause_max: Duration, pause: Option<Pin<Box<Sleep>>> },
    /// The upstream's to an approved call, which is kept for a moment as well.
    Kept(Box<KeptAnswer>),
    /// An event stream that has begun before people have decided.
    Events(Box<Events>),
}

impl Answer {
    pub(super) fn own(bytes: Bytes) -> Self {
        Self::Own((!bytes.is_empty()).then_some(bytes))
    }

    pub(super) fn upstream(incoming: Incoming, pause_max: Duration, recording: Option<Recording>) -> Self {
        match recording {
            None => Self::Upstream { incoming, pause_max, pause: None },
            Some(recording) => Self::Kept(Box::new(KeptAnswer::new(incoming, pause_max, recording))),
        }
    }
}

impl http_body::Body for Answer {
    type Data = Bytes;
    type Error = AnswerError;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, AnswerError>>> {
        match self.get_mut() {
            Self::Own(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Self::Upstream { incoming, pause_max, pause } => {
                let Poll::Ready(frame) = Pin::new(incoming).poll_frame(context) else {
                    // The timer is set only where there is something to wait for.
                    let pause = pause.get_or_insert_with(|| Box::pin(tokio::time::sleep(*pause_max)));
                    ready!(pause.as_mut().poll(context));
                    return Poll::Ready(Some(Err("the upstream paused for too long".into())));
                };
                *pause = None;
                Poll::Ready(frame.map(|frame| frame.map(clean).map_err(Into::into)))
            }
            Self::Kept(kept) => kept.poll_frame(context),
            Self::Events(events) => events.poll_frame(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Own(bytes) => bytes.is_none(),
            Self::Upstream { incoming, .. } => incoming.is_end_stream(),
            Self::Kept(kept) => kept.is_end_stream(),
            Self::Events(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Own(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64)),
            Self::Upstream { incoming, .. } => incoming.size_hint(),
            Self::Kept(kept) => kept.size_hint(),
            Self::Events(_) => SizeHint::default(),
        }
    }
}

pub(super) fn clean(frame: Frame<Bytes>) -> Frame<Bytes> {
    match frame.into_trailers() {
        Ok(mut trailers) => {
            wire::keep_safe_trailers(&mut trailers);
            Frame::trailers(trailers)
        }
        Err(frame) => frame,
    }
}
