use std::collections::BTreeMap;

use ipnet::IpNet;

use crate::carve::longest;
use crate::numbers::{BindingKey, Numbers, TooMany};
use crate::program::{
    Action, Binding, Chain, Condition, Data, Element, Family, Field, Hook, Key, Line, Map, Program, Side,
    Value,
};
use crate::program::{By, Place};
use crate::rule::{Mode, Rule, Rules, Tunnel};

mod binding;
mod unknown;
mod zone;

use binding::translator;

/// What marks of ours begin with; the number of the connection follows.
pub(crate) const MARK: u32 = 0x4357_0000;
/// TCP and UDP (IANA protocol numbers).
pub(crate) const WITH_PORTS: [u8; 2] = [6, 17];

/// The program that means these rules, with the numbers that were kept. The same input makes the same program.
///
/// # Errors
/// There are more sites or rules than connection tracking can tell apart, or more hosts than a rule can be for.
pub fn compile(rules: &Rules, kept: &Numbers) -> Result<Program, TooMany> {
    check_ports(rules)?;
    let numbers = kept.assign(rules)?;
    let mut compiler = Compiler {
        rules,
        numbers: &numbers,
        bindings: BTreeMap::new(),
        maps: Vec::new(),
        hooks: Vec::new(),
        chains: Vec::new(),
    };
    compiler.zones();
    compiler.unknown();
    compiler.hooks();
    for (connection, tunnel) in &rules.tunnels {
        compiler.tunnel(connection, tunnel);
    }
    for side in [Side::Source, Side::Destination] {
        compiler.translator(side);
    }
    compiler.back();
    compiler.counters();
    let Compiler {
        bindings,
        mut maps,
        hooks: mut all,
        chains,
        ..
    } = compiler;
    maps.retain(|map| !map.elements.is_empty());
    all.extend(chains);
    for chain in &mut all {
        chain.lines.retain(|line| line.looks_up(&maps));
    }
    all.retain(|chain| chain.hook.is_none() || !chain.lines.is_empty());
    let translated = rules.tunnels.values().filter(|tunnel| !tunnel.ingress.is_empty());
    let tables = translated.map(|tunnel| (MARK | u32::from(tunnel.number), tunnel.link.clone()));
    Ok(Program {
        numbers,
        bindings,
        tables: tables.collect(),
        maps,
        chains: all,
    })
}

/// Whether every rule for one port is one that nftables can express.
fn check_ports(rules: &Rules) -> Result<(), TooMany> {
    let tunnels = rules.tunnels.values();
    let mut all = tunnels.flat_map(|tunnel| tunnel.ingress.values().chain(tunnel.egress.values()));
    let wide = all.find(|rule| {
        let one = rule.internal.prefix_len() == rule.internal.max_prefix_len();
        rule.ports().is_some() && Family::of(&rule.internal) == Family::V6 && !one
    });
    wide.map_or(Ok(()), |rule| {
        Err(TooMany::Hosts {
            prefix: rule.internal,
        })
    })
}

/// What a program is made of, so far.
struct Compiler<'r> {
    rules: &'r Rules,
    numbers: &'r Numbers,
    bindings: BTreeMap<u16, Binding>,
    maps: Vec<Map>,
    hooks: Vec<Chain>,
    chains: Vec<Chain>,
}

