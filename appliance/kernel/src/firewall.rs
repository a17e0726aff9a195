//! The nftables table that closes the machine's own interfaces, replaced whole.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::net::IpAddr;
use std::sync::Arc;

use appliance_nat::Counted;
use ipnet::IpNet;

use crate::link::LinkName;
use crate::mark;
use crate::translation::{digest_in, fnv1a};

/// How the name of the chain begins that says which openings the table has.
const DIGEST: &str = "openings_";
/// What packets are dropped for, as the counters of the table are called: for this machine and not open; through it and not
/// between networks that it joins; to private addresses by an interface of role wan; from an address that is not behind the
/// interface that it came by.
pub const DROPS: [&str; 4] = [CLOSED, NOT_FORWARDED, LEAK, SPOOFED];
const CLOSED: &str = "closed";
const NOT_FORWARDED: &str = "not-forwarded";
const LEAK: &str = "leak";
const SPOOFED: &str = "spoofed";
/// Addresses that mean something only inside of a network: RFC 1918, RFC 6598, RFC 3927; RFC 4193.
const PRIVATE: [&str; 6] = [
    "10.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "100.64.0.0/10",
    "169.254.0.0/16",
    "fc00::/7",
];
/// Ports of IKE, with ESP in the second one (RFC 7296 §2, RFC 3948).
const IKE: &str = "{ 500, 4500 }";
/// ESP without UDP (RFC 4303).
const ESP: &str = "meta l4proto esp";

/// What is open on the interfaces of the machine, by role. Everything else is closed on them, and on the tunnels; other links
/// are let be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Openings {
    /// The ways to the peers.
    pub outside: BTreeSet<LinkName>,
    /// Networks of ours.
    pub inside: BTreeSet<LinkName>,
    /// Those who manage this machine.
    pub management: BTreeSet<LinkName>,
    /// TCP ports of API and console.
    pub api: BTreeSet<u16>,
    /// From where they may be reached by whatever interface or tunnel; without any, from inside and management.
    pub api_sources: Vec<IpNet>,
    /// The BGP speakers at the far ends of tunnels.
    pub speakers: BTreeSet<IpAddr>,
    /// Prefixes that are right there outside, or may be reached by it although they are private.
    pub near: Vec<IpNet>,
    /// Networks of ours, from which nothing comes by the outside unless it is near there, too.
    pub own: Vec<IpNet>,
}

impl Openings {
    /// Whether something of a prefix is private.
    pub fn is_private(prefix: &IpNet) -> bool {
        let mut private = PRIVATE.iter().filter_map(|text| text.parse::<IpNet>().ok());
        private.any(|private| private.contains(prefix) || prefix.contains(&private))
    }

    /// The table, with counters that go on from here.
    fn table(&self, counted: &BTreeMap<String, Counted>) -> String {
        let mut table = format!("table inet {} {{\n", mark::FIREWALL_TABLE);
        for drop in DROPS {
            let Counted { packets, bytes } = counted.get(drop).copied().unwrap_or_default();
            let _ = writeln!(table, "\tcounter {drop} {{ packets {packets} bytes {bytes}; }}");
        }
        self.sets(&mut table);
        table.push_str(&self.arriving());
        table.push_str(&self.input());
        table.push_str(&forward());
        table.push_str(&self.output());
        table.push_str("}\n");
        table
    }

    fn sets(&self, table: &mut String) {
        let apart = self.outside.union(&self.management);
        let named = self.outside.iter().chain(&self.inside).chain(&self.management);
        let links: [(&str, Vec<String>); 4] = [
            ("outside", quoted(&self.outside)),
            ("trusted", quoted(self.inside.union(&self.management))),
            ("apart", quoted(apart)),
            ("named", quoted(named)),
        ];
        for (name, elements) in links {
            set(table, name, "type ifname", &elements);
        }
        let ports: Vec<String> = self.api.iter().map(ToString::to_string).collect();
        set(table, "api", "type inet_service", &ports);
        let private: Vec<IpNet> = PRIVATE.iter().filter_map(|text| text.parse().ok()).collect();
        let speakers: Vec<IpNet> = self.speakers.iter().copied().map(IpNet::from).collect();
        for (name, prefixes) in [
            ("private", &private),
            ("near", &self.near),
            ("own", &self.own),
            ("speakers", &speakers),
            ("api_sources", &self.api_sources),
        ] {
            // An interval may not lie in another one.
            let prefixes = IpNet::aggregate(prefixes);
            let (four, six): (Vec<IpNet>, Vec<_>) =
                prefixes.into_iter().partition(|one| one.addr().is_ipv4());
            for (version, kind, prefixes) in [("v4", "ipv4_addr", four), ("v6", "ipv6_addr", six)] {
                let elements: Vec<String> = prefixes.iter().map(ToString::to_string).collect();
                set(
                    table,
                    &format!("{name}_{version}"),
                    &format!("type {kind}; flags interval"),
                    &elements,
                );
            }
        }
    }

