use std::collections::BTreeMap;

use ipnet::IpNet;

use super::{Compiler, Kind, MARK, asked, lookups, named};
use crate::program::{
    Action, By, Condition, Data, Element, Family, Field, Hook, Key, Line, Place, Side, Value,
};
use crate::rule::{Mode, Rule, Tunnel};

/// The bits of two classes.
const CLASSES: u32 = 0xffff;
/// Beside a class: no ingress rule translates the source.
const UNTRANSLATED: u32 = 0x1_0000;
/// Beside a class: the destination is what an egress rule of the tunnel that the packet came by shows by another name.
const SHOWN: u32 = 0x2_0000;
/// Instead of a class: an egress rule translates the source as if it were ours.
const OURS: u32 = 0x4_0000;
/// Beside a class: the destination is an external address of the site that the route leads to.
const ADDRESSED: u32 = 0x8_0000;

/// The zone of flows between sites of these classes: both directions have the same one. Class 0 is all that is
/// unambiguous: ourselves, the LAN, sites without ingress rules.
fn zone(one: u8, other: u8) -> u16 {
    u16::from_be_bytes([one.max(other), one.min(other)])
}

impl Compiler<'_> {
    fn class(&self, tunnel: &Tunnel) -> u8 {
        self.numbers.sites.get(&tunnel.site).copied().unwrap_or(0)
    }

    /// What happens before connection tracking: which zone a packet is in, and by which tunnel it leaves.
    pub(super) fn zones(&mut self) {
        for (name, about, key, data) in [
            (
                "towards",
                "tunnels with rules, by route",
                Key::Route,
                Data::Verdict,
            ),
            (
                "classes",
                "what stands for the site of a tunnel",
                Key::Link,
                Data::Pair,
            ),
            ("classes_to", "the same, by route", Key::Route, Data::Verdict),
            (
                "zones_in",
                "between a site and nobody in particular",
                Key::Link,
                Data::Zone,
            ),
            ("zones", "of two classes of sites", Key::Pair, Data::Zone),
        ] {
            self.map(name, about, key, data);
        }
        let rules = self.rules;
        for (connection, tunnel) in &rules.tunnels {
            self.sets(tunnel);
            self.link(connection, tunnel);
        }
        self.pairs();
        let mut lines = Vec::new();
        // From a site to us by an external prefix, whatever the routes say of that.
        for shown in inside(By::InLink, Side::Destination, "egress_external") {
            for action in [Action::ZoneFrom(Field::InLink, "zones_in".into()), Action::Accept] {
                lines.push(when(vec![shown.clone()], vec![action]));
            }
        }
        lines.push(Line::of(Action::Branch(Field::RouteLink, "towards".into())));
        lines.push(Line::of(Action::ZoneFrom(Field::InLink, "zones_in".into())));
        self.hook(Hook::Before, "which zone, and by which tunnel", lines);
        let mut lines = marks();
        lines.push(Line::of(Action::ZoneFrom(Field::OutLink, "zones_in".into())));
        self.hook(
            Hook::BeforeOwn,
            "of our own: which zone, and by which tunnel",
            lines,
        );
        self.towards();
        for (site, class) in &self.numbers.sites {
            self.chain(format!("class_{class}"), site, pair(*class));
        }
        if !self.numbers.sites.is_empty() {
            self.chain("between".into(), "the zone of two classes", between());
        }
    }

    /// Prefixes of a tunnel's rules, whatever the rules say of them.
    fn sets(&mut self, tunnel: &Tunnel) {
        let place = Place::Link(tunnel.link.clone());
        let mark = MARK | u32::from(tunnel.number);
        for (mode, family) in Mode::ALL
            .into_iter()
            .flat_map(|mode| Family::ALL.map(|family| (mode, family)))
        {
            let of = |rule: &&Rule| Family::of(&rule.internal) == family;
            let rules: Vec<&Rule> = tunnel.rules(mode).values().filter(of).collect();
            let external = IpNet::aggregate(&rules.iter().map(|rule| rule.external).collect());
            let (name, data, value) = match mode {
                Mode::Ingress => ("marks", Data::Mark, Value::Mark(mark)),
                Mode::Egress => ("egress_external", Data::Nothing, Value::Member),
            };
            let element = |net| (Element::Net(place.clone(), net), value.clone());
            let elements = external.iter().copied().map(element).collect();
            self.extend(&format!("{name}{}", family.digit()), data, elements);
            if mode == Mode::Ingress {
                let marked = |net| (Element::Net(Place::Mark(mark), net), Value::Member);
                let name = named("ingress_external", Kind::Whole, family);
                self.extend(&name, Data::Nothing, external.into_iter().map(marked).collect());
            }
            let numbered: Vec<(u16, &Rule)> = rules.into_iter().map(|rule| (0, rule)).collect();
            for (kind, elements) in lookups(Side::Source, &place, &numbered) {
                let name = named(&format!("{}_internal", mode.word()), kind, family);
                self.extend(&name, Data::Nothing, members(elements));
            }
            if mode == Mode::Egress {
                for (kind, elements) in lookups(Side::Source, &Place::Mark(mark), &numbered) {
                    let name = named("egress_leaving", kind, family);
                    self.extend(&name, Data::Nothing, members(elements));
                }
            }
        }
    }

    /// What leads to a tunnel, and what its site is called.
    fn link(&mut self, connection: &str, tunnel: &Tunnel) {
        let class = self.class(tunnel);
        let link = Element::Link(tunnel.link.clone());
        if class > 0 {
            let both = u32::from(class) * 257;
            self.lead("classes", link.clone(), Value::Mark(both | UNTRANSLATED));
            let chain = Value::Goto(format!("class_{class}"));
            self.lead("classes_to", link.clone(), chain);
            self.lead("zones_in", link.clone(), Value::Zone(zone(class, 0)));
        }
        let chain = format!("towards_{}", tunnel.number);
        self.lead("towards", link, Value::Jump(chain.clone()));
        let mark = Action::Mark(MARK | u32::from(tunnel.number));
        let line = when(Vec::new(), vec![mark, Action::Jump("towards".into())]);
        self.chain(chain, connection, vec![line]);
    }

    /// To a site, as the routes say. What is of another site but has a name of ours, by which answers come back, is in the
    /// zone of what is ours: what an egress rule translates on its way here, and, so that this holds for answers, what one
    /// shows where the packet came from.
    fn towards(&mut self) {
        let mut lines = vec![
            Line::of(Action::Pair(0)),
            Line::of(Action::PairBy(Field::InLink, "classes".into())),
        ];
        for shown in inside(By::InLink, Side::Destination, "egress_internal") {
            lines.push(when(vec![shown], vec![Action::PairWith(u32::MAX, SHOWN)]));
        }
        for translated in inside(By::InLink, Side::Source, "ingress_internal") {
            lines.push(when(vec![translated], vec![Action::PairWith(!UNTRANSLATED, 0)]));
        }
        // nftables cannot look up an address together with the link of a route, but together with a mark.
        for addressed in inside(By::Mark, Side::Destination, "ingress_external") {
            let actions = vec![Action::PairWith(!SHOWN, ADDRESSED)];
            lines.push(when(vec![addressed], actions));
        }
        for translated in inside(By::Mark, Side::Source, "egress_leaving") {
            let conditions = vec![Condition::PairHas(UNTRANSLATED), translated];
            lines.push(when(conditions, vec![Action::PairWith(ADDRESSED, OURS)]));
        }
        lines.push(when(
            vec![Condition::PairUpTo(ADDRESSED - 1)],
            vec![Action::Mark(0)],
        ));
        let zone_in = Action::ZoneFrom(Field::InLink, "zones_in".into());
        lines.push(when(vec![Condition::PairHas(SHOWN)], vec![zone_in]));
        let done = [Action::Pair(0), Action::Accept];
        lines.push(when(vec![Condition::PairHas(SHOWN)], done.to_vec()));
        lines.push(Line::of(Action::Branch(Field::RouteLink, "classes_to".into())));
        lines.push(when(vec![Condition::PairHas(OURS)], done.to_vec()));
        lines.push(Line::of(Action::Pair(0)));
        self.chain("towards".into(), "to a tunnel with rules", lines);
    }

    /// The zone of every two classes.
    fn pairs(&mut self) {
        let classes: Vec<u8> = [0]
            .into_iter()
            .chain(self.numbers.sites.values().copied())
            .collect();
        for one in &classes {
            for other in classes.iter().filter(|other| *other <= one && *one > 0) {
                let zone = zone(*one, *other);
                self.lead("zones", Element::Number(zone.into()), Value::Zone(zone));
            }
        }
    }
}

