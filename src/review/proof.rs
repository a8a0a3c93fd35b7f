//! `GET /v1/approvals/{id}/proof`: that what happened to an approval is in the audit log.

use axum::extract::State as Extract;
use axum::http::HeaderValue;
use axum::http::Uri;
use axum::http::header;
use axum::response::IntoResponse;
use axum::response::Response;

use crate::audit;
use crate::model::ApprovalId;
use crate::model::Timestamp;

use super::Admin;
use super::api::Problem;
use super::auth::Reviewer;
use super::query;
use super::query::Id;
use super::query::bad;
use super::refused::Code;
use super::refused::Refused;

/// Proves that an event of this approval is in the audit log (C2SP tlog-proof).
///
/// Whoever has the pinned verifier key checks it with `holdpoint audit verify --proof`, without the
/// log. The last event commits to those before it.
#[utoipa::path(
    get,
    path = "/v1/approvals/{id}/proof",
    operation_id = "proveApproval",
    tag = "audit",
    params(
        ("id" = String, Path, description = "The approval."),
        ("event" = Option<u64>, Query, description = "The `seq` of one of its events; the last one if not said."),
    ),
    responses(
        (status = 200, description = "The proof.", body = String, content_type = "text/plain"),
        (status = 400, description = "The path names no approval, or the query is not understood.", body = Problem, content_type = "application/problem+json"),
        (status = 401, description = "Who is asking is not known.", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "There is no such approval, or it has no such event.", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "No checkpoint covers the event yet; ask again in a second.", body = Problem, content_type = "application/problem+json"),
    ),
    security(("token" = []))
)]
pub(super) async fn proof(
    Extract(admin): Extract<Admin>,
    _reviewer: Reviewer,
    Id(id): Id,
    uri: Uri,
) -> Result<Response, Refused> {
    let wanted = query::pairs(&uri, &["event"])?.into_iter().next_back();
    let wanted = wanted.map(|(_, text)| {
        let seq = text.parse::<u64>();
        seq.map_err(|_| bad(format!("`event` is `{}`; it is the `seq` of an event", query::short(&text))))
    });
    let wanted = wanted.transpose()?;
    let events = admin.state.approvals.events_after(0, Some(id)).await?;
    if events.is_empty() {
        return Err(Refused::no_approval(id));
    }
    let event = match wanted {
        None => events.last(),
        Some(seq) => events.iter().find(|event| event.seq == seq),
    };
    let event = event.ok_or_else(|| Refused::new(Code::NotFound, format!("approval `{id}` has no such event")))?;
    let (kind, at, folder) = (event.kind.clone(), event.at, admin.state.log.path().to_owned());
    let proof = tokio::task::spawn_blocking(move || prove(&folder, id, &kind, at)).await;
    let proof = proof.map_err(|_| Refused::new(Code::Internal, "the audit log could not be searched"))??;
    let mut response = proof.into_response();
    let name = format!("attachment; filename=\"{id}.{}.tlog-proof\"", event.seq);
    let fields = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8")),
        (header::CONTENT_DISPOSITION, HeaderValue::try_from(name).expect("ids and numbers are ASCII")),
    ];
    response.headers_mut().extend(fields);
    Ok(response)
}

fn prove(folder: &std::path::Path, id: ApprovalId, kind: &str, at: Timestamp) -> Result<String, Refused> {
    let unreadable = |error: &dyn std::error::Error| {
        tracing::error!(%error, "the audit log cannot be read for a proof");
        Refused::new(Code::AuditUnavailable, "the audit log cannot be read right now; this process's log says more")
    };
    let place = audit::place_of(folder, id, kind, at).map_err(|error| unreadable(&error))?;
    let not_yet = || Refused::new(Code::NotReady, "no checkpoint covers this event yet; ask again in a second");
    match audit::prove(folder, place.ok_or_else(not_yet)?) {
        Ok(proof) => Ok(proof.to_string()),
        Err(audit::ProveError::NotCovered { .. } | audit::ProveError::NoCheckpoint(_)) => Err(not_yet()),
        Err(error) => Err(unreadable(&error)),
    }
}
