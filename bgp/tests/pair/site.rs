//! One speaker, and all that it asked for.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use bgp::{
    Action, Event, Families, Family, Input, LastError, Limits, Neighbour, NeighbourName, PeerSnapshot,
    PeerState, Policy, Random, Settings, Speaker, Timers, Translation, Way,
};
use ipnet::IpNet;

/// A speaker, its kernel and its journal.
pub(crate) struct Site {
    pub(crate) name: &'static str,
    pub(crate) speaker: Speaker,
    pub(crate) settings: Settings,
    pub(crate) kernel: BTreeMap<IpNet, Vec<Way>>,
    /// Routes that a run before this one left.
    pub(crate) left: BTreeMap<IpNet, Vec<Way>>,
    pub(crate) events: Vec<(Instant, Event)>,
}

/// A generator that a seed decides.
pub(crate) struct Seeded(pub(crate) u64);

impl Random for Seeded {
    fn fill(&mut self, bytes: &mut [u8]) {
        for byte in bytes {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            *byte = (self.0 >> 32) as u8;
        }
    }
}

pub(crate) fn name(name: &str) -> NeighbourName {
    NeighbourName(name.into())
}

pub(crate) fn prefix(prefix: &str) -> IpNet {
    prefix.parse().unwrap()
}

/// Number `octet` among the sites: its addresses end with it, and it owns 10.`octet`.0.0/16.
pub(crate) fn settings(asn: u32, octet: u8) -> Settings {
    Settings {
        asn,
        router_id: Ipv4Addr::new(10, 255, 0, octet),
        host_name: None,
        own: vec![prefix(&format!("10.{octet}.0.0/16"))],
        sites: BTreeMap::new(),
        neighbours: BTreeMap::new(),
        multipath: 1,
        restart_time: Duration::from_secs(120),
        deferral_time: Duration::from_secs(90),
    }
}

pub(crate) fn address(octet: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(169, 254, 0, octet))
}

/// The neighbour at number `there`, as number `here` has it.
pub(crate) fn neighbour(here: u8, there: u8, asn: u32) -> Neighbour {
    Neighbour {
        site: format!("site-{there}").into(),
        local: address(here),
        remote: address(there),
        asn,
        passive: false,
        timers: Timers::USUAL,
        families: Families::NONE.with(Family::Ipv4),
        limits: Limits {
            prefixes: 4000,
            restart_after: None,
        },
        translation: Translation::default(),
        import: Policy::ALL,
        export: Policy::ALL,
        role: None,
        add_path: false,
        local_preference: 100,
        priority: 0,
    }
}

impl Site {
    pub(crate) fn new(name: &'static str, settings: Settings, seed: u64) -> Self {
        Self {
            name,
            speaker: Speaker::new(Box::new(Seeded(seed))),
            settings,
            kernel: BTreeMap::new(),
            left: BTreeMap::new(),
            events: Vec::new(),
        }
    }

    /// The same machine with a new process: the kernel keeps its routes.
    pub(crate) fn start_again(&mut self, seed: u64) {
        self.speaker = Speaker::new(Box::new(Seeded(seed)));
        self.left.append(&mut self.kernel);
    }

    /// Hands over an input; what concerns the kernel and the journal is done, the rest returned.
    pub(crate) fn handle(&mut self, input: Input, now: Instant) -> Vec<Action> {
        let mut rest = Vec::new();
        for action in self.speaker.handle(input, now) {
            match action {
                Action::SetRoute(prefix, ways) => {
                    self.left.remove(&prefix);
                    self.kernel.insert(prefix, ways.to_vec());
                }
                Action::RemoveRoute(prefix) => {
                    self.left.remove(&prefix);
                    self.kernel.remove(&prefix);
                }
                Action::ReleaseRoutes => self.left.clear(),
                Action::Report(event) => self.events.push((now, event)),
                Action::Connect { .. } | Action::Send(..) | Action::Close(_) => rest.push(action),
            }
        }
        rest
    }

    pub(crate) fn peer(&self, of: &str) -> PeerSnapshot {
        self.speaker
            .snapshot()
            .peers
            .remove(&name(of))
            .expect("it is configured")
    }

    pub(crate) fn is_established(&self, with: &str) -> bool {
        self.peer(with).state == PeerState::Established
    }

    /// Whether packets to this prefix get through, by a route of this run or of the one before.
    pub(crate) fn forwards(&self, to: &str) -> bool {
        let to = prefix(to);
        self.kernel.contains_key(&to) || self.left.contains_key(&to)
    }

    /// By whose tunnel.
    pub(crate) fn way(&self, to: &str) -> Option<String> {
        let ways = self.kernel.get(&prefix(to))?;
        Some(ways[0].neighbour.to_string())
    }

    /// All ends of sessions and attempts that were told.
    pub(crate) fn downs(&self) -> Vec<LastError> {
        let down = |(_, event): &(Instant, Event)| match event {
            Event::Down(_, error) => Some(error.clone()),
            _ => None,
        };
        self.events.iter().filter_map(down).collect()
    }

    pub(crate) fn count(&self, fits: impl Fn(&Event) -> bool) -> usize {
        self.events.iter().filter(|(_, event)| fits(event)).count()
    }
}
