//! Bodies that are too long for memory: kept while their call is held, shown whole, sent as they
//! were or not to their end.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use bytes::Bytes;
use http::Method;
use serde_json::Value;

use crate::support::World;
use crate::support::eventually;

/// Bytes that no two pieces of which are alike.
fn noise(length: usize) -> Bytes {
    let mut state = 0x9e37_79b9_u32;
    let next = |_| {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state as u8
    };
    (0..length).map(next).collect::<Vec<u8>>().into()
}

fn summary(bytes: &[u8]) -> String {
    let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes);
    let hash: String = hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{} sha256:{hash}", bytes.len())
}

/// The open files of the program that are in its spool and have no name.
fn spooled(world: &World) -> Vec<PathBuf> {
    let files = std::fs::read_dir(format!("/proc/{}/fd", world.program.id())).unwrap();
    let files = files.filter_map(|file| Some(file.ok()?.path()));
    let in_spool = |path: &PathBuf| {
        let target = std::fs::read_link(path).map(|target| target.to_string_lossy().into_owned()).unwrap_or_default();
        target.contains("/spool/") && target.ends_with(" (deleted)")
    };
    files.filter(in_spool).collect()
}

fn names_in_spool(world: &World) -> usize {
    std::fs::read_dir(world.path("approvals/spool")).unwrap().count()
}

/// The most memory that the program has had so far, in bytes.
fn peak(world: &World) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{}/status", world.program.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() * 1024
}

async fn metric(world: &World, name: &str) -> f64 {
    let text = world.ask("ana", Method::GET, "/metrics", None).await.text();
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ').map(str::to_owned));
    value.unwrap().parse().unwrap()
}

async fn download(world: &World, item: &Value) -> (u16, Bytes) {
    let path = format!("/v1/approvals/{}/body", item["id"].as_str().unwrap());
    let answer = world.ask("bo", Method::GET, &path, None).await;
    (answer.status, answer.body)
}

#[tokio::test]
async fn a_long_body_is_held_in_a_file_that_nobody_finds_and_arrives_whole() {
    let world = World::start();
    for http2 in [false, true] {
        let body = noise((9 << 20) + 1);
        let call = world.call(Method::POST, "/held/sink").body(body.clone());
        let held = if http2 { call.http2() } else { call }.spawn();
        let item = world.held("/held/sink").await;
        assert_eq!((spooled(&world).len(), names_in_spool(&world)), (1, 0));
        assert_eq!(metric(&world, "holdpoint_spooled_bytes").await, body.len() as f64);
        // What is on the disk is not what was sent.
        let mut start = vec![0; 64];
        File::open(&spooled(&world)[0]).unwrap().read_exact_at(&mut start, 0).unwrap();
        assert_ne!(start, body[..64]);
        let detail = world.approval(item["id"].as_str().unwrap()).await;
        assert_eq!((&detail["body"]["bytes"], &detail["body"]["complete"]), (&body.len().into(), &true.into()));
        assert_eq!((&detail["request"]["body_text"], &detail["request"]["body_base64"]), (&Value::Null, &Value::Null));
        assert!(download(&world, &item).await == (200, body.clone()));
        world.approve("ana", &item).await;
        assert_eq!(held.await.unwrap().status, 200);
        let received = world.upstream.received().pop().unwrap();
        assert_eq!(String::from_utf8_lossy(&received.body), summary(&body));
        assert_eq!(received.values("content-length"), [body.len().to_string()]);
        eventually("an empty spool", || async { spooled(&world).is_empty().then_some(()) }).await;
        assert_eq!(metric(&world, "holdpoint_spooled_bytes").await, 0.0);
        world.waits_for("/held/sink", "completed", false).await;
        assert_eq!(download(&world, &item).await.0, 410);
    }
    world.verify();
}

#[tokio::test]
async fn a_long_body_takes_little_memory_on_its_whole_way() {
    let world = World::start();
    // The first one also pays for what is needed once.
    for (count, length) in [4 << 20, 48 << 20].into_iter().enumerate() {
        let before = peak(&world);
        let body = noise(length);
        let held = world.call(Method::POST, "/held/sink").body(body.clone()).spawn();
        let item = world.held("/held/sink").await;
        assert!(download(&world, &item).await == (200, body.clone()));
        world.approve("ana", &item).await;
        assert_eq!(held.await.unwrap().status, 200);
        let received = world.upstream.received().pop().unwrap();
        assert_eq!(String::from_utf8_lossy(&received.body), summary(&body));
        let grown = peak(&world) - before;
        assert!(count == 0 || grown < GROWTH_MAX, "{grown} bytes more for a body of {length}");
    }
}

