//! Helpers of the tests of the canonical form.

mod bodies;
mod heads;
mod properties;

use bytes::Bytes;
use http::HeaderMap;
use http::HeaderValue;
use http::Method;

use super::super::call::Body;
use super::super::call::HttpRequest;
use super::super::digest::CanonicalHasher;
use super::super::digest::Sha256;
use super::hash_exactly;
use super::hash_request;

fn request() -> HttpRequest {
    let mut request = HttpRequest {
        method: Method::POST,
        scheme: "https",
        authority: "api.example.com".into(),
        path: "/customers".into(),
        query: Some("limit=5".into()),
        headers: HeaderMap::new(),
        body: Body::Read { bytes: Bytes::from_static(b"{}"), trailers: HeaderMap::new() },
        websocket: false,
    };
    request.headers.insert("content-type", HeaderValue::from_static("application/json"));
    request
}

fn digest(request: &HttpRequest) -> Sha256 {
    let mut hasher = CanonicalHasher::new("test");
    hash_request(request, &mut hasher);
    hasher.finish()
}

fn exact(request: &HttpRequest) -> Sha256 {
    let mut hasher = CanonicalHasher::new("test");
    hash_exactly(request, &mut hasher);
    hasher.finish()
}

fn with_body(content_type: &str, body: &[u8]) -> HttpRequest {
    let mut request = request();
    request.headers.insert("content-type", HeaderValue::try_from(content_type).unwrap());
    request.body = Body::Read { bytes: Bytes::copy_from_slice(body), trailers: HeaderMap::new() };
    request
}

fn body_digest(content_type: &str, body: impl AsRef<[u8]>) -> Sha256 {
    digest(&with_body(content_type, body.as_ref()))
}
