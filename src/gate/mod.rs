//! The one path that every call takes: decide, record, hold if told to, decide again, permit.
//!
//! Nothing leaves without a [`Permitted`] value, and only this room makes one. It holds the very
//! call that was decided on, so what is sent is what was classified, hashed, shown and approved.
//! Does not own sockets (`proxy`) or credentials (`credentials`). Start at [`Gate::admit`].

mod admit;
mod body;
mod hold;
mod inspect;
mod metrics;
mod permit;
mod record;
mod refuse;
mod repeat;
mod replay;
mod spool;
mod throttle;

pub use admit::Gate;
pub use admit::Parts;
pub use admit::Settings;
pub use body::BodySource;
pub use body::Keep;
pub use metrics::Metrics;
pub use permit::Admission;
pub use permit::Admitted;
pub use permit::Permit;
pub use permit::Permitted;
pub use replay::Kept;
pub use replay::Recording;
pub use spool::Spool;
pub use spool::SpoolError;
pub use spool::SpoolWriter;
pub use spool::SpooledBody;
