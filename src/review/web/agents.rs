//! The agents that may call, and their keys: to look at, not to change.

use askama::Template;
use axum::extract::State as Extract;
use axum::http::StatusCode;
use axum::response::Response;
use percent_encoding::NON_ALPHANUMERIC;
use percent_encoding::utf8_percent_encode;

use crate::identity::AgentKeyInfo;
use crate::model::Timestamp;
use crate::review::Admin;

use super::guard::Visitor;
use super::inert::Inert;
use super::moment::Moment;
use super::page;
use super::page::Frame;
use super::page::Here;

#[derive(Template)]
#[template(path = "agents.html")]
struct Agents {
    frame: Frame,
    agents: Vec<Agent>,
}

#[derive(Clone, Debug)]
struct Agent {
    id: Inert,
    owners: Vec<Inert>,
    groups: Vec<Inert>,
    keys: Vec<Key>,
    history: String,
    held: usize,
    pending: usize,
}

#[derive(Clone, Debug)]
struct Key {
    id: Inert,
    created_by: Option<Inert>,
    expires: Option<Moment>,
    expired: bool,
}

/// `GET /agents`.
pub(super) async fn show(Extract(admin): Extract<Admin>, visitor: Visitor) -> Response {
    let recent = match admin.past.recent(&admin).await {
        Ok(recent) => recent,
        Err(refused) => return page::problem(Some(&visitor), &refused),
    };
    let now = admin.state.clock.now();
    let mut agents: Vec<Agent> = Vec::new();
    for info in (admin.state.facts)().agents {
        let name = info.principal.id.clone();
        let key = key(&info, now);
        match agents.iter_mut().find(|agent| agent.id.as_str() == name) {
            Some(agent) => agent.keys.push(key),
            None => {
                let own = recent.records.iter().filter(|record| record.agent == name);
                agents.push(Agent {
                    id: Inert::line(&name),
                    owners: info.principal.owners.iter().map(|owner| Inert::line(owner.as_str())).collect(),
                    groups: info.principal.groups.iter().map(Inert::line).collect(),
                    keys: vec![key],
                    history: format!("/history?agent={}", utf8_percent_encode(&name, NON_ALPHANUMERIC)),
                    held: own.clone().count(),
                    pending: own.filter(|record| record.fate == super::past::Fate::Pending).count(),
                });
            }
        }
    }
    let frame = Frame::new(Some(&visitor), Here::Agents, "Agents");
    page::render(StatusCode::OK, &frame, &Agents { frame: frame.clone(), agents })
}

fn key(info: &AgentKeyInfo, now: Timestamp) -> Key {
    let creator = info.principal.authn.created_by.as_ref();
    Key {
        id: Inert::line(&info.principal.authn.key_id),
        created_by: creator.map(|by| Inert::line(by.as_str())),
        expires: info.expires.map(|at| Moment::new(at, now)),
        expired: info.expires.is_some_and(|at| now >= at),
    }
}
