//! What stands in the URL: the id in the path, and the query.

use axum::extract::FromRequestParts;
use axum::extract::Path;
use axum::extract::Query;
use axum::http::Uri;
use axum::http::request::Parts;

use crate::approval::State;
use crate::approval::store::Query as StoreQuery;
use crate::model::ApprovalId;

use super::Admin;
use super::refused::Code;
use super::refused::Refused;

/// The approval that the path names.
#[derive(Clone, Copy, Debug)]
pub(super) struct Id(pub(super) ApprovalId);

impl FromRequestParts<Admin> for Id {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, admin: &Admin) -> Result<Self, Refused> {
        let Path(text) = Path::<String>::from_request_parts(parts, admin)
            .await
            .map_err(|rejection| Refused::new(Code::BadRequest, rejection.body_text()))?;
        text.parse().map(Self).map_err(|error| bad(format!("the path names no approval: {error}")))
    }
}

/// The pairs of a query, decoded.
///
/// # Errors
/// If it cannot be decoded, or has another parameter than `accepted`.
pub(super) fn pairs(uri: &Uri, accepted: &[&str]) -> Result<Vec<(String, String)>, Refused> {
    let pairs = any_pairs(uri)?;
    match pairs.iter().find(|(name, _)| !accepted.contains(&name.as_str())) {
        None => Ok(pairs),
        Some((name, _)) => {
            let shown: String = name.chars().take(80).collect();
            let accepted = accepted.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
            Err(bad(format!("`{shown}` is not a query parameter here; accepted are {accepted}")))
        }
    }
}

/// The pairs of a query that others may add to, decoded.
///
/// # Errors
/// If it cannot be decoded.
pub(super) fn any_pairs(uri: &Uri) -> Result<Vec<(String, String)>, Refused> {
    let Query(pairs) = Query::<Vec<(String, String)>>::try_from_uri(uri)
        .map_err(|rejection| bad(format!("the query cannot be read: {}", rejection.body_text())))?;
    Ok(pairs)
}

/// Which approvals to list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct ListQuery {
    pub(super) states: Vec<String>,
    pub(super) principal: Option<String>,
    pub(super) upstream: Option<String>,
    /// Only those that the one who asks may review now.
    pub(super) mine: bool,
    pub(super) limit: usize,
    pub(super) after: Option<ApprovalId>,
}

impl ListQuery {
    /// What the store is asked.
    pub(super) fn stored(&self) -> StoreQuery {
        let (principal, upstream) = (self.principal.clone(), self.upstream.clone());
        StoreQuery { states: self.states.clone(), principal, upstream, after: self.after, limit: self.limit }
    }

    fn parse(uri: &Uri) -> Result<Self, Refused> {
        let mut query = Self { limit: LIMIT_DEFAULT, ..Self::default() };
        let mut seen = Vec::new();
        for (name, value) in pairs(uri, &["state", "principal", "upstream", "mine", "limit", "after"])? {
            if name != "state" && seen.contains(&name) {
                return Err(bad(format!("`{name}` stands in the query twice; only `state` may")));
            }
            match name.as_str() {
                "state" => query.states.extend(states(&value)?),
                "principal" => query.principal = Some(value),
                "upstream" => query.upstream = Some(value),
                "mine" if value == "review" => query.mine = true,
                "mine" => return Err(bad(format!("`mine` is `{}`; accepted is `review`", short(&value)))),
                "limit" => query.limit = limit(&value)?,
                _ => query.after = Some(value.parse().map_err(|error| bad(format!("`after`: {error}")))?),
            }
            seen.push(name);
        }
        Ok(query)
    }
}

impl FromRequestParts<Admin> for ListQuery {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, _: &Admin) -> Result<Self, Refused> {
        Self::parse(&parts.uri)
    }
}

fn states(value: &str) -> Result<Vec<String>, Refused> {
    let check = |name: &str| {
        let name = name.trim();
        if State::NAMES.contains(&name) {
            return Ok(name.to_owned());
        }
        Err(bad(format!("`state` is `{}`; accepted are {}", short(name), State::NAMES.join(", "))))
    };
    value.split(',').map(check).collect()
}

fn limit(value: &str) -> Result<usize, Refused> {
    let limit = value.parse().ok().filter(|limit| (1..=LIMIT_MAX).contains(limit));
    limit.ok_or_else(|| bad(format!("`limit` is `{}`; accepted are 1 to {LIMIT_MAX}", short(value))))
}

/// A URL that is not understood.
pub(super) fn bad(detail: impl Into<String>) -> Refused {
    Refused::new(Code::BadRequest, detail)
}

/// Enough of a text to know it again.
pub(super) fn short(text: &str) -> String {
    text.chars().take(80).collect()
}

/// What fits a screen or two.
const LIMIT_DEFAULT: usize = 50;

/// The most items of one page. Smaller than the store's own limit, since one more is read to know
/// whether there is a next page.
pub(super) const LIMIT_MAX: usize = 200;
