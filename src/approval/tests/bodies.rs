//! Bodies that are too long for the request that reviewers are shown.

use bytes::Bytes;
use http::HeaderMap;

use super::*;
use crate::approval::SHOWN_BYTES_MAX;
use crate::model::Body;
use crate::model::MemoryBody;
use crate::model::Message;
use crate::model::PIECE_BYTES;
use crate::model::Sha256;

fn with_body(bench: &Bench, body: Body) -> Call {
    let mut call = bench.call();
    let Message::Http(request) = &mut call.message;
    request.body = body;
    call
}

fn kept(bytes: &[u8]) -> Body {
    Body::Kept { body: Arc::new(MemoryBody::new(Bytes::copy_from_slice(bytes))), trailers: HeaderMap::new() }
}

fn noise(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at.wrapping_mul(31) >> 4) as u8).collect()
}

impl Process {
    /// The whole body as a reviewer gets it, or how much of it and why no more.
    fn read_body(&self, id: ApprovalId) -> Result<Vec<u8>, (usize, &'static str)> {
        self.wait(async {
            let mut all = Vec::new();
            let mut body = self.approvals.body(id).await.map_err(|error| (0, error.code()))?.unwrap();
            loop {
                match body.next_piece().await {
                    Ok(Some(piece)) => all.extend_from_slice(&piece),
                    Ok(None) => {
                        assert_eq!((body.bytes(), body.sha256()), (all.len() as u64, Sha256::of(&all)));
                        return Ok(all);
                    }
                    Err(error) => {
                        let more = body.next_piece().await;
                        assert!(more.is_err(), "nothing comes behind an error");
                        return Err((all.len(), error.code()));
                    }
                }
            }
        })
    }
}

#[test]
fn every_body_is_read_whole_until_its_approval_is_over() {
    let limit = usize::try_from(SHOWN_BYTES_MAX).unwrap();
    for (bytes, long) in [
        (vec![], false),
        (b"{}".to_vec(), false),
        (vec![0xff; limit], false),
        (vec![b'a'; limit], false),
        (vec![b'a'; limit + 1], true),
        (noise(3 * PIECE_BYTES + 1), true),
    ] {
        for body in [Body::Read { bytes: bytes.clone().into(), trailers: HeaderMap::new() }, kept(&bytes)] {
            let is_kept = matches!(body, Body::Kept { .. });
            if is_kept && bytes.is_empty() {
                continue;
            }
            let mut bench = Bench::new();
            let mut process = bench.start();
            let call = with_body(&bench, body);
            let hold = process.open(&call);
            let id = hold.id();
            let shown = process.wait(process.approvals.request(id)).unwrap().unwrap();
            assert_eq!((shown.body_bytes, shown.body_sha256), (bytes.len() as u64, Sha256::of(&bytes)));
            assert_eq!(shown.long_bytes().is_some(), long || is_kept, "{}", bytes.len());
            assert!(process.read_body(id) == Ok(bytes.clone()), "{}", bytes.len());
            // The caller leaves, and the process too.
            drop(hold);
            process.until("approval.caller_left");
            process.stop();
            let mut process = bench.start();
            assert!(process.read_body(id) == Ok(bytes.clone()));
            // It comes again and runs.
            let mut hold = process.open(&call);
            assert_eq!(hold.id(), id);
            process.approve(id);
            assert_eq!(process.verdict(&mut hold), "approved");
            let run = process.wait(hold.claim(fixtures::exact(), &fixtures::principal("deploy-bot"))).unwrap();
            assert!(process.read_body(id) == Ok(bytes.clone()));
            run.finish(Ending::Completed { status: 200 });
            process.until("approval.completed");
            let after = process.read_body(id);
            let expected = if long || is_kept { Err((0, "body-gone")) } else { Ok(bytes.clone()) };
            assert!(after == expected, "{after:?}");
            let refused = process.say(id, "bo", Verdict::Approve, None).unwrap_err();
            assert_eq!(refused.code(), "already-decided");
            process.stop();
        }
    }
}

