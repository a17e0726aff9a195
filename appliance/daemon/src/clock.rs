//! The wall clock beside the monotonic one. Tunnels run on the latter alone; people and certificates on the former.

use std::time::{Duration, SystemTime};

use ike::{Outage, Reason, Side, Stage};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::history::Moment;

/// A wall clock that went so much further or less far than time itself was set, or the machine slept.
const JUMP: Duration = Duration::from_secs(2);

/// What is known of the wall clock.
#[derive(Debug)]
pub(crate) struct Clock {
    last: Option<Moment>,
    /// No clock that is right shows an earlier time: the program was not built yet.
    built: SystemTime,
}

/// A moment in words: RFC 3339, in UTC, to the second.
pub(crate) fn words(at: SystemTime) -> String {
    let seconds = match at.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(after) => i64::try_from(after.as_secs()).unwrap_or(i64::MAX),
        Err(before) => i64::try_from(before.duration().as_secs()).map_or(i64::MIN, |seconds| -seconds),
    };
    let moment = OffsetDateTime::from_unix_timestamp(seconds).ok();
    let words = moment.and_then(|moment| moment.format(&Rfc3339).ok());
    words.unwrap_or_else(|| format!("{seconds} s after 1970-01-01T00:00:00Z"))
}

/// The same to the millisecond.
pub(crate) fn exact_words(at: SystemTime) -> String {
    let since = at.duration_since(SystemTime::UNIX_EPOCH).ok();
    let milliseconds = since.and_then(|since| i128::try_from(since.as_millis()).ok());
    let moment =
        milliseconds.and_then(|since| OffsetDateTime::from_unix_timestamp_nanos(since * 1_000_000).ok());
    let words = moment.and_then(|moment| moment.format(&Rfc3339).ok());
    words.unwrap_or_else(|| self::words(at))
}

/// What time it is in seconds of UNIX time; `None` while the clock cannot be right.
pub(crate) fn unix_s() -> Option<u64> {
    Clock::new().unix_s(Moment::now())
}

impl Clock {
    /// A clock that has not been looked at.
    pub(crate) fn new() -> Self {
        let built = env!("CAUSEWAY_BUILT").parse().unwrap_or_default();
        Self {
            last: None,
            built: SystemTime::UNIX_EPOCH + Duration::from_secs(built),
        }
    }

    /// What is wrong with the time that it shows, now or always.
    pub(crate) fn amiss(&self, at: Moment) -> Option<Outage> {
        (at.wall < self.built).then(|| fault(words(at.wall), format!("later than {}", words(self.built))))
    }

    /// What it shows in seconds of UNIX time; `None` while that cannot be right.
    pub(crate) fn unix_s(&self, at: Moment) -> Option<u64> {
        let since = at.wall.duration_since(SystemTime::UNIX_EPOCH).ok()?;
        self.amiss(at).is_none().then_some(since.as_secs())
    }

    /// Looks at it; what happened to it since it was looked at last.
    pub(crate) fn look(&mut self, at: Moment) -> Option<Outage> {
        let Some(last) = self.last.replace(at) else {
            return self.amiss(at);
        };
        let expected = last.wall + at.monotonic.saturating_duration_since(last.monotonic);
        let (gap, way) = match at.wall.duration_since(expected) {
            Ok(ahead) => (ahead, "forwards"),
            Err(behind) => (behind.duration(), "backwards"),
        };
        let offered = format!("{}, {} s {way}", words(at.wall), gap.as_secs());
        (gap >= JUMP).then(|| fault(offered, words(expected)))
    }
}

fn fault(offered: String, expected: String) -> Outage {
    Outage {
        reason: Reason::Clock,
        side: Side::We,
        stage: Stage::Idle,
        offered,
        expected,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    fn moment(wall: u64, monotonic: (Instant, u64)) -> Moment {
        Moment {
            wall: SystemTime::UNIX_EPOCH + Duration::from_secs(wall),
            monotonic: monotonic.0 + Duration::from_secs(monotonic.1),
        }
    }

    /// 1767323045 is 2026-01-02 03:04:05 UTC.
    #[test]
    fn jumps_are_told_both_ways_and_steady_time_is_not() {
        let (mut clock, start) = (Clock::new(), Instant::now());
        clock.built = SystemTime::UNIX_EPOCH;
        let mut look = |wall, monotonic| clock.look(moment(wall, (start, monotonic)));
        assert_eq!(look(1_767_323_045, 0), None);
        assert_eq!(look(1_767_323_055, 10), None);
        assert_eq!(look(1_767_323_066, 20), None, "one second is no jump");
        let ahead = look(1_767_326_676, 30).expect("an hour ahead");
        assert_eq!(
            (ahead.offered.as_str(), ahead.expected.as_str()),
            ("2026-01-02T04:04:36Z, 3600 s forwards", "2026-01-02T03:04:36Z")
        );
        assert_eq!(look(1_767_326_686, 40), None);
        let behind = look(0, 50).expect("long ago");
        assert_eq!(behind.offered, "1970-01-01T00:00:00Z, 1767326696 s backwards");
        assert_eq!((behind.reason, behind.side), (Reason::Clock, Side::We));
    }

    #[test]
    fn a_clock_from_before_the_program_is_told_at_once() {
        let (mut clock, start) = (Clock::new(), Instant::now());
        assert!(
            clock.amiss(Moment::now()).is_none(),
            "this machine's clock, or the build's, is wrong"
        );
        let early = clock.look(moment(12, (start, 0))).expect("1970");
        assert_eq!(early.offered, "1970-01-01T00:00:12Z");
        assert!(early.expected.starts_with("later than 20"), "{}", early.expected);
    }

    #[test]
    fn no_time_is_beyond_words() {
        for seconds in [0, 1 << 31, 1 << 40, i64::MAX as u64] {
            let at = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds));
            assert!(at.is_none_or(|at| !words(at).is_empty()));
        }
        let before = SystemTime::UNIX_EPOCH - Duration::from_secs(1);
        assert_eq!(words(before), "1969-12-31T23:59:59Z");
    }
}
