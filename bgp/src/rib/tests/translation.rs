//! What NAT makes of routes: whatever happens in whatever order, it is as if neighbours had sent what was made of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ipnet::IpNet;
use proptest::prelude::*;

use super::replay::Receiver;
use crate::rib::sample::{self, announce, attributes, prefix, withdraw};
use crate::rib::{PeerIndex, Rib, RouteChange, TableQuery, TableView};
use crate::wire::attribute::Attributes;
use crate::wire::update::{Destination, Update};
use crate::{Families, Mapping, MappingKind, Settings, Translation, Way};

const NEIGHBOURS: u8 = 3;

/// Internal, external, parts, more than them, and what rules have nothing to do with.
const PREFIXES: [&str; 11] = [
    "0.0.0.0/0",
    "10.0.0.0/16",
    "10.0.0.0/24",
    "10.0.0.128/25",
    "10.0.1.0/24",
    "10.0.2.0/24",
    "100.64.0.0/24",
    "100.64.1.0/24",
    "192.0.2.0/24",
    "fd00::/48",
    "fd64::/48",
];

fn mapping(internal: &str, external: &str, kind: MappingKind) -> Mapping {
    Mapping {
        rule: internal.into(),
        internal: prefix(internal),
        external: prefix(external),
        kind,
    }
}

/// Rules of one kind or another.
fn rules(kind: u8) -> Vec<Mapping> {
    use MappingKind::{Dynamic, Port, Static};
    match kind {
        1 => vec![mapping("10.0.0.0/24", "100.64.0.0/24", Static)],
        2 => vec![
            mapping("10.0.0.0/24", "100.64.1.0/24", Static),
            mapping("10.0.1.0/24", "100.64.0.0/24", Static),
            mapping("fd00::/48", "fd64::/48", Static),
        ],
        3 => vec![
            mapping("10.0.0.0/24", "100.64.1.0/26", Dynamic),
            mapping("10.0.1.0/24", "100.64.1.0/24", Port),
        ],
        // What one rule makes is what the other begins with.
        4 => vec![
            mapping("10.0.0.0/24", "10.0.1.0/24", Static),
            mapping("10.0.1.0/24", "10.0.0.0/24", Static),
        ],
        _ => Vec::new(),
    }
}

#[derive(Debug, Clone)]
enum Step {
    Announce(u8, u32, u32, usize),
    Withdraw(u8, u32, usize),
    Stale(u8),
    Sweep(u8),
    Forget(u8),
    Tunnel(u8, bool),
    Rules(u8, u8),
    Write(u8),
    Changes,
}

fn step() -> impl Strategy<Value = Step> {
    let number = || 1..=NEIGHBOURS;
    let to = || 0..PREFIXES.len();
    prop_oneof![
        12 => (number(), 0..2u32, 1..4u32, to()).prop_map(|(from, id, kind, to)| Step::Announce(from, id, kind, to)),
        5 => (number(), 0..2u32, to()).prop_map(|(from, id, to)| Step::Withdraw(from, id, to)),
        1 => number().prop_map(Step::Stale),
        1 => number().prop_map(Step::Sweep),
        1 => number().prop_map(Step::Forget),
        1 => (number(), any::<bool>()).prop_map(|(from, up)| Step::Tunnel(from, up)),
        3 => (1..NEIGHBOURS, 0..5u8).prop_map(|(from, kind)| Step::Rules(from, kind)),
        3 => number().prop_map(Step::Write),
        2 => Just(Step::Changes),
    ]
}

fn settings(kinds: &BTreeMap<u8, u8>) -> Settings {
    let mut settings = sample::settings(NEIGHBOURS);
    settings.own = vec![prefix("10.0.0.0/24")];
    for (number, kind) in kinds {
        let neighbour = settings.neighbours.get_mut(&sample::name(*number)).unwrap();
        neighbour.translation.ingress = rules(*kind);
    }
    settings
}

type Sent = BTreeMap<(u8, IpNet, u32), (Attributes, bool)>;

struct World {
    rib: Rib,
    peers: Vec<PeerIndex>,
    kinds: BTreeMap<u8, u8>,
    sent: Sent,
    up: BTreeSet<u8>,
    kernel: BTreeMap<IpNet, Arc<[Way]>>,
    receivers: Vec<Receiver>,
}

impl World {
    fn new(kinds: BTreeMap<u8, u8>) -> Self {
        let (rib, peers) = sample::rib(&settings(&kinds));
        Self {
            rib,
            peers,
            kinds,
            sent: BTreeMap::new(),
            up: (1..=NEIGHBOURS).collect(),
            kernel: BTreeMap::new(),
            receivers: (0..NEIGHBOURS).map(|_| Receiver::new(false)).collect(),
        }
    }

    fn peer(&self, number: u8) -> PeerIndex {
        self.peers[usize::from(number) - 1]
    }

    fn announce(&mut self, from: u8, to: IpNet, id: u32, attributes: Attributes) {
        let to = Destination { prefix: to, path: id };
        self.sent
            .insert((from, to.prefix, id), (attributes.clone(), false));
        let update = Update {
            announced: vec![(Arc::new(attributes), vec![to])],
            ..Update::default()
        };
        self.rib.receive(self.peer(from), update).unwrap();
    }

