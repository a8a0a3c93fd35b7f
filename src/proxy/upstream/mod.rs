//! One upstream: how it is reached, and the only place from which a call leaves.

use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;
use http::HeaderValue;
use http::Request;
use http::Response;
use http::Uri;
use http::header;
use http_body::Body as _;
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::Error as ClientError;
use hyper_util::rt::TokioExecutor;
use hyper_util::rt::TokioTimer;
use ipnet::IpNet;
use tokio::time::timeout;
use tokio::time::timeout_at;

use crate::approval::Ending;
use crate::credentials::Injection;
use crate::gate::Permit;
use crate::gate::Permitted;
use crate::gate::Recording;
use crate::model::ApprovalId;
use crate::model::Call;
use crate::model::KeptBodyError;
use crate::model::Message;
use crate::model::Refusal;
use crate::model::RefusalCode;
use crate::wire;
use crate::wire::Arrival;

use super::answer::Answer;
use super::payload::Downstream;
use super::payload::LastByte;
use super::payload::Outgoing;
use super::upgrade;

mod connector;
mod dedicated;

use connector::Connector;
pub use connector::UpstreamError;
pub(super) use dedicated::Dedicated;

/// How an upstream is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamSettings {
    /// `https` or `http`, host and port; no path.
    pub url: Uri,
    /// Private roots in PEM; the platform's if there are none.
    pub ca: Option<PathBuf>,
    /// Addresses that are allowed although they are link-local.
    pub allow_addresses: Vec<IpNet>,
    /// Its time-outs.
    pub timeouts: Timeouts,
}

/// How long an upstream may take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// To be connected to, TLS and all.
    pub connect: Duration,
    /// From the last byte of the request to the head of its answer.
    pub response: Duration,
    /// Between two pieces of a body, or of a WebSocket.
    pub idle: Duration,
    /// For a connection that nobody uses, to be kept.
    pub pool_idle: Duration,
}

/// One upstream.
#[derive(Debug)]
pub struct Upstream {
    scheme: http::uri::Scheme,
    authority: http::uri::Authority,
    host: HeaderValue,
    timeouts: Timeouts,
    connector: Connector,
    /// The connections of each core.
    cores: Vec<Client<Connector, Outgoing>>,
}

/// What goes along with a permitted call.
#[derive(Debug)]
pub(super) struct Onward {
    /// The core that the call runs on.
    pub(super) core: usize,
    /// How the agent's request arrived.
    pub(super) arrival: Arc<Arrival>,
    /// The credential, if the upstream wants one.
    pub(super) credential: Option<Injection>,
    /// The agent's side of a WebSocket.
    pub(super) upgrade: Option<OnUpgrade>,
    /// The connection of an approved call.
    pub(super) dedicated: Option<Dedicated>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
enum SendError {
    #[error(transparent)]
    Pooled(ClientError),
    #[error(transparent)]
    Dedicated(hyper::Error),
    #[error("there is no client for this core")]
    NoClient,
}

impl SendError {
    /// Whether not a byte of the call can have left.
    fn is_before_sending(&self) -> bool {
        match self {
            Self::Pooled(error) => error.is_connect(),
            Self::Dedicated(_) => false,
            Self::NoClient => true,
        }
    }
}

impl Upstream {
    /// An upstream for so many cores. Connects to nothing yet.
    ///
    /// # Errors
    /// [`UpstreamError`] if the URL or the roots cannot be used.
    pub fn new(settings: &UpstreamSettings, cores: usize) -> Result<Self, UpstreamError> {
        let connector = Connector::new(settings)?;
        let parts = settings.url.clone().into_parts();
        let (Some(scheme), Some(authority)) = (parts.scheme, parts.authority) else {
            return Err(UpstreamError::Url(settings.url.to_string()));
        };
        let host =
            HeaderValue::try_from(authority.as_str()).map_err(|_| UpstreamError::Url(settings.url.to_string()))?;
        let client = || {
            Client::builder(TokioExecutor::new())
                .pool_timer(TokioTimer::new())
                .timer(TokioTimer::new())
                .pool_idle_timeout(settings.timeouts.pool_idle)
                .pool_max_idle_per_host(IDLE_CONNECTIONS_MAX)
                .set_host(false)
                .build(connector.clone())
        };
        let cores = (0..cores.max(1)).map(|_| client()).collect();
        Ok(Self { scheme, authority, host, timeouts: settings.timeouts.clone(), connector, cores })
    }

