//! A server on this machine, and a terminal that writes down what it is given.

use std::io;
use std::io::Write;
use std::net::SocketAddr;
use std::sync::Arc;

use clap::Parser;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use parking_lot::Mutex;
use secrecy::SecretString;
use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use crate::cli::approvals::ApprovalsArgs;
use crate::cli::approvals::Exit;
use crate::cli::approvals::Terminal;
use crate::cli::approvals::execute;
use crate::review::tests::Fixture;

#[derive(Parser)]
#[command(name = "approvals")]
pub(super) struct Cli {
    #[command(flatten)]
    pub(super) args: ApprovalsArgs,
}

/// Serves the fixture's API in the clear.
pub(super) async fn serve(fixture: &Fixture) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = fixture.router();
    tokio::spawn(async move {
        loop {
            let (tcp, _) = listener.accept().await.unwrap();
            tokio::spawn(answer(tcp, router.clone()));
        }
    });
    address
}

pub(super) async fn answer(io: impl AsyncRead + AsyncWrite + Unpin, router: axum::Router) {
    http1::Builder::new().serve_connection(TokioIo::new(io), TowerToHyperService::new(router)).await.ok();
}

/// Where output goes.
#[derive(Clone, Default)]
pub(super) struct Paper(Arc<Mutex<Vec<u8>>>);

impl Paper {
    pub(super) fn text(&self) -> String {
        String::from_utf8(self.0.lock().clone()).unwrap()
    }
}

impl Write for Paper {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// One run of a command.
pub(super) struct Run {
    pub(super) exit: Exit,
    pub(super) out: String,
    pub(super) err: String,
}

/// A terminal of `fixture`'s time, with what is written to it.
pub(super) fn terminal(
    fixture: &Fixture,
    who: &str,
    input: Option<mpsc::Receiver<String>>,
) -> (Terminal, Paper, Paper) {
    let (out, err) = (Paper::default(), Paper::default());
    let token = (who != "-").then(|| SecretString::from(fixture.token(who).to_owned()));
    let clock = fixture.state.clock.clone();
    (Terminal::of_test(Box::new(out.clone()), Box::new(err.clone()), input, token, clock), out, err)
}

pub(super) fn parse(server: &str, line: &[&str]) -> ApprovalsArgs {
    let words = ["approvals", "--server", server].into_iter().chain(line.iter().copied());
    Cli::try_parse_from(words).unwrap_or_else(|error| panic!("{error}")).args
}

/// Runs a command as `who` against `server`. With `typed` somebody sits at the terminal.
pub(super) async fn run(fixture: &Fixture, server: &str, who: &str, line: &[&str], typed: Option<&[&str]>) -> Run {
    let input = typed.map(|lines| {
        let (sender, receiver) = mpsc::channel(16);
        lines.iter().for_each(|line| sender.try_send((*line).to_owned()).unwrap());
        receiver
    });
    let (mut terminal, out, err) = terminal(fixture, who, input);
    let exit = execute(parse(server, line), &mut terminal).await.unwrap();
    Run { exit, out: out.text(), err: err.text() }
}
