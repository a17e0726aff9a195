use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use ipnet::IpNet;

use crate::numbers::{BindingKey, Numbers};
use crate::rule::{Mode, Rule};

/// What the kernel does about the rules, as plain data: the content of one table of nftables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    pub(crate) numbers: Numbers,
    pub(crate) bindings: BTreeMap<u16, Binding>,
    pub(crate) tables: BTreeMap<u32, String>,
    pub(crate) maps: Vec<Map>,
    pub(crate) chains: Vec<Chain>,
}

/// A rule on a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binding {
    /// What says the same in another program; the name of its counter.
    pub key: BindingKey,
    /// The name of the connection.
    pub connection: String,
    /// The name of the rule.
    pub name: String,
    /// Whose source addresses it translates.
    pub mode: Mode,
    /// What it says.
    pub rule: Rule,
}

/// What is looked up: a set if the elements have no values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Map {
    /// Its name in the table.
    pub name: String,
    /// What it is for, in words.
    pub about: String,
    /// What is looked up in it.
    pub key: Key,
    /// What is found.
    pub data: Data,
    /// Elements, no two of which match the same.
    pub elements: Vec<(Element, Value)>,
}

/// What a map is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    /// The name of a link.
    Link,
    /// The name of the link that the route to the destination leads to.
    Route,
    /// An address, near something.
    Address(Near, Family),
    /// An address, near something, with a protocol and a port.
    Port(Near, Family),
    /// The mark of a packet or a flow.
    Mark,
    /// The classes of two sites.
    Pair,
}

/// What stands before an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Near {
    /// A link.
    Link,
    /// A mark.
    Mark,
}

/// What a map answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Data {
    /// Only whether there is an element.
    Nothing,
    /// Where to go on.
    Verdict,
    /// A zone of connection tracking.
    Zone,
    /// A mark of the packet.
    Mark,
    /// Classes, or a rule's number, that are written down.
    Pair,
    /// A prefix.
    Prefix(Family),
    /// A counter.
    Counter,
}

/// The versions of IP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Family {
    /// IPv4
    V4,
    /// IPv6
    V6,
}

/// What an element matches.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Element {
    /// A link.
    Link(String),
    /// The addresses of a prefix, there.
    Net(Place, IpNet),
    /// A TCP or UDP port (by IANA protocol number) at the addresses of a prefix, there.
    Port(Place, IpNet, u8, u16),
    /// A mark, or the classes of two sites.
    Number(u32),
}

/// What an address is near.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// This link.
    Link(String),
    /// This mark.
    Mark(u32),
}

/// What an element stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// Nothing more.
    Member,
    /// A chain, and back.
    Jump(String),
    /// A chain, and back to where its caller came from.
    Goto(String),
    /// A zone of connection tracking.
    Zone(u16),
    /// A mark, or classes or a rule's number that are written down.
    Mark(u32),
    /// A prefix.
    Prefix(IpNet),
    /// A counter, by name.
    Counter(String),
}

/// Lines, of which each is for the packets that meet its conditions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chain {
    /// Its name in the table.
    pub name: String,
    /// What it is for, in words.
    pub about: String,
    /// Where packets come in; only from other chains if `None`.
    pub hook: Option<Hook>,
    /// In order.
    pub lines: Vec<Line>,
}

/// Where packets pass, in this order on their way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Hook {
    /// What comes in, before connection tracking.
    Before,
    /// What is our own, before connection tracking.
    BeforeOwn,
    /// What is our own, after it.
    Own,
    /// The destination of what comes in, once for each flow.
    Destination,
    /// The destination of what is our own, once for each flow.
    DestinationOwn,
    /// What is passed on.
    Passing,
    /// The source of what goes out, once for each flow.
    Source,
    /// The source of what is for us, once for each flow.
    SourceOwn,
    /// What goes out, after translation.
    After,
    /// What is for us, after translation.
    AfterOwn,
}

/// Actions for packets that meet all conditions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// All must hold.
    pub conditions: Vec<Condition>,
    /// In order.
    pub actions: Vec<Action>,
}

