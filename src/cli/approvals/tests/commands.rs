//! Commands against a real API.

use std::sync::Arc;

use clap::CommandFactory;
use clap::Parser;
use rcgen::CertificateParams;
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls_pki_types::PrivateKeyDer;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::cli::approvals::Exit;
use crate::cli::approvals::failure::exit_of;
use crate::model::Assurance;
use crate::model::visible::is_hidden;
use crate::review::tests::Fixture;
use crate::review::tests::hostile_texts;

use super::harness;
use super::harness::Cli;
use super::harness::Run;

struct Server {
    fixture: Fixture,
    url: String,
}

impl Server {
    async fn new() -> Self {
        let fixture = Fixture::new().await;
        let url = format!("http://{}", harness::serve(&fixture).await);
        Self { fixture, url }
    }

    /// Runs a line as `who`; nobody sits at the terminal.
    async fn run(&self, who: &str, line: &[&str]) -> Run {
        harness::run(&self.fixture, &self.url, who, line, None).await
    }

    /// The same with somebody who types.
    async fn type_in(&self, who: &str, line: &[&str], typed: &[&str]) -> Run {
        harness::run(&self.fixture, &self.url, who, line, Some(typed)).await
    }
}

#[test]
fn the_command_line_is_in_order_and_takes_no_token() {
    Cli::command().debug_assert();
    for line in [
        &["list", "--token", "hp_pat_x"][..],
        &["approve"],
        &["deny", "abcd"],
        &["ask", "abcd"],
        &["list", "-o", "csv"],
        &["list", "--limit", "0"],
    ] {
        let words = ["approvals"].into_iter().chain(line.iter().copied());
        assert_eq!(Cli::try_parse_from(words).err().map(|error| error.exit_code()), Some(2), "{line:?}");
    }
    assert!(Cli::try_parse_from(["approvals", "list", "--server", "https://h:1", "--token-file", "t"]).is_ok());
}

#[tokio::test]
async fn what_is_pending_is_listed_and_shown() {
    let server = Server::new().await;
    let run = server.run("bo", &["list"]).await;
    assert_eq!((run.exit, run.out.as_str(), run.err.as_str()), (Exit::Ok, "", "there are none\n"));
    let hold = server.fixture.hold("/customers/export").await;
    let id = hold.id().to_string();
    let run = server.run("bo", &["list"]).await;
    assert!(run.out.contains("POST payments.internal/customers/export") && run.err.is_empty(), "{}", run.out);
    assert_eq!(server.run("bo", &["list", "-o", "name", "--mine"]).await.out, format!("{id}\n"));
    assert_eq!(server.run("ana", &["list", "-o", "name", "--mine"]).await.out, "");
    assert_eq!(server.run("bo", &["list", "--state", "denied", "-o", "name"]).await.out, "");
    assert_eq!(server.run("bo", &["list", "--state", "all", "-o", "name"]).await.out, format!("{id}\n"));
    let json = server.run("bo", &["list", "-o", "json"]).await.out;
    assert_eq!(serde_json::from_str::<serde_json::Value>(&json).unwrap()["items"][0]["id"], id);
    for typed in [&id[..], &id[id.len() - 6..], &id[4..30], &id[..34]] {
        let run = server.run("bo", &["show", typed, "-o", "name"]).await;
        assert_eq!((run.exit, run.out), (Exit::Ok, format!("{id}\n")), "{typed}");
    }
    let shown = server.run("bo", &["show", &id]).await.out;
    assert!(
        shown.contains("  | POST payments.internal/customers/export\n") && shown.contains("\"format\": \"csv\""),
        "{shown}"
    );
}

#[tokio::test]
async fn more_than_a_page_is_listed_whole() {
    let server = Server::new().await;
    let mut holds = Vec::new();
    for number in 0..205 {
        holds.push(server.fixture.hold(&format!("/customers/{number}")).await);
    }
    assert_eq!(server.run("bo", &["list", "-o", "name"]).await.out.lines().count(), 205);
    let run = server.run("bo", &["list", "-o", "name", "--limit", "3"]).await;
    assert_eq!((run.out.lines().count(), run.err.contains("--limit")), (3, true));
    // The ids share their beginning, so that it names none of them.
    let run = server.run("bo", &["show", "0000"]).await;
    assert_ne!(run.exit, Exit::Ok);
    let run = server.run("bo", &["show", &holds[0].id().to_string()[4..12]]).await;
    assert!(run.exit == Exit::Usage && run.err.contains("of 205 ids"), "{}", run.err);
}