impl Compiler<'_> {
    /// The hooks of translation, which lead to the chains of each tunnel.
    fn hooks(&mut self) {
        // Until its source is looked at, a flow is bound to the site: what drops its first packet says so there.
        let arrives = branches(By::InLink, Side::Destination, "reverse_egress");
        let leaves = branches(By::Mark, Side::Destination, "reverse_ingress");
        let from = branches(By::InLink, Side::Source, "ingress");
        let to = branches(By::OutLink, Side::Source, "egress");
        let came = Action::BindFrom(Field::InLink, "came".into());
        let not_bound = Action::Unbind(Side::Source);
        let counted = vec![
            Line::of(Action::Count(Field::Flow(Side::Destination), "counters".into())),
            Line::of(Action::Count(Field::Flow(Side::Source), "counters".into())),
            Line {
                conditions: vec![Condition::Marked],
                actions: vec![Action::Mark(0)],
            },
        ];
        self.hook(
            Hook::Destination,
            "an external prefix, to the internal one",
            [Line::of(came)]
                .into_iter()
                .chain(arrives)
                .chain(leaves.clone())
                .collect(),
        );
        self.hook(
            Hook::DestinationOwn,
            "of our own: an external prefix, to the internal one",
            leaves,
        );
        self.hook(
            Hook::Source,
            "an internal prefix, to the external one",
            from.iter()
                .cloned()
                .chain(to)
                .chain([Line::of(not_bound.clone())])
                .collect(),
        );
        self.hook(
            Hook::SourceOwn,
            "for us: an internal prefix, to the external one",
            from.into_iter().chain([Line::of(not_bound)]).collect(),
        );
        let back = |side| Line {
            conditions: vec![Condition::ErrorFor(side)],
            actions: vec![Action::MarkFrom(Field::Flow(side), "back".into())],
        };
        self.hook(
            Hook::Own,
            "errors of our own, to the inner address of a site",
            vec![back(Side::Source), back(Side::Destination)],
        );
        self.hook(Hook::After, "counts", counted.clone());
        self.hook(Hook::AfterOwn, "counts what is for us", counted);
    }

    fn hook(&mut self, hook: Hook, about: &str, lines: Vec<Line>) {
        self.hooks.push(Chain {
            name: hook.chain().to_owned(),
            about: about.to_owned(),
            hook: Some(hook),
            lines,
        });
    }

    /// The four ways through a tunnel's rules.
    fn tunnel(&mut self, connection: &str, tunnel: &Tunnel) {
        for mode in Mode::ALL {
            let rules = tunnel.rules(mode);
            if rules.is_empty() {
                continue;
            }
            let mut named = Vec::new();
            for (name, rule) in rules {
                let key = BindingKey::of(connection, name, mode, rule);
                let Some(id) = self.numbers.bindings.get(&key).copied() else {
                    continue;
                };
                named.push((id, rule));
                self.binding(
                    id,
                    Binding {
                        key,
                        connection: connection.to_owned(),
                        name: name.clone(),
                        mode,
                        rule: rule.clone(),
                    },
                );
            }
            for side in [Side::Source, Side::Destination] {
                self.way(tunnel, Way { mode, side }, &named);
            }
        }
    }

    /// What leads from one side of a tunnel's packets to the rule that translates it.
    fn way(&mut self, tunnel: &Tunnel, way: Way, rules: &[(u16, &Rule)]) {
        let place = match (way.mode, way.side) {
            (Mode::Ingress, Side::Destination) => Place::Mark(MARK | u32::from(tunnel.number)),
            (Mode::Ingress, Side::Source) | (Mode::Egress, Side::Source | Side::Destination) => {
                Place::Link(tunnel.link.clone())
            }
        };
        for family in Family::ALL {
            let suits = |rule: &Rule| Family::of(&rule.internal) == family;
            let of: Vec<(u16, &Rule)> = rules.iter().copied().filter(|(_, rule)| suits(rule)).collect();
            for (kind, elements) in lookups(way.side, &place, &of) {
                let by_id: BTreeMap<u16, &Rule> = of.iter().copied().collect();
                let is_whole = |id: &u16| by_id.get(id).is_some_and(|rule| rule.is_whole());
                let (whole, led): (Vec<_>, Vec<_>) = elements.into_iter().partition(|(_, id)| is_whole(id));
                let numbers = whole
                    .into_iter()
                    .map(|(element, id)| (element, Value::Mark(id.into())));
                self.extend(&rules_of(&way.word(), family), Data::Pair, numbers.collect());
                let led = led
                    .into_iter()
                    .map(|(element, id)| (element, destination(way.side, id)));
                self.extend(&named(&way.word(), kind, family), Data::Verdict, led.collect());
            }
        }
    }

    /// Adds to a map, which is made if it is not there.
    fn extend(&mut self, name: &str, data: Data, elements: Vec<(Element, Value)>) {
        let key = match elements.first() {
            Some((Element::Net(place, net), _)) => Key::Address(place.near(), Family::of(net)),
            Some((Element::Port(place, net, ..), _)) => Key::Port(place.near(), Family::of(net)),
            Some((Element::Link(_) | Element::Number(_), _)) | None => return,
        };
        if let Some(map) = self.maps.iter_mut().find(|known| known.name == name) {
            map.elements.extend(elements);
        } else {
            self.map(name, "", key, data);
            if let Some(map) = self.maps.last_mut() {
                map.elements = elements;
            }
        }
    }

    fn chain(&mut self, name: String, about: &str, lines: Vec<Line>) {
        self.chains.push(Chain {
            name,
            about: about.to_owned(),
            hook: None,
            lines,
        });
    }

    /// Adds to the map from links, or marks, to the chains of tunnels.
    fn lead(&mut self, map: &str, element: Element, value: Value) {
        if let Some(map) = self.maps.iter_mut().find(|known| known.name == map) {
            map.elements.push((element, value));
        }
    }

    /// Which site a flow is from, until its source is looked at; the mark that leads back to a site whose address was
    /// translated, by the binding that did it.
    fn back(&mut self) {
        let ingress = self
            .bindings
            .iter()
            .filter(|(_, binding)| binding.mode == Mode::Ingress);
        let (mut came, mut back) = (BTreeMap::new(), Vec::new());
        for (id, binding) in ingress {
            if let Some(tunnel) = self.rules.tunnels.get(&binding.connection) {
                let mark = Value::Mark(MARK | u32::from(tunnel.number));
                back.push((Element::Number((*id).into()), mark));
                let link = Element::Link(tunnel.link.clone());
                came.entry(link).or_insert(Value::Mark(u32::from(*id) << 16));
            }
        }
        for (name, about, key, elements) in [
            (
                "came",
                "a rule of the site that a flow is from",
                Key::Link,
                came.into_iter().collect(),
            ),
            (
                "back",
                "to the site, by halves of the mark of flows",
                Key::Mark,
                back,
            ),
        ] {
            self.map(name, about, key, Data::Mark);
            for (element, value) in elements {
                self.lead(name, element, value);
            }
        }
    }

    /// The counter of each binding.
    fn counters(&mut self) {
        let numbered = self.bindings.iter().map(|(id, binding)| {
            let value = Value::Counter(binding.key.to_string());
            (Element::Number((*id).into()), value)
        });
        let elements = numbered.collect();
        self.map(
            "counters",
            "by the halves of the mark of flows",
            Key::Mark,
            Data::Counter,
        );
        if let Some(map) = self.maps.last_mut() {
            map.elements = elements;
        }
    }

    fn map(&mut self, name: &str, about: &str, key: Key, data: Data) {
        self.maps.push(Map {
            name: name.to_owned(),
            about: about.to_owned(),
            key,
            data,
            elements: Vec::new(),
        });
    }
}

