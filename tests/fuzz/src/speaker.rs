//! A BGP speaker with two neighbours: one keeps every rule and must not notice what the other does.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use bgp::wire::capability::{Capabilities, GracefulRestart};
use bgp::wire::framing::{Framing, keepalive};
use bgp::wire::open::Open;
use bgp::{
    Action, ConnectionId, Event, Families, Family, Input, Limits, Mapping, MappingKind, Neighbour,
    NeighbourName, PeerState, Policy, Random, Settings, SocketFault, Speaker, Timers, Translation,
};
use ipnet::{IpNet, Ipv4Net};

use crate::random::Sequence;
use crate::script::Script;

/// More than this never follows from one input here.
const ACTIONS: usize = 20_000;
/// In a moment a speaker is due so often at most.
const TICKS: usize = 100_000;
const HONEST: &str = "honest";
const HOSTILE: &str = "hostile";

impl Random for Sequence {
    fn fill(&mut self, bytes: &mut [u8]) {
        ike::Random::fill(self, bytes);
    }
}

/// The speaker, and what is known of its connections.
struct Stage {
    speaker: Speaker,
    settings: Settings,
    now: Instant,
    kernel: BTreeSet<IpNet>,
    open: BTreeMap<ConnectionId, Stream>,
    accepted: u64,
}

/// What goes out by one connection.
#[derive(Default)]
struct Stream {
    framing: Framing,
    on_their_way: usize,
    /// What goes there is taken at once.
    reads: bool,
}

/// Drives the speaker by a script; panics where the honest neighbour would notice, or a bound is broken.
pub fn bgp_speaker(bytes: &[u8]) {
    let mut script = Script::new(bytes);
    let mut stage = Stage::new();
    let honest = stage.accept(HONEST);
    stage.tell(Input::Received(honest, open(65_002, 0).encode()));
    stage.tell(Input::Received(honest, keepalive().to_vec()));
    stage.tell(Input::Received(honest, announcement(65_002, 1)));
    while let Some(choice) = script.octet() {
        stage.act(choice, honest, &mut script);
        stage.check(honest);
    }
}

impl Stage {
    fn new() -> Self {
        let neighbours = [(HONEST, 2, 65_002), (HOSTILE, 3, 65_003)];
        let neighbours =
            neighbours.map(|(name, octet, asn)| (NeighbourName(name.into()), neighbour(octet, asn)));
        let settings = Settings {
            asn: 65_001,
            router_id: Ipv4Addr::new(10, 255, 0, 1),
            host_name: None,
            own: Vec::new(),
            sites: BTreeMap::new(),
            neighbours: neighbours.into_iter().collect(),
            multipath: 2,
            restart_time: Duration::from_secs(120),
            deferral_time: Duration::from_secs(90),
        };
        let mut stage = Self {
            speaker: Speaker::new(Box::new(Sequence(1))),
            settings: settings.clone(),
            now: Instant::now(),
            kernel: BTreeSet::new(),
            open: BTreeMap::new(),
            accepted: 0,
        };
        stage.tell(Input::NothingPreserved);
        stage.tell(Input::Settings(Box::new(settings)));
        for name in [HONEST, HOSTILE] {
            stage.tell(Input::Tunnel(NeighbourName(name.into()), true));
        }
        stage
    }

    fn accept(&mut self, name: &str) -> ConnectionId {
        self.accepted += 1;
        let connection = ConnectionId::Incoming(self.accepted);
        let reads = name == HONEST || self.accepted.is_multiple_of(2);
        let stream = Stream {
            reads,
            ..Stream::default()
        };
        self.open.insert(connection, stream);
        self.tell(Input::Accepted {
            connection,
            neighbour: NeighbourName(name.into()),
            remote: SocketAddr::new(address(9), 40_000),
        });
        connection
    }