#[tokio::test]
async fn a_script_approves_with_the_digest_it_was_shown() {
    let server = Server::new().await;
    let hold = server.fixture.hold("/customers/export").await;
    let id = hold.id().to_string();
    let digest = server.fixture.digest(hold.id()).await;
    let run = server.run("bo", &["approve", &id]).await;
    assert!(run.exit == Exit::Usage && run.err.contains("--digest"), "{}", run.err);
    for (given, expected) in [("3f9", Exit::Usage), ("wxyz", Exit::Usage), ("", Exit::Usage)] {
        assert_eq!(server.run("bo", &["approve", &id, "--digest", given]).await.exit, expected, "{given}");
    }
    let wrong = if digest.starts_with("sha256:0000") { "1111" } else { "0000" };
    let run = server.run("bo", &["approve", &id, "--digest", wrong]).await;
    assert!(run.exit == Exit::Conflict && run.err.contains("nothing was sent"), "{}", run.err);
    let run = server.run("bo", &["approve", &id, "--digest", &digest["sha256:".len()..][..8], "-m", "fine"]).await;
    assert_eq!((run.exit, run.out), (Exit::Ok, format!("{id} approved\n")), "{}", run.err);
    let record = server.fixture.approvals.get(hold.id()).await.unwrap().unwrap();
    assert_eq!(record.reviews[0].reason.as_deref(), Some("fine"));
    // The whole digest works as well, and saying it again is no error.
    assert_eq!(server.run("bo", &["approve", &id, "--digest", &digest]).await.exit, Exit::Ok);
}

#[tokio::test]
async fn a_person_sees_the_whole_call_before_they_approve_it() {
    let server = Server::new().await;
    let hold = server.fixture.hold("/customers/export").await;
    let id = hold.id().to_string();
    let digest = server.fixture.digest(hold.id()).await["sha256:".len()..].to_owned();
    let cases: [(&[&str], Exit); 4] =
        [(&[], Exit::Error), (&[""], Exit::Error), (&["yes"], Exit::Usage), (&[&digest[..3]], Exit::Usage)];
    for (typed, expected) in cases {
        let run = server.type_in("bo", &["approve", &id], typed).await;
        assert_eq!(run.exit, expected, "{typed:?}: {}", run.err);
        assert!(run.err.contains("  | POST payments.internal/customers/export\n") && run.out.is_empty());
    }
    let wrong = if digest.starts_with("0000") { "1111" } else { "0000" };
    assert_eq!(server.type_in("bo", &["approve", &id], &[wrong]).await.exit, Exit::Conflict);
    let run = server.type_in("bo", &["approve", &id], &[&digest[..4]]).await;
    assert_eq!((run.exit, run.out), (Exit::Ok, format!("{id} approved\n")), "{}", run.err);

    let hold = server.fixture.hold_with("/b", |_, asks| asks.require_reason = true).await;
    let digest = server.fixture.digest(hold.id()).await["sha256:".len()..].to_owned();
    let run = server.type_in("bo", &["approve", &hold.id().to_string()], &["for the audit", &digest[..4]]).await;
    assert_eq!(run.exit, Exit::Ok, "{}", run.err);
    let record = server.fixture.approvals.get(hold.id()).await.unwrap().unwrap();
    assert_eq!(record.reviews[0].reason.as_deref(), Some("for the audit"));
    // Whoever may not approve it is told before they type.
    let hold = server.fixture.hold("/c").await;
    let run = server.type_in("ana", &["approve", &hold.id().to_string()], &[]).await;
    assert!(run.exit == Exit::NotPermitted && !run.err.contains("type the first"), "{}", run.err);
}

