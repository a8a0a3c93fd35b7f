//! One HTTP/1.1 connection of an agent.
//!
//! hyper speaks on it while bytes flow. Its buffers, at least 16 KiB, would be most of what a held
//! call costs, so while people decide the connection is taken from it: what is left is the stream,
//! the call, and what the agent has sent ahead. When the answer is there hyper gets the stream back,
//! with lines that look like the head of the request (its method, whether the connection lasts), so
//! that it frames the answer as it would have. Nothing reads that head: the answer is there before
//! it is, and it never becomes a call.

use std::convert::Infallible;
use std::future::Future;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Context;
use std::task::Poll;
use std::task::ready;

use futures_util::TryFutureExt;
use http::HeaderMap;
use http::Method;
use http::Request;
use http::Response;
use http::Version;
use http::header;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use hyper_util::rt::TokioTimer;
use parking_lot::Mutex;
use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;

use crate::wire::Arrival;

use super::answer::Answer;
use super::drain;
use super::http::handle;
use super::listener::Core;
use super::watched::Watch;
use super::watched::Watched;

/// Serves `stream` until it ends, or until its call is over once the drain begins.
pub(super) async fn serve<S>(core: &Core, stream: S, arrival: Arc<Arrival>) -> hyper::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let desk = Arc::new(Desk::default());
    let mut stream = Watched::new(stream, desk.watch.clone());
    // Boxed, so that what hyper needs is given back while the call is held.
    while let Some(back) = Box::pin(talk(core, stream, &desk, &arrival)).await? {
        stream = back;
        let head = match poll_fn(|context| wait(&mut stream, &desk, context)).await {
            Ok(head) => head,
            Err(error) => {
                tracing::debug!(%error, "a held caller is gone");
                break;
            }
        };
        stream.put_back(head.as_bytes());
    }
    Ok(())
}

/// hyper's turn: until the connection ends, or until its call is held and everything before it has
/// left. Then the stream comes back.
async fn talk<S>(
    core: &Core,
    stream: Watched<S>,
    desk: &Arc<Desk>,
    arrival: &Arc<Arrival>,
) -> hyper::Result<Option<Watched<S>>>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (shared, index, arrival, at) = (Arc::clone(&core.shared), core.index, Arc::clone(arrival), Arc::clone(desk));
    let draining = core.drain.clone();
    let service = service_fn(move |request| {
        at.receive(request, |request, watch| {
            let handled = handle(Arc::clone(&shared), index, Arc::clone(&arrival), request, watch.held.clone());
            let draining = draining.clone();
            Box::pin(handled.map_ok(move |mut answer| {
                drain::last_answer(&draining, &mut answer);
                // An event stream can begin while its call is still held.
                if !matches!(answer.body(), Answer::Events(_)) {
                    watch.over();
                }
                answer
            }))
        });
        Answering(Arc::clone(&at))
    });
    let mut connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(core.limits.header_timeout)
        .max_buf_size(core.limits.header_bytes_max.max(BUFFER_MIN))
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    let mut drain = std::pin::pin!(drain::unused(&core.drain));
    let mut draining = false;
    let ended = poll_fn(|context| {
        // First, so that a drain finds an answer that is there already on its way.
        if let Poll::Ready(ended) = Pin::new(&mut connection).poll(context) {
            return Poll::Ready(Some(ended));
        }
        if !draining && drain.as_mut().poll(context).is_ready() {
            draining = true;
            Pin::new(&mut connection).graceful_shutdown();
            if let Poll::Ready(ended) = Pin::new(&mut connection).poll(context) {
                return Poll::Ready(Some(ended));
            }
        }
        if desk.can_wait() { Poll::Ready(None) } else { Poll::Pending }
    })
    .await;
    match ended {
        Some(ended) => ended.map(|()| None),
        None => Ok(connection.into_parts().map(|parts| {
            let mut stream = parts.io.into_inner();
            stream.put_back(&parts.read_buf);
            stream
        })),
    }
}

