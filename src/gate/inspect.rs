//! Reading the body of a call that somebody has to look at: a policy, or a person.

use bytes::Bytes;
use tokio::sync::Semaphore;

use crate::model::Body;
use crate::model::Call;
use crate::model::Message;
use crate::model::Refusal;
use crate::model::RefusalCode;
use crate::wire;
use crate::wire::Coding;

use super::admit::Gate;
use super::body::BodySource;
use super::body::Keep;

impl Gate {
    /// Reads the body for a policy to look at.
    pub(super) async fn inspect(&self, call: &Call, body: &mut impl BodySource) -> Result<Body, Refusal> {
        let coding = coding(call)?;
        let max = self.settings.load().inspect_bytes_max;
        let read = body.read(max).await?;
        self.decoded(read, coding, max).await
    }

    /// Reads the body for people to look at, and for as long as they take.
    pub(super) async fn keep(&self, call: &Call, body: &mut impl BodySource) -> Result<Body, Refusal> {
        let coding = coding(call)?;
        let settings = self.settings.load_full();
        let inspected = settings.inspect_bytes_max;
        let keep = Keep {
            memory_bytes_max: inspected,
            // What is decoded is in memory, before and after.
            bytes_max: if coding.is_some() { inspected } else { settings.hold_bytes_max },
            spool: std::sync::Arc::clone(&self.spool),
        };
        let read = body.keep(keep).await?;
        self.decoded(read, coding, inspected).await
    }

    /// The same body with its coding taken off, for those who look at it.
    async fn decoded(&self, body: Body, coding: Option<Coding>, bytes_max: u64) -> Result<Body, Refusal> {
        match (body, coding) {
            (Body::Read { bytes, trailers }, Some(coding)) => {
                let decoded = decode(&self.decoding, coding, bytes.clone(), bytes_max).await?;
                Ok(Body::Encoded { bytes, trailers, coding: coding.name(), decoded })
            }
            (body, _) => Ok(body),
        }
    }
}

/// The coding that its head says the body is in. Asked before the body is, so that nobody sends a
/// body that would be refused.
fn coding(call: &Call) -> Result<Option<Coding>, Refusal> {
    let Message::Http(request) = &call.message;
    if let Some(charset) = wire::strange_charset(&request.headers) {
        let detail = format!("the body is in `{charset}`, in which nobody here reads it; send it in UTF-8");
        return Err(Refusal::new(RefusalCode::UnsupportedCoding, detail));
    }
    Coding::of(&request.headers).map_err(|error| error.refusal())
}

async fn decode(decoding: &Semaphore, coding: Coding, bytes: Bytes, bytes_max: u64) -> Result<Bytes, Refusal> {
    let short = bytes.len() <= INLINE_BYTES_MAX;
    let work = move || coding.decode(&bytes, bytes_max).map_err(|error| error.refusal());
    if short {
        return work();
    }
    // It is never closed; if it were, nothing would be wrong but the order.
    let _turn = decoding.acquire().await;
    let lost = |_| Refusal::new(RefusalCode::Internal, "the body could not be decoded; nothing was sent");
    tokio::task::spawn_blocking(work).await.map_err(lost)?
}

/// What is decoded where it arrives, in a fraction of a millisecond; all else on a thread where no
/// other call waits for it.
const INLINE_BYTES_MAX: usize = 4 << 10;

/// How many longer bodies are decoded at once; each takes up to 16 MiB for its window, beside
/// what comes out. Further ones wait.
pub(super) const DECODING_MAX: usize = 16;
