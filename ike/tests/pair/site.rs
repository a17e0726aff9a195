//! One engine with a datapath that remembers what it was asked for.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering::Relaxed};
use std::time::{Duration, Instant};

use ike::crypto::{Encryption, Group, Prf};
use ike::{
    Action, Authentication, ChildId, Connection, ConnectionName, ConnectionSnapshot, ConnectionState,
    DropCause, Engine, EspKeys, EspPair, EspProposal, EspSa, Event, IkeProposal, Input, LogLine, Outage,
    Random, Snapshot, Watched,
};
use secrecy::ExposeSecret;

use crate::network::{Network, Packet};
use crate::signer::Signer;

/// No octet.
const ANY: u16 = 256;
/// How long the datapath receives by what an engine before left.
const KEPT: Duration = Duration::from_secs(5);

/// One side of a pair.
pub(crate) struct Site {
    pub(crate) address: IpAddr,
    /// Where else it is.
    pub(crate) others: Vec<IpAddr>,
    pub(crate) engine: Engine,
    pub(crate) datapath: BTreeMap<ChildId, EspPair>,
    pub(crate) events: Vec<Event>,
    /// What was said for its connections.
    pub(crate) log: Vec<LogLine>,
    /// Where lists of revoked certificates are that were asked for.
    pub(crate) wanted_lists: Vec<String>,
    /// What the datapath is to watch.
    pub(crate) watched: BTreeMap<ConnectionName, Vec<Watched>>,
    /// The datapath refuses with these words.
    pub(crate) refuses: Option<&'static str>,
    /// The datapath answers only when told to.
    pub(crate) hesitates: bool,
    pub(crate) waiting: Vec<ChildId>,
    /// How many packets every child has received; the datapath does not tell if there is nothing here.
    pub(crate) received: Option<u64>,
    /// How many packets every child has carried.
    pub(crate) carried: u64,
    pub(crate) keepalives: usize,
    /// Where names lead; what is not in here is never answered.
    pub(crate) names: BTreeMap<&'static str, Vec<&'static str>>,
    /// The names that were asked for.
    pub(crate) asked: Vec<String>,
    /// Who has its private keys.
    pub(crate) signer: Signer,
    /// How often the last child was taken away.
    pub(crate) emptied: usize,
    /// By which child packets leave, by what they are (as the side with the lower address sees it).
    pub(crate) senders: BTreeMap<String, ChildId>,
    /// What an engine before this one left in the datapath, and by what of it packets leave.
    kept: Vec<EspPair>,
    kept_senders: BTreeMap<String, u32>,
    /// Until when that receives, once there is something in its place.
    kept_until: Option<Instant>,
    /// The children that came of a wish of ours.
    pub(crate) begun: BTreeSet<ChildId>,
    draws: Arc<AtomicU16>,
    seed: u64,
}

/// `draws` is the first octet of nonces, which have 32 of them; 256 for any.
struct Seeded {
    state: u64,
    draws: Arc<AtomicU16>,
}

