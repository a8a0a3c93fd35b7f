//! The real program, in a process of its own that ends with the test.

use std::io::BufRead;
use std::io::BufReader;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::process::Child;
use std::process::Command;
use std::process::ExitStatus;
use std::process::Output;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::Condvar;
use std::sync::Mutex;
use std::time::Instant;

use super::wait::DEADLINE;

/// One of its outputs, as it comes.
#[derive(Clone, Default)]
struct Lines(Arc<Shared>);

#[derive(Default)]
struct Shared {
    said: Mutex<Said>,
    more: Condvar,
}

#[derive(Default)]
struct Said {
    lines: Vec<String>,
    /// Nothing more will come.
    over: bool,
}

/// A running program.
pub(crate) struct Program {
    child: Child,
    stdout: Lines,
    stderr: Lines,
}

/// Runs a command of the program to its end.
pub(crate) fn holdpoint(arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    let mut command = command();
    command.args(arguments).envs(variables.iter().copied()).stdin(Stdio::null());
    command.output().unwrap()
}

fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_holdpoint"));
    for name in ["CONFIG", "SERVER", "CA", "TOKEN", "TOKEN_FILE"] {
        command.env_remove(format!("HOLDPOINT_{name}"));
    }
    command
}

impl Program {
    /// Starts it and returns at once.
    pub(crate) fn start(arguments: &[&str]) -> Self {
        Self::start_with(arguments, &[])
    }

    /// The same with these variables.
    pub(crate) fn start_with(arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        let mut command = command();
        command.args(arguments).envs(variables.iter().copied()).stdin(Stdio::null()).stdout(Stdio::piped());
        Self::spawn(command)
    }

    /// The same with up to two sockets that are passed as systemd does it (sd_listen_fds(3)). A shell
    /// puts them where they belong, since only the new process knows its own id.
    pub(crate) fn start_passing(sockets: Vec<OwnedFd>, names: &str, arguments: &[&str]) -> Self {
        let script = match sockets.len() {
            1 => "exec 3<&0 0</dev/null; LISTEN_PID=$$ exec \"$0\" \"$@\"",
            2 => "exec 3<&0 4>&1 0</dev/null 1>/dev/null; LISTEN_PID=$$ exec \"$0\" \"$@\"",
            count => panic!("{count} sockets"),
        };
        let plain = command();
        let mut command = Command::new("sh");
        command.args(["-c", script]).arg(plain.get_program()).args(arguments);
        for (name, _) in plain.get_envs() {
            command.env_remove(name);
        }
        command.env("LISTEN_FDS", sockets.len().to_string()).env("LISTEN_FDNAMES", names);
        let mut sockets = sockets.into_iter();
        command.stdin(sockets.next().unwrap());
        command.stdout(sockets.next().map_or_else(Stdio::piped, Stdio::from));
        Self::spawn(command)
    }

    fn spawn(mut command: Command) -> Self {
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let stdout = child.stdout.take().map_or_else(Lines::none, Lines::of);
        let stderr = Lines::of(child.stderr.take().unwrap());
        Self { child, stdout, stderr }
    }

    /// The first line on standard output that `wanted` takes.
    pub(crate) fn said<T>(&self, wanted: impl Fn(&str) -> Option<T>) -> T {
        self.stdout.wait(wanted).unwrap_or_else(|why| panic!("{why}; it logged:\n{}", self.log()))
    }

    /// The first log line that `wanted` takes.
    pub(crate) fn logged<T>(&mut self, wanted: impl Fn(&str) -> Option<T>) -> T {
        let found = self.stderr.wait(wanted);
        found.unwrap_or_else(|why| panic!("{why}: {:?}; it logged:\n{}", self.child.try_wait(), self.log()))
    }

    /// Waits for a log line with `text` in it, after the first `skip` such lines.
    pub(crate) fn logged_text(&self, text: &str, skip: usize) {
        let found = self.stderr.wait_all(|lines| lines.iter().filter(|line| line.contains(text)).nth(skip).map(drop));
        found.unwrap_or_else(|why| panic!("no `{text}`: {why}; it logged:\n{}", self.log()));
    }

    /// How many log lines have `text` in them so far.
    pub(crate) fn count_logged(&self, text: &str) -> usize {
        self.log().lines().filter(|line| line.contains(text)).count()
    }

    /// All that it has logged so far.
    pub(crate) fn log(&self) -> String {
        self.stderr.0.said.lock().unwrap().lines.join("\n")
    }

    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal such as `TERM`.
    pub(crate) fn signal(&self, name: &str) {
        // Every shell has it; the program of this name is not on every machine.
        let kill = format!("kill -s {name} {}", self.child.id());
        let status = Command::new("sh").args(["-c", &kill]).status().unwrap();
        assert!(status.success());
    }

    /// Waits until it has ended and everything it said has arrived.
    pub(crate) fn ended(&mut self) -> ExitStatus {
        self.stdout.wait_for_end().unwrap_or_else(|why| panic!("{why}; it logged:\n{}", self.log()));
        self.stderr.wait_for_end().unwrap();
        self.child.wait().unwrap()
    }

    /// Kills it as a crash would.
    pub(crate) fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Lines {
    fn none() -> Self {
        let lines = Self::default();
        lines.0.said.lock().unwrap().over = true;
        lines
    }

    fn of(source: impl Read + Send + 'static) -> Self {
        let lines = Self::default();
        let shared = lines.clone();
        std::thread::spawn(move || {
            for line in BufReader::new(source).lines().map_while(Result::ok) {
                shared.0.said.lock().unwrap().lines.push(line);
                shared.0.more.notify_all();
            }
            shared.0.said.lock().unwrap().over = true;
            shared.0.more.notify_all();
        });
        lines
    }

    fn wait<T>(&self, wanted: impl Fn(&str) -> Option<T>) -> Result<T, &'static str> {
        self.wait_all(|lines| lines.iter().find_map(|line| wanted(line)))
    }

    fn wait_all<T>(&self, wanted: impl Fn(&[String]) -> Option<T>) -> Result<T, &'static str> {
        let deadline = Instant::now() + DEADLINE;
        let mut state = self.0.said.lock().unwrap();
        loop {
            if let Some(found) = wanted(&state.lines) {
                return Ok(found);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if state.over {
                return Err("the program has ended");
            }
            if left.is_zero() {
                return Err("the line has not come");
            }
            state = self.0.more.wait_timeout(state, left).unwrap().0;
        }
    }

    fn wait_for_end(&self) -> Result<(), &'static str> {
        let deadline = Instant::now() + DEADLINE;
        let mut state = self.0.said.lock().unwrap();
        while !state.over {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err("the program has not ended");
            }
            state = self.0.more.wait_timeout(state, left).unwrap().0;
        }
        Ok(())
    }
}
