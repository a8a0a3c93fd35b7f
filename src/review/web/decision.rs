//! The page on which a person decides: what would happen, who asks, the whole request, and the form.

use askama::Template;
use axum::extract::State as Extract;
use axum::http::StatusCode;
use axum::http::Uri;
use axum::response::Response;

use crate::approval::Approval;
use crate::approval::State;
use crate::approval::store::Notice;
use crate::model::ApprovalId;
use crate::model::PIECE_BYTES;
use crate::review::Admin;
use crate::review::query;
use crate::review::query::Id;
use crate::review::refused::Code;
use crate::review::refused::Refused;
use crate::review::view;
use crate::review::view::Viewer;

use super::effect::Effect;
use super::effect::in_short;
use super::guard::Visitor;
use super::inert::Inert;
use super::moment::Moment;
use super::page;
use super::page::Frame;
use super::page::Here;
use super::past::Past;
use super::request::BodyShown;
use super::request::RequestShown;
use super::row::risk_word;
use super::timeline;
use super::timeline::Step;

#[derive(Template)]
#[template(path = "decision.html")]
struct Decision {
    frame: Frame,
    id: String,
    version: u64,
    digest: String,
    short: String,
    state: &'static str,
    status: Inert,
    /// Until when it can be decided, or run.
    until: Option<(&'static str, Moment)>,
    alert: Option<Alert>,
    effects: Vec<Effect>,
    upstream: Inert,
    environment: Option<Inert>,
    risk: Option<&'static str>,
    irreversible: bool,
    agent: Inert,
    owners: Vec<Inert>,
    behalf: Vec<Inert>,
    key: Inert,
    caller: &'static str,
    agent_reason: Option<Inert>,
    agent_context: Option<Inert>,
    rules: Vec<Inert>,
    reasons: Vec<Inert>,
    policy: String,
    decision_id: String,
    slots: Vec<(Inert, Option<Inert>)>,
    question: Option<(Inert, Inert)>,
    past: Past,
    request: RequestShown,
    steps: Vec<Step>,
    form: Form,
    typed: String,
}

/// What the visitor can do.
#[derive(Clone, Debug)]
enum Form {
    /// Nothing, and why.
    Nothing(Inert),
    /// Decide.
    Decide {
        /// Why they cannot approve, though they can deny and ask.
        not_approve: Option<Inert>,
        /// What has to be typed first.
        confirm: Option<String>,
        require_reason: bool,
        /// Whether a question fits.
        ask: bool,
        /// Whether it was approved already, so that a denial revokes.
        revokes: bool,
    },
    /// It is their own call: take it back, or answer.
    Own { answer: bool },
}

/// What came of what the visitor has just done.
#[derive(Clone, Debug)]
pub(super) struct Alert {
    pub(super) good: bool,
    pub(super) title: &'static str,
    pub(super) text: Inert,
}

/// `GET /a/{id}`.
pub(super) async fn show(
    Extract(admin): Extract<Admin>,
    visitor: Visitor,
    id: Result<Id, Refused>,
    uri: Uri,
) -> Response {
    let id = match id {
        Ok(Id(id)) => id,
        Err(refused) => return page::problem(Some(&visitor), &refused),
    };
    let done = query::pairs(&uri, &["done"]).ok().and_then(|pairs| pairs.into_iter().next()).is_some();
    match page(&admin, &visitor, id, done, None, String::new()).await {
        Ok((frame, page)) => page::render(StatusCode::OK, &frame, &page),
        Err(refused) => page::problem(Some(&visitor), &refused),
    }
}

/// The page after something had no effect: it says why, and keeps what was typed.
pub(super) async fn again(admin: &Admin, visitor: &Visitor, id: ApprovalId, why: &Refused, typed: String) -> Response {
    let alert = Alert { good: false, title: why.code().title(), text: Inert::lines(what_to_do(why)) };
    match page(admin, visitor, id, false, Some(alert), typed).await {
        Ok((frame, page)) => page::render(why.code().status(), &frame, &page),
        // Nothing can be shown beside it.
        Err(_) => page::problem(Some(visitor), why),
    }
}

async fn page(
    admin: &Admin,
    visitor: &Visitor,
    id: ApprovalId,
    done: bool,
    alert: Option<Alert>,
    typed: String,
) -> Result<(Frame, Decision), Refused> {
    let approvals = &admin.state.approvals;
    let approval = approvals.get(id).await?.ok_or_else(|| Refused::no_approval(id))?;
    let request = approvals.request(id).await?.ok_or_else(|| Refused::no_approval(id))?;
    let complete = approvals.is_complete(id, &request).await?;
    let events = approvals.events_after(0, Some(id)).await?;
    let past = admin.past.of(admin, &approval).await?;
    let (people, now) = (approvals.people(), admin.state.clock.now());
    let viewer = Viewer { person: &visitor.person, people: &people, now };
    admin.sessions.looks_at(visitor.session.key, id, now);
    let parts = request.long_bytes().unwrap_or(0).div_ceil(PIECE_BYTES as u64);
    let read = admin.sessions.given(visitor.session.key, id, parts, now);
    let request = RequestShown::new(&request, complete, (read, parts));
    let alert = alert.or_else(|| done.then(|| thanks(&approval, viewer)).flatten());
    let frame = Frame::new(Some(visitor), Here::Pending, in_short(&approval.actions));
    let form = form(&approval, viewer, &request, complete);
    Ok((frame.clone(), decision(&approval, frame, viewer, alert, (request, events, past, form, typed))))
}

fn decision(
    approval: &Approval,
    frame: Frame,
    viewer: Viewer<'_>,
    alert: Option<Alert>,
    (request, events, past, form, typed): (RequestShown, Vec<Notice>, Past, Form, String),
) -> Decision {
    let (principal, obligations) = (&approval.principal, &approval.obligations);
    let slots = approval.slots(viewer.people);
    let slots: Vec<_> = slots
        .into_iter()
        .map(|slot| (Inert::line(slot.group), slot.person.map(|person| Inert::line(person.as_str()))))
        .collect();
    let environment = &approval.upstream.environment;
    let until = match &approval.state {
        State::Pending => Some(("expires", approval.expires)),
        State::Approved { claim_until, .. } => Some(("lapses", *claim_until)),
        _ => None,
    };
    let mut owners: Vec<Inert> = principal.owners.iter().map(|owner| Inert::line(owner.as_str())).collect();
    if let Some(creator) = principal.authn.created_by.as_ref().filter(|by| !principal.owners.contains(by)) {
        owners.push(Inert::line(format!("{creator} (made its key)")));
    }
    Decision {
        id: approval.id.to_string(),
        version: approval.version,
        digest: approval.digest.to_string(),
        short: approval.digest.short(),
        state: approval.state.name(),
        status: Inert::line(status(approval, viewer)),
        until: until.map(|(word, at)| (word, Moment::new(at, viewer.now))),
        alert,
        effects: approval.actions.iter().map(|action| Effect::of(action).beside(&approval.line)).collect(),
        upstream: Inert::line(&approval.upstream.name),
        environment: (!environment.is_empty()).then(|| Inert::line(environment)),
        risk: obligations.risk.map(risk_word),
        irreversible: is_irreversible(approval),
        agent: Inert::line(&principal.id),
        owners,
        behalf: principal.chain.iter().map(Inert::line).collect(),
        key: Inert::line(format!("{} {}", principal.authn.method, principal.authn.key_id)),
        caller: caller(approval),
        agent_reason: approval.reason.as_ref().map(Inert::lines),
        agent_context: approval.context.as_ref().map(Inert::lines),
        rules: obligations.rules.iter().map(Inert::line).collect(),
        reasons: obligations.reasons.iter().map(Inert::line).collect(),
        policy: approval.policy.short(),
        decision_id: approval.decision.to_string(),
        slots,
        question: approval.open_question().map(|asked| (Inert::line(&asked.by), Inert::lines(&asked.text))),
        steps: timeline::steps(approval, &events, viewer.now),
        past,
        request,
        form,
        typed,
        frame,
    }
}

fn form(approval: &Approval, viewer: Viewer<'_>, request: &RequestShown, complete: bool) -> Form {
    let open = approval.state.is_open();
    if open && approval.stands_behind(viewer.person, viewer.people) {
        let answer = approval.state == State::Pending && approval.open_question().is_some();
        return Form::Own { answer };
    }
    let pending = approval.state == State::Pending && viewer.now < approval.expires;
    let may_review = approval.may_review(viewer.person, viewer.people);
    let revokes = matches!(approval.state, State::Approved { .. });
    if !(pending || revokes) || may_review.is_err() {
        let why =
            view::why_not(approval, viewer).map_or_else(String::new, |(code, text)| ending(approval, &code, text));
        return Form::Nothing(Inert::line(why));
    }
    let unread = match &request.body {
        BodyShown::Long { parts, read } if read < parts => {
            Some(format!("read the whole body first: {read} of its {parts} parts were shown to you"))
        }
        _ if !complete => Some("the body of the call is not kept any more, so that nobody can approve it".to_owned()),
        _ => None,
    };
    let not_approve = view::why_not(approval, viewer).map(|(_, text)| text).or(unread);
    Form::Decide {
        not_approve: not_approve.map(Inert::line),
        confirm: needs_confirmation(approval).then(|| approval.digest.short().chars().take(CONFIRM_DIGITS).collect()),
        require_reason: approval.obligations.require_reason,
        ask: pending,
        revokes,
    }
}

/// Whether approving asks for more than one press of a button: where a slip cannot be taken back.
pub(super) fn needs_confirmation(approval: &Approval) -> bool {
    is_irreversible(approval) || approval.obligations.risk == Some(crate::model::Risk::Critical)
}

fn is_irreversible(approval: &Approval) -> bool {
    approval.obligations.irreversible || approval.actions.iter().any(|action| action.irreversible)
}

fn ending(approval: &Approval, code: &str, text: String) -> String {
    match code {
        "already-decided" => format!("It is {} already; there is nothing left to decide.", approval.state.name()),
        "expired" => "Its time is over. If the call is still wanted, the agent has to make it again.".to_owned(),
        _ => text,
    }
}

/// Where it stands, in a sentence.
fn status(approval: &Approval, viewer: Viewer<'_>) -> String {
    let since = approval.state.since().map_or_else(String::new, |at| Moment::new(at, viewer.now).words);
    match &approval.state {
        State::Pending if viewer.now >= approval.expires => "Expired".to_owned(),
        State::Pending => "Pending".to_owned(),
        State::Approved { .. } => format!("Approved {since}; it runs once its caller is there"),
        State::Forwarding { .. } => "Approved, and running now".to_owned(),
        State::Completed { status, .. } => format!("Approved and run {since}; the upstream answered {status}"),
        State::Failed { .. } => format!("Failed {since}; nothing was sent"),
        State::Unknown { .. } => format!("Sent, and the line broke {since}; whether it has run is not known"),
        State::Denied { by, .. } => format!("Denied by {by} {since}"),
        State::Expired { .. } => format!("Expired {since}; nobody decided in time"),
        State::Withdrawn { by, .. } => format!("Withdrawn by {by} {since}"),
        State::Revoked { .. } => format!("Approved, and revoked {since}"),
        State::Lapsed { .. } => format!("Approved, and lapsed {since}: no caller came for it"),
    }
}

fn caller(approval: &Approval) -> &'static str {
    match (approval.caller.is_some(), approval.state.is_open()) {
        (true, _) => "The caller waits on its open connection.",
        (false, true) => "The caller has left; an approved call runs once it tries again.",
        (false, false) => "",
    }
}

