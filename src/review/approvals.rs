//! `/v1/approvals`: list, show, decide, cancel, answer.

use axum::Json;
use axum::extract::FromRequest;
use axum::extract::Path;
use axum::extract::Request;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use axum::response::IntoResponse;
use axum::response::Response;
use http::HeaderMap;
use http::HeaderValue;
use http::StatusCode;
use http::Uri;
use http::header;
use serde::Deserialize;
use serde::Serialize;
use utoipa::ToSchema;

use crate::approval::Channel;
use crate::approval::Decide;
use crate::approval::State as Standing;
use crate::approval::Verdict;
use crate::approval::store::Query;
use crate::model::ApprovalId;
use crate::model::Assurance;
use crate::model::PersonId;
use crate::model::Sha256;

use super::auth::Person;
use super::problem::Problem;
use super::state::AdminState;
use super::view::Detail;
use super::view::Item;

/// A page of approvals, newest first.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Page {
    items: Vec<Item>,
    /// Where the next page begins: send it as `after`. Null on the last page.
    next: Option<String>,
}

/// What you decide.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Decision {
    /// approve, deny, ask or withdraw.
    #[schema(value_type = String)]
    verdict: Verdict,
    /// The digest of the call that you have looked at. `withdraw` can do without.
    digest: Option<String>,
    /// Why; with `ask`, the question.
    reason: Option<String>,
}

/// Why you take a call back.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Cancellation {
    reason: Option<String>,
}

/// What you say.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewMessage {
    text: String,
}

/// List approvals
#[utoipa::path(
    get, path = "/v1/approvals", tag = "approvals",
    params(
        ("state" = Option<String>, Query, description = "Only those in these states, separated by commas"),
        ("principal" = Option<String>, Query, description = "Only those of this principal"),
        ("upstream" = Option<String>, Query, description = "Only those to this upstream"),
        ("mine" = Option<String>, Query, description = "`review`: only those that you can decide now"),
        ("limit" = Option<u32>, Query, description = "How many at most, 1 to 500; 50 if not given"),
        ("after" = Option<String>, Query, description = "Go on behind this one: `next` of the page before"),
    ),
    responses((status = 200, body = Page), (status = 400, body = Problem), (status = 401, body = Problem)),
)]
pub(super) async fn list(
    State(state): State<AdminState>,
    Person(person): Person,
    uri: Uri,
) -> Result<Response, Problem> {
    let (mut query, mine) = parse_query(uri.query().unwrap_or_default())?;
    let limit = query.limit;
    let people = state.approvals.people();
    let mut items: Vec<Item> = Vec::new();
    // Who may decide is not a column, so further pages are read until this one is full.
    let last = loop {
        let page = state.approvals.list(query.clone()).await?;
        let more = page.len() == query.limit;
        query.after = page.last().map(|approval| approval.id);
        let views = page.iter().map(|approval| Item::new(approval, &person, &people));
        items.extend(views.filter(|item| !mine || item.is_decidable()));
        if !more || items.len() >= limit {
            break !more && items.len() <= limit;
        }
    };
    items.truncate(limit);
    let next = if last { None } else { items.last().map(|item| item.id.clone()) };
    let link = next.as_ref().map(|next| format!("<{}>; rel=\"next\"", with_after(&uri, next)));
    let mut response = Json(Page { items, next }).into_response();
    if let Some(link) = link.and_then(|link| HeaderValue::try_from(link).ok()) {
        response.headers_mut().insert(header::LINK, link);
    }
    Ok(response)
}

