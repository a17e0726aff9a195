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
    /// Of a dead-peer check, or the answer to one: how many checks there were in a row; else 0.
    pub(crate) checks: u32,
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

impl IkeLog {
    /// How many checks there were in a row up to this.
    fn checks(&self, what: &What) -> u32 {
        let What::Message(message) = what else { return 0 };
        let before = self.lines.back().map_or(0, |line| line.checks);
        let mut row = self.lines.iter().rev().take_while(|line| line.checks > 0);
        let asked = |line: &Arc<Line>| matches!(&line.what, What::Message(check) if message.answers(check));
        if message.is_check() {
            before.saturating_add(1)
        } else if row.any(asked) {
            before
        } else {
            0
        }
    }

    /// Of checks in a row the last message and the one before it are kept: what tells more is not pushed out by them.
    fn fold(&mut self) {
        let row = self.lines.iter().rev().take_while(|line| line.checks > 0).count();
        if row <= 2 {
            return;
        }
        if let Some(line) = self.lines.remove(self.lines.len() - 3) {
            self.octets -= LINE + line.what.octets();
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
        let (id, checks) = (self.last, log.checks(&what));
        log.lines.push_back(Arc::new(Line { id, at, what, checks }));
        log.fold();
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

    fn said(side: Side, message: &str, says: &str) -> What {
        What::Message(LogLine {
            side,
            exchange: "INFORMATIONAL".to_owned(),
            message: message.to_owned(),
            repeat: 0,
            says: says.to_owned(),
            dropped: None,
            ago: Duration::ZERO,
        })
    }

    /// The side, which message, and how many checks in a row of what is kept.
    fn kept(lines: impl IntoIterator<Item = What>) -> Vec<(Side, String, u32)> {
        let mut logs = IkeLogs::new(UNIX_EPOCH);
        lines
            .into_iter()
            .for_each(|what| logs.add(&name(), what, UNIX_EPOCH));
        let read = logs.read(&name(), None).unwrap();
        let told = read.lines.iter().map(|line| match &line.what {
            What::Message(message) => (message.side, message.message.clone(), line.checks),
            What::Came(..) => unreachable!("only messages were written"),
        });
        told.collect()
    }

    fn check(number: usize) -> [What; 2] {
        let (request, response) = (format!("request {number}"), format!("response {number}"));
        [
            said(Side::We, &request, "dead-peer check"),
            said(Side::Peer, &response, ""),
        ]
    }

    #[test]
    fn checks_in_a_row_take_two_lines_and_push_nothing_out() {
        let before = said(Side::We, "request 0", "delete of the IKE SA");
        let found = kept([before].into_iter().chain((1..=LINES * 2).flat_map(check)));
        let last = LINES * 2;
        let many = u32::try_from(last).unwrap();
        let expected = [
            (Side::We, "request 0".to_owned(), 0),
            (Side::We, format!("request {last}"), many),
            (Side::Peer, format!("response {last}"), many),
        ];
        assert_eq!(found, expected);
    }

    /// An answer with nothing in it answers other things, too; what is sent again is worth a line.
    #[test]
    fn only_checks_and_their_answers_are_folded() {
        let again = |number: usize| match said(Side::We, &format!("request {number}"), "") {
            What::Message(line) => What::Message(LogLine { repeat: 1, ..line }),
            came @ What::Came(..) => came,
        };
        let lines = check(1)
            .into_iter()
            .chain(check(2))
            .chain([
                said(Side::Peer, "request 0", "delete of the Child SA 1"),
                said(Side::We, "response 0", ""),
            ])
            .chain(check(3).into_iter().take(1))
            .chain([again(3)]);
        let checks: Vec<_> = kept(lines)
            .into_iter()
            .map(|(_, message, checks)| (message, checks))
            .collect();
        let expected = [
            ("request 2", 2),
            ("response 2", 2),
            ("request 0", 0),
            ("response 0", 0),
            ("request 3", 1),
            ("request 3", 0),
        ];
        assert_eq!(
            checks,
            expected.map(|(message, checks)| (message.to_owned(), checks))
        );
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
