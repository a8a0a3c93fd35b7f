//! An HTTP/1.1 connection that is seen to end while its call is held.
//!
//! hyper looks for the end of a connection only as long as nothing has come behind the request: a
//! client that has sent a line end too many, or its next request ahead, could hang up unseen, and
//! its call would run for nobody. So while a call is held, what comes is read ahead here, and an
//! end of it is an error of the connection at once.

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

/// A connection, watched while `held` says so.
#[derive(Debug)]
pub(super) struct Watched<S> {
    stream: S,
    held: HeldFlag,
    /// What was read ahead.
    ahead: BytesMut,
    /// Whether hyper waits for bytes; then it sees the end itself, and nothing is read ahead of it.
    waited_for: bool,
}

impl<S: AsyncRead + Unpin> Watched<S> {
    pub(super) fn new(stream: S, held: HeldFlag) -> Self {
        Self { stream, held, ahead: BytesMut::new(), waited_for: false }
    }

    fn look_ahead(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        if self.waited_for || !self.held.is_set() {
            return Ok(());
        }
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
        Poll::Ready(this.look_ahead(context))
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
