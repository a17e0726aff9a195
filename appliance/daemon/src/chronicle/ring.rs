use std::collections::VecDeque;
use std::sync::Arc;
use std::time::SystemTime;

use super::event::Event;
use super::news::News;
use super::select::{From, Select};

/// So many events are kept, in memory and beside the store.
pub(crate) const KEPT: usize = 5000;
/// What a run that died before it could save may have numbered.
const UNSAVED: u64 = 1_000_000;

/// The last events, oldest first.
#[derive(Debug)]
pub(super) struct Ring {
    events: VecDeque<Arc<Event>>,
    /// The number of the next.
    next: u64,
    /// The first number of this run.
    first: u64,
    /// The last that was forgotten.
    forgotten: Option<u64>,
}

/// Why there may be events between those that somebody has heard of and those that follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Gap {
    /// It was so long ago that some are forgotten.
    Forgotten,
    /// It was told by an earlier run, whose last events may not have been saved.
    Restarted,
    /// No event has this number yet.
    Unknown,
    /// Whoever listens does so too slowly.
    TooSlow,
}

impl Gap {
    /// In one stable word.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Forgotten => "forgotten",
            Self::Restarted => "restarted",
            Self::Unknown => "unknown",
            Self::TooSlow => "too-slow",
        }
    }
}

/// Some events, oldest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Page {
    /// Something may be missing before them.
    pub(crate) gap: Option<Gap>,
    pub(crate) events: Vec<Arc<Event>>,
    /// More of them follow.
    pub(crate) more: bool,
}

impl Ring {
    /// Goes on after what an earlier run left.
    pub(super) fn new(kept: Vec<Event>, now: SystemTime) -> Self {
        let since = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let clock = u64::try_from(since.as_micros()).unwrap_or(UNSAVED);
        // Numbers grow though the wall clock may have been set back, and though the last ones may not have been saved.
        let last = kept.last().map_or(0, |event| event.id.saturating_add(UNSAVED));
        let next = clock.max(last).max(1);
        let full = kept.len() >= KEPT;
        Self {
            forgotten: kept
                .first()
                .filter(|_| full)
                .map(|oldest| oldest.id.saturating_sub(1)),
            events: kept.into_iter().map(Arc::new).collect(),
            next,
            first: next,
        }
    }

    /// Gives it a number, and a place.
    pub(super) fn add(&mut self, news: News) -> Arc<Event> {
        let event = Arc::new(Event::new(self.next, news));
        self.next += 1;
        if self.events.len() >= KEPT {
            self.forgotten = self.events.pop_front().map(|oldest| oldest.id);
        }
        self.events.push_back(event.clone());
        event
    }

    /// The first `limit` events from there on that are wanted.
    pub(super) fn from(&self, from: From, select: &Select, limit: usize) -> Page {
        let after = match from {
            From::Now => self.next,
            From::Oldest => 0,
            From::After(id) => id,
        };
        let later = self.events.iter().filter(|event| event.id > after);
        let mut wanted = later.filter(|event| select.wants(event));
        let events = wanted.by_ref().take(limit).cloned().collect();
        Page {
            gap: self.gap(from),
            events,
            more: wanted.next().is_some(),
        }
    }

    /// The last `limit` events that are wanted.
    pub(super) fn last(&self, select: &Select, limit: usize) -> Page {
        let mut wanted = self.events.iter().rev().filter(|event| select.wants(event));
        let mut events: Vec<_> = wanted.by_ref().take(limit).cloned().collect();
        events.reverse();
        Page {
            gap: None,
            events,
            more: wanted.next().is_some(),
        }
    }

    fn gap(&self, from: From) -> Option<Gap> {
        match from {
            From::Now | From::Oldest => None,
            From::After(id) if id >= self.next => Some(Gap::Unknown),
            From::After(id) if self.forgotten.is_some_and(|forgotten| id < forgotten) => Some(Gap::Forgotten),
            From::After(id) if id > 0 && id < self.first => Some(Gap::Restarted),
            From::After(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use ike::ConnectionName;

    use super::*;

    fn ring() -> Ring {
        Ring::new(Vec::new(), SystemTime::UNIX_EPOCH + Duration::from_micros(100))
    }

    fn told(page: &Page) -> (Option<Gap>, Vec<u64>, bool) {
        (
            page.gap,
            page.events.iter().map(|event| event.id).collect(),
            page.more,
        )
    }

    #[test]
    fn whoever_comes_back_hears_what_it_missed_or_that_it_missed_something() {
        let mut ring = ring();
        for _ in 0..3 {
            ring.add(News::new("up"));
        }
        let all = Select::default();
        let after = |ring: &Ring, id| told(&ring.from(From::After(id), &all, 2));
        assert_eq!(after(&ring, 0), (None, vec![100, 101], true));
        assert_eq!(after(&ring, 100), (None, vec![101, 102], false));
        assert_eq!(after(&ring, 102), (None, vec![], false));
        assert_eq!(after(&ring, 103), (Some(Gap::Unknown), vec![], false));
        assert_eq!(after(&ring, 99), (Some(Gap::Restarted), vec![100, 101], true));
        assert_eq!(
            told(&ring.from(From::Now, &all, 9)),
            (None, vec![], false),
            "nothing of what was"
        );
        for _ in 0..KEPT {
            ring.add(News::new("down"));
        }
        let oldest = after(&ring, 101);
        assert_eq!(oldest, (Some(Gap::Forgotten), vec![103, 104], true));
        assert_eq!(after(&ring, 102), (None, vec![103, 104], true));
    }

    #[test]
    fn numbers_grow_over_a_restart_whatever_the_clock_says() {
        let mut ring = ring();
        let event = Arc::unwrap_or_clone(ring.add(News::new("up")));
        let later = Ring::new(
            vec![event.clone()],
            SystemTime::UNIX_EPOCH + Duration::from_secs(5),
        );
        assert_eq!(later.next, 5_000_000);
        let back = Ring::new(vec![event], SystemTime::UNIX_EPOCH);
        assert_eq!(back.next, 100 + UNSAVED);
        let page = back.from(From::After(100), &Select::default(), 9);
        assert_eq!(
            page.gap,
            Some(Gap::Restarted),
            "the last of them may not have been saved"
        );
    }

    #[test]
    fn the_last_ones_are_told_oldest_first_and_of_one_connection_alone() {
        let mut ring = ring();
        let name = |text: &str| ConnectionName(text.into());
        for number in 0..6 {
            let to = if number % 2 == 0 { "a" } else { "b" };
            ring.add(News::new("up").to(&name(to)));
        }
        let of_b = Select {
            connection: Some("b".to_owned()),
            since: None,
        };
        assert_eq!(told(&ring.last(&of_b, 2)), (None, vec![103, 105], true));
        let from_now_on = Select {
            connection: None,
            since: Some(i64::MAX),
        };
        assert_eq!(told(&ring.last(&from_now_on, 2)), (None, vec![], false));
    }
}
