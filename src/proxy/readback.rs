//! A body that was kept elsewhere while its call was held, on its way to the upstream.
//!
//! One piece of it is in memory at a time. The last one leaves only once all of them together are
//! the body that was decided on, so an upstream that was sent something else never has the whole.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::OnceLock;
use std::task::Context;
use std::task::Poll;
use std::task::ready;

use bytes::Bytes;
use http::HeaderMap;
use http_body::Frame;
use http_body::SizeHint;
use tokio::task::JoinHandle;

use crate::model::BodyReader;
use crate::model::KeptBody;
use crate::model::KeptBodyError;

use super::payload::LastByte;

/// What is left of the body.
#[derive(Debug)]
pub(super) struct KeptPayload {
    reader: Reader,
    left: u64,
    trailers: Option<HeaderMap>,
    last: LastByte,
    damage: Damage,
}

#[derive(Debug)]
enum Reader {
    /// The next piece was not asked for yet.
    Idle(BodyReader),
    /// It is being read, where nobody waits for the disk but this body.
    Busy(JoinHandle<(BodyReader, Result<Option<Bytes>, KeptBodyError>)>),
    /// All were read, or one could not be.
    Over,
}

/// Why a kept body ended before its end, if it did.
#[derive(Clone, Debug, Default)]
pub(super) struct Damage(Arc<OnceLock<KeptBodyError>>);

impl Damage {
    /// The reason.
    pub(super) fn reason(&self) -> Option<&KeptBodyError> {
        self.0.get()
    }
}

impl KeptPayload {
    pub(super) fn new(body: Arc<dyn KeptBody>, trailers: HeaderMap) -> Self {
        Self {
            left: body.bytes(),
            reader: Reader::Idle(BodyReader::new(body)),
            trailers: (!trailers.is_empty()).then_some(trailers),
            last: LastByte::default(),
            damage: Damage::default(),
        }
    }

    pub(super) fn last_byte(&self) -> LastByte {
        self.last.clone()
    }

    pub(super) fn damage(&self) -> Damage {
        self.damage.clone()
    }

    pub(super) fn trailers(&self) -> Option<&HeaderMap> {
        self.trailers.as_ref()
    }

    pub(super) fn poll_frame(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, KeptBodyError>>> {
        if self.left == 0 {
            self.reader = Reader::Over;
            return Poll::Ready(self.trailers.take().map(|trailers| Ok(Frame::trailers(trailers))));
        }
        self.reader = match std::mem::replace(&mut self.reader, Reader::Over) {
            Reader::Idle(mut reader) => Reader::Busy(tokio::task::spawn_blocking(move || {
                let piece = reader.next_piece();
                (reader, piece)
            })),
            busy => busy,
        };
        // What it says once it has failed: nothing more comes, and this is not the end.
        let failed = || KeptBodyError::Unreadable("it could not be read before".to_owned());
        let Reader::Busy(reading) = &mut self.reader else { return Poll::Ready(Some(Err(failed()))) };
        let (reader, piece) = match ready!(Pin::new(reading).poll(context)) {
            Ok((reader, piece)) => (Some(reader), piece),
            Err(error) => (None, Err(KeptBodyError::Unreadable(error.to_string()))),
        };
        self.last.passed();
        match piece.and_then(|piece| piece.ok_or_else(failed)) {
            Ok(piece) => {
                self.left = self.left.saturating_sub(piece.len() as u64);
                self.reader = reader.map_or(Reader::Over, Reader::Idle);
                Poll::Ready(Some(Ok(Frame::data(piece))))
            }
            Err(error) => {
                self.reader = Reader::Over;
                // The first reason is the one that counts.
                let _ = self.damage.0.set(error.clone());
                Poll::Ready(Some(Err(error)))
            }
        }
    }

    pub(super) fn is_end_stream(&self) -> bool {
        self.left == 0 && self.trailers.is_none()
    }

    pub(super) fn size_hint(&self) -> SizeHint {
        // With trailers the length is left open, so that the body is sent in chunks.
        if self.trailers.is_some() { SizeHint::default() } else { SizeHint::with_exact(self.left) }
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;
    use crate::model::MemoryBody;
    use crate::model::PIECE_BYTES;
    use crate::model::Sha256;
    use crate::proxy::payload::Outgoing;

    /// Gives back what it has, and says that it has something else.
    #[derive(Debug)]
    struct Swapped(MemoryBody, Sha256);

    impl KeptBody for Swapped {
        fn bytes(&self) -> u64 {
            self.0.bytes()
        }

        fn sha256(&self) -> Sha256 {
            self.1
        }

        fn piece(&self, number: u64) -> Result<Bytes, KeptBodyError> {
            self.0.piece(number)
        }
    }

    #[tokio::test]
    async fn a_kept_body_leaves_as_it_was_with_its_trailers() {
        let bytes: Vec<u8> = (0..3 * PIECE_BYTES + 1).map(|at| (at % 253) as u8).collect();
        let mut trailers = HeaderMap::new();
        for _ in 0..2 {
            let body = Arc::new(MemoryBody::new(bytes.clone().into()));
            let outgoing = Outgoing::Kept(KeptPayload::new(body, trailers.clone()));
            let length = http_body::Body::size_hint(&outgoing).exact();
            assert_eq!(length, trailers.is_empty().then_some(bytes.len() as u64));
            let collected = outgoing.collect().await.unwrap();
            assert_eq!(collected.trailers().cloned().unwrap_or_default(), trailers);
            assert!(collected.to_bytes() == bytes);
            trailers.insert("x-checksum", http::HeaderValue::from_static("1"));
        }
    }

    #[tokio::test]
    async fn the_end_of_another_body_does_not_leave() {
        let body = Swapped(MemoryBody::new(vec![1; 2 * PIECE_BYTES + 5].into()), Sha256::of(b"what was approved"));
        let mut outgoing = Outgoing::Kept(KeptPayload::new(Arc::new(body), HeaderMap::new()));
        let damage = outgoing.damage();
        let mut left = 0;
        let error = loop {
            match outgoing.frame().await.unwrap() {
                Ok(frame) => left += frame.into_data().unwrap().len(),
                Err(error) => break error,
            }
        };
        assert_eq!(left, 2 * PIECE_BYTES);
        assert_eq!(error.to_string(), KeptBodyError::Damaged.to_string());
        assert_eq!(damage.reason(), Some(&KeptBodyError::Damaged));
        // Whoever asks again is not told that this was the end.
        assert!(!http_body::Body::is_end_stream(&outgoing));
        assert!(outgoing.frame().await.unwrap().is_err());
    }
}
