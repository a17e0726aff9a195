use std::io;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE, HeaderName};
use axum::response::IntoResponse;
use bgp::mrt::TableWriter;
use bgp::{Family, Speaker, TableQuery, TableView};
use futures::stream;
use serde::Deserialize;
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};
use tracing::warn;

use super::error::Error;
use super::query::Asked;
use super::router::Published;
use crate::bgp_owner::{Command, Question};

/// So many prefixes are asked for at once: the speaker is back at its sessions after a millisecond.
const PREFIXES: usize = 1000;
/// A part of a file that is handed on has this many octets, or the records of one part of the tables more.
const PART: usize = 64 * 1024;

/// Which routes.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Which {
    kind: Option<Kind>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Kind {
    Received,
    Best,
}

/// Why there is no file of routes or messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FileFault {
    /// Too many read tables already.
    TooManyReaders,
    /// A recording goes on.
    RecordingRuns,
    /// No recording goes on, or there was none.
    NoRecording,
}

/// A table on its way to a file.
struct Table {
    speaker: mpsc::Sender<Command>,
    writer: TableWriter,
    view: TableView,
    /// What is to be asked for next; nothing when all was told.
    next: Option<TableQuery>,
    octets: Vec<u8>,
    _place: OwnedSemaphorePermit,
}

/// `GET /api/v1/bgp/table.mrt`: the tables as TABLE_DUMP_V2 (RFC 6396 §4.3), written as they are read.
pub(crate) async fn table(
    State(published): State<Published>,
    Asked(which): Asked<Which>,
) -> Result<impl IntoResponse, Error> {
    let place = Arc::clone(&published.bgp.readers).try_acquire_owned();
    let place = place.map_err(|_| Error::File(FileFault::TooManyReaders))?;
    let (wall, now) = (SystemTime::now(), Instant::now());
    let speaker = published.bgp.commands.clone();
    let at = move |moment| seconds(wall, now, moment);
    let neighbours = ask(&speaker, move |speaker| speaker.table_neighbours(at)).await;
    let mut octets = Vec::new();
    let writer = TableWriter::begin(&neighbours.ok_or(Error::Busy)?, at(now), &mut octets);
    let view = match which.kind {
        Some(Kind::Received) | None => TableView::Received,
        Some(Kind::Best) => TableView::Best,
    };
    let table = Table {
        speaker,
        writer,
        view,
        next: Some(beginning(view, Family::Ipv4)),
        octets,
        _place: place,
    };
    let parts = stream::unfold(table, |mut table| async {
        let part = table.part().await?;
        Some((part, table))
    });
    Ok((file("causeway-table.mrt"), Body::from_stream(parts)))
}

impl FileFault {
    /// Status, reason word and words.
    pub(super) fn words(self) -> (u16, &'static str, &'static str) {
        match self {
            Self::TooManyReaders => (
                503,
                "too-many-readers",
                "others read the tables now: try again when they have them",
            ),
            Self::RecordingRuns => (
                409,
                "recording-runs",
                "a recording goes on: stop it first, and save it, for the next one takes its place",
            ),
            Self::NoRecording => (
                404,
                "no-recording",
                "no recording goes on, or there was none since the daemon started",
            ),
        }
    }
}

impl Table {
    /// The next part of the file. Where the speaker stops, the answer breaks off, so that nobody takes it for the whole.
    async fn part(&mut self) -> Option<io::Result<Bytes>> {
        while let Some(query) = self.next.filter(|_| self.octets.len() < PART) {
            let Some(part) = ask(&self.speaker, move |speaker| speaker.table(&query)).await else {
                self.next = None;
                self.octets.clear();
                return Some(Err(io::Error::other("the speaker stopped")));
            };
            self.writer.write(&part.rows, &mut self.octets);
            self.next = match (part.next, query.family) {
                (Some(after), _) => Some(TableQuery {
                    after: Some(after),
                    ..query
                }),
                (None, Family::Ipv4) => Some(beginning(self.view, Family::Ipv6)),
                (None, Family::Ipv6) => None,
            };
        }
        if self.next.is_none() && self.writer.left_out() > 0 && !self.octets.is_empty() {
            warn!(routes = self.writer.left_out(), "left out of an MRT table");
        }
        let part = std::mem::take(&mut self.octets);
        (!part.is_empty()).then(|| Ok(part.into()))
    }
}

fn beginning(view: TableView, family: Family) -> TableQuery {
    TableQuery {
        view,
        family,
        after: None,
        prefixes: PREFIXES,
    }
}

/// What the speaker says, when it has the time; nothing once it has stopped.
async fn ask<T: Send + 'static>(
    speaker: &mpsc::Sender<Command>,
    question: impl FnOnce(&Speaker) -> T + Send + 'static,
) -> Option<T> {
    let (answer, said) = oneshot::channel();
    let question = Question(Box::new(move |speaker| {
        // Whoever asked may have given up meanwhile.
        let _gone = answer.send(question(speaker));
    }));
    speaker.send(Command::Ask(question)).await.ok()?;
    said.await.ok()
}

/// A moment in seconds since 1970, as the clock on the wall shows now that it was.
fn seconds(wall: SystemTime, now: Instant, moment: Instant) -> u32 {
    let then = wall.checked_sub(now.saturating_duration_since(moment));
    let since = then.and_then(|then| then.duration_since(SystemTime::UNIX_EPOCH).ok());
    since.map_or(0, |since| u32::try_from(since.as_secs()).unwrap_or(u32::MAX))
}

/// What a browser is told of a file.
pub(super) fn file(name: &str) -> [(HeaderName, String); 2] {
    [
        (CONTENT_TYPE, "application/octet-stream".to_owned()),
        (CONTENT_DISPOSITION, format!("attachment; filename=\"{name}\"")),
    ]
}
