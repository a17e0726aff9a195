//! Whether something keeps the clock right, as the kernel says, and that it is told when that changes.

use std::io;
use std::mem::MaybeUninit;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::libc;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};
use tracing::{info, warn};

use crate::chronicle::{News, Teller};

/// How often the kernel is asked.
const LOOK: Duration = Duration::from_secs(16);
/// So long nothing is told of a clock that nobody sets: a start, other servers and a way out that comes late are no faults.
const PATIENCE: Duration = Duration::from_secs(600);
/// The reason word of a clock that nobody sets.
pub(crate) const NOT_SYNCHRONISED: &str = "clock-not-synchronised";
const SYNCHRONISED: &str = "clock-synchronised";
const NEXT_STEP: &str = "nobody has set the clock for ten minutes: let UDP port 123 out to time servers, which the firmware image has from \
                         system.time.ntp or DHCP, and another host from what keeps its own clock";

/// What the kernel says of its clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct KernelClock {
    /// Something keeps it right, or did so less than nine hours ago.
    pub(crate) is_synchronised: bool,
    /// By how much it is off at most.
    pub(crate) error: Duration,
}

/// How the clock does.
#[derive(Debug, Clone, Default)]
pub(crate) struct Timekeeping {
    /// What the kernel said last, if it does.
    pub(crate) clock: Option<KernelClock>,
    unset_since: Option<Instant>,
    told: Option<&'static str>,
}

impl KernelClock {
    /// Asks the kernel, which everybody may.
    ///
    /// # Errors
    /// What it answers where a filter of system calls keeps the clock away.
    #[allow(unsafe_code)]
    fn read() -> io::Result<Self> {
        let mut asked = MaybeUninit::<libc::timex>::zeroed();
        // SAFETY: adjtimex(2) reads and writes one `struct timex` and keeps no pointer to it; all of its fields are numbers, for which zero is a
        // value, and with `modes` zero nothing is set.
        let (state, told) = unsafe { (libc::adjtimex(asked.as_mut_ptr()), asked.assume_init()) };
        Errno::result(state)?;
        Ok(Self {
            is_synchronised: told.status & libc::STA_UNSYNC == 0,
            error: Duration::from_micros(told.maxerror.try_into().unwrap_or_default()),
        })
    }
}

impl Timekeeping {
    /// Whether nobody has set the clock for so long that it is told.
    pub(crate) fn is_overdue(&self) -> bool {
        self.told == Some(NOT_SYNCHRONISED)
    }

    /// What is told now that the kernel says this.
    pub(crate) fn look(&mut self, clock: Option<KernelClock>, now: Instant) -> Option<&'static str> {
        self.clock = clock;
        let word = if clock?.is_synchronised {
            let is_new = self.unset_since.take().is_some();
            // A machine whose clock is right when it is looked at first is no news.
            self.told = self.told.or((!is_new).then_some(SYNCHRONISED));
            SYNCHRONISED
        } else {
            let since = *self.unset_since.get_or_insert(now);
            if now.saturating_duration_since(since) < PATIENCE {
                return None;
            }
            NOT_SYNCHRONISED
        };
        (self.told.replace(word) != Some(word)).then_some(word)
    }
}

/// Looks at the clock for as long as somebody wants to know.
pub(crate) fn start(teller: &Teller) -> watch::Receiver<Timekeeping> {
    let (told, shown) = watch::channel(Timekeeping::default());
    let teller = teller.clone();
    tokio::spawn(async move {
        let mut due = interval(LOOK);
        due.set_missed_tick_behavior(MissedTickBehavior::Skip);
        while !told.is_closed() {
            due.tick().await;
            let mut news = None;
            told.send_modify(|timekeeping| news = timekeeping.look(KernelClock::read().ok(), Instant::now()));
            let Some(word) = news else {
                continue;
            };
            if word == NOT_SYNCHRONISED {
                warn!(reason = word, "{NEXT_STEP}");
                teller.tell(News::new(word).detail(NEXT_STEP));
            } else {
                info!("{word}");
                teller.tell(News::new(word));
            }
        }
    });
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clock(is_synchronised: bool) -> Option<KernelClock> {
        let error = Duration::from_millis(if is_synchronised { 3 } else { 16_000 });
        Some(KernelClock {
            is_synchronised,
            error,
        })
    }

    /// What is told at these seconds by a clock that stands so then.
    fn told(looks: &[(u64, Option<KernelClock>)]) -> Vec<(u64, &'static str)> {
        let (mut timekeeping, start) = (Timekeeping::default(), Instant::now());
        let looks = looks.iter().filter_map(|(second, clock)| {
            let word = timekeeping.look(*clock, start + Duration::from_secs(*second))?;
            assert_eq!(timekeeping.is_overdue(), word == NOT_SYNCHRONISED);
            Some((*second, word))
        });
        looks.collect()
    }

    #[test]
    fn a_clock_that_is_right_all_the_time_is_no_news() {
        assert_eq!(
            told(&[(0, clock(true)), (16, clock(true)), (3600, clock(true))]),
            []
        );
        assert_eq!(told(&[(0, None), (3600, None)]), []);
    }

    #[test]
    fn a_clock_that_becomes_right_after_a_start_is_told_at_once() {
        let looks = [
            (0, clock(false)),
            (16, clock(false)),
            (32, clock(true)),
            (48, clock(true)),
        ];
        assert_eq!(told(&looks), [(32, SYNCHRONISED)]);
    }

    #[test]
    fn a_clock_that_nobody_sets_is_told_once_after_a_while_and_again_when_it_is_right() {
        let looks = [
            (0, clock(true)),
            (16, clock(false)),
            (599, clock(false)),
            (616, clock(false)),
            (632, clock(false)),
            (648, clock(true)),
        ];
        assert_eq!(told(&looks), [(616, NOT_SYNCHRONISED), (648, SYNCHRONISED)]);
    }

    /// chronyd begins anew with other servers.
    #[test]
    fn a_short_gap_is_not_told() {
        let looks = [
            (0, clock(true)),
            (16, clock(false)),
            (32, clock(true)),
            (48, clock(false)),
            (640, clock(true)),
        ];
        assert_eq!(told(&looks), []);
    }

    /// The kernel lets its clock be read and counts an error, whoever asks.
    #[test]
    fn the_kernel_tells_how_its_clock_does() {
        let clock = KernelClock::read().unwrap();
        assert!(clock.error <= Duration::from_secs(60), "{clock:?}");
        assert!(clock.is_synchronised || clock.error > Duration::ZERO, "{clock:?}");
    }
}
