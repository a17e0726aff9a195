use std::collections::BTreeMap;
use std::net::IpAddr;
use std::ops::RangeInclusive;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::Name;
use super::address::prefix;
use crate::Reason;
use crate::prefixes::Prefixes;
use crate::reader::{Collection, Object, Value, shown};

/// A rule of translation. It says what becomes of source addresses; answers, and what comes to the external prefix of a
/// static rule, are translated the other way by themselves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NatRule {
    /// Whose source addresses are translated.
    pub mode: NatMode,
    /// How.
    pub translation: Translation,
    /// The prefix before translation.
    pub internal: IpNet,
    /// The prefix after it, of the same IP version.
    pub external: IpNet,
    /// It is for connections from this address of ours only.
    pub ip_configuration: Option<Name>,
}

/// Whose source addresses a rule translates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NatMode {
    /// The site's, when its packets come out of the tunnel.
    IngressSnat,
    /// Ours, when our packets enter it.
    EgressSnat,
}

/// How a rule translates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Translation {
    /// Host by host, both prefixes being of one length.
    Static {
        /// Only this TCP and UDP port, internal and external; all traffic if `None`.
        ports: Option<(u16, u16)>,
    },
    /// Many hosts behind few addresses, so only the internal side can begin.
    Dynamic {
        /// The ports that it may take, in order.
        ports: Vec<RangeInclusive<u16>>,
    },
}

/// The rules of a connection.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ConnectionNat {
    /// For what comes from the site.
    pub ingress: BTreeMap<Name, NatRule>,
    /// For what goes to it.
    pub egress: BTreeMap<Name, NatRule>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Static,
    Dynamic,
}

pub(crate) const KIND: &[(&str, Kind)] = &[("Static", Kind::Static), ("Dynamic", Kind::Dynamic)];
pub(crate) const MODE: &[(&str, NatMode)] = &[
    ("IngressSnat", NatMode::IngressSnat),
    ("EgressSnat", NatMode::EgressSnat),
];
pub(crate) const PORTS: RangeInclusive<u64> = 1..=65_535;
/// The ports that a dynamic rule takes if it does not say which: those that are nobody's by name.
pub(crate) const DYNAMIC_PORTS: &str = "1024-65535";
/// The most bits that tell the addresses of a dynamic rule's external prefix apart, as Azure VPN Gateway has it.
const DYNAMIC_BITS: u8 = 6;

impl NatRule {
    pub(crate) fn read<T>(value: &Value<'_>, configurations: &Collection<T>) -> Option<Self> {
        let mut object = value.object()?;
        let kind = object.required("type", |value| value.word(KIND, &[]));
        let mode = object.required("mode", |value| value.word(MODE, &[]));
        let internal = object.required("internal", |value| Mapping::read(value, kind, false));
        let external = object.required("external", |value| Mapping::read(value, kind, true));
        let ip_configuration = object.optional("ip_configuration", None, |value| {
            let name = value.name()?;
            configurations
                .has(value, &name, "IP configuration")
                .then_some(Some(name))
        });
        let (kind, internal, external) = (kind?, internal?, external?);
        let translation = match kind {
            Kind::Static => Translation::Static {
                ports: both(&object, internal.port, external.port)?,
            },
            Kind::Dynamic => Translation::Dynamic {
                ports: external.ports,
            },
        };
        fits(&object, kind, internal.prefix, external.prefix)?;
        one_host(&object, &translation, internal.prefix)?;
        Some(Self {
            mode: mode?,
            translation,
            internal: internal.prefix,
            external: external.prefix,
            ip_configuration: ip_configuration?,
        })
    }

    /// Whether nothing from the internal prefix passes untranslated.
    pub fn is_whole(&self) -> bool {
        match &self.translation {
            Translation::Static { ports } => ports.is_none(),
            Translation::Dynamic { .. } => true,
        }
    }

    /// The one port that it is for, if it is for one.
    fn internal_port(&self) -> Option<u16> {
        match self.translation {
            Translation::Static { ports } => ports.map(|(internal, _)| internal),
            Translation::Dynamic { .. } => None,
        }
    }

