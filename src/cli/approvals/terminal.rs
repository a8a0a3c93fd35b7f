//! Where words come from and go to: the process's own streams, or those of a test.

use std::io;
use std::io::IsTerminal;
use std::io::Write;

use secrecy::SecretString;
use tokio::sync::mpsc;

use crate::cli::sign_in::SessionFile;
use crate::model::Clock;
use crate::model::Timestamp;

use super::Client;
use super::ConnectionArgs;
use super::Failure;
use super::text;

/// The streams of one command, the time, and the token from the environment.
pub(crate) struct Terminal {
    out: Box<dyn Write + Send>,
    err: Box<dyn Write + Send>,
    input: Input,
    interactive: bool,
    /// Whether what is printed is looked at, and not read by a program.
    shown: bool,
    token: Option<SecretString>,
    sessions: Option<SessionFile>,
    clock: Clock,
}

enum Input {
    /// The process's own, not read from yet.
    Process,
    /// Lines as they come.
    Lines(mpsc::Receiver<String>),
}

impl Terminal {
    /// The streams of this process, with the token of HOLDPOINT_TOKEN. It is interactive if
    /// somebody can both read what is asked and answer it.
    pub(crate) fn of_process(clock: Clock) -> Self {
        // Not by clap: whatever clap reads could be given as an argument too, for all to see.
        let token = std::env::var_os(TOKEN).and_then(|token| token.into_string().ok());
        Self {
            out: Box::new(io::stdout()),
            err: Box::new(io::stderr()),
            input: Input::Process,
            interactive: io::stdin().is_terminal() && io::stderr().is_terminal(),
            shown: io::stdout().is_terminal(),
            token: token.filter(|token| !token.is_empty()).map(SecretString::from),
            sessions: SessionFile::of_user(),
            clock,
        }
    }

    /// Other streams.
    #[cfg(test)]
    pub(super) fn of_test(
        out: Box<dyn Write + Send>,
        err: Box<dyn Write + Send>,
        input: Option<mpsc::Receiver<String>>,
        token: Option<SecretString>,
        clock: Clock,
    ) -> Self {
        let interactive = input.is_some();
        let input = Input::Lines(input.unwrap_or_else(|| mpsc::channel(1).1));
        Self { out, err, input, interactive, shown: interactive, token, sessions: None, clock }
    }

    /// Whether somebody can be asked.
    pub(super) fn is_interactive(&self) -> bool {
        self.interactive
    }

    /// Whether somebody looks at what is printed.
    pub(super) fn is_shown(&self) -> bool {
        self.shown
    }

    /// Where data goes that no person looks at.
    pub(super) fn out(&mut self) -> &mut (dyn Write + Send) {
        &mut *self.out
    }

    /// Where `login` keeps its sessions; `None` if there is no place for them.
    pub(in crate::cli) fn sessions(&self) -> Option<&SessionFile> {
        self.sessions.as_ref()
    }

    /// Talks to a server as whoever `--token-file`, HOLDPOINT_TOKEN or `login` says, in this order.
    pub(in crate::cli) fn client(&self, args: &ConnectionArgs) -> Result<Client, Failure> {
        if args.token_file.is_some() || self.token.is_some() {
            return Client::new(args, self.token.as_ref());
        }
        let session = self.sessions.as_ref().map(|sessions| sessions.token(&args.server, self.now())).transpose()?;
        Client::new(args, session.flatten().as_ref())
    }

    /// Says what went wrong.
    pub(in crate::cli) fn complain(&mut self, failure: &Failure) -> io::Result<()> {
        if failure.message.is_empty() {
            return Ok(());
        }
        self.say(&format!("error: {}", text::one_line(&failure.message)))
    }

    pub(in crate::cli) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Prints data.
    pub(in crate::cli) fn print(&mut self, text: &str) -> io::Result<()> {
        self.out.write_all(text.as_bytes())?;
        if !text.ends_with('\n') && !text.is_empty() {
            self.out.write_all(b"\n")?;
        }
        self.out.flush()
    }

    /// Says something beside the data.
    pub(in crate::cli) fn say(&mut self, text: &str) -> io::Result<()> {
        self.err.write_all(text.as_bytes())?;
        self.err.write_all(b"\n")?;
        self.err.flush()
    }

    /// Asks for a line, and stays on that line.
    pub(super) fn prompt(&mut self, text: &str) -> io::Result<()> {
        self.err.write_all(text.as_bytes())?;
        self.err.flush()
    }

    /// The next line that was typed; `None` once there will be no more. Cancel safe.
    pub(super) async fn line(&mut self) -> Option<String> {
        let lines = match &mut self.input {
            Input::Lines(lines) => lines,
            Input::Process => {
                self.input = Input::Lines(read_stdin());
                match &mut self.input {
                    Input::Lines(lines) => lines,
                    Input::Process => return None,
                }
            }
        };
        lines.recv().await.map(|line| line.trim_end_matches(['\r', '\n']).to_owned())
    }
}

/// A thread of its own, since reading a terminal cannot be given up once it has begun.
fn read_stdin() -> mpsc::Receiver<String> {
    let (sender, lines) = mpsc::channel(1);
    std::thread::spawn(move || {
        for line in io::stdin().lines() {
            let Ok(line) = line else { return };
            if sender.blocking_send(line).is_err() {
                return;
            }
        }
    });
    lines
}

const TOKEN: &str = "HOLDPOINT_TOKEN";