    /// Opens a connection for one approved call, before it is claimed. An approved call never takes
    /// a connection that was used before: one that the upstream is just closing would leave its
    /// outcome unknown.
    ///
    /// # Errors
    /// A refusal if the upstream cannot be reached; the approval is not used up.
    pub(super) async fn open(&self, approval: ApprovalId) -> Result<Dedicated, Refusal> {
        Dedicated::open(&self.connector).await.map_err(|error| {
            let cause = chain(error.as_ref());
            tracing::warn!(upstream = %self.authority, approval.id = %approval, cause, "the upstream cannot be reached");
            let detail = "the upstream cannot be reached, so nothing was sent; send the call again, its approval still stands";
            Refusal::new(RefusalCode::UpstreamUnreachable, detail).about(approval)
        })
    }

    /// Sends a permitted call and answers with what the upstream says. The permit records how it
    /// ended.
    ///
    /// # Errors
    /// A refusal if the upstream cannot be reached, breaks off, or takes too long.
    pub(super) async fn send(
        &self,
        permitted: Permitted,
        downstream: Downstream,
        onward: Onward,
    ) -> Result<Response<Answer>, Refusal> {
        let Onward { core, arrival, credential, upgrade, dedicated } = onward;
        let (call, permit) = permitted.spend();
        let id = call.id;
        let secret = credential.clone();
        let request = match self.request(call, downstream, &arrival, credential) {
            Ok(request) => request,
            Err(refusal) => {
                permit.end(Ending::NotSent { reason: "the request cannot be built".to_owned() });
                return Err(refusal);
            }
        };
        let approval = permit.approval();
        let websocket = request.headers().contains_key(header::UPGRADE);
        let (last, damage) = (request.body().last_byte(), request.body().damage());
        let exchange = async {
            match (dedicated, self.cores.get(core).or(self.cores.first())) {
                (Some(dedicated), _) => dedicated.send(request).await.map_err(SendError::Dedicated),
                (None, Some(client)) => client.request(request).await.map_err(SendError::Pooled),
                (None, None) => Err(SendError::NoClient),
            }
        };
        let response = match in_time(exchange, last, self.timeouts.response).await {
            Some(Ok(response)) => response,
            Some(Err(error)) => {
                return Err(match damage.reason() {
                    Some(reason) => self.not_whole(permit, reason),
                    None => self.broken(permit, &error),
                });
            }
            None => return Err(self.late(permit)),
        };
        tracing::debug!(call.id = %id, status = response.status().as_u16(), "the upstream has answered");
        let recording = permit.answered(response.status().as_u16());
        self.pass_on(response, secret.as_ref(), approval, recording, upgrade.filter(|_| websocket))
    }

