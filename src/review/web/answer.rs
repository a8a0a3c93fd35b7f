//! What the forms of the decision page do. All of it ends in the functions that the API uses.

use axum::extract::FromRequest;
use axum::extract::Request;
use axum::extract::State as Extract;
use axum::response::IntoResponse;
use axum::response::Redirect;
use axum::response::Response;

use crate::approval::Channel;
use crate::approval::Verdict;
use crate::model::ApprovalId;
use crate::model::CallDigest;
use crate::model::PIECE_BYTES;
use crate::review::Admin;
use crate::review::decide;
use crate::review::decide::Said;
use crate::review::query;
use crate::review::query::Id;
use crate::review::refused::Code;
use crate::review::refused::Refused;

use super::decision;
use super::form::Form;
use super::guard::Visitor;
use super::page;

/// `POST /a/{id}`.
pub(super) async fn decide(
    Extract(admin): Extract<Admin>,
    visitor: Visitor,
    id: Result<Id, Refused>,
    request: Request,
) -> Response {
    let id = match id {
        Ok(Id(id)) => id,
        Err(refused) => return page::problem(Some(&visitor), &refused),
    };
    let form = match Form::from_request(request, &admin).await {
        Ok(form) => form,
        Err(refused) => return refused,
    };
    match take(&admin, &visitor, id, &form).await {
        // Asked for anew, so that going back and forth in the browser decides nothing.
        Ok(()) => Redirect::to(&format!("/a/{id}?done")).into_response(),
        Err(why) => decision::again(&admin, &visitor, id, &why, form.text("reason").to_owned()).await,
    }
}

async fn take(admin: &Admin, visitor: &Visitor, id: ApprovalId, form: &Form) -> Result<(), Refused> {
    if !visitor.session.made(form.text("csrf")) {
        let detail =
            "the page was made for another session, such as the one before you signed in again; nothing was changed";
        return Err(Refused::new(Code::StaleForm, detail));
    }
    let reason = form.words("reason");
    let verdict = match form.text("verdict") {
        "approve" => Verdict::Approve,
        "deny" => Verdict::Deny,
        "ask" => Verdict::Ask,
        "withdraw" => Verdict::Withdraw,
        "answer" => return decide::say(admin, &visitor.person, id, reason.unwrap_or_default()).await.map(drop),
        other => {
            let detail = format!("the form says `{}`, which is no verdict", query::short(other));
            return Err(Refused::new(Code::BadRequest, detail));
        }
    };
    let digest: CallDigest = form.text("digest").parse().map_err(|error| {
        Refused::new(Code::BadRequest, format!("the form does not say which call it is about: {error}"))
    })?;
    if verdict == Verdict::Approve {
        check_looked_at(admin, visitor, id, digest, form.text("confirm")).await?;
    }
    let said = Said { verdict, digest: Some(digest), reason, channel: Channel::Web };
    let now = admin.state.clock.now();
    let shown = admin.sessions.looks_at(visitor.session.key, id, now);
    decide::perform(admin, &visitor.person, id, said).await?;
    if matches!(verdict, Verdict::Approve | Verdict::Deny) {
        admin.state.metrics.dwelt(shown.map(|shown| now.since(shown)));
    }
    Ok(())
}

/// What this surface asks for before an approval, beside the rules that all have: that the whole
/// body was shown, and, where a slip cannot be taken back, the digest in the reviewer's own hand.
async fn check_looked_at(
    admin: &Admin,
    visitor: &Visitor,
    id: ApprovalId,
    digest: CallDigest,
    confirm: &str,
) -> Result<(), Refused> {
    let approval = decide::read(admin, id).await?;
    // The rules that all surfaces have come first: what they say is more use to the reviewer.
    if !approval.state.is_open() || approval.digest != digest {
        return Ok(());
    }
    if approval.may_review(&visitor.person, &admin.state.approvals.people()).is_err() {
        return Ok(());
    }
    if let Some(bytes) = admin.state.approvals.request(id).await?.and_then(|request| request.long_bytes()) {
        let parts = bytes.div_ceil(PIECE_BYTES as u64);
        let read = admin.sessions.given(visitor.session.key, id, parts, admin.state.clock.now());
        if read < parts {
            let detail =
                format!("{read} of the {parts} parts of the body were shown to you; read or download all of it first");
            return Err(Refused::new(Code::BodyUnread, detail));
        }
    }
    let typed = confirm.trim().to_ascii_lowercase();
    if decision::needs_confirmation(&approval) && (typed.len() < 4 || !digest.to_hex().starts_with(&typed)) {
        let detail = format!(
            "this cannot be taken back; type the first four digits of the digest `{}` and approve again",
            digest.short()
        );
        return Err(Refused::new(Code::NotConfirmed, detail));
    }
    Ok(())
}
