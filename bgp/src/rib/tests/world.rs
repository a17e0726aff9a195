//! The tables and the model side by side: all that happens, happens to both.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ipnet::IpNet;
use proptest::prelude::*;
use thin_vec::thin_vec;

use super::model::Model;
use super::replay::Receiver;
use crate::rib::sample::{self, attributes, prefix};
use crate::rib::{PeerIndex, Rib, RouteChange};
use crate::wire::attribute::{Attributes, NextHop, Origin};
use crate::wire::update::{Destination, Update};
use crate::{
    Change, Community, Condition, Families, Family, Policy, PrefixRange, Settings, Term, Verdict, Way,
};

pub(super) const NEIGHBOURS: u8 = 5;

pub(super) const PREFIXES: [&str; 9] = [
    "0.0.0.0/0",
    "10.0.0.0/8",
    "10.0.0.0/16",
    "10.0.7.0/24",
    "10.50.0.0/16",
    "10.60.0.0/16",
    "192.0.2.0/24",
    "2001:db8::/32",
    "2001:db8:1::/48",
];

/// One thing that happens.
#[derive(Debug, Clone)]
pub(super) enum Step {
    Announce(u8, u32, usize, Vec<usize>),
    Withdraw(u8, u32, usize),
    Forget(u8, bool),
    MarkStale(u8),
    SweepStale(u8),
    Tunnel(u8, bool),
    Configure(u8),
    Open(u8),
    Close(u8),
    Refresh(u8),
    Write(u8, usize),
    Changes,
    Defer(bool),
    Again(u8),
}

pub(super) fn step() -> impl Strategy<Value = Step> {
    let number = || 1..=NEIGHBOURS;
    let to = || 0..PREFIXES.len();
    prop_oneof![
        12 => (number(), 0..2u32, 0..10usize, prop::collection::vec(to(), 1..4))
            .prop_map(|(from, id, kind, to)| Step::Announce(from, id, kind, to)),
        4 => (number(), 0..2u32, to()).prop_map(|(from, id, to)| Step::Withdraw(from, id, to)),
        1 => (number(), any::<bool>()).prop_map(|(from, all)| Step::Forget(from, all)),
        1 => number().prop_map(Step::MarkStale),
        1 => number().prop_map(Step::SweepStale),
        2 => (number(), any::<bool>()).prop_map(|(from, up)| Step::Tunnel(from, up)),
        2 => (0..8u8).prop_map(Step::Configure),
        1 => number().prop_map(Step::Open),
        1 => number().prop_map(Step::Close),
        1 => number().prop_map(Step::Refresh),
        3 => (number(), 1..200usize).prop_map(|(to, budget)| Step::Write(to, budget)),
        2 => Just(Step::Changes),
        1 => any::<bool>().prop_map(Step::Defer),
        1 => number().prop_map(Step::Again),
    ]
}

/// 1 and 2 are external, 3 is a second tunnel to the site of 2, 4 and 5 are internal.
pub(super) fn settings(kind: u8) -> Settings {
    let mut settings = sample::settings(NEIGHBOURS);
    for (number, neighbour) in (1u8..).zip(settings.neighbours.values_mut()) {
        if number > 3 {
            neighbour.asn = 65_000;
        }
        if number == 3 {
            neighbour.asn = 65_002;
            neighbour.site = "site2".into();
        }
    }
    settings.multipath = if kind == 1 { 1 } else { 3 };
    if kind != 2 {
        settings.own = vec![prefix("10.0.0.0/16")];
    }
    if kind != 3 {
        settings.sites.insert(
            sample::name(1),
            vec![prefix("10.50.0.0/16"), prefix("10.60.0.0/16")],
        );
        settings
            .sites
            .insert(sample::name(3), vec![prefix("10.60.0.0/16")]);
    }
    vary(&mut settings, kind);
    settings
}

