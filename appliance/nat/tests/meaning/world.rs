//! Random rules on a gateway, its routes, and random packets.

use std::collections::BTreeMap;
use std::net::IpAddr;

use appliance_nat::{End, Kind, Packet, Rule, Rules, Tunnel};
use ipnet::IpNet;

/// Numbers that follow from a seed (SplitMix64).
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Below `count`.
    pub(crate) fn below(&mut self, count: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(count).unwrap()).unwrap()
    }

    pub(crate) fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }

    pub(crate) fn pick<'t, T>(&mut self, from: &'t [T]) -> &'t T {
        &from[self.below(from.len())]
    }

    /// An address of a prefix.
    fn host(&mut self, net: &IpNet) -> IpAddr {
        let bits = u128::from(self.next());
        match net {
            IpNet::V4(net) => {
                let bits = u32::try_from(bits & 0xffff_ffff).unwrap() & u32::from(net.hostmask());
                IpAddr::V4((u32::from(net.network()) | bits).into())
            }
            IpNet::V6(net) => {
                IpAddr::V6((u128::from(net.network()) | bits & u128::from(net.hostmask())).into())
            }
        }
    }
}

/// A gateway with a LAN on the link `lan` and sites behind tunnels.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) rules: Rules,
    /// Where prefixes lead; to ourselves if `None`. The longest counts.
    pub(crate) routes: Vec<(IpNet, Option<String>)>,
    /// Prefixes that somebody has, by the link that they are behind: what packets are from.
    homes: Vec<(Option<String>, IpNet)>,
    /// Prefixes that packets go to.
    targets: Vec<IpNet>,
    /// TCP and UDP ports that rules are about.
    ports: Vec<u16>,
}

const SITES: usize = 3;
pub(crate) const TUNNELS: u16 = 4;
/// Addresses of ours.
pub(crate) const OURS: [&str; 3] = ["192.168.0.1", "10.0.0.1", "fd0a::1"];
const LAN: [&str; 3] = ["192.168.0.0/24", "10.0.0.0/22", "fd0a::/64"];
/// What overlaps: several sites, and the LAN, have these.
const INTERNAL: [&str; 9] = [
    "10.0.0.0/22",
    "10.0.1.0/24",
    "10.0.1.0/26",
    "10.0.1.5/32",
    "10.0.0.0/29",
    "10.0.2.128/25",
    "fd0a::/64",
    "fd0a::/120",
    "fd0a::5/128",
];

pub(crate) fn net(text: &str) -> IpNet {
    text.parse().unwrap()
}

/// What was made so far.
#[derive(Default)]
struct Given {
    /// External prefixes.
    blocks: u16,
    /// Ingress rules, by the site.
    by_site: BTreeMap<usize, BTreeMap<String, Rule>>,
}

/// Adds a rule, unless one says already what becomes of that prefix and port, as the document has it.
fn insert(to: &mut BTreeMap<String, Rule>, name: String, rule: Rule) {
    let port = |rule: &Rule| match rule.kind {
        Kind::Static { ports } => ports.map(|(inside, _)| inside),
        Kind::Dynamic { .. } => None,
    };
    let twice = |known: &Rule| known.internal == rule.internal && port(known) == port(&rule);
    if !to.values().any(twice) {
        to.insert(name, rule);
    }
}

impl World {
    pub(crate) fn random(seed: u64) -> Self {
        let mut dice = Dice(seed);
        let mut world = Self {
            rules: Rules::default(),
            routes: Vec::new(),
            homes: Vec::new(),
            targets: Vec::new(),
            ports: vec![80],
        };
        for address in OURS {
            let own = IpNet::from(address.parse::<IpAddr>().unwrap());
            world.routes.push((own, None));
            world.homes.push((None, own));
            world.targets.push(own);
        }
        for prefix in LAN.map(net) {
            world.routes.push((prefix, Some("lan".into())));
            world.homes.push((Some("lan".into()), prefix));
            world.targets.push(prefix);
        }
        let mut given = Given::default();
        for number in 1..=TUNNELS {
            let site = dice.below(SITES);
            world.tunnel(&mut dice, number, site, &mut given);
        }
        world
    }

