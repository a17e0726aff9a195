use std::collections::BTreeMap;
use std::fmt::{Display, Formatter, Result, Write as _};
use std::net::IpAddr;

use ipnet::IpNet;

use crate::compile::MARK;
use crate::program::{
    Action, By, Chain, Condition, Data, Element, Family, Field, Hook, Key, Line, Map, Near, Place, Program,
    Side, Target, Value,
};

/// The table, which is ours alone.
pub const TABLE: &str = "inet causeway_nat";
/// The most octets of a comment that nftables takes, less its end.
const COMMENT: usize = 120;

/// IANA protocol numbers.
const TCP: u8 = 6;
const UDP: u8 = 17;

/// What a counter has counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counted {
    /// Packets.
    pub packets: u64,
    /// Octets of these, from the IP header on.
    pub bytes: u64,
}

impl Program {
    /// The script that makes the whole table where there is none. Counters begin with what they have counted before, if that is
    /// known.
    pub fn script(&self, counters: &BTreeMap<String, Counted>) -> String {
        let mut script = format!("table {TABLE} {{\n");
        for name in self.counters() {
            let Counted { packets, bytes } = counters.get(&name).copied().unwrap_or_default();
            let _ = writeln!(script, "\tcounter {name} {{ packets {packets} bytes {bytes} }}");
        }
        // A map to chains is read after these.
        let (before, after): (Vec<&Map>, Vec<&Map>) =
            self.maps.iter().partition(|map| map.data != Data::Verdict);
        for map in before {
            let _ = write!(script, "{map}");
        }
        for map in after {
            let _ = write!(script, "{map}");
        }
        for chain in &self.chains {
            let _ = write!(script, "{chain}");
        }
        script.push_str("}\n");
        script
    }
}

impl Display for Map {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let (kind, data) = match self.data {
            Data::Nothing => ("set", ""),
            Data::Verdict => ("map", " : verdict"),
            Data::Zone => ("map", " : ct zone"),
            Data::Mark => ("map", " : mark"),
            Data::Pair => ("map", " : meta priority"),
            Data::Prefix(Family::V4) => ("map", " : interval ipv4_addr"),
            Data::Prefix(Family::V6) => ("map", " : interval ipv6_addr"),
            Data::Counter => ("map", " : counter"),
        };
        writeln!(f, "\t{kind} {} {{", self.name)?;
        let (word, key, interval) = match self.key {
            Key::Link => ("typeof", "iifname".to_owned(), false),
            Key::Route => ("typeof", "fib daddr oifname".to_owned(), false),
            // Only so does nftables know what is written down.
            Key::Address(near, family) if self.data == Data::Pair => {
                let near = match near {
                    Near::Link => "iifname",
                    Near::Mark => "meta mark",
                };
                ("typeof", format!("{} saddr . {near}", ip(family)), true)
            }
            Key::Address(near, family) => (
                "type",
                format!("{} . {}", address_type(family), near_type(near)),
                true,
            ),
            Key::Port(near, family) => {
                let port = format!("{} . inet_service", address_type(family));
                ("type", format!("{port} . {}", near_type(near)), true)
            }
            Key::Mark => ("type", "mark".to_owned(), false),
            Key::Pair => ("typeof", "meta priority".to_owned(), false),
        };
        writeln!(f, "\t\t{word} {key}{data}")?;
        if interval {
            writeln!(f, "\t\tflags interval")?;
        }
        comment(f, &self.about)?;
        let mut before = "\t\telements = { ";
        for (element, value) in self.written() {
            write!(f, "{before}{element}{value}")?;
            before = ",\n\t\t\t     ";
        }
        writeln!(f, " }}\n\t}}")
    }
}

impl Map {
    /// The elements that the script has.
    pub(crate) fn written(&self) -> impl Iterator<Item = (&Element, &Value)> {
        let written = self.elements.iter().filter(|(element, _)| !element.is_twin());
        written.map(|(element, value)| (element, value))
    }
}

fn near_type(near: Near) -> &'static str {
    match near {
        Near::Link => "ifname",
        Near::Mark => "mark",
    }
}

fn address_type(family: Family) -> &'static str {
    match family {
        Family::V4 => "ipv4_addr",
        Family::V6 => "ipv6_addr",
    }
}

fn comment(f: &mut Formatter<'_>, about: &str) -> Result {
    if about.is_empty() {
        return Ok(());
    }
    let text: String = quotable(about).chars().take(COMMENT).collect();
    writeln!(f, "\t\tcomment \"{text}\"")
}

/// What may stand between quotation marks.
fn quotable(text: &str) -> String {
    let plain = |letter: char| {
        if letter.is_ascii_graphic() && letter != '"' && letter != '\\' || letter == ' ' {
            letter
        } else {
            '_'
        }
    };
    text.chars().map(plain).collect()
}