    /// The request as it goes out: what was decided on, then what we write ourselves, the
    /// credential last.
    fn request(
        &self,
        call: Call,
        downstream: Downstream,
        arrival: &Arrival,
        credential: Option<Injection>,
    ) -> Result<Request<Outgoing>, Refusal> {
        let Message::Http(asked) = call.message;
        let target = asked.target().parse::<http::uri::PathAndQuery>().map_err(|_| internal())?;
        let uri = Uri::builder()
            .scheme(self.scheme.clone())
            .authority(self.authority.clone())
            .path_and_query(target)
            .build()
            .map_err(|_| internal())?;
        let mut headers = asked.headers;
        wire::write_forwarded(&mut headers, arrival, &asked.authority);
        headers.insert(header::HOST, self.host.clone());
        if asked.websocket {
            wire::write_websocket_upgrade(&mut headers);
        }
        let body = downstream.into_outgoing(asked.body);
        // Without it, hyper leaves the body of a GET or HEAD away unless its length is known. Over
        // HTTP/2, where it does not exist, hyper removes it.
        if !body.is_end_stream() && body.size_hint().exact().is_none() {
            headers.insert(header::TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
        }
        if let Some(names) = body.trailer_names() {
            headers.insert(header::TRAILER, HeaderValue::try_from(names).map_err(|_| internal())?);
        }
        if let Some(credential) = credential {
            credential.apply(&mut headers);
        }
        let mut request = Request::new(body);
        *request.method_mut() = asked.method;
        *request.uri_mut() = uri;
        *request.headers_mut() = headers;
        Ok(request)
    }

    fn broken(&self, permit: Permit, error: &SendError) -> Refusal {
        let (cause, approval, decision) = (chain(error), permit.approval(), permit.decision());
        tracing::warn!(upstream = %self.authority, decision.id = %decision, cause, "the upstream failed");
        let refusal = if error.is_before_sending() {
            permit.end(Ending::NotSent { reason: format!("the upstream cannot be reached: {cause}") });
            Refusal::new(RefusalCode::UpstreamUnreachable, "the upstream cannot be reached, so nothing was sent")
        } else {
            permit.end(Ending::Unknown { reason: format!("the upstream broke off: {cause}") });
            let detail = "the upstream broke off before it had answered; whether the call ran is not known";
            Refusal::new(RefusalCode::UpstreamBroke, detail)
        };
        about(refusal, approval).decided(decision)
    }

    /// What was kept of the body is not what was decided on, so its end was not sent.
    fn not_whole(&self, permit: Permit, reason: &KeptBodyError) -> Refusal {
        let (approval, decision) = (permit.approval(), permit.decision());
        tracing::error!(upstream = %self.authority, decision.id = %decision, %reason, "a call was cut off while it was sent");
        permit.end(Ending::Unknown { reason: format!("{reason}; the end of the call was not sent") });
        let detail = "the body of this call could not be read back as it was, so its end was not sent; what the \
                      upstream made of the rest is not known";
        about(Refusal::new(RefusalCode::Internal, detail), approval).decided(decision)
    }

    fn late(&self, permit: Permit) -> Refusal {
        let (approval, decision) = (permit.approval(), permit.decision());
        let seconds = self.timeouts.response.as_secs();
        permit.end(Ending::Unknown { reason: format!("the upstream did not answer within {seconds} s") });
        let detail = format!("the upstream did not answer within {seconds} s; whether the call ran is not known");
        about(Refusal::new(RefusalCode::UpstreamTimeout, detail), approval).decided(decision)
    }

    fn pass_on(
        &self,
        mut response: Response<Incoming>,
        secret: Option<&Injection>,
        approval: Option<ApprovalId>,
        recording: Option<Recording>,
        downstream: Option<OnUpgrade>,
    ) -> Result<Response<Answer>, Refusal> {
        let switching = response.status() == http::StatusCode::SWITCHING_PROTOCOLS;
        let accepted = response.headers().get(header::SEC_WEBSOCKET_ACCEPT).cloned();
        wire::keep_end_to_end_response(response.headers_mut());
        hide(response.headers_mut(), secret);
        let recording = recording.map(|mut recording| {
            recording.head(response.status(), response.headers());
            recording
        });
        if let Some(id) = approval {
            let value = HeaderValue::try_from(id.to_string()).map_err(|_| internal())?;
            response.headers_mut().insert("approval-id", value);
            response.headers_mut().insert("approval-status", HeaderValue::from_static("approved"));
        }
        if !switching {
            let pause_max = self.timeouts.idle;
            return Ok(response.map(|incoming| Answer::upstream(incoming, pause_max, recording)));
        }
        let (Some(downstream), Some(accepted)) = (downstream, accepted) else {
            let detail = "the upstream switched to a protocol that nobody asked for";
            return Err(about(Refusal::new(RefusalCode::UpstreamBroke, detail), approval));
        };
        let upstream = hyper::upgrade::on(&mut response);
        tokio::spawn(upgrade::tunnel(downstream, upstream, self.timeouts.idle));
        let headers = response.headers_mut();
        wire::write_websocket_upgrade(headers);
        headers.insert(header::SEC_WEBSOCKET_ACCEPT, accepted);
        Ok(response.map(|_| Answer::own(bytes::Bytes::new())))
    }
}

/// The answer, unless it has not come `within` that time since the last byte of the request. A
/// body that comes in pieces may take longer, as long as pieces come.
async fn in_time<T>(answer: impl Future<Output = T>, last: Option<LastByte>, within: Duration) -> Option<T> {
    let Some(last) = last else { return timeout(within, answer).await.ok() };
    let mut answer = std::pin::pin!(answer);
    loop {
        let seen = last.at();
        match timeout_at(seen + within, &mut answer).await {
            Ok(answer) => return Some(answer),
            Err(_) if last.at() == seen => return None,
            Err(_) => {}
        }
    }
}

/// An upstream that echoes what it is sent would hand its credential to the agent.
fn hide(headers: &mut HeaderMap, secret: Option<&Injection>) {
    let Some(secret) = secret else { return };
    while let Some((name, _)) = headers.iter().find(|(_, value)| secret.is_shown_in(value)) {
        let name = name.clone();
        tracing::error!(header = %name, "the upstream echoes its credential; the field is not passed on");
        headers.remove(name);
    }
}

fn about(refusal: Refusal, approval: Option<ApprovalId>) -> Refusal {
    match approval {
        Some(id) => refusal.about(id),
        None => refusal,
    }
}

fn internal() -> Refusal {
    Refusal::new(RefusalCode::Internal, "the request cannot be passed on; nothing was sent")
}

/// An error with its causes, in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |error| error.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

/// Connections that are kept for the next call, for each core.
const IDLE_CONNECTIONS_MAX: usize = 256;