    /// Whether it says the same as another, for another address of ours.
    pub(crate) fn is_twin(&self, other: &Self) -> bool {
        self.ip_configuration.is_some()
            && other.ip_configuration.is_some()
            && self.ip_configuration != other.ip_configuration
            && matches!(self.translation, Translation::Static { .. })
            && Self {
                ip_configuration: None,
                ..self.clone()
            } == Self {
                ip_configuration: None,
                ..other.clone()
            }
    }

    /// Whether both can be in force although their external prefixes overlap: they are for ports of their own, or say the
    /// same for two addresses of ours.
    pub(crate) fn goes_with(&self, other: &Self) -> bool {
        let port = |rule: &Self| match rule.translation {
            Translation::Static { ports } => ports.map(|(_, external)| external),
            Translation::Dynamic { .. } => None,
        };
        let apart = port(self)
            .zip(port(other))
            .is_some_and(|(one, other)| one != other);
        self.mode == other.mode && (apart || self.is_twin(other))
    }
}

impl ConnectionNat {
    /// `configuration` is the IP configuration of the connection, if it is known.
    pub(super) fn read(
        value: &Value<'_>,
        rules: &Collection<NatRule>,
        configuration: Option<&Name>,
    ) -> Option<Self> {
        let mut object = value.object()?;
        let mut list = |key, mode| {
            object.optional(key, BTreeMap::new(), |value| {
                let named = value.list(|value| {
                    named(value, rules, mode).filter(|(_, rule)| is_for(value, rule, configuration))
                })?;
                distinct(value, named)
            })
        };
        let ingress = list("ingress", NatMode::IngressSnat);
        let egress = list("egress", NatMode::EgressSnat);
        Some(Self {
            ingress: ingress?,
            egress: egress?,
        })
    }

    /// Whether there is no rule.
    pub fn is_empty(&self) -> bool {
        self.ingress.is_empty() && self.egress.is_empty()
    }
}

/// The rule that is named, if it is of this mode.
fn named(value: &Value<'_>, rules: &Collection<NatRule>, mode: NatMode) -> Option<(Name, NatRule)> {
    let (name, rule) = rules.follow(value, "NAT rule")?;
    if rule.mode != mode {
        let (found, expected) = (word(rule.mode), word(mode));
        let detail = format!("{name} is a rule of mode {found}; only those of mode {expected} go here");
        value.problem(Reason::NatWrongMode, detail);
        return None;
    }
    Some((name, rule))
}

/// Whether the rule is for connections from this address of ours.
fn is_for(value: &Value<'_>, rule: &NatRule, configuration: Option<&Name>) -> bool {
    let (Some(wanted), Some(configuration)) = (&rule.ip_configuration, configuration) else {
        return true;
    };
    if wanted != configuration {
        let detail =
            format!("the rule is for connections from {wanted}, and this one is from {configuration}");
        value.problem(Reason::NatOtherIpConfiguration, detail);
    }
    wanted == configuration
}

/// Each rule once, no two that say what becomes of the same prefix and port, and none of which others leave nothing.
fn distinct(value: &Value<'_>, named: Vec<(Name, NatRule)>) -> Option<BTreeMap<Name, NatRule>> {
    let mut found = BTreeMap::new();
    let mut known: BTreeMap<(IpNet, Option<u16>), Name> = BTreeMap::new();
    let mut apart = true;
    for (name, rule) in named {
        if let Some(first) = known.insert((rule.internal, rule.internal_port()), name.clone()) {
            let detail = if first == name {
                format!("{name} stands twice; leave one out")
            } else {
                format!(
                    "{first} and {name} both say what becomes of {}; leave one out",
                    rule.internal
                )
            };
            value.problem(Reason::DuplicateNatRule, detail);
            apart = false;
        }
        found.insert(name, rule);
    }
    for (name, rule) in &found {
        let inside = known.range((rule.internal, None)..);
        let inside = inside.take_while(|((net, _), _)| rule.internal.contains(net));
        let (mut names, nets): (Vec<&str>, Vec<IpNet>) = inside
            .filter(|((net, port), _)| *net != rule.internal && *port == rule.internal_port())
            .map(|((net, _), name)| (name.as_str(), *net))
            .unzip();
        names.sort_unstable();
        if apart && !nets.is_empty() && without(rule.internal, &Prefixes::of(&nets)).is_empty() {
            let detail = format!(
                "{name} never translates: {} say all of {}, and the longest prefix counts; leave it out",
                names.join(" and "),
                rule.internal
            );
            value.problem(Reason::NatRuleShadowed, detail);
            apart = false;
        }
    }
    apart.then_some(found)
}

