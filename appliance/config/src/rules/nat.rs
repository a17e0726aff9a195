//! What concerns rules of translation together with the connections that they are for.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use ipnet::IpNet;

use crate::Reason;
use crate::model::bgp::is_apipa;
use crate::model::nat::{overlap, translated};
use crate::model::{Connection, GatewayDraft, Limits, Name, NatMode, NatRule, Translation};
use crate::prefixes::Prefixes;
use crate::reader::{Collection, Report};

pub(super) fn check(
    gateway: &GatewayDraft,
    rules: &Collection<NatRule>,
    connections: &Collection<Connection>,
    report: &Report,
) {
    check_count(gateway.limits.as_ref(), rules, report);
    check_sharing(connections, report);
    check_sites(connections, report);
    check_ways(connections, report);
    let sides = Sides::of(gateway, connections);
    for (name, connection) in connections
        .iter()
        .filter(|(_, connection)| !connection.nat.is_empty())
    {
        check_speakers(name, connection, report);
        check_use(name, connection, &sides, report);
        check_sight(name, connection, &sides, report);
    }
}

/// No more rules than the gateway takes on.
fn check_count(limits: Option<&Limits>, rules: &Collection<NatRule>, report: &Report) {
    let (count, limit) = (
        rules.iter().count(),
        limits.map(|limits| usize::from(limits.nat_rules)),
    );
    if let Some(limit) = limit.filter(|limit| count > *limit) {
        let detail = format!("{count} rules; /gateway/limits/nat_rules lets there be {limit}");
        report.add("/nat_rules", Reason::NatRuleLimit, detail);
    }
}

/// An ingress rule is for one site, whose addresses it translates, and a dynamic one for one connection.
fn check_sharing(connections: &Collection<Connection>, report: &Report) {
    let mut known: BTreeMap<&Name, (&Name, &Name)> = BTreeMap::new();
    for (name, connection) in connections.iter() {
        let lists = [
            ("ingress", &connection.nat.ingress),
            ("egress", &connection.nat.egress),
        ];
        let used = lists
            .iter()
            .flat_map(|(key, rules)| rules.iter().map(move |rule| (key, rule)));
        for (key, (rule_name, rule)) in used {
            let (first, site) = *known.entry(rule_name).or_insert((name, &connection.site_name));
            let dynamic = matches!(rule.translation, Translation::Dynamic { .. });
            let why = if first != name && dynamic {
                "a dynamic rule is for one connection"
            } else if site != &connection.site_name && rule.mode == NatMode::IngressSnat {
                "an ingress rule is for the connections of one site"
            } else {
                continue;
            };
            let detail = format!("{rule_name} is also a rule of /connections/{first}, to {site}; {why}");
            report.add(
                &format!("/connections/{name}/nat/{key}"),
                Reason::NatRuleShared,
                detail,
            );
        }
    }
}

/// No more sites whose addresses are translated than flows can be told apart by.
fn check_sites(connections: &Collection<Connection>, report: &Report) {
    const MOST: usize = 255;
    let translated = connections
        .iter()
        .filter(|(_, connection)| !connection.nat.ingress.is_empty());
    let count = translated
        .map(|(_, connection)| &connection.site_name)
        .collect::<BTreeSet<_>>()
        .len();
    if count > MOST {
        let detail = format!("{count} sites have ingress rules; flows of {MOST} can be told apart");
        report.add("/connections", Reason::NatRuleLimit, detail);
    }
}

/// An ingress rule, and the connections that it is for, each with its site.
struct Used<'c> {
    rule: &'c NatRule,
    on: BTreeMap<&'c Name, &'c Name>,
}

/// What leads to an external prefix of a site is one connection, or any of those to the site: rules for ports of their own
/// that share it stand together.
fn check_ways(connections: &Collection<Connection>, report: &Report) {
    let mut all: BTreeMap<&Name, Used<'_>> = BTreeMap::new();
    for (connection_name, connection) in connections.iter() {
        for (name, rule) in &connection.nat.ingress {
            let on = BTreeMap::new();
            let used = all.entry(name).or_insert(Used { rule, on });
            used.on.insert(connection_name, &connection.site_name);
        }
    }
    for (name, other_name) in overlapping(&all) {
        let (Some(one), Some(other)) = (all.get(name), all.get(other_name)) else {
            continue;
        };
        let twins = one.rule.is_twin(other.rule) && one.on.values().eq(other.on.values());
        let Some((connection, _)) = other
            .on
            .first_key_value()
            .filter(|_| one.rule.goes_with(other.rule) && !twins && one.on != other.on)
        else {
            continue;
        };
        let detail = format!(
            "{name} and {other_name} share {}, so both are for the same connections",
            other.rule.external
        );
        let path = format!("/connections/{connection}/nat/ingress");
        report.add(&path, Reason::NatMappingOverlap, detail);
    }
}

