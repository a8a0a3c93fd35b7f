//! The body of a request: read whole where it must be, streamed through where nobody looks.

use std::pin::Pin;
use std::sync::Arc;
use std::task::Context;
use std::task::Poll;
use std::task::ready;
use std::time::Duration;

use bytes::Buf;
use bytes::Bytes;
use bytes::BytesMut;
use http::HeaderMap;
use http_body::Body as _;
use http_body::Frame;
use http_body::SizeHint;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::gate::BodySource;
use crate::model::Body;
use crate::model::Refusal;
use crate::model::RefusalCode;
use crate::wire;

use super::sse::HeldFlag;
use super::sse::Wish;

/// The body as it comes from the agent, until somebody reads it or it is sent on.
#[derive(Debug)]
pub(super) struct Downstream {
    incoming: Option<Incoming>,
    pause_max: Duration,
    held: Option<(HeldFlag, Wish)>,
}

impl Downstream {
    pub(super) fn new(incoming: Incoming, pause_max: Duration) -> Self {
        // Polling the body would make hyper ask for it (`100 Continue`), so only its end is looked at.
        let incoming = (!incoming.is_end_stream()).then_some(incoming);
        Self { incoming, pause_max, held: None }
    }

    /// From now on `flag` says whether the call is being held, if its caller wishes to hear events.
    pub(super) fn flag(&mut self, flag: HeldFlag, wish: Wish) {
        self.held = Some((flag, wish));
    }

    /// What is left of it, for the upstream.
    pub(super) fn into_outgoing(self, body: Body) -> Outgoing {
        match (body, self.incoming) {
            (Body::Read { bytes, trailers }, _) => Outgoing::whole(bytes, trailers),
            (Body::Unread, Some(incoming)) => Outgoing::Stream(incoming, LastByte::default()),
            (Body::Absent | Body::Unread, _) => Outgoing::Empty,
        }
    }
}

impl BodySource for Downstream {
    fn is_present(&self) -> bool {
        self.incoming.is_some()
    }

    fn holding(&mut self, held: bool) {
        if let Some((flag, wish)) = &self.held {
            flag.set(held && *wish == Wish::Events);
        }
    }

    async fn read(&mut self, max: u64) -> Result<Body, Refusal> {
        let Some(mut incoming) = self.incoming.take() else { return Ok(Body::Absent) };
        let size = incoming.size_hint();
        if size.lower() > max {
            return Err(too_large(max));
        }
        let mut first = Bytes::new();
        let mut rest = BytesMut::new();
        let mut trailers = HeaderMap::new();
        while let Some(frame) = next_frame(&mut incoming, self.pause_max).await? {
            match frame.into_data() {
                Ok(data) if (first.len() + rest.len() + data.len()) as u64 > max => return Err(too_large(max)),
                // Most bodies arrive in one piece, which then is not copied.
                Ok(data) if first.is_empty() => first = data,
                Ok(data) => rest.extend_from_slice(&data),
                Err(frame) => trailers = frame.into_trailers().unwrap_or_default(),
            }
        }
        wire::keep_safe_trailers(&mut trailers);
        let bytes = if rest.is_empty() { first } else { join(&first, &rest) };
        if let Some((_, wish)) = &mut self.held {
            wish.learn(&bytes);
        }
        Ok(Body::Read { bytes, trailers })
    }
}

fn join(first: &Bytes, rest: &BytesMut) -> Bytes {
    let mut whole = BytesMut::with_capacity(first.len() + rest.len());
    whole.extend_from_slice(first);
    whole.extend_from_slice(rest);
    whole.freeze()
}

async fn next_frame(incoming: &mut Incoming, pause_max: Duration) -> Result<Option<Frame<Bytes>>, Refusal> {
    match tokio::time::timeout(pause_max, incoming.frame()).await {
        Ok(Some(Ok(frame))) => Ok(Some(frame)),
        Ok(None) => Ok(None),
        Ok(Some(Err(_))) => {
            Err(Refusal::new(RefusalCode::BadRequest, "the body broke off before its end; nothing was sent"))
        }
        Err(_) => Err(Refusal::new(
            RefusalCode::BodyTimeout,
            format!("no byte of the body came for {} s; nothing was sent", pause_max.as_secs()),
        )),
    }
}

fn too_large(max: u64) -> Refusal {
    let detail = format!("the body has to be looked at, and at most {max} bytes can be; nothing was sent");
    Refusal::new(RefusalCode::BodyTooLarge, detail)
}

/// The body as it goes to the upstream.
#[derive(Debug)]
pub(super) enum Outgoing {
    /// None.
    Empty,
    /// The bytes that were decided on, then the trailer fields.
    Whole { bytes: Bytes, trailers: Option<HeaderMap> },
    /// Whatever the agent sends.
    Stream(Incoming, LastByte),
}

/// When the last piece of a body was passed on.
#[derive(Clone, Debug)]
pub(super) struct LastByte(Arc<Mutex<Instant>>);

impl Default for LastByte {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Instant::now())))
    }
}

impl LastByte {
    /// When that was, or when the body was made if nothing has been passed on.
    pub(super) fn at(&self) -> Instant {
        *self.0.lock()
    }

    fn passed(&self) {
        *self.0.lock() = Instant::now();
    }
}

impl Outgoing {
    fn whole(bytes: Bytes, trailers: HeaderMap) -> Self {
        Self::Whole { bytes, trailers: (!trailers.is_empty()).then_some(trailers) }
    }

    /// When the last piece of it was passed on, where it comes in pieces.
    pub(super) fn last_byte(&self) -> Option<LastByte> {
        match self {
            Self::Stream(_, last) => Some(last.clone()),
            Self::Empty | Self::Whole { .. } => None,
        }
    }

    /// The names of the trailer fields that will follow, for the `Trailer` field.
    pub(super) fn trailer_names(&self) -> Option<String> {
        let Self::Whole { trailers: Some(trailers), .. } = self else { return None };
        let names: Vec<&str> = trailers.keys().map(http::HeaderName::as_str).collect();
        Some(names.join(", "))
    }
}

fn clean(frame: Frame<Bytes>) -> Frame<Bytes> {
    match frame.into_trailers() {
        Ok(mut trailers) => {
            wire::keep_safe_trailers(&mut trailers);
            Frame::trailers(trailers)
        }
        Err(frame) => frame,
    }
}

impl http_body::Body for Outgoing {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        match self.get_mut() {
            Self::Empty => Poll::Ready(None),
            Self::Whole { bytes, .. } if bytes.has_remaining() => {
                Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes)))))
            }
            Self::Whole { trailers, .. } => Poll::Ready(trailers.take().map(|trailers| Ok(Frame::trailers(trailers)))),
            Self::Stream(incoming, last) => {
                let frame = ready!(Pin::new(incoming).poll_frame(context));
                last.passed();
                Poll::Ready(frame.map(|frame| frame.map(clean)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Whole { bytes, trailers } => bytes.is_empty() && trailers.is_none(),
            Self::Stream(incoming, _) => incoming.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            // With trailers the length is left open, so that the body is sent in chunks.
            Self::Whole { trailers: Some(_), .. } => SizeHint::default(),
            Self::Whole { bytes, trailers: None } => SizeHint::with_exact(bytes.len() as u64),
            Self::Stream(incoming, _) => incoming.size_hint(),
        }
    }
}
