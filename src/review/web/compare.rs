//! What is different from the last such call that people approved.
//!
//! A help for the eye and no more: the whole request stands beside it, and that is what counts.

use std::collections::BTreeMap;
use std::time::Duration;

use similar::ChangeTag;
use similar::TextDiff;

use crate::approval::ShownRequest;
use crate::review::pretty;

use super::inert::Inert;

/// The differences between two requests.
#[derive(Clone, Debug, Default)]
pub(super) struct Differences {
    /// What is not the same: where, what it was, what it is.
    pub(super) fields: Vec<Difference>,
    /// The lines of the body around what has changed.
    pub(super) body: Vec<Line>,
    /// Why the bodies are not compared line by line, though they differ.
    pub(super) not_compared: &'static str,
}

/// One thing that is not the same.
#[derive(Clone, Debug)]
pub(super) struct Difference {
    /// Ours: `Path`, `Query`, `Header field`.
    pub(super) place: &'static str,
    pub(super) name: Inert,
    pub(super) before: Option<Inert>,
    pub(super) now: Option<Inert>,
}

/// One line of a body.
#[derive(Clone, Debug)]
pub(super) struct Line {
    pub(super) look: &'static str,
    pub(super) sign: &'static str,
    pub(super) text: Inert,
}

impl Differences {
    /// What `now` has that `before` has not, and the other way round.
    pub(super) fn between(before: &ShownRequest, now: &ShownRequest) -> Self {
        let mut fields = Vec::new();
        let (old, new) = (&before.line, &now.line);
        whole(&mut fields, "Method", &old.method, &new.method);
        whole(&mut fields, "Host", &old.authority, &new.authority);
        let (old_path, old_query) = old.target.split_once('?').unwrap_or((&old.target, ""));
        let (new_path, new_query) = new.target.split_once('?').unwrap_or((&new.target, ""));
        whole(&mut fields, "Path", old_path, new_path);
        let pairs = |query: &str| {
            let pairs = query.split('&').filter(|pair| !pair.is_empty());
            let halves = pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")));
            gathered(halves.map(|(name, value)| (name.to_owned(), value.to_owned())))
        };
        named(&mut fields, "Query", &pairs(old_query), &pairs(new_query));
        // What differs in order or spelling only.
        if old.target != new.target && fields.is_empty() {
            whole(&mut fields, "Target", &old.target, &new.target);
        }
        let headers = |request: &ShownRequest| gathered(request.headers.iter().cloned());
        named(&mut fields, "Header field", &headers(before), &headers(now));
        let (body, not_compared) = bodies(before, now);
        Self { fields, body, not_compared }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.fields.is_empty() && self.body.is_empty() && self.not_compared.is_empty()
    }
}

fn whole(fields: &mut Vec<Difference>, place: &'static str, before: &str, now: &str) {
    if before != now {
        let (before, now) = (Some(Inert::line(before)), Some(Inert::line(now)));
        fields.push(Difference { place, name: Inert::line(""), before, now });
    }
}

/// Values by name; several of one name in their order.
fn gathered(pairs: impl Iterator<Item = (String, String)>) -> BTreeMap<String, Vec<String>> {
    let mut gathered: BTreeMap<String, Vec<String>> = BTreeMap::new();
    pairs.for_each(|(name, value)| gathered.entry(name).or_default().push(value));
    gathered
}

fn named(
    fields: &mut Vec<Difference>,
    place: &'static str,
    before: &BTreeMap<String, Vec<String>>,
    now: &BTreeMap<String, Vec<String>>,
) {
    let mut names: Vec<&String> = before.keys().chain(now.keys()).collect();
    names.sort();
    names.dedup();
    for name in names {
        let (old, new) = (before.get(name), now.get(name));
        if old != new {
            let joined = |values: Option<&Vec<String>>| values.map(|values| Inert::line(values.join(", ")));
            fields.push(Difference { place, name: Inert::line(name), before: joined(old), now: joined(new) });
        }
    }
}

