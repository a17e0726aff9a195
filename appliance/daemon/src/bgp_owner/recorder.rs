//! Messages of sessions, written down on demand (MRT, RFC 6396 §4.4). In memory alone: nothing waits for a disk, and nothing of it
//! outlives the daemon.

use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime};

use bgp::mrt::{self, Dialect, Moment, Way};
use bgp::wire::framing::Framing;
use bgp::{Action, ConnectionId, Input, NeighbourName, PeerState, Speaker};
use bytes::Bytes;

/// What is written down lies in parts of this size, so that none is ever moved.
const PART: usize = 256 * 1024;

/// What is to be written down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Record {
    /// The messages of this neighbour only.
    pub(crate) neighbour: Option<NeighbourName>,
    /// So many octets at most.
    pub(crate) octets: usize,
    /// For so long at most.
    pub(crate) time: Duration,
}

/// How a recording stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Recorded {
    /// What was asked for.
    pub(crate) wanted: Record,
    /// Since when.
    pub(crate) since: SystemTime,
    /// It goes on.
    pub(crate) runs: bool,
    /// Messages and changes of state that are written down.
    pub(crate) records: u64,
    /// How many octets these are.
    pub(crate) octets: usize,
    /// Those that came when there was no more room.
    pub(crate) dropped: u64,
}

/// The recording, if there was one since the daemon started; the next one takes its place.
#[derive(Default)]
pub(super) struct Recorder {
    last: Option<Recording>,
}

struct Recording {
    wanted: Record,
    since: SystemTime,
    until: Instant,
    parts: Vec<Bytes>,
    part: Vec<u8>,
    octets: usize,
    records: u64,
    dropped: u64,
    states: BTreeMap<NeighbourName, PeerState>,
    streams: BTreeMap<ConnectionId, Stream>,
    scratch: Vec<u8>,
}

/// What came by one connection.
struct Stream {
    neighbour: NeighbourName,
    dialect: Dialect,
    /// Nothing once octets came that are no message.
    framing: Option<Framing>,
}

impl Recorder {
    /// Begins, unless one goes on.
    pub(super) fn start(&mut self, wanted: Record, speaker: &Speaker, now: Instant) -> Option<Recorded> {
        if self.running(now).is_some() {
            return None;
        }
        let mut recording = Recording {
            since: SystemTime::now(),
            until: now + wanted.time,
            parts: Vec::new(),
            part: Vec::new(),
            octets: 0,
            records: 0,
            dropped: 0,
            states: BTreeMap::new(),
            streams: BTreeMap::new(),
            scratch: Vec::new(),
            wanted,
        };
        recording.look(speaker, false);
        let recording = self.last.insert(recording);
        Some(recording.stands(now))
    }

    /// Ends the one that goes on.
    pub(super) fn stop(&mut self, now: Instant) -> Option<Recorded> {
        let recording = self.running(now)?;
        recording.until = now;
        Some(recording.stands(now))
    }

    /// How the last one stands.
    pub(super) fn stands(&self, now: Instant) -> Option<Recorded> {
        self.last.as_ref().map(|recording| recording.stands(now))
    }

    /// All that is written down by now.
    pub(super) fn file(&self) -> Option<Vec<Bytes>> {
        let recording = self.last.as_ref()?;
        let mut parts = recording.parts.clone();
        parts.push(Bytes::copy_from_slice(&recording.part));
        Some(parts)
    }

    /// This comes to the speaker.
    pub(super) fn hears(&mut self, input: &Input, speaker: &Speaker, now: Instant) {
        let Some(recording) = self.running(now) else {
            return;
        };
        if let Input::Received(id, octets) = input {
            recording.came(*id, octets, speaker);
        } else if let Input::Closed(id, _) | Input::NotConnected(id, _) = input {
            recording.streams.remove(id);
        }
    }

    /// This comes from the speaker.
    pub(super) fn says(&mut self, action: &Action, speaker: &Speaker, now: Instant) {
        let Some(recording) = self.running(now) else {
            return;
        };
        if let Action::Send(id, octets) = action {
            recording.goes(*id, octets, speaker);
        } else if let Action::Close(id) = action {
            recording.streams.remove(id);
        }
    }

    /// All that followed from an input is done.
    pub(super) fn look(&mut self, speaker: &Speaker, now: Instant) {
        if let Some(recording) = self.running(now) {
            recording.look(speaker, true);
        }
    }

