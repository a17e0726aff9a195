//! East and west, and how time passes for them.

use std::time::{Duration, Instant};

use ike::{Connection, Input, Settings};

use crate::network::{Network, Packet};
use crate::site::{self, Site, connection, name};
use crate::traffic::Traffic;

/// Further than any retransmission, nearer than any dead-peer check: what is due within it belongs to something
/// that goes on.
const QUIET: Duration = Duration::from_secs(12);

/// East (192.0.2.1) and west (192.0.2.2) and the network between them.
pub(crate) struct Pair {
    pub(crate) east: Site,
    pub(crate) west: Site,
    pub(crate) network: Network,
    pub(crate) now: Instant,
    pub(crate) traffic: Traffic,
    /// The network is sound, so that it can be told what happens next.
    pub(crate) calm: bool,
    /// Nothing goes on any more.
    pub(crate) settled: bool,
    /// So many children there are in the end.
    pub(crate) lines: usize,
    /// A datapath loses what it carries, so that packets are lost.
    pub(crate) lossy: bool,
}

impl Pair {
    /// Two engines that have not been told anything.
    pub(crate) fn new() -> Self {
        let (east, west) = (Site::new("192.0.2.1", 1), Site::new("192.0.2.2", 2));
        Self {
            east,
            west,
            network: Network::new(7),
            now: Instant::now(),
            traffic: Traffic::default(),
            calm: true,
            settled: false,
            lines: 1,
            lossy: false,
        }
    }

    /// Both run one connection; `change` alters each side's before.
    pub(crate) fn with(change: impl Fn(&mut Connection, &mut Connection)) -> Self {
        let mut pair = Self::new();
        let (mut east, mut west) = (
            connection("192.0.2.1", "192.0.2.2"),
            connection("192.0.2.2", "192.0.2.1"),
        );
        west.mode = ike::Mode::ResponderOnly;
        change(&mut east, &mut west);
        pair.configure_west([("to-east", west)]);
        pair.configure_east([("to-west", east)]);
        pair
    }

    /// Both start at once, each as `change` leaves its connection; the seed says who draws what.
    pub(crate) fn at_once(seed: u64, network: Network, change: impl Fn(Connection) -> Connection) -> Self {
        let mut pair = Self::new();
        pair.network = network;
        pair.east = Site::new("192.0.2.1", 100 + seed);
        pair.west = Site::new("192.0.2.2", 200 + seed);
        pair.configure_east([("to-west", change(connection("192.0.2.1", "192.0.2.2")))]);
        pair.configure_west([("to-east", change(connection("192.0.2.2", "192.0.2.1")))]);
        pair
    }

    /// Whatever the network does, two that start at once end with the same IKE SA.
    pub(crate) fn settle_on_one(change: impl Fn(Connection) -> Connection) {
        for seed in 0..60 {
            let mut network = if seed < 20 {
                Network::new(seed)
            } else {
                Network::bad(seed)
            };
            network.jitter = Duration::from_millis(seed * 7);
            let mut pair = Self::at_once(seed, network, &change);
            pair.run_for(Duration::from_secs(30));
            pair.network = Network::new(seed);
            pair.run_for(Duration::from_secs(200));
            pair.assert_up();
            let [east, west] = [&pair.east, &pair.west].map(|site| site.standing().ike.unwrap());
            assert_eq!(
                (east.initiator_spi, east.responder_spi),
                (west.initiator_spi, west.responder_spi)
            );
        }
    }

    /// East has established a connection with west.
    pub(crate) fn established() -> Self {
        let mut pair = Self::with(|_, _| ());
        pair.run_until_quiet();
        pair.assert_up();
        pair
    }

    pub(crate) fn configure_east<const N: usize>(&mut self, connections: [(&str, Connection); N]) {
        self.tell_east(Input::Settings(Box::new(settings(connections))));
    }

    pub(crate) fn configure_west<const N: usize>(&mut self, connections: [(&str, Connection); N]) {
        self.tell_west(Input::Settings(Box::new(settings(connections))));
    }

    /// Tells east something.
    pub(crate) fn tell_east(&mut self, input: Input) {
        self.traffic.flow([&self.east, &self.west], self.now);
        self.east.handle(input, &mut self.network, self.now);
        self.traffic.flow([&self.east, &self.west], self.now);
    }

    /// Tells west something.
    pub(crate) fn tell_west(&mut self, input: Input) {
        self.traffic.flow([&self.east, &self.west], self.now);
        self.west.handle(input, &mut self.network, self.now);
        self.traffic.flow([&self.east, &self.west], self.now);
    }

    /// Until nothing is under way and nothing that goes on is due.
    pub(crate) fn run_until_quiet(&mut self) {
        let end = self.now + Duration::from_secs(600);
        while let Some(next) = self.next().filter(|next| *next <= (self.now + QUIET).min(end)) {
            self.step(next);
        }
    }

    /// For this long, whatever happens.
    pub(crate) fn run_for(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(next) = self.next().filter(|next| *next <= end) {
            self.step(next);
        }
        self.now = end;
    }

    fn next(&self) -> Option<Instant> {
        let deadlines = [self.east.engine.deadline(), self.west.engine.deadline()];
        deadlines
            .into_iter()
            .flatten()
            .map(|deadline| deadline.at)
            .chain(self.network.next())
            .min()
    }

    fn step(&mut self, next: Instant) {
        self.now = self.now.max(next);
        while let Some(Packet {
            source,
            destination,
            bytes,
        }) = self.network.arrived(self.now)
        {
            let input = Input::Datagram {
                local: destination,
                remote: source,
                bytes,
            };
            if self.east.has(destination.ip()) {
                self.tell_east(input);
            } else if self.west.has(destination.ip()) {
                self.tell_west(input);
            }
        }
        let due = |site: &Site| site.engine.deadline().is_some_and(|due| due.at <= self.now);
        let (east, west) = (due(&self.east), due(&self.west));
        if east {
            self.tell_east(Input::Tick);
        }
        if west {
            self.tell_west(Input::Tick);
        }
    }

    /// They are up, speak over the same IKE SA, and no packet was lost on the way.
    pub(crate) fn assert_kept(&self) {
        self.assert_up();
        assert_ne!(self.traffic.all_arrived(), 0, "nothing was sent");
        assert_eq!(
            (self.east.emptied, self.west.emptied),
            (0, 0),
            "traffic was interrupted"
        );
        let spis = |site: &Site| {
            let ike = site.standing().ike.unwrap();
            (ike.initiator_spi, ike.responder_spi)
        };
        assert_eq!(spis(&self.east), spis(&self.west));
    }

    /// Both datapaths carry one child, and each sends what the other receives.
    pub(crate) fn assert_up(&self) {
        let (east, west) = (self.east.child(), self.west.child());
        site::assert_mirrored(east, west);
        site::assert_mirrored(west, east);
        assert!(
            self.east.is_up() && self.west.is_up(),
            "{:?} {:?}",
            self.east.standing(),
            self.west.standing()
        );
    }
}

pub(crate) fn settings<const N: usize>(connections: [(&str, Connection); N]) -> Settings {
    let connections = connections
        .into_iter()
        .map(|(text, connection)| (name(text), connection));
    Settings {
        connections: connections.collect(),
        ..Settings::default()
    }
}
