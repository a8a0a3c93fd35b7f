//! The one subscriber of the process: who writes log lines, and which.

use std::io;
use std::io::Write;

use prometheus::IntCounter;
use prometheus::Opts;
use prometheus::Registry;
use prometheus::core::Collector;
use prometheus::core::Desc;
use prometheus::proto::MetricFamily;
use tracing::Subscriber;
use tracing_appender::non_blocking::ErrorCounter;
use tracing_appender::non_blocking::NonBlocking;
use tracing_appender::non_blocking::NonBlockingBuilder;
use tracing_appender::non_blocking::WorkerGuard;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::JsonFields;
use tracing_subscriber::layer::SubscriberExt;

use crate::config::LogFormat;
use crate::config::LogLevel;

use super::line::Lines;

/// The log of the process.
#[derive(Debug)]
pub struct Telemetry;

/// Keeps the log running. Dropping it writes the lines that still wait, and ends the log.
#[must_use = "the log ends when this is dropped"]
pub struct Guard {
    dropped: ErrorCounter,
    _worker: WorkerGuard,
}

/// Why the log could not be started.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    /// The level does not say which lines are written.
    #[error("`telemetry.log.level` cannot be used")]
    Level(#[from] tracing_subscriber::filter::ParseError),
    /// There is one already.
    #[error("this process has a log already")]
    Twice(#[from] tracing::subscriber::SetGlobalDefaultError),
}

impl Telemetry {
    /// Starts the log: lines of `level` and above go to standard error as `format` says. A thread
    /// of its own writes them, so that no call waits for whoever reads the log; lines that do not
    /// fit into its queue are dropped and counted.
    ///
    /// # Errors
    /// [`InitError`] if `level` cannot be used or the process has a log already.
    pub fn init(format: LogFormat, level: &LogLevel) -> Result<Guard, InitError> {
        let (writer, worker) = queue(io::stderr());
        let dropped = writer.error_counter();
        tracing::subscriber::set_global_default(subscriber(format, level, writer)?)?;
        Ok(Guard { dropped, _worker: worker })
    }
}

impl Guard {
    /// How many lines have been dropped because the queue was full.
    pub fn dropped_lines(&self) -> u64 {
        u64::try_from(self.dropped.dropped_lines()).unwrap_or(u64::MAX)
    }

    /// Registers `holdpoint_log_lines_dropped_total`.
    ///
    /// # Errors
    /// If `registry` has one of this name already.
    pub fn register(&self, registry: &Registry) -> Result<(), prometheus::Error> {
        registry.register(Box::new(DroppedLines::new(self.dropped.clone())?))
    }
}

impl std::fmt::Debug for Guard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Guard").field("dropped_lines", &self.dropped_lines()).finish_non_exhaustive()
    }
}

/// A queue in front of `output`, and the thread that empties it.
fn queue(output: impl Write + Send + 'static) -> (NonBlocking, WorkerGuard) {
    NonBlockingBuilder::default()
        .lossy(true)
        .buffered_lines_limit(LINES_WAITING_MAX)
        .thread_name("holdpoint-log")
        .finish(output)
}

fn subscriber(
    format: LogFormat,
    level: &LogLevel,
    writer: impl for<'w> MakeWriter<'w> + Send + Sync + 'static,
) -> Result<impl Subscriber + Send + Sync, tracing_subscriber::filter::ParseError> {
    let filter = EnvFilter::try_new(level.as_str())?;
    let lines = tracing_subscriber::fmt::layer()
        .with_ansi(false)
        .fmt_fields(JsonFields::new())
        .event_format(Lines::new(format))
        .with_writer(writer);
    Ok(tracing_subscriber::registry().with(filter).with(lines))
}

/// `holdpoint_log_lines_dropped_total`, read from the queue when it is asked for.
struct DroppedLines {
    lines: ErrorCounter,
    shape: IntCounter,
}

impl DroppedLines {
    fn new(lines: ErrorCounter) -> Result<Self, prometheus::Error> {
        Ok(Self { lines, shape: Self::counter()? })
    }

    fn counter() -> Result<IntCounter, prometheus::Error> {
        let help = "Log lines dropped because standard error was not read fast enough.";
        IntCounter::with_opts(Opts::new("holdpoint_log_lines_dropped_total", help))
    }
}

impl Collector for DroppedLines {
    fn desc(&self) -> Vec<&Desc> {
        self.shape.desc()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        // A counter of its own each time, so that two readers at once cannot count twice.
        let Ok(counter) = Self::counter() else { return Vec::new() };
        counter.inc_by(u64::try_from(self.lines.dropped_lines()).unwrap_or(u64::MAX));
        counter.collect()
    }
}