/// Reviewers read, and can approve, what is shown of a body in which something is hidden.
#[test]
fn what_is_hidden_of_a_long_body_is_not_stored_and_not_given_out() {
    let filling = "x".repeat(2 * usize::try_from(SHOWN_BYTES_MAX).unwrap());
    let text = format!(r#"{{"pin": "hush", "filling": "{filling}"}}"#);
    for body in [Body::Read { bytes: text.clone().into(), trailers: HeaderMap::new() }, kept(text.as_bytes())] {
        let is_kept = matches!(body, Body::Kept { .. });
        let mut bench = Bench::new();
        let process = bench.start();
        // What is too long for memory can only be hidden whole, and only where the policy says whole.
        let redact = vec![if is_kept { "/body" } else { "/body/pin" }.parse().unwrap()];
        let obligations = HoldObligations { redact, ..fixtures::obligations("owners=1") };
        let mut hold = process.open_under(&with_body(&bench, body), obligations).unwrap();
        let id = hold.id();
        let read = String::from_utf8(process.read_body(id).unwrap()).unwrap();
        assert!(!read.contains("hush") && read.contains("[redacted:"), "{read}");
        assert_eq!(read.contains(&filling), !is_kept);
        let stored = process.wait(process.approvals.0.store.body_bytes(id)).unwrap();
        assert_eq!(stored, if is_kept { 0 } else { read.len() as u64 });
        process.approve(id);
        assert_eq!(process.verdict(&mut hold), "approved");
        process.stop();
    }
}

/// Nobody is asked about a body of which they would see nothing, though the policy hides only a part:
/// the caller chooses how it is written.
#[test]
fn what_cannot_be_searched_for_what_is_hidden_is_not_held() {
    let read = |bytes: &'static [u8]| Body::Read { bytes: bytes.into(), trailers: HeaderMap::new() };
    for body in [read(b"\xef\xbb\xbf{\"pin\": 1}"), read(b"\xff"), read(b"{\"pin\": 1"), kept(b"{\"pin\": 1}")] {
        let mut bench = Bench::new();
        let process = bench.start();
        let redact = vec!["/body/pin".parse().unwrap()];
        let obligations = HoldObligations { redact, ..fixtures::obligations("owners=1") };
        let refused = process.open_under(&with_body(&bench, body), obligations).unwrap_err();
        assert_eq!(refused, ApprovalError::NotSearchable);
        process.stop();
    }
}

#[test]
fn whoever_joins_or_may_not_ask_stores_no_body() {
    let mut bench = Bench::new();
    let mut process = bench.start_with(Settings { pending_per_principal_max: 1, ..fixtures::settings() });
    let bytes = noise(2 * PIECE_BYTES);
    let call = with_body(&bench, kept(&bytes));
    let hold = process.open(&call);
    let id = hold.id();
    let bodies = |bench: &Bench| {
        let file = rusqlite::Connection::open(bench.dir.path().join("store/approvals.db")).unwrap();
        file.query_row("SELECT count(*) FROM bodies", [], |row| row.get::<_, i64>(0)).unwrap()
    };
    drop(hold);
    process.until("approval.caller_left");
    let again = process.open(&call);
    assert_eq!((again.id(), bodies(&bench)), (id, 1));
    let other = with_body(&bench, kept(&noise(PIECE_BYTES)));
    let refused = process.open_under(&other, fixtures::obligations("owners=1")).unwrap_err();
    assert_eq!((refused.code(), bodies(&bench)), ("too-many-pending", 1));
    process.stop();
}

#[test]
fn long_bodies_cannot_fill_the_store() {
    let mut bench = Bench::new();
    let max = 3 * PIECE_BYTES as u64;
    let mut process = bench.start_with(Settings { stored_bytes_total_max: max, ..fixtures::settings() });
    let first = process.open(&with_body(&bench, kept(&noise(2 * PIECE_BYTES))));
    let second = with_body(&bench, kept(&noise(2 * PIECE_BYTES - 1)));
    let refused = process.open_under(&second, fixtures::obligations("owners=1")).unwrap_err();
    assert_eq!(refused, ApprovalError::BodiesFull { bytes: 2 * PIECE_BYTES as u64, max });
    assert_eq!((process.approvals.waiting(), process.wait(process.store.pending()).unwrap()), (1, 1));
    // A short one takes no such room, and a decision makes some.
    process.open(&bench.call());
    process.say(first.id(), "ana", Verdict::Deny, None).unwrap();
    process.until("approval.denied");
    process.open(&second);
    process.stop();
}

#[test]
fn a_body_that_was_changed_in_the_store_or_is_not_whole_is_neither_given_out_nor_approved() {
    let mut bench = Bench::new();
    let process = bench.start();
    let bytes = noise(2 * PIECE_BYTES + 5);
    let hold = process.open(&with_body(&bench, kept(&bytes)));
    let id = hold.id();
    bench.sql("UPDATE body_pieces SET bytes = zeroblob(length(bytes)) WHERE number = 0");
    assert!(process.read_body(id) == Err((2 * PIECE_BYTES, "forged")));
    assert_eq!(process.say(id, "ana", Verdict::Approve, None).unwrap_err().code(), "forged");
    // One piece shorter and another longer by as much.
    bench.sql("UPDATE body_pieces SET bytes = zeroblob(length(bytes) - 1) WHERE number = 0");
    bench.sql("UPDATE body_pieces SET bytes = zeroblob(length(bytes) + 1) WHERE number = 2");
    assert!(process.read_body(id) == Err((0, "forged")));
    bench.sql("DELETE FROM body_pieces WHERE number = 1");
    assert!(process.read_body(id) == Err((0, "body-gone")));
    assert_eq!(process.say(id, "ana", Verdict::Approve, None).unwrap_err().code(), "body-gone");
    assert_eq!(process.state(id), "pending");
    process.say(id, "ana", Verdict::Deny, None).unwrap();
    process.stop();
}

#[test]
fn an_encoded_body_is_read_without_its_coding_and_its_record_says_so() {
    let mut bench = Bench::new();
    let process = bench.start();
    for decoded in [Bytes::from_static(b"{\"a\": 1}"), noise(PIECE_BYTES + 3).into(), Bytes::new()] {
        let bytes = Bytes::from(format!("not really {}", decoded.len()));
        let body = |coding| {
            let (bytes, decoded) = (bytes.clone(), decoded.clone());
            Body::Encoded { bytes, trailers: HeaderMap::new(), coding, decoded }
        };
        let call = with_body(&bench, body("gzip"));
        let id = process.open(&call).id();
        let shown = process.wait(process.approvals.request(id)).unwrap().unwrap();
        assert_eq!((shown.body_bytes, shown.body_sha256), (bytes.len() as u64, Sha256::of(&bytes)));
        assert_eq!(shown.decoded.as_ref().map(|decoded| decoded.coding.as_str()), Some("gzip"));
        assert_eq!(shown.readable(), (decoded.len() as u64, Sha256::of(&decoded)));
        assert!(process.read_body(id) == Ok(decoded.to_vec()));
        // What is decoded is part of what an approval is bound to.
        let mut other = shown.clone();
        other.decoded.as_mut().unwrap().bytes += 1;
        assert_ne!(other.hash(), shown.hash());
        other.decoded = None;
        assert_ne!(other.hash(), shown.hash());
    }
    process.stop();
}