impl Element {
    /// Whether it says for UDP what another one says for TCP: rules for a port are for both. The protocol is asked before the
    /// map, since Linux 6.12 takes no `meta l4proto` in a key of intervals.
    fn is_twin(&self) -> bool {
        matches!(self, Self::Port(_, _, UDP, _))
    }
}

impl Display for Element {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Self::Link(name) => write!(f, "\"{}\"", quotable(name)),
            // The address first: it tells elements apart, so the kernel looks no further at most of them when it removes one.
            // One address is written as a prefix, too: nftables 1.0.6 does not find it again otherwise to delete it.
            Self::Net(place, net) => write!(f, "{} . {place}", net.trunc()),
            Self::Port(place, net, _, port) => write!(f, "{} . {port} . {place}", net.trunc()),
            Self::Number(number) => write!(f, "{number:#x}"),
        }
    }
}

impl Display for Place {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Self::Link(name) => write!(f, "\"{}\"", quotable(name)),
            Self::Mark(mark) => write!(f, "{mark:#x}"),
        }
    }
}

impl Display for By {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.write_str(match self {
            Self::InLink => "iifname",
            Self::OutLink => "oifname",
            Self::RouteLink => "fib daddr oifname",
            Self::Mark => "meta mark",
        })
    }
}

impl Display for Value {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Self::Member => Ok(()),
            Self::Jump(chain) => write!(f, " : jump {chain}"),
            Self::Goto(chain) => write!(f, " : goto {chain}"),
            Self::Zone(zone) => write!(f, " : {zone}"),
            Self::Mark(mark) => write!(f, " : {mark:#x}"),
            Self::Prefix(net) => write!(f, " : {}", net.trunc()),
            Self::Counter(name) => write!(f, " : \"{name}\""),
        }
    }
}

impl Display for Chain {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        writeln!(f, "\tchain {} {{", self.name)?;
        comment(f, &self.about)?;
        if let Some(hook) = self.hook {
            // Connection tracking is at -200, after fragments are put together at -400.
            let place = match hook {
                Hook::Before => "filter hook prerouting priority -310",
                Hook::BeforeOwn => "route hook output priority -310",
                Hook::Own => "route hook output priority -150",
                Hook::Destination => "nat hook prerouting priority -100",
                Hook::DestinationOwn => "nat hook output priority -100",
                Hook::Passing => "filter hook forward priority 0",
                Hook::Source => "nat hook postrouting priority 100",
                Hook::SourceOwn => "nat hook input priority 100",
                Hook::After => "filter hook postrouting priority 150",
                Hook::AfterOwn => "filter hook input priority 150",
            };
            writeln!(f, "\t\ttype {place}; policy accept;")?;
        }
        for line in &self.lines {
            writeln!(f, "\t\t{line}")?;
        }
        writeln!(f, "\t}}")
    }
}

impl Display for Line {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let mut before = "";
        for condition in &self.conditions {
            write!(f, "{before}{condition}")?;
            before = " ";
        }
        for action in &self.actions {
            write!(f, "{before}{action}")?;
            before = " ";
        }
        Ok(())
    }
}

impl Display for Field {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let end = |side: &Side, source, destination| match side {
            Side::Source => source,
            Side::Destination => destination,
        };
        match self {
            Self::InLink => write!(f, "iifname"),
            Self::OutLink => write!(f, "oifname"),
            Self::RouteLink => write!(f, "fib daddr oifname"),
            Self::Address(by, side, family) => {
                write!(f, "{} {} . {by}", ip(*family), end(side, "saddr", "daddr"))
            }
            Self::Port(by, side, family) => {
                let (address, port) = (end(side, "saddr", "daddr"), end(side, "sport", "dport"));
                write!(
                    f,
                    "meta l4proto {{ {TCP}, {UDP} }} {} {address} . th {port} . {by}",
                    ip(*family)
                )
            }
            Self::Mark => write!(f, "meta mark"),
            Self::Flow(half) => write!(f, "ct mark {}", end(half, ">> 16", "& 0x0000ffff")),
            Self::Pair => write!(f, "meta priority"),
        }
    }
}

fn ip(family: Family) -> &'static str {
    match family {
        Family::V4 => "ip",
        Family::V6 => "ip6",
    }
}

impl Display for Condition {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Self::In(field, set) => write!(f, "{field} @{set}"),
            Self::PairFrom(pair) => write!(f, "meta priority >= {pair:#x}"),
            Self::PairHas(bit) => write!(f, "meta priority & {bit:#x} == {bit:#x}"),
            Self::PairUpTo(pair) => write!(f, "meta priority <= {pair:#x}"),
            Self::Protocol(protocols) => {
                let numbers: Vec<String> = protocols.iter().map(u8::to_string).collect();
                write!(f, "meta l4proto {{ {} }}", numbers.join(", "))
            }
            Self::ErrorFor(Side::Source) => write!(f, "ct state related ct direction reply"),
            Self::ErrorFor(Side::Destination) => write!(f, "ct state related ct direction original"),
            Self::Unknown => write!(f, "ct state invalid"),
            Self::Marked => write!(f, "meta mark & 0xffff0000 == {MARK:#x}"),
        }
    }
}