#[tokio::test]
async fn an_upload_that_nobody_looks_at_passes_in_little_memory() {
    let world = World::start();
    let key = &world.keys["deploy-bot"];
    let piece = noise(1 << 20);
    let mut hasher = aws_lc_rs::digest::Context::new(&aws_lc_rs::digest::SHA256);
    let before = peak(&world);
    let mut wire = world.wire().await;
    wire.write(format!(
        "PUT /open/sink HTTP/1.1\r\nHost: proxy.test\r\nAuthorization: Bearer {key}\r\nTransfer-Encoding: chunked\r\n\r\n"
    ))
    .await;
    for _ in 0..UPLOAD_PIECES {
        hasher.update(&piece);
        wire.write(format!("{:x}\r\n", piece.len())).await;
        wire.write(&piece).await;
        wire.write("\r\n").await;
    }
    wire.write("0\r\nX-Sum: 1\r\n\r\n").await;
    wire.read_until("\"fine\":true").await;
    let hash: String = hasher.finish().as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    let received = world.upstream.received().pop().unwrap();
    let expected = format!("{} sha256:{hash}", UPLOAD_PIECES * piece.len());
    assert_eq!(String::from_utf8_lossy(&received.body), expected);
    let grown = peak(&world) - before;
    assert!(grown < GROWTH_MAX, "{grown} bytes more");
}

#[tokio::test]
async fn a_crash_leaves_no_file_and_no_approval_without_its_body() {
    let mut world = World::start();
    let body = noise(3 << 20);
    let held = world.call(Method::POST, "/held/sink").body(body.clone()).spawn();
    let item = world.held("/held/sink").await;
    world.restart();
    assert!(held.await.is_err());
    assert_eq!((names_in_spool(&world), spooled(&world).len()), (0, 0));
    // Reviewers still read it, and the agent comes again with it.
    assert!(download(&world, &item).await == (200, body.clone()));
    let again = world.call(Method::POST, "/held/sink").body(body.clone()).spawn();
    assert_eq!(world.held("/held/sink").await["id"], item["id"]);
    // Another body is another call.
    let mut other = body.to_vec();
    other[2 << 20] ^= 1;
    let other = world.call(Method::POST, "/held/sink?other").body(other).spawn();
    assert_ne!(world.held("/held/sink?other").await["id"], item["id"]);
    world.approve("ana", &item).await;
    assert_eq!(again.await.unwrap().status, 200);
    assert_eq!(world.upstream.count("/"), 1);
    other.abort();
    world.verify();
}

#[tokio::test]
async fn a_body_that_was_damaged_on_the_disk_is_not_sent_to_its_end() {
    let world = World::start();
    let body = noise(3 << 20);
    for (number, (at, cut)) in [(0, false), ((3 << 20) - 10, false), (2 << 20, true)].into_iter().enumerate() {
        let target = format!("/held/{number}/sink");
        let held = world.call(Method::POST, &target).body(body.clone()).spawn();
        let item = world.held(&target).await;
        let file = File::options().read(true).write(true).open(&spooled(&world)[0]).unwrap();
        if cut {
            file.set_len(at).unwrap();
        } else {
            let mut byte = [0];
            file.read_exact_at(&mut byte, at).unwrap();
            file.write_all_at(&[!byte[0]], at).unwrap();
        }
        drop(file);
        world.approve("ana", &item).await;
        let answer = held.await.unwrap();
        assert_eq!((answer.status, answer.code().as_str()), (500, "internal-error"), "{}", answer.text());
        let detail = eventually("an ending", || async {
            let detail = world.approval(item["id"].as_str().unwrap()).await;
            (detail["state"] == "unknown").then_some(detail)
        });
        let reason = detail.await["outcome"]["reason"].to_string();
        assert!(reason.contains("damaged") && reason.contains("the end of the call was not sent"), "{reason}");
    }
    // The upstream had not the whole of any.
    assert_eq!(world.upstream.count("/"), 0);
    world.verify();
}

