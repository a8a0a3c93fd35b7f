//! The lists: what waits, and what was.

use askama::Template;
use axum::extract::State as Extract;
use axum::http::StatusCode;
use axum::http::Uri;
use axum::response::Response;
use percent_encoding::NON_ALPHANUMERIC;
use percent_encoding::utf8_percent_encode;

use crate::approval::Approval;
use crate::approval::State;
use crate::approval::store::Query;
use crate::model::ApprovalId;
use crate::review::Admin;
use crate::review::list;
use crate::review::query;
use crate::review::query::bad;
use crate::review::refused::Refused;
use crate::review::view;
use crate::review::view::Viewer;

use super::guard::Visitor;
use super::page;
use super::page::Frame;
use super::page::Here;
use super::row::Row;

#[derive(Template)]
#[template(path = "pending.html")]
struct Pending {
    frame: Frame,
    rows: Vec<Row>,
    mine: bool,
    next: Option<String>,
    first_page: bool,
}

/// `GET /`: what waits for the visitor, or for anybody.
pub(super) async fn pending(Extract(admin): Extract<Admin>, visitor: Visitor, uri: Uri) -> Response {
    let page = async {
        let mut pairs = query::pairs(&uri, &["show", "after"])?.into_iter();
        let (mut mine, mut after) = (true, None);
        for (name, value) in pairs.by_ref() {
            match name.as_str() {
                "show" => mine = value != "all",
                _ => after = Some(place(&value)?),
            }
        }
        let query = Query { states: vec!["pending".to_owned()], after, ..Query::default() };
        let people = admin.state.approvals.people();
        let viewer = Viewer { person: &visitor.person, people: &people, now: admin.state.clock.now() };
        let wanted = |approval: &Approval| !mine || view::why_not(approval, viewer).is_none();
        let (found, next) = list::find(&admin, &query, PER_PAGE, wanted).await?;
        let show = if mine { "mine" } else { "all" };
        Ok(Pending {
            frame: Frame::new(Some(&visitor), Here::Pending, "Pending"),
            rows: found.iter().map(|approval| Row::new(approval, viewer)).collect(),
            mine,
            next: next.map(|id| format!("/?show={show}&after={id}")),
            first_page: after.is_none(),
        })
    };
    shown(page.await, &visitor)
}

#[derive(Template)]
#[template(path = "history.html")]
struct History {
    frame: Frame,
    search: Search,
    states: Vec<(&'static str, bool)>,
    rows: Vec<Row>,
    next: Option<String>,
    searched: bool,
}

/// What somebody looks for. All of it has to fit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Search {
    words: String,
    state: String,
    agent: String,
    upstream: String,
    rule: String,
    after: Option<ApprovalId>,
}

impl Search {
    fn parse(uri: &Uri) -> Result<Self, Refused> {
        let mut search = Self::default();
        for (name, value) in query::pairs(uri, &["q", "state", "agent", "upstream", "rule", "after"])? {
            if value.is_empty() {
                continue;
            }
            if value.len() > WORDS_BYTES_MAX {
                return Err(bad(format!("`{name}` has more than {WORDS_BYTES_MAX} bytes")));
            }
            match name.as_str() {
                "q" => search.words = value,
                "state" if State::NAMES.contains(&value.as_str()) => search.state = value,
                "state" => return Err(bad(format!("`state` is `{}`; choose one of the list", query::short(&value)))),
                "agent" => search.agent = value,
                "upstream" => search.upstream = value,
                "rule" => search.rule = value,
                _ => search.after = Some(place(&value)?),
            }
        }
        Ok(search)
    }

    fn stored(&self) -> Query {
        let given = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        Query {
            states: given(&self.state).into_iter().collect(),
            principal: given(&self.agent),
            upstream: given(&self.upstream),
            after: self.after,
            limit: 0,
        }
    }

    fn takes(&self, approval: &Approval) -> bool {
        let rules = &approval.obligations.rules;
        (self.rule.is_empty() || rules.contains(&self.rule)) && self.has_words(approval)
    }

    /// Whether every word stands somewhere in what a list shows of the approval.
    fn has_words(&self, approval: &Approval) -> bool {
        let mut words = self.words.split_whitespace().peekable();
        if words.peek().is_none() {
            return true;
        }
        let mut text = format!(
            "{} {} {} {} {} {} {}",
            approval.id,
            approval.digest,
            approval.principal.id,
            approval.upstream.name,
            approval.line.method,
            approval.line.authority,
            approval.line.target
        );
        let actions = approval.actions.iter();
        let more = actions.flat_map(|action| [Some(&action.name), action.resource.as_ref(), action.summary.as_ref()]);
        let more = more.flatten().map(String::as_str);
        let more = more.chain(approval.obligations.rules.iter().map(String::as_str)).chain(approval.reason.as_deref());
        for part in more.chain(approval.reviews.iter().map(|review| review.person.as_str())) {
            text.push('\n');
            text.push_str(part);
        }
        let text = text.to_lowercase();
        words.all(|word| text.contains(&word.to_lowercase()))
    }

    fn link(&self, after: ApprovalId) -> String {
        let fields = [
            ("q", &self.words),
            ("state", &self.state),
            ("agent", &self.agent),
            ("upstream", &self.upstream),
            ("rule", &self.rule),
        ];
        let given = fields.iter().filter(|(_, value)| !value.is_empty());
        let given = given.map(|(name, value)| format!("{name}={}&", utf8_percent_encode(value, NON_ALPHANUMERIC)));
        format!("/history?{}after={after}", given.collect::<String>())
    }
}

/// `GET /history`: everything, newest first, with a search.
pub(super) async fn history(Extract(admin): Extract<Admin>, visitor: Visitor, uri: Uri) -> Response {
    let page = async {
        let search = Search::parse(&uri)?;
        let people = admin.state.approvals.people();
        let viewer = Viewer { person: &visitor.person, people: &people, now: admin.state.clock.now() };
        let (found, next) = list::find(&admin, &search.stored(), PER_PAGE, |approval| search.takes(approval)).await?;
        Ok(History {
            frame: Frame::new(Some(&visitor), Here::History, "History"),
            states: State::NAMES.iter().map(|name| (*name, *name == search.state)).collect(),
            rows: found.iter().map(|approval| Row::new(approval, viewer)).collect(),
            next: next.map(|id| search.link(id)),
            searched: search != Search::default(),
            search,
        })
    };
    shown(page.await, &visitor)
}

trait Framed: Template {
    fn frame(&self) -> &Frame;
}

impl Framed for Pending {
    fn frame(&self) -> &Frame {
        &self.frame
    }
}

impl Framed for History {
    fn frame(&self) -> &Frame {
        &self.frame
    }
}

fn shown(page: Result<impl Framed, Refused>, visitor: &Visitor) -> Response {
    match page {
        Ok(page) => page::render(StatusCode::OK, page.frame(), &page),
        Err(refused) => page::problem(Some(visitor), &refused),
    }
}

fn place(text: &str) -> Result<ApprovalId, Refused> {
    text.parse().map_err(|error| bad(format!("`after`: {error}")))
}

/// What a person looks through before they rather search.
const PER_PAGE: usize = 50;

/// The longest search.
const WORDS_BYTES_MAX: usize = 256;