/// Every two rules whose external prefixes have an address in common, by name.
fn overlapping<'c>(all: &BTreeMap<&'c Name, Used<'c>>) -> BTreeSet<(&'c Name, &'c Name)> {
    let sorted = all.iter().map(|(name, used)| (used.rule.external, *name));
    let sorted: BTreeSet<(IpNet, &Name)> = sorted.collect();
    let pairs = sorted.iter().flat_map(|one| {
        let after = sorted.range((Bound::Excluded(one), Bound::Unbounded));
        let inside = after.take_while(|(net, _)| one.0.contains(net));
        inside.map(|(_, other)| (one.1.min(other), one.1.max(other)))
    });
    pairs.collect()
}

/// BGP speaks of addresses as they are, so none of its ends is translated.
fn check_speakers(name: &Name, connection: &Connection, report: &Report) {
    let (Some(session), Some(peer)) = (&connection.bgp, &connection.site.bgp) else {
        return;
    };
    let path = format!("/connections/{name}/nat");
    if is_apipa(peer.address) {
        let detail = format!(
            "the BGP session leads to {}, an APIPA address, and there is no translation beside such: take another \
             address for BGP, or no rules",
            peer.address
        );
        report.add(&path, Reason::NatWithApipa, detail);
    }
    for (key, rules, address) in [
        ("ingress", &connection.nat.ingress, peer.address),
        ("egress", &connection.nat.egress, session.local_address),
    ] {
        if let Some(rule) = translated(rules, address) {
            let detail =
                format!("{rule} would translate {address}, an end of the BGP session; take one outside it");
            report.add(&format!("{path}/{key}"), Reason::NatCoversBgpAddress, detail);
        }
    }
}

/// The address spaces of both sides, prepared once for all connections.
struct Sides<'c> {
    ours: Option<Prefixes>,
    theirs: BTreeMap<&'c Name, Theirs>,
}

/// The address space of a site.
struct Theirs {
    all: Prefixes,
    /// What of it is ours, too.
    common: Vec<IpNet>,
}

impl<'c> Sides<'c> {
    fn of(gateway: &GatewayDraft, connections: &'c Collection<Connection>) -> Self {
        let ours = gateway.address_space.as_deref().map(Prefixes::of);
        let mut theirs = BTreeMap::new();
        for (_, connection) in connections
            .iter()
            .filter(|(_, connection)| !connection.nat.is_empty())
        {
            let space = &connection.site.address_space;
            let common = || {
                space
                    .iter()
                    .flat_map(|net| ours.iter().flat_map(|ours| ours.common(net)))
            };
            theirs.entry(&connection.site_name).or_insert_with(|| Theirs {
                all: Prefixes::of(space),
                common: common().collect(),
            });
        }
        Self { ours, theirs }
    }
}

/// Every rule translates something.
fn check_use(name: &Name, connection: &Connection, sides: &Sides<'_>, report: &Report) {
    let theirs = sides.theirs.get(&connection.site_name).map(|theirs| &theirs.all);
    // What BGP learns is not known beforehand.
    let theirs = theirs.filter(|_| connection.bgp.is_none());
    for (key, rules, space, whose) in [
        ("ingress", &connection.nat.ingress, theirs, "the site"),
        (
            "egress",
            &connection.nat.egress,
            sides.ours.as_ref(),
            "the gateway",
        ),
    ] {
        let idle = |rule: &NatRule| space.is_some_and(|space| !space.overlap(&rule.internal));
        for (rule_name, rule) in rules.iter().filter(|(_, rule)| idle(rule)) {
            let detail = format!(
                "{rule_name} translates {}, and the address space of {whose} has nothing of it",
                rule.internal
            );
            let path = format!("/connections/{name}/nat/{key}");
            report.add(&path, Reason::NatTranslatesNothing, detail);
        }
    }
}

/// The site does not take our addresses for its own: where both have the same ones, ours are translated too.
fn check_sight(name: &Name, connection: &Connection, sides: &Sides<'_>, report: &Report) {
    let Some(theirs) = sides.theirs.get(&connection.site_name) else {
        return;
    };
    let path = format!("/connections/{name}/nat/egress");
    let nat = &connection.nat;
    for (rule_name, rule) in &nat.egress {
        // What is not translated is compared with all rules already.
        let translated = |net: &IpNet| {
            nat.ingress
                .values()
                .any(|rule| rule.is_whole() && overlap(&rule.internal, net))
        };
        if let Some(net) = theirs.all.common(&rule.external).find(translated) {
            let detail = format!(
                "{rule_name} shows us as {}, and {net} of it is the site's",
                rule.external
            );
            report.add(&path, Reason::NatMappingOverlap, detail);
        }
    }
    let hidden = |net: &IpNet| {
        let mut whole = nat.egress.values().filter(|rule| rule.is_whole());
        whole.any(|rule| rule.internal.contains(net))
    };
    let clash = theirs.common.iter().find(|net| !hidden(net));
    if let Some(net) = clash.filter(|_| !nat.ingress.is_empty()) {
        let detail = format!(
            "{net} is ours and the site's, whose hosts would not send it to us: add a rule of mode EgressSnat for it"
        );
        report.add(&path, Reason::AddressSpaceOverlap, detail);
    }
}
