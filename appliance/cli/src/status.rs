use std::collections::BTreeMap;

use serde::Deserialize;

use crate::interface::Interface;

/// What `GET /api/v1/status` gives, as far as it is shown.
#[derive(Debug, Deserialize)]
pub(crate) struct Status {
    pub(crate) version: String,
    pub(crate) datapath: Datapath,
    pub(crate) connections: BTreeMap<String, Connection>,
    #[serde(default)]
    pub(crate) interfaces: BTreeMap<String, Interface>,
    #[serde(default)]
    pub(crate) drops: BTreeMap<String, u64>,
    #[serde(default)]
    pub(crate) half_open: u64,
    #[serde(default)]
    pub(crate) kernel: Kernel,
    pub(crate) firewall: Option<Firewall>,
    #[serde(default)]
    pub(crate) clock: Clock,
    pub(crate) name_servers: Option<Servers>,
    #[serde(default)]
    pub(crate) configuration: Configuration,
}

/// How right the clock is.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Clock {
    pub(crate) state: String,
    pub(crate) error_ms: Option<u64>,
    pub(crate) servers: Option<Servers>,
    pub(crate) outage: Option<Outage>,
}

/// Servers that the machine asks.
#[derive(Debug, Deserialize)]
pub(crate) struct Servers {
    pub(crate) source: String,
    pub(crate) hosts: Vec<String>,
}

/// Which configuration runs.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Configuration {
    pub(crate) startup: Option<u32>,
    pub(crate) trial: Option<Trial>,
    pub(crate) store: Option<StoreFault>,
    pub(crate) machine_key: Option<MachineKey>,
    #[serde(default)]
    pub(crate) notices: Vec<Notice>,
}

/// What the daemon keeps and does not act on.
#[derive(Debug, Deserialize)]
pub(crate) struct Notice {
    pub(crate) path: String,
    pub(crate) reason: String,
    pub(crate) detail: String,
}

/// A generation that returns by itself.
#[derive(Debug, Deserialize)]
pub(crate) struct Trial {
    pub(crate) generation: u32,
    pub(crate) remaining_s: u64,
}

/// What is wrong with the store.
#[derive(Debug, Deserialize)]
pub(crate) struct StoreFault {
    pub(crate) reason: String,
    pub(crate) detail: String,
}

/// Where the key is that seals secrets.
#[derive(Debug, Deserialize)]
pub(crate) struct MachineKey {
    pub(crate) kept: String,
    pub(crate) reason: Option<String>,
    pub(crate) detail: Option<String>,
}

/// What carries ESP.
#[derive(Debug, Deserialize)]
pub(crate) struct Datapath {
    pub(crate) kind: String,
    pub(crate) why: String,
}

/// What the kernel says.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Kernel {
    pub(crate) refused: Vec<Refusal>,
}

/// What is closed on the interfaces of the document.
#[derive(Debug, Deserialize)]
pub(crate) struct Firewall {
    pub(crate) in_place: bool,
    /// By reason.
    pub(crate) dropped: BTreeMap<String, Dropped>,
}

/// How much was dropped.
#[derive(Debug, Deserialize)]
pub(crate) struct Dropped {
    pub(crate) packets: u64,
}

/// Something that the kernel does not take.
#[derive(Debug, Deserialize)]
pub(crate) struct Refusal {
    pub(crate) object: String,
    pub(crate) attribute: Option<String>,
    pub(crate) detail: String,
}

/// What is to be seen to, although it works.
#[derive(Debug, Deserialize)]
pub(crate) struct Warning {
    pub(crate) reason: String,
    pub(crate) subject: String,
    pub(crate) place: String,
    pub(crate) not_after: String,
    pub(crate) next_step: String,
}

/// One connection.
#[derive(Debug, Deserialize)]
pub(crate) struct Connection {
    pub(crate) state: State,
    pub(crate) since_s: Option<u64>,
    pub(crate) outage: Option<Outage>,
    pub(crate) interface: Option<String>,
    /// What is to be seen to, although it works.
    #[serde(default)]
    pub(crate) warnings: Vec<Warning>,
    /// Another connection has the routes of its site.
    #[serde(default)]
    pub(crate) standby: bool,
    /// Its traffic goes by what a daemon before this one left in the kernel.
    #[serde(default)]
    pub(crate) carried_over: bool,
    /// Its BGP session, in a line.
    pub(crate) bgp: Option<String>,
    pub(crate) ike: Option<IkeSa>,
    #[serde(default)]
    pub(crate) reauthentication: Reauthentication,
    pub(crate) ikev2: Option<TrialOfIkev2>,
    #[serde(default)]
    pub(crate) children: Vec<ChildSa>,
    #[serde(default)]
    pub(crate) lines: Vec<Line>,
    #[serde(default)]
    pub(crate) weak: Vec<Weak>,
    /// Oldest first; only of a connection that was asked for by name.
    #[serde(default)]
    pub(crate) events: Vec<Event>,
}

