//! What the proxy tells of itself: the log on standard error, and metrics as text.
//!
//! Each room names its own metrics and says its own sentences; here they are only written. The
//! log is the story for operators and may lose lines when nobody reads it fast enough; the record
//! that may not is `audit`. Whatever a caller wrote is made visible instead of acted upon.
//! Start at [`Telemetry::init`].

mod line;
mod log;
pub mod metrics;

pub use log::Guard;
pub use log::InitError;
pub use log::Telemetry;
