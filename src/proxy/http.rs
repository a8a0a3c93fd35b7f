//! One HTTP request from its arrival to its answer.

use std::collections::HashMap;
use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;
use std::time::Instant;

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::HeaderValue;
use http::Method;
use http::Request;
use http::Response;
use http::request;
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use tracing::Instrument;

use crate::credentials::Credential;
use crate::credentials::Injection;
use crate::gate::Admission;
use crate::gate::Admitted;
use crate::gate::Gate;
use crate::gate::Kept;
use crate::identity;
use crate::identity::AgentKeys;
use crate::identity::AuthMetrics;
use crate::identity::KeyKind;
use crate::model::Attempt;
use crate::model::Body;
use crate::model::Call;
use crate::model::CallId;
use crate::model::Clock;
use crate::model::HttpRequest;
use crate::model::IdSource;
use crate::model::Message;
use crate::model::Principal;
use crate::model::Refusal;
use crate::model::RefusalCode;
use crate::wire;
use crate::wire::Arrival;
use crate::wire::Head;
use crate::wire::Profile;
use crate::wire::WireMetrics;

use super::answer::Answer;
use super::connection::Limits;
use super::metrics::Metrics;
use super::own;
use super::payload::Downstream;
use super::route::Route;
use super::route::Routes;
use super::sse;
use super::sse::HeldFlag;
use super::upstream::Dedicated;
use super::upstream::Onward;

/// What the configuration says of routes, keys and credentials; replaced as a whole.
#[derive(Debug, Default)]
pub struct Snapshot {
    /// The ways to the upstreams.
    pub routes: Routes,
    /// The agents' keys.
    pub agents: AgentKeys,
    /// The credential profiles by name.
    pub credentials: HashMap<String, Arc<Credential>>,
}

/// What all cores share. Nothing in it changes on the path of a call.
#[derive(Debug)]
pub struct Shared {
    /// Routes, keys and credentials as configured now.
    pub snapshot: ArcSwap<Snapshot>,
    /// Decides.
    pub gate: Arc<Gate>,
    /// Asks the time.
    pub clock: Clock,
    /// Draws ids.
    pub ids: Arc<IdSource>,
    /// Counts.
    pub metrics: Metrics,
    /// Counts requests that cannot be read safely.
    pub wire_metrics: WireMetrics,
    /// Counts callers that are not known.
    pub auth_metrics: AuthMetrics,
    /// Limits of each connection.
    pub limits: Limits,
}

/// Answers one request, whatever happens to it. `watched` is set once its call is held.
///
/// Reads the head before there is a future, so that a call that waits carries the call and no head.
pub(super) fn handle(
    shared: Arc<Shared>,
    core: usize,
    arrival: Arc<Arrival>,
    request: Request<Incoming>,
    watched: HeldFlag,
) -> impl Future<Output = Result<Response<Answer>, Infallible>> + Send + 'static {
    let started = Instant::now();
    let received = shared.clock.now();
    let id = CallId::new(&shared.ids, received);
    let method = shared.metrics.method(request.method());
    let http1 = request.version() < http::Version::HTTP_2;
    let exchange = Exchange { shared, core, arrival, id, received };
    let asked = exchange.ask(request, watched);
    async move {
        let (route, profile, answered) = match asked {
            Ok(Asked::Own(answer)) => (None, Profile::UNKNOWN, answer.await),
            Ok(Asked::Call(asked)) => {
                let (route, profile, span) = (Arc::clone(&asked.route), asked.profile, asked.span.clone());
                let answered = if let Some(held) = asked.stream.clone() {
                    let exchange = exchange.clone();
                    let pending = Box::pin(async move { exchange.answer(asked).await }.instrument(span));
                    Box::pin(sse::answer(pending, held)).await
                } else {
                    exchange.answer(asked).instrument(span).await
                };
                (Some(route), profile, answered)
            }
            Err((profile, refusal)) => (None, profile, Err(refusal)),
        };
        let answer = answered.unwrap_or_else(|refusal| refused(profile, &refusal, id, http1));
        let metrics = route.as_ref().map_or(&exchange.shared.metrics.unrouted, |route| &route.metrics);
        metrics.answered(method, answer.status(), started.elapsed());
        Ok(answer)
    }
}

/// What a request turns out to be once its head has been read.
enum Asked {
    /// A call to an upstream.
    Call(Box<AskedCall>),
    /// A request to the agent's own endpoints, and what answers it.
    Own(sse::Pending),
}

struct AskedCall {
    call: Box<Call>,
    caller: Arc<Principal>,
    body: Downstream,
    upgrade: Option<OnUpgrade>,
    route: Arc<Route>,
    /// What is known of its SDK, which says how refusals look.
    profile: &'static Profile,
    span: tracing::Span,
    /// Says whether the call is being held, where the agent wants an event stream.
    stream: Option<HeldFlag>,
}

/// The route of a call, and its path there.
type Way = (Arc<Route>, String);

