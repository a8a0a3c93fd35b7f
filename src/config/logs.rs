//! What the proxy tells of itself.

use std::fmt;
use std::str::FromStr;

use serde::Deserialize;
use serde::Serialize;
use tracing_subscriber::EnvFilter;

use super::text::shown;
use super::text::written_as_text;

/// What the proxy tells of itself. Metrics are on the admin listener and need no settings.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Telemetry {
    /// The log, which goes to standard error. A change takes effect at the next start.
    pub log: Log,
}

/// The log of the proxy, for operators. It is no evidence; that is what `audit` is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    /// `json`, one object on a line, or `pretty`, for people. Default `json`: what collectors read.
    pub format: LogFormat,
    /// The least severe lines that are written: `error`, `warn`, `info` or `debug`, and
    /// exceptions by room, such as `info,holdpoint::proxy=debug`. Default `info`.
    pub level: LogLevel,
}

/// How a log line looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum LogFormat {
    /// One JSON object on a line.
    #[default]
    Json,
    /// One line for people.
    Pretty,
}

/// Which log lines are written, such as `info` or `info,holdpoint::proxy=debug`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(into = "String", try_from = "String")]
#[schemars(extend("examples" = ["info", "info,holdpoint::proxy=debug"]))]
pub struct LogLevel(String); // Invariant: `EnvFilter` reads it, and it names at least one level.

/// A text that does not say which lines are written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` does not say which log lines are written; use `error`, `warn`, `info` or `debug`, \
     with exceptions such as `info,holdpoint::proxy=debug`"
)]
pub struct ParseLogLevelError(String);

impl LogLevel {
    /// As `EnvFilter` reads it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for LogLevel {
    fn default() -> Self {
        Self("info".to_owned())
    }
}

impl FromStr for LogLevel {
    type Err = ParseLogLevelError;

    fn from_str(text: &str) -> Result<Self, ParseLogLevelError> {
        // `EnvFilter` takes any word for the name of a target, so that `inof` would silence all.
        let level = |text: &str| LEVELS.contains(&text);
        let directive = |text: &str| match text.rsplit_once('=') {
            Some((target, word)) => {
                let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b':';
                !target.is_empty() && target.bytes().all(plain) && level(word)
            }
            None => level(text),
        };
        let valid = text.split(',').all(directive) && EnvFilter::try_new(text).is_ok();
        if valid { Ok(Self(text.to_owned())) } else { Err(ParseLogLevelError(shown(text))) }
    }
}

written_as_text!(LogLevel, ParseLogLevelError);

impl fmt::Display for LogLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for LogLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

const LEVELS: [&str; 5] = ["off", "error", "warn", "info", "debug"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_is_one_that_exists() {
        for text in ["info", "off", "warn,holdpoint::proxy=debug", "holdpoint=debug,info"] {
            assert!(text.parse::<LogLevel>().is_ok(), "{text}");
        }
        for text in ["", "inof", "trace", "INFO!", "info,", "=info", "holdpoint=loud", "a b=info"] {
            assert!(text.parse::<LogLevel>().is_err(), "{text}");
        }
    }
}