/// The ends of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Side {
    /// Where it is from.
    Source,
    /// Where it goes.
    Destination,
}

/// The halves of a flow's mark: which binding translated that side of its first packet.
pub type Half = Side;

/// What of a packet is looked up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Field {
    /// The link that it came in by.
    InLink,
    /// The link that it goes out by.
    OutLink,
    /// The link that the route to its destination leads to.
    RouteLink,
    /// An address, with what it is near.
    Address(By, Side, Family),
    /// The same, with protocol and port.
    Port(By, Side, Family),
    /// Its mark.
    Mark,
    /// Half of its flow's mark.
    Flow(Half),
    /// The classes of the sites that it is from and for.
    Pair,
}

/// What an address is looked up with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// The link that the packet came in by.
    InLink,
    /// The link that it goes out by.
    OutLink,
    /// The link that the route to its destination leads to.
    RouteLink,
    /// Its mark.
    Mark,
}

/// What a line asks of a packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// It is in a set.
    In(Field, String),
    /// The classes are at least this.
    PairFrom(u32),
    /// These bits are in what is written down.
    PairHas(u32),
    /// The classes are at most this.
    PairUpTo(u32),
    /// The protocol is one of these, by IANA number.
    Protocol(Vec<u8>),
    /// Its mark is one of ours.
    Marked,
    /// It is of no flow that connection tracking knows or can begin.
    Unknown,
    /// It is an ICMP error about a packet of a flow, for this end of the flow's first packet.
    ErrorFor(Side),
}

/// What a line does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Goes on where the map says.
    Branch(Field, String),
    /// Goes on in a chain, and comes back.
    Jump(String),
    /// Marks the packet, which decides about its route.
    Mark(u32),
    /// Marks the packet as the map says.
    MarkFrom(Field, String),
    /// Writes down classes.
    Pair(u32),
    /// Writes down what the map says.
    PairBy(Field, String),
    /// Writes down classes, keeping the bits of the first.
    PairWith(u32, u32),
    /// Tracks it in a zone.
    Zone(u16),
    /// Tracks it in the zone that the map says.
    ZoneFrom(Field, String),
    /// Writes into the flow's mark which binding translates it.
    Bind(Half, u16),
    /// Adds these bits to half of the flow's mark.
    BindBits(Half, u16),
    /// Writes into the flow's mark what the map says.
    BindFrom(Field, String),
    /// Removes half of the flow's mark.
    Unbind(Half),
    /// Translates the flow.
    Translate(Side, Target),
    /// Translates that side of the flow to the same host of the prefix that the map says of that half of its mark.
    TranslateBy(Half, Family, String),
    /// Goes on in one of these chains, by chance in proportion.
    Spread(Vec<(u32, String)>),
    /// Counts it where the map says.
    Count(Field, String),
    /// Counts it.
    Hit(String),
    /// Drops it.
    Drop,
    /// Lets it pass this hook.
    Accept,
    /// Back to the caller.
    Return,
}

/// What an address becomes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// The same host of another prefix, at another port.
    Port {
        /// The prefix and port that match.
        from: (IpNet, u16),
        /// What they become.
        to: (IpNet, u16),
    },
    /// An address of these, at a port of these if the protocol has ports, or ids.
    Pool(IpNet, Option<RangeInclusive<u16>>),
}

impl Program {
    /// What bindings and sites are called, for the next program.
    pub fn numbers(&self) -> &Numbers {
        &self.numbers
    }

    /// Every rule on every connection, by its number in marks.
    pub fn bindings(&self) -> &BTreeMap<u16, Binding> {
        &self.bindings
    }

    /// The links that marks lead to, whatever the routes say: what bears one of these marks needs a routing table of its own.
    pub fn tables(&self) -> &BTreeMap<u32, String> {
        &self.tables
    }

    /// All that is looked up.
    pub fn maps(&self) -> &[Map] {
        &self.maps
    }

    /// What happens, hooks first.
    pub fn chains(&self) -> &[Chain] {
        &self.chains
    }
}