impl Random for Seeded {
    fn fill(&mut self, bytes: &mut [u8]) {
        for byte in bytes.iter_mut() {
            self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mixed = (self.state ^ (self.state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            *byte = ((mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb) >> 56) as u8;
        }
        if let (Ok(first), 32) = (u8::try_from(self.draws.load(Relaxed)), bytes.len()) {
            bytes[0] = first;
        }
    }
}

impl Site {
    pub(crate) fn new(address: &str, seed: u64) -> Self {
        let draws = Arc::new(AtomicU16::new(ANY));
        let random = Seeded {
            state: seed,
            draws: Arc::clone(&draws),
        };
        Self {
            address: address.parse().unwrap(),
            others: Vec::new(),
            engine: Engine::new(Box::new(random)),
            datapath: BTreeMap::new(),
            events: Vec::new(),
            log: Vec::new(),
            wanted_lists: Vec::new(),
            watched: BTreeMap::new(),
            refuses: None,
            hesitates: false,
            waiting: Vec::new(),
            received: Some(0),
            carried: 0,
            keepalives: 0,
            names: BTreeMap::new(),
            asked: Vec::new(),
            signer: Signer::default(),
            emptied: 0,
            senders: BTreeMap::new(),
            kept: Vec::new(),
            kept_senders: BTreeMap::new(),
            kept_until: None,
            begun: BTreeSet::new(),
            draws,
            seed,
        }
    }

    /// The nonces that it draws from now on begin with this octet; `None` for any.
    pub(crate) fn draws(&mut self, first: Option<u8>) {
        self.draws.store(first.map_or(ANY, u16::from), Relaxed);
    }

    /// The process died and starts again, knowing nothing.
    pub(crate) fn restart(&mut self) {
        *self = Self::new(&self.address.to_string(), self.seed + 1000);
    }

    /// The process died and starts again, while the datapath goes on with what it has until there is something in its
    /// place, and receives a while longer.
    pub(crate) fn restart_alone(&mut self) {
        let kept: Vec<_> = std::mem::take(&mut self.datapath).into_iter().collect();
        let senders = std::mem::take(&mut self.senders);
        self.restart();
        let spi = |child: &ChildId| {
            let pair = kept.iter().find(|(id, _)| id == child);
            pair.map(|(_, pair)| pair.outbound.spi)
        };
        let senders = senders
            .iter()
            .filter_map(|(flow, child)| Some((flow.clone(), spi(child)?)));
        self.kept_senders = senders.collect();
        self.kept = kept.into_iter().map(|(_, pair)| pair).collect();
    }

    pub(crate) fn handle(&mut self, input: Input, network: &mut Network, now: Instant) {
        if self.kept_until.take_if(|until| *until <= now).is_some() {
            self.kept.clear();
        }
        if !self.kept.is_empty() && self.kept_until.is_none() && !self.datapath.is_empty() {
            self.kept_until = Some(now + KEPT);
        }
        let mut inputs = vec![input];
        while let Some(input) = inputs.pop() {
            match &input {
                Input::ChildRefused(child, _) => {
                    self.datapath.remove(child);
                    self.senders.retain(|_, sender| sender != child);
                }
                Input::ChildInstalled(child) => {
                    self.waiting.retain(|waiting| waiting != child);
                    if self.datapath.get(child).is_some_and(|pair| pair.sends) {
                        self.send_by(*child);
                    }
                }
                _ => {}
            }
            for action in self.engine.handle(input, now) {
                inputs.extend(self.perform(action, network, now));
            }
        }
    }

    fn perform(&mut self, action: Action, network: &mut Network, now: Instant) -> Option<Input> {
        match action {
            Action::Send { local, remote, bytes } => self.send((local, remote), bytes, network, now),
            Action::InstallChild(child, pair) => return self.install(child, *pair),
            Action::RemoveChild(child) => {
                assert!(
                    self.datapath.remove(&child).is_some(),
                    "a child was removed that was never installed"
                );
                self.senders.retain(|_, sender| *sender != child);
                self.emptied += usize::from(self.datapath.is_empty());
            }
            Action::SendBy(child) => {
                let before = self.senders.clone();
                self.installed(child).sends = true;
                self.send_by(child);
                assert_ne!(self.senders, before, "it sends already");
            }
            Action::Watch(connection, lines) => {
                assert!(lines.is_empty() || self.watched.get(&connection) != Some(&lines));
                self.watched.insert(connection, lines);
            }
            Action::Sign(sa, to_be_signed) => return self.signer.sign(sa, &to_be_signed),
            Action::Resolve(connection, host) => return self.resolve(connection, host),
            Action::AskTraffic(children) => {
                let received = self.received?;
                let all = children.into_iter().map(|child| (child, received));
                return Some(Input::Received(all.collect()));
            }
            Action::AskCarried(children) => {
                let carried = self.carried;
                let all = children.into_iter().map(|child| (child, carried));
                return Some(Input::Carried(all.collect()));
            }
            Action::MoveChild {
                child,
                local,
                remote,
                encapsulation,
            } => {
                let pair = self.installed(child);
                (pair.local, pair.remote, pair.encapsulation) = (local, remote, encapsulation);
            }
            Action::Keepalive { local, remote } => {
                self.keepalives += 1;
                self.send((local, remote), vec![0xff], network, now);
            }
            Action::FetchLists(lists) => self
                .wanted_lists
                .extend(lists.into_iter().map(|list| list.address)),
            Action::Log(_, line) => self.log.push(line),
            Action::Report(event) => self.events.push(event),
        }
        None
    }

    fn send(
        &self,
        (source, destination): (SocketAddr, SocketAddr),
        bytes: Vec<u8>,
        network: &mut Network,
        now: Instant,
    ) {
        assert!(self.has(source.ip()), "sent from an address that is not ours");
        let packet = Packet {
            source,
            destination,
            bytes,
        };
        network.send(packet, now);
    }

    fn install(&mut self, child: ChildId, pair: EspPair) -> Option<Input> {
        if let Some(why) = self.refuses {
            return Some(Input::ChildRefused(child, why.to_owned()));
        }
        if pair.sends {
            self.begun.insert(child);
        }
        let known = self.datapath.insert(child, pair);
        assert!(known.is_none(), "a child id was used twice");
        if self.hesitates {
            self.waiting.push(child);
            return None;
        }
        Some(Input::ChildInstalled(child))
    }

    fn send_by(&mut self, child: ChildId) {
        let pair = &self.datapath[&child];
        let mut ends = [&pair.local_selectors, &pair.remote_selectors];
        if pair.local.ip() > pair.remote.ip() {
            ends.reverse();
        }
        self.senders.insert(format!("{ends:?}"), child);
    }

    /// How many children its connections have; not those that only receive what is under way.
    pub(crate) fn count(&self) -> usize {
        let connections = self.engine.snapshot().connections;
        connections
            .values()
            .map(|connection| connection.children.len())
            .sum()
    }

    /// The SPI by which packets of this flow leave.
    pub(crate) fn sends(&self, flow: &str) -> Option<u32> {
        let Some(child) = self.senders.get(flow) else {
            return self.kept_senders.get(flow).copied();
        };
        Some(self.datapath[child].outbound.spi)
    }

    /// Whether packets under this SPI are received.
    pub(crate) fn receives(&self, spi: u32) -> bool {
        let mut all = self.datapath.iter();
        all.any(|(child, pair)| pair.inbound.spi == spi && !self.waiting.contains(child))
            || self.kept.iter().any(|pair| pair.inbound.spi == spi)
    }

    /// Whether this address is one of its own.
    pub(crate) fn has(&self, address: IpAddr) -> bool {
        self.address == address || self.others.contains(&address)
    }

    fn installed(&mut self, child: ChildId) -> &mut EspPair {
        self.datapath
            .get_mut(&child)
            .expect("a child was named that was never installed")
    }

    /// The only child that is not deleted.
    pub(crate) fn child(&self) -> &EspPair {
        let connections = self.snapshot().connections.into_values();
        let children: Vec<_> = connections.flat_map(|connection| connection.children).collect();
        let [child] = children.as_slice() else {
            panic!("{}: {children:?}", self.address)
        };
        &self.datapath[&child.id]
    }

    fn resolve(&mut self, connection: ConnectionName, host: String) -> Option<Input> {
        self.asked.push(host.clone());
        let found = self.names.get(host.as_str())?;
        let addresses = found.iter().map(|address| address.parse().unwrap());
        let found = Ok(addresses.collect());
        Some(Input::Resolved(connection, host, found))
    }

    pub(crate) fn snapshot(&self) -> Snapshot {
        self.engine.snapshot()
    }

    /// The only connection.
    pub(crate) fn standing(&self) -> ConnectionSnapshot {
        let connections = self.snapshot().connections;
        assert_eq!(connections.len(), 1);
        connections.into_values().next().unwrap()
    }

    pub(crate) fn is_up(&self) -> bool {
        self.standing().state == ConnectionState::Up
    }

    pub(crate) fn outage(&self) -> Outage {
        self.standing().outage.expect("no outage is known")
    }

    pub(crate) fn drops(&self, cause: DropCause) -> u64 {
        self.snapshot().drops.get(&cause).copied().unwrap_or_default()
    }
}

/// What one side sends is what the other receives.
pub(crate) fn assert_mirrored(sender: &EspPair, receiver: &EspPair) {
    assert_eq!(described(&sender.outbound), described(&receiver.inbound));
    assert_eq!(sender.local_selectors, receiver.remote_selectors);
    assert_eq!(sender.encapsulation, receiver.encapsulation);
}

type Described = (
    u32,
    bool,
    Encryption,
    Vec<u8>,
    Option<(ike::crypto::Integrity, Vec<u8>)>,
);

fn described(sa: &EspSa) -> Described {
    let EspKeys {
        encryption,
        encryption_key,
        integrity,
    } = &sa.keys;
    let octets = |key: &secrecy::SecretSlice<u8>| key.expose_secret().to_vec();
    let integrity = integrity
        .as_ref()
        .map(|(algorithm, key)| (*algorithm, octets(key)));
    (
        sa.spi,
        sa.extended_sequence_numbers,
        *encryption,
        octets(encryption_key),
        integrity,
    )
}

pub(crate) fn name(text: &str) -> ConnectionName {
    ConnectionName(Arc::from(text))
}

/// A connection of which both sides can have one, with the addresses exchanged.
pub(crate) fn connection(local: &str, remote: &str) -> Connection {
    let (local, remote): (IpAddr, IpAddr) = (local.parse().unwrap(), remote.parse().unwrap());
    let encryption = Encryption::AesGcm16(128);
    let ike = IkeProposal {
        encryption,
        integrity: None,
        prf: Prf::HmacSha2_256,
        groups: vec![Group::X25519],
        additional: Vec::new(),
    };
    let secret = Authentication::pre_shared_key(b"a secret of both".to_vec().into());
    let port = |address| SocketAddr::new(address, 500);
    Connection {
        ike_proposals: vec![ike],
        esp_proposals: vec![EspProposal {
            encryption,
            integrity: None,
            extended_sequence_numbers: true,
            groups: Vec::new(),
            additional: Vec::new(),
        }],
        ..Connection::between(port(local), port(remote), secret)
    }
}
