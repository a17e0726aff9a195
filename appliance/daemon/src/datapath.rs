//! What the daemon asks of the datapath, and what the datapath lets be known.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use appliance_config::model::Name;
use appliance_dhcp::Lease;
use appliance_kernel::{Device, Refusal};
use appliance_nat::{Answered, Counted, Mode, Packet, Program, Verdict};
use ike::{ChildId, ConnectionName, Encapsulation, EspPair, Input, Watched};
use ipnet::IpNet;
use schemars::JsonSchema;
use serde::Serialize;
use tokio::sync::{mpsc, oneshot};

use crate::derive::NetworkSettings;

/// Which of the two datapaths carries ESP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// XFRM states and interfaces.
    Kernel,
    /// Workers of our own over TUN interfaces.
    User,
}

impl Kind {
    /// The word in status and log.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Kernel => "kernel",
            Self::User => "user",
        }
    }
}

/// What the owner of the datapath can be asked for.
#[derive(Debug)]
pub(crate) enum Request {
    /// What the network is to look like from now on; the answer tells, when all was tried, what of it is refused.
    Network(Box<NetworkSettings>, oneshot::Sender<Vec<Refused>>),
    /// This may soon be what is translated.
    Translate(Box<appliance_nat::Rules>),
    /// Carry a child; the permit is the room that its answer is sure to have.
    Install(ChildId, Box<EspPair>, mpsc::OwnedPermit<Input>),
    /// From now on packets leave by this child.
    SendBy(ChildId),
    /// Tell when a packet of one of these lines of a connection finds no child; replaces what was watched before.
    Watch(ConnectionName, Vec<Watched>),
    /// Our outer address and the peer's, and how a child travels between them, are these from now on.
    Move(ChildId, (SocketAddr, SocketAddr), Encapsulation),
    /// Tell how many packets each of these children has received; the permit is the room that the answer is sure to have.
    Traffic(Vec<ChildId>, mpsc::OwnedPermit<Input>),
    /// Tell how many packets each of these children has carried, both directions together.
    Carried(Vec<ChildId>, mpsc::OwnedPermit<Input>),
    /// Carry a child no longer.
    Remove(ChildId),
    /// Let the routes that BGP learnt change so, then answer.
    Learnt(Vec<LearntRoute>, oneshot::Sender<()>),
    /// Let go of the learnt routes of a daemon before this one that nobody learnt again.
    ReleaseLearnt,
    /// A server granted an interface this address, or it has none any more.
    Leased(Name, Option<Lease>),
    /// Tell what would become of the first packet of a flow.
    Foresee(Packet, oneshot::Sender<Result<Box<Foreseen>, Refused>>),
    /// Publish fresh counters, then answer.
    Refresh(oneshot::Sender<()>),
    /// Take everything away but what keeps the sites closed, then answer.
    Close(oneshot::Sender<()>),
}

/// What would become of the first packet of a flow.
#[derive(Debug)]
pub(crate) struct Foreseen {
    /// What was gone through.
    pub(crate) program: Arc<Program>,
    /// Whether the kernel has just that.
    pub(crate) in_place: bool,
    /// What becomes of the packet.
    pub(crate) verdict: Verdict,
    /// What becomes of an answer, if the packet gets through.
    pub(crate) answered: Option<Answered>,
    /// The links by which the kernel reaches the addresses that were asked for: none if one is ours, or nothing leads there.
    pub(crate) ways: BTreeMap<IpAddr, Option<String>>,
}

/// A change of what BGP learnt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum LearntRoute {
    /// The way to this prefix leads through the tunnels of these connections.
    Set(IpNet, Vec<ConnectionName>),
    /// There is none any more.
    Remove(IpNet),
}

/// What BGP stands on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Ground {
    /// The connections to BGP speakers whose tunnels carry.
    pub(crate) carried: BTreeSet<ConnectionName>,
    /// The learnt routes that the kernel does not take; why, in words.
    pub(crate) refused: BTreeMap<IpNet, String>,
}

/// What is published for status.
#[derive(Debug, Clone)]
pub(crate) struct DatapathSnapshot {
    /// Which datapath.
    pub(crate) kind: Kind,
    /// Why that one.
    pub(crate) why: String,
    /// The tunnel link of each connection.
    pub(crate) interfaces: BTreeMap<ConnectionName, String>,
    /// The connections whose site another connection has the routes of.
    pub(crate) idle: BTreeSet<ConnectionName>,
    /// The connections for which the kernel still has states of a daemon before this one.
    pub(crate) carried_over: BTreeSet<ConnectionName>,
    /// What each child carried.
    pub(crate) counters: BTreeMap<ChildId, Counters>,
    /// What each connection carried since the start.
    pub(crate) carried: BTreeMap<ConnectionName, Counters>,
    /// What the kernel does not take, at this moment.
    pub(crate) refused: Vec<Refused>,
    /// The interfaces of the document.
    pub(crate) machine: BTreeMap<Name, InterfaceSnapshot>,
    /// What is translated.
    pub(crate) translation: TranslationSnapshot,
    /// What is closed, if the document has interfaces.
    pub(crate) firewall: Option<FirewallSnapshot>,
}