/// The counter of packets that were to be translated and could not be.
pub const UNKNOWN: &str = "unknown";

impl Binding {
    /// The counter of new flows to its external prefix that were dropped, if it is dynamic.
    pub fn refused(&self) -> Option<String> {
        self.rule.is_dynamic().then(|| format!("{}.refused", self.key))
    }
}

impl Side {
    /// The other end.
    pub fn other(self) -> Self {
        match self {
            Self::Source => Self::Destination,
            Self::Destination => Self::Source,
        }
    }
}

impl Family {
    /// Both.
    pub const ALL: [Self; 2] = [Self::V4, Self::V6];

    /// As in names of maps.
    pub fn digit(self) -> u8 {
        match self {
            Self::V4 => 4,
            Self::V6 => 6,
        }
    }

    /// That of a prefix.
    pub fn of(net: &IpNet) -> Self {
        match net {
            IpNet::V4(_) => Self::V4,
            IpNet::V6(_) => Self::V6,
        }
    }
}

impl Action {
    /// The map that it looks something up in.
    pub fn map(&self) -> Option<&str> {
        match self {
            Self::Branch(_, map)
            | Self::MarkFrom(_, map)
            | Self::PairBy(_, map)
            | Self::ZoneFrom(_, map)
            | Self::BindFrom(_, map)
            | Self::TranslateBy(.., map)
            | Self::Count(_, map) => Some(map),
            Self::Jump(_)
            | Self::Mark(_)
            | Self::Pair(_)
            | Self::PairWith(..)
            | Self::Zone(_)
            | Self::Bind(..)
            | Self::BindBits(..)
            | Self::Unbind(_)
            | Self::Translate(..)
            | Self::Spread(_)
            | Self::Hit(_)
            | Self::Drop
            | Self::Accept
            | Self::Return => None,
        }
    }
}

impl Condition {
    /// The set that it looks something up in.
    pub fn set(&self) -> Option<&str> {
        match self {
            Self::In(_, set) => Some(set),
            Self::PairFrom(_)
            | Self::PairHas(_)
            | Self::PairUpTo(_)
            | Self::Protocol(_)
            | Self::Marked
            | Self::Unknown
            | Self::ErrorFor(_) => None,
        }
    }
}

impl Value {
    /// The mark, or what is written down.
    pub(crate) fn mark(&self) -> Option<u32> {
        match self {
            Self::Mark(mark) => Some(*mark),
            Self::Member
            | Self::Jump(_)
            | Self::Goto(_)
            | Self::Zone(_)
            | Self::Prefix(_)
            | Self::Counter(_) => None,
        }
    }

    /// The zone.
    pub(crate) fn zone(&self) -> Option<u16> {
        match self {
            Self::Zone(zone) => Some(*zone),
            Self::Member
            | Self::Jump(_)
            | Self::Goto(_)
            | Self::Mark(_)
            | Self::Prefix(_)
            | Self::Counter(_) => None,
        }
    }

    /// The prefix.
    pub(crate) fn prefix(&self) -> Option<IpNet> {
        match self {
            Self::Prefix(prefix) => Some(*prefix),
            Self::Member
            | Self::Jump(_)
            | Self::Goto(_)
            | Self::Zone(_)
            | Self::Mark(_)
            | Self::Counter(_) => None,
        }
    }
}

impl Place {
    /// What kind of thing that is.
    pub fn near(&self) -> Near {
        match self {
            Self::Link(_) => Near::Link,
            Self::Mark(_) => Near::Mark,
        }
    }
}

impl Hook {
    /// The name of the chain at this hook.
    pub fn chain(self) -> &'static str {
        match self {
            Self::Before => "before",
            Self::BeforeOwn => "before_own",
            Self::Own => "own",
            Self::Destination => "destination",
            Self::DestinationOwn => "destination_own",
            Self::Passing => "passing",
            Self::Source => "source",
            Self::SourceOwn => "source_own",
            Self::After => "after",
            Self::AfterOwn => "after_own",
        }
    }
}
