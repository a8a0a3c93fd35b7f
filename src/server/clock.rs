//! The one place that asks the system what time it is.

use std::time::SystemTime;

use crate::model::Clock;
use crate::model::Timestamp;

/// The system's clock.
#[expect(clippy::disallowed_methods, reason = "this is where time comes from; everybody else gets it as an argument")]
pub fn system_clock() -> Clock {
    Clock::new(|| {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Timestamp::from_unix_micros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
    })
}
