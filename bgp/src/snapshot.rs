use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use ipnet::IpNet;

use crate::{Families, Family, NeighbourName, Partly, Role};

/// How the speaker stands, for status.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    /// Every neighbour that is configured.
    pub peers: BTreeMap<NeighbourName, PeerSnapshot>,
    /// Prefixes with a best path, per family.
    pub best: BTreeMap<Family, u32>,
    /// It still waits for the routes of its neighbours after a start (RFC 4724 §4.1).
    pub converging: bool,
    /// Routes that the kernel does not take; why, in words.
    pub refused: BTreeMap<IpNet, String>,
}

/// How one neighbour stands.
#[derive(Debug, Clone)]
pub struct PeerSnapshot {
    /// Where its session stands.
    pub state: PeerState,
    /// Since when.
    pub since: Instant,
    /// Why the last session ended or did not come about.
    pub last_error: Option<LastError>,
    /// It stays down until it is cleared or changed: the reason is in `last_error`.
    pub held_down: bool,
    /// When it is tried again, if it waits.
    pub next_attempt: Option<Instant>,
    /// Its tunnel carries.
    pub tunnel_up: bool,
    /// Its routes are kept although its session is gone (RFC 4724).
    pub restarting: bool,
    /// What was agreed; while established.
    pub negotiated: Option<Negotiated>,
    /// Messages that it was sent.
    pub sent: Messages,
    /// Messages that it sent.
    pub received: Messages,
    /// Its routes.
    pub families: BTreeMap<Family, FamilyCounts>,
    /// How often a session was established.
    pub established_count: u64,
    /// Its prefixes, and ours at it, that rules of NAT have to do with and do not translate as a whole; a hundred at most.
    pub partly_translated: Vec<Partly>,
    /// How many there are.
    pub partly_translated_count: usize,
}

/// The states of RFC 4271 §8.2.2, of the connection that is farthest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum PeerState {
    /// Nothing is tried.
    Idle,
    /// A connection is being made.
    Connect,
    /// A connection is waited for.
    Active,
    /// Our OPEN is on its way.
    OpenSent,
    /// Its OPEN was good.
    OpenConfirm,
    /// Routes flow.
    Established,
}

/// Which side found the fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// We did.
    We,
    /// The peer did.
    Peer,
}

/// Why a session ended or did not come about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastError {
    /// Which side found it.
    pub side: Side,
    /// One word of a fixed list, the same in API, console, log and metric: `hold-timer-expired`, `bad-peer-as`, …
    pub reason: &'static str,
    /// What was wrong, what was offered and what was expected.
    pub words: String,
    /// One next step.
    pub next_step: &'static str,
    /// Code and subcode of the NOTIFICATION, if there was one (RFC 4271 §4.5).
    pub notification: Option<(u8, u8)>,
    /// When.
    pub at: Instant,
}

/// What both sides agreed on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Negotiated {
    /// The neighbour's BGP identifier.
    pub router_id: Ipv4Addr,
    /// The neighbour's autonomous system.
    pub asn: u32,
    /// The smaller of both hold times.
    pub hold_time: Duration,
    /// A third of that, or what is configured.
    pub keepalive: Duration,
    /// What both speak.
    pub families: Families,
    /// The rest, by capability.
    pub advanced: Advanced,
}

/// Capabilities that both sides have.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Advanced {
    /// RFC 6793.
    pub four_octet_asn: bool,
    /// RFC 2918.
    pub route_refresh: bool,
    /// RFC 7313.
    pub enhanced_refresh: bool,
    /// RFC 8654.
    pub extended_messages: bool,
    /// RFC 4724: for so long the neighbour wants its routes kept.
    pub graceful_restart: Option<Duration>,
    /// RFC 8538.
    pub graceful_notification: bool,
    /// RFC 7911: families of which it may send several paths.
    pub add_path: Families,
    /// RFC 8950: IPv4 routes with IPv6 next hops.
    pub ipv6_next_hops: bool,
    /// RFC 9234: what it says it is.
    pub role: Option<Role>,
    /// FQDN capability: what it calls itself.
    pub host_name: Option<String>,
}

/// How many messages.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Messages {
    /// Of all kinds.
    pub total: u64,
    /// UPDATE.
    pub updates: u64,
    /// ROUTE-REFRESH.
    pub refreshes: u64,
    /// KEEPALIVE.
    pub keepalives: u64,
    /// NOTIFICATION.
    pub notifications: u64,
}

impl Messages {
    /// These and those.
    pub(crate) fn add(&mut self, others: &Self) {
        self.total += others.total;
        self.updates += others.updates;
        self.refreshes += others.refreshes;
        self.keepalives += others.keepalives;
        self.notifications += others.notifications;
    }
}

/// How many routes of one family.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FamilyCounts {
    /// Prefixes that it sent, accepted or not.
    pub received: u32,
    /// Of these, what the policy lets in.
    pub accepted: u32,
    /// Prefixes that it was sent.
    pub advertised: u32,
    /// How many it may send.
    pub limit: u32,
}