/// What is closed on the machine's own interfaces.
#[derive(Debug, Clone, Default)]
pub(crate) struct FirewallSnapshot {
    /// Whether the kernel has it.
    pub(crate) in_place: bool,
    /// What was dropped, by reason.
    pub(crate) dropped: BTreeMap<String, Counted>,
}

/// What is translated, and by what.
#[derive(Debug, Clone, Default)]
pub(crate) struct TranslationSnapshot {
    /// Whether there are rules.
    pub(crate) wanted: bool,
    /// Whether the kernel has it.
    pub(crate) in_place: bool,
    /// Why it has not, if something refuses it.
    pub(crate) refused: Option<Refused>,
    /// The connections whose rules it does not know: they have no routes.
    pub(crate) closed: BTreeSet<ConnectionName>,
    /// Each rule on each connection.
    pub(crate) bindings: Vec<BindingSnapshot>,
    /// How many flows connection tracking refused since the kernel started, for want of a free port or otherwise.
    pub(crate) flows_refused: u64,
}

/// A rule on a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BindingSnapshot {
    /// The name of the connection.
    pub(crate) connection: String,
    /// The name of the rule.
    pub(crate) rule: String,
    /// Whose source addresses it translates.
    pub(crate) mode: Mode,
    /// The prefix that it translates.
    pub(crate) internal: IpNet,
    /// The prefix that it translates to.
    pub(crate) external: IpNet,
    /// What it translated since it is there.
    pub(crate) translated: Counted,
    /// The flows that it translates now.
    pub(crate) flows: u64,
    /// Of a dynamic rule.
    pub(crate) dynamic: Option<DynamicSnapshot>,
}

/// What is known of a dynamic rule on a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct DynamicSnapshot {
    /// External ports in use, of the protocol that uses most.
    pub(crate) ports_in_use: u64,
    /// External ports that each protocol has.
    pub(crate) ports: u64,
    /// What came to its external prefix without being asked for, and was dropped.
    pub(crate) refused: Counted,
}

/// One interface of the document.
#[derive(Debug, Clone)]
pub(crate) struct InterfaceSnapshot {
    /// What lies behind it.
    pub(crate) role: &'static str,
    /// What the kernel calls it; `None` while no device has the hardware address.
    pub(crate) link: Option<String>,
    /// What the kernel says of it, if it is there.
    pub(crate) device: Option<Device>,
    /// The MTU that it is to have.
    pub(crate) mtu: u32,
    /// The addresses that it is to have.
    pub(crate) wanted: Vec<IpNet>,
    /// Those that it has.
    pub(crate) addresses: Vec<IpNet>,
    /// The routers that its default routes lead to.
    pub(crate) gateways: Vec<IpAddr>,
    /// Its IPv4 address comes by DHCP.
    pub(crate) by_dhcp: bool,
    /// What the kernel does not take of it.
    pub(crate) refused: Vec<Refused>,
}

impl DatapathSnapshot {
    /// Before anything is carried.
    pub(crate) fn first(kind: Kind, why: String) -> Self {
        Self {
            kind,
            why,
            interfaces: BTreeMap::new(),
            idle: BTreeSet::new(),
            carried_over: BTreeSet::new(),
            counters: BTreeMap::new(),
            carried: BTreeMap::new(),
            refused: Vec::new(),
            machine: BTreeMap::new(),
            translation: TranslationSnapshot::default(),
            firewall: None,
        }
    }
}

/// What one child carried; inner octets.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counters {
    pub(crate) packets_in: u64,
    pub(crate) packets_out: u64,
    pub(crate) bytes_in: u64,
    pub(crate) bytes_out: u64,
    /// What the peer has sent and did not arrive. That of a child falls again when a packet comes late.
    pub(crate) packets_lost: u64,
}

impl Counters {
    /// What was added since.
    pub(crate) fn since(self, before: &Self) -> Self {
        Self {
            packets_in: self.packets_in.saturating_sub(before.packets_in),
            packets_out: self.packets_out.saturating_sub(before.packets_out),
            bytes_in: self.bytes_in.saturating_sub(before.bytes_in),
            bytes_out: self.bytes_out.saturating_sub(before.bytes_out),
            packets_lost: self.packets_lost.saturating_sub(before.packets_lost),
        }
    }

    /// So much more.
    pub(crate) fn add(&mut self, more: Self) {
        self.packets_in += more.packets_in;
        self.packets_out += more.packets_out;
        self.bytes_in += more.bytes_in;
        self.bytes_out += more.bytes_out;
        self.packets_lost += more.packets_lost;
    }
}

/// One object that the kernel did not take.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub(crate) struct Refused {
    pub(crate) object: String,
    pub(crate) attribute: Option<String>,
    pub(crate) detail: String,
}

impl From<&Refusal> for Refused {
    fn from(refusal: &Refusal) -> Self {
        Self {
            object: refusal.object.clone(),
            attribute: refusal.attribute.clone(),
            detail: refusal.detail.clone(),
        }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.object, self.detail)?;
        match &self.attribute {
            Some(attribute) => write!(f, " (attribute {attribute})"),
            None => Ok(()),
        }
    }
}