    fn tunnel(&mut self, number: u8, up: bool) {
        if up {
            self.up.insert(number)
        } else {
            self.up.remove(&number)
        };
        self.rib.tunnel(self.peer(number), up);
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Announce(from, id, kind, to) => {
                let path = vec![7; kind as usize];
                self.announce(from, prefix(PREFIXES[to]), id, attributes(from, &path));
            }
            Step::Withdraw(from, id, to) => {
                let to = Destination {
                    prefix: prefix(PREFIXES[to]),
                    path: id,
                };
                self.sent.remove(&(from, to.prefix, id));
                let update = Update {
                    withdrawn: vec![to],
                    ..Update::default()
                };
                self.rib.receive(self.peer(from), update).unwrap();
            }
            Step::Stale(from) => {
                let of = self.sent.iter_mut().filter(|((number, ..), _)| *number == from);
                of.for_each(|(_, (_, stale))| *stale = true);
                self.rib.mark_stale(self.peer(from), Families::ALL);
            }
            Step::Sweep(from) => {
                self.sent
                    .retain(|(number, ..), (_, stale)| *number != from || !*stale);
                self.rib.sweep_stale(self.peer(from), Families::ALL);
            }
            Step::Forget(from) => {
                self.sent.retain(|(number, ..), _| *number != from);
                self.rib.forget(self.peer(from), Families::ALL);
            }
            Step::Tunnel(number, up) => self.tunnel(number, up),
            Step::Rules(from, kind) => {
                self.kinds.insert(from, kind);
                self.rib.configure(Arc::new(settings(&self.kinds)));
            }
            Step::Write(number) => self.write(number, 100),
            Step::Changes => self.changes(),
        }
    }

    fn write(&mut self, number: u8, budget: usize) {
        let octets = self.rib.write(self.peer(number), budget);
        self.receivers[usize::from(number) - 1].take(&octets);
    }

    fn changes(&mut self) {
        for change in self.rib.changes() {
            match change {
                RouteChange::Set(to, ways) => drop(self.kernel.insert(to, ways)),
                RouteChange::Remove(to) => assert!(self.kernel.remove(&to).is_some(), "{to} was never there"),
            }
        }
    }

    fn settle(&mut self) {
        self.changes();
        (1..=NEIGHBOURS).for_each(|number| self.write(number, 1_000_000));
    }

    /// What a neighbour would have sent that had done the translation itself; nothing where it is not to be let in.
    fn translated(&self, from: u8, to: IpNet) -> Option<IpNet> {
        let rules = rules(self.kinds.get(&from).copied().unwrap_or(0));
        let whole = |rule: &&Mapping| rule.kind != MappingKind::Port;
        for rule in rules.iter().filter(whole) {
            if rule.internal.contains(&to) {
                let exact = rule.internal == to && rule.kind == MappingKind::Static;
                return exact.then_some(rule.external);
            }
        }
        let taken = rules.iter().filter(whole).any(|rule| {
            let sent = self
                .sent
                .keys()
                .any(|(number, to, _)| *number == from && *to == rule.internal);
            rule.kind == MappingKind::Static && rule.external == to && sent
        });
        (!taken).then_some(to)
    }

    /// The world in which every neighbour had done it.
    fn as_translated(&self) -> Self {
        let mut world = Self::new(BTreeMap::new());
        for ((from, to, id), (attributes, _)) in &self.sent {
            if let Some(to) = self.translated(*from, *to) {
                world.announce(*from, to, *id, attributes.clone());
            }
        }
        (1..=NEIGHBOURS).for_each(|number| world.tunnel(number, self.up.contains(&number)));
        world
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Kernel and neighbours have what a speaker would give them that was sent what NAT made.
    #[test]
    fn tables_are_those_of_what_was_made(steps in prop::collection::vec(step(), 1..60)) {
        let mut world = World::new([(1, 1), (2, 2)].into());
        for step in steps {
            world.take(step);
        }
        world.settle();
        let mut made = world.as_translated();
        made.settle();
        prop_assert_eq!(&world.kernel, &made.kernel);
        for (number, (one, other)) in world.receivers.iter().zip(&made.receivers).enumerate() {
            prop_assert_eq!(&one.routes, &other.routes, "neighbour {}", number + 1);
        }
        for number in 1..=NEIGHBOURS {
            let sent: BTreeSet<_> = world.sent.keys().filter(|(from, ..)| *from == number).map(|(_, to, _)| to).collect();
            let counts = crate::Family::ALL.map(|family| world.rib.counts(world.peer(number), family).received);
            prop_assert_eq!(counts.iter().sum::<u32>() as usize, sent.len(), "what came is what counts");
        }
        for number in 1..=NEIGHBOURS {
            world.take(Step::Forget(number));
        }
        world.settle();
        prop_assert_eq!(world.kernel.len(), 0);
        let own = usize::from(world.receivers[2].routes.len() == 1);
        prop_assert_eq!((world.rib.prefixes_known(), own), (1, 1), "nothing is left behind but our own prefix");
    }
}