/// Show an approval, with the whole call
#[utoipa::path(
    get, path = "/v1/approvals/{id}", tag = "approvals",
    params(("id" = String, Path, description = "`apr_` and 32 hex digits")),
    responses(
        (status = 200, body = Detail), (status = 304, description = "As in `If-None-Match`"),
        (status = 401, body = Problem), (status = 404, body = Problem),
    ),
)]
pub(super) async fn show(
    State(state): State<AdminState>,
    Person(person): Person,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let detail = detail(&state, parse_id(&id)?, &person).await?;
    let seen = headers.get(header::IF_NONE_MATCH).and_then(|value| value.to_str().ok());
    let etag = detail.headers().get(header::ETAG).and_then(|value| value.to_str().ok());
    if seen.is_some() && seen == etag {
        let mut unchanged = StatusCode::NOT_MODIFIED.into_response();
        let etag = detail.headers().get(header::ETAG).cloned();
        unchanged.headers_mut().extend(etag.map(|etag| (header::ETAG, etag)));
        return Ok(unchanged);
    }
    Ok(detail)
}

/// Decide
///
/// Needs a token that is bound to a person. Repeating a decision changes nothing.
#[utoipa::path(
    post, path = "/v1/approvals/{id}/decisions", tag = "approvals",
    params(("id" = String, Path, description = "`apr_` and 32 hex digits")),
    request_body = Decision,
    responses(
        (status = 200, body = Detail), (status = 400, body = Problem), (status = 401, body = Problem),
        (status = 403, body = Problem, description = "own-request, not-reviewer, not-requester, needs-step-up"),
        (status = 404, body = Problem), (status = 409, body = Problem, description = "already-decided, digest-mismatch"),
        (status = 410, body = Problem, description = "expired"), (status = 422, body = Problem),
        (status = 503, body = Problem),
    ),
)]
pub(super) async fn decide(
    State(state): State<AdminState>,
    Person(person): Person,
    Path(id): Path<String>,
    Body(decision): Body<Decision>,
) -> Result<Response, Problem> {
    let id = parse_id(&id)?;
    let digest = match (&decision.digest, decision.verdict) {
        (Some(digest), _) => {
            digest.parse::<Sha256>().map_err(|error| Problem::bad_request(format!("`digest`: {error}")))?
        }
        // Taking back needs no look at the call.
        (None, Verdict::Withdraw) => Sha256::of(&[]),
        (None, Verdict::Approve | Verdict::Deny | Verdict::Ask) => {
            return Err(Problem::bad_request("`digest` is missing; send the one of the call that you have looked at"));
        }
    };
    let decide = Decide {
        id,
        digest,
        person: person.clone(),
        verdict: decision.verdict,
        channel: Channel::Api,
        assurance: Assurance::Session,
        reason: decision.reason,
    };
    state.approvals.decide(decide).await?;
    detail(&state, id, &person).await
}

/// Take back a call that you stand behind
#[utoipa::path(
    post, path = "/v1/approvals/{id}/cancel", tag = "approvals",
    params(("id" = String, Path, description = "`apr_` and 32 hex digits")),
    request_body = Cancellation,
    responses((status = 200, body = Detail), (status = 403, body = Problem), (status = 409, body = Problem)),
)]
pub(super) async fn cancel(
    State(state): State<AdminState>,
    Person(person): Person,
    Path(id): Path<String>,
    Body(cancellation): Body<Cancellation>,
) -> Result<Response, Problem> {
    let id = parse_id(&id)?;
    let decide = Decide {
        id,
        digest: Sha256::of(&[]),
        person: person.clone(),
        verdict: Verdict::Withdraw,
        channel: Channel::Api,
        assurance: Assurance::Session,
        reason: cancellation.reason,
    };
    state.approvals.decide(decide).await?;
    detail(&state, id, &person).await
}

/// Answer the open question about a call that you stand behind
#[utoipa::path(
    post, path = "/v1/approvals/{id}/messages", tag = "approvals",
    params(("id" = String, Path, description = "`apr_` and 32 hex digits")),
    request_body = NewMessage,
    responses((status = 200, body = Detail), (status = 403, body = Problem), (status = 409, body = Problem)),
)]
pub(super) async fn say(
    State(state): State<AdminState>,
    Person(person): Person,
    Path(id): Path<String>,
    Body(message): Body<NewMessage>,
) -> Result<Response, Problem> {
    let id = parse_id(&id)?;
    state.approvals.answer(id, &person, message.text).await?;
    detail(&state, id, &person).await
}