/// The lines that wait to be written. At some 300 bytes each, 10 MiB when full.
const LINES_WAITING_MAX: usize = 32_768;

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::mpsc;

    use parking_lot::Mutex;

    use super::*;

    #[derive(Clone, Default)]
    struct Buffer(Arc<Mutex<Vec<u8>>>);

    impl Write for Buffer {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl MakeWriter<'_> for Buffer {
        type Writer = Self;

        fn make_writer(&self) -> Self {
            self.clone()
        }
    }

    /// What `work` logs, with the time replaced.
    fn logged(format: LogFormat, level: &str, work: impl FnOnce()) -> String {
        let buffer = Buffer::default();
        let subscriber = subscriber(format, &level.parse().unwrap(), buffer.clone()).unwrap();
        tracing::subscriber::with_default(subscriber, work);
        let text = String::from_utf8(buffer.0.lock().clone()).unwrap();
        let time = |line: &str| match format {
            LogFormat::Json => format!("{{\"ts\":\"NOW\"{}", &line[line.find(",\"level\"").unwrap()..]),
            LogFormat::Pretty => format!("NOW{}", &line[line.find(' ').unwrap()..]),
        };
        text.lines().map(time).collect::<Vec<_>>().join("\n")
    }

    fn one_call() {
        let call = tracing::info_span!(
            "call",
            call.id = "cal_1",
            http.request.method = "GET",
            approval.id = tracing::field::Empty
        );
        let _in_call = call.enter();
        call.record("approval.id", "apr_1");
        let error = io::Error::other("connection reset");
        tracing::warn!(
            upstream = "example",
            attempt = 2,
            ok = false,
            error = &error as &dyn std::error::Error,
            "the upstream cannot be reached"
        );
        tracing::debug!("not written at this level");
    }

    #[test]
    fn a_json_line_carries_the_fields_of_its_spans() {
        insta::assert_snapshot!(logged(LogFormat::Json, "info", one_call), @r#"{"ts":"NOW","level":"warn","msg":"the upstream cannot be reached","target":"holdpoint::telemetry::log::tests","approval.id":"apr_1","attempt":2,"call.id":"cal_1","error":"connection reset","http.request.method":"GET","ok":false,"upstream":"example"}"#);
    }

    #[test]
    fn a_pretty_line_reads_from_left_to_right() {
        insta::assert_snapshot!(logged(LogFormat::Pretty, "info", one_call), @r#"NOW WARN  the upstream cannot be reached approval.id=apr_1 attempt=2 call.id=cal_1 error="connection reset" http.request.method=GET ok=false upstream=example"#);
    }

    #[test]
    fn the_level_can_differ_by_room() {
        let work = || {
            tracing::debug!(target: "holdpoint::proxy::tls", "a");
            tracing::debug!(target: "holdpoint::policy", "b");
            tracing::info!(target: "holdpoint::policy", "c");
        };
        assert_eq!(logged(LogFormat::Pretty, "warn,holdpoint::proxy=debug", work), "NOW DEBUG a");
    }

    #[test]
    fn what_a_caller_wrote_stays_on_its_line() {
        let work = || {
            let path = "/a\nts=1 \u{1b}[31mred \u{202e}\u{200b}é";
            tracing::info!(path, "got {path}");
        };
        insta::assert_snapshot!(logged(LogFormat::Pretty, "info", work), @r#"NOW INFO  got /a\nts=1 \u{1b}[31mred \u{202e}\u{200b}é path="/a\nts=1 \u{1b}[31mred \u{202e}\u{200b}é""#);
        let json = logged(LogFormat::Json, "info", work);
        insta::assert_snapshot!(json, @r#"{"ts":"NOW","level":"info","msg":"got /a\nts=1 \u001b[31mred \u202e\u200bé","target":"holdpoint::telemetry::log::tests","path":"/a\nts=1 \u001b[31mred \u202e\u200bé"}"#);
        let parsed: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(parsed["path"], "/a\nts=1 \u{1b}[31mred \u{202e}\u{200b}é");
    }

    #[test]
    fn a_field_cannot_take_the_place_of_the_line_itself() {
        let work = || {
            let span = tracing::info_span!("call", level = "fine", ts = 1, id = "span");
            let _in_span = span.enter();
            tracing::info!(target = "elsewhere", id = "event", "x");
        };
        let json = logged(LogFormat::Json, "info", work);
        assert!(json.contains(r#""level":"info","msg":"x","target":"holdpoint::"#), "{json}");
        assert!(json.contains(r#""field.level":"fine""#) && json.contains(r#""field.target":"elsewhere""#), "{json}");
        assert!(json.contains(r#""id":"event""#) && !json.contains("\"id\":\"span\""), "{json}");
    }

    #[test]
    fn a_credential_that_slips_into_a_line_is_not_written() {
        let key = format!("hp_k3v9m2x7q1ab_{}", "a".repeat(49));
        let token = format!("hp_pat_k3v9m2x7q1ab_{}", "b".repeat(49));
        let work = || tracing::info!(key, "got {token}, and more");
        for format in [LogFormat::Json, LogFormat::Pretty] {
            let text = logged(format, "info", work);
            assert!(!text.contains("aaaa") && !text.contains("bbbb") && text.contains("and more"), "{text}");
        }
    }

    /// An output that takes nothing until it is told to.
    struct Stuck(mpsc::Receiver<()>);

    impl Write for Stuck {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _ = self.0.recv();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn lines_that_do_not_fit_are_counted_and_hold_nobody_up() {
        let (go, stuck) = mpsc::channel();
        let (mut writer, worker) = queue(Stuck(stuck));
        let guard = Guard { dropped: writer.error_counter(), _worker: worker };
        let registry = Registry::new();
        guard.register(&registry).unwrap();
        for _ in 0..LINES_WAITING_MAX + 10 {
            writer.write_all(b"x\n").unwrap();
        }
        let dropped = guard.dropped_lines();
        assert!((1..=10).contains(&dropped), "{dropped}");
        let text = super::super::metrics::encode(&registry);
        assert!(text.contains(&format!("holdpoint_log_lines_dropped_total {dropped}\n")), "{text}");
        drop(go);
    }

    #[test]
    fn a_process_has_one_log() {
        let level = LogLevel::default();
        let first = Telemetry::init(LogFormat::Json, &level);
        assert!(first.is_ok());
        assert!(matches!(Telemetry::init(LogFormat::Json, &level), Err(InitError::Twice(_))));
    }
}
