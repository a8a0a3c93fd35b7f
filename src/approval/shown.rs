//! The request as reviewers see it: all of it, less the values that the policy hides from them.
//!
//! A hidden value is replaced by a hash that begins with a secret, so that the same value looks the
//! same twice and nobody can try values out. What cannot be searched for hidden values, because it
//! is not the JSON or the form that it might be, is hidden whole. The digest of the call covers the
//! true bytes all the same.

use std::collections::BTreeSet;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use http::header::CONTENT_TYPE;

use crate::audit::SigningKey;
use crate::model::ApprovalId;
use crate::model::Body;
use crate::model::CanonicalHasher;
use crate::model::HttpRequest;
use crate::model::RequestPart;
use crate::model::RequestPointer;
use crate::model::Sha256;

use super::json_spans;
use super::record::RequestLine;
use super::record::ShownRequest;

/// What the hashes of one approval begin with: nobody but the holder of `key` can know it, and they
/// need not keep it.
pub(super) fn secret(id: ApprovalId, key: &SigningKey) -> Sha256 {
    Sha256::of(&key.sign(format!("holdpoint/redaction/v1 {id}").as_bytes()))
}

/// `request` with everything that `redact` points to replaced by its hash.
pub(super) fn show(request: &HttpRequest, redact: &[RequestPointer], secret: Sha256) -> ShownRequest {
    let empty = HeaderMap::new();
    let (bytes, trailers): (&[u8], &HeaderMap) = match &request.body {
        Body::Read { bytes, trailers } => (bytes, trailers),
        Body::Absent | Body::Unread => (&[], &empty),
    };
    let mut hider = Hider { redact, secret, used: BTreeSet::new() };
    let body = hider.body(bytes, &request.headers);
    let mut headers = hider.fields(&request.headers, "", body.is_hidden);
    headers.extend(hider.fields(trailers, "trailer ", body.is_hidden));
    let target = match &request.query {
        Some(query) => format!("{}?{}", request.path, hider.form(query, RequestPart::Query)),
        None => request.target(),
    };
    ShownRequest {
        line: RequestLine { method: request.method.to_string(), authority: request.authority.clone(), target },
        headers,
        body_bytes: bytes.len() as u64,
        body_sha256: if body.is_hidden { hider.hash(bytes) } else { Sha256::of(bytes) },
        body_text: body.text.filter(|text| !text.is_empty()),
        body_base64: body.base64,
        redacted: hider.used.into_iter().cloned().collect(),
    }
}

struct Hider<'a> {
    redact: &'a [RequestPointer],
    secret: Sha256,
    /// Those that have hidden something.
    used: BTreeSet<&'a RequestPointer>,
}

/// A body as it is shown.
struct ShownBody {
    text: Option<String>,
    base64: Option<String>,
    /// True if any of it is hidden.
    is_hidden: bool,
}

impl<'a> Hider<'a> {
    fn hash(&self, value: &[u8]) -> Sha256 {
        let mut hasher = CanonicalHasher::new("holdpoint/redacted/v1");
        hasher.field(self.secret.as_bytes());
        hasher.field(value);
        hasher.finish()
    }

    /// What stands in the place of `value`.
    fn mark(&self, value: &[u8]) -> String {
        let digits: String = self.hash(value).to_string().chars().filter(char::is_ascii_hexdigit).take(16).collect();
        format!("[redacted:{digits}]")
    }

