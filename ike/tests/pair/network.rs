//! The network between two engines: delay, loss, duplicates, reordering and a NAT, all from one seed.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

/// A UDP datagram on its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Packet {
    pub(crate) source: SocketAddr,
    pub(crate) destination: SocketAddr,
    pub(crate) bytes: Vec<u8>,
}

/// What happens to one message.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Fate {
    /// What the network does to any.
    Ordinary,
    /// It takes this much longer.
    Late(Duration),
    /// It does not arrive.
    Lost,
}

/// What happens to packets.
pub(crate) struct Network {
    under_way: BTreeMap<(Instant, u64), Packet>,
    sent: u64,
    seed: u64,
    /// Of 100 packets so many are lost.
    pub(crate) loss: u64,
    /// Of 100 packets so many arrive twice.
    pub(crate) duplicates: u64,
    /// A packet takes up to this much longer than the fastest.
    pub(crate) jitter: Duration,
    pub(crate) nat: Option<Nat>,
    /// Every packet that was sent, as its sender sent it.
    pub(crate) history: VecDeque<Packet>,
    /// Nothing arrives any more.
    pub(crate) cut: bool,
    /// What is to happen to the next messages of a host.
    fates: BTreeMap<IpAddr, VecDeque<Fate>>,
    /// What hosts sent whose messages are held back.
    held: BTreeMap<IpAddr, Vec<Packet>>,
    /// Nothing from or to these addresses arrives.
    pub(crate) dead: BTreeSet<IpAddr>,
    /// The packet with this place in the history is lost.
    pub(crate) loses: Option<usize>,
}

/// A NAT with one public address before one host.
pub(crate) struct Nat {
    pub(crate) inside: IpAddr,
    pub(crate) outside: IpAddr,
    /// Public ports by port inside.
    mappings: BTreeMap<u16, u16>,
    next_port: u16,
}

impl Nat {
    pub(crate) fn new(inside: &str, outside: &str) -> Self {
        let (inside, outside) = (inside.parse().unwrap(), outside.parse().unwrap());
        Self {
            inside,
            outside,
            mappings: BTreeMap::new(),
            next_port: 20_000,
        }
    }

    /// Forgets all mappings, as one that restarted.
    pub(crate) fn rebind(&mut self) {
        self.mappings.clear();
    }

    fn outward(&mut self, source: SocketAddr) -> SocketAddr {
        let next_port = &mut self.next_port;
        let port = *self.mappings.entry(source.port()).or_insert_with(|| {
            *next_port += 1;
            *next_port
        });
        SocketAddr::new(self.outside, port)
    }

    fn inward(&self, destination: SocketAddr) -> Option<SocketAddr> {
        let (port, _) = self
            .mappings
            .iter()
            .find(|(_, public)| **public == destination.port())?;
        Some(SocketAddr::new(self.inside, *port))
    }
}

impl Network {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            under_way: BTreeMap::new(),
            sent: 0,
            seed,
            loss: 0,
            duplicates: 0,
            jitter: Duration::ZERO,
            nat: None,
            history: VecDeque::new(),
            cut: false,
            fates: BTreeMap::new(),
            held: BTreeMap::new(),
            dead: BTreeSet::new(),
            loses: None,
        }
    }

    /// What is to happen to the next messages of a host.
    pub(crate) fn fate<const N: usize>(&mut self, source: IpAddr, fates: [Fate; N]) {
        self.fates.insert(source, fates.into());
    }

    /// Holds back what a host sends from now on.
    pub(crate) fn hold(&mut self, source: IpAddr) {
        self.held.entry(source).or_default();
    }

    /// What was held back goes on its way.
    pub(crate) fn release(&mut self, source: IpAddr, now: Instant) {
        for packet in self.held.remove(&source).into_iter().flatten() {
            self.deliver(packet, Duration::ZERO, now);
        }
    }

    /// From now on everything arrives, once and in order.
    pub(crate) fn heal(&mut self) {
        (self.loss, self.duplicates, self.jitter) = (0, 0, Duration::ZERO);
        self.fates.clear();
    }

    /// As bad as a network can be that still lets an exchange through; another seed is another fate.
    pub(crate) fn bad(seed: u64) -> Self {
        let jitter = Duration::from_millis(700);
        Self {
            loss: 20,
            duplicates: 20,
            jitter,
            ..Self::new(seed)
        }
    }

    pub(crate) fn send(&mut self, mut packet: Packet, now: Instant) {
        self.history.push_back(packet.clone());
        if self.loses == Some(self.history.len() - 1) {
            return;
        }
        match &mut self.nat {
            Some(nat) if packet.source.ip() == nat.inside => packet.source = nat.outward(packet.source),
            Some(nat) if packet.destination.ip() == nat.outside => match nat.inward(packet.destination) {
                Some(inside) => packet.destination = inside,
                None => return,
            },
            _ => {}
        }
        if let Some(held) = self.held.get_mut(&packet.source.ip()) {
            return held.push(packet);
        }
        let fates = self.fates.get_mut(&packet.source.ip());
        match fates.and_then(VecDeque::pop_front) {
            Some(Fate::Lost) => {}
            Some(Fate::Late(by)) => self.deliver(packet, by, now),
            Some(Fate::Ordinary) | None => self.deliver(packet, Duration::ZERO, now),
        }
    }

    fn deliver(&mut self, packet: Packet, late: Duration, now: Instant) {
        let dead = self.dead.contains(&packet.source.ip()) || self.dead.contains(&packet.destination.ip());
        let copies = 1 + u64::from(self.percent() < self.duplicates);
        for _ in 0..copies {
            if self.cut || dead || self.percent() < self.loss {
                continue;
            }
            let jitter = self.jitter.mul_f64(self.percent() as f64 / 100.0);
            self.sent += 1;
            self.under_way.insert(
                (now + Duration::from_millis(10) + jitter + late, self.sent),
                packet.clone(),
            );
        }
    }

    /// When the next packet arrives.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.under_way.keys().next().map(|(at, _)| *at)
    }

    /// A packet that has arrived by now.
    pub(crate) fn arrived(&mut self, now: Instant) -> Option<Packet> {
        let entry = self
            .under_way
            .first_entry()
            .filter(|entry| entry.key().0 <= now)?;
        Some(entry.remove())
    }

    /// Everything that is under way, taken out of the network.
    pub(crate) fn seize(&mut self) -> Vec<Packet> {
        std::mem::take(&mut self.under_way).into_values().collect()
    }

    fn percent(&mut self) -> u64 {
        self.seed = self.seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.seed ^ (self.seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        (mixed >> 33) % 100
    }
}