/// What to say to somebody whose decision has just taken effect; nothing if none of theirs did,
/// whatever the address says.
fn thanks(approval: &Approval, viewer: Viewer<'_>) -> Option<Alert> {
    let said = |title, text: String| Some(Alert { good: true, title, text: Inert::line(text) });
    let mine = approval.reviews.iter().rfind(|review| viewer.people.same_person(review.person.as_str(), viewer.person));
    match (&approval.state, mine.map(|review| review.verdict.as_str())) {
        (State::Pending, Some("approve")) => {
            let slots = approval.slots(viewer.people);
            let open: Vec<_> = slots.into_iter().filter(|slot| slot.person.is_none()).map(|slot| slot.group).collect();
            said("You have approved it", format!("It still needs {}.", open.join(", ")))
        }
        (_, Some("approve")) => said("You have approved it", status(approval, viewer) + "."),
        (_, Some("deny")) => {
            said("You have denied it", "It will not run, and the agent is told your reason.".to_owned())
        }
        (State::Withdrawn { by, .. }, _) if viewer.people.same_person(by, viewer.person) => {
            said("You have taken it back", "It will not run.".to_owned())
        }
        (State::Pending, None) => match approval.messages.last() {
            Some(message) if viewer.people.same_person(&message.by, viewer.person) => {
                said("It was sent", "Whoever waits for it is told.".to_owned())
            }
            _ => None,
        },
        _ => None,
    }
}

/// What somebody should do whose decision had no effect.
fn what_to_do(why: &Refused) -> String {
    let next = match why.code() {
        Code::OwnRequest | Code::NotReviewer | Code::NotRequester => "",
        Code::DigestMismatch => " The call below is the one that would run.",
        Code::AlreadyDecided => " Below is what was decided.",
        Code::Expired => " If it is still wanted, the agent asks again, and a new one shows up.",
        Code::StaleForm => " Look at it once more, and decide on this page.",
        _ => "",
    };
    let mut detail = why.detail().to_owned();
    if let Some(first) = detail.get_mut(0..1) {
        first.make_ascii_uppercase();
    }
    quoted(&format!("{}.{next}", detail.trim_end_matches('.')))
}

/// Messages quote as the command line does; pages as pages do.
fn quoted(text: &str) -> String {
    let mut parts = text.split('`');
    let mut out = parts.next().unwrap_or_default().to_owned();
    for (number, part) in parts.enumerate() {
        out.push(if number % 2 == 0 { '“' } else { '”' });
        out.push_str(part);
    }
    out
}

/// Digits of the digest that are typed to confirm, as in the command line.
const CONFIRM_DIGITS: usize = 4;
