//! A stream that begins with bytes at hand, and knows when all that was written to it has left.

use std::io;
use std::io::IoSlice;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::task::Context;
use std::task::Poll;

use bytes::Buf;
use bytes::Bytes;
use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;
use tokio::io::ReadBuf;

/// Says whether a flush has come through since it was last lowered. hyper flushes its stream only
/// once it has written everything that it had buffered.
#[derive(Clone, Debug, Default)]
pub(super) struct Flushed(Arc<AtomicBool>);

impl Flushed {
    pub(super) fn lower(&self) {
        self.0.store(false, Ordering::Relaxed);
    }

    fn raise(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_raised(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// The stream.
#[derive(Debug)]
pub(super) struct Rewind<S> {
    ahead: Bytes,
    stream: S,
    flushed: Flushed,
}

impl<S> Rewind<S> {
    pub(super) fn new(stream: S, flushed: Flushed) -> Self {
        Self { ahead: Bytes::new(), stream, flushed }
    }

    /// The next reads get `ahead` first. What was at hand before must have been read.
    pub(super) fn rewind(&mut self, ahead: Bytes) {
        self.ahead = ahead;
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Rewind<S> {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.ahead.is_empty() {
            return Pin::new(&mut this.stream).poll_read(context, into);
        }
        let count = this.ahead.len().min(into.remaining());
        into.put_slice(this.ahead.get(..count).unwrap_or_default());
        this.ahead.advance(count);
        if this.ahead.is_empty() {
            this.ahead = Bytes::new();
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Rewind<S> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write_vectored(context, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let flushed = Pin::new(&mut this.stream).poll_flush(context);
        if let Poll::Ready(Ok(())) = flushed {
            this.flushed.raise();
        }
        flushed
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;
    use tokio::io::AsyncWriteExt;

    use super::*;

    #[tokio::test]
    async fn reads_begin_with_what_is_at_hand_and_lose_nothing() {
        let (near, mut far) = tokio::io::duplex(64);
        far.write_all(b" world").await.unwrap();
        let mut stream = Rewind::new(near, Flushed::default());
        stream.rewind(Bytes::from_static(b"hello"));
        let mut first = [0; 3];
        stream.read_exact(&mut first).await.unwrap();
        drop(far);
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).await.unwrap();
        assert_eq!([&first[..], &rest].concat(), b"hello world");
    }

    #[tokio::test]
    async fn only_a_flush_says_that_all_is_written() {
        let (near, _far) = tokio::io::duplex(64);
        let flushed = Flushed::default();
        let mut stream = Rewind::new(near, flushed.clone());
        stream.write_all(b"x").await.unwrap();
        assert!(!flushed.is_raised());
        stream.flush().await.unwrap();
        assert!(flushed.is_raised());
    }
}