/// Neighbour 1 is behind egress rules, neighbour 2 is not.
fn behind(egress: Vec<Mapping>, own: &[&str]) -> Settings {
    let mut settings = sample::settings(2);
    settings.own = own.iter().map(|own| prefix(own)).collect();
    let neighbour = settings.neighbours.get_mut(&sample::name(1)).unwrap();
    neighbour.translation = Translation {
        ingress: Vec::new(),
        egress,
    };
    settings
}

fn has(rib: &mut Rib, peer: PeerIndex, receiver: &mut Receiver) -> Vec<String> {
    receiver.take(&rib.write(peer, 1_000_000));
    receiver.routes.keys().map(ToString::to_string).collect()
}

fn in_a_file(rib: &Rib) -> Vec<String> {
    let file = rib.part(&TableQuery {
        view: TableView::Best,
        family: crate::Family::Ipv4,
        after: None,
        prefixes: 100,
    });
    file.rows.iter().map(|row| row.prefix.to_string()).collect()
}

/// Rules that come and go are told in the session, and each prefix once: nothing is told again that stays.
#[test]
fn our_prefixes_are_told_as_rules_have_them() {
    use MappingKind::{Dynamic, Port, Static};
    let own = [
        "10.0.0.0/24",
        "10.1.0.0/16",
        "10.2.0.0/24",
        "10.3.0.0/24",
        "10.4.0.0/24",
    ];
    let egress = vec![
        mapping("10.0.0.0/24", "100.64.0.0/24", Static),
        mapping("10.1.7.0/24", "100.64.1.0/24", Static),
        mapping("10.2.0.0/16", "100.66.0.0/16", Static),
        mapping("10.3.0.0/24", "100.64.9.0/26", Dynamic),
        mapping("10.4.0.0/24", "100.64.4.0/24", Port),
    ];
    let (mut rib, peers) = sample::rib(&behind(Vec::new(), &own));
    let (mut one, mut two) = (Receiver::new(false), Receiver::new(false));
    assert_eq!(has(&mut rib, peers[0], &mut one), own);
    assert_eq!(has(&mut rib, peers[1], &mut two), own);
    rib.configure(Arc::new(behind(egress.clone(), &own)));
    let seen = ["10.1.0.0/16", "10.4.0.0/24", "100.64.0.0/24", "100.64.9.0/26"];
    let before = (one.messages, two.messages);
    assert_eq!(has(&mut rib, peers[0], &mut one), seen);
    assert_eq!(has(&mut rib, peers[1], &mut two), own, "there is no NAT there");
    assert_eq!(
        (one.messages, two.messages),
        (before.0 + 2, before.1),
        "what changed"
    );
    let partly = rib
        .partly(peers[0])
        .0
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>();
    assert_eq!(in_a_file(&rib), own, "what stands for them is none of ours");
    assert_eq!(partly.len(), 3, "{partly:?}");
    assert!(
        partly[0].contains("10.1.0.0/16 of ours is more than 10.1.7.0/24"),
        "{partly:?}"
    );
    assert!(
        partly[1].contains("10.2.0.0/24 of ours is a part of 10.2.0.0/16"),
        "{partly:?}"
    );
    assert!(partly[2].contains("one port"), "{partly:?}");
    rib.configure(Arc::new(behind(egress, &[])));
    for (peer, receiver) in peers.iter().zip([&mut one, &mut two]) {
        assert!(
            has(&mut rib, *peer, receiver).is_empty(),
            "nothing is ours any more"
        );
    }
    assert_eq!(rib.prefixes_known(), 0);
}

/// What stands for ours at a neighbour is not taken from it, nor is it passed on to it from others; others may have it.
#[test]
fn what_stands_for_ours_is_ours_there() {
    let rule = mapping("10.0.0.0/24", "100.64.0.0/24", MappingKind::Static);
    let (mut rib, peers) = sample::rib(&behind(vec![rule], &["10.0.0.0/24"]));
    let (mut one, mut two) = (Receiver::new(false), Receiver::new(false));
    let to = ["100.64.0.0/24", "100.64.0.128/25", "192.0.2.0/24"];
    rib.receive(peers[0], announce(attributes(1, &[65_001]), &to))
        .unwrap();
    assert_eq!(has(&mut rib, peers[1], &mut two), ["10.0.0.0/24", "192.0.2.0/24"]);
    rib.receive(peers[0], withdraw(&["192.0.2.0/24"])).unwrap();
    rib.receive(peers[1], announce(attributes(2, &[65_002]), &to))
        .unwrap();
    assert_eq!(
        has(&mut rib, peers[0], &mut one),
        ["100.64.0.0/24", "192.0.2.0/24"]
    );
    let ours = &one.routes[&prefix("100.64.0.0/24")];
    assert_eq!(ours.as_path.length(), 1, "it comes from us");
    assert_eq!(has(&mut rib, peers[1], &mut two), ["10.0.0.0/24"]);
}
