//! Data goes to standard output, talk to standard error.

use std::io;
use std::io::Write;

use serde::Serialize;

/// Writes a line of data.
///
/// # Errors
/// If standard output is closed.
pub(super) fn line(text: impl AsRef<str>) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_ref().as_bytes())?;
    out.write_all(b"\n")?;
    out.flush()
}

/// Writes data as it is.
///
/// # Errors
/// If standard output is closed.
pub(super) fn text(text: impl AsRef<str>) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_ref().as_bytes())?;
    out.flush()
}

/// Writes a line for the person at the terminal.
///
/// # Errors
/// If standard error is closed.
pub(super) fn note(text: impl AsRef<str>) -> io::Result<()> {
    let mut out = io::stderr().lock();
    out.write_all(text.as_ref().as_bytes())?;
    out.write_all(b"\n")
}

/// Writes `value` as JSON on one line.
///
/// # Errors
/// If standard output is closed.
pub(super) fn json(value: &impl Serialize) -> anyhow::Result<()> {
    Ok(line(serde_json::to_string(value)?)?)
}
