//! Helpers of the tests of this room.

mod client;
mod fields;
mod head;
mod problem;
mod properties;

use std::net::IpAddr;

use http::HeaderMap;
use http::HeaderName;
use http::HeaderValue;
use http::Method;
use http::Request;
use http::Uri;
use http::Version;
use http::request::Parts;

use super::*;

fn arrival(tls: bool, sni: Option<&str>) -> Arrival {
    Arrival { tls, sni: sni.map(str::to_owned), source_ip: IpAddr::from([192, 0, 2, 7]) }
}

/// `METHOD target [2]` and then `name: value` fields, divided by ` | `.
fn parts(text: &str) -> Parts {
    let mut lines = text.split(" | ");
    let mut start = lines.next().unwrap().split(' ');
    let (method, target) = (start.next().unwrap(), start.next().unwrap());
    let (mut parts, ()) = Request::new(()).into_parts();
    parts.method = Method::from_bytes(method.as_bytes()).unwrap();
    parts.uri = Uri::try_from(target.as_bytes()).unwrap();
    parts.version = match start.next() {
        Some("2") => Version::HTTP_2,
        Some("1.0") => Version::HTTP_10,
        _ => Version::HTTP_11,
    };
    parts.headers = fields(lines);
    parts
}

fn fields<'a>(lines: impl IntoIterator<Item = &'a str>) -> HeaderMap {
    let mut fields = HeaderMap::new();
    for line in lines {
        let (name, value) = line.split_once(": ").unwrap_or((line.trim_end_matches(':'), ""));
        fields.append(name.parse::<HeaderName>().unwrap(), HeaderValue::from_bytes(value.as_bytes()).unwrap());
    }
    fields
}

fn read(text: &str) -> Result<Head, WireError> {
    read_head(&parts(text), &arrival(true, Some("a.example")))
}

fn path_word(path: &str) -> String {
    match read(&format!("GET {path} | host: a.example")) {
        Ok(head) if head.path == path => "ok".to_owned(),
        Ok(head) => format!("changed to {}", head.path),
        Err(WireError::Path { fault, .. }) => format!("{fault:?}"),
        Err(error) => error.reason().to_owned(),
    }
}

fn listed(fields: &HeaderMap) -> Vec<String> {
    let mut lines: Vec<_> = fields.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect();
    lines.sort();
    lines
}
