//! What systemd is told (sd_notify(3)): ready, reloading, stopping, and that this process lives.
//! Where nobody listens it is told nothing.

use std::time::Duration;

use sd_notify::NotifyState;

use super::data_plane::Turns;

/// Calls can come.
pub(super) fn ready() {
    tell(&[NotifyState::Ready, NotifyState::Status("serving")]);
}

/// The configuration is being read again; [`ready`] follows, whether it has an effect or not.
pub(super) fn reloading() {
    // Newer versions of systemd want to know since when.
    let now = NotifyState::monotonic_usec_now().unwrap_or(NotifyState::Status("reloading"));
    tell(&[NotifyState::Reloading, now]);
}

/// No connections are accepted any more.
pub(super) fn stopping() {
    tell(&[NotifyState::Stopping, NotifyState::Status("draining")]);
}

/// Says, if the unit asks for it with `WatchdogSec=`, that every core and the control plane do their
/// work. One that is stuck keeps the word from being said, and systemd restarts the process.
pub(super) async fn watchdog(turns: Turns) {
    let Some(within) = sd_notify::watchdog_enabled() else { return };
    // Half of it, as sd_watchdog_enabled(3) advises.
    let mut tick = tokio::time::interval((within / 2).max(Duration::from_millis(1)));
    loop {
        tick.tick().await;
        turns.all().await;
        tell(&[NotifyState::Watchdog]);
    }
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!(%error, "systemd cannot be told");
    }
}
