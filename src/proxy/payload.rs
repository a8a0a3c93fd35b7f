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
use crate::gate::Keep;
use crate::gate::Spool;
use crate::gate::SpoolWriter;
use crate::model::Body;
use crate::model::KeptBodyError;
use crate::model::Refusal;
use crate::model::RefusalCode;
use crate::wire;

use super::readback::Damage;
use super::readback::KeptPayload;
use super::sse::HeldFlag;
use super::sse::Wish;

/// The body as it comes from the agent, until somebody reads it or it is sent on.
#[derive(Debug)]
pub(super) struct Downstream {
    incoming: Option<Incoming>,
    pause_max: Duration,
    held: Option<(HeldFlag, Wish)>,
    /// Whether the connection is to be watched.
    watched: HeldFlag,
}

impl Downstream {
    pub(super) fn new(incoming: Incoming, pause_max: Duration, watched: HeldFlag) -> Self {
        // Polling the body would make hyper ask for it (`100 Continue`), so only its end is looked at.
        let incoming = (!incoming.is_end_stream()).then_some(incoming);
        Self { incoming, pause_max, held: None, watched }
    }

    /// From now on `flag` says whether the call is being held, if its caller wishes to hear events.
    pub(super) fn flag(&mut self, flag: HeldFlag, wish: Wish) {
        self.held = Some((flag, wish));
    }

    /// What is left of it, for the upstream.
    pub(super) fn into_outgoing(self, body: Body) -> Outgoing {
        match (body, self.incoming) {
            (Body::Read { bytes, trailers } | Body::Encoded { bytes, trailers, .. }, _) => {
                Outgoing::whole(bytes, trailers)
            }
            (Body::Kept { body, trailers }, _) => Outgoing::Kept(KeptPayload::new(body, trailers)),
            (Body::Unread, Some(incoming)) => Outgoing::Stream(incoming, LastByte::default()),
            (Body::Absent | Body::Unread, _) => Outgoing::Empty,
        }
    }

    /// Reads all of it into memory, or into the spool once it is too long for that.
    async fn collect(
        &mut self,
        memory_bytes_max: u64,
        bytes_max: u64,
        spool: Option<Arc<Spool>>,
    ) -> Result<Body, Refusal> {
        let Some(mut incoming) = self.incoming.take() else { return Ok(Body::Absent) };
        if incoming.size_hint().lower() > bytes_max {
            return Err(too_large(bytes_max));
        }
        let mut memory = Memory::default();
        let mut spooled: Option<SpoolWriter> = None;
        let (mut length, mut trailers) = (0, HeaderMap::new());
        while let Some(frame) = next_frame(&mut incoming, self.pause_max).await? {
            let data = match frame.into_data() {
                Ok(data) => data,
                Err(frame) => {
                    trailers = frame.into_trailers().unwrap_or_default();
                    continue;
                }
            };
            length += data.len() as u64;
            if length > bytes_max {
                return Err(too_large(bytes_max));
            }
            match (&mut spooled, &spool) {
                (Some(writer), _) => writer.write(&data).await.map_err(|error| error.refusal())?,
                (None, Some(spool)) if length > memory_bytes_max => {
                    let mut writer = spool.begin().await.map_err(|error| error.refusal())?;
                    for part in [&*memory.first, &memory.rest, &data] {
                        writer.write(part).await.map_err(|error| error.refusal())?;
                    }
                    memory = Memory::default();
                    spooled = Some(writer);
                }
                (None, _) => memory.add(data),
            }
        }
        wire::keep_safe_trailers(&mut trailers);
        match spooled {
            None => {
                let bytes = memory.join();
                if let Some((_, wish)) = &mut self.held {
                    wish.learn(&bytes);
                }
                Ok(Body::Read { bytes, trailers })
            }
            Some(writer) => {
                let body = writer.finish().await.map_err(|error| error.refusal())?;
                Ok(Body::Kept { body: Arc::new(body), trailers })
            }
        }
    }
}

