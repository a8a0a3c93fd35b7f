//! Calls as the audit log has them, and as much of a policy's input as can be made of them.

use std::collections::BTreeMap;

use anyhow::Context;
use http::HeaderMap;
use serde_json::Map;
use serde_json::Value;
use serde_json::json;

use crate::audit::Disclosed;
use crate::classify::Dialect;
use crate::config;
use crate::config::Config;
use crate::model::Body;
use crate::model::HttpRequest;
use crate::model::RefusalCode;
use crate::model::Timestamp;
use crate::server;

/// What the configuration says about callers and upstreams.
pub(super) struct Facts {
    principals: BTreeMap<String, Value>,
    upstreams: BTreeMap<String, (Value, Dialect)>,
}

/// A recorded call.
pub(super) struct Call {
    /// What was decided: `allow`, `hold` or `deny`.
    pub(super) effect: &'static str,
    /// As much of the input as is known.
    pub(super) input: Value,
    /// The parts of the input that are not.
    pub(super) unknown: Vec<Part>,
    /// The call in a line.
    pub(super) line: String,
}

/// A part of the input.
pub(super) type Part = &'static [&'static str];

impl Facts {
    /// What `config` says.
    ///
    /// # Errors
    /// If the document of an upstream cannot be read.
    pub(super) fn of(config: Option<&Config>) -> anyhow::Result<Self> {
        let (mut principals, mut upstreams) = (BTreeMap::new(), BTreeMap::new());
        for principal in config.iter().flat_map(|config| &config.principals) {
            let facts = json!({"owners": principal.owners, "groups": principal.groups, "claims": principal.claims});
            principals.insert(principal.id.to_string(), facts);
        }
        for upstream in config.iter().flat_map(|config| &config.upstreams) {
            let facts =
                json!({"environment": upstream.environment.clone().unwrap_or_default(), "labels": upstream.labels});
            upstreams.insert(upstream.name.to_string(), (facts, dialect(upstream)?));
        }
        Ok(Self { principals, upstreams })
    }
}

fn dialect(upstream: &config::Upstream) -> anyhow::Result<Dialect> {
    server::dialect(upstream).with_context(|| format!("the dialect of upstream `{}` cannot be used", upstream.name))
}

impl Call {
    /// The call that an entry tells of; `None` if it is about something else.
    ///
    /// # Errors
    /// If what it is about is not there any more.
    pub(super) fn read(entry: &Disclosed, facts: &Facts) -> anyhow::Result<Option<Self>> {
        let text = |path: &str| entry.leaf.pointer(path).and_then(Value::as_str);
        let effect = match text("/type") {
            Some("request.allowed") => "allow",
            Some("approval.created") => "hold",
            // Refusals for other reasons are not the policy's.
            Some("request.denied") if text("/data/code") == Some(RefusalCode::PolicyDenied.as_str()) => "deny",
            _ => return Ok(None),
        };
        let mut known = Known { input: Map::new(), unknown: ALWAYS_UNKNOWN.to_vec() };
        let method = text("/data/method").context("it has no method")?;
        // Whether a query, reason or ticket was there is only known if all disclosures are.
        let all = entry.private.len() == entry.commitments;
        let private = |name: &str| entry.private.get(name).and_then(Value::as_str);
        let (path, query) = match (text("/data/path"), private("target")) {
            (Some(path), _) => (path, private("query").map(str::to_owned)),
            (None, Some(target)) => {
                let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
                (path, query.map(str::to_owned))
            }
            (None, None) => anyhow::bail!("its target was destroyed"),
        };
        // What reviewers were not to see is not in the log either.
        let is_redacted = query.as_ref().is_some_and(|query| query.contains("[redacted:"));
        let knows_query = match effect {
            _ if is_redacted => false,
            "deny" => all,
            "hold" => true,
            _ => false,
        };
        let id = text("/actor/id").context("it has no caller")?;
        known.principal(id, facts);
        let upstream = text("/data/upstream").context("it has no upstream")?;
        known.upstream(upstream, facts);
        let names: Vec<&str> = entry
            .leaf
            .pointer("/data/actions")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        let request = HttpRequest {
            method: method.parse().context("its method cannot be read")?,
            scheme: "https",
            authority: String::new(),
            path: path.to_owned(),
            query: query.clone(),
            headers: HeaderMap::new(),
            body: Body::Unread,
            websocket: names == ["http:WEBSOCKET"],
        };
        known.actions(&names, &request, facts.upstreams.get(upstream).map(|(_, dialect)| dialect));
        known.request(&request, knows_query);
        known.context(entry, effect, all);
        let line = format!("{id} {method} {}", request.target());
        known.unknown.sort_unstable();
        known.unknown.dedup();
        Ok(Some(Self { effect, input: Value::Object(known.input), unknown: known.unknown, line }))
    }
}