/// A selector line of a connection.
#[derive(Debug, Deserialize)]
pub(crate) struct Line {
    pub(crate) local: Vec<String>,
    pub(crate) remote: Vec<String>,
    pub(crate) state: LineState,
    pub(crate) outage: Option<Outage>,
}

/// Where a selector line stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum LineState {
    Up,
    Waiting,
    Pending,
    Refused,
}

/// An algorithm that nobody should choose.
#[derive(Debug, Deserialize)]
pub(crate) struct Weak {
    pub(crate) algorithm: String,
    pub(crate) why: String,
    pub(crate) in_use: bool,
}

/// Something that happened, to a connection or otherwise, perhaps several times in a row.
#[derive(Debug, Deserialize)]
pub(crate) struct Event {
    pub(crate) at: String,
    pub(crate) first: Option<String>,
    #[serde(default)]
    pub(crate) times: u64,
    pub(crate) event: String,
    /// Told with the events of all.
    pub(crate) connection: Option<String>,
    pub(crate) generation: Option<u32>,
    pub(crate) author: Option<String>,
    pub(crate) object: Option<String>,
    pub(crate) detail: Option<String>,
    pub(crate) lasted_s: Option<u64>,
    pub(crate) peer: Option<String>,
    pub(crate) reason: Option<String>,
    pub(crate) side: Option<Side>,
    pub(crate) stage: Option<String>,
    #[serde(default)]
    pub(crate) offered: String,
    #[serde(default)]
    pub(crate) expected: String,
}

/// Where a connection stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum State {
    Up,
    Connecting,
    Down,
    Disabled,
}

/// Why a connection is down.
#[derive(Debug, Deserialize)]
pub(crate) struct Outage {
    pub(crate) reason: String,
    pub(crate) side: Side,
    pub(crate) stage: String,
    #[serde(default)]
    pub(crate) offered: String,
    #[serde(default)]
    pub(crate) expected: String,
    #[serde(default)]
    pub(crate) next_step: String,
}

/// Who found the fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Side {
    We,
    Peer,
}

/// The IKE SA of a connection.
#[derive(Debug, Deserialize)]
pub(crate) struct IkeSa {
    pub(crate) local: String,
    pub(crate) remote: String,
    pub(crate) remote_identity: Option<String>,
    #[serde(default)]
    pub(crate) algorithms: String,
    #[serde(default)]
    pub(crate) nat_local: bool,
    #[serde(default)]
    pub(crate) nat_remote: bool,
    #[serde(default)]
    pub(crate) extensions: Vec<String>,
    /// When we begin to replace it.
    pub(crate) rekey_in_s: Option<u64>,
}

/// Whether and when both sides prove anew who they are.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Reauthentication {
    pub(crate) due_in_s: Option<u64>,
    #[serde(default)]
    pub(crate) under_way: bool,
}

/// Whether the peer of a connection of IKEv1 answers IKEv2.
#[derive(Debug, Deserialize)]
pub(crate) struct TrialOfIkev2 {
    pub(crate) since_s: u64,
    pub(crate) answer: String,
    #[serde(default)]
    pub(crate) offered: String,
    #[serde(default)]
    pub(crate) said: String,
    #[serde(default)]
    pub(crate) next_step: String,
}

impl TrialOfIkev2 {
    /// What came of it is not known yet.
    pub(crate) fn is_awaited(&self) -> bool {
        self.answer == "awaited"
    }

    /// The peer takes a proposal.
    pub(crate) fn is_accepted(&self) -> bool {
        self.answer == "accepted"
    }
}

/// A Child SA of a connection.
#[derive(Debug, Deserialize)]
pub(crate) struct ChildSa {
    pub(crate) inbound_spi: String,
    pub(crate) outbound_spi: String,
    pub(crate) algorithms: String,
    pub(crate) encapsulation: String,
    pub(crate) local_selectors: Vec<String>,
    pub(crate) remote_selectors: Vec<String>,
    pub(crate) packets_in: u64,
    pub(crate) packets_out: u64,
    pub(crate) bytes_in: u64,
    pub(crate) bytes_out: u64,
    #[serde(default)]
    pub(crate) packets_lost: u64,
    /// When we begin to replace it.
    pub(crate) rekey_in_s: Option<u64>,
}

impl Status {
    /// Every connection that is to run is up, every interface too, and the kernel takes everything.
    pub(crate) fn is_well(&self) -> bool {
        self.connections.values().all(Connection::is_well)
            && self.interfaces.values().all(Interface::is_up)
            && self.kernel.refused.is_empty()
    }
}

impl Connection {
    /// It carries traffic, unless it is not to run.
    pub(crate) fn is_well(&self) -> bool {
        matches!(self.state, State::Up | State::Disabled)
    }

    /// It carries traffic.
    pub(crate) fn is_up(&self) -> bool {
        self.state == State::Up
    }
}