fn word(mode: NatMode) -> &'static str {
    match mode {
        NatMode::IngressSnat => "IngressSnat",
        NatMode::EgressSnat => "EgressSnat",
    }
}

/// One side of a rule as it is written.
struct Mapping {
    prefix: IpNet,
    port: Option<u16>,
    ports: Vec<RangeInclusive<u16>>,
}

impl Mapping {
    fn read(value: &Value<'_>, kind: Option<Kind>, external: bool) -> Option<Self> {
        let mut object = value.object()?;
        let prefix = object.required("prefix", translatable);
        let port = match (kind, object.take("port")) {
            (_, None) => Some(None),
            (Some(Kind::Dynamic), Some(value)) => {
                let detail = "a dynamic rule chooses ports itself; \"ports\" of its external side say which it may take";
                value.problem(Reason::NatPortsNotAllowed, detail);
                None
            }
            (Some(Kind::Static) | None, Some(value)) => value.whole(PORTS).map(Some),
        };
        let ports = match (kind, external.then(|| object.take("ports")).flatten()) {
            (Some(Kind::Static), Some(value)) => {
                let detail =
                    "a static rule is for one port or for all: say \"port\" on both sides, or neither";
                value.problem(Reason::NatPortsNotAllowed, detail);
                None
            }
            (Some(Kind::Dynamic) | None, Some(value)) => ranges(&value),
            (_, None) => range(DYNAMIC_PORTS).map(|range| vec![range]),
        };
        Some(Self {
            prefix: prefix?,
            port: port?,
            ports: ports?,
        })
    }
}

/// A prefix whose addresses may be translated and translated to.
fn translatable(value: &Value<'_>) -> Option<IpNet> {
    let prefix = prefix(value)?;
    let reserved: [(IpNet, &str); 6] = [
        (v4([127, 0, 0, 0], 8), "is the machine itself"),
        (
            v4([169, 254, 0, 0], 16),
            "is link-local, and where cloud machines find their host",
        ),
        (
            v4([168, 63, 129, 16], 32),
            "is where cloud machines find their host",
        ),
        (v4([224, 0, 0, 0], 3), "is for multicast or reserved"),
        (v6(0xfe80, 10), "is link-local"),
        (v6(0xff00, 8), "is for multicast"),
    ];
    let clash = reserved.iter().find(|(net, _)| overlap(net, &prefix));
    if let Some((net, why)) = clash {
        let detail = format!("{prefix} overlaps {net}, which {why}");
        value.problem(Reason::InvalidPrefix, detail);
        return None;
    }
    Some(prefix)
}

fn v4(octets: [u8; 4], length: u8) -> IpNet {
    IpNet::V4(Ipv4Net::new_assert(octets.into(), length))
}

fn v6(first: u16, length: u8) -> IpNet {
    IpNet::V6(Ipv6Net::new_assert([first, 0, 0, 0, 0, 0, 0, 0].into(), length))
}

/// Whether two prefixes have an address in common.
pub(crate) fn overlap(one: &IpNet, other: &IpNet) -> bool {
    one.contains(other) || other.contains(one)
}

/// A port on both sides or on neither.
fn both(object: &Object<'_>, internal: Option<u16>, external: Option<u16>) -> Option<Option<(u16, u16)>> {
    match (internal, external) {
        (Some(internal), Some(external)) => Some(Some((internal, external))),
        (None, None) => Some(None),
        (Some(_), None) | (None, Some(_)) => {
            let side = if internal.is_some() {
                "external"
            } else {
                "internal"
            };
            let detail = "a static rule for one port says it on both sides, with \"port\"";
            object.faulty(side, Reason::NatPortsNotAllowed, detail);
            None
        }
    }
}

