use std::collections::BTreeSet;
use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::address::prefix;
use crate::Reason;
use crate::reader::Value;

/// What may pass a tunnel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selectors {
    /// One Child SA each; never empty.
    pub lines: Vec<SelectorLine>,
    /// What of the peer's selectors is taken when it proposes them.
    pub accept: Accept,
}

/// The selectors of one Child SA.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SelectorLine {
    /// Inner prefixes on our side.
    pub local: Vec<IpNet>,
    /// Inner prefixes on the peer's side.
    pub remote: Vec<IpNet>,
    /// It comes up when a packet wants through, and not with the tunnel.
    pub on_demand: bool,
}

/// What is taken of the selectors that the peer proposes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accept {
    /// What a line of ours has in common with them (RFC 7296 §2.9).
    Narrowed,
    /// All of them, as Azure VPN Gateway does.
    AsProposed,
}

/// The prefixes of both sides, as far as they are known.
#[derive(Clone, Copy)]
pub(super) struct Spaces<'c> {
    pub(super) local: Option<&'c [IpNet]>,
    pub(super) remote: Option<&'c [IpNet]>,
    /// The BGP speaker of the peer's, which need not be in its prefixes.
    pub(super) speaker: Option<IpAddr>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    RouteBased,
    PolicyBased,
    Custom,
}

/// The most lines of one connection, as Azure VPN Gateway has it.
pub(crate) const LINES: usize = 100;
/// The most pairs of prefixes in one line: each needs three policies of the kernel, and a child may have 128.
const PAIRS: usize = 42;

pub(crate) const KIND: &[(&str, Kind)] = &[
    ("route-based", Kind::RouteBased),
    ("policy-based", Kind::PolicyBased),
    ("custom", Kind::Custom),
];
pub(crate) const ACCEPT: &[(&str, Accept)] = &[
    ("narrowed", Accept::Narrowed),
    ("as-proposed", Accept::AsProposed),
];

impl Selectors {
    /// Any to any: what enters the tunnel is the routes' business. IPv6 is asked for where there is any.
    pub(super) fn route_based(spaces: Spaces<'_>) -> Option<Self> {
        let lines = vec![any_to_any(spaces)?];
        let accept = Accept::Narrowed;
        Some(Self { lines, accept })
    }

    /// The selectors and whether they are policy-based, each as far as it could be read.
    pub(super) fn read(value: &Value<'_>, spaces: Spaces<'_>) -> (Option<Self>, bool) {
        let Some(mut object) = value.object() else {
            return (None, false);
        };
        let kind = object.required("kind", |value| value.word(KIND, &[]));
        let accept = object.optional("accept", Accept::Narrowed, |value| value.word(ACCEPT, &[]));
        let lines = match kind {
            Some(Kind::Custom) => object.required("lines", |value| custom(value, spaces)),
            // Lines would be ignored: the object reports them.
            Some(Kind::PolicyBased) => combinations(value, spaces),
            Some(Kind::RouteBased) => any_to_any(spaces).map(|line| vec![line]),
            None => {
                object.take("lines");
                None
            }
        };
        let selectors = lines.zip(accept).map(|(lines, accept)| Self { lines, accept });
        (selectors, kind == Some(Kind::PolicyBased))
    }
}

fn any_to_any(spaces: Spaces<'_>) -> Option<SelectorLine> {
    let mut any = vec![IpNet::V4(Ipv4Net::default())];
    if spaces
        .local?
        .iter()
        .chain(spaces.remote?)
        .map(IpNet::addr)
        .chain(spaces.speaker)
        .any(|address| address.is_ipv6())
    {
        any.push(IpNet::V6(Ipv6Net::default()));
    }
    Some(SelectorLine {
        local: any.clone(),
        remote: any,
        on_demand: false,
    })
}