/// What differs between the settings in how routes of one neighbour are treated.
fn vary(settings: &mut Settings, kind: u8) {
    let mut change = |number: u8, change: &dyn Fn(&mut crate::Neighbour)| {
        settings
            .neighbours
            .get_mut(&sample::name(number))
            .into_iter()
            .for_each(change);
    };
    match kind {
        4 => change(2, &|neighbour| {
            neighbour.import = policy(
                Some("192.0.2.0/24"),
                Change {
                    prepend: 2,
                    ..Change::default()
                },
            )
        }),
        5 => change(1, &|neighbour| {
            neighbour.export = policy(
                Some("10.0.0.0/8"),
                Change {
                    med: Some(7),
                    ..Change::default()
                },
            )
        }),
        6 => change(3, &|neighbour| {
            neighbour.priority = 1;
            neighbour.site = "site3".into();
        }),
        7 => {
            let community = vec![Community::Standard(7)];
            change(1, &|neighbour| {
                neighbour.import = policy(
                    None,
                    Change {
                        add_communities: community.clone(),
                        ..Change::default()
                    },
                );
            });
            change(4, &|neighbour| neighbour.local_preference = 200);
        }
        _ => {}
    }
}

/// Changes what is inside a prefix, or all.
fn policy(inside: Option<&str>, change: Change) -> Policy {
    let range = |inside| PrefixRange {
        prefix: prefix(inside),
        lengths: 0..=32,
    };
    let condition = Condition {
        prefixes: inside.map(|inside| vec![range(inside)]),
        ..Condition::default()
    };
    Policy {
        terms: vec![Term {
            condition,
            change,
            verdict: Verdict::Accept,
        }],
        default: Verdict::Accept,
    }
}

/// Attributes that differ in what the choice and the rules look at.
fn kind(from: u8, kind: usize) -> Attributes {
    let asn = 65_000 + u32::from(from);
    let usual = attributes(from, &[asn, 7]);
    match kind {
        0 => usual,
        1 => attributes(from, &[asn, 7, 8]),
        2 => Attributes {
            med: Some(5),
            ..attributes(from, &[65_009, 7])
        },
        3 => Attributes {
            med: Some(3),
            ..attributes(from, &[65_009, 9])
        },
        4 => attributes(from, &[asn, 65_000]),
        5 => Attributes {
            communities: thin_vec![0xffff_ff01],
            ..usual
        },
        6 => Attributes {
            communities: thin_vec![0xffff_ff02],
            ..usual
        },
        7 => Attributes {
            next_hop: attributes(5, &[]).next_hop,
            ..usual
        },
        8 => Attributes {
            next_hop: NextHop::Address([169, 254, 1, 2].into()),
            ..usual
        },
        _ => Attributes {
            origin: Origin::Egp,
            ..usual
        },
    }
}

pub(super) struct World {
    pub(super) rib: Rib,
    pub(super) peers: Vec<PeerIndex>,
    pub(super) model: Model,
    pub(super) receivers: BTreeMap<u8, Receiver>,
    pub(super) kernel: BTreeMap<IpNet, Arc<[Way]>>,
    pub(super) deferred: bool,
}

impl World {
    pub(super) fn new() -> Self {
        let settings = settings(0);
        let (rib, peers) = sample::rib(&settings);
        let numbers = 1..=NEIGHBOURS;
        Self {
            rib,
            peers,
            model: Model {
                settings,
                paths: BTreeMap::new(),
                up: numbers.clone().collect(),
            },
            receivers: numbers.map(|number| (number, receiver(number))).collect(),
            kernel: BTreeMap::new(),
            deferred: false,
        }
    }

    pub(super) fn peer(&self, number: u8) -> PeerIndex {
        self.peers[usize::from(number) - 1]
    }

