//! Parses arguments, runs, prints the error and its causes, sets the exit code.

use std::io::Write;
use std::process::ExitCode;

use holdpoint::cli;

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    cli::run().unwrap_or_else(|error| {
        // Standard error may be closed; there is nobody left to tell then.
        let _ = writeln!(std::io::stderr(), "error: {error:#}");
        ExitCode::FAILURE
    })
}