/// One side of the packets that a mode is about.
#[derive(Clone, Copy)]
struct Way {
    mode: Mode,
    side: Side,
}

impl Way {
    /// As in names of chains and maps.
    fn word(self) -> String {
        match self.side {
            Side::Source => self.mode.word().to_owned(),
            Side::Destination => format!("reverse_{}", self.mode.word()),
        }
    }
}

/// What finds the rule for a side of a packet, with what stands in the name of the map: those for one port come first.
fn lookups(side: Side, place: &Place, rules: &[(u16, &Rule)]) -> Vec<(Kind, Vec<(Element, u16)>)> {
    let mut found = vec![
        (Kind::Port, ports(side, place, rules)),
        (Kind::Whole, whole(side, place, rules)),
    ];
    found.retain(|(_, elements)| !elements.is_empty());
    found
}

/// Whether a map is of rules for one port.
#[derive(Clone, Copy)]
enum Kind {
    Port,
    Whole,
}

/// The name of a map.
fn named(word: &str, kind: Kind, family: Family) -> String {
    match kind {
        Kind::Port => format!("{word}_ports{}", family.digit()),
        Kind::Whole => format!("{word}{}", family.digit()),
    }
}

/// All fields of a side of a packet that maps may know, with the names of these.
fn asked(by: By, side: Side, word: &str) -> Vec<(Field, String)> {
    Family::ALL
        .into_iter()
        .flat_map(|family| {
            [
                (Field::Port(by, side, family), named(word, Kind::Port, family)),
                (Field::Address(by, side, family), named(word, Kind::Whole, family)),
            ]
        })
        .collect()
}

