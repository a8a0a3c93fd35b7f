//! A WebSocket, once it is permitted: bytes flow both ways until one side ends or both are silent.

use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;

use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;

/// Joins the two sides. `idle` is how long both may be silent.
pub(super) async fn tunnel(downstream: OnUpgrade, upstream: OnUpgrade, idle: Duration) {
    let (downstream, upstream) = match tokio::try_join!(downstream, upstream) {
        Ok((downstream, upstream)) => (TokioIo::new(downstream), TokioIo::new(upstream)),
        Err(error) => {
            tracing::debug!(%error, "a WebSocket did not come about");
            return;
        }
    };
    let alive = Arc::new(AtomicBool::new(true));
    let (mut from_agent, mut to_agent) = tokio::io::split(downstream);
    let (mut from_upstream, mut to_upstream) = tokio::io::split(upstream);
    let up = copy(&mut from_agent, &mut to_upstream, &alive);
    let down = copy(&mut from_upstream, &mut to_agent, &alive);
    let ended = tokio::select! {
        ended = async { tokio::try_join!(up, down) } => ended.map(drop),
        () = silence(&alive, idle) => Err(io::ErrorKind::TimedOut.into()),
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a WebSocket ended");
    }
}

async fn copy(
    from: &mut (impl AsyncReadExt + Unpin),
    to: &mut (impl AsyncWriteExt + Unpin),
    alive: &AtomicBool,
) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        let count = from.read(&mut buffer).await?;
        let Some(bytes) = buffer.get(..count).filter(|bytes| !bytes.is_empty()) else {
            return to.shutdown().await;
        };
        alive.store(true, Ordering::Relaxed);
        to.write_all(bytes).await?;
    }
}

/// Ends once nothing has come for `idle`, give or take as much again.
async fn silence(alive: &AtomicBool, idle: Duration) {
    let mut every = tokio::time::interval(idle);
    every.tick().await;
    loop {
        every.tick().await;
        if !alive.swap(false, Ordering::Relaxed) {
            return;
        }
    }
}

const BUFFER_BYTES: usize = 8 * 1024;