    fn pointers(&self, part: RequestPart) -> Vec<&'a RequestPointer> {
        self.redact.iter().filter(|pointer| pointer.part() == part).collect()
    }

    fn fields(&mut self, fields: &HeaderMap, prefix: &str, hides_body: bool) -> Vec<(String, String)> {
        let pointers = self.pointers(RequestPart::Headers);
        let mut shown = Vec::with_capacity(fields.len());
        for (name, value) in fields {
            let meant = |token: &String| token == "*" || token.eq_ignore_ascii_case(name.as_str());
            let meant: Vec<_> = pointers.iter().filter(|pointer| pointer.tokens().iter().all(meant)).collect();
            self.used.extend(meant.iter().copied().copied());
            // A plain hash of the body would let anybody try values out.
            let hashes_body = hides_body && BODY_HASHES.contains(&name.as_str());
            let text = match hashes_body || !meant.is_empty() {
                true => self.mark(value.as_bytes()),
                false => String::from_utf8_lossy(value.as_bytes()).into_owned(),
            };
            shown.push((format!("{prefix}{name}"), text));
        }
        // A stable sort: the values of one name stay in their own order.
        shown.sort_by(|(left, _), (right, _)| left.cmp(right));
        shown
    }

    fn body(&mut self, bytes: &[u8], headers: &HeaderMap) -> ShownBody {
        let pointers = self.pointers(RequestPart::Body);
        let text = std::str::from_utf8(bytes).ok();
        if pointers.is_empty() || bytes.is_empty() {
            let base64 = text.is_none().then(|| STANDARD.encode(bytes));
            return ShownBody { text: text.map(ToOwned::to_owned), base64, is_hidden: false };
        }
        let used_before = self.used.len();
        let shown = match text {
            _ if pointers.iter().any(|pointer| pointer.tokens().is_empty()) => None,
            Some(text) => match (json_spans::is_json(text), is_form(headers)) {
                (true, false) => Some(self.json(text, &pointers)),
                (false, true) => Some(self.form(text, RequestPart::Body)),
                // Neither, or what two readers would read differently.
                (false, false) | (true, true) => None,
            },
            None => None,
        };
        match shown {
            Some(text) => ShownBody { text: Some(text), base64: None, is_hidden: self.used.len() > used_before },
            None => {
                self.used.extend(pointers);
                ShownBody { text: Some(self.mark(bytes)), base64: None, is_hidden: true }
            }
        }
    }

    /// JSON with its own layout, and another text in the place of what is hidden.
    fn json(&mut self, text: &str, pointers: &[&'a RequestPointer]) -> String {
        let mut spans: Vec<(usize, usize)> = Vec::new();
        for pointer in pointers {
            let found = json_spans::find(text, pointer.tokens());
            if !found.is_empty() {
                self.used.insert(pointer);
            }
            spans.extend(found);
        }
        // The outermost first, so that what lies within another is passed over.
        spans.sort_by(|a, b| a.0.cmp(&b.0).then(b.1.cmp(&a.1)));
        let mut shown = String::with_capacity(text.len());
        let mut at = 0;
        for (start, end) in spans {
            if start < at {
                continue;
            }
            shown.push_str(text.get(at..start).unwrap_or_default());
            let value = text.get(start..end).unwrap_or_default();
            shown.push_str(&format!("\"{}\"", self.mark(value.as_bytes())));
            at = end;
        }
        shown.push_str(text.get(at..).unwrap_or_default());
        shown
    }

    /// A form or a query with its own layout, and another text in the place of what is hidden.
    fn form(&mut self, text: &str, part: RequestPart) -> String {
        let pointers = self.pointers(part);
        if pointers.is_empty() {
            return text.to_owned();
        }
        let pairs = text.split('&').map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let meant: Vec<_> = pointers.iter().filter(|pointer| is_meant(pointer.tokens(), name)).collect();
            match pair.split_once('=') {
                Some(_) if !meant.is_empty() => {
                    self.used.extend(meant.iter().copied().copied());
                    format!("{name}={}", self.mark(value.as_bytes()))
                }
                Some(_) | None => pair.to_owned(),
            }
        });
        pairs.collect::<Vec<_>>().join("&")
    }
}

