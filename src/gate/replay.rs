//! Answers to approved calls, kept for a moment: a retry whose earlier attempt has run, but whose
//! caller never got the answer, is given that answer instead of a second run (DESIGN 5).
//!
//! In memory only. After a restart, or for an answer that was too long to keep, the retry is told
//! that its call has run.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use bytes::BytesMut;
use http::HeaderMap;
use http::StatusCode;
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::watch;

use crate::model::ApprovalId;

/// An answer as it was passed on, without the fields that are ours.
#[derive(Clone, Debug)]
pub struct Kept {
    /// The approval under which the call ran.
    pub approval: ApprovalId,
    /// The upstream's status.
    pub status: StatusCode,
    /// Its end-to-end fields.
    pub headers: HeaderMap,
    /// Its whole body.
    pub body: Bytes,
}

/// Where an answer stands that may be kept.
#[derive(Clone, Debug)]
enum Progress {
    /// The call runs, or its answer is under way.
    Arriving,
    /// All of it is here.
    Kept(Arc<Kept>),
    /// It will never be: it was too long, or did not come.
    Lost,
}

/// The answers that are kept.
#[derive(Debug, Default)]
pub(super) struct Replays(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    answers: Mutex<HashMap<ApprovalId, watch::Receiver<Progress>>>,
    bytes: AtomicUsize,
}

impl Replays {
    /// The call that `id` is about is about to run; its answer will be kept `replay_for` so long.
    pub(super) fn begin(&self, id: ApprovalId, replay_for: Duration) -> Option<Recording> {
        if replay_for.is_zero() {
            return None;
        }
        let (progress, receiver) = watch::channel(Progress::Arriving);
        self.0.answers.lock().insert(id, receiver);
        let inner = Arc::clone(&self.0);
        Some(Recording { inner, id, replay_for, progress, head: None, body: BytesMut::new(), over: false })
    }

    /// The answer under `id`, once all of it is here; `None` if it was not kept.
    pub(super) async fn kept(&self, id: ApprovalId) -> Option<Arc<Kept>> {
        let mut progress = self.0.answers.lock().get(&id).cloned()?;
        let over = progress.wait_for(|progress| !matches!(progress, Progress::Arriving)).await.ok()?;
        match &*over {
            Progress::Kept(kept) => Some(Arc::clone(kept)),
            Progress::Arriving | Progress::Lost => None,
        }
    }
}

/// One answer on its way, as far as it has come. Dropped before it is complete, it is not kept.
#[derive(Debug)]
pub struct Recording {
    inner: Arc<Inner>,
    id: ApprovalId,
    replay_for: Duration,
    progress: watch::Sender<Progress>,
    head: Option<(StatusCode, HeaderMap)>,
    body: BytesMut,
    over: bool,
}

impl Recording {
    /// The answer has begun.
    pub fn head(&mut self, status: StatusCode, headers: &HeaderMap) {
        self.head = Some((status, headers.clone()));
    }

    /// A piece of its body. One that is too long, for itself or with all others, is not kept; then
    /// the answer is false.
    pub fn push(&mut self, data: &Bytes) -> bool {
        if self.over {
            return false;
        }
        let taken = self.inner.bytes.fetch_add(data.len(), Ordering::Relaxed);
        self.body.extend_from_slice(data);
        if self.body.len() > ANSWER_BYTES_MAX || taken + data.len() > ANSWERS_BYTES_MAX {
            self.lose();
        }
        !self.over
    }

    /// Its end has come: it is kept from now on.
    pub fn finish(&mut self) {
        let Some((status, headers)) = self.head.take().filter(|_| !self.over) else { return };
        self.over = true;
        let body = std::mem::take(&mut self.body).freeze();
        let (inner, id, replay_for, bytes) = (Arc::clone(&self.inner), self.id, self.replay_for, body.len());
        let kept = Kept { approval: id, status, headers, body };
        // Somebody may wait for it or not.
        self.progress.send_replace(Progress::Kept(Arc::new(kept)));
        let forget = async move {
            tokio::time::sleep(replay_for).await;
            inner.answers.lock().remove(&id);
            inner.bytes.fetch_sub(bytes, Ordering::Relaxed);
        };
        match Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn(forget)),
            // Only where everything ends at this moment.
            Err(_) => drop(self.inner.answers.lock().remove(&self.id)),
        }
    }

    /// It cannot be kept.
    pub fn lose(&mut self) {
        if std::mem::replace(&mut self.over, true) {
            return;
        }
        self.inner.bytes.fetch_sub(self.body.len(), Ordering::Relaxed);
        self.body = BytesMut::new();
        self.inner.answers.lock().remove(&self.id);
        self.progress.send_replace(Progress::Lost);
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        self.lose();
    }
}

/// The longest body that is kept. Answers to calls that people approve one by one are short.
const ANSWER_BYTES_MAX: usize = 1024 * 1024;

/// All bodies that are kept, together.
const ANSWERS_BYTES_MAX: usize = 64 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;
    use crate::model::IdSource;
    use crate::model::Timestamp;

    fn id() -> ApprovalId {
        ApprovalId::new(&IdSource::new([7; 10]), Timestamp::from_unix_micros(1_795_238_219_000_000))
    }

    const MINUTE: Duration = Duration::from_secs(60);

    #[tokio::test(start_paused = true)]
    async fn an_answer_is_given_again_for_as_long_as_it_is_kept() {
        let (replays, id) = (Replays::default(), id());
        let mut recording = replays.begin(id, MINUTE).unwrap();
        let headers = HeaderMap::from_iter([(http::header::ETAG, HeaderValue::from_static("\"1\""))]);
        recording.head(StatusCode::CREATED, &headers);
        assert!(recording.push(&Bytes::from_static(b"one, ")));
        let waiting = replays.kept(id);
        assert!(recording.push(&Bytes::from_static(b"two")));
        recording.finish();
        drop(recording);
        let kept = waiting.await.unwrap();
        assert_eq!((kept.status, &kept.headers, &kept.body[..]), (StatusCode::CREATED, &headers, &b"one, two"[..]));
        tokio::time::sleep(MINUTE - Duration::from_secs(1)).await;
        assert!(replays.kept(id).await.is_some());
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert!(replays.kept(id).await.is_none());
        assert_eq!(replays.0.bytes.load(Ordering::Relaxed), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn what_breaks_off_or_is_too_long_is_not_kept() {
        let (replays, id) = (Replays::default(), id());
        let mut recording = replays.begin(id, MINUTE).unwrap();
        recording.head(StatusCode::OK, &HeaderMap::new());
        assert!(recording.push(&Bytes::from_static(b"half")));
        let waiting = replays.kept(id);
        drop(recording);
        assert!(waiting.await.is_none());
        let mut recording = replays.begin(id, MINUTE).unwrap();
        recording.head(StatusCode::OK, &HeaderMap::new());
        let piece = Bytes::from(vec![b'x'; ANSWER_BYTES_MAX / 16]);
        assert!((0..16).all(|_| recording.push(&piece)));
        assert!(!recording.push(&piece));
        recording.finish();
        assert!(replays.kept(id).await.is_none());
        assert_eq!(replays.0.bytes.load(Ordering::Relaxed), 0);
        assert!(replays.begin(id, Duration::ZERO).is_none());
    }
}