/// Whether the two prefixes suit each other and the kind of rule.
fn fits(object: &Object<'_>, kind: Kind, internal: IpNet, external: IpNet) -> Option<()> {
    let bits = external.max_prefix_len() - external.prefix_len();
    let wrong = if internal.addr().is_ipv4() != external.addr().is_ipv4() {
        let detail = format!("{internal} and {external} are of different IP versions; there is no NAT64");
        Some((Reason::AddressFamilyMismatch, detail))
    } else if kind == Kind::Static && internal.prefix_len() != external.prefix_len() {
        let detail =
            format!("{external} is not as long as {internal}, and a static rule needs a host for each host");
        Some((Reason::NatLengthsDiffer, detail))
    } else if kind == Kind::Dynamic && bits > DYNAMIC_BITS {
        let length = external.max_prefix_len() - DYNAMIC_BITS;
        let detail = format!("{external}; a dynamic rule has at most a /{length} of external addresses");
        Some((Reason::NatPoolTooLarge, detail))
    } else if overlap(&internal, &external) {
        let detail = format!("{external} overlaps {internal}, which it stands for");
        Some((Reason::NatMappingOverlap, detail))
    } else {
        None
    };
    if let Some((reason, detail)) = wrong {
        object.faulty("external", reason, &detail);
        return None;
    }
    Some(())
}

/// A rule for one port of IPv6 is for one host: nftables does not translate more of them and a port together.
fn one_host(object: &Object<'_>, translation: &Translation, internal: IpNet) -> Option<()> {
    let port = matches!(translation, Translation::Static { ports: Some(_) });
    if port && internal.addr().is_ipv6() && internal.prefix_len() < internal.max_prefix_len() {
        let detail = format!("{internal}; a rule for one port of IPv6 is for one host: a /128");
        object.faulty("internal", Reason::NatPortsNotAllowed, &detail);
        return None;
    }
    Some(())
}

/// Ranges of ports, in order and apart.
fn ranges(value: &Value<'_>) -> Option<Vec<RangeInclusive<u16>>> {
    let mut found = value.list(|value| {
        let text = value.text()?;
        let found = range(text);
        if found.is_none() {
            let detail = format!(
                "\"{}\" is not a range of ports such as {DYNAMIC_PORTS}",
                shown(text)
            );
            value.problem(Reason::OutOfRange, detail);
        }
        found
    })?;
    found.sort_unstable_by_key(|range| *range.start());
    let overlap = found.windows(2).any(|pair| match pair {
        [one, other] => other.start() <= one.end(),
        _ => false,
    });
    if found.is_empty() || overlap {
        let detail = if overlap {
            "two ranges overlap"
        } else {
            "is empty; at least one range is needed"
        };
        value.problem(Reason::OutOfRange, detail);
        return None;
    }
    Some(found)
}

/// A range of ports, the first not above the last.
fn range(text: &str) -> Option<RangeInclusive<u16>> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let port = |text: &str| {
        let digits = text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse::<u16>().ok().filter(|port| digits && *port > 0)
    };
    let (first, last) = (port(first)?, port(last)?);
    (first <= last).then_some(first..=last)
}

/// What is left of `prefix` without all of `taken`.
pub(crate) fn without(prefix: IpNet, taken: &Prefixes) -> Vec<IpNet> {
    taken.common(&prefix).fold(vec![prefix], |left, net| {
        left.into_iter().flat_map(|piece| carve(piece, &net)).collect()
    })
}

/// What is left of `piece` without `net`.
fn carve(piece: IpNet, net: &IpNet) -> Vec<IpNet> {
    if net.contains(&piece) {
        return Vec::new();
    }
    let mut left = Vec::new();
    let mut around = piece;
    while around.contains(net) && around != *net {
        let Ok(halves) = around.subnets(around.prefix_len() + 1) else {
            break;
        };
        for half in halves {
            if half.contains(net) {
                around = half;
            } else {
                left.push(half);
            }
        }
    }
    if left.is_empty() { vec![piece] } else { left }
}

/// Whether an address is in a prefix that one of these rules translates; its name.
pub(crate) fn translated(rules: &BTreeMap<Name, NatRule>, address: IpAddr) -> Option<&Name> {
    rules
        .iter()
        .find(|(_, rule)| rule.internal.contains(&address))
        .map(|(name, _)| name)
}