/// A body in memory, as far as it has come. Most come in one piece, which then is not copied.
#[derive(Default)]
struct Memory {
    first: Bytes,
    rest: BytesMut,
}

impl Memory {
    fn add(&mut self, data: Bytes) {
        if self.first.is_empty() { self.first = data } else { self.rest.extend_from_slice(&data) }
    }

    fn join(self) -> Bytes {
        if self.rest.is_empty() {
            return self.first;
        }
        let mut whole = BytesMut::with_capacity(self.first.len() + self.rest.len());
        whole.extend_from_slice(&self.first);
        whole.extend_from_slice(&self.rest);
        whole.freeze()
    }
}

impl BodySource for Downstream {
    fn is_present(&self) -> bool {
        self.incoming.is_some()
    }

    fn holding(&mut self, held: bool) {
        // Until it is answered: the call runs after it was held.
        if held {
            self.watched.set(true);
        }
        if let Some((flag, wish)) = &self.held {
            flag.set(held && *wish == Wish::Events);
        }
    }

    async fn read(&mut self, max: u64) -> Result<Body, Refusal> {
        self.collect(max, max, None).await
    }

    async fn keep(&mut self, keep: Keep) -> Result<Body, Refusal> {
        let Keep { memory_bytes_max, bytes_max, spool } = keep;
        self.collect(memory_bytes_max, bytes_max, Some(spool)).await
    }
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
    /// The bytes that were decided on, read back, then the trailer fields.
    Kept(KeptPayload),
    /// Whatever the agent sends.
    Stream(Incoming, LastByte),
}

/// Why a body ends before its end.
#[derive(Debug, thiserror::Error)]
pub(super) enum PayloadError {
    /// The agent's side broke off.
    #[error("the caller broke off")]
    Downstream(#[from] hyper::Error),
    /// What was kept cannot be read back.
    #[error(transparent)]
    Kept(#[from] KeptBodyError),
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

    pub(super) fn passed(&self) {
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
            Self::Kept(kept) => Some(kept.last_byte()),
            Self::Empty | Self::Whole { .. } => None,
        }
    }

    /// Where it says, should it end before its end, why.
    pub(super) fn damage(&self) -> Damage {
        match self {
            Self::Kept(kept) => kept.damage(),
            Self::Empty | Self::Whole { .. } | Self::Stream(..) => Damage::default(),
        }
    }

    /// The names of the trailer fields that will follow, for the `Trailer` field.
    pub(super) fn trailer_names(&self) -> Option<String> {
        let trailers = match self {
            Self::Whole { trailers, .. } => trailers.as_ref()?,
            Self::Kept(kept) => kept.trailers()?,
            Self::Empty | Self::Stream(..) => return None,
        };
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
    type Error = PayloadError;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, PayloadError>>> {
        match self.get_mut() {
            Self::Empty => Poll::Ready(None),
            Self::Whole { bytes, .. } if bytes.has_remaining() => {
                Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes)))))
            }
            Self::Whole { trailers, .. } => Poll::Ready(trailers.take().map(|trailers| Ok(Frame::trailers(trailers)))),
            Self::Kept(kept) => kept.poll_frame(context).map_err(PayloadError::Kept),
            Self::Stream(incoming, last) => {
                let frame = ready!(Pin::new(incoming).poll_frame(context));
                last.passed();
                Poll::Ready(frame.map(|frame| frame.map(clean).map_err(PayloadError::Downstream)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Whole { bytes, trailers } => bytes.is_empty() && trailers.is_none(),
            Self::Kept(kept) => kept.is_end_stream(),
            Self::Stream(incoming, _) => incoming.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            // With trailers the length is left open, so that the body is sent in chunks.
            Self::Whole { trailers: Some(_), .. } => SizeHint::default(),
            Self::Whole { bytes, trailers: None } => SizeHint::with_exact(bytes.len() as u64),
            Self::Kept(kept) => kept.size_hint(),
            Self::Stream(incoming, _) => incoming.size_hint(),
        }
    }
}
