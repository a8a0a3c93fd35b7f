//! What the tests start and talk to: the real program, an upstream of ours, and clients.

mod client;
mod files;
mod frames;
mod program;
mod silent;
mod upstream;
mod wait;
mod world;

pub(crate) use client::Answer;
pub(crate) use client::Call;
pub(crate) use client::Kept;
pub(crate) use client::Wire;
pub(crate) use client::connect;
pub(crate) use client::trusting;
pub(crate) use client::trusting_over;
pub(crate) use files::write_certificates;
pub(crate) use files::write_certificates_for;
pub(crate) use frames::Ended;
pub(crate) use frames::Frames;
pub(crate) use program::Program;
pub(crate) use program::holdpoint;
pub(crate) use silent::Silent;
pub(crate) use upstream::LARGE;
pub(crate) use wait::DEADLINE;
pub(crate) use wait::eventually;
pub(crate) use world::CREDENTIAL;
pub(crate) use world::POLICY;
pub(crate) use world::World;