#[tokio::test]
async fn every_ending_has_its_exit_code() {
    let server = Server::new().await;
    let hold = server.fixture.hold("/a").await;
    let id = hold.id().to_string();
    let digest = server.fixture.digest(hold.id()).await;
    let unknown = "apr_00000000000070008000000000000000";
    let approve = ["approve", &id, "--digest", &digest];
    let cases: [(&str, &[&str], Exit); 12] = [
        ("ana", &approve, Exit::NotPermitted),
        ("eve", &approve, Exit::NotPermitted),
        ("-", &["list"], Exit::Usage),
        ("bo", &["withdraw", &id], Exit::NotPermitted),
        ("bo", &["ask", &id, "-m", "  "], Exit::Usage),
        ("bo", &["ask", &id, "-m", "what for?"], Exit::Ok),
        ("bo", &["show", unknown], Exit::NotFound),
        ("bo", &["deny", "ffff0000ffff", "-m", "no"], Exit::NotFound),
        ("bo", &["show", "not-an-id"], Exit::Usage),
        ("bo", &["list", "--state", "open"], Exit::Usage),
        ("bo", &["deny", &id, "-m", "no"], Exit::Ok),
        ("cy", &approve, Exit::Conflict),
    ];
    for (who, line, expected) in cases {
        let run = server.run(who, line).await;
        assert_eq!(run.exit, expected, "{who} {line:?}: {}", run.err);
    }
    let strict = server.fixture.hold_with("/b", |_, asks| asks.assurance = Assurance::Stepup).await;
    let digest = server.fixture.digest(strict.id()).await;
    let line = ["approve", &strict.id().to_string(), "--digest", &digest];
    assert_eq!(server.run("bo", &line).await.exit, Exit::NeedsStepUp);
    assert_eq!(server.run("ana", &["withdraw", &strict.id().to_string(), "-m", "oh"]).await.exit, Exit::Ok);
    let late = server.fixture.hold("/c").await;
    let digest = server.fixture.digest(late.id()).await;
    server.fixture.later(901);
    let line = ["approve", &late.id().to_string(), "--digest", &digest];
    assert_eq!(server.run("bo", &line).await.exit, Exit::Expired);
    server.fixture.break_store();
    assert_eq!(server.run("bo", &["list"]).await.exit, Exit::Error);
}

#[test]
fn a_code_that_is_not_known_is_judged_by_its_status() {
    let cases = [
        (("needs-step-up", 403), Exit::NeedsStepUp),
        (("new", 403), Exit::NotPermitted),
        (("new", 404), Exit::NotFound),
        (("new", 409), Exit::Conflict),
        (("new", 410), Exit::Expired),
        (("new", 422), Exit::Usage),
        (("new", 429), Exit::Error),
        (("new", 503), Exit::Error),
    ];
    for ((code, status), expected) in cases {
        assert_eq!(exit_of(code, status), expected, "{code} {status}");
    }
}

#[tokio::test]
async fn errors_say_what_to_do() {
    let server = Server::new().await;
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let cases = [
        (format!("http://{closed}"), "connection refused: is `holdpoint serve` running? set --server"),
        ("http://example.com:9443".to_owned(), "plain http would show your token"),
        ("ftp://127.0.0.1".to_owned(), "it has to begin with `https://`"),
        ("127.0.0.1:9443/x".to_owned(), "--server"),
        ("https://127.0.0.1:9443/admin".to_owned(), "it ends after host and port"),
    ];
    for (url, expected) in cases {
        let run = harness::run(&server.fixture, &url, "bo", &["list"], None).await;
        assert!(run.exit != Exit::Ok && run.err.contains(expected), "{url}: {}", run.err);
    }
    let run = server.run("-", &["list"]).await;
    assert!(run.err.contains("--token-file") && run.err.contains("HOLDPOINT_TOKEN"), "{}", run.err);
    let run = server.run("bo", &["--ca", "/nowhere.pem", "list"]).await;
    // In the clear there is nothing to check, so the file is not even looked for.
    assert_eq!(run.exit, Exit::Ok);
    let run = server.run("bo", &["--token-file", "/nowhere", "list"]).await;
    assert!(run.exit == Exit::Usage && run.err.contains("`/nowhere`"), "{}", run.err);
}

#[tokio::test]
async fn a_token_file_wins_over_the_environment() {
    let server = Server::new().await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    std::fs::write(&path, format!("{}\n", server.fixture.token("bo"))).unwrap();
    let hold = server.fixture.hold("/a").await;
    let line = ["--token-file", path.to_str().unwrap(), "list", "--mine", "-o", "name"];
    // Ana would see nothing: it is her own agent.
    assert_eq!(server.run("ana", &line).await.out, format!("{}\n", hold.id()));
    std::fs::write(&path, &server.fixture.agent_key).unwrap();
    let run = server.run("bo", &line).await;
    assert!(run.exit == Exit::NotPermitted && run.err.contains("agent's key"), "{}", run.err);
}

#[tokio::test]
async fn an_own_ca_is_trusted_when_told_to() {
    let fixture = Fixture::new().await;
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap().self_signed(&key).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let ca = folder.path().join("ca.pem");
    std::fs::write(&ca, certificate.pem()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], PrivateKeyDer::try_from(key.serialize_der()).unwrap())
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    let router = fixture.router();
    tokio::spawn(async move {
        loop {
            let (tcp, _) = listener.accept().await.unwrap();
            let (acceptor, router) = (acceptor.clone(), router.clone());
            tokio::spawn(async move {
                if let Ok(tls) = acceptor.accept(tcp).await {
                    harness::answer(tls, router).await;
                }
            });
        }
    });
    let ca = ca.to_str().unwrap();
    let run = harness::run(&fixture, &url, "bo", &["--ca", ca, "list"], None).await;
    assert_eq!(run.exit, Exit::Ok, "{}", run.err);
    let run = harness::run(&fixture, &url, "bo", &["list"], None).await;
    assert!(run.exit == Exit::Error && run.err.contains("set --ca"), "{}", run.err);
    let empty = folder.path().join("empty.pem");
    std::fs::write(&empty, "").unwrap();
    let run = harness::run(&fixture, &url, "bo", &["--ca", empty.to_str().unwrap(), "list"], None).await;
    assert!(run.exit == Exit::Usage && run.err.contains("no certificate"), "{}", run.err);
}

