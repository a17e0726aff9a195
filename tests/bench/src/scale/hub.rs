//! One engine with many connections, the engine of all their peers, and a perfect network between the two.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use ike::crypto::{Encryption, Group, Prf};
use ike::{
    Action, Authentication, Connection, ConnectionName, ConnectionState, Engine, EspProposal, IkeProposal,
    Input, Mode, Random, Settings,
};
use nix::time::{ClockId, clock_gettime};

const HUB: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);

/// What the hub spent on so many of something.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cost {
    /// Processor time.
    pub time: Duration,
    /// Of how many.
    pub count: u32,
}

/// The hub, its peers, and virtual time. Datagrams arrive at once, one exchange after the other.
pub struct Hub {
    engine: Engine,
    peers: Engine,
    names: Vec<ConnectionName>,
    now: Instant,
    spent: Duration,
}

/// Whom an input is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Hub,
    Peers,
}

impl Cost {
    /// Processor time for one.
    pub fn each(self) -> Duration {
        self.time.checked_div(self.count).unwrap_or_default()
    }
}

impl Hub {
    /// A hub with so many connections, none of which has begun.
    pub fn new(connections: u16) -> Self {
        let mut hub = Self {
            engine: Engine::new(Box::new(Seeded(1))),
            peers: Engine::new(Box::new(Seeded(2))),
            names: (1..=connections).map(name).collect(),
            now: Instant::now(),
            spent: Duration::ZERO,
        };
        let ours = hub.names.iter().zip(1..=connections).map(|(name, number)| {
            let mode = Mode::ResponderOnly;
            let connection = Connection {
                mode,
                ..connection(HUB, site(number))
            };
            (name.clone(), connection)
        });
        let connections = ours.collect();
        let settings = Settings {
            connections,
            ..Settings::default()
        };
        hub.tell(End::Hub, Input::Settings(Box::new(settings)));
        hub
    }

    /// Has all peers connect.
    ///
    /// # Errors
    /// When one does not come up.
    pub fn establish(&mut self) -> Result<Cost> {
        let numbered = self.names.iter().zip(1..=u16::MAX);
        let theirs = numbered.map(|(name, number)| (name.clone(), connection(site(number), HUB)));
        let connections = theirs.collect();
        let settings = Settings {
            connections,
            ..Settings::default()
        };
        let before = self.spent;
        self.tell(End::Peers, Input::Settings(Box::new(settings)));
        self.all_up()?;
        self.cost(before)
    }

    /// Has the hub replace every IKE SA, or every Child SA, within a minute of virtual time, evenly spread.
    ///
    /// # Errors
    /// When a connection is not up afterwards.
    pub fn rekey(&mut self, ike: bool) -> Result<Cost> {
        let step = Duration::from_secs(60) / u32::try_from(self.names.len())?;
        let before = self.spent;
        for name in self.names.clone() {
            self.pass(step);
            let wish = if ike {
                Input::RekeyIke(name)
            } else {
                Input::RekeyChild(name)
            };
            self.tell(End::Hub, wish);
            // It is due at once.
            self.pass(Duration::ZERO);
        }
        self.all_up()?;
        self.cost(before)
    }

    /// Lets so many minutes pass in which nobody wants anything, and tells what the hub spends in one.
    ///
    /// # Errors
    /// When a connection is not up afterwards.
    pub fn idle(&mut self, minutes: u32) -> Result<Cost> {
        let before = self.spent;
        self.pass(Duration::from_secs(60) * minutes);
        self.all_up()?;
        let cost = self.cost(before)?;
        Ok(Cost {
            count: cost.count * minutes,
            ..cost
        })
    }

    /// How many Child SAs the hub has replaced or made since the start, for checking that a measurement measured.
    pub fn newest_child(&self) -> u64 {
        let snapshot = self.engine.snapshot();
        let children = snapshot.connections.values().flat_map(|one| &one.children);
        children.map(|child| child.id.0).max().unwrap_or_default()
    }

    /// The engine that is measured, without its peers.
    pub fn into_engine(self) -> Engine {
        self.engine
    }

    fn all_up(&self) -> Result<()> {
        let snapshot = self.engine.snapshot();
        let up = snapshot.connections.values();
        let up = up.filter(|one| one.state == ConnectionState::Up && one.children.len() == 1);
        let up = up.count();
        ensure!(up == self.names.len(), "{up} of {} are up", self.names.len());
        Ok(())
    }

