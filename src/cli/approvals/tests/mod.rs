//! What the commands print, and how they end.

mod commands;
mod golden;
mod harness;
mod watching;
