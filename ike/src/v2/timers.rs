//! The named timers of one IKE SA. Timers are data: nothing here sleeps.

use std::time::Instant;

/// What an IKE SA may wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Timer {
    /// Our request must be sent again.
    Retransmission,
    /// The SA has had its time in this state.
    Expiry,
    /// The peer was silent for so long that it must prove to be there.
    Liveness,
    /// The mapping in a NAT before us must be refreshed.
    Keepalive,
    /// The SA or its child must be replaced, or has not been.
    Lifetime,
}

impl Timer {
    const ALL: [Self; 5] = [
        Self::Retransmission,
        Self::Expiry,
        Self::Liveness,
        Self::Keepalive,
        Self::Lifetime,
    ];

    /// Its name, for the log.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Retransmission => "retransmission",
            Self::Expiry => "expiry",
            Self::Liveness => "liveness",
            Self::Keepalive => "keepalive",
            Self::Lifetime => "lifetime",
        }
    }
}

/// How long an SA lives.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lifetime {
    /// When it is to be replaced.
    pub(crate) soft: Instant,
    /// When it must be gone.
    pub(crate) end: Instant,
}

/// When each of them is due.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    retransmission: Option<Instant>,
    expiry: Option<Instant>,
    liveness: Option<Instant>,
    keepalive: Option<Instant>,
    lifetime: Option<Instant>,
}

impl Timers {
    /// Sets or stops a timer.
    pub(crate) fn set(&mut self, timer: Timer, due: Option<Instant>) {
        *self.slot(timer) = due;
    }

    /// The timer that is due first.
    pub(crate) fn next(&self) -> Option<(Instant, Timer)> {
        let due = Timer::ALL
            .into_iter()
            .filter_map(|timer| Some((self.due(timer)?, timer)));
        due.min_by_key(|(at, _)| *at)
    }

    /// The timer that is due now, stopped.
    pub(crate) fn take(&mut self, now: Instant) -> Option<Timer> {
        let (_, timer) = self.next().filter(|(at, _)| *at <= now)?;
        self.set(timer, None);
        Some(timer)
    }

    /// When it is due.
    pub(crate) fn due(&self, timer: Timer) -> Option<Instant> {
        match timer {
            Timer::Retransmission => self.retransmission,
            Timer::Expiry => self.expiry,
            Timer::Liveness => self.liveness,
            Timer::Keepalive => self.keepalive,
            Timer::Lifetime => self.lifetime,
        }
    }

    fn slot(&mut self, timer: Timer) -> &mut Option<Instant> {
        match timer {
            Timer::Retransmission => &mut self.retransmission,
            Timer::Expiry => &mut self.expiry,
            Timer::Liveness => &mut self.liveness,
            Timer::Keepalive => &mut self.keepalive,
            Timer::Lifetime => &mut self.lifetime,
        }
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn timers_fire_in_order_and_once() {
        let now = Instant::now();
        let mut timers = Timers::default();
        timers.set(Timer::Expiry, Some(now + Duration::from_secs(2)));
        timers.set(Timer::Liveness, Some(now + Duration::from_secs(1)));
        assert_eq!(timers.take(now), None);
        let later = now + Duration::from_secs(3);
        assert_eq!(timers.take(later), Some(Timer::Liveness));
        assert_eq!(timers.take(later), Some(Timer::Expiry));
        assert_eq!(timers.take(later), None);
    }
}