    /// One step of the hostile neighbour, or of the world around it.
    fn act(&mut self, choice: u8, honest: ConnectionId, script: &mut Script) {
        let hostile = NeighbourName(HOSTILE.into());
        let place = script.octet().unwrap_or(0);
        let its = |id: &&ConnectionId| **id != honest;
        let connections: Vec<_> = self.open.keys().filter(its).copied().collect();
        let connection = connections
            .get(usize::from(place) % connections.len().max(1))
            .copied();
        let by = connection.unwrap_or(ConnectionId::Incoming(u64::MAX));
        match choice % 16 {
            0 => self.pass(Duration::from_millis(
                u64::try_from(script.word()).unwrap_or(0) * 16,
            )),
            1 => drop(self.accept(HOSTILE)),
            2 => self.tell(Input::Received(by, script.octets(usize::from(place)).to_vec())),
            3 => {
                let body = script.octets(usize::from(place.min(200)));
                self.tell(Input::Received(by, message(choice / 16 % 6, body)));
            }
            4 => self.tell(Input::Received(by, open(65_003, u16::from(place)).encode())),
            5 => self.tell(Input::Received(by, keepalive().repeat(1 + usize::from(place)))),
            6 => self.tell(Input::Received(by, announcement(65_003, place))),
            7 => {
                self.open.remove(&by);
                let why = (place > 127).then(|| "connection reset".to_owned());
                self.tell(Input::Closed(by, why));
            }
            8 => self.tell(Input::Connected(by, SocketAddr::new(address(3), 179))),
            9 => {
                self.open.remove(&by);
                self.tell(Input::NotConnected(
                    by,
                    SocketFault::Refused("connection refused".to_owned()),
                ));
            }
            10 => self.tell(Input::Tunnel(hostile, place.is_multiple_of(2))),
            11 => self.tell(Input::Clear(hostile)),
            12 => self.tell(Input::Refresh(hostile)),
            13 => self.tell(Input::PathLost(hostile, address(place % 5))),
            14 => self.reconfigure(&hostile, place),
            _ => self.goes(by, usize::from(place) * 16),
        }
    }

    fn reconfigure(&mut self, name: &NeighbourName, place: u8) {
        if let Some(neighbour) = self.settings.neighbours.get_mut(name) {
            neighbour.passive = place & 1 == 0;
            neighbour.limits.prefixes = u32::from(place);
            neighbour.families = if place & 2 == 0 {
                Families::ALL
            } else {
                Families::NONE.with(Family::Ipv4)
            };
            neighbour.limits.restart_after = (place & 4 == 0).then_some(Duration::from_secs(30));
        }
        self.tell(Input::Settings(Box::new(self.settings.clone())));
    }

    /// Some of what is on its way goes.
    fn goes(&mut self, connection: ConnectionId, octets: usize) {
        if let Some(stream) = self.open.get_mut(&connection) {
            let octets = octets.min(stream.on_their_way);
            stream.on_their_way -= octets;
            self.tell(Input::Sent(connection, octets));
        }
    }

    fn pass(&mut self, time: Duration) {
        let until = self.now + time;
        for _ in 0..TICKS {
            let Some(deadline) = self.speaker.deadline().filter(|deadline| deadline.at <= until) else {
                self.now = until;
                return;
            };
            self.now = self.now.max(deadline.at);
            self.tell(Input::Tick);
        }
        panic!("due again and again");
    }

    fn tell(&mut self, input: Input) {
        let actions = self.speaker.handle(input, self.now);
        assert!(actions.len() < ACTIONS, "{} actions", actions.len());
        for action in actions {
            match action {
                Action::Connect { connection, .. } => drop(self.open.insert(connection, Stream::default())),
                Action::Send(connection, octets) => self.sent(connection, &octets),
                Action::Close(connection) => drop(self.open.remove(&connection)),
                Action::SetRoute(prefix, ways) => {
                    assert!(!ways.is_empty(), "a route without a way");
                    self.kernel.insert(prefix);
                }
                Action::RemoveRoute(prefix) => drop(self.kernel.remove(&prefix)),
                Action::Report(Event::Down(name, error)) => {
                    assert_ne!(&*name.0, HONEST, "the honest neighbour notices: {error:?}");
                }
                Action::Report(_) | Action::ReleaseRoutes => {}
            }
        }
    }

    /// What is sent are messages, and never more than the window.
    fn sent(&mut self, connection: ConnectionId, octets: &[u8]) {
        let Some(stream) = self.open.get_mut(&connection) else {
            panic!("sent by a connection that is gone");
        };
        stream.framing.push(octets);
        while let Ok(Some(_)) | Err(_) = stream.framing.next(true).inspect_err(|fault| panic!("{fault:?}")) {}
        assert_eq!(stream.framing.waiting(), 0, "half a message");
        stream.on_their_way += octets.len();
        assert!(stream.on_their_way <= Speaker::WINDOW, "more than the window");
        if stream.reads {
            stream.on_their_way = 0;
            self.tell(Input::Sent(connection, octets.len()));
        }
    }

