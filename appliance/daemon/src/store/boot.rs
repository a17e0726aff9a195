use std::fs;
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

/// This run of the machine, and how long it has lasted; it goes on while causewayd does not run, and no wall clock moves
/// it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Boot {
    /// Another after each start of the machine.
    pub(crate) id: String,
    /// Since it started, asleep or not.
    pub(crate) elapsed: Duration,
}

/// A moment of one run of the machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Deadline {
    /// Which run.
    pub(crate) boot: String,
    /// When, after its start.
    pub(crate) at: Duration,
}

impl Boot {
    /// This moment.
    pub(crate) fn now() -> Self {
        let id = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        // A clock that the kernel does not have stands still: then every deadline has passed after a start.
        let elapsed = clock_gettime(ClockId::CLOCK_BOOTTIME).map(Duration::from);
        Self {
            id: id.trim().to_owned(),
            elapsed: elapsed.unwrap_or_default(),
        }
    }

    /// The moment that comes so much later.
    pub(crate) fn later(&self, by: Duration) -> Deadline {
        Deadline {
            boot: self.id.clone(),
            at: self.elapsed + by,
        }
    }
}

impl Deadline {
    /// How long until it comes; nothing once it has passed, or the machine was started again.
    pub(crate) fn remaining(&self, now: &Boot) -> Duration {
        if self.boot == now.id {
            self.at.saturating_sub(now.elapsed)
        } else {
            Duration::ZERO
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_is_one_of_this_run_of_the_machine() {
        let now = Boot::now();
        assert!(!now.id.is_empty() && now.elapsed > Duration::ZERO, "{now:?}");
        let deadline = now.later(Duration::from_secs(30));
        assert_eq!(deadline.remaining(&now), Duration::from_secs(30));
        let at = |seconds| Boot {
            id: now.id.clone(),
            elapsed: now.elapsed + Duration::from_secs(seconds),
        };
        assert_eq!(deadline.remaining(&at(29)), Duration::from_secs(1));
        assert_eq!(deadline.remaining(&at(31)), Duration::ZERO);
        let restarted = Boot {
            id: "another".to_owned(),
            elapsed: Duration::ZERO,
        };
        assert_eq!(deadline.remaining(&restarted), Duration::ZERO);
    }
}