    pub(super) fn take(&mut self, step: Step) {
        match step {
            Step::Announce(from, id, kind, to) => self.announce(from, id, kind, &to),
            Step::Withdraw(from, id, to) => {
                let to = Destination {
                    prefix: prefix(PREFIXES[to]),
                    path: id,
                };
                self.model.paths.remove(&(from, to.prefix, id));
                let update = Update {
                    withdrawn: vec![to],
                    ..Update::default()
                };
                self.rib.receive(self.peer(from), update).unwrap();
            }
            Step::Forget(from, all) => {
                let families = if all {
                    Families::ALL
                } else {
                    Families::NONE.with(Family::Ipv4)
                };
                let goes =
                    |number: u8, to: &IpNet| number == from && families.contains(Family::of_prefix(to));
                self.model.paths.retain(|(number, to, _), _| !goes(*number, to));
                self.rib.forget(self.peer(from), families);
            }
            Step::MarkStale(from) => {
                let paths = self
                    .model
                    .paths
                    .iter_mut()
                    .filter(|((number, ..), _)| *number == from);
                paths.for_each(|(_, (_, stale))| *stale = true);
                self.rib.mark_stale(self.peer(from), Families::ALL);
            }
            Step::SweepStale(from) => {
                self.model
                    .paths
                    .retain(|(number, ..), (_, stale)| *number != from || !*stale);
                self.rib.sweep_stale(self.peer(from), Families::ALL);
            }
            Step::Configure(kind) => {
                self.model.settings = settings(kind);
                self.rib.configure(Arc::new(settings(kind)));
            }
            Step::Write(number, budget) => self.write(number, budget),
            Step::Changes => self.changes(),
            Step::Defer(deferred) => {
                self.rib.defer(deferred);
                self.deferred = deferred;
            }
            Step::Tunnel(..) | Step::Open(_) | Step::Close(_) | Step::Refresh(_) | Step::Again(_) => {
                self.take_session(step);
            }
        }
    }

    fn take_session(&mut self, step: Step) {
        match step {
            Step::Tunnel(number, up) => {
                if up {
                    self.model.up.insert(number)
                } else {
                    self.model.up.remove(&number)
                };
                self.rib.tunnel(self.peer(number), up);
            }
            Step::Open(number) => {
                self.rib.open(self.peer(number), sample::outlet(number));
                self.receivers.insert(number, receiver(number));
            }
            Step::Close(number) => {
                self.rib.close(self.peer(number));
                self.receivers.remove(&number);
            }
            Step::Refresh(number) => Family::ALL
                .into_iter()
                .for_each(|family| self.rib.refresh(self.peer(number), family)),
            Step::Again(number) => {
                self.rib.remove_peer(self.peer(number));
                let peer = self.rib.add_peer(&sample::name(number));
                self.peers[usize::from(number) - 1] = peer;
                self.model.paths.retain(|(from, ..), _| *from != number);
                self.take(Step::Tunnel(number, self.model.up.contains(&number)));
                self.take(Step::Open(number));
            }
            _ => {}
        }
    }

    fn announce(&mut self, from: u8, id: u32, kind_of: usize, to: &[usize]) {
        let attributes = kind(from, kind_of);
        let to: BTreeSet<IpNet> = to.iter().map(|to| prefix(PREFIXES[*to])).collect();
        let to: Vec<Destination> = to
            .into_iter()
            .map(|prefix| Destination { prefix, path: id })
            .collect();
        for destination in &to {
            self.model
                .paths
                .insert((from, destination.prefix, id), (attributes.clone(), false));
        }
        let update = Update {
            announced: vec![(Arc::new(attributes), to)],
            ..Update::default()
        };
        self.rib.receive(self.peer(from), update).unwrap();
    }

    pub(super) fn write(&mut self, number: u8, budget: usize) {
        let octets = self.rib.write(self.peer(number), budget);
        match self.receivers.get_mut(&number) {
            Some(receiver) => receiver.take(&octets),
            None => assert!(octets.is_empty(), "nothing is written without a session"),
        }
    }

    pub(super) fn changes(&mut self) {
        for change in self.rib.changes() {
            match change {
                RouteChange::Set(to, ways) => drop(self.kernel.insert(to, ways)),
                RouteChange::Remove(to) => assert!(self.kernel.remove(&to).is_some(), "{to} was never there"),
            }
        }
    }
}

fn receiver(number: u8) -> Receiver {
    Receiver::new(number > 3)
}