    fn cost(&self, before: Duration) -> Result<Cost> {
        Ok(Cost {
            time: self.spent.saturating_sub(before),
            count: u32::try_from(self.names.len())?,
        })
    }

    /// Time passes, and both ends do what is due.
    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        loop {
            let due = |engine: &Engine| engine.deadline().map(|deadline| deadline.at);
            let (ours, theirs) = (due(&self.engine), due(&self.peers));
            let Some(next) = ours.into_iter().chain(theirs).min().filter(|next| *next <= end) else {
                break;
            };
            self.now = self.now.max(next);
            let late = |due: Option<Instant>| due.is_some_and(|due| due <= self.now);
            let to = if late(ours) { End::Hub } else { End::Peers };
            self.tell(to, Input::Tick);
        }
        self.now = end;
    }

    /// Tells one end something, and both ends all that follows from it.
    fn tell(&mut self, to: End, input: Input) {
        let mut inputs = vec![(to, input)];
        while let Some((to, input)) = inputs.pop() {
            let actions = self.handle(to, input);
            inputs.extend(actions.into_iter().rev().filter_map(|action| follow(to, action)));
        }
    }

    fn handle(&mut self, to: End, input: Input) -> Vec<Action> {
        match to {
            End::Peers => self.peers.handle(input, self.now),
            End::Hub => {
                let before = processor_time();
                let actions = self.engine.handle(input, self.now);
                self.spent += processor_time().saturating_sub(before);
                actions
            }
        }
    }
}

/// What an action of one end brings about.
fn follow(by: End, action: Action) -> Option<(End, Input)> {
    match action {
        Action::Send { local, remote, bytes } => {
            let to = if by == End::Hub { End::Peers } else { End::Hub };
            let (local, remote) = (remote, local);
            Some((to, Input::Datagram { local, remote, bytes }))
        }
        Action::InstallChild(child, _) => Some((by, Input::ChildInstalled(child))),
        Action::AskTraffic(children) => {
            let none = children.into_iter().map(|child| (child, 0)).collect();
            Some((by, Input::Received(none)))
        }
        Action::RemoveChild(_)
        | Action::SendBy(_)
        | Action::Watch(..)
        | Action::AskCarried(_)
        | Action::Resolve(..)
        | Action::Sign(..)
        | Action::FetchLists(_)
        | Action::Log(..)
        | Action::MoveChild { .. }
        | Action::Keepalive { .. }
        | Action::Report(_) => None,
    }
}

/// Of this thread.
fn processor_time() -> Duration {
    // The clock of the own thread cannot be missing.
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map_or(Duration::ZERO, Duration::from)
}

fn name(number: u16) -> ConnectionName {
    ConnectionName(Arc::from(format!("to-branch-{number:05}")))
}

/// 198.18.0.0/15 is for measurements (RFC 2544).
fn site(number: u16) -> Ipv4Addr {
    let [high, low] = number.to_be_bytes();
    Ipv4Addr::new(198, 18, high, low)
}

fn connection(local: Ipv4Addr, remote: Ipv4Addr) -> Connection {
    let encryption = Encryption::AesGcm16(256);
    let ike = IkeProposal {
        encryption,
        integrity: None,
        prf: Prf::HmacSha2_256,
        groups: vec![Group::X25519],
        additional: Vec::new(),
    };
    let esp = EspProposal {
        encryption,
        integrity: None,
        extended_sequence_numbers: true,
        groups: Vec::new(),
        additional: Vec::new(),
    };
    let secret = Authentication::pre_shared_key(b"bench.only.not.a.secret".to_vec().into());
    let port = |address: Ipv4Addr| SocketAddr::new(IpAddr::V4(address), 500);
    Connection {
        ike_proposals: vec![ike],
        esp_proposals: vec![esp],
        ..Connection::between(port(local), port(remote), secret)
    }
}

/// Numbers that repeat from run to run (SplitMix64).
struct Seeded(u64);

impl Random for Seeded {
    fn fill(&mut self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut mixed = self.0;
            mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            mixed ^= mixed >> 31;
            let octets = mixed.to_le_bytes();
            chunk
                .iter_mut()
                .zip(octets)
                .for_each(|(octet, random)| *octet = random);
        }
    }
}
