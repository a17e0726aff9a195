//! Which neighbours still hear us and are heard (RFC 5880): the sockets and the clock around a session of each.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use bgp::bfd::{BfdAction, BfdSession, BfdSettings, BfdSnapshot};
use bgp::{Input, NeighbourName, Random};
use nix::net::if_::if_nametoindex;
use tokio::net::UdpSocket;
use tracing::debug;

use super::datagram::{self, Datagram};
use super::options;
use crate::derive::SessionEnd;
use crate::randomness::SystemRandom;

/// Where control packets go to a neighbour next door (RFC 5881 §4), and to one that is farther away (RFC 5883 §5).
const NEXT_DOOR: u16 = 3784;
const FARTHER: u16 = 4784;
/// Where they come from (RFC 5881 §4).
const SOURCES: std::ops::RangeInclusive<u16> = 49_152..=u16::MAX;
/// Ports that are tried until one is free.
const TRIES: usize = 16;
/// Packets of one neighbour that are read in its turn.
const TURN: usize = 16;

/// The sessions of all neighbours that have one.
#[derive(Default)]
pub(super) struct Detection {
    running: BTreeMap<NeighbourName, Running>,
}

struct Running {
    session: BfdSession,
    settings: BfdSettings,
    end: SessionEnd,
    /// While the link is there.
    sockets: Option<Sockets>,
}

struct Sockets {
    outgoing: UdpSocket,
    incoming: UdpSocket,
    /// Of the link: one that is made anew has another.
    index: u32,
}

/// What a neighbour's session tells the log.
pub(super) enum Told {
    /// It hears us and is heard.
    Up,
    /// It no longer is; why, in words.
    Lost(String),
}

impl Detection {
    /// Sessions have these ends from now on. One that stays is not taken down by another pace.
    pub(super) fn configure(&mut self, ends: &BTreeMap<NeighbourName, SessionEnd>, now: Instant) {
        let mut before = std::mem::take(&mut self.running);
        for (name, end) in ends {
            let Some(settings) = end.bfd else { continue };
            let old = before.remove(name);
            let running = match old.filter(|old| old.end.passes_as(end)) {
                Some(old) => old.paced(settings, now),
                None => Running {
                    session: BfdSession::new(settings, discriminator(), now),
                    settings,
                    end: end.clone(),
                    sockets: None,
                },
            };
            self.running.insert(name.clone(), running);
        }
        for running in before.values_mut() {
            let farewell = running.session.farewell();
            running.send(&farewell);
        }
        self.look();
    }

    /// Binds where a link came, or was made anew.
    pub(super) fn look(&mut self) {
        for (name, running) in &mut self.running {
            let index = if_nametoindex(running.end.link.as_str()).ok();
            if running.sockets.as_ref().map(|sockets| sockets.index) == index {
                continue;
            }
            let opened = index.map(|index| Sockets::open(&running.end, index));
            running.sockets = opened.and_then(|opened| {
                opened
                    .inspect_err(|error| debug!(neighbour = %name, %error, "no BFD"))
                    .ok()
            });
        }
    }

    /// When [`Detection::tick`] is due.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let bound = self.running.values().filter(|running| running.sockets.is_some());
        bound.map(|running| running.session.deadline()).min()
    }

    /// Time has passed.
    pub(super) fn tick(&mut self, now: Instant) -> Vec<(NeighbourName, Told)> {
        let mut told = Vec::new();
        for (name, running) in &mut self.running {
            if running.session.deadline() <= now {
                let actions = running.session.tick(&mut SystemRandom, now);
                running.perform(name, actions, &mut told);
            }
        }
        told
    }

    /// What came, of every neighbour at most one turn.
    pub(super) fn poll(
        &mut self,
        context: &mut Context<'_>,
        now: Instant,
    ) -> Poll<Vec<(NeighbourName, Told)>> {
        let (mut told, mut read) = (Vec::new(), false);
        for (name, running) in &mut self.running {
            for turn in 0..=TURN {
                if turn == TURN {
                    // There may be more, once others have had their turn.
                    context.waker().wake_by_ref();
                    break;
                }
                let Poll::Ready(packet) = running.receive(context) else {
                    break;
                };
                read = true;
                let Some(packet) = packet else { continue };
                match running.session.receive(&packet, &mut SystemRandom, now) {
                    Ok(actions) => running.perform(name, actions, &mut told),
                    Err(error) => debug!(neighbour = %name, %error, "BFD packet discarded"),
                }
            }
        }
        if read { Poll::Ready(told) } else { Poll::Pending }
    }

    /// How the session of each neighbour stands.
    pub(super) fn snapshot(&self) -> BTreeMap<NeighbourName, BfdSnapshot> {
        let running = self.running.iter();
        running
            .map(|(name, running)| (name.clone(), running.session.snapshot()))
            .collect()
    }

    /// What follows for a BGP session from what is told.
    pub(super) fn input(&self, name: &NeighbourName, told: &Told) -> Option<Input> {
        let running = self.running.get(name)?;
        match told {
            Told::Up => None,
            Told::Lost(_) => Some(Input::PathLost(name.clone(), running.end.remote)),
        }
    }
}

impl Running {
    fn paced(mut self, settings: BfdSettings, now: Instant) -> Self {
        if self.settings != settings {
            self.session.configure(settings, now);
            self.settings = settings;
        }
        self
    }

