//! A body that is too long for the decision page, part by part.

use askama::Template;
use axum::extract::Path;
use axum::extract::State as Extract;
use axum::http::StatusCode;
use axum::response::Response;

use crate::approval::ReviewBody;
use crate::model::ApprovalId;
use crate::model::PIECE_BYTES;
use crate::review::Admin;
use crate::review::query::bad;
use crate::review::refused::Refused;

use super::guard::Visitor;
use super::inert::Inert;
use super::page;
use super::page::Frame;
use super::page::Here;
use super::request::count;
use super::request::dump;

#[derive(Template)]
#[template(path = "long_body.html")]
struct LongBody {
    frame: Frame,
    id: String,
    number: u64,
    parts: u64,
    read: u64,
    from: String,
    to: String,
    total: String,
    sha256: String,
    text: Option<Inert>,
    dump: String,
}

/// `GET /a/{id}/body/{number}`: the part `number`, from 1.
pub(super) async fn show(
    Extract(admin): Extract<Admin>,
    visitor: Visitor,
    Path((id, number)): Path<(String, String)>,
) -> Response {
    match part(&admin, &visitor, &id, &number).await {
        Ok(page) => page::render(StatusCode::OK, &page.frame, &page),
        Err(refused) => page::problem(Some(&visitor), &refused),
    }
}

async fn part(admin: &Admin, visitor: &Visitor, id: &str, number: &str) -> Result<LongBody, Refused> {
    let id: ApprovalId = id.parse().map_err(|error| bad(format!("the path names no approval: {error}")))?;
    let body = admin.state.approvals.body(id).await.map_err(|error| Refused::about(id, error))?;
    let body = body.ok_or_else(|| Refused::no_approval(id))?;
    let (total, sha256) = (body.bytes(), body.sha256());
    let parts = total.div_ceil(PIECE_BYTES as u64);
    let number: u64 = number
        .parse()
        .ok()
        .filter(|number| (1..=parts).contains(number))
        .ok_or_else(|| bad(format!("the body has the parts 1 to {parts}")))?;
    let bytes = read(body, number).await.map_err(|error| Refused::about(id, error))?;
    let now = admin.state.clock.now();
    admin.sessions.was_given(visitor.session.key, id, number - 1, now);
    let from = (number - 1) * PIECE_BYTES as u64;
    let text = text(&bytes).map(Inert::lines);
    Ok(LongBody {
        frame: Frame::new(Some(visitor), Here::Pending, format!("Body, part {number} of {parts}")),
        id: id.to_string(),
        number,
        parts,
        read: admin.sessions.given(visitor.session.key, id, parts, now),
        from: count(from),
        to: count(from + bytes.len() as u64),
        total: count(total),
        sha256: sha256.to_hex(),
        dump: if text.is_some() { String::new() } else { dump(usize::try_from(from).unwrap_or(usize::MAX), &bytes) },
        text,
    })
}

/// The text that `bytes` are. A part may begin or end within a character: those bytes are shown as
/// `\xNN`. `None` if there are more that are no text.
fn text(bytes: &[u8]) -> Option<String> {
    let mut text = String::with_capacity(bytes.len());
    let (mut at, mut chunks) = (0, bytes.utf8_chunks().peekable());
    while let Some(chunk) = chunks.next() {
        text.push_str(chunk.valid());
        let (invalid, begin) = (chunk.invalid(), at + chunk.valid().len());
        at = begin + invalid.len();
        let at_an_edge = begin < 4 || chunks.peek().is_none();
        if !invalid.is_empty() && !at_an_edge {
            return None;
        }
        invalid.iter().for_each(|byte| text.push_str(&format!("\\x{byte:02x}")));
    }
    Some(text)
}

/// The part `number`, from 1. All of the body is read: only its end shows that it is the right one.
async fn read(mut body: ReviewBody, number: u64) -> Result<Vec<u8>, crate::approval::ApprovalError> {
    let (mut found, mut at) = (Vec::new(), 0_u64);
    let first = (number - 1) * PIECE_BYTES as u64;
    while let Some(piece) = body.next_piece().await? {
        let until = at + piece.len() as u64;
        let (start, end) = (first.clamp(at, until), (first + PIECE_BYTES as u64).clamp(at, until));
        let range = usize::try_from(start - at).unwrap_or(0)..usize::try_from(end - at).unwrap_or(0);
        found.extend_from_slice(piece.get(range).unwrap_or_default());
        at = until;
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_character_that_two_parts_share_does_not_make_them_bytes() {
        assert_eq!(text("aü".as_bytes()).as_deref(), Some("aü"));
        assert_eq!(text(b"\xbcab\xc3").as_deref(), Some("\\xbcab\\xc3"));
        assert_eq!(text(b"abcdef\xffghi"), None);
    }
}