    /// Before anything else is done with a packet: whether its source is where it says (RFC 3704 §2.3: by whatever way leads
    /// back over the same link); tunnels may be asymmetric. What carries tunnels is no flow to remember.
    fn arriving(&self) -> String {
        format!(
            "\tchain arriving {{\n\t\ttype filter hook prerouting priority raw; policy accept;\n\
             \t\tiifname @trusted fib saddr . iif oif missing counter name {SPOOFED} drop\n\
             \t\tiifname @outside ip saddr @own_v4 ip saddr != @near_v4 counter name {SPOOFED} drop\n\
             \t\tiifname @outside ip6 saddr @own_v6 ip6 saddr != @near_v6 counter name {SPOOFED} drop\n\
             \t\tiifname @outside udp dport {IKE} notrack\n\
             \t\tiifname @outside {ESP} notrack\n\t}}\n\
             \tchain leaving {{\n\t\ttype filter hook output priority raw; policy accept;\n\
             \t\toifname @outside udp sport {IKE} notrack\n\
             \t\toifname @outside {ESP} notrack\n\t}}\n"
        )
    }

    /// For this machine.
    fn input(&self) -> String {
        let tunnels = format!("iifname \"{}*\"", mark::TUNNEL_PREFIX);
        let api = if self.api_sources.is_empty() {
            "\t\tiifname @trusted tcp dport @api accept\n".to_owned()
        } else {
            "\t\tip saddr @api_sources_v4 tcp dport @api accept\n\
             \t\tip6 saddr @api_sources_v6 tcp dport @api accept\n"
                .to_owned()
        };
        let mut speakers = String::new();
        for (family, version) in [("ip", "v4"), ("ip6", "v6")] {
            // RFC 4271 §8.2.1; RFC 5881 §4, RFC 5883 §5.
            for ports in ["tcp dport 179", "udp dport { 3784, 4784 }"] {
                let _ = writeln!(
                    speakers,
                    "\t\t{tunnels} {family} saddr @speakers_{version} {ports} accept"
                );
            }
        }
        format!(
            "\tchain input {{\n\t\ttype filter hook input priority filter; policy accept;\n\
             \t\tiifname \"lo\" accept\n\
             \t\tiifname != @named {} accept\n\
             \t\tct state established,related accept\n\
             \t\tiifname @named udp dport {IKE} accept\n\
             \t\tiifname @named {ESP} accept\n\
             \t\ticmp type {{ echo-request, destination-unreachable, time-exceeded, parameter-problem }} accept\n\
             \t\ticmpv6 type {{ echo-request, destination-unreachable, packet-too-big, time-exceeded, parameter-problem }} accept\n\
             \t\ticmpv6 type {{ nd-router-advert, nd-neighbor-solicit, nd-neighbor-advert, mld-listener-query }} accept\n\
             {api}{speakers}\
             \t\tiifname @named udp sport 67 udp dport 68 accept\n\
             \t\tcounter name {CLOSED} drop\n\t}}\n",
            tunnels.replace("iifname", "iifname !="),
        )
    }

    /// From this machine. What carries tunnels may go to whatever address a peer has, and an answer of the API to whoever
    /// may ask.
    fn output(&self) -> String {
        let mut answers = String::new();
        if !self.api_sources.is_empty() {
            for (family, version) in [("ip", "v4"), ("ip6", "v6")] {
                let _ = writeln!(
                    answers,
                    "\t\t{family} daddr @api_sources_{version} tcp sport @api ct direction reply accept"
                );
            }
        }
        format!(
            "\tchain output {{\n\t\ttype filter hook output priority filter; policy accept;\n\
             \t\toifname != @outside accept\n\
             \t\tudp sport {IKE} accept\n\
             \t\t{ESP} accept\n\
             \t\tudp sport 68 udp dport 67 accept\n\
             {answers}{}\t}}\n",
            leaks(),
        )
    }
}

/// Through this machine: between networks that it joins, which are those inside and the tunnels. Where one end is neither an
/// interface of the document nor a tunnel, whoever set that one up decides.
fn forward() -> String {
    let tunnels = format!("\"{}*\"", mark::TUNNEL_PREFIX);
    format!(
        "\tchain forward {{\n\t\ttype filter hook forward priority filter; policy accept;\n\
         {}\
         \t\tiifname != @named iifname != {tunnels} accept\n\
         \t\toifname != @named oifname != {tunnels} accept\n\
         \t\tiifname @apart counter name {NOT_FORWARDED} drop\n\
         \t\toifname @apart counter name {NOT_FORWARDED} drop\n\t}}\n",
        leaks(),
    )
}

/// Nothing leaves to private addresses that are not right there, whatever the routes say: the route into the tunnel may be lost.
fn leaks() -> String {
    let mut rules = String::new();
    for (family, version) in [("ip", "v4"), ("ip6", "v6")] {
        let _ = writeln!(
            rules,
            "\t\toifname @outside {family} daddr @private_{version} {family} daddr != @near_{version} counter name {LEAK} drop"
        );
    }
    rules
}

fn quoted<'l>(links: impl IntoIterator<Item = &'l LinkName>) -> Vec<String> {
    let distinct: BTreeSet<&LinkName> = links.into_iter().collect();
    distinct.iter().map(|link| format!("\"{link}\"")).collect()
}

