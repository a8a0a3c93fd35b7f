//! The example upstream: a small cloud API with customers and clusters. It wants a credential, and
//! writes down every request that it receives.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fs::File;
use std::io::Write;
use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use http::Method;
use http::Request;
use http::Response;
use http::StatusCode;
use http::header;
use http_body_util::BodyExt;
use http_body_util::Full;
use http_body_util::Limited;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use hyper_util::rt::TokioTimer;
use parking_lot::Mutex;
use serde_json::Value;
use serde_json::json;
use tokio::net::TcpListener;

/// A running example upstream, on a thread of its own until the process ends.
pub(super) struct ExampleUpstream {
    pub(super) address: SocketAddr,
}

struct State {
    token: String,
    customers: Mutex<BTreeMap<String, Value>>,
    clusters: Mutex<BTreeMap<String, Value>>,
    received: Mutex<File>,
}

impl ExampleUpstream {
    /// Starts it on a free port. Requests go to `upstream-received.jsonl` in `folder`.
    pub(super) fn start(folder: &Path) -> anyhow::Result<Self> {
        let token =
            std::fs::read_to_string(folder.join("upstream.token")).context("the upstream's token is missing")?;
        let received = File::options().create(true).append(true).open(folder.join("upstream-received.jsonl"))?;
        let state = Arc::new(State {
            token: token.trim().to_owned(),
            customers: Mutex::new(customers()),
            clusters: Mutex::new(clusters()),
            received: Mutex::new(received),
        });
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        std::thread::Builder::new().name("example-upstream".to_owned()).spawn(move || {
            runtime.block_on(serve(listener, state));
        })?;
        Ok(Self { address })
    }
}

async fn serve(listener: std::net::TcpListener, state: Arc<State>) {
    let Ok(listener) = TcpListener::from_std(listener) else { return };
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let state = Arc::clone(&state);
        let service = service_fn(move |request| {
            let state = Arc::clone(&state);
            async move { Ok::<_, Infallible>(answer(&state, request).await) }
        });
        tokio::spawn(async move {
            let connection =
                http1::Builder::new().timer(TokioTimer::new()).serve_connection(TokioIo::new(stream), service);
            // The proxy has hung up; that is its business.
            let _ = connection.await;
        });
    }
}

async fn answer(state: &State, request: Request<Incoming>) -> Response<Full<Bytes>> {
    let (parts, body) = request.into_parts();
    let Ok(body) = Limited::new(body, BODY_BYTES_MAX).collect().await else {
        return respond(StatusCode::PAYLOAD_TOO_LARGE, &json!({ "error": "the body is too long" }));
    };
    let body = body.to_bytes();
    let path = parts.uri.path().to_owned();
    let expected = format!("Bearer {}", state.token);
    let authorized =
        parts.headers.get(header::AUTHORIZATION).is_some_and(|value| value.as_bytes() == expected.as_bytes());
    state.note(&parts.method, parts.uri.path_and_query().map_or("", |target| target.as_str()), authorized, &body);
    if !authorized {
        return respond(StatusCode::UNAUTHORIZED, &json!({ "error": "this API wants its own credential" }));
    }
    let segments: Vec<&str> = path.split('/').filter(|segment| !segment.is_empty()).collect();
    let (status, value) = state.act(&parts.method, &segments, &body);
    respond(status, &value)
}

impl State {
    fn note(&self, method: &Method, target: &str, authorized: bool, body: &Bytes) {
        let line = json!({
            "method": method.as_str(),
            "target": target,
            "authorized": authorized,
            "body": String::from_utf8_lossy(body),
        });
        // It is a demo: a full disk shows in what is missing.
        let _ = writeln!(self.received.lock(), "{line}");
    }

    fn act(&self, method: &Method, segments: &[&str], body: &Bytes) -> (StatusCode, Value) {
        match (method, segments) {
            (&Method::GET, ["customers", "export"]) => {
                let customers: Vec<Value> = self.customers.lock().values().cloned().collect();
                (StatusCode::OK, json!({ "exported": customers.len(), "customers": customers }))
            }
            (&Method::POST, ["customers"]) => create(&self.customers, body),
            (&Method::GET, ["customers"]) => list(&self.customers),
            (&Method::GET, ["clusters"]) => list(&self.clusters),
            (&Method::GET, ["customers", id]) => show(&self.customers, id),
            (&Method::GET, ["clusters", id]) => show(&self.clusters, id),
            (&Method::DELETE, ["customers", id]) => delete(&self.customers, id),
            (&Method::DELETE, ["clusters", id]) => delete(&self.clusters, id),
            _ => (StatusCode::NOT_FOUND, json!({ "error": "there is nothing here" })),
        }
    }
}

type Table = Mutex<BTreeMap<String, Value>>;

fn list(table: &Table) -> (StatusCode, Value) {
    let items: Vec<Value> =
        table.lock().values().map(|item| json!({ "id": item["id"], "name": item["name"] })).collect();
    (StatusCode::OK, json!({ "items": items }))
}

fn show(table: &Table, id: &str) -> (StatusCode, Value) {
    let item = table.lock().get(id).cloned();
    item.map_or_else(|| missing(id), |item| (StatusCode::OK, item))
}

fn delete(table: &Table, id: &str) -> (StatusCode, Value) {
    let item = table.lock().remove(id);
    item.map_or_else(|| missing(id), |item| (StatusCode::OK, json!({ "deleted": item["id"] })))
}

fn create(table: &Table, body: &Bytes) -> (StatusCode, Value) {
    let Ok(Value::Object(mut item)) = serde_json::from_slice(body) else {
        return (StatusCode::BAD_REQUEST, json!({ "error": "send a JSON object with a `name`" }));
    };
    let mut table = table.lock();
    let id = format!("cus_{}", table.len() + 1);
    item.insert("id".to_owned(), Value::String(id.clone()));
    table.insert(id, Value::Object(item.clone()));
    (StatusCode::CREATED, Value::Object(item))
}

fn missing(id: &str) -> (StatusCode, Value) {
    (StatusCode::NOT_FOUND, json!({ "error": format!("there is no `{id}`") }))
}

fn respond(status: StatusCode, value: &Value) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(format!("{value}\n"))));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
    response
}

fn customers() -> BTreeMap<String, Value> {
    let rows = [
        ("cus_1", "Ada Park", "ada@example.org"),
        ("cus_2", "Ben Ode", "ben@example.org"),
        ("cus_3", "Cleo Wu", "cleo@example.org"),
    ];
    rows.iter().map(|(id, name, email)| ((*id).to_owned(), json!({ "id": id, "name": name, "email": email }))).collect()
}

fn clusters() -> BTreeMap<String, Value> {
    let rows = [("prod-1", "production"), ("staging-1", "staging")];
    rows.iter().map(|(id, name)| ((*id).to_owned(), json!({ "id": id, "name": name, "nodes": 12 }))).collect()
}

const BODY_BYTES_MAX: usize = 1 << 20;
