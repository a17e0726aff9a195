//! What IKE did for each connection lately, message by message, with what came of it; bounded, and published as it happens.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::SystemTime;

use ike::{ConnectionName, LogLine, Outage};
use tokio::sync::{Semaphore, watch};

/// How many lines of a connection are kept, and how many octets of them.
pub(crate) const LINES: usize = 200;
pub(crate) const OCTETS: usize = 64 * 1024;
/// What a line takes beside its words.
const LINE: usize = 64;
/// How many may listen at once.
const LISTENERS: usize = 32;

/// One line of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    /// Greater than that of any line before it, also of a daemon before this one unless the clock was set back.
    pub(crate) id: u64,
    /// When it happened.
    pub(crate) at: SystemTime,
    /// What happened.
    pub(crate) what: What,
}

/// What a line tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum What {
    /// A message that was sent or came.
    Message(LogLine),
    /// What came of it: the word of an event, and what is amiss.
    Came(&'static str, Option<Outage>),
}

/// The log of one connection.
#[derive(Debug, Default)]
struct IkeLog {
    lines: VecDeque<Arc<Line>>,
    octets: usize,
    /// The number of the newest line that is not kept any more.
    forgotten: u64,
}

/// The logs of all connections.
#[derive(Debug)]
pub(crate) struct IkeLogs {
    connections: BTreeMap<ConnectionName, IkeLog>,
    last: u64,
}

/// What a reader is given.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Read {
    /// Oldest first.
    pub(crate) lines: Vec<Arc<Line>>,
    /// Lines that came after the one that was asked for are not kept any more.
    pub(crate) gap: bool,
}

/// Where readers find the logs.
#[derive(Debug, Clone)]
pub(crate) struct IkeLogReader {
    logs: watch::Receiver<IkeLogs>,
    /// For those who listen.
    pub(crate) places: Arc<Semaphore>,
}

impl What {
    fn octets(&self) -> usize {
        match self {
            Self::Message(line) => line.exchange.len() + line.message.len() + line.says.len(),
            Self::Came(word, outage) => {
                let said = |outage: &Outage| outage.offered.len() + outage.expected.len();
                word.len() + outage.as_ref().map_or(0, said)
            }
        }
    }
}

impl IkeLogs {
    /// Empty ones. Numbers begin at the milliseconds of UNIX time, so that those of a daemon before are smaller.
    pub(crate) fn new(at: SystemTime) -> Self {
        let since = at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Self {
            connections: BTreeMap::new(),
            last: u64::try_from(since.as_millis()).unwrap_or_default(),
        }
    }

    /// One line more of a connection; the oldest make room.
    pub(crate) fn add(&mut self, name: &ConnectionName, what: What, at: SystemTime) {
        self.last += 1;
        let log = self.connections.entry(name.clone()).or_default();
        log.octets += LINE + what.octets();
        let id = self.last;
        log.lines.push_back(Arc::new(Line { id, at, what }));
        while log.lines.len() > LINES || log.octets > OCTETS {
            let Some(oldest) = log.lines.pop_front() else {
                return;
            };
            log.octets -= LINE + oldest.what.octets();
            log.forgotten = oldest.id;
        }
    }

    /// Forgets all connections but those.
    pub(crate) fn keep<'a>(&mut self, names: impl Iterator<Item = &'a ConnectionName>) {
        let mut kept = BTreeMap::new();
        for name in names {
            kept.insert(name.clone(), self.connections.remove(name).unwrap_or_default());
        }
        self.connections = kept;
    }

    /// The lines of a connection after the one with this number, or all; nothing if there is no log of it.
    pub(crate) fn read(&self, name: &ConnectionName, after: Option<u64>) -> Option<Read> {
        let log = self.connections.get(name)?;
        // A daemon before this one gave it, by a clock that was ahead, or nobody did.
        let strange = after.is_some_and(|after| after > self.last);
        let wanted = |line: &&Arc<Line>| strange || after.is_none_or(|after| line.id > after);
        Some(Read {
            lines: log.lines.iter().filter(wanted).cloned().collect(),
            gap: strange || after.is_some_and(|after| after < log.forgotten),
        })
    }
}

impl IkeLogReader {
    /// One who reads what is published here.
    pub(crate) fn new(logs: watch::Receiver<IkeLogs>) -> Self {
        Self {
            logs,
            places: Arc::new(Semaphore::new(LISTENERS)),
        }
    }

    /// The lines of a connection after the one with this number, or all; nothing if there is no log of it.
    pub(crate) fn read(&self, name: &ConnectionName, after: Option<u64>) -> Option<Read> {
        self.logs.borrow().read(name, after)
    }

    /// The number of the newest line of all.
    pub(crate) fn last(&self) -> u64 {
        self.logs.borrow().last
    }

    /// Waits until something is written; false when nothing will be any more. What was written meanwhile since the last wait counts.
    pub(crate) async fn changed(&mut self) -> bool {
        self.logs.changed().await.is_ok()
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use ike::Side;

    use super::*;

    fn name() -> ConnectionName {
        ConnectionName("to-b".into())
    }

    fn message(says: &str) -> What {
        What::Message(LogLine {
            side: Side::We,
            exchange: "IKE_AUTH".to_owned(),
            message: "request 1".to_owned(),
            repeat: 0,
            says: says.to_owned(),
            dropped: None,
            ago: Duration::ZERO,
        })
    }

    fn filled(count: usize, says: &str) -> Read {
        let mut logs = IkeLogs::new(UNIX_EPOCH + Duration::from_millis(1000));
        (0..count).for_each(|_| logs.add(&name(), message(says), UNIX_EPOCH));
        logs.read(&name(), Some(1000)).unwrap()
    }

    #[test]
    fn the_end_of_a_log_is_kept_by_lines_and_by_octets() {
        let short = filled(LINES + 50, "");
        assert_eq!((short.lines.len(), short.gap), (LINES, true));
        assert_eq!(short.lines.last().unwrap().id, 1000 + 250);
        let long = filled(LINES, &"ü".repeat(500));
        let octets: usize = long.lines.iter().map(|line| LINE + line.what.octets()).sum();
        assert!(octets <= OCTETS && octets > OCTETS - 2000, "{octets}");
        assert_eq!((filled(3, "").lines.len(), filled(3, "").gap), (3, false));
    }

    #[test]
    fn a_reader_goes_on_where_it_was_and_only_configured_connections_have_a_log() {
        let mut logs = IkeLogs::new(UNIX_EPOCH);
        logs.keep([name()].iter());
        assert_eq!(logs.read(&name(), None).unwrap().lines.len(), 0);
        (0..3).for_each(|_| logs.add(&name(), message(""), UNIX_EPOCH));
        let ids = |after| {
            logs.read(&name(), after)
                .unwrap()
                .lines
                .iter()
                .map(|line| line.id)
                .collect::<Vec<_>>()
        };
        assert_eq!(
            (ids(None), ids(Some(2)), ids(Some(3))),
            (vec![1, 2, 3], vec![3], vec![])
        );
        let strange = logs.read(&name(), Some(4)).unwrap();
        assert_eq!(
            (strange.lines.len(), strange.gap),
            (3, true),
            "no such line was ever given"
        );
        logs.keep([].into_iter());
        assert_eq!(logs.read(&name(), None), None);
    }
}
