//! The nftables table of ours, replaced whole.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use ipnet::IpNet;

use crate::link::LinkName;
use crate::mark;

/// What the table does.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ruleset {
    /// For each link, the largest TCP segments that may be announced by what is forwarded in or out of it.
    pub maximum_segments: BTreeMap<LinkName, MaximumSegments>,
    /// Where packets may only go by one of `tunnels`, whatever the routes say. No prefix may hold another.
    pub closed: BTreeSet<IpNet>,
    /// The links by which packets may go there.
    pub tunnels: BTreeSet<LinkName>,
    /// Prefixes that are closed no further by these links: their hosts are right there.
    pub local: BTreeSet<(LinkName, IpNet)>,
}

/// The largest TCP segments of a link, in octets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct MaximumSegments {
    /// Of connections over IPv4.
    pub ipv4: u16,
    /// Of connections over IPv6.
    pub ipv6: u16,
}

impl MaximumSegments {
    /// The set of the links that have them.
    fn set(self) -> String {
        format!("segments_{}_{}", self.ipv4, self.ipv6)
    }
}

impl Ruleset {
    /// The script for `nft -f -`: makes or replaces the table in one transaction.
    pub fn script(&self) -> String {
        let mut script = format!("{}table inet {} {{\n", Ruleset::removal(), mark::NFT_TABLE);
        self.clamp(&mut script);
        self.close(&mut script);
        script.push_str(&answer_too_long());
        script.push_str("}\n");
        script
    }

    fn clamp(&self, script: &mut String) {
        let groups = self.groups();
        for (segments, links) in &groups {
            set(script, &segments.set(), "type ifname", links);
        }
        script.push_str("\tchain clamp {\n\t\ttype filter hook forward priority mangle; policy accept;\n");
        // One look at most packets, however many links there are.
        script.push_str("\t\ttcp flags ! syn accept\n");
        for segments in groups.keys() {
            let links = segments.set();
            for (family, segment) in [("ipv4", segments.ipv4), ("ipv6", segments.ipv6)] {
                for side in ["iifname", "oifname"] {
                    // Only ever lowered (RFC 9293 §3.7.1 lets the sender choose less than it was offered).
                    let _ = writeln!(
                        script,
                        "\t\t{side} @{links} meta nfproto {family} tcp flags syn tcp option maxseg size > {segment} tcp option maxseg size set {segment}",
                    );
                }
            }
        }
        script.push_str("\t}\n");
    }

    /// Links with the same segments, by those: usually all of them.
    fn groups(&self) -> BTreeMap<MaximumSegments, Vec<String>> {
        let mut groups: BTreeMap<_, Vec<String>> = BTreeMap::new();
        for (link, segments) in &self.maximum_segments {
            groups.entry(*segments).or_default().push(quoted(link));
        }
        groups
    }

    fn close(&self, script: &mut String) {
        let (v4, v6): (Vec<&IpNet>, Vec<_>) = self.closed.iter().partition(|prefix| prefix.addr().is_ipv4());
        let tunnels: Vec<String> = self.tunnels.iter().map(quoted).collect();
        set(script, TUNNELS, "type ifname", &tunnels);
        set(script, CLOSED_V4, "type ipv4_addr; flags interval", &v4);
        set(script, CLOSED_V6, "type ipv6_addr; flags interval", &v6);
        for hook in ["forward", "output"] {
            let _ = write!(
                script,
                "\tchain closed_{hook} {{\n\t\ttype filter hook {hook} priority filter; policy accept;\n\
                 \t\toifname \"lo\" accept\n",
            );
            for (link, prefix) in &self.local {
                let family = if prefix.addr().is_ipv4() { "ip" } else { "ip6" };
                let _ = writeln!(script, "\t\toifname \"{link}\" {family} daddr {prefix} accept");
            }
            let _ = write!(
                script,
                "\t\tip daddr @{CLOSED_V4} oifname != @{TUNNELS} counter drop\n\
                 \t\tip6 daddr @{CLOSED_V6} oifname != @{TUNNELS} counter drop\n\t}}\n",
            );
        }
    }

    /// The script that removes the table, whether it is there or not.
    pub fn removal() -> String {
        let table = mark::NFT_TABLE;
        format!("table inet {table} {{}}\ndelete table inet {table}\n")
    }

    /// Reads what `nft list table` prints of our table; what we would not have written is passed over.
    pub(crate) fn from_listing(listing: &str) -> Self {
        let groups: BTreeSet<MaximumSegments> = listing.lines().filter_map(clamped).collect();
        let maximum_segments = groups.iter().flat_map(|segments| {
            let links = elements(listing, &segments.set()).into_iter();
            links.filter_map(|text| Some((unquoted(text)?, *segments)))
        });
        let closed = [CLOSED_V4, CLOSED_V6].map(|name| elements(listing, name));
        let tunnels = elements(listing, TUNNELS);
        Ruleset {
            maximum_segments: maximum_segments.collect(),
            closed: closed.into_iter().flatten().filter_map(prefix).collect(),
            tunnels: tunnels.into_iter().filter_map(unquoted).collect(),
            local: listing.lines().filter_map(local).collect(),
        }
    }
}

