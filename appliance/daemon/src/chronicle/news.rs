use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use ike::{ConnectionName, Outage};
use tokio::sync::mpsc;

use crate::history::Record;

/// Something that happened, before it has a number.
#[derive(Debug, Clone)]
pub(crate) struct News {
    /// What, in one stable word.
    pub(super) word: &'static str,
    /// When.
    pub(super) at: SystemTime,
    /// To which connection.
    pub(super) connection: Option<ConnectionName>,
    /// Which generation of the configuration it is about.
    pub(super) generation: Option<u32>,
    /// Who did it.
    pub(super) author: Option<String>,
    /// What it is about: an object of the kernel, the name of a secret.
    pub(super) object: Option<String>,
    /// More, for people.
    pub(super) detail: Option<String>,
    /// Where the peer is now.
    pub(super) peer: Option<SocketAddr>,
    /// How long the connection was down before it came up, or up before it went down.
    pub(super) lasted: Option<Duration>,
    /// Why, if something is amiss.
    pub(super) outage: Option<Outage>,
    /// Why a BGP session ended.
    pub(super) end: Option<bgp::LastError>,
}

impl News {
    /// This happened now.
    pub(crate) fn new(word: &'static str) -> Self {
        Self {
            word,
            at: SystemTime::now(),
            connection: None,
            generation: None,
            author: None,
            object: None,
            detail: None,
            peer: None,
            lasted: None,
            outage: None,
            end: None,
        }
    }

    /// This happened to a connection.
    pub(crate) fn of(connection: &ConnectionName, record: &Record) -> Self {
        Self {
            at: record.last,
            connection: Some(connection.clone()),
            peer: record.peer,
            detail: record.detail.clone(),
            lasted: record.lasted,
            outage: record.outage.clone(),
            ..Self::new(record.word)
        }
    }

    /// The same, and whom it happened to.
    pub(crate) fn to(self, connection: &ConnectionName) -> Self {
        Self {
            connection: Some(connection.clone()),
            ..self
        }
    }

    /// The same, and who did it.
    pub(crate) fn by(self, author: &str) -> Self {
        Self {
            author: Some(author.to_owned()),
            ..self
        }
    }

    /// The same, and which generation it is about.
    pub(crate) fn generation(self, generation: u32) -> Self {
        Self {
            generation: Some(generation),
            ..self
        }
    }

    /// The same, and what it is about.
    pub(crate) fn object(self, object: impl Into<String>) -> Self {
        Self {
            object: Some(object.into()),
            ..self
        }
    }

    /// The same, with more for people.
    pub(crate) fn detail(self, detail: impl Into<String>) -> Self {
        Self {
            detail: Some(detail.into()),
            ..self
        }
    }

    /// The same, and why a BGP session ended.
    pub(crate) fn ended_by(self, end: bgp::LastError) -> Self {
        Self {
            detail: Some(end.words.clone()),
            end: Some(end),
            ..self
        }
    }

    /// The same, and why.
    pub(crate) fn because(self, outage: Outage) -> Self {
        Self {
            outage: Some(outage),
            ..self
        }
    }
}

/// Where the owners leave news. They never wait: what finds no room is counted.
#[derive(Debug, Clone)]
pub(crate) struct Teller {
    news: mpsc::Sender<News>,
    lost: Arc<AtomicU64>,
}

/// So much may wait to be numbered.
const ROOM: usize = 4096;

/// The other end of all tellers.
#[derive(Debug)]
pub(super) struct Arriving {
    pub(super) news: mpsc::Receiver<News>,
    lost: Arc<AtomicU64>,
}

/// A teller, and where its news arrive.
pub(super) fn telling() -> (Teller, Arriving) {
    let (news, arriving) = mpsc::channel(ROOM);
    let lost = Arc::<AtomicU64>::default();
    let teller = Teller {
        news,
        lost: lost.clone(),
    };
    let arriving = Arriving { news: arriving, lost };
    (teller, arriving)
}

impl Teller {
    /// This happened.
    pub(crate) fn tell(&self, news: News) {
        if self.news.try_send(news).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Whether the next finds no room.
    #[cfg(test)]
    pub(crate) fn is_full(&self) -> bool {
        self.news.capacity() == 0
    }

    /// To a test.
    #[cfg(test)]
    pub(crate) fn to_a_test() -> (Self, Heard) {
        let (teller, arriving) = telling();
        (teller, Heard(arriving))
    }

    /// To nobody.
    #[cfg(test)]
    pub(crate) fn to_nobody() -> Self {
        telling().0
    }
}

/// What a test is told.
#[cfg(test)]
#[derive(Debug)]
pub(crate) struct Heard(Arriving);

#[cfg(test)]
impl Heard {
    /// The words of what happened since this was asked last.
    pub(crate) fn words(&mut self) -> Vec<&'static str> {
        let mut words = Vec::new();
        while let Ok(news) = self.0.news.try_recv() {
            words.push(news.word);
        }
        words
    }
}

impl Arriving {
    /// How many found no room since this was asked last.
    pub(super) fn lost(&self) -> u64 {
        self.lost.swap(0, Ordering::Relaxed)
    }
}