/// The same as a set: prefixes that are neighbours become one, so that the kernel looks through few for each packet.
fn members(elements: Vec<(Element, u16)>) -> Vec<(Element, Value)> {
    let (mut nets, mut others) = (BTreeMap::<Place, Vec<IpNet>>::new(), Vec::new());
    for (element, _) in elements {
        match element {
            Element::Net(place, net) => nets.entry(place).or_default().push(net),
            Element::Port(..) | Element::Link(_) | Element::Number(_) => others.push(element),
        }
    }
    let joined = nets.into_iter().flat_map(|(place, nets)| {
        let nets = IpNet::aggregate(&nets).into_iter();
        nets.map(move |net| Element::Net(place.clone(), net))
    });
    joined
        .chain(others)
        .map(|element| (element, Value::Member))
        .collect()
}

/// Puts the class of the site that a packet is for beside that which it is from, the greater first.
fn pair(class: u8) -> Vec<Line> {
    let (class, both) = (u32::from(class), u32::from(class) * 257);
    vec![
        Line::of(Action::PairWith(CLASSES, 0)),
        when(
            vec![Condition::PairUpTo(both)],
            vec![Action::PairWith(0xff, class << 8)],
        ),
        when(
            vec![Condition::PairFrom(both + 1)],
            vec![Action::PairWith(0xff00, class)],
        ),
        Line::of(Action::Jump("between".into())),
    ]
}

/// A chain of its own, since the kernel goes through a whole map for each chain that looks something up in it.
fn between() -> Vec<Line> {
    vec![
        Line::of(Action::ZoneFrom(Field::Pair, "zones".into())),
        when(Vec::new(), vec![Action::Pair(0), Action::Accept]),
    ]
}

/// Marks what is of our own and for the external prefix of a site.
fn marks() -> Vec<Line> {
    let line = |family: Family| {
        let field = Field::Address(By::OutLink, Side::Destination, family);
        Line::of(Action::MarkFrom(field, format!("marks{}", family.digit())))
    };
    Family::ALL.map(line).into()
}

/// One of these holds if that side of a packet is in the sets of that name.
pub(super) fn inside(by: By, side: Side, word: &str) -> Vec<Condition> {
    let asked = asked(by, side, word).into_iter();
    asked.map(|(field, set)| Condition::In(field, set)).collect()
}

fn when(conditions: Vec<Condition>, actions: Vec<Action>) -> Line {
    Line { conditions, actions }
}