    fn perform(
        &mut self,
        name: &NeighbourName,
        actions: Vec<BfdAction>,
        told: &mut Vec<(NeighbourName, Told)>,
    ) {
        for action in actions {
            match action {
                BfdAction::Send(octets) => self.send(&octets),
                BfdAction::Up => told.push((name.clone(), Told::Up)),
                BfdAction::Lost(why) => told.push((name.clone(), Told::Lost(why.to_string()))),
                BfdAction::Ended => (),
            }
        }
    }

    /// What cannot be sent is like what is lost on the way.
    fn send(&self, octets: &[u8]) {
        if let Some(sockets) = &self.sockets {
            let target = SocketAddr::new(self.end.remote, port(&self.end));
            let _lost = sockets.outgoing.try_send_to(octets, target);
        }
    }

    /// The next packet of the neighbour; `None` if it is somebody else's, or came from farther away than next door
    /// (RFC 5881 §5).
    fn receive(&self, context: &mut Context<'_>) -> Poll<Option<Vec<u8>>> {
        let Some(sockets) = &self.sockets else {
            return Poll::Pending;
        };
        let farthest = if self.end.distance.is_next_door() {
            u8::MAX
        } else {
            0
        };
        let received = ready!(datagram::receive(&sockets.incoming, context));
        let ours = |datagram: &Datagram| datagram.from == self.end.remote && datagram.ttl >= farthest;
        let datagram = received.ok().flatten().filter(ours);
        Poll::Ready(datagram.map(|datagram| datagram.octets))
    }
}

impl Sockets {
    fn open(end: &SessionEnd, index: u32) -> io::Result<Self> {
        let incoming = options::datagrams(end)?;
        options::bind(&incoming, end, port(end))?;
        Ok(Self {
            outgoing: UdpSocket::from_std(source(end)?.into())?,
            incoming: UdpSocket::from_std(incoming.into())?,
            index,
        })
    }
}

/// A socket at a free port of those that RFC 5881 §4 sets aside.
fn source(end: &SessionEnd) -> io::Result<socket2::Socket> {
    let mut refused = io::Error::from(io::ErrorKind::AddrInUse);
    for _ in 0..TRIES {
        let span = u32::from(SOURCES.end() - SOURCES.start()) + 1;
        let port = u32::from(*SOURCES.start()) + drawn() % span;
        let socket = options::datagrams(end)?;
        let port = u16::try_from(port).unwrap_or(u16::MAX);
        match options::bind(&socket, end, port) {
            Ok(()) => return Ok(socket),
            Err(error) => refused = error,
        }
    }
    Err(refused)
}

fn port(end: &SessionEnd) -> u16 {
    if end.distance.is_next_door() {
        NEXT_DOOR
    } else {
        FARTHER
    }
}

/// One that nobody else has and nobody can guess (RFC 5880 §6.8.1).
fn discriminator() -> u32 {
    drawn().max(1)
}

fn drawn() -> u32 {
    let mut octets = [0; 4];
    SystemRandom.fill(&mut octets);
    u32::from_be_bytes(octets)
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::time::Duration;

    use bgp::bfd::SessionState;

    use super::*;
    use crate::derive::{Distance, Signing};

    fn end(local: &str, remote: &str, milliseconds: u64) -> SessionEnd {
        SessionEnd {
            link: "lo".to_owned(),
            local: local.parse().unwrap(),
            remote: remote.parse().unwrap(),
            distance: Distance::AtMost(1),
            signing: Signing::None,
            priority: 100,
            bfd: Some(BfdSettings {
                interval: Duration::from_millis(milliseconds),
                multiplier: 3,
            }),
        }
    }

    /// Lets both ends run until the first tells something.
    async fn next(detections: &mut [Detection; 2]) -> Told {
        loop {
            let due = detections.iter().filter_map(Detection::deadline).min();
            let due = due.unwrap_or_else(Instant::now);
            let [first, second] = detections;
            let poll = poll_fn(|context| match first.poll(context, Instant::now()) {
                Poll::Ready(told) => Poll::Ready(told),
                Poll::Pending => second.poll(context, Instant::now()).map(|_| Vec::new()),
            });
            let mut told = match tokio::time::timeout_at(due.into(), poll).await {
                Ok(told) => told,
                Err(_) => {
                    let _its_own = second.tick(Instant::now());
                    first.tick(Instant::now())
                }
            };
            if let Some((_, told)) = told.pop() {
                return told;
            }
        }
    }

    /// Over loopback, which is as near as next door.
    #[tokio::test]
    async fn two_ends_hear_each_other_and_notice_silence() {
        let name = NeighbourName("peer".into());
        let mut detections = [Detection::default(), Detection::default()];
        let ends = [
            end("127.77.0.1", "127.77.0.2", 50),
            end("127.77.0.2", "127.77.0.1", 50),
        ];
        for (detection, end) in detections.iter_mut().zip(&ends) {
            detection.configure(&[(name.clone(), end.clone())].into(), Instant::now());
        }
        assert!(matches!(next(&mut detections).await, Told::Up));
        let state = detections[0].snapshot()[&name].state;
        assert_eq!(state, SessionState::Up);
        detections[1] = Detection::default();
        let told = next(&mut detections).await;
        assert!(matches!(&told, Told::Lost(why) if why.contains("expired")));
        let lost = detections[0].input(&name, &told);
        assert!(matches!(lost, Some(Input::PathLost(_, remote)) if remote == ends[0].remote));
    }
}