/// What is known of an input so far.
struct Known {
    input: Map<String, Value>,
    unknown: Vec<Part>,
}

impl Known {
    fn principal(&mut self, id: &str, facts: &Facts) {
        let mut principal = json!({"id": id, "kind": "agent"});
        match facts.principals.get(id) {
            Some(facts) => merge(&mut principal, facts),
            None => self.unknown.extend([
                &["principal", "owners"] as Part,
                &["principal", "groups"],
                &["principal", "claims"],
            ]),
        }
        self.input.insert("principal".to_owned(), principal);
        self.input.insert("version".to_owned(), 1.into());
    }

    fn upstream(&mut self, name: &str, facts: &Facts) {
        let mut upstream = json!({"name": name});
        match facts.upstreams.get(name) {
            Some((facts, _)) => merge(&mut upstream, facts),
            None => self.unknown.extend([&["upstream", "environment"] as Part, &["upstream", "labels"]]),
        }
        self.input.insert("upstream".to_owned(), upstream);
    }

    /// The log has the names of actions. The rest follows from the same request in the same dialect,
    /// as long as that gives the same names.
    fn actions(&mut self, names: &[&str], request: &HttpRequest, dialect: Option<&Dialect>) {
        let is_http = names.iter().all(|name| name.starts_with("http:"));
        let dialect = dialect.or(is_http.then_some(&Dialect::Http));
        let actions = dialect.map(|dialect| dialect.classify(request));
        let same =
            actions.filter(|actions| actions.iter().map(|action| action.name.as_str()).eq(names.iter().copied()));
        let actions: Vec<Value> = match same {
            Some(actions) => actions.iter().filter_map(|action| serde_json::to_value(action).ok()).collect(),
            None => {
                self.unknown.push(&["actions"]);
                Vec::new()
            }
        };
        self.input.insert("actions".to_owned(), actions.into());
    }

    fn request(&mut self, request: &HttpRequest, knows_query: bool) {
        let bare = crate::policy::request_json(request);
        let keep = ["method", "path", "path_segments", "websocket"];
        let queries = ["query", "query_raw"];
        let kept = bare
            .as_object()
            .into_iter()
            .flatten()
            .filter(|(name, _)| keep.contains(&name.as_str()) || (knows_query && queries.contains(&name.as_str())));
        let kept: Map<String, Value> = kept.map(|(name, value)| (name.clone(), value.clone())).collect();
        self.input.insert("request".to_owned(), kept.into());
        if !knows_query {
            self.unknown.extend([&["request", "query"] as Part, &["request", "query_raw"]]);
        }
    }

    fn context(&mut self, entry: &Disclosed, effect: &str, all: bool) {
        let mut context = Map::new();
        let time = entry.leaf.get("time").and_then(|time| serde_json::from_value::<Timestamp>(time.clone()).ok());
        // Only allowed calls are recorded with the time at which the policy was asked.
        match time.filter(|_| effect == "allow") {
            Some(time) => {
                let (time, weekday) = crate::policy::time_json(time);
                context.extend([("time".to_owned(), time), ("weekday".to_owned(), weekday)]);
            }
            None => self.unknown.extend([&["context", "time"] as Part, &["context", "weekday"]]),
        }
        let told: [(&str, &str, Part); 2] =
            [("reason", "reason", &["context", "reason"]), ("ticket", "context", &["context", "ticket"])];
        for (name, field, part) in told {
            match entry.private.get(field).filter(|_| effect == "hold") {
                Some(value) => drop(context.insert(name.to_owned(), value.clone())),
                None if effect == "hold" && all => {}
                None => self.unknown.push(part),
            }
        }
        self.input.insert("context".to_owned(), context.into());
    }
}

fn merge(into: &mut Value, facts: &Value) {
    let (Some(into), Some(facts)) = (into.as_object_mut(), facts.as_object()) else { return };
    into.extend(facts.iter().map(|(name, value)| (name.clone(), value.clone())));
}

/// What the log never has.
const ALWAYS_UNKNOWN: [Part; 12] = [
    &["context", "approved_before"],
    &["context", "source_ip"],
    &["principal", "authn"],
    &["principal", "chain"],
    &["request", "authority"],
    &["request", "body"],
    &["request", "body_bytes"],
    &["request", "body_error"],
    &["request", "content_type"],
    &["request", "headers"],
    &["request", "host"],
    &["request", "scheme"],
];
