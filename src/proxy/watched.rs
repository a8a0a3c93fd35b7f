//! An HTTP/1.1 connection that is seen to end while its call is held.
//!
//! hyper looks for the end of a connection only as long as nothing has come behind the request: a
//! client that has sent a line end too many, or its next request ahead, could hang up unseen, and
//! its call would run for nobody. So while a call is held, what comes is read ahead here, and an
//! end of it is an error of the connection at once: for hyper as long as it has the connection, and
//! for [`super::http1`] once it has taken it from hyper.

use std::io;
use std::io::IoSlice;
use std::pin::Pin;
use std::task::Context;
use std::task::Poll;
use std::task::ready;

use bytes::Buf;
use bytes::BytesMut;
use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;
use tokio::io::ReadBuf;

use super::sse::HeldFlag;

/// What a connection and those who speak on it know of its call.
#[derive(Clone, Debug, Default)]
pub(super) struct Watch {
    /// Whether the call is held. From then on the connection is watched, until there is an answer.
    pub(super) held: HeldFlag,
    /// Whether all that was written before has left since. hyper flushes only once it has written
    /// everything that it had buffered.
    quiet: HeldFlag,
}

impl Watch {
    /// Another call begins, or this one has its answer.
    pub(super) fn over(&self) {
        self.held.set(false);
        self.quiet.set(false);
    }

    /// Whether nobody needs the connection before the call has its answer.
    pub(super) fn is_quiet(&self) -> bool {
        self.held.is_set() && self.quiet.is_set()
    }
}

/// A connection, watched while its call is held.
#[derive(Debug)]
pub(super) struct Watched<S> {
    stream: S,
    watch: Watch,
    /// What comes next of what is read.
    ahead: BytesMut,
    /// Whether hyper waits for bytes; then it sees the end itself, and nothing is read ahead of it.
    waited_for: bool,
}

impl<S: AsyncRead + Unpin> Watched<S> {
    pub(super) fn new(stream: S, watch: Watch) -> Self {
        Self { stream, watch, ahead: BytesMut::new(), waited_for: false }
    }

    /// Reads what has come, to be had again by the next who reads. Nothing is sent.
    ///
    /// # Errors
    /// If the client has hung up, or sends so much that we could not see it hang up.
    pub(super) fn look_ahead(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        loop {
            let mut piece = [0; 1_024];
            let mut piece = ReadBuf::new(&mut piece);
            match Pin::new(&mut self.stream).poll_read(context, &mut piece)? {
                Poll::Pending => return Ok(()),
                Poll::Ready(()) if piece.filled().is_empty() => return Err(io::ErrorKind::UnexpectedEof.into()),
                Poll::Ready(()) => self.ahead.extend_from_slice(piece.filled()),
            }
            if self.ahead.len() > AHEAD_BYTES_MAX {
                return Err(io::Error::other("the client goes on sending while its call is held"));
            }
        }
    }

    /// The next who reads gets `bytes` first. Nobody waits for bytes any more.
    pub(super) fn put_back(&mut self, bytes: &[u8]) {
        self.waited_for = false;
        if !bytes.is_empty() {
            self.ahead = [bytes, &self.ahead].concat().as_slice().into();
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.ahead.is_empty() {
            let read = Pin::new(&mut this.stream).poll_read(context, buffer);
            this.waited_for = read.is_pending();
            return read;
        }
        let length = this.ahead.len().min(buffer.remaining());
        buffer.put_slice(this.ahead.get(..length).unwrap_or_default());
        this.ahead.advance(length);
        if this.ahead.is_empty() {
            this.ahead = BytesMut::new();
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(context, bytes)
    }

    /// hyper flushes whenever it has looked at all else that could have happened.
    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(Pin::new(&mut this.stream).poll_flush(context))?;
        if this.watch.held.is_set() {
            this.watch.quiet.set(true);
            if !this.waited_for {
                this.look_ahead(context)?;
            }
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

/// More than a client sends ahead that waits for an answer. The connection of one that sends more
/// could end unseen behind it, so it is closed.
const AHEAD_BYTES_MAX: usize = 16 << 10;

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::io::AsyncReadExt;
    use tokio::io::AsyncWriteExt;
    use tokio::io::DuplexStream;

    use super::*;

    fn watched() -> (Watched<DuplexStream>, DuplexStream, Watch) {
        let (near, far) = tokio::io::duplex(64 << 10);
        let watch = Watch::default();
        (Watched::new(near, watch.clone()), far, watch)
    }

    async fn look_ahead(stream: &mut Watched<DuplexStream>) -> io::Result<()> {
        poll_fn(|context| Poll::Ready(stream.look_ahead(context))).await
    }

    #[tokio::test]
    async fn what_was_read_ahead_or_put_back_is_read_in_order() {
        let (mut stream, mut far, _) = watched();
        far.write_all(b"brave ").await.unwrap();
        look_ahead(&mut stream).await.unwrap();
        far.write_all(b"new world").await.unwrap();
        stream.put_back(b"hello ");
        look_ahead(&mut stream).await.unwrap();
        far.write_all(b"!").await.unwrap();
        let mut first = [0; 3];
        stream.read_exact(&mut first).await.unwrap();
        drop(far);
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).await.unwrap();
        assert_eq!([&first[..], &rest].concat(), b"hello brave new world!");
    }

    #[tokio::test]
    async fn an_end_is_seen_behind_what_came_before_it() {
        let (mut stream, mut far, watch) = watched();
        watch.held.set(true);
        far.write_all(b"\r\n").await.unwrap();
        stream.flush().await.unwrap();
        drop(far);
        assert_eq!(stream.flush().await.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }

    #[tokio::test]
    async fn only_so_much_is_read_ahead() {
        let (mut stream, mut far, _) = watched();
        far.write_all(&[b'x'; AHEAD_BYTES_MAX]).await.unwrap();
        look_ahead(&mut stream).await.unwrap();
        far.write_all(b"x").await.unwrap();
        assert!(look_ahead(&mut stream).await.is_err());
    }

    #[tokio::test]
    async fn only_a_flush_after_the_call_was_held_says_that_all_is_written() {
        let (mut stream, _far, watch) = watched();
        stream.flush().await.unwrap();
        watch.held.set(true);
        stream.write_all(b"x").await.unwrap();
        assert!(!watch.is_quiet());
        stream.flush().await.unwrap();
        assert!(watch.is_quiet());
        watch.over();
        assert!(!watch.is_quiet());
    }
}