/// Our turn: until the call has its answer, then comes the head to begin again with; or until the
/// agent hangs up, which ends the call.
fn wait<S>(stream: &mut Watched<S>, desk: &Desk, context: &mut Context<'_>) -> Poll<io::Result<String>>
where
    S: AsyncRead + Unpin,
{
    // First, so that the call does not go on for one who is gone.
    stream.look_ahead(context)?;
    desk.poll_call(context).map(Ok)
}

/// Where hyper and we hand the one call of the connection to each other.
#[derive(Default)]
struct Desk {
    stage: Mutex<Stage>,
    watch: Watch,
}

#[derive(Default)]
enum Stage {
    /// No call.
    #[default]
    None,
    /// A call. Without a head to begin again with it stays with hyper.
    Running { call: Pin<Box<dyn Future<Output = Answered> + Send>>, again: Option<Again> },
    /// The answer to a call that was held.
    Over(Answered),
}

type Answered = Result<Response<Answer>, Infallible>;

impl Desk {
    /// Takes a request from hyper, unless it is the head that we wrote ourselves.
    fn receive<F>(&self, request: Request<Incoming>, begin: impl FnOnce(Request<Incoming>, Watch) -> Pin<Box<F>>)
    where
        F: Future<Output = Answered> + Send + 'static,
    {
        let mut stage = self.stage.lock();
        if matches!(*stage, Stage::Over(_)) {
            return;
        }
        let again = Again::of(&request);
        self.watch.over();
        *stage = Stage::Running { call: begin(request, self.watch.clone()), again };
    }

    /// Whether the call is held and hyper has nothing left to write.
    fn can_wait(&self) -> bool {
        self.watch.is_quiet() && matches!(*self.stage.lock(), Stage::Running { again: Some(_), .. })
    }

    /// Lets the call go on. Answers with the head to begin again with, once there is an answer.
    fn poll_call(&self, context: &mut Context<'_>) -> Poll<String> {
        let mut stage = self.stage.lock();
        let Stage::Running { call, again: Some(again) } = &mut *stage else { return Poll::Pending };
        let answered = ready!(call.as_mut().poll(context));
        let head = again.to_head();
        *stage = Stage::Over(answered);
        Poll::Ready(head)
    }
}

/// The answer to the call at the desk, as hyper waits for it. The call does not end with it.
struct Answering(Arc<Desk>);

impl Future for Answering {
    type Output = Answered;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Answered> {
        let mut stage = self.0.stage.lock();
        if let Stage::Running { call, .. } = &mut *stage {
            let answered = ready!(call.as_mut().poll(context));
            *stage = Stage::None;
            return Poll::Ready(answered);
        }
        match std::mem::take(&mut *stage) {
            Stage::Over(answered) => Poll::Ready(answered),
            // hyper does not ask twice.
            Stage::None | Stage::Running { .. } => Poll::Pending,
        }
    }
}

/// What of a request decides how its answer is framed, and whether the connection outlives it.
#[derive(Debug, PartialEq, Eq)]
struct Again {
    method: Method,
    lasts: bool,
    takes_trailers: bool,
}

impl Again {
    /// `None` for an upgrade, which ends as bytes on hyper's own stream, and for HTTP/1.0, which is
    /// refused.
    fn of<B>(request: &Request<B>) -> Option<Self> {
        if request.extensions().get::<OnUpgrade>().is_some() || request.version() != Version::HTTP_11 {
            return None;
        }
        let lasts = !lists(request.headers(), &header::CONNECTION, "close");
        let takes_trailers = lists(request.headers(), &header::TE, "trailers");
        Some(Self { method: request.method().clone(), lasts, takes_trailers })
    }

    fn to_head(&self) -> String {
        let connection = if self.lasts { "keep-alive" } else { "close" };
        let trailers = if self.takes_trailers { "te: trailers\r\n" } else { "" };
        format!("{} / HTTP/1.1\r\nhost: held\r\nconnection: {connection}\r\n{trailers}\r\n", self.method)
    }
}

/// Whether the field `name` lists `token`, in whatever case (RFC 9110 §5.6.1).
fn lists(headers: &HeaderMap, name: &header::HeaderName, token: &str) -> bool {
    let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|part| part.trim().eq_ignore_ascii_case(token))
}

/// What hyper asks for at least.
const BUFFER_MIN: usize = 8_192;

#[cfg(test)]
mod tests {
    use super::*;

    type Fields = [(&'static str, &'static str)];

    fn again(fields: &Fields) -> String {
        let mut request = Request::new(());
        *request.method_mut() = Method::HEAD;
        for (name, value) in fields {
            request.headers_mut().append(*name, value.parse().unwrap());
        }
        Again::of(&request).unwrap().to_head()
    }

    #[test]
    fn the_head_to_begin_again_with_frames_the_answer_alike() {
        let cases: [(&Fields, &str, &str); 6] = [
            (&[], "keep-alive", ""),
            (&[("connection", "x, Close")], "close", ""),
            (&[("connection", "x"), ("connection", "close")], "close", ""),
            (&[("connection", "closed")], "keep-alive", ""),
            (&[("te", "gzip, trailers")], "keep-alive", "te: trailers\r\n"),
            (&[("te", "gzip")], "keep-alive", ""),
        ];
        for (fields, connection, trailers) in cases {
            let head = format!("HEAD / HTTP/1.1\r\nhost: held\r\nconnection: {connection}\r\n{trailers}\r\n");
            assert_eq!(again(fields), head, "{fields:?}");
        }
    }
}