    fn check(&self, honest: ConnectionId) {
        assert!(
            self.open.contains_key(&honest),
            "the honest neighbour lost its connection"
        );
        assert!(self.open.len() <= 3, "{} connections", self.open.len());
        let route = prefix(65_002, 0);
        assert!(
            self.kernel.contains(&route),
            "the honest neighbour's route is gone"
        );
        let snapshot = self.speaker.snapshot();
        let peer = snapshot.peers.get(&NeighbourName(HONEST.into()));
        let standing = peer.map(|peer| (peer.state, peer.established_count));
        assert_eq!(standing, Some((PeerState::Established, 1)));
    }
}

fn address(octet: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(169, 254, 0, octet))
}

/// The third is behind NAT.
fn translation(octet: u8) -> Translation {
    let mapping = |rule: &str, internal: [u8; 4], external: [u8; 4], kind| Mapping {
        rule: rule.into(),
        internal: IpNet::from(Ipv4Net::new_assert(internal.into(), 8)),
        external: IpNet::from(Ipv4Net::new_assert(external.into(), 8)),
        kind,
    };
    if octet != 3 {
        return Translation::default();
    }
    Translation {
        ingress: vec![
            mapping("a", [10, 0, 0, 0], [11, 0, 0, 0], MappingKind::Static),
            mapping("b", [12, 0, 0, 0], [13, 0, 0, 0], MappingKind::Dynamic),
        ],
        egress: vec![mapping("c", [10, 0, 0, 0], [14, 0, 0, 0], MappingKind::Static)],
    }
}

fn neighbour(octet: u8, asn: u32) -> Neighbour {
    Neighbour {
        site: "site".into(),
        local: address(1),
        remote: address(octet),
        asn,
        passive: octet == 2,
        timers: Timers::USUAL,
        families: Families::ALL,
        limits: Limits {
            prefixes: 100,
            restart_after: None,
        },
        translation: translation(octet),
        import: Policy::ALL,
        export: Policy::ALL,
        role: None,
        add_path: octet == 3,
        local_preference: 100,
        priority: 0,
    }
}

/// A good OPEN. The low bits of the hold time say what else the neighbour can do.
fn open(asn: u32, hold_time: u16) -> Open {
    let bit = |bit: u16| hold_time >> bit & 1 == 1;
    let restart = GracefulRestart {
        restarted: bit(4),
        notification: bit(5),
        time: Duration::from_secs(60),
        families: vec![(Family::Ipv4, bit(6))],
    };
    Open {
        asn,
        hold_time,
        identifier: Ipv4Addr::from(asn),
        capabilities: Capabilities {
            families: Some(Families::ALL),
            four_octet_asn: Some(asn),
            route_refresh: true,
            enhanced_refresh: bit(1),
            extended_messages: bit(2),
            graceful_restart: bit(3).then_some(restart),
            ..Capabilities::default()
        },
    }
}

/// A message around a body.
fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(19 + body.len()).unwrap_or(u16::MAX);
    let mut octets = vec![0xff; 16];
    octets.extend(length.to_be_bytes());
    octets.push(kind);
    octets.extend(body);
    octets
}

fn prefix(asn: u32, number: u8) -> IpNet {
    let [_, _, _, system] = asn.to_be_bytes();
    IpNet::new_assert(IpAddr::V4(Ipv4Addr::new(20, system, number, 0)), 24)
}

/// An UPDATE about so many prefixes, the first that the system has.
fn announcement(asn: u32, count: u8) -> Vec<u8> {
    let mut attributes = vec![0x40, 1, 1, 0, 0x40, 2, 6, 2, 1];
    attributes.extend(asn.to_be_bytes());
    attributes.extend([0x40, 3, 4, 169, 254, 0, 2]);
    let mut body = vec![0, 0];
    body.extend(u16::try_from(attributes.len()).unwrap_or(0).to_be_bytes());
    body.extend(attributes);
    for number in 0..count {
        if let IpAddr::V4(network) = prefix(asn, number).addr() {
            let [first, second, third, _] = network.octets();
            body.extend([24, first, second, third]);
        }
    }
    message(2, &body)
}