impl Display for Action {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Self::Branch(field, map) => write!(f, "{field} vmap @{map}"),
            Self::Jump(chain) => write!(f, "jump {chain}"),
            Self::Mark(mark) => write!(f, "meta mark set {mark:#x}"),
            Self::MarkFrom(field, map) => write!(f, "meta mark set {field} map @{map}"),
            Self::Pair(pair) => write!(f, "meta priority set {pair:#x}"),
            Self::PairBy(field, map) => write!(f, "meta priority set {field} map @{map}"),
            Self::PairWith(mask, 0) => write!(f, "meta priority set meta priority & {mask:#x}"),
            Self::PairWith(mask, pair) => {
                write!(f, "meta priority set meta priority & {mask:#x} | {pair:#x}")
            }
            Self::Zone(zone) => write!(f, "ct zone set {zone}"),
            Self::ZoneFrom(field, map) => write!(f, "ct zone set {field} map @{map}"),
            Self::Bind(Side::Source, id) => {
                write!(
                    f,
                    "ct mark set ct mark & 0x0000ffff | {:#x}",
                    u32::from(*id) << 16
                )
            }
            Self::Bind(Side::Destination, id) => {
                write!(f, "ct mark set ct mark & 0xffff0000 | {id:#x}")
            }
            Self::BindBits(Side::Source, bits) => {
                write!(f, "ct mark set ct mark | {:#x}", u32::from(*bits) << 16)
            }
            Self::BindBits(Side::Destination, bits) => write!(f, "ct mark set ct mark | {bits:#x}"),
            Self::BindFrom(field, map) => write!(f, "ct mark set {field} map @{map}"),
            Self::Unbind(Side::Source) => write!(f, "ct mark set ct mark & 0x0000ffff"),
            Self::Unbind(Side::Destination) => write!(f, "ct mark set ct mark & 0xffff0000"),
            Self::Translate(side, target) => translate(f, *side, target),
            Self::TranslateBy(side, family, map) => {
                let (word, field) = (statement(*side), Field::Flow(*side));
                write!(f, "{word} {} prefix to {field} map @{map}", ip(*family))
            }
            Self::Spread(shares) => spread(f, shares),
            Self::Count(field, map) => write!(f, "counter name {field} map @{map}"),
            Self::Hit(name) => write!(f, "counter name {name}"),
            Self::Drop => write!(f, "drop"),
            Self::Accept => write!(f, "accept"),
            Self::Return => write!(f, "return"),
        }
    }
}

fn spread(f: &mut Formatter<'_>, shares: &[(u32, String)]) -> Result {
    let all: u32 = shares.iter().map(|(size, _)| size).sum();
    write!(f, "numgen random mod {all} vmap {{ ")?;
    let (mut first, mut before) = (0, "");
    for (size, chain) in shares {
        write!(
            f,
            "{before}{first}-{} : goto {chain}",
            first + size.saturating_sub(1)
        )?;
        (first, before) = (first + size, ", ");
    }
    write!(f, " }}")
}

fn statement(side: Side) -> &'static str {
    match side {
        Side::Source => "snat",
        Side::Destination => "dnat",
    }
}

fn translate(f: &mut Formatter<'_>, side: Side, target: &Target) -> Result {
    let statement = statement(side);
    match target {
        Target::Port { to: (net, to), .. } if one(net) => {
            write!(f, "{statement} {} to {}:{to}", family(net), literal(net.addr()))
        }
        Target::Port {
            from: (before, from),
            to: (net, to),
        } => {
            let (address, port) = match side {
                Side::Source => ("saddr", "sport"),
                Side::Destination => ("daddr", "dport"),
            };
            let ip = family(net);
            let map = format!("{} . {from} : {} . {to}", before.trunc(), net.trunc());
            write!(
                f,
                "{statement} {ip} prefix to {ip} {address} . th {port} map {{ {map} }}"
            )
        }
        Target::Pool(net, ports) => {
            let (first, last) = (net.network(), net.broadcast());
            write!(f, "{statement} {} to {}", family(net), literal(first))?;
            if first != last {
                write!(f, "-{}", literal(last))?;
            }
            if let Some(range) = ports {
                write!(f, ":{}-{}", range.start(), range.end())?;
            }
            // One external address for a host, whoever it speaks with (RFC 4787 REQ-2).
            write!(f, " persistent")
        }
    }
}

fn one(net: &IpNet) -> bool {
    net.prefix_len() == net.max_prefix_len()
}

fn family(net: &IpNet) -> &'static str {
    ip(Family::of(net))
}

/// An address to which a port may be added.
fn literal(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => format!("[{address}]"),
    }
}