fn set(table: &mut String, name: &str, kind: &str, elements: &[String]) {
    let _ = write!(table, "\tset {name} {{\n\t\t{kind};\n");
    if !elements.is_empty() {
        let _ = writeln!(table, "\t\telements = {{ {} }}", elements.join(", "));
    }
    table.push_str("\t}\n");
}

/// What the table does. Two are the same if they have the same openings.
#[derive(Debug, Clone)]
pub struct Firewall {
    /// `None` if it was found at start.
    openings: Option<Arc<Openings>>,
    digest: String,
}

impl PartialEq for Firewall {
    fn eq(&self, other: &Self) -> bool {
        self.digest == other.digest
    }
}

impl Firewall {
    /// One with these openings.
    pub fn with(openings: Openings) -> Self {
        let table = openings.table(&BTreeMap::new());
        Self {
            openings: Some(Arc::new(openings)),
            digest: format!("{:016x}", fnv1a(table.bytes())),
        }
    }

    /// Its openings, unless it was found at start.
    pub fn openings(&self) -> Option<&Openings> {
        self.openings.as_deref()
    }

    /// The script for `nft -f -`: makes or replaces the table in one transaction, with counters that go on from here.
    pub(crate) fn script(&self, counted: &BTreeMap<String, Counted>) -> Option<String> {
        let table = self.openings.as_ref()?.table(counted);
        let (removal, name, digest) = (Firewall::removal(), mark::FIREWALL_TABLE, &self.digest);
        Some(format!(
            "{removal}{table}add chain inet {name} {DIGEST}{digest}\n"
        ))
    }

    /// The script that removes the table, whether it is there or not.
    pub(crate) fn removal() -> String {
        let table = mark::FIREWALL_TABLE;
        format!("table inet {table} {{}}\ndelete table inet {table}\n")
    }

    /// Reads what `nft list table` prints of our table. One of another version is not known again.
    pub(crate) fn from_listing(listing: &str) -> Self {
        Self {
            openings: None,
            digest: digest_in(listing, DIGEST),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn openings() -> Openings {
        let links = |name: &str| [LinkName::try_from(name).unwrap()].into();
        Openings {
            outside: links("eth0"),
            inside: links("eth1"),
            api: [8443].into(),
            ..Openings::default()
        }
    }

    /// Whoever is outside finds IKE, ESP and ICMP, and no door of the API unless prefixes are named.
    #[test]
    fn the_api_is_open_inside_or_to_whom_it_is_opened() {
        let inside = openings().table(&BTreeMap::new());
        assert!(
            inside.contains("iifname @trusted tcp dport @api accept\n"),
            "{inside}"
        );
        assert!(!inside.contains("saddr @api_sources"), "{inside}");
        let named = Openings {
            api_sources: vec!["198.51.100.0/24".parse().unwrap()],
            ..openings()
        };
        let named = named.table(&BTreeMap::new());
        assert!(!named.contains("@trusted tcp dport"), "{named}");
        assert!(named.contains("ip saddr @api_sources_v4 tcp dport @api accept\n"));
        assert!(named.contains("elements = { 198.51.100.0/24 }"));
    }

    /// A leak is looked for before anything may pass, since a flow that was let through may lose its route.
    #[test]
    fn what_is_private_is_looked_at_first() {
        let forward = forward();
        let leak = forward.find("counter name leak drop").unwrap();
        assert!(leak < forward.find("accept\n").unwrap(), "{forward}");
        assert!(!forward.contains("ct state"), "{forward}");
    }

    #[test]
    fn prefixes_that_reach_into_private_space_are_known() {
        for (prefix, private) in [
            ("10.1.0.0/24", true),
            ("100.64.7.0/24", true),
            ("0.0.0.0/0", true),
            ("fd00::/64", true),
            ("192.0.2.0/24", false),
            ("2001:db8::/32", false),
        ] {
            assert_eq!(
                Openings::is_private(&prefix.parse().unwrap()),
                private,
                "{prefix}"
            );
        }
    }

    /// A table that we wrote is recognised, whatever it has counted; one with other openings is another one.
    #[test]
    fn tables_are_known_again_by_their_openings() {
        let firewall = Firewall::with(openings());
        let counted = BTreeMap::from([(
            "leak".to_owned(),
            Counted {
                packets: 3,
                bytes: 252,
            },
        )]);
        let script = firewall.script(&counted).unwrap();
        assert!(
            script.contains("counter leak { packets 3 bytes 252; }"),
            "{script}"
        );
        let listing = script.replace(&format!("add chain inet {} ", mark::FIREWALL_TABLE), "\tchain ");
        let listing = listing.trim_end().to_owned() + " {\n\t}\n";
        assert_eq!(Firewall::from_listing(&listing), firewall);
        assert_ne!(Firewall::with(Openings::default()), firewall);
        assert_ne!(
            Firewall::from_listing("table inet causeway_firewall {\n}\n"),
            firewall
        );
    }
}
