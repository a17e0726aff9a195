use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;

use crate::{Families, Policy, Translation};

/// The name of a neighbour: that of the connection whose tunnel the session passes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NeighbourName(pub Arc<str>);

impl fmt::Display for NeighbourName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// All that the speaker is to run. Without neighbours it does nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Our autonomous system.
    pub asn: u32,
    /// Our BGP identifier (RFC 6286).
    pub router_id: Ipv4Addr,
    /// The name of this machine (FQDN capability), if it is to be told.
    pub host_name: Option<String>,
    /// Our own prefixes: advertised to everybody, and nothing equal to or inside one is taken from anybody or passed on.
    pub own: Vec<IpNet>,
    /// The static address space of each site, by the tunnels that lead there; advertised to the neighbours behind others.
    pub sites: BTreeMap<NeighbourName, Vec<IpNet>>,
    /// The sessions, by name.
    pub neighbours: BTreeMap<NeighbourName, Neighbour>,
    /// How many equally good paths are used at once; 1 for the best alone.
    pub multipath: u8,
    /// How long neighbours keep our routes while we start again (RFC 4724); zero for not at all.
    pub restart_time: Duration,
    /// How long after a start we wait for every End-of-RIB before we tell which routes are best (RFC 4724 §4.1).
    pub deferral_time: Duration,
}

impl Settings {
    /// Those of a speaker that was not told any: it has no neighbours, and keeps nothing for anybody.
    pub fn none() -> Self {
        Self {
            asn: 0,
            router_id: Ipv4Addr::UNSPECIFIED,
            host_name: None,
            own: Vec::new(),
            sites: BTreeMap::new(),
            neighbours: BTreeMap::new(),
            multipath: 1,
            restart_time: Duration::ZERO,
            deferral_time: Duration::ZERO,
        }
    }
}

/// One neighbour and the session with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Neighbour {
    /// The site that it belongs to, as policies name it.
    pub site: Arc<str>,
    /// Our end of the session.
    pub local: IpAddr,
    /// The far end.
    pub remote: IpAddr,
    /// Its autonomous system; ours for an internal session.
    pub asn: u32,
    /// It opens the session, and we wait.
    pub passive: bool,
    /// How long it and we may be silent.
    pub timers: Timers,
    /// Which families are offered.
    pub families: Families,
    /// Bounds on what it may send.
    pub limits: Limits,
    /// What NAT on its tunnel makes of prefixes: before its policy of what comes in, after that of what goes out.
    pub translation: Translation,
    /// For routes that it sends.
    pub import: Policy,
    /// For routes that it is sent.
    pub export: Policy,
    /// What we are to each other (RFC 9234), if it is to be told and kept to.
    pub role: Option<Role>,
    /// Several paths to one prefix are taken from it (RFC 7911).
    pub add_path: bool,
    /// The local preference of what it sends, where its policy says none; 100 is usual (RFC 4271 §9.1.1).
    pub local_preference: u32,
    /// Its routes carry the tunnel they use; among equally good ones the smaller number goes first.
    pub priority: u16,
}

/// The timers of a session (RFC 4271 §10).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timers {
    /// How long the peer may be silent; zero for ever.
    pub hold_time: Duration,
    /// How long we are silent; shortened to a third of a hold time that is negotiated down.
    pub keepalive: Duration,
    /// How long until a session is tried again.
    pub connect_retry: Duration,
}

/// Bounds on what a neighbour may send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Prefixes of one family, counted as received; one more ends the session (RFC 4486 §4, subcode 1).
    pub prefixes: u32,
    /// After how long a session begins anew that ended so; not by itself if `None`.
    pub restart_after: Option<Duration>,
}

/// What we are to the neighbour (RFC 9234 §4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// We provide for it.
    Provider,
    /// A route server.
    RouteServer,
    /// A client of a route server.
    RouteServerClient,
    /// It provides for us.
    Customer,
    /// Neither.
    Peer,
}

impl Timers {
    /// As RFC 4271 §10 and Azure VPN Gateway have them, tried again after two minutes at most.
    pub const USUAL: Self = Self {
        hold_time: Duration::from_secs(180),
        keepalive: Duration::from_secs(60),
        connect_retry: Duration::from_secs(120),
    };
}
