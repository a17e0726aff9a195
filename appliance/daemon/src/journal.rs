//! What happened, in the log and in the history of its connection: under the name of the tunnel, in the same words.

use std::net::SocketAddr;
use std::time::SystemTime;

use ike::{ConnectionName, Event, LogLine, Outage, Reason, Side, Version2Trial};
use tokio::sync::watch;
use tracing::{Span, debug, info, info_span, warn};

use crate::chronicle::{News, Teller};
use crate::clock::Clock;
use crate::history::{Histories, History, Moment, Record};
use crate::ike_log::{IkeLogReader, IkeLogs, What};

/// Writes down what happens, and what is wrong over and over again only once.
#[derive(Debug)]
pub(crate) struct Journal {
    histories: Histories,
    clock: Clock,
    teller: Teller,
    log: watch::Sender<IkeLogs>,
}

/// The journal as status shows it.
#[derive(Debug, Default)]
pub(crate) struct Pages {
    /// What happened to each connection.
    pub(crate) histories: Histories,
    /// What is wrong with the wall clock.
    pub(crate) clock: Option<Outage>,
    /// How many IKE messages came faster than they could be read.
    pub(crate) unread: u64,
}

impl Journal {
    /// An empty one; what is new in it is told.
    pub(crate) fn new(teller: Teller) -> Self {
        Self {
            histories: Histories::default(),
            clock: Clock::new(),
            teller,
            log: watch::Sender::new(IkeLogs::new(SystemTime::now())),
        }
    }

    /// Where the logs of connections are read.
    pub(crate) fn log(&self) -> IkeLogReader {
        IkeLogReader::new(self.log.subscribe())
    }

    /// Writes a message into the log of its connection.
    pub(crate) fn log_message(&mut self, connection: &ConnectionName, line: LogLine, at: Moment) {
        let then = at.wall.checked_sub(line.ago).unwrap_or(at.wall);
        let message = What::Message(line);
        self.log.send_modify(|log| log.add(connection, message, then));
    }

    /// What was written so far, beside how many messages nobody read.
    pub(crate) fn pages(&self, at: Moment, unread: u64) -> Pages {
        Pages {
            unread,
            histories: self.histories.clone(),
            clock: self.clock.amiss(at),
        }
    }

    /// These connections are configured, and no others.
    pub(crate) fn configured<'a>(&mut self, names: impl Iterator<Item = &'a ConnectionName>) {
        let names: Vec<_> = names.collect();
        self.log.send_modify(|log| log.keep(names.iter().copied()));
        self.histories.keep(names.into_iter());
    }

    /// What time it is in seconds of UNIX time, if the wall clock can be right.
    pub(crate) fn unix_s(&self, at: Moment) -> Option<u64> {
        self.clock.unix_s(at)
    }

    /// Looks at the wall clock.
    pub(crate) fn look_at_clock(&mut self, at: Moment) {
        if let Some(outage) = self.clock.look(at) {
            let word = outage.reason.word();
            amiss(word, &outage, false);
            self.teller.tell(News::new(word).because(outage.clone()));
            self.histories
                .add_to_all(&Record::new(word, Some(outage), at), at);
        }
    }

    /// Writes one event of the engine.
    pub(crate) fn record(&mut self, event: Event, at: Moment) {
        let word = event.word();
        match event {
            Event::Up(connection)
            | Event::ChildRekeyed(connection)
            | Event::IkeRekeyed(connection)
            | Event::Reauthenticated(connection)
            | Event::Replaced(connection) => {
                span(&connection).in_scope(|| info!("{word}"));
                self.add(&connection, Record::new(word, None, at), at);
            }
            Event::Down(connection, outage)
            | Event::AttemptFailed(connection, outage)
            | Event::Degraded(connection, outage) => {
                let record = Record::new(word, Some(outage.clone()), at);
                let known = self.add(&connection, record, at);
                span(&connection).in_scope(|| amiss(word, &outage, known));
            }
            Event::Version2Tried(connection, trial) => self.tried(&connection, (word, &trial), at),
            Event::PeerMoved(connection, remote) => self.moved(&connection, (word, remote), at),
            Event::Dropped(remote, cause) => debug!(%remote, cause = cause.word(), "message dropped"),
        }
    }

    fn tried(
        &mut self,
        connection: &ConnectionName,
        (word, trial): (&'static str, &Version2Trial),
        at: Moment,
    ) {
        let Version2Trial {
            answer,
            offered,
            said,
            ..
        } = trial;
        span(connection).in_scope(|| info!(answer = answer.word(), offered, said, "{word}"));
        let mut record = Record::new(word, None, at);
        let more = if said.is_empty() { "" } else { ": " };
        record.detail = Some(format!("{}{more}{said}", answer.word()));
        self.add(connection, record, at);
    }

    fn moved(&mut self, connection: &ConnectionName, (word, remote): (&'static str, SocketAddr), at: Moment) {
        span(connection).in_scope(|| info!(%remote, "{word}"));
        let mut record = Record::new(word, None, at);
        record.peer = Some(remote);
        self.add(connection, record, at);
    }

    /// Into the history, and told unless it is the same again; true if it is that.
    fn add(&mut self, connection: &ConnectionName, record: Record, at: Moment) -> bool {
        let came = What::Came(record.word, record.outage.clone());
        self.log.send_modify(|log| log.add(connection, came, at.wall));
        let known = self.histories.add(connection, record, at);
        let history = self.histories.of(connection).into_iter();
        if let Some(record) = history.flat_map(History::records).next_back().filter(|_| !known) {
            self.teller.tell(News::of(connection, record));
        }
        known
    }
}

/// The span that every line about a tunnel stands in.
pub(crate) fn span(connection: &ConnectionName) -> Span {
    info_span!("tunnel", name = %connection.0)
}

fn amiss(word: &str, outage: &Outage, known: bool) {
    let Outage {
        reason,
        side,
        stage,
        offered,
        expected,
    } = outage;
    let (reason_word, side_word, stage) = (reason.word(), side.word(), stage.word());
    if known {
        return debug!(reason = reason_word, side = side_word, stage, "still {word}");
    }
    match (reason, side) {
        (Reason::Configuration, Side::We) => info!(reason = reason_word, "{word}"),
        _ => {
            let next_step = reason.next_step(*side);
            warn!(
                reason = reason_word,
                side = side_word,
                stage,
                offered,
                expected,
                next_step,
                "{word}"
            );
        }
    }
}
