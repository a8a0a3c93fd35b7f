//! `Idempotency-Key`: a request that is sent again gets the answer of the first one.
//!
//! As in the IETF's draft (draft-ietf-httpapi-idempotency-key-header-07): a key belongs to one
//! person and one request, for a day. Answers are kept in memory: after a restart the request runs
//! again, which changes nothing either, since whoever says the same twice has said it once.

use std::collections::HashMap;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::body::Bytes;
use axum::extract::FromRequestParts;
use axum::extract::Request;
use axum::extract::State as Extract;
use axum::http::HeaderMap;
use axum::http::HeaderName;
use axum::http::HeaderValue;
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::IntoResponse;
use axum::response::Response;
use http_body_util::BodyExt;
use parking_lot::Mutex;

use crate::model::CanonicalHasher;
use crate::model::PersonId;
use crate::model::Sha256;
use crate::model::Timestamp;

use super::Admin;
use super::auth::Reviewer;
use super::body;
use super::query::bad;
use super::refused::Code;
use super::refused::Refused;

/// The answers that are kept.
#[derive(Debug, Default)]
pub(super) struct Answers(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    answers: HashMap<Key, Entry>,
    /// The keys in the order of their first use.
    order: VecDeque<(Timestamp, Key)>,
    bytes: usize,
}

type Key = (PersonId, String);

#[derive(Clone, Debug)]
struct Entry {
    /// The request that the key belongs to.
    request: Sha256,
    /// `None` while it is under way.
    answer: Option<Answer>,
}

#[derive(Clone, Debug)]
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

/// A request that is under way. Unless it is answered, its key is free again.
struct UnderWay {
    answers: Arc<Answers>,
    key: Option<Key>,
}

impl Answers {
    /// The answer that was given before; `None` if the request is to be carried out now.
    fn begin(self: &Arc<Self>, key: Key, request: Sha256, now: Timestamp) -> Result<Result<UnderWay, Answer>, Refused> {
        let mut kept = self.0.lock();
        kept.forget(now);
        match kept.answers.get(&key) {
            None => {
                kept.answers.insert(key.clone(), Entry { request, answer: None });
                kept.order.push_back((now, key.clone()));
                Ok(Ok(UnderWay { answers: Arc::clone(self), key: Some(key) }))
            }
            Some(entry) if entry.request != request => Err(Refused::new(
                Code::KeyReused,
                "this `Idempotency-Key` was sent with another request; draw a new one for each request",
            )),
            Some(Entry { answer: Some(answer), .. }) => Ok(Err(answer.clone())),
            Some(Entry { answer: None, .. }) => Err(Refused::new(
                Code::InFlight,
                "the first request with this `Idempotency-Key` is still under way; ask again in a moment",
            )),
        }
    }
}

impl Kept {
    fn forget(&mut self, now: Timestamp) {
        while let Some((since, key)) = self.order.front() {
            let old = now.since(*since) >= KEPT_FOR;
            if !old && self.order.len() < ANSWERS_MAX && self.bytes < BYTES_MAX {
                return;
            }
            // What is under way is not forgotten: it would run twice.
            if self.answers.get(key).is_some_and(|entry| entry.answer.is_none()) {
                return;
            }
            let Some((_, key)) = self.order.pop_front() else { return };
            let entry = self.answers.remove(&key);
            self.bytes -= entry.and_then(|entry| entry.answer).map_or(0, |answer| answer.body.len());
        }
    }
}

impl UnderWay {
    fn answered(mut self, answer: &Answer) {
        let Some(key) = self.key.take() else { return };
        let mut kept = self.answers.0.lock();
        if let Some(entry) = kept.answers.get_mut(&key) {
            entry.answer = Some(answer.clone());
            kept.bytes += answer.body.len();
        }
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        if let Some(key) = self.key.take() {
            let mut kept = self.answers.0.lock();
            kept.answers.remove(&key);
            kept.order.retain(|(_, other)| *other != key);
        }
    }
}

/// Answers a request as the first one with its key was answered, if there was one.
pub(super) async fn once(Extract(admin): Extract<Admin>, request: Request, next: Next) -> Response {
    let key = match key(request.headers()) {
        Ok(Some(key)) => key,
        Ok(None) => return next.run(request).await,
        Err(refused) => return refused.into_response(),
    };
    let (mut parts, body) = request.into_parts();
    let reviewer = match Reviewer::from_request_parts(&mut parts, &admin).await {
        Ok(reviewer) => reviewer,
        Err(refused) => return refused.into_response(),
    };
    let bytes = match body::read(body, &admin.state.settings).await {
        Ok(bytes) => bytes,
        Err(refused) => return refused.into_response(),
    };
    let mut hasher = CanonicalHasher::new("holdpoint/idempotent/v1");
    let target = parts.uri.path_and_query().map_or("", |target| target.as_str());
    let fields =
        ["content-type", "if-match"].map(|name| parts.headers.get(name).map_or(&b""[..], HeaderValue::as_bytes));
    for part in [parts.method.as_str().as_bytes(), target.as_bytes(), fields[0], fields[1], &bytes[..]] {
        hasher.field(part);
    }
    let begun = admin.answers.begin((reviewer.person, key), hasher.finish(), admin.state.clock.now());
    let under_way = match begun {
        Ok(Ok(under_way)) => under_way,
        Ok(Err(answer)) => return replay(answer),
        Err(refused) => return refused.into_response(),
    };
    let (parts, body) = next.run(Request::from_parts(parts, Body::from(bytes))).await.into_parts();
    // Our own answers: whole, and as long as an approval.
    let Ok(body) = body.collect().await.map(http_body_util::Collected::to_bytes) else {
        return Refused::new(Code::Internal, "the answer could not be read").into_response();
    };
    let answer = Answer { status: parts.status, headers: parts.headers.clone(), body: body.clone() };
    // A failure of ours may be another time's success.
    if !parts.status.is_server_error() {
        under_way.answered(&answer);
    }
    Response::from_parts(parts, Body::from(body))
}

fn replay(answer: Answer) -> Response {
    let mut response = (answer.status, answer.body).into_response();
    *response.headers_mut() = answer.headers;
    response.headers_mut().insert(HeaderName::from_static("idempotency-replayed"), HeaderValue::from_static("true"));
    response
}

/// The key, as a String (RFC 9651 §3.3.3) or bare.
fn key(headers: &HeaderMap) -> Result<Option<String>, Refused> {
    let mut values = headers.get_all("idempotency-key").iter();
    let Some(value) = values.next() else { return Ok(None) };
    let text = value.to_str().unwrap_or_default().trim();
    let bare = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text);
    let valid = (1..=KEY_BYTES_MAX).contains(&bare.len()) && bare.bytes().all(|byte| byte.is_ascii_graphic());
    if !valid || values.next().is_some() {
        return Err(bad(format!(
            "`Idempotency-Key` has to be one text of 1 to {KEY_BYTES_MAX} ASCII characters without spaces, such as a UUID"
        )));
    }
    Ok(Some(bare.to_owned()))
}

const KEPT_FOR: Duration = Duration::from_secs(24 * 60 * 60);
/// The longest key.
const KEY_BYTES_MAX: usize = 255;
/// Answers that are kept, and how many bytes they have together. The oldest go first.
const ANSWERS_MAX: usize = 10_000;
const BYTES_MAX: usize = 32 << 20;
