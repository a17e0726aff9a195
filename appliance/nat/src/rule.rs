use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use ipnet::IpNet;

/// What is to be translated: connections that have rules, by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rules {
    /// By the name of the connection.
    pub tunnels: BTreeMap<String, Tunnel>,
}

/// The rules of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tunnel {
    /// The link of the tunnel.
    pub link: String,
    /// The number of the connection, which no other one has.
    pub number: u16,
    /// The site that it leads to.
    pub site: String,
    /// For what comes from the site, by the name of the rule.
    pub ingress: BTreeMap<String, Rule>,
    /// For what goes to it, by the name of the rule.
    pub egress: BTreeMap<String, Rule>,
}

/// What becomes of an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// How.
    pub kind: Kind,
    /// The prefix before translation.
    pub internal: IpNet,
    /// The prefix after it, of the same IP version.
    pub external: IpNet,
}

/// How a rule translates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// Host by host, both prefixes being of one length.
    Static {
        /// Only this TCP and UDP port, internal and external; all traffic if `None`.
        ports: Option<(u16, u16)>,
    },
    /// Many hosts behind few addresses, so only the internal side can begin.
    Dynamic {
        /// The ports that it may take, in order and apart.
        ports: Vec<RangeInclusive<u16>>,
    },
}

/// Whose source addresses a rule translates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mode {
    /// The site's, when its packets come out of the tunnel.
    Ingress,
    /// Ours, when our packets enter it.
    Egress,
}

impl Tunnel {
    /// The rules of one mode, by name.
    pub fn rules(&self, mode: Mode) -> &BTreeMap<String, Rule> {
        match mode {
            Mode::Ingress => &self.ingress,
            Mode::Egress => &self.egress,
        }
    }
}

impl Mode {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Ingress, Self::Egress];

    /// As in names of maps.
    pub fn word(self) -> &'static str {
        match self {
            Self::Ingress => "ingress",
            Self::Egress => "egress",
        }
    }
}

impl Rule {
    /// Whether only the internal side can begin.
    pub fn is_dynamic(&self) -> bool {
        match self.kind {
            Kind::Static { .. } => false,
            Kind::Dynamic { .. } => true,
        }
    }

    /// Whether it translates all traffic host by host, so that a lookup of prefixes says all of it.
    pub(crate) fn is_whole(&self) -> bool {
        matches!(self.kind, Kind::Static { ports: None })
    }

    /// The internal and external port, if it is for one only.
    pub fn ports(&self) -> Option<(u16, u16)> {
        match self.kind {
            Kind::Static { ports } => ports,
            Kind::Dynamic { .. } => None,
        }
    }
}
