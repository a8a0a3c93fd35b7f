//! Bodies too long to stand in the request that reviewers are shown: stored whole with the record,
//! and read whole, for as long as the approval is not over.
//!
//! What the gate keeps of a held body is gone with its process or its caller, and a reviewer can
//! approve only where the whole call can be read. So a long body goes into the store as well,
//! before the record that it belongs to: nobody ever sees an approval without its body. What is
//! read back is compared with the hash that the record's signature covers, and its end is given
//! away only if that is right.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;

use crate::model::ApprovalId;
use crate::model::BodyReader;
use crate::model::KeptBody;
use crate::model::PIECE_BYTES;
use crate::model::Sha256;
use crate::model::Sha256Hasher;

use super::error::ApprovalError;
use super::record::ShownRequest;
use super::service::Approvals;
use super::store::BodyPiece;
use super::store::How;
use super::store::Opened;
use super::store::Opening;

impl Approvals {
    /// Stores an opening, and its body first where there is no record to join.
    pub(super) async fn store_opening(
        &self,
        id: ApprovalId,
        opening: impl Fn() -> Opening,
        body: Option<Arc<dyn KeptBody>>,
    ) -> Result<Opened, ApprovalError> {
        // Asked first: whoever joins, or may not ask at all, has nothing to store.
        let first = self.0.store.open(opening()).await;
        let (Err(ApprovalError::BodyNotStored(_)), Some(body)) = (&first, body) else { return first };
        let opened = match self.store_body(id, body).await {
            Ok(()) => self.0.store.open(opening()).await,
            Err(error) => Err(error),
        };
        if !matches!(&opened, Ok(Opened { how: How::New, .. }))
            && let Err(error) = self.0.store.drop_body(id).await
        {
            tracing::warn!(approval.id = %id, %error, "a body without an approval stays until the next start");
        }
        opened
    }

    async fn store_body(&self, id: ApprovalId, body: Arc<dyn KeptBody>) -> Result<(), ApprovalError> {
        let (total, bytes_total_max) = (body.bytes(), self.0.settings.load().stored_bytes_total_max);
        let (mut reader, mut number) = (BodyReader::new(body), 0);
        loop {
            let read = tokio::task::spawn_blocking(move || (reader.next_piece(), reader)).await;
            let (piece, next) = read.map_err(|error| ApprovalError::Store(error.to_string()))?;
            let piece = piece.map_err(|error| ApprovalError::Store(error.to_string()))?;
            let Some(bytes) = piece else { return Ok(()) };
            self.0.store.put_body(BodyPiece { id, number, bytes, total, bytes_total_max }).await?;
            (reader, number) = (next, number + 1);
        }
    }

    /// Whether the body of `request` can be read whole now.
    ///
    /// # Errors
    /// [`ApprovalError::Store`].
    pub async fn is_complete(&self, id: ApprovalId, request: &ShownRequest) -> Result<bool, ApprovalError> {
        match request.long_bytes() {
            None => Ok(true),
            Some(bytes) => Ok(self.0.store.body_bytes(id).await? == bytes),
        }
    }

    /// The whole body that a record is about, as people read it: without its content coding.
    ///
    /// # Errors
    /// [`ApprovalError::BodyGone`] if it is not kept any more, and those of [`Self::request`].
    pub async fn body(&self, id: ApprovalId) -> Result<Option<ReviewBody>, ApprovalError> {
        let Some(request) = self.request(id).await? else { return Ok(None) };
        if !self.is_complete(id, &request).await? {
            return Err(ApprovalError::BodyGone(id));
        }
        let (bytes, sha256) = request.readable();
        let rest = match (request.long_bytes(), request.body_text, request.body_base64) {
            (Some(_), ..) => Rest::Stored { number: 0, hasher: Some(Sha256Hasher::new()), left: bytes },
            (None, Some(text), _) => Rest::Here(text.into()),
            // It stands in a request whose hash was checked, so it is what we wrote.
            (None, None, base64) => Rest::Here(STANDARD.decode(base64.unwrap_or_default()).unwrap_or_default().into()),
        };
        Ok(Some(ReviewBody { approvals: self.clone(), id, bytes, sha256, rest }))
    }

    /// Nobody approves what they cannot have read: the whole body must be there, and be the one that
    /// was held. A long one is read through, since it can be altered where it is kept.
    pub(super) async fn check_readable(&self, id: ApprovalId) -> Result<(), ApprovalError> {
        let Some(approval) = self.0.store.read(id).await?.filter(|approval| approval.state.is_open()) else {
            // The reason why it cannot be approved is another one.
            return Ok(());
        };
        let read = self.read_through(approval.id).await;
        if !matches!(read, Err(ApprovalError::BodyGone(_))) {
            return read;
        }
        // Settled meanwhile, or lost.
        let settled = self.0.store.read(id).await?.is_some_and(|approval| approval.state.is_over());
        if settled { Ok(()) } else { read }
    }

    async fn read_through(&self, id: ApprovalId) -> Result<(), ApprovalError> {
        let mut body = self.body(id).await?.ok_or(ApprovalError::BodyGone(id))?;
        while body.next_piece().await?.is_some() {}
        Ok(())
    }
}

/// A body as people read it, piece by piece.
#[derive(Debug)]
pub struct ReviewBody {
    approvals: Approvals,
    id: ApprovalId,
    bytes: u64,
    sha256: Sha256,
    rest: Rest,
}

/// What was not read yet.
#[derive(Debug)]
enum Rest {
    Here(Bytes),
    Stored { number: u64, hasher: Option<Sha256Hasher>, left: u64 },
}

impl ReviewBody {
    /// How many bytes it has.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The hash of all of them.
    pub fn sha256(&self) -> Sha256 {
        self.sha256
    }

    /// The next piece; `None` behind the last one.
    ///
    /// # Errors
    /// [`ApprovalError::BodyGone`] if it was removed meanwhile, [`ApprovalError::Forged`] instead
    /// of the last piece of another body, and [`ApprovalError::Store`].
    pub async fn next_piece(&mut self) -> Result<Option<Bytes>, ApprovalError> {
        let id = self.id;
        let (number, hasher, left) = match &mut self.rest {
            Rest::Here(bytes) => return Ok(Some(std::mem::take(bytes)).filter(|bytes| !bytes.is_empty())),
            Rest::Stored { left: 0, .. } => return Ok(None),
            Rest::Stored { number, hasher, left } => (number, hasher, left),
        };
        let piece = self.approvals.0.store.body_piece(id, *number).await?.ok_or(ApprovalError::BodyGone(id))?;
        // It is taken away by any error: then there is nothing more to read.
        let mut adding = hasher.take().ok_or(ApprovalError::BodyGone(id))?;
        adding.update(&piece);
        if piece.len() as u64 != (*left).min(PIECE_BYTES as u64) {
            return Err(self.approvals.forged(id));
        }
        let more = *left - piece.len() as u64;
        if more > 0 {
            *hasher = Some(adding);
        } else if adding.finish() != self.sha256 {
            return Err(self.approvals.forged(id));
        }
        *number += 1;
        *left = more;
        Ok(Some(piece))
    }
}
