//! The request as reviewers see it: all of it, less the values that the policy hides from them.
//!
//! A hidden value is replaced by a hash that begins with a secret, so that the same value looks the
//! same twice and nobody can try values out. What cannot be searched for hidden values, because it
//! is not the JSON or the form that it might be, or is too long for memory, is hidden whole, and held
//! only if the policy hides it whole. Of a body in a content coding, people see what it stands for, and
//! that is what is searched. The digest of the call covers the true bytes all the same.

use std::collections::BTreeSet;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::HeaderMap;
use http::header::CONTENT_TYPE;

use crate::audit::SigningKey;
use crate::model::ApprovalId;
use crate::model::Body;
use crate::model::CanonicalHasher;
use crate::model::HttpRequest;
use crate::model::KeptBody;
use crate::model::MemoryBody;
use crate::model::RequestPart;
use crate::model::RequestPointer;
use crate::model::Sha256;

use super::json_spans;
use super::record::DecodedBody;
use super::record::ReadableBody;
use super::record::RequestLine;
use super::record::SHOWN_BYTES_MAX;
use super::record::ShownRequest;

/// What the hashes of one approval begin with: nobody but the holder of `key` can know it, and they
/// need not keep it.
pub(super) fn secret(id: ApprovalId, key: &SigningKey) -> Sha256 {
    Sha256::of(&key.sign(format!("holdpoint/redaction/v1 {id}").as_bytes()))
}

/// What reviewers see of a call.
pub(super) struct Shown {
    /// What stands on one page.
    pub(super) request: ShownRequest,
    /// The body as people read it, if it is too long to stand there. Nothing hidden is in it.
    pub(super) long_body: Option<Arc<dyn KeptBody>>,
    /// True if more is hidden than the policy asks for, since the body could not be searched: then
    /// nobody could know what they approve.
    pub(super) is_blind: bool,
}

/// `request` with everything that `redact` points to replaced by its hash.
pub(super) fn show(request: &HttpRequest, redact: &[RequestPointer], secret: Sha256) -> Shown {
    let empty = HeaderMap::new();
    let mut hider = Hider { redact, secret, used: BTreeSet::new() };
    let body = hider.body(&request.body, &request.headers);
    let mut headers = hider.fields(&request.headers, "", body.is_hidden);
    headers.extend(hider.fields(request.body.trailers().unwrap_or(&empty), "trailer ", body.is_hidden));
    let target = match &request.query {
        Some(query) => format!("{}?{}", request.path, hider.form(query, RequestPart::Query)),
        None => request.target(),
    };
    // A plain hash of what is hidden would let anybody try values out.
    let hash = |bytes: &[u8]| if body.is_hidden { hider.hash(bytes) } else { Sha256::of(bytes) };
    let (body_bytes, body_sha256) = match &request.body {
        Body::Absent | Body::Unread => (0, Sha256::of(b"")),
        Body::Read { bytes, .. } | Body::Encoded { bytes, .. } => (bytes.len() as u64, hash(bytes)),
        Body::Kept { body: kept, .. } if body.is_hidden => (kept.bytes(), hider.hash(kept.sha256().as_bytes())),
        Body::Kept { body: kept, .. } => (kept.bytes(), kept.sha256()),
    };
    let decoded = match &request.body {
        Body::Encoded { coding, decoded, .. } => {
            Some(DecodedBody { coding: (*coding).to_owned(), bytes: decoded.len() as u64, sha256: hash(decoded) })
        }
        Body::Absent | Body::Unread | Body::Read { .. } | Body::Kept { .. } => None,
    };
    let is_short = body.bytes.len() as u64 <= SHOWN_BYTES_MAX;
    let inline = Some(&body.bytes).filter(|bytes| !bytes.is_empty() && is_short);
    let text = inline.and_then(|bytes| std::str::from_utf8(bytes).ok()).map(ToOwned::to_owned);
    let base64 = inline.filter(|_| text.is_none()).map(|bytes| STANDARD.encode(bytes));
    let readable = |bytes: &Bytes| ReadableBody { bytes: bytes.len() as u64, sha256: Sha256::of(bytes) };
    let shown = ShownRequest {
        line: RequestLine { method: request.method.to_string(), authority: request.authority.clone(), target },
        headers,
        body_bytes,
        body_sha256,
        decoded,
        body_text: text,
        body_base64: base64,
        redacted_body: body.is_hidden.then(|| readable(&body.bytes)),
        redacted: hider.used.into_iter().cloned().collect(),
    };
    let long_body: Option<Arc<dyn KeptBody>> = match &request.body {
        Body::Kept { body: kept, .. } if !body.is_hidden => Some(Arc::clone(kept)),
        _ if is_short => None,
        _ => Some(Arc::new(MemoryBody::new(body.bytes))),
    };
    Shown { request: shown, long_body, is_blind: body.is_blind }
}