#[derive(Clone)]
struct Exchange {
    shared: Arc<Shared>,
    core: usize,
    arrival: Arc<Arrival>,
    id: CallId,
    received: crate::model::Timestamp,
}

impl Exchange {
    /// Reads the head, asks who calls, and finds the way. A refusal comes with the profile of the
    /// SDK that will read it.
    fn ask(&self, request: Request<Incoming>, watched: HeldFlag) -> Result<Asked, (&'static Profile, Refusal)> {
        let (mut parts, body) = request.into_parts();
        let mut body = Downstream::new(body, self.shared.limits.body_timeout, watched);
        let (head, principal, way) =
            self.read(&parts).map_err(|refusal| (wire::recognise(&parts.headers).profile, refusal))?;
        let Some((route, path)) = way else {
            let gate = Arc::clone(&self.shared.gate);
            return Ok(Asked::Own(Box::pin(async move {
                own::answer(gate.approvals(), &principal, &parts.method, &head, &parts.headers, body).await
            })));
        };
        // At `debug`, so that calls do not pay for a span that nobody sees; what is logged of a call at
        // other levels carries its ids itself.
        let span = tracing::debug_span!("call", call.id = %self.id, principal.id = %principal.id,
            http.request.method = %parts.method, server.address = %head.host, upstream = %route.facts.name);
        let upgrade = parts.extensions.remove::<OnUpgrade>();
        let profile = head.client.profile;
        // An answer to HEAD has no body to tell the verdict in.
        let wish = sse::wish(&parts.headers, profile.form).filter(|_| parts.method != Method::HEAD);
        let stream = wish.map(|wish| {
            let held = HeldFlag::default();
            body.flag(held.clone(), wish);
            held
        });
        let caller = Arc::clone(&principal);
        let call = Box::new(self.call(parts, head, principal, &route, path));
        Ok(Asked::Call(Box::new(AskedCall { call, caller, body, upgrade, route, profile, span, stream })))
    }

    /// Head, caller and way; no way for the agent's own endpoints. Nobody learns which routes there
    /// are before they have said who they are.
    fn read(&self, parts: &request::Parts) -> Result<(Head, Arc<Principal>, Option<Way>), Refusal> {
        let head = wire::read_head(parts, &self.arrival).map_err(|error| {
            self.shared.wire_metrics.refused(&error);
            error.refusal()
        })?;
        let snapshot = self.shared.snapshot.load();
        let principal = snapshot.agents.authenticate(&parts.headers, self.received).map_err(|error| {
            self.shared.auth_metrics.failed(KeyKind::Agent, &error);
            error.refusal()
        })?;
        if head.path.starts_with(own::PREFIX) {
            return Ok((head, principal, None));
        }
        let (route, path) = snapshot.routes.find(&head.host, &head.path).ok_or_else(|| {
            let detail = format!("no upstream is configured for the host `{}` and the path `{}`", head.host, head.path);
            Refusal::new(RefusalCode::NoRoute, detail)
        })?;
        let way = (Arc::clone(route), path.to_owned());
        Ok((head, principal, Some(way)))
    }

    async fn answer(&self, mut asked: Box<AskedCall>) -> Result<Response<Answer>, Refusal> {
        // Boxed, so that calls that are held do not carry the size of the way to the upstream; and
        // awaited outside of the match, whose value would be carried too.
        let forwarded = match self.shared.gate.admit(asked.call, &mut asked.body).await? {
            Admission::Admitted(admitted) => {
                Box::pin(self.forward(admitted, asked.caller, asked.body, asked.upgrade, asked.route))
            }
            Admission::Replayed(kept) => return replayed(&kept),
        };
        forwarded.await
    }

    async fn forward(
        &self,
        admitted: Admitted,
        caller: Arc<Principal>,
        body: Downstream,
        upgrade: Option<OnUpgrade>,
        route: Arc<Route>,
    ) -> Result<Response<Answer>, Refusal> {
        let (credential, dedicated, caller) = match self.prepare(&admitted, &route, caller).await {
            Ok(prepared) => prepared,
            Err(refusal) => return Err(admitted.refused(refusal)),
        };
        let approved = dedicated.is_some();
        // From here on the caller may leave at any await; the permit is claimed at the last moment.
        let permitted = admitted.permit(&caller).await?;
        let onward = Onward { core: self.core, arrival: Arc::clone(&self.arrival), credential, upgrade, dedicated };
        if approved {
            // A task of its own: once an approved call is sent, its outcome is worth knowing even
            // if the caller leaves.
            let route = Arc::clone(&route);
            let sending = tokio::spawn(async move { route.upstream.send(permitted, body, onward).await });
            return sending
                .await
                .map_err(|_| Refusal::new(RefusalCode::Internal, "the call was sent and then lost"))?;
        }
        route.upstream.send(permitted, body, onward).await
    }