/// What we say of a packet of a site that is too long for its next link (RFC 1191, RFC 8201) goes back by the tunnel that it came by,
/// as if by where it was to go: an address of our own need not be one that the tunnel's selectors know. That address stands
/// in the packet that is quoted behind eight octets: at 16 in IPv4, at 24 in IPv6.
fn answer_too_long() -> String {
    let ours = format!("oifname @{TUNNELS} meta iif 0");
    format!(
        "\tchain too_long {{\n\t\ttype filter hook postrouting priority 200; policy accept;\n\
         \t\t{ours} icmp type destination-unreachable icmp code frag-needed ip saddr set @th,192,32\n\
         \t\t{ours} icmpv6 type packet-too-big ip6 saddr set @th,256,128\n\t}}\n"
    )
}

const TUNNELS: &str = "tunnels";
const CLOSED_V4: &str = "closed_v4";
const CLOSED_V6: &str = "closed_v6";

fn set(script: &mut String, name: &str, kind: &str, elements: &[impl ToString]) {
    let _ = write!(script, "\tset {name} {{\n\t\t{kind};\n");
    if !elements.is_empty() {
        let elements: Vec<String> = elements.iter().map(ToString::to_string).collect();
        let _ = writeln!(script, "\t\telements = {{ {} }}", elements.join(", "));
    }
    script.push_str("\t}\n");
}

fn quoted(link: &LinkName) -> String {
    format!("\"{link}\"")
}

fn unquoted(text: &str) -> Option<LinkName> {
    LinkName::try_from(text.trim_matches('"')).ok()
}

/// Which links a line of the listing clamps.
fn clamped(line: &str) -> Option<MaximumSegments> {
    let (set, _) = line.trim().strip_prefix("oifname @segments_")?.split_once(' ')?;
    let (ipv4, ipv6) = set.split_once('_')?;
    Some(MaximumSegments {
        ipv4: ipv4.parse().ok()?,
        ipv6: ipv6.parse().ok()?,
    })
}

/// The elements of a set as they are listed.
fn elements<'l>(listing: &'l str, name: &str) -> Vec<&'l str> {
    let start = format!("set {name} {{");
    let found = listing.split_once(&start).and_then(|(_, rest)| {
        let (head, rest) = rest.split_once('{')?;
        // Without elements, what comes next is another set or chain.
        head.contains("elements").then_some(rest)?.split_once('}')
    });
    let texts = found.map_or("", |(texts, _)| texts).split(',').map(str::trim);
    texts.filter(|text| !text.is_empty()).collect()
}

/// What a line of the listing says that is local to a link.
fn local(line: &str) -> Option<(LinkName, IpNet)> {
    let (link, rule) = line.trim().strip_prefix("oifname \"")?.split_once("\" ")?;
    let (_, text) = rule.strip_suffix(" accept")?.split_once(" daddr ")?;
    Some((LinkName::try_from(link).ok()?, prefix(text)?))
}

/// A single address is listed without a prefix length.
fn prefix(text: &str) -> Option<IpNet> {
    let host = || text.parse().ok().map(|address: std::net::IpAddr| address.into());
    text.parse().ok().or_else(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ruleset() -> Ruleset {
        let link = |name| LinkName::try_from(name).unwrap();
        let segments = |ipv4, ipv6| MaximumSegments { ipv4, ipv6 };
        Ruleset {
            maximum_segments: [
                (link("cw-a"), segments(1350, 1340)),
                (link("cw-b"), segments(1200, 1200)),
            ]
            .into(),
            closed: ["10.2.0.0/24", "10.3.0.1/32", "fd02::/64"]
                .map(|prefix| prefix.parse().unwrap())
                .into(),
            tunnels: [link("cw-a"), link("cw-b")].into(),
            local: [
                ("lan", "10.3.0.0/25"),
                ("lan", "10.3.0.200/32"),
                ("eth1.5", "fd02::/80"),
            ]
            .map(|(name, prefix)| (link(name), prefix.parse().unwrap()))
            .into(),
        }
    }

    /// Both directions are clamped, and only what announces more.
    #[test]
    fn segments_are_only_lowered() {
        let script = ruleset().script();
        for side in ["iifname", "oifname"] {
            for (family, segment) in [("ipv4", 1350), ("ipv6", 1340)] {
                let rule = format!(
                    "{side} @segments_1350_1340 meta nfproto {family} tcp flags syn tcp option maxseg size > {segment}"
                );
                assert!(script.contains(&rule), "{script}");
            }
        }
    }

    /// Only what is our own, and says that a packet is too long, is said in the name of another.
    #[test]
    fn what_is_too_long_is_said_as_if_by_where_it_goes() {
        let script = ruleset().script();
        for what in [
            "icmp type destination-unreachable icmp code frag-needed ip saddr set @th,192,32",
            "icmpv6 type packet-too-big ip6 saddr set @th,256,128",
        ] {
            assert!(
                script.contains(&format!("oifname @tunnels meta iif 0 {what}\n")),
                "{script}"
            );
        }
    }

    /// A table that we wrote is recognised.
    #[test]
    fn scripts_are_read_back() {
        assert_eq!(Ruleset::from_listing(&ruleset().script()), ruleset());
        let nothing = Ruleset::default();
        assert_eq!(Ruleset::from_listing(&nothing.script()), nothing);
    }
}