#[tokio::test]
async fn a_long_body_is_fetched_and_read() {
    let server = Server::new().await;
    let body = |text: String| {
        server.fixture.hold_with("/customers/import", move |call, _| {
            let crate::model::Message::Http(request) = &mut call.message;
            request.body = crate::model::Body::Read { bytes: text.into(), trailers: http::HeaderMap::new() };
        })
    };
    let text = "a line\u{1b}[2K\u{202e}\n".repeat(10_000);
    let hold = body(text.clone()).await;
    let id = hold.id().to_string();
    let shown = server.run("bo", &["show", &id]).await.out;
    let advice = format!("is too long to be shown here. Read it before you decide:\n  holdpoint approvals body {id}\n");
    assert!(shown.contains(&advice), "{shown}");
    // To a program as it is, to a person so that it can be seen and does nothing.
    let run = server.run("bo", &["body", &id[4..]]).await;
    assert!(run.exit == Exit::Ok && run.out == text && run.err.is_empty(), "{}", run.err);
    let run = server.type_in("bo", &["body", &id], &[]).await;
    assert!(run.out.starts_with("a line\\u{1b}[2K\\u{202e}\n") && run.out.lines().count() == 10_000, "{:.80}", run.out);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("body");
    let file = path.to_str().unwrap();
    let run = server.run("bo", &["body", &id, "--output-file", file]).await;
    assert!(run.exit == Exit::Ok && run.out.is_empty() && run.err.contains("140000 bytes (sha256:"), "{}", run.err);
    assert!(std::fs::read_to_string(&path).unwrap() == text);
    let run = server.run("bo", &["body", &id, "--output-file", file]).await;
    assert!(run.exit == Exit::Usage && run.err.contains("choose another name"), "{}", run.err);
    // A short one is there as well; one that is over is not.
    let short = body("short".to_owned()).await;
    assert_eq!(server.run("bo", &["body", &short.id().to_string()]).await.out, "short");
    server.fixture.decide("bo", hold.id(), "deny", None).await;
    let run = server.run("bo", &["body", &id]).await;
    assert!(run.exit == Exit::NotFound && run.err.contains("body-gone"), "{}", run.err);
    assert!(server.run("bo", &["show", &id]).await.out.contains("is not kept any more"));
}

#[tokio::test]
async fn no_text_of_an_agent_does_anything_on_a_terminal() {
    let server = Server::new().await;
    for (number, text) in hostile_texts().iter().enumerate() {
        let hold = server.fixture.hold_saying(number, text).await;
        let id = hold.id().to_string();
        server.run("bo", &["ask", &id, "-m", text]).await;
        for form in ["table", "json", "yaml"] {
            let shown = server.run("bo", &["show", &id, "-o", form]).await;
            assert_eq!(shown.exit, Exit::Ok, "{text:?}: {}", shown.err);
            check_inert(&shown, text);
            // No line of the agent's begins like one of ours.
            if form == "table" {
                assert_eq!(shown.out.lines().filter(|line| line.starts_with("State")).count(), 1, "{}", shown.out);
                assert_eq!(shown.out.lines().filter(|line| line.starts_with("Digest")).count(), 1, "{}", shown.out);
            }
        }
        for form in ["table", "wide", "json", "jsonl", "yaml", "name"] {
            let listed = server.run("bo", &["list", "-o", form, "--limit", "1"]).await;
            assert_eq!(listed.exit, Exit::Ok, "{text:?}: {}", listed.err);
            check_inert(&listed, text);
        }
        check_inert(&server.type_in("bo", &["approve", &id], &["zzzz"]).await, text);
    }
}

fn check_inert(run: &Run, text: &str) {
    for printed in [&run.out, &run.err] {
        let hidden: Vec<char> = printed.chars().filter(|char| *char != '\n' && is_hidden(*char)).collect();
        assert!(hidden.is_empty(), "{hidden:?} for {text:?} in {printed}");
    }
}