    fn tunnel(&mut self, dice: &mut Dice, number: u16, site: usize, given: &mut Given) {
        let link = format!("cw-{number}");
        let mut tunnel = Tunnel {
            link: link.clone(),
            number,
            site: format!("site{site}"),
            ingress: BTreeMap::new(),
            egress: BTreeMap::new(),
        };
        // The connections of a site may share static ingress rules.
        for (name, rule) in given.by_site.get(&site).into_iter().flatten() {
            if !dice.one_in(3) && matches!(rule.kind, Kind::Static { .. }) {
                insert(&mut tunnel.ingress, name.clone(), rule.clone());
            }
        }
        for _ in 0..dice.below(5) {
            given.blocks += 1;
            let internal = net(INTERNAL[dice.below(INTERNAL.len())]);
            self.add(dice, &mut tunnel.ingress, internal, given.blocks);
        }
        given
            .by_site
            .entry(site)
            .or_default()
            .extend(tunnel.ingress.clone());
        for _ in 0..dice.below(4) {
            given.blocks += 1;
            let somebody = format!("172.16.{}.0/25", dice.below(SITES));
            let ours = [
                INTERNAL[0],
                INTERNAL[1],
                INTERNAL[6],
                INTERNAL[7],
                LAN[0],
                LAN[1],
                &somebody,
            ];
            let internal = net(ours[dice.below(ours.len())]);
            self.add(dice, &mut tunnel.egress, internal, given.blocks);
        }
        self.places(&tunnel, site);
        if !tunnel.ingress.is_empty() || !tunnel.egress.is_empty() {
            self.rules.tunnels.insert(format!("connection-{number}"), tunnel);
        }
    }

    /// What is behind a tunnel, and what leads there.
    fn places(&mut self, tunnel: &Tunnel, site: usize) {
        let link = &tunnel.link;
        for rule in tunnel.ingress.values() {
            self.homes.push((Some(link.clone()), rule.internal));
            self.targets.push(rule.external);
            self.routes.push((rule.external, Some(link.clone())));
        }
        for rule in tunnel.egress.values() {
            self.targets.push(rule.external);
        }
        let plain = [format!("172.16.{site}.0/24"), format!("fd16:{site}::/64")];
        for prefix in plain.iter().map(|text| net(text)) {
            self.routes.push((prefix, Some(link.clone())));
            self.homes.push((Some(link.clone()), prefix));
            self.targets.push(prefix);
        }
    }

    /// A rule for a prefix, with an external prefix of its own.
    fn add(&mut self, dice: &mut Dice, to: &mut BTreeMap<String, Rule>, internal: IpNet, block: u16) {
        let (mut length, v4) = (internal.prefix_len(), internal.addr().is_ipv4());
        let kind = match dice.below(4) {
            0 if v4 || length == 128 => {
                let ports = (80 + u16::try_from(dice.below(2)).unwrap(), 8000 + block);
                self.ports.extend([ports.0, ports.1]);
                Kind::Static { ports: Some(ports) }
            }
            1 => {
                length = if v4 { 30 } else { 126 };
                let ports = if dice.one_in(2) {
                    vec![1024..=65_535]
                } else {
                    vec![3000..=3999, 5000..=6999]
                };
                Kind::Dynamic { ports }
            }
            _ => Kind::Static { ports: None },
        };
        let external = if v4 {
            net(&format!("100.64.{}.0/{length}", block * 4))
        } else {
            net(&format!("fd64:{block}::/{length}"))
        };
        // Rules for ports of their own may share external addresses.
        let shares = |known: &&Rule| {
            matches!(known.kind, Kind::Static { ports: Some(_) })
                && matches!(kind, Kind::Static { ports: Some(_) })
                && known.external.prefix_len() == length
                && known.external.addr().is_ipv4() == v4
        };
        let shared = to.values().find(shares).map(|known| known.external);
        let rule = Rule {
            external: shared.unwrap_or(external),
            kind,
            internal,
        };
        insert(to, format!("rule-{block}"), rule);
    }

