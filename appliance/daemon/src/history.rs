//! What happened to each connection lately, with wall-clock times; bounded, and cheap to publish.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use ike::{ConnectionName, Outage};

/// How many events of a connection are kept.
pub(crate) const KEPT: usize = 100;

/// Both clocks, read together: the one for people, and the one that only goes forward.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moment {
    /// For people.
    pub(crate) wall: SystemTime,
    /// For spans.
    pub(crate) monotonic: Instant,
}

impl Moment {
    /// This moment.
    pub(crate) fn now() -> Self {
        Self {
            wall: SystemTime::now(),
            monotonic: Instant::now(),
        }
    }
}

/// One thing that happened, or the same thing several times in a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Record {
    /// The word of the event.
    pub(crate) word: &'static str,
    /// Why, if something is amiss.
    pub(crate) outage: Option<Outage>,
    /// The address that the peer moved to.
    pub(crate) peer: Option<SocketAddr>,
    /// More, for people.
    pub(crate) detail: Option<String>,
    /// When it happened first.
    pub(crate) first: SystemTime,
    /// When it happened last.
    pub(crate) last: SystemTime,
    /// How often.
    pub(crate) times: u32,
    /// How long the connection was down before it came up, or up before it went down.
    pub(crate) lasted: Option<Duration>,
}

/// What happened to one connection, oldest first.
#[derive(Debug, Clone, Default)]
pub(crate) struct History {
    records: VecDeque<Record>,
    /// How often each word was written since the start.
    counts: BTreeMap<&'static str, u64>,
    /// When it came up or went down last.
    turned: Option<Instant>,
}

/// The histories of all connections. A copy shares what neither changes.
#[derive(Debug, Clone, Default)]
pub(crate) struct Histories(BTreeMap<ConnectionName, Arc<History>>);

impl Record {
    /// Something that happens now.
    pub(crate) fn new(word: &'static str, outage: Option<Outage>, at: Moment) -> Self {
        Self {
            word,
            outage,
            peer: None,
            detail: None,
            first: at.wall,
            last: at.wall,
            times: 1,
            lasted: None,
        }
    }

    fn is_again(&self, last: &Self) -> bool {
        let what = |record: &Self| (record.word, record.peer);
        what(self) == what(last) && (&self.outage, &self.detail) == (&last.outage, &last.detail)
    }
}

impl History {
    /// What happened, oldest first.
    pub(crate) fn records(&self) -> impl DoubleEndedIterator<Item = &Record> {
        self.records.iter()
    }

    /// How often each word was written since the start.
    pub(crate) fn counts(&self) -> &BTreeMap<&'static str, u64> {
        &self.counts
    }

    /// One more; true if it is what happened before, once more.
    fn add(&mut self, mut record: Record, at: Moment) -> bool {
        *self.counts.entry(record.word).or_default() += 1;
        if record.word == "up" || record.word == "down" {
            let turned = self.turned.replace(at.monotonic);
            record.lasted = turned.map(|turned| at.monotonic.saturating_duration_since(turned));
        }
        if let Some(last) = self.records.back_mut().filter(|last| record.is_again(last)) {
            last.times = last.times.saturating_add(1);
            last.last = record.last;
            return true;
        }
        if self.records.len() >= KEPT {
            self.records.pop_front();
        }
        self.records.push_back(record);
        false
    }
}

impl Histories {
    /// What happened to a connection.
    pub(crate) fn of(&self, name: &ConnectionName) -> Option<&History> {
        self.0.get(name).map(AsRef::as_ref)
    }

    /// Something happened to a connection; true if the same as before, once more.
    pub(crate) fn add(&mut self, name: &ConnectionName, record: Record, at: Moment) -> bool {
        let history = self.0.entry(name.clone()).or_default();
        Arc::make_mut(history).add(record, at)
    }

    /// Something happened to all connections.
    pub(crate) fn add_to_all(&mut self, record: &Record, at: Moment) {
        for history in self.0.values_mut() {
            Arc::make_mut(history).add(record.clone(), at);
        }
    }

    /// Forgets all connections but those, and knows those from now on.
    pub(crate) fn keep<'a>(&mut self, names: impl Iterator<Item = &'a ConnectionName>) {
        let mut kept = BTreeMap::new();
        for name in names {
            kept.insert(name.clone(), self.0.remove(name).unwrap_or_default());
        }
        self.0 = kept;
    }
}

#[cfg(test)]
mod tests {
    use ike::{Reason, Side, Stage};

    use super::*;

    fn outage(offered: &str) -> Outage {
        Outage {
            reason: Reason::PeerUnreachable,
            side: Side::We,
            stage: Stage::IkeSaInit,
            offered: offered.to_owned(),
            expected: String::new(),
        }
    }

    fn name() -> ConnectionName {
        ConnectionName("to-b".into())
    }

    /// A peer that is away for a day must not push out why it went.
    #[test]
    fn what_repeats_is_counted_and_what_is_old_goes() {
        let (mut histories, start) = (Histories::default(), Moment::now());
        let at = |seconds| Moment {
            wall: start.wall + Duration::from_secs(seconds),
            monotonic: start.monotonic + Duration::from_secs(seconds),
        };
        let mut add =
            |word, why, seconds| histories.add(&name(), Record::new(word, why, at(seconds)), at(seconds));
        assert!(!add("up", None, 0));
        assert!(!add("down", Some(outage("")), 60));
        for attempt in 0..5000 {
            let again = add("attempt-failed", Some(outage("")), 100 + attempt);
            assert_eq!(again, attempt > 0);
        }
        assert!(!add("up", None, 6060));
        let records: Vec<_> = histories.of(&name()).unwrap().records().collect();
        let words: Vec<_> = records.iter().map(|record| (record.word, record.times)).collect();
        assert_eq!(
            words,
            [("up", 1), ("down", 1), ("attempt-failed", 5000), ("up", 1)]
        );
        assert_eq!((records[2].first, records[2].last), (at(100).wall, at(5099).wall));
        let lasted = [0, 1, 3].map(|place: usize| records[place].lasted.map(|lasted| lasted.as_secs()));
        assert_eq!(lasted, [None, Some(60), Some(6000)]);
        for other in 0..500 {
            histories.add(
                &name(),
                Record::new("degraded", Some(outage(&other.to_string())), at(0)),
                at(0),
            );
        }
        let history = histories.of(&name()).unwrap();
        assert_eq!(history.records().count(), KEPT);
        let newest = history.records().next_back().unwrap().outage.as_ref().unwrap();
        assert_eq!(newest.offered, "499");
    }

    #[test]
    fn connections_that_are_no_more_are_forgotten() {
        let (mut histories, at) = (Histories::default(), Moment::now());
        histories.add(&name(), Record::new("up", None, at), at);
        let shown = histories.clone();
        histories.keep([].into_iter());
        assert!(histories.of(&name()).is_none());
        assert_eq!(
            shown.of(&name()).unwrap().records().count(),
            1,
            "a copy is not changed"
        );
    }
}