#[tokio::test]
async fn a_disk_that_says_no_is_said_and_nothing_is_sent() {
    let more = "limits: { inspect_bytes_max: 1KiB, hold_bytes_max: 2MiB, stored_bytes_total_max: 2MiB }\n\
                spool: { path: elsewhere }\n";
    let world = World::start_with(crate::support::POLICY, more);
    let post = |path: &str, length: usize| world.call(Method::POST, path).body(noise(length));
    // The room for what reviewers read.
    let first = post("/held/first", 2 << 20).spawn();
    world.held("/held/first").await;
    let second = post("/held/second", 100_000).send().await;
    assert_eq!((second.status, second.code().as_str()), (503, "overloaded"), "{}", second.text());
    assert_eq!(metric(&world, "holdpoint_spooled_bytes").await, (2 << 20) as f64);
    // The folder.
    std::fs::remove_dir(world.path("elsewhere")).unwrap();
    let answer = post("/held/third", 2_000).send().await;
    assert_eq!((answer.status, answer.code().as_str()), (503, "body-spool-unavailable"), "{}", answer.text());
    assert_ne!(answer.field("retry-after"), "");
    assert!(!answer.text().contains("elsewhere"), "{}", answer.text());
    world.program.logged_text("the body of a held call cannot be kept", 0);
    // What needs no file is held as before.
    let short = post("/held/short", 1_000).spawn();
    world.held("/held/short").await;
    assert_eq!((world.approvals("").await.len(), world.upstream.received().len()), (2, 0));
    first.abort();
    short.abort();
}

#[tokio::test]
async fn trailers_of_a_long_body_are_kept_with_it() {
    let world = World::start_with(crate::support::POLICY, "limits: { inspect_bytes_max: 1KiB }\n");
    let mut wire = world.wire().await;
    let key = &world.keys["deploy-bot"];
    let text = "x".repeat(0x2000);
    wire.write(format!(
        "POST /held/up HTTP/1.1\r\nHost: proxy.test\r\nAuthorization: Bearer {key}\r\nTransfer-Encoding: chunked\r\n\
         Trailer: x-sum\r\n\r\n2000\r\n{text}\r\n0\r\nX-Sum: 6\r\nAuthorization: evil\r\n\r\n"
    ))
    .await;
    let item = world.held("/held/up").await;
    let detail = world.approval(item["id"].as_str().unwrap()).await;
    assert!(detail["request"]["headers"].to_string().contains("trailer x-sum"), "{detail}");
    assert!(download(&world, &item).await == (200, text.clone().into()));
    world.approve("ana", &item).await;
    wire.read_until("\"fine\":true").await;
    let received = world.upstream.received().pop().unwrap();
    let body = String::from_utf8_lossy(&received.body).to_lowercase();
    assert!(body.starts_with(&format!("2000\r\n{text}\r\n0\r\n")) && body.contains("x-sum: 6"), "{:.80}", body);
    assert!(!body.contains("evil"));
}

#[tokio::test]
async fn a_long_body_is_read_from_the_command_line() {
    let world = World::start();
    let text = "line\u{1b}[2J\n".repeat(20_000);
    let held = world.call(Method::POST, "/held/a").body(text.clone()).spawn();
    let item = world.held("/held/a").await;
    let (server, ca) = (format!("https://{}", world.admin), world.path("ca.pem"));
    let file = world.path("saved");
    let run = |more: &[&str]| {
        let id = item["id"].as_str().unwrap();
        let mut line = vec!["approvals", "body", id, "--server", &server, "--ca", ca.to_str().unwrap()];
        line.extend(more);
        crate::support::holdpoint(&line, &[("HOLDPOINT_TOKEN", &world.tokens["bo"])])
    };
    let output = run(&[]);
    assert!(output.status.success() && output.stdout == text.as_bytes(), "{output:?}");
    let output = run(&["--output-file", file.to_str().unwrap()]);
    assert!(output.status.success() && output.stdout.is_empty(), "{output:?}");
    assert!(std::fs::read_to_string(&file).unwrap() == text);
    held.abort();
}

/// What a body may cost in memory, whatever its length: buffers on both sides of the proxy, a few
/// pieces, the caches of the store, and what the allocator keeps.
const GROWTH_MAX: usize = 16 << 20;

/// Of 1 MiB each.
const UPLOAD_PIECES: usize = 200;
