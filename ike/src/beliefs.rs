//! What has to be known of the world to believe a certificate.

use std::time::Instant;

use crate::crypto::RevocationList;
use crate::engine::Engine;

/// What time it is, and what was revoked.
#[derive(Default)]
pub(crate) struct Beliefs {
    /// What UNIX time it was then, in seconds; `None` while no clock is right.
    clock: Option<(Instant, u64)>,
    /// Lists of revoked certificates.
    pub(crate) lists: Vec<RevocationList>,
}

impl Beliefs {
    /// Seconds of UNIX time, if anybody knows it.
    pub(crate) fn unix_s(&self, now: Instant) -> Option<u64> {
        let (at, unix_s) = self.clock?;
        Some(unix_s.saturating_add(now.saturating_duration_since(at).as_secs()))
    }
}

impl Engine {
    /// The wall clock shows this.
    pub(crate) fn clock(&mut self, unix_s: Option<u64>, now: Instant) {
        self.beliefs.clock = unix_s.map(|unix_s| (now, unix_s));
    }
}
