//! The named timers of the speaker (RFC 4271 §10). Timers are data: nothing here sleeps.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::Random;

/// What is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Timer {
    /// A connection is tried again, or one that is being made takes too long.
    ConnectRetry,
    /// The peer was silent for too long.
    Hold,
    /// We were silent for long enough.
    Keepalive,
    /// The peer has taken nothing for too long (RFC 9687).
    SendHold,
    /// A neighbour that broke the protocol has had its pause (RFC 4271 §8.1.1).
    IdleHold,
    /// A neighbour that starts again has not come back (RFC 4724 §4.2).
    RestartTime,
    /// It came back, and has not sent all of its routes (RFC 4724 §4.2).
    StaleTime,
    /// A neighbour without graceful restart has sent nothing more for a moment after our start.
    Settling,
    /// We have waited long enough for our neighbours' routes after our start (RFC 4724 §4.1).
    Deferral,
    /// A session that ended by the prefix limit begins anew.
    PrefixRestart,
}

impl Timer {
    /// Its name, for the log.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::ConnectRetry => "connect-retry",
            Self::Hold => "hold",
            Self::Keepalive => "keepalive",
            Self::SendHold => "send-hold",
            Self::IdleHold => "idle-hold",
            Self::RestartTime => "restart-time",
            Self::StaleTime => "stale-time",
            Self::Settling => "settling",
            Self::Deferral => "deferral",
            Self::PrefixRestart => "prefix-restart",
        }
    }
}

/// Timers that run, and when each is due.
#[derive(Debug, Default)]
pub(crate) struct Running(BTreeMap<Timer, Instant>);

impl Running {
    /// Starts a timer, or starts it again.
    pub(crate) fn start(&mut self, timer: Timer, due: Instant) {
        self.0.insert(timer, due);
    }

    /// Stops a timer.
    pub(crate) fn stop(&mut self, timer: Timer) {
        self.0.remove(&timer);
    }

    /// When it is due, if it runs.
    pub(crate) fn due(&self, timer: Timer) -> Option<Instant> {
        self.0.get(&timer).copied()
    }

    /// The timer that is due first.
    pub(crate) fn next(&self) -> Option<(Instant, Timer)> {
        self.0.iter().map(|(timer, at)| (*at, *timer)).min()
    }

    /// The timer that is due now, stopped.
    pub(crate) fn take(&mut self, now: Instant) -> Option<Timer> {
        let (_, timer) = self.next().filter(|(at, _)| *at <= now)?;
        self.stop(timer);
        Some(timer)
    }
}

/// Between three quarters of it and all of it, so that speakers do not keep step (RFC 4271 §10).
pub(crate) fn jittered(whole: Duration, random: &mut dyn Random) -> Duration {
    let mut octet = [0];
    random.fill(&mut octet);
    let [drawn] = octet;
    whole.saturating_mul(3 * 255 + u32::from(drawn)) / (4 * 255)
}

/// How long to wait after this many failures in a row: one second, then twice as long each time, up to `longest`, which
/// is a second at least.
pub(crate) fn back_off(failures: u32, longest: Duration) -> Duration {
    Duration::from_secs(1 << failures.min(16)).min(longest.max(Duration::from_secs(1)))
}

#[cfg(test)]
#[allow(clippy::disallowed_methods)]
mod tests {
    use super::*;

    struct Always(u8);

    impl Random for Always {
        fn fill(&mut self, bytes: &mut [u8]) {
            bytes.fill(self.0);
        }
    }

    #[test]
    fn timers_fire_in_order_and_once() {
        let now = Instant::now();
        let mut running = Running::default();
        running.start(Timer::Hold, now + Duration::from_secs(2));
        running.start(Timer::Keepalive, now + Duration::from_secs(1));
        assert_eq!(running.take(now), None);
        let later = now + Duration::from_secs(3);
        assert_eq!(running.take(later), Some(Timer::Keepalive));
        assert_eq!(running.take(later), Some(Timer::Hold));
        assert_eq!(running.take(later), None);
    }

    /// RFC 4271 §10: a factor from 0.75 to 1.0.
    #[test]
    fn jitter_takes_a_quarter_at_most() {
        let minute = Duration::from_secs(60);
        assert_eq!(jittered(minute, &mut Always(0)), Duration::from_secs(45));
        assert_eq!(jittered(minute, &mut Always(255)), minute);
    }

    #[test]
    fn attempts_become_rarer_up_to_a_bound() {
        let longest = Duration::from_secs(120);
        let waits: Vec<_> = [0, 1, 2, 6, 7, 40]
            .map(|failures| back_off(failures, longest).as_secs())
            .into();
        assert_eq!(waits, [1, 2, 4, 64, 120, 120]);
    }
}