    fn running(&mut self, now: Instant) -> Option<&mut Recording> {
        self.last.as_mut().filter(|recording| now < recording.until)
    }
}

impl Recording {
    fn stands(&self, now: Instant) -> Recorded {
        Recorded {
            wanted: self.wanted.clone(),
            since: self.since,
            runs: now < self.until,
            records: self.records,
            octets: self.octets,
            dropped: self.dropped,
        }
    }

    /// Octets came by a connection.
    fn came(&mut self, id: ConnectionId, octets: &[u8], speaker: &Speaker) {
        let Some(mut stream) = self.streams.remove(&id).or_else(|| self.stream(id, speaker)) else {
            return;
        };
        if let Some((_, dialect)) = speaker.dialect(id) {
            stream.dialect = dialect;
        }
        if let Some(mut framing) = stream.framing.take() {
            framing.push(octets);
            stream.framing = self
                .cut(&mut framing, (&stream, Way::In), speaker)
                .then_some(framing);
        }
        self.streams.insert(id, stream);
    }

    /// Whole messages go by a connection.
    fn goes(&mut self, id: ConnectionId, octets: &[u8], speaker: &Speaker) {
        let Some(mut stream) = self.streams.remove(&id).or_else(|| self.stream(id, speaker)) else {
            return;
        };
        // What closes is not known to the speaker any more: it is as it was.
        if let Some((_, dialect)) = speaker.dialect(id) {
            stream.dialect = dialect;
        }
        let mut framing = Framing::new();
        framing.push(octets);
        self.cut(&mut framing, (&stream, Way::Out), speaker);
        self.streams.insert(id, stream);
    }

    /// One that is met for the first time. It may be in the middle of a message.
    fn stream(&self, id: ConnectionId, speaker: &Speaker) -> Option<Stream> {
        let (neighbour, dialect) = speaker.dialect(id)?;
        self.is_about(neighbour).then(|| {
            let mut framing = Framing::new();
            framing.push(speaker.unfinished(id));
            Stream {
                neighbour: neighbour.clone(),
                dialect,
                framing: Some(framing),
            }
        })
    }

    fn is_about(&self, neighbour: &NeighbourName) -> bool {
        self.wanted
            .neighbour
            .as_ref()
            .is_none_or(|wanted| wanted == neighbour)
    }

    /// Writes down all whole messages; whether what follows can be one.
    fn cut(&mut self, framing: &mut Framing, (stream, way): (&Stream, Way), speaker: &Speaker) -> bool {
        let Some(ends) = speaker.ends(&stream.neighbour) else {
            return true;
        };
        let at = moment();
        loop {
            match framing.next(true) {
                Ok(Some(frame)) => {
                    mrt::message(at, &ends, (way, stream.dialect), frame, &mut self.scratch);
                    self.keep();
                }
                Ok(None) => return true,
                Err(_) => return false,
            }
        }
    }

    /// Writes down which sessions changed their state.
    fn look(&mut self, speaker: &Speaker, is_told: bool) {
        let wanted = self.wanted.neighbour.clone();
        let names: Vec<NeighbourName> = match wanted {
            Some(name) => vec![name],
            None => speaker.names().cloned().collect(),
        };
        for name in names {
            let Some((new, ends)) = speaker.state(&name).zip(speaker.ends(&name)) else {
                continue;
            };
            let old = self.states.insert(name, new);
            if let Some(old) = old.filter(|old| is_told && *old != new) {
                mrt::state_change(moment(), &ends, (old, new), &mut self.scratch);
                self.keep();
            }
        }
    }

    /// Keeps the record that was just made, if there is room for it and was for all before.
    fn keep(&mut self) {
        let room = self.wanted.octets.saturating_sub(self.octets);
        if self.dropped > 0 || self.scratch.len() > room {
            self.dropped += 1;
        } else {
            self.octets += self.scratch.len();
            self.records += 1;
            self.part.append(&mut self.scratch);
            if self.part.len() >= PART {
                let full = std::mem::replace(&mut self.part, Vec::with_capacity(PART));
                self.parts.push(full.into());
            }
        }
        self.scratch.clear();
    }
}

/// Now, by the clock on the wall.
fn moment() -> Moment {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let since = since.unwrap_or_default();
    Moment {
        seconds: u32::try_from(since.as_secs()).unwrap_or(u32::MAX),
        microseconds: since.subsec_micros(),
    }
}