struct Hider<'a> {
    redact: &'a [RequestPointer],
    secret: Sha256,
    /// Those that have hidden something.
    used: BTreeSet<&'a RequestPointer>,
}

/// A value as text. Bytes that are no text are shown as their numbers, so that no two values look alike.
fn readable(value: &[u8]) -> String {
    if let Ok(text) = std::str::from_utf8(value) {
        return text.to_owned();
    }
    let mut shown = String::new();
    for chunk in value.utf8_chunks() {
        shown.push_str(&chunk.valid().replace('\\', "\\\\"));
        chunk.invalid().iter().for_each(|byte| shown.push_str(&format!("\\x{byte:02x}")));
    }
    shown
}

/// A body as it is shown.
struct ShownBody {
    /// All of it, without its content coding; nothing of one that is not in memory.
    bytes: Bytes,
    /// True if any of it is hidden.
    is_hidden: bool,
    /// True if all of it is, though the policy names only parts.
    is_blind: bool,
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
            let hashes_body = hides_body && is_body_hash(name.as_str());
            let text = match hashes_body || !meant.is_empty() {
                true => self.mark(value.as_bytes()),
                false => readable(value.as_bytes()),
            };
            shown.push((format!("{prefix}{name}"), text));
        }
        // A stable sort: the values of one name stay in their own order.
        shown.sort_by(|(left, _), (right, _)| left.cmp(right));
        shown
    }

    fn body(&mut self, body: &Body, headers: &HeaderMap) -> ShownBody {
        let pointers = self.pointers(RequestPart::Body);
        let bytes = match body {
            Body::Absent | Body::Unread => return ShownBody { bytes: Bytes::new(), is_hidden: false, is_blind: false },
            Body::Kept { .. } if pointers.is_empty() => {
                return ShownBody { bytes: Bytes::new(), is_hidden: false, is_blind: false };
            }
            // It is not in memory, and too long to be searched.
            Body::Kept { body, .. } => return self.whole(pointers, body.sha256().as_bytes()),
            Body::Read { bytes, .. } | Body::Encoded { decoded: bytes, .. } => bytes,
        };
        if pointers.is_empty() || bytes.is_empty() {
            return ShownBody { bytes: bytes.clone(), is_hidden: false, is_blind: false };
        }
        let used_before = self.used.len();
        let shown = match std::str::from_utf8(bytes) {
            _ if pointers.iter().any(|pointer| pointer.tokens().is_empty()) => None,
            Ok(text) => match (json_spans::is_json(text), is_form(headers)) {
                (true, false) => Some(self.json(text, &pointers)),
                (false, true) => Some(self.form(text, RequestPart::Body)),
                // Neither, or what two readers would read differently.
                (false, false) | (true, true) => None,
            },
            Err(_) => None,
        };
        match shown {
            Some(text) if self.used.len() > used_before => {
                ShownBody { bytes: text.into(), is_hidden: true, is_blind: false }
            }
            Some(_) => ShownBody { bytes: bytes.clone(), is_hidden: false, is_blind: false },
            None => self.whole(pointers, bytes),
        }
    }

    /// One hash in the place of a whole body.
    fn whole(&mut self, pointers: Vec<&'a RequestPointer>, value: &[u8]) -> ShownBody {
        let is_blind = pointers.iter().all(|pointer| !pointer.tokens().is_empty());
        self.used.extend(pointers);
        ShownBody { bytes: self.mark(value).into(), is_hidden: true, is_blind }
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
const BODY_HASHES: [&str; 8] = [
    "content-digest",
    "repr-digest",
    "digest",
    "content-md5",
    "x-amz-content-sha256",
    "x-goog-hash",
    "x-ms-blob-content-md5",
    "x-ms-content-crc64",
];

fn is_body_hash(name: &str) -> bool {
    BODY_HASHES.contains(&name) || name.starts_with("x-amz-checksum-")
}

#[cfg(test)]
mod tests {
    use http::HeaderName;
    use http::HeaderValue;
    use http::Method;

    use super::*;
    use crate::model::BodyReader;

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
        show(request, &redactions(redact), Sha256::of(b"secret")).request
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

    fn redactions(redact: &str) -> Vec<RequestPointer> {
        redact.split_whitespace().map(|text| text.parse().unwrap()).collect()
    }

    /// The body as a reviewer gets it, from wherever it is.
    fn readable(shown: &Shown) -> Vec<u8> {
        if let Some(long) = &shown.long_body {
            assert_eq!(shown.request.long_bytes(), Some(long.bytes()));
            assert_eq!(shown.request.readable(), (long.bytes(), long.sha256()));
            let mut reader = BodyReader::new(Arc::clone(long));
            return std::iter::from_fn(|| reader.next_piece().unwrap()).flatten().collect();
        }
        assert_eq!(shown.request.long_bytes(), None);
        let text = shown.request.body_text.clone().unwrap_or_default().into_bytes();
        assert_eq!(shown.request.readable(), (text.len() as u64, Sha256::of(&text)));
        text
    }

    /// Short or long, in a coding or not: what people read is what it stands for, less what is hidden,
    /// and no hash of the true bytes is with it.
    #[test]
    fn what_is_hidden_is_nowhere_however_the_body_comes() {
        for filling in [0, 2 * SHOWN_BYTES_MAX as usize] {
            let text = format!(r#"{{"pin": "hush", "filling": "{}"}}"#, "x".repeat(filling));
            let bytes = Bytes::from(text.clone());
            let trailers = HeaderMap::new();
            let encoded = Body::Encoded {
                bytes: Bytes::from_static(b"hush, encoded"),
                trailers: trailers.clone(),
                coding: "gzip",
                decoded: bytes.clone(),
            };
            for body in [Body::Read { bytes: bytes.clone(), trailers }, encoded] {
                let mut request = request(None, JSON, b"");
                let true_hash = |request: &HttpRequest| request.body_sha256().unwrap();
                request.body = body;
                let hidden = show(&request, &redactions("/body/pin"), Sha256::of(b"secret"));
                assert_eq!(plain(std::str::from_utf8(&readable(&hidden)).unwrap()), text.replace("hush", "#"));
                let told = serde_json::to_string(&hidden.request).unwrap();
                for hash in [true_hash(&request), Sha256::of(&bytes)] {
                    assert!(!told.contains(&hash.to_string()) && !told.contains("hush"), "{told}");
                }
                assert_eq!(hidden.long_body.is_some(), filling > 0);
                // What leads nowhere changes nothing.
                let whole = show(&request, &redactions("/body/other"), Sha256::of(b"secret"));
                assert_eq!(readable(&whole), bytes);
                assert!(whole.request.redacted.is_empty() && whole.request.redacted_body.is_none());
                assert_eq!(whole.request.hash(), show(&request, &[], Sha256::of(b"secret")).request.hash());
            }
        }
    }

    #[test]
    fn of_a_body_that_is_not_in_memory_nothing_is_shown_if_anything_may_be_hidden_in_it() {
        let body: Arc<dyn KeptBody> = Arc::new(MemoryBody::new(Bytes::from_static(b"{\"pin\": \"hush\"}")));
        let mut request = request(None, JSON, b"");
        request.body = Body::Kept { body: Arc::clone(&body), trailers: HeaderMap::new() };
        for redact in ["/body/pin", "/body/other", "/body"] {
            let hidden = show(&request, &redactions(redact), Sha256::of(b"secret"));
            assert_eq!(plain(std::str::from_utf8(&readable(&hidden)).unwrap()), "#", "{redact}");
            assert!(hidden.long_body.is_none() && hidden.request.long_bytes().is_none(), "{redact}");
            assert_eq!(hidden.request.redacted, redactions(redact));
            assert_eq!(hidden.request.body_bytes, body.bytes());
            assert_ne!(hidden.request.body_sha256, body.sha256());
        }
        let whole = show(&request, &redactions("/query/pin"), Sha256::of(b"secret"));
        assert_eq!(readable(&whole), b"{\"pin\": \"hush\"}");
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
        let text = |secret: &[u8]| show(&request, &redact, Sha256::of(secret)).request.body_text.unwrap();
        let marks =
            |text: String| text.split('"').filter(|part| part.starts_with('[')).map(str::to_owned).collect::<Vec<_>>();
        let (one, other) = (marks(text(b"one")), marks(text(b"other")));
        assert_eq!(one[0], one[1]);
        assert_ne!(one[0], one[2]);
        assert_ne!(one[0], other[0]);
        let hash = |redact: &[RequestPointer]| show(&request, redact, Sha256::of(b"one")).request.hash();
        assert_ne!(hash(&redact), hash(&[]));
    }
}
