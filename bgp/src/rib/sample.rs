//! Settings and routes that tests are about.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;

use super::export::originated;
use super::{Outlet, PeerIndex, Rib};
use crate::wire::as_path::{AsPath, Segment};
use crate::wire::attribute::{Attributes, NextHop};
use crate::wire::update::{Destination, Update};
use crate::{Families, Limits, Neighbour, NeighbourName, Policy, Settings, Timers, Translation};

pub(crate) fn name(number: u8) -> NeighbourName {
    NeighbourName(format!("n{number}").into())
}

pub(crate) fn prefix(prefix: &str) -> IpNet {
    prefix.parse().unwrap()
}

/// Neighbour `number` at 169.254.0.`number`, in autonomous system 65,000 + `number`.
pub(crate) fn neighbour(number: u8) -> Neighbour {
    Neighbour {
        site: format!("site{number}").into(),
        local: IpAddr::from([169, 254, 1, number]),
        remote: IpAddr::from([169, 254, 0, number]),
        asn: 65_000 + u32::from(number),
        passive: false,
        timers: Timers::USUAL,
        families: Families::ALL,
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

/// We are autonomous system 65,000, with neighbours from 1 on.
pub(crate) fn settings(neighbours: u8) -> Settings {
    Settings {
        asn: 65_000,
        router_id: Ipv4Addr::new(10, 0, 0, 1),
        host_name: None,
        own: Vec::new(),
        sites: BTreeMap::new(),
        neighbours: (1..=neighbours)
            .map(|number| (name(number), neighbour(number)))
            .collect(),
        multipath: 1,
        restart_time: Duration::ZERO,
        deferral_time: Duration::ZERO,
    }
}

pub(crate) fn outlet(number: u8) -> Outlet {
    Outlet {
        families: Families::ALL,
        router_id: Ipv4Addr::new(10, 0, 1, number),
        four_octet_asn: true,
        extended_messages: false,
        ipv6_next_hops: false,
    }
}

/// Tables with all neighbours of the settings, their tunnels up and their sessions established.
pub(crate) fn rib(settings: &Settings) -> (Rib, Vec<PeerIndex>) {
    let mut rib = Rib::new();
    rib.configure(Arc::new(settings.clone()));
    let peers = (1u8..).zip(settings.neighbours.keys());
    let peers = peers.map(|(number, name)| {
        let peer = rib.add_peer(name);
        rib.tunnel(peer, true);
        rib.open(peer, outlet(number));
        peer
    });
    let peers = peers.collect();
    (rib, peers)
}

/// A path through these autonomous systems; the next hop is that of neighbour `number`.
pub(crate) fn attributes(number: u8, path: &[u32]) -> Attributes {
    let sequence = Segment::Sequence(path.to_vec());
    Attributes {
        as_path: AsPath(if path.is_empty() {
            Vec::new()
        } else {
            vec![sequence]
        }),
        next_hop: NextHop::Address(IpAddr::from([169, 254, 0, number])),
        ..originated()
    }
}

pub(crate) fn destination(to: &str) -> Destination {
    Destination {
        prefix: prefix(to),
        path: 0,
    }
}

pub(crate) fn announce(attributes: Attributes, prefixes: &[&str]) -> Update {
    let destinations = prefixes.iter().map(|prefix| destination(prefix)).collect();
    Update {
        announced: vec![(Arc::new(attributes), destinations)],
        ..Update::default()
    }
}

pub(crate) fn withdraw(prefixes: &[&str]) -> Update {
    Update {
        withdrawn: prefixes.iter().map(|prefix| destination(prefix)).collect(),
        ..Update::default()
    }
}
