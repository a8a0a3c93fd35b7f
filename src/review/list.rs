//! `GET /v1/approvals`: pages of approvals, newest first.

use axum::Json;
use axum::extract::State as Extract;
use axum::http::HeaderValue;
use axum::http::Uri;
use axum::http::header::LINK;
use axum::response::IntoResponse;
use axum::response::Response;

use crate::approval::Approval;
use crate::approval::store::Query;
use crate::model::ApprovalId;

use super::Admin;
use super::api::Page;
use super::api::Problem;
use super::auth::Reviewer;
use super::query::LIMIT_MAX;
use super::query::ListQuery;
use super::refused::Refused;
use super::view;
use super::view::Viewer;

/// Lists approvals, newest first.
#[utoipa::path(
    get,
    path = "/v1/approvals",
    operation_id = "listApprovals",
    tag = "approvals",
    params(
        ("state" = Option<Vec<String>>, Query, description = "Only those in one of these states. Several are separated by commas, or the parameter is repeated."),
        ("principal" = Option<String>, Query, description = "Only those of this agent."),
        ("upstream" = Option<String>, Query, description = "Only those to this upstream."),
        ("mine" = Option<String>, Query, description = "`review`: only those that you may review now."),
        ("limit" = Option<u32>, Query, description = "How many at most, 1 to 200; 50 if not said.", minimum = 1, maximum = 200),
        ("after" = Option<String>, Query, description = "Only those older than this one: the `next` of the page before."),
    ),
    responses(
        (status = 200, description = "One page. `Link` with `rel=\"next\"` leads to the next one.", body = Page),
        (status = 400, description = "The query is not understood.", body = Problem, content_type = "application/problem+json"),
        (status = 401, description = "Who is asking is not known.", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "Approvals cannot be read right now.", body = Problem, content_type = "application/problem+json"),
    ),
    security(("token" = []))
)]
pub(super) async fn list(
    Extract(admin): Extract<Admin>,
    reviewer: Reviewer,
    uri: Uri,
    query: ListQuery,
) -> Result<Response, Refused> {
    let people = admin.state.approvals.people();
    let viewer = Viewer { person: &reviewer.person, people: &people, now: admin.state.clock.now() };
    let (approvals, next) =
        if query.mine { find_mine(&admin, &query, viewer).await? } else { page(&admin, &query).await? };
    let items = approvals.iter().map(|approval| view::item(approval, viewer)).collect();
    let mut response = Json(Page { items, next: next.map(|id| id.to_string()) }).into_response();
    if let Some(link) = next.and_then(|id| HeaderValue::try_from(link(&uri, id)).ok()) {
        response.headers_mut().insert(LINK, link);
    }
    Ok(response)
}

async fn page(admin: &Admin, query: &ListQuery) -> Result<(Vec<Approval>, Option<ApprovalId>), Refused> {
    let mut approvals = admin.state.approvals.list(Query { limit: query.limit + 1, ..query.stored() }).await?;
    let more = approvals.len() > query.limit;
    approvals.truncate(query.limit);
    let next = approvals.last().filter(|_| more).map(|last| last.id);
    Ok((approvals, next))
}

async fn find_mine(
    admin: &Admin,
    query: &ListQuery,
    viewer: Viewer<'_>,
) -> Result<(Vec<Approval>, Option<ApprovalId>), Refused> {
    if !query.states.is_empty() && !query.states.iter().any(|state| state == "pending") {
        return Ok((Vec::new(), None));
    }
    let pending = Query { states: vec!["pending".to_owned()], ..query.stored() };
    find(admin, &pending, query.limit, |approval| view::why_not(approval, viewer).is_none()).await
}

/// Goes through what `query` finds, newest first, until there are `limit` that `wanted` takes.
/// Answers with what to go on after, where there may be more. After so many that are not wanted it
/// ends early, and the next page leads on.
pub(super) async fn find(
    admin: &Admin,
    query: &Query,
    limit: usize,
    wanted: impl Fn(&Approval) -> bool,
) -> Result<(Vec<Approval>, Option<ApprovalId>), Refused> {
    let mut found: Vec<Approval> = Vec::new();
    let mut after = query.after;
    for _ in 0..SCAN_PAGES_MAX {
        let page = admin.state.approvals.list(Query { after, limit: LIMIT_MAX, ..query.clone() }).await?;
        let last_page = page.len() < LIMIT_MAX;
        for approval in page {
            if wanted(&approval) {
                if found.len() == limit {
                    return Ok((found, after));
                }
                after = Some(approval.id);
                found.push(approval);
            } else {
                after = Some(approval.id);
            }
        }
        if last_page {
            return Ok((found, None));
        }
    }
    Ok((found, after))
}

/// The same query for the page after `next` (RFC 8288).
fn link(uri: &Uri, next: ApprovalId) -> String {
    let query = uri.query().unwrap_or("");
    let kept = query.split('&').filter(|pair| !pair.is_empty() && !pair.starts_with("after="));
    let kept: String = kept.map(|pair| format!("{pair}&")).collect();
    format!("<{}?{kept}after={next}>; rel=\"next\"", uri.path())
}

/// Pages of the store that one answer goes through, so that a question costs a bounded effort.
const SCAN_PAGES_MAX: usize = 10;