fn bodies(before: &ShownRequest, now: &ShownRequest) -> (Vec<Line>, &'static str) {
    if before.readable() == now.readable() {
        return (Vec::new(), "");
    }
    let text = |request: &ShownRequest| {
        let text = request.body_text.as_deref().or((request.readable().0 == 0).then_some(""))?;
        Some(pretty::json(text).unwrap_or_else(|| text.to_owned()))
    };
    let (Some(old), Some(new)) = (text(before), text(now)) else {
        return (Vec::new(), "The bodies differ. They are too long, or no text, to be compared here.");
    };
    let diff = TextDiff::configure().timeout(COMPARING_MAX).diff_lines(&old, &new);
    let mut lines = Vec::new();
    for (number, group) in diff.grouped_ops(CONTEXT_LINES).iter().enumerate() {
        if number > 0 {
            lines.push(Line { look: "gap", sign: "", text: Inert::line("…") });
        }
        for change in group.iter().flat_map(|operation| diff.iter_changes(operation)) {
            let (look, sign) = match change.tag() {
                ChangeTag::Equal => ("same", " "),
                ChangeTag::Delete => ("gone", "-"),
                ChangeTag::Insert => ("new", "+"),
            };
            lines.push(Line { look, sign, text: Inert::line(change.value().trim_end_matches('\n')) });
        }
    }
    if lines.is_empty() {
        // The same but for the layout of JSON.
        return (lines, "The bodies differ in their layout only.");
    }
    (lines, "")
}

/// Lines around a change.
const CONTEXT_LINES: usize = 2;
/// After this a comparison makes do with a coarser answer.
const COMPARING_MAX: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use crate::approval::RequestLine;
    use crate::model::Sha256;

    use super::*;

    fn request(target: &str, headers: &[(&str, &str)], body: &str) -> ShownRequest {
        let line = RequestLine { method: "GET".to_owned(), authority: "a".to_owned(), target: target.to_owned() };
        ShownRequest {
            line,
            headers: headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
            body_bytes: body.len() as u64,
            body_sha256: Sha256::of(body.as_bytes()),
            decoded: None,
            body_text: (!body.is_empty()).then(|| body.to_owned()),
            body_base64: None,
            redacted_body: None,
            redacted: Vec::new(),
        }
    }

    fn said(before: &ShownRequest, now: &ShownRequest) -> Vec<String> {
        let differences = Differences::between(before, now);
        let shown = |value: &Option<Inert>| value.as_ref().map_or("none".to_owned(), ToString::to_string);
        let fields = differences.fields.iter();
        let fields =
            fields.map(|one| format!("{} {}: {} -> {}", one.place, one.name, shown(&one.before), shown(&one.now)));
        let lines = differences.body.iter().map(|line| format!("{}{}", line.sign, line.text));
        let rest = (!differences.not_compared.is_empty()).then(|| differences.not_compared.to_owned());
        fields.chain(lines).chain(rest).collect()
    }

    #[test]
    fn what_differs_is_found_wherever_it_is() {
        let before = request("/a?x=1&y=2&y=3", &[("accept", "*/*"), ("x-old", "1")], "{\"a\":1,\"b\":[1,2],\"c\":0}");
        assert!(Differences::between(&before, &before).is_empty());
        let now = request("/b?x=1&y=3&y=2&z", &[("accept", "text/csv")], "{\"a\":1,\"b\":[1,3],\"c\":0}");
        assert_eq!(
            said(&before, &now),
            [
                "Path : /a -> /b",
                "Query y: 2, 3 -> 3, 2",
                "Query z: none -> ",
                "Header field accept: */* -> text/csv",
                "Header field x-old: 1 -> none",
                "   &#34;b&#34;: [",
                "     1,",
                "-    2",
                "+    3",
                "   ],",
                "   &#34;c&#34;: 0",
            ]
        );
        let spaced =
            request("/a?x=1&y=2&y=3", &[("accept", "*/*"), ("x-old", "1")], "{\"a\": 1, \"b\": [1,2], \"c\": 0}");
        assert_eq!(said(&before, &spaced), ["The bodies differ in their layout only."]);
        let mut long = before.clone();
        (long.body_text, long.body_bytes, long.body_sha256) = (None, 70_000, Sha256::of(b"long"));
        assert_eq!(said(&before, &long), ["The bodies differ. They are too long, or no text, to be compared here."]);
    }
}