    /// The link that the main routes lead to.
    pub(crate) fn route(&self, address: IpAddr) -> Option<String> {
        let matching = self.routes.iter().filter(|(net, _)| net.contains(&address));
        // The first of equals, as the kernel has it when the second is refused.
        let best = matching.rev_max();
        best.map_or_else(|| Some("lan".into()), |(_, link)| link.clone())
    }

    /// The first packet of a flow that nobody else's is like, `number` being its own.
    pub(crate) fn packet(&self, dice: &mut Dice, number: u16) -> Packet {
        let (link, home) = dice.pick(&self.homes).clone();
        let source = dice.host(&home);
        let suits = |net: &&IpNet| net.addr().is_ipv4() == source.is_ipv4();
        let targets: Vec<IpNet> = self.targets.iter().filter(suits).copied().collect();
        let target = *dice.pick(&targets);
        let protocol = match (dice.below(3), link.is_none()) {
            (0, false) => 6,
            (1, false) => {
                if source.is_ipv4() {
                    1
                } else {
                    58
                }
            }
            _ => 17,
        };
        let (from, to) = match dice.below(4) {
            0 => (*dice.pick(&self.ports), number),
            1 => (number, 9),
            _ => (number, *dice.pick(&self.ports)),
        };
        let port = |port: u16| [6, 17].contains(&protocol).then_some(port);
        Packet {
            link,
            protocol,
            source: End {
                address: source,
                port: port(from),
            },
            destination: End {
                address: dice.host(&target),
                port: port(to),
            },
        }
    }

    /// Whether answers to the source of a packet find the way that it came.
    pub(crate) fn is_honest(&self, packet: &Packet) -> bool {
        let Some(link) = &packet.link else {
            return true;
        };
        let tunnel = self.rules.tunnels.values().find(|tunnel| tunnel.link == *link);
        let translated = tunnel.is_some_and(|tunnel| {
            let mut rules = tunnel.ingress.values();
            rules.any(|rule| matches(rule, rule.internal, packet, packet.source, true))
        });
        translated || self.route(packet.source.address).as_deref() == Some(link)
    }

    /// Whether an answer to a packet that left as from `source` finds the way back. Between sites it may take the other
    /// connection of a site, whose egress rules may be others: that is nobody's promise.
    pub(crate) fn is_answerable(&self, packet: &Packet, link: Option<&str>, source: End) -> bool {
        let transit = packet.link.is_some() && link != Some("lan");
        self.is_honest(packet) && (!transit || self.route(source.address) == packet.link)
    }
}

/// Whether a rule is about this end of a packet.
pub(crate) fn matches(rule: &Rule, net: IpNet, packet: &Packet, end: End, internal: bool) -> bool {
    let port = match rule.kind {
        Kind::Static {
            ports: Some((inside, outside)),
        } => Some(if internal { inside } else { outside }),
        Kind::Static { ports: None } | Kind::Dynamic { .. } => None,
    };
    let suits = |port| [6, 17].contains(&packet.protocol) && end.port == Some(port);
    net.contains(&end.address) && port.is_none_or(suits)
}

trait Longest<'r> {
    fn rev_max(self) -> Option<&'r (IpNet, Option<String>)>;
}

impl<'r, I: Iterator<Item = &'r (IpNet, Option<String>)>> Longest<'r> for I {
    fn rev_max(self) -> Option<&'r (IpNet, Option<String>)> {
        let mut best: Option<&(IpNet, Option<String>)> = None;
        for route in self {
            if best.is_none_or(|known| known.0.prefix_len() < route.0.prefix_len()) {
                best = Some(route);
            }
        }
        best
    }
}