    /// What is needed beside the call itself: its credential; and if people have approved it, a
    /// connection of its own, and its caller as it is known now.
    async fn prepare(
        &self,
        admitted: &Admitted,
        route: &Route,
        caller: Arc<Principal>,
    ) -> Result<(Option<Injection>, Option<Dedicated>, Arc<Principal>), Refusal> {
        let credential = self.credential(admitted, route).await?;
        let Some(approval) = admitted.approval() else { return Ok((credential, None, caller)) };
        let dedicated = Box::pin(route.upstream.open(approval)).await?;
        let caller = self.know_again(&caller).map_err(|refusal| refusal.about(approval))?;
        Ok((credential, Some(dedicated), caller))
    }

    /// A call can be held for longer than its key is good, or than the same people stand behind it.
    fn know_again(&self, principal: &Principal) -> Result<Arc<Principal>, Refusal> {
        let agents = &self.shared.snapshot.load().agents;
        agents.know_again(principal, self.shared.clock.now()).map_err(|error| {
            tracing::warn!(call.id = %self.id, principal.id = %principal.id, %error, "an approved call is not sent");
            self.shared.auth_metrics.failed(KeyKind::Agent, &error);
            error.refusal()
        })
    }

    /// The call as it is decided on and sent.
    fn call(&self, parts: request::Parts, head: Head, principal: Arc<Principal>, route: &Route, path: String) -> Call {
        let mut headers = parts.headers;
        identity::strip(&mut headers);
        wire::keep_end_to_end(&mut headers);
        if head.respond_async {
            wire::drop_respond_async(&mut headers);
        }
        let request = HttpRequest {
            method: parts.method,
            scheme: if self.arrival.tls { "https" } else { "http" },
            authority: head.authority,
            path,
            query: head.query,
            headers,
            body: Body::Unread,
            websocket: head.websocket,
        };
        Call {
            id: self.id,
            received: self.received,
            principal,
            upstream: Arc::clone(&route.facts),
            actions: route.dialect.classify(&request),
            message: Message::Http(request),
            reason: head.reason,
            context: head.context,
            // `read_head` has looked at its form.
            resumes: head.approval_id.and_then(|id| id.parse().ok()),
            respond_async: head.respond_async,
            patience: head.client.patience(),
            attempt: Attempt { of: head.client.call.id, number: head.client.call.attempt },
            hold_for: route.hold_for,
            source_ip: self.arrival.source_ip,
        }
    }

    /// The credential, fetched now: after the decision, and as configured at this moment.
    async fn credential(&self, admitted: &Admitted, route: &Route) -> Result<Option<Injection>, Refusal> {
        let named = admitted.credential().or(route.credential.as_deref());
        let Some(name) = named else { return Ok(None) };
        let unavailable = |cause: String| {
            tracing::error!(call.id = %self.id, credential = name, cause, "the upstream credential is not available");
            Refusal::new(
                RefusalCode::CredentialUnavailable,
                "the credential for the upstream is not available, so nothing was sent; ask the operator",
            )
        };
        let credential = self.shared.snapshot.load().credentials.get(name).cloned();
        let credential =
            credential.ok_or_else(|| unavailable("no credential of this name is configured".to_owned()))?;
        credential.fetch().await.map(Some).map_err(|error| unavailable(error.to_string()))
    }
}

/// The answer that a call had whose caller never got it.
fn replayed(kept: &Kept) -> Result<Response<Answer>, Refusal> {
    let id = HeaderValue::try_from(kept.approval.to_string());
    let id = id.map_err(|_| Refusal::new(RefusalCode::Internal, "an id is no field value"))?;
    let mut answer = Response::new(Answer::own(kept.body.clone()));
    *answer.status_mut() = kept.status;
    *answer.headers_mut() = kept.headers.clone();
    answer.headers_mut().insert("approval-id", id);
    answer.headers_mut().insert("approval-status", HeaderValue::from_static("replayed"));
    Ok(answer)
}

fn refused(caller: &Profile, refusal: &Refusal, id: CallId, http1: bool) -> Response<Answer> {
    let mut answer = wire::refuse(caller, refusal, Some(id)).map(|bytes: Bytes| Answer::own(bytes));
    if refusal.code == RefusalCode::ApprovalAccepted
        && let Some(location) = refusal.approval.and_then(|id| HeaderValue::try_from(own::location(id)).ok())
    {
        answer.headers_mut().insert(http::header::LOCATION, location);
        answer.headers_mut().insert("preference-applied", HeaderValue::from_static("respond-async"));
    }
    // What follows on this connection could be read in two ways too.
    if http1 && matches!(refusal.code, RefusalCode::BadRequest | RefusalCode::Misdirected | RefusalCode::Draining) {
        answer.headers_mut().insert(http::header::CONNECTION, HeaderValue::from_static("close"));
    }
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size<A, B, C, D, E, F: Future>(_: fn(A, B, C, D, E) -> F) -> usize {
        size_of::<F>()
    }

    /// A held call costs at least this, whatever else it needs. What has grown can most likely be
    /// boxed where it is only needed for a moment.
    #[test]
    fn a_call_that_waits_is_small() {
        assert!(size(handle) <= 768, "{} bytes", size(handle));
    }
}