/// The map from prefixes to the numbers of static rules for all traffic.
fn rules_of(word: &str, family: Family) -> String {
    format!("{word}_rules{}", family.digit())
}

/// Leads to the rule that translates a side of a packet, if there is one; static ones for all traffic are looked up.
fn branches(by: By, side: Side, word: &str) -> Vec<Line> {
    let asked = asked(by, side, word).into_iter();
    let led = asked.map(|(field, map)| Line::of(Action::Branch(field, map)));
    let mapped = Family::ALL.into_iter().map(|family| {
        let number = Action::PairBy(Field::Address(by, side, family), rules_of(word, family));
        Line {
            conditions: Vec::new(),
            actions: vec![number, Action::Jump(translator(side).to_owned())],
        }
    });
    led.chain(mapped).collect()
}

/// Which prefix of a rule its packets have at that side before it translates them.
fn before(side: Side, rule: &Rule) -> IpNet {
    match side {
        Side::Source => rule.internal,
        Side::Destination => rule.external,
    }
}

/// Which prefix they have afterwards.
fn after(side: Side, rule: &Rule) -> IpNet {
    match side {
        Side::Source => rule.external,
        Side::Destination => rule.internal,
    }
}

fn destination(side: Side, id: u16) -> Value {
    Value::Goto(match side {
        Side::Source => format!("source_{id}"),
        Side::Destination => format!("destination_{id}"),
    })
}

/// Of rules for all traffic: the longest prefix counts.
fn whole(side: Side, place: &Place, rules: &[(u16, &Rule)]) -> Vec<(Element, u16)> {
    let whole = rules.iter().filter(|(_, rule)| rule.ports().is_none());
    let pieces = longest(whole.map(|(id, rule)| (before(side, rule), *id)).collect());
    let element = |(net, id)| (Element::Net(place.clone(), net), id);
    pieces.into_iter().map(element).collect()
}

/// Of rules for one port: the longest prefix with that port counts.
fn ports(side: Side, place: &Place, rules: &[(u16, &Rule)]) -> Vec<(Element, u16)> {
    let mut by_port: BTreeMap<u16, Vec<(IpNet, u16)>> = BTreeMap::new();
    for (id, rule) in rules {
        if let Some((internal, external)) = rule.ports() {
            let port = match side {
                Side::Source => internal,
                Side::Destination => external,
            };
            by_port.entry(port).or_default().push((before(side, rule), *id));
        }
    }
    let mut elements = Vec::new();
    for (port, prefixes) in by_port {
        for (net, id) in longest(prefixes) {
            let element = |protocol| (Element::Port(place.clone(), net, protocol, port), id);
            elements.extend(WITH_PORTS.map(element));
        }
    }
    elements
}

impl Line {
    /// Whether all that it asks for is there.
    fn looks_up(&self, maps: &[Map]) -> bool {
        let conditions = self.conditions.iter().filter_map(Condition::set);
        let mut names = self.actions.iter().filter_map(Action::map).chain(conditions);
        names.all(|name| maps.iter().any(|map| map.name == name))
    }

    /// For all packets.
    pub(crate) fn of(action: Action) -> Self {
        Self {
            conditions: Vec::new(),
            actions: vec![action],
        }
    }
}
