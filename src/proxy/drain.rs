//! How connections end once the process is about to stop, without a call being lost on the way.
//!
//! A client may send its next request at the very moment at which we hang up, and then nobody can
//! tell it whether the request has been looked at. So nobody hangs up on a client that speaks: for
//! a moment calls are answered as ever, each answer says that it is the last on its connection, and
//! only a connection on which nothing has come for so long is closed from our side.

use std::time::Duration;

use http::HeaderValue;
use http::Response;
use http::StatusCode;
use http::Version;
use http::header::CONNECTION;
use tokio_util::sync::CancellationToken;

/// Waits until a connection without a call may be closed. One whose handshake ends after the drain
/// has begun gets the whole moment for its first request.
pub async fn unused(drain: &CancellationToken) {
    drain.cancelled().await;
    // On the heap, since every connection waits here and few ever come to this line.
    Box::pin(tokio::time::sleep(LINGER)).await;
}

/// Says, while draining, that this answer is the last one on its connection. HTTP/2 has GOAWAY for
/// that, and a connection that changes its protocol is none of ours.
pub(super) fn last_answer<B>(drain: &CancellationToken, response: &mut Response<B>, version: Version) {
    let http1 = version < Version::HTTP_2 && response.status() != StatusCode::SWITCHING_PROTOCOLS;
    if http1 && drain.is_cancelled() {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
}

/// Longer than a request takes from one end of the world to the other, TLS handshake included, and
/// short beside the time that a drain has.
const LINGER: Duration = Duration::from_secs(1);
