//! `watch`, with and without somebody at the keyboard.

use std::time::Duration;

use secrecy::SecretString;
use serde_json::Value;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::cli::approvals::ConnectionArgs;
use crate::cli::approvals::Exit;
use crate::cli::approvals::client::Client;
use crate::cli::approvals::execute;
use crate::cli::approvals::feed::Feed;
use crate::cli::approvals::feed::Told;
use crate::model::ApprovalId;
use crate::review::tests::Fixture;

use super::harness;
use super::harness::Paper;

struct Watcher {
    out: Paper,
    err: Paper,
    task: JoinHandle<Exit>,
}

impl Watcher {
    async fn start(fixture: &Fixture, who: &str, line: &[&str], input: Option<mpsc::Receiver<String>>) -> Self {
        let url = format!("http://{}", harness::serve(fixture).await);
        let (mut terminal, out, err) = harness::terminal(fixture, who, input);
        let args = harness::parse(&url, line);
        let task = tokio::spawn(async move { execute(args, &mut terminal).await.unwrap() });
        Self { out, err, task }
    }

    /// Waits until `found` is true of what was printed.
    async fn until(&self, found: impl Fn(&str, &str) -> bool) {
        let waited = tokio::time::timeout(Duration::from_secs(20), async {
            while !found(&self.out.text(), &self.err.text()) {
                assert!(!self.task.is_finished(), "{}\n{}", self.out.text(), self.err.text());
                tokio::task::yield_now().await;
            }
        });
        assert!(waited.await.is_ok(), "{}\n{}", self.out.text(), self.err.text());
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[tokio::test]
async fn a_script_gets_one_line_for_each_thing_that_happens() {
    let fixture = Fixture::new().await;
    let first = fixture.hold("/first").await;
    let watcher = Watcher::start(&fixture, "bo", &["watch", "-o", "jsonl"], None).await;
    watcher.until(|out, _| out.lines().count() == 1).await;
    let second = fixture.hold("/second").await;
    watcher.until(|out, _| out.lines().count() == 2).await;
    fixture.decide("bo", second.id(), "deny", Some("no")).await;
    watcher.until(|out, _| out.lines().count() == 4).await;
    let lines: Vec<Value> = watcher.out.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let told: Vec<(&str, &str)> =
        lines.iter().map(|line| (line["kind"].as_str().unwrap(), line["approval"]["id"].as_str().unwrap())).collect();
    let (first, second) = (first.id().to_string(), second.id().to_string());
    assert_eq!(
        told,
        [
            ("approval.pending", first.as_str()),
            ("approval.created", &second),
            ("approval.decided", &second),
            ("approval.denied", &second),
        ]
    );
    assert!(lines[0]["seq"].is_null() && lines[1]["seq"].is_u64());
    assert_eq!(lines[3]["approval"]["outcome"]["reason"], "no");
}

#[tokio::test]
async fn whoever_watches_their_own_sees_only_those() {
    let fixture = Fixture::new().await;
    let watcher = Watcher::start(&fixture, "dee", &["watch", "--mine"], None).await;
    let other = fixture.hold("/for-data-owners").await;
    let own = fixture.hold_with("/for-security", |_, asks| asks.reviewers[0].group = "security".to_owned()).await;
    watcher.until(|out, _| out.contains("/for-security")).await;
    assert!(!watcher.out.text().contains("/for-data-owners"));
    drop((other, own));
}

async fn digits(fixture: &Fixture, id: ApprovalId) -> String {
    fixture.digest(id).await["sha256:".len()..][..6].to_owned()
}

#[tokio::test]
async fn a_person_decides_from_the_keyboard() {
    let fixture = Fixture::new().await;
    let (keys, input) = mpsc::channel(16);
    let watcher = Watcher::start(&fixture, "bo", &["watch"], Some(input)).await;
    let key = async |line: &str| keys.send(line.to_owned()).await.unwrap();

    let approved = fixture.hold("/approve-me").await;
    watcher.until(|_, err| err.contains("/approve-me") && err.contains("[s]kip")).await;
    key("x").await;
    key("a").await;
    // Wrong digits lead back, and nothing is sent.
    key("zzzz").await;
    key("a").await;
    key(&digits(&fixture, approved.id()).await).await;
    watcher.until(|out, _| out.contains(&format!("{} approved\n", approved.id()))).await;

    let asked = fixture.hold("/ask-me").await;
    watcher.until(|_, err| err.contains("/ask-me")).await;
    key("q").await;
    key("what for?").await;
    watcher.until(|_, err| err.contains("the agent is told your question")).await;

    let denied = fixture.hold("/deny-me").await;
    watcher.until(|_, err| err.contains("/deny-me")).await;
    key("d").await;
    key("").await; // not that way
    key("d").await;
    key("too broad").await;
    watcher.until(|out, _| out.contains(&format!("{} denied\n", denied.id()))).await;

    let taken = fixture.hold("/somebody-else").await;
    watcher.until(|_, err| err.contains("/somebody-else")).await;
    fixture.decide("cy", taken.id(), "deny", None).await;
    watcher.until(|_, err| err.contains("it is denied meanwhile")).await;

    let skipped = fixture.hold("/skip-me").await;
    watcher.until(|_, err| err.contains("/skip-me")).await;
    key("s").await;
    drop(keys);
    let mut watcher = watcher;
    assert_eq!((&mut watcher.task).await.unwrap(), Exit::Ok);
    let state = async |id| fixture.approvals.get(id).await.unwrap().unwrap();
    assert_eq!(state(asked.id()).await.open_question().unwrap().text, "what for?");
    assert_eq!(state(skipped.id()).await.state.name(), "pending");
    assert_eq!(state(denied.id()).await.reviews[0].reason.as_deref(), Some("too broad"));
}

#[tokio::test]
async fn what_cannot_begin_is_an_error() {
    let fixture = Fixture::new().await;
    let url = format!("http://{}", harness::serve(&fixture).await);
    let run = harness::run(&fixture, &url, "bo", &["watch", "-o", "yaml"], None).await;
    assert_eq!(run.exit, Exit::Usage);
    fixture.state.tokens.store(std::sync::Arc::default());
    let run = harness::run(&fixture, &url, "bo", &["watch"], None).await;
    assert!(run.exit == Exit::NotPermitted && run.err.contains("not known"), "{}", run.err);
}

/// Answers one request with a stream of `events` that ends, and tells the request's head.
async fn stream_once(listener: &TcpListener, events: &str) -> String {
    let (mut tcp, _) = listener.accept().await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(tcp.read_u8().await.unwrap());
    }
    let answer = format!("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n{events}");
    tcp.write_all(answer.as_bytes()).await.unwrap();
    String::from_utf8(head).unwrap()
}

#[tokio::test]
async fn a_feed_that_was_cut_goes_on_behind_what_it_has_seen() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = format!("http://{}", listener.local_addr().unwrap());
    let args = ConnectionArgs { server, token_file: None, ca: None };
    let client = Client::new(&args, Some(&SecretString::from("hp_pat_x".to_owned()))).unwrap();
    let mut feed = Feed::start(client);
    let event = |seq: u64| {
        format!(
            "id: {seq}\nevent: approval.created\ndata: {{\"seq\":{seq},\"kind\":\"approval.created\",\"approval\":\"apr_x\",\"at\":\"2026-11-21T05:16:59Z\"}}\n\n"
        )
    };
    // The second stream breaks off within an event, which then comes again.
    let half = event(8)[..30].to_owned();
    let portions = [event(6) + &event(7), half, event(8)];
    let mut heads = Vec::new();
    let mut seen = Vec::new();
    for portion in portions {
        heads.push(stream_once(&listener, &portion).await);
        loop {
            match feed.next().await.unwrap() {
                Told::Connected => {}
                Told::Event(view) => seen.push(view.seq),
                Told::Lost(_) => break,
                Told::Failed(failure) => panic!("{failure:?}"),
            }
        }
    }
    assert_eq!(seen, [6, 7, 8]);
    assert!(!heads[0].contains("last-event-id"));
    assert!(heads[1].contains("last-event-id: 7\r\n") && heads[2].contains("last-event-id: 7\r\n"), "{heads:?}");
}
