//! Events of the server, followed for as long as it takes.

use std::time::Duration;

use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::review::api::EventView;

use super::client::Client;
use super::failure::Exit;
use super::failure::Failure;
use super::sse::Parser;

/// What the feed tells.
#[derive(Debug)]
pub(super) enum Told {
    /// Events come from now on; what came before may have been missed.
    Connected,
    /// Something has happened.
    Event(EventView),
    /// The connection is gone, and will be made again.
    Lost(String),
    /// It cannot be made, or not be made again.
    Failed(Failure),
}

/// A task that follows the events. Dropping it ends the task.
pub(super) struct Feed {
    told: mpsc::Receiver<Told>,
    task: JoinHandle<()>,
}

impl Feed {
    pub(super) fn start(client: Client) -> Self {
        let (sender, told) = mpsc::channel(64);
        let task = tokio::spawn(async move {
            // An error means that nobody listens any more.
            follow(&client, &sender).await.ok();
        });
        Self { told, task }
    }

    /// What comes next; `None` after [`Told::Failed`]. Cancel safe.
    pub(super) async fn next(&mut self) -> Option<Told> {
        self.told.recv().await
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn follow(client: &Client, told: &mpsc::Sender<Told>) -> Result<(), mpsc::error::SendError<Told>> {
    let mut last: Option<String> = None;
    let mut ever = false;
    let mut wait = WAIT_FIRST;
    loop {
        let lost = match client.events(last.as_deref()).await {
            Ok(body) => {
                ever = true;
                wait = WAIT_FIRST;
                told.send(Told::Connected).await?;
                read(body, &mut last, told).await?
            }
            // Nothing to try again: it never worked, or will not work again with this token.
            Err(failure) if !ever || failure.exit == Exit::NotPermitted => {
                return told.send(Told::Failed(failure)).await;
            }
            Err(failure) => failure.message,
        };
        told.send(Told::Lost(lost)).await?;
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(WAIT_MAX);
    }
}

/// Reads a stream to its end, and says why that came.
async fn read(
    mut body: Incoming,
    last: &mut Option<String>,
    told: &mpsc::Sender<Told>,
) -> Result<String, mpsc::error::SendError<Told>> {
    let mut parser = Parser::default();
    loop {
        let frame = match tokio::time::timeout(SILENCE_MAX, body.frame()).await {
            Ok(Some(Ok(frame))) => frame,
            Ok(Some(Err(error))) => return Ok(format!("the connection broke off: {error}")),
            Ok(None) => return Ok("the server has ended the stream".to_owned()),
            Err(_) => return Ok(format!("the server has been silent for {} s", SILENCE_MAX.as_secs())),
        };
        let Some(bytes) = frame.data_ref() else { continue };
        let Ok(events) = parser.read(bytes) else { return Ok("the server sent an event without end".to_owned()) };
        for event in events {
            if let Ok(view) = serde_json::from_str::<EventView>(&event.data) {
                told.send(Told::Event(view)).await?;
            }
            last.clone_from(&event.id);
        }
    }
}

const WAIT_FIRST: Duration = Duration::from_millis(500);
const WAIT_MAX: Duration = Duration::from_secs(10);

/// Three heartbeats of the server.
const SILENCE_MAX: Duration = Duration::from_secs(45);
