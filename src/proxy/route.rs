//! Which upstream a request goes to: by host, then by the longest path prefix.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use crate::classify::Dialect;
use crate::model::Upstream as UpstreamFacts;

use super::metrics::RouteMetrics;
use super::upstream::Upstream;

/// What a request has to look like to go to an upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Match {
    /// The host, in lower case and without port; any if there is none.
    pub host: Option<String>,
    /// What the path begins with, such as `/stripe`; it is not sent. Any path if there is none.
    pub path_prefix: Option<String>,
}

/// The way to one upstream.
#[derive(Debug)]
pub struct Route {
    /// What policy and reviewers know of it.
    pub facts: Arc<UpstreamFacts>,
    /// How its calls are read.
    pub dialect: Dialect,
    /// The name of its credential, if it has one.
    pub credential: Option<String>,
    /// How long its calls are held before their callers are told to come again, if not for ever.
    pub hold_for: Option<Duration>,
    /// How it is reached.
    pub upstream: Arc<Upstream>,
    /// Its figures.
    pub metrics: RouteMetrics,
}

/// Two upstreams that answer to the same requests.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the upstreams `{first}` and `{second}` match the same requests; give each a host or path prefix of its own")]
pub struct RouteError {
    first: String,
    second: String,
}

/// Every route there is.
#[derive(Debug, Default)]
pub struct Routes {
    by_host: HashMap<String, Vec<Entry>>,
    any_host: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    prefix: String, // Invariant: empty, or begins with a slash and does not end with one.
    route: Arc<Route>,
}

impl Routes {
    /// These routes.
    ///
    /// # Errors
    /// [`RouteError`] if two of them match the same requests.
    pub fn new(routes: Vec<(Match, Arc<Route>)>) -> Result<Self, RouteError> {
        let mut all = Self::default();
        for (wanted, route) in routes {
            let prefix = wanted.path_prefix.unwrap_or_default().trim_end_matches('/').to_owned();
            let entries = match wanted.host {
                Some(host) => all.by_host.entry(host).or_default(),
                None => &mut all.any_host,
            };
            if let Some(other) = entries.iter().find(|entry| entry.prefix == prefix) {
                let (first, second) = (other.route.facts.name.clone(), route.facts.name.clone());
                return Err(RouteError { first, second });
            }
            entries.push(Entry { prefix, route });
        }
        let sort = |entries: &mut Vec<Entry>| entries.sort_by_key(|entry| std::cmp::Reverse(entry.prefix.len()));
        all.by_host.values_mut().for_each(sort);
        sort(&mut all.any_host);
        Ok(all)
    }

    /// The route of a request, and the path as it will be sent. A route that names the host goes
    /// before one that does not; then the longest prefix wins.
    pub fn find<'a>(&self, host: &str, path: &'a str) -> Option<(&Arc<Route>, &'a str)> {
        let named = self.by_host.get(host).and_then(|entries| longest(entries, path));
        named.or_else(|| longest(&self.any_host, path))
    }

    /// Every route.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Route>> {
        self.by_host.values().flatten().chain(&self.any_host).map(|entry| &entry.route)
    }
}

/// Whole segments only: `/stripe` is a prefix of `/stripe/v1`, not of `/stripes`.
fn longest<'r, 'p>(entries: &'r [Entry], path: &'p str) -> Option<(&'r Arc<Route>, &'p str)> {
    entries.iter().find_map(|entry| {
        let rest = path.strip_prefix(entry.prefix.as_str())?;
        match rest {
            "" => Some((&entry.route, "/")),
            rest if rest.starts_with('/') => Some((&entry.route, rest)),
            _ => None,
        }
    })
}
