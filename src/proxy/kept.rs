//! The upstream's answer to an approved call: passed on as it comes, and kept for a retry whose
//! caller never got it. A caller that leaves does not end it.

use std::pin::Pin;
use std::task::Context;
use std::task::Poll;
use std::task::ready;
use std::time::Duration;

use bytes::Bytes;
use http_body::Body as _;
use http_body::Frame;
use http_body::SizeHint;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::runtime::Handle;
use tokio::time::Sleep;
use tokio::time::timeout;

use crate::gate::Recording;

use super::answer::AnswerError;
use super::answer::clean;

/// An answer that is passed on and kept.
#[derive(Debug)]
pub(super) struct KeptAnswer {
    incoming: Option<Incoming>, // Invariant: there until it is dropped.
    pause_max: Duration,
    pause: Option<Pin<Box<Sleep>>>,
    recording: Option<Recording>,
}

impl KeptAnswer {
    pub(super) fn new(incoming: Incoming, pause_max: Duration, recording: Recording) -> Self {
        let mut answer = Self { incoming: Some(incoming), pause_max, pause: None, recording: Some(recording) };
        answer.finish_at_end();
        answer
    }

    pub(super) fn poll_frame(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, AnswerError>>> {
        let Some(incoming) = &mut self.incoming else { return Poll::Ready(None) };
        let Poll::Ready(frame) = Pin::new(incoming).poll_frame(context) else {
            let pause = self.pause.get_or_insert_with(|| Box::pin(tokio::time::sleep(self.pause_max)));
            ready!(pause.as_mut().poll(context));
            self.recording = None;
            return Poll::Ready(Some(Err("the upstream paused for too long".into())));
        };
        self.pause = None;
        self.record(frame.as_ref());
        self.finish_at_end();
        Poll::Ready(frame.map(|frame| frame.map(clean).map_err(Into::into)))
    }

    pub(super) fn is_end_stream(&self) -> bool {
        self.incoming.as_ref().is_none_or(Incoming::is_end_stream)
    }

    pub(super) fn size_hint(&self) -> SizeHint {
        self.incoming.as_ref().map_or_else(SizeHint::default, Incoming::size_hint)
    }

    fn record<E>(&mut self, frame: Option<&Result<Frame<Bytes>, E>>) {
        let Some(recording) = &mut self.recording else { return };
        match frame {
            Some(Ok(frame)) => match frame.data_ref() {
                Some(data) if recording.push(data) => {}
                // It is too long, or trailer fields would have to be kept with it.
                Some(_) | None => self.recording = None,
            },
            Some(Err(_)) => self.recording = None,
            None => recording.finish(),
        }
    }

    /// hyper does not ask for the end of a body whose length it knows.
    fn finish_at_end(&mut self) {
        if self.is_end_stream()
            && let Some(mut recording) = self.recording.take()
        {
            recording.finish();
        }
    }
}

impl Drop for KeptAnswer {
    /// The caller has left, and will come again: what is still to come is kept for it.
    fn drop(&mut self) {
        let (Some(mut incoming), Some(mut recording)) = (self.incoming.take(), self.recording.take()) else { return };
        let Ok(runtime) = Handle::try_current() else { return };
        let pause_max = self.pause_max;
        runtime.spawn(timeout(READ_ON_MAX, async move {
            loop {
                match timeout(pause_max, incoming.frame()).await {
                    Ok(Some(Ok(frame))) => match frame.data_ref() {
                        Some(data) if recording.push(data) => {}
                        Some(_) | None => return,
                    },
                    Ok(None) => return recording.finish(),
                    Ok(Some(Err(_))) | Err(_) => return,
                }
            }
        }));
    }
}

/// How long an answer is read on for a caller that has left: as long as retries are likely to come.
const READ_ON_MAX: Duration = Duration::from_secs(60);