/// True if `tokens` lead to the field `name`, which may be written `card[number]`, to something in
/// it, or to all fields.
fn is_meant(tokens: &[String], name: &str) -> bool {
    let name = percent_encoding::percent_decode_str(&name.replace('+', " ")).decode_utf8_lossy().into_owned();
    let parts: Vec<&str> = name.split(['[', ']']).filter(|part| !part.is_empty()).collect();
    let agrees = |token: &String, part: &str| token == "*" || token == part;
    let nested = tokens.iter().zip(&parts).all(|(token, part)| agrees(token, part));
    nested || tokens.first().is_some_and(|token| agrees(token, &name))
}

fn is_form(headers: &HeaderMap) -> bool {
    headers.get_all(CONTENT_TYPE).iter().any(|value| {
        let value = String::from_utf8_lossy(value.as_bytes()).to_ascii_lowercase();
        value.split(';').next().unwrap_or_default().trim() == "application/x-www-form-urlencoded"
    })
}

/// Fields that hold a hash of the body.
const BODY_HASHES: [&str; 5] = ["content-digest", "repr-digest", "digest", "content-md5", "x-amz-content-sha256"];

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::HeaderName;
    use http::HeaderValue;
    use http::Method;

    use super::*;

    const JSON: &[(&str, &str)] = &[("content-type", "application/json")];
    const FORM: &[(&str, &str)] = &[("content-type", "application/x-www-form-urlencoded; charset=utf-8")];

    fn request(query: Option<&str>, fields: &[(&str, &str)], body: &[u8]) -> HttpRequest {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(name.parse::<HeaderName>().unwrap(), HeaderValue::from_str(value).unwrap());
        }
        HttpRequest {
            method: Method::POST,
            scheme: "https",
            authority: "api.example.com".to_owned(),
            path: "/pay".to_owned(),
            query: query.map(str::to_owned),
            headers,
            body: Body::Read { bytes: Bytes::copy_from_slice(body), trailers: HeaderMap::new() },
            websocket: false,
        }
    }

    fn shown(request: &HttpRequest, redact: &str) -> ShownRequest {
        let redact: Vec<RequestPointer> = redact.split_whitespace().map(|text| text.parse().unwrap()).collect();
        show(request, &redact, Sha256::of(b"secret"))
    }

    /// Hashes as `#`, so that cases can be read.
    fn plain(text: &str) -> String {
        let mut parts = text.split("[redacted:");
        let first = parts.next().unwrap_or_default().to_owned();
        parts.fold(first, |text, part| format!("{text}#{}", &part[17..]))
    }

    #[test]
    fn what_a_pointer_leads_to_is_hidden_and_nothing_else() {
        let body = r#"{ "card": {"number": 4242, "pin":"1"}, "items":[{"pin":2},{"pin":3}], "n": 1.50 }"#;
        for (redact, expected, used) in [
            (
                "/body/card/number",
                r##"{ "card": {"number": "#", "pin":"1"}, "items":[{"pin":2},{"pin":3}], "n": 1.50 }"##,
                "/body/card/number",
            ),
            (
                "/body/items/*/pin /body/n",
                r##"{ "card": {"number": 4242, "pin":"1"}, "items":[{"pin":"#"},{"pin":"#"}], "n": "#" }"##,
                "/body/items/*/pin /body/n",
            ),
            (
                "/body/card /body/card/pin",
                r##"{ "card": "#", "items":[{"pin":2},{"pin":3}], "n": 1.50 }"##,
                "/body/card /body/card/pin",
            ),
            ("/body/nothing /body/card/number/x /query/n /headers/n", body, ""),
            ("/body", "#", "/body"),
        ] {
            let shown = shown(&request(None, JSON, body.as_bytes()), redact);
            assert_eq!(plain(shown.body_text.as_deref().unwrap()), expected, "{redact}");
            let found: Vec<String> = shown.redacted.iter().map(ToString::to_string).collect();
            assert_eq!(found.join(" "), used, "{redact}");
            assert_eq!(shown.body_sha256 == Sha256::of(body.as_bytes()), used.is_empty(), "{redact}");
            assert_eq!(shown.body_bytes, body.len() as u64);
        }
    }

    #[test]
    fn a_body_that_cannot_be_searched_is_hidden_whole() {
        type Fields = &'static [(&'static str, &'static str)];
        let cases: [(Fields, &[u8], &str); 12] = [
            (JSON, b"{\"pin\": 1}", "{\"pin\": \"#\"}"),
            (JSON, b"{\"pin\": 1", "#"),
            (JSON, b"{\"pin\": 1} {\"pin\": 2}", "#"),
            (JSON, b"\xef\xbb\xbf{\"pin\": 1}", "#"),
            (JSON, b"pin=1", "#"),
            (JSON, b"\xff", "#"),
            (&[], b"pin=1", "#"),
            (&[("content-type", "multipart/form-data; boundary=x")], b"--x\r\n", "#"),
            (&[], b"{\"pin\": 1}", "{\"pin\": \"#\"}"),
            (FORM, b"a=1&pin=1234&p%69n=5&pin%5Bx%5D=6&pi+n=7", "a=1&pin=#&p%69n=#&pin%5Bx%5D=#&pi+n=7"),
            // JSON to one reader, a form to the other.
            (FORM, b"{\"pin\": 1}", "#"),
            (
                &[("content-type", "text/plain"), ("content-type", "application/x-www-form-urlencoded")],
                b"pin=1",
                "pin=#",
            ),
        ];
        for (fields, body, expected) in cases {
            let shown = shown(&request(None, fields, body), "/body/pin");
            let text = String::from_utf8_lossy(body);
            assert_eq!(
                (plain(shown.body_text.as_deref().unwrap()).as_str(), &shown.body_base64),
                (expected, &None),
                "{text}"
            );
        }
        let nothing = shown(&request(None, JSON, b""), "/body/pin");
        assert_eq!((nothing.body_text, nothing.redacted), (None, Vec::new()));
        let binary = shown(&request(None, JSON, b"\xff"), "/query/pin");
        assert_eq!(binary.body_base64.as_deref(), Some("/w=="));
    }

    #[test]
    fn queries_and_fields_are_hidden_by_name_wherever_they_are_shown() {
        let fields = [("x-pin", "1"), ("X-PIN", "2"), ("x-other", "3"), ("content-digest", "sha-256=:abc:")];
        let request = request(Some("a=1&token=x%20y&to%6ben=z&token&b"), &fields, b"{\"pin\": 1}");
        let all = shown(&request, "/query/token /headers/X-Pin /body/pin");
        assert_eq!(plain(&all.line.target), "/pay?a=1&token=#&to%6ben=#&token&b");
        let shown_fields: Vec<String> =
            all.headers.iter().map(|(name, value)| format!("{name}: {}", plain(value))).collect();
        assert_eq!(shown_fields, ["content-digest: #", "x-other: 3", "x-pin: #", "x-pin: #"]);
        assert_eq!(plain(&shown(&request, "/query").line.target), "/pay?a=#&token=#&to%6ben=#&token&b");
        assert!(shown(&request, "/headers").headers.iter().all(|(_, value)| plain(value) == "#"));
        assert_eq!(shown(&request, "").line.target, request.target());
    }

    #[test]
    fn a_hash_is_the_same_twice_and_needs_the_secret() {
        let request = request(None, JSON, b"{\"a\": 1, \"b\": 1, \"c\": 2}");
        let redact: Vec<RequestPointer> = vec!["/body/*".parse().unwrap()];
        let text = |secret: &[u8]| show(&request, &redact, Sha256::of(secret)).body_text.unwrap();
        let marks =
            |text: String| text.split('"').filter(|part| part.starts_with('[')).map(str::to_owned).collect::<Vec<_>>();
        let (one, other) = (marks(text(b"one")), marks(text(b"other")));
        assert_eq!(one[0], one[1]);
        assert_ne!(one[0], one[2]);
        assert_ne!(one[0], other[0]);
        assert_ne!(show(&request, &redact, Sha256::of(b"one")).hash(), show(&request, &[], Sha256::of(b"one")).hash());
    }
}
