//! The exact request on a page: nothing left out, nothing that cannot be seen.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::percent_decode_str;

use crate::approval::ShownRequest;
use crate::review::pretty;

use super::inert::Inert;

/// The request, ready for a page.
#[derive(Clone, Debug)]
pub(super) struct RequestShown {
    pub(super) method: Inert,
    pub(super) host: Inert,
    pub(super) path: Inert,
    /// The query as it will be sent, with its `?`.
    pub(super) query: Option<Inert>,
    /// The same, decoded and one by one, where there is more than one thing to it.
    pub(super) parameters: Vec<(Inert, Inert)>,
    /// The path decoded, where that makes a difference.
    pub(super) decoded_path: Option<Inert>,
    pub(super) headers: Vec<(Inert, Inert)>,
    /// Fields that say how the client speaks HTTP, and nothing about what it wants.
    pub(super) plain_headers: Vec<(Inert, Inert)>,
    pub(super) body: BodyShown,
    /// Such as `1,234 bytes, sent as 456 bytes of gzip`.
    pub(super) size: String,
    pub(super) sha256: String,
}

/// The body of a request, ready for a page.
#[derive(Clone, Debug)]
pub(super) enum BodyShown {
    None,
    /// As it is, and laid out where it is JSON.
    Text {
        laid_out: Option<Inert>,
        exact: Inert,
    },
    /// The fields of a form, and as it is.
    Form {
        fields: Vec<(Inert, Inert)>,
        exact: Inert,
    },
    /// Bytes that are no text.
    Bytes {
        dump: String,
    },
    /// Too long for this page; it has one of its own, in this many parts.
    Long {
        parts: u64,
        read: u64,
    },
    /// Not kept any more.
    Gone,
}

impl RequestShown {
    /// `parts_read` are how many of the parts of a long body the visitor has read, of how many.
    pub(super) fn new(request: &ShownRequest, complete: bool, parts_read: (u64, u64)) -> Self {
        let (path, query) = match request.line.target.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (request.line.target.as_str(), None),
        };
        let field = |(name, value): &(String, String)| (Inert::line(name), Inert::line(value));
        let (plain, telling): (Vec<_>, Vec<_>) = request.headers.iter().partition(|(name, _)| is_plain(name));
        let decoded = percent_decode_str(path).decode_utf8().ok().filter(|decoded| decoded != path);
        Self {
            method: Inert::line(&request.line.method),
            host: Inert::host(&request.line.authority),
            path: Inert::line(path),
            query: query.map(|query| Inert::line(format!("?{query}"))),
            parameters: query.map(pairs).unwrap_or_default(),
            decoded_path: decoded.map(|decoded| Inert::line(decoded.into_owned())),
            headers: telling.into_iter().map(field).collect(),
            plain_headers: plain.into_iter().map(field).collect(),
            body: body(request, complete, parts_read),
            size: size(request),
            sha256: request.readable().1.to_hex(),
        }
    }
}

fn body(request: &ShownRequest, complete: bool, (read, parts): (u64, u64)) -> BodyShown {
    match (&request.body_text, &request.body_base64) {
        (Some(text), _) if is_form(request) => BodyShown::Form { fields: pairs(text), exact: Inert::lines(text) },
        (Some(text), _) => {
            let laid_out = pretty::json(text).filter(|laid_out| laid_out != text).map(Inert::lines);
            BodyShown::Text { laid_out, exact: Inert::lines(text) }
        }
        (None, Some(base64)) => {
            // It stands in a request whose hash was checked, so it is what we wrote.
            BodyShown::Bytes { dump: dump(0, &STANDARD.decode(base64).unwrap_or_default()) }
        }
        (None, None) if !complete => BodyShown::Gone,
        (None, None) if request.long_bytes().is_some() => BodyShown::Long { parts, read },
        (None, None) => BodyShown::None,
    }
}

/// Bytes as hexadecimal digits and ASCII, 16 on a line, counted from `start`.
pub(super) fn dump(start: usize, bytes: &[u8]) -> String {
    let mut lines = String::with_capacity(bytes.len() * 5);
    for (number, line) in bytes.chunks(16).enumerate() {
        let digits: Vec<String> = line.iter().map(|byte| format!("{byte:02x}")).collect();
        let shown = |byte: &u8| if byte.is_ascii_graphic() || *byte == b' ' { char::from(*byte) } else { '·' };
        let text: String = line.iter().map(shown).collect();
        lines.push_str(&format!("{:08x}  {:<47}  {text}\n", start + number * 16, digits.join(" ")));
    }
    lines
}

/// `1234567` as `1,234,567`.
pub(super) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3 + 1);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn size(request: &ShownRequest) -> String {
    let (readable, _) = request.readable();
    let bytes = |number| format!("{} {}", count(number), if number == 1 { "byte" } else { "bytes" });
    match &request.decoded {
        Some(decoded) => format!("{}, sent as {} of {}", bytes(readable), bytes(request.body_bytes), decoded.coding),
        None => bytes(readable),
    }
}

/// The parts of a query or form, decoded. What cannot be decoded stays as it is.
fn pairs(text: &str) -> Vec<(Inert, Inert)> {
    let decode = |text: &str| {
        let spaced = text.replace('+', " ");
        let decoded = percent_decode_str(&spaced).decode_utf8().map(std::borrow::Cow::into_owned);
        Inert::line(decoded.unwrap_or_else(|_| text.to_owned()))
    };
    let pairs = text.split('&').filter(|pair| !pair.is_empty());
    let halves = pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    halves.map(|(name, value)| (decode(name), decode(value))).collect()
}

fn is_form(request: &ShownRequest) -> bool {
    let kind = request.headers.iter().find(|(name, _)| name == "content-type").map_or("", |(_, value)| value);
    kind.split(';').next().unwrap_or("").trim().eq_ignore_ascii_case("application/x-www-form-urlencoded")
}

fn is_plain(name: &str) -> bool {
    const PLAIN: [&str; 9] = [
        "accept",
        "accept-encoding",
        "accept-language",
        "cache-control",
        "connection",
        "content-length",
        "host",
        "te",
        "user-agent",
    ];
    PLAIN.contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_shown_whole() {
        let text = dump(16, b"<b>\x00\xffxyz0123456789");
        assert_eq!(
            text,
            "00000010  3c 62 3e 00 ff 78 79 7a 30 31 32 33 34 35 36 37  <b>··xyz01234567\n\
             00000020  38 39                                            89\n"
        );
    }

    #[test]
    fn a_query_is_shown_part_by_part() {
        let shown: Vec<_> =
            pairs("a=1&b=%C3%BC+x&c&&d=%ff&a=2").into_iter().map(|(name, value)| format!("{name}: {value}")).collect();
        assert_eq!(shown, ["a: 1", "b: ü x", "c: ", "d: %ff", "a: 2"]);
        assert_eq!(count(1_234_567), "1,234,567");
        assert_eq!((count(0), count(999), count(1_000)), ("0".to_owned(), "999".to_owned(), "1,000".to_owned()));
    }
}
