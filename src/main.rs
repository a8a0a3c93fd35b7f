//! Parses arguments, runs, prints the error and its causes, sets the exit code.

fn main() {}