async fn detail(state: &AdminState, id: ApprovalId, person: &PersonId) -> Result<Response, Problem> {
    let missing = || Problem::not_found(format!("there is no approval `{id}`"));
    let approval = state.approvals.get(id).await?.ok_or_else(missing)?;
    let request = state.approvals.request(id).await?.ok_or_else(missing)?;
    let etag = format!("\"{}\"", approval.version);
    let mut response = Json(Detail::new(&approval, request, person, &state.approvals.people())).into_response();
    response.headers_mut().extend(HeaderValue::try_from(etag).ok().map(|etag| (header::ETAG, etag)));
    Ok(response)
}

pub(super) fn parse_id(text: &str) -> Result<ApprovalId, Problem> {
    text.parse().map_err(|error| Problem::bad_request(format!("{error}")))
}

fn parse_query(text: &str) -> Result<(Query, bool), Problem> {
    let mut query = Query { limit: PAGE, ..Query::default() };
    let mut mine = false;
    for pair in text.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let value = percent_encoding::percent_decode_str(value).decode_utf8();
        let value = value.map_err(|_| Problem::bad_request(format!("the value of `{name}` is not UTF-8")))?;
        let bad = |accepted: &str| {
            let value: String = value.chars().take(80).collect();
            Problem::bad_request(format!("`{name}={value}` is not accepted; accepted: {accepted}"))
        };
        match name {
            "state" => {
                for state in value.split(',') {
                    if !Standing::NAMES.contains(&state) {
                        return Err(bad(&Standing::NAMES.join(", ")));
                    }
                    query.states.push(state.to_owned());
                }
            }
            "principal" => query.principal = Some(value.into_owned()),
            "upstream" => query.upstream = Some(value.into_owned()),
            "mine" if value == "review" => mine = true,
            "mine" => return Err(bad("review")),
            "after" => query.after = Some(parse_id(&value)?),
            "limit" => match value.parse() {
                Ok(limit) if (1..=crate::approval::store::PAGE_MAX).contains(&limit) => query.limit = limit,
                Ok(_) | Err(_) => return Err(bad("a number from 1 to 500")),
            },
            _ => {
                let known = "state, principal, upstream, mine, limit and after";
                let name: String = name.chars().take(80).collect();
                return Err(Problem::bad_request(format!("the query has `{name}`; known are {known}")));
            }
        }
    }
    Ok((query, mine))
}

fn with_after(uri: &Uri, next: &str) -> String {
    let kept =
        uri.query().unwrap_or_default().split('&').filter(|pair| !pair.is_empty() && !pair.starts_with("after="));
    let mut pairs: Vec<&str> = kept.collect();
    let after = format!("after={next}");
    pairs.push(&after);
    format!("{}?{}", uri.path(), pairs.join("&"))
}

/// A JSON body, whose mistakes are told as problems. An empty one is an empty object.
pub(super) struct Body<T>(pub(super) T);

impl<T: serde::de::DeserializeOwned> FromRequest<AdminState> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &AdminState) -> Result<Self, Problem> {
        match Json::<T>::from_request(request, state).await {
            Ok(Json(value)) => Ok(Self(value)),
            Err(JsonRejection::MissingJsonContentType(_)) => Err(Problem::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "unsupported-media-type",
                "The body has another type",
                "send the body as JSON, with `Content-Type: application/json`",
            )),
            Err(JsonRejection::JsonDataError(error)) => Err(Problem::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "unprocessable-body",
                "The body does not fit",
                error.body_text(),
            )),
            Err(error) if error.status() == StatusCode::PAYLOAD_TOO_LARGE => Err(Problem::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                "body-too-large",
                "The body is too long",
                format!("at most {} bytes are accepted", super::router::BODY_BYTES_MAX),
            )),
            Err(error) => Err(Problem::bad_request(error.body_text())),
        }
    }
}

const PAGE: usize = 50;