/// Every prefix of ours with every prefix of the peer's of the same IP version, all with the tunnel.
fn combinations(value: &Value<'_>, spaces: Spaces<'_>) -> Option<Vec<SelectorLine>> {
    let (ours, theirs) = (spaces.local?, spaces.remote?);
    let pairs = ours
        .iter()
        .flat_map(|local| theirs.iter().map(move |remote| (*local, *remote)))
        .filter(|(local, remote)| same_version(local, remote));
    let lines = pairs.map(|(local, remote)| SelectorLine {
        local: vec![local],
        remote: vec![remote],
        on_demand: false,
    });
    counted(value, lines.take(LINES + 1).collect())
}

/// The lines as they are written: the first with the tunnel, the others when something wants through.
fn custom(value: &Value<'_>, spaces: Spaces<'_>) -> Option<Vec<SelectorLine>> {
    let lines = value.list(|line| read_line(line, spaces))?;
    let mut seen = BTreeSet::new();
    let (mut numbered, mut distinct) = (Vec::new(), true);
    for (index, (local, remote)) in lines.into_iter().enumerate() {
        if !seen.insert((local.clone(), remote.clone())) {
            let detail = format!("line {index} says what a line before it says; leave one out");
            value.problem(Reason::DuplicateSelectors, detail);
            distinct = false;
        }
        numbered.push(SelectorLine {
            local,
            remote,
            on_demand: index > 0,
        });
    }
    counted(value, numbered).filter(|_| distinct)
}

fn read_line(value: &Value<'_>, spaces: Spaces<'_>) -> Option<(Vec<IpNet>, Vec<IpNet>)> {
    let mut object = value.object()?;
    let local = object.required("local", |value| some(value, &|value| prefix(value)));
    let remote = object.required("remote", |value| {
        some(value, &|value| {
            prefix(value).filter(|net| is_routed(value, net, spaces))
        })
    });
    let (mut local, mut remote) = (local?, remote?);
    for side in [&mut local, &mut remote] {
        side.sort_unstable();
        side.dedup();
    }
    let pairs = || {
        local
            .iter()
            .flat_map(|local| remote.iter().map(move |remote| (local, remote)))
    };
    let pairs = pairs()
        .filter(|(local, remote)| same_version(local, remote))
        .count();
    if pairs == 0 {
        let detail = "no prefix of one side has the IP version of one of the other";
        value.problem(Reason::AddressFamilyMismatch, detail);
    } else if pairs > PAIRS {
        let detail = format!("{pairs} pairs of prefixes; a line can have {PAIRS}: make several of it");
        value.problem(Reason::OutOfRange, detail);
    } else {
        return Some((local, remote));
    }
    None
}

fn some<'d>(value: &Value<'d>, read: &dyn Fn(&Value<'d>) -> Option<IpNet>) -> Option<Vec<IpNet>> {
    let list = value.list(read)?;
    if list.is_empty() {
        value.problem(Reason::OutOfRange, "is empty; at least one prefix is needed");
        return None;
    }
    Some(list)
}

/// Only prefixes of the site and its BGP speaker lead into the tunnel; a selector beside them all would never see a packet.
fn is_routed(value: &Value<'_>, net: &IpNet, spaces: Spaces<'_>) -> bool {
    let Some(space) = spaces.remote else { return true };
    let routed = space.iter().any(|site| site.contains(net) || net.contains(site))
        || spaces.speaker.is_some_and(|speaker| net.contains(&speaker));
    if !routed {
        let detail = format!("{net} has nothing in common with the site's address space");
        value.problem(Reason::SelectorNotRouted, detail);
    }
    routed
}

fn counted(value: &Value<'_>, lines: Vec<SelectorLine>) -> Option<Vec<SelectorLine>> {
    if lines.is_empty() {
        let detail = "no line, so nothing could pass: both sides need a prefix of the same IP version";
        value.problem(Reason::OutOfRange, detail);
    } else if lines.len() > LINES {
        let detail = format!("more than {LINES} lines; one connection can have {LINES} Child SAs");
        value.problem(Reason::OutOfRange, detail);
    } else {
        return Some(lines);
    }
    None
}

fn same_version(one: &IpNet, other: &IpNet) -> bool {
    one.addr().is_ipv4() == other.addr().is_ipv4()
}
