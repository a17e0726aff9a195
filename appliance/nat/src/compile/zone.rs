use ipnet::IpNet;

use super::{Compiler, MARK, lookups};
use crate::carve::longest;
use crate::program::{Action, Condition, Data, Element, Family, Field, Hook, Key, Line, Map, Side, Value};
use crate::rule::{Mode, Rule, Tunnel};

/// The bits of two classes.
pub(super) const CLASSES: u32 = 0xffff;
/// Beside a class: no ingress rule translates the source.
const UNTRANSLATED: u32 = 0x1_0000;
/// Beside a class: the destination is what an egress rule of the tunnel that the packet came by shows by another name.
pub(super) const SHOWN: u32 = 0x2_0000;

/// The maps that lead from links, marks and classes to what is about them.
const LEADING: &[(&str, &str, Key, Data)] = &[
    ("from", "tunnels with egress rules", Key::Link, Data::Verdict),
    (
        "towards",
        "tunnels with rules, by route",
        Key::Route,
        Data::Verdict,
    ),
    (
        "towards_own",
        "tunnels with ingress rules",
        Key::Link,
        Data::Verdict,
    ),
    (
        "classes",
        "what stands for the site of a tunnel",
        Key::Link,
        Data::Verdict,
    ),
    (
        "zones_in",
        "from a site to nobody in particular",
        Key::Link,
        Data::Zone,
    ),
    ("zones", "of two classes of sites", Key::Pair, Data::Zone),
    ("reverse_egress", "", Key::Link, Data::Verdict),
    ("reverse_ingress", "", Key::Mark, Data::Verdict),
    ("ingress", "", Key::Link, Data::Verdict),
    ("egress", "", Key::Link, Data::Verdict),
];

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
        for (name, about, key, data) in LEADING {
            self.map(name, about, *key, *data);
        }
        let rules = self.rules;
        for (connection, tunnel) in &rules.tunnels {
            self.sets(connection, tunnel);
            self.from(connection, tunnel);
            self.towards(connection, tunnel);
            self.class_of(connection, tunnel);
        }
        self.pairs();
        self.unknown();
        self.hook(
            Hook::Before,
            "which zone, and by which tunnel",
            [
                Action::Branch(Field::InLink, "from".into()),
                Action::Branch(Field::RouteLink, "towards".into()),
                Action::ZoneFrom(Field::InLink, "zones_in".into()),
            ]
            .map(Line::of)
            .into(),
        );
        self.hook(
            Hook::BeforeOwn,
            "of our own: which zone, and by which tunnel",
            vec![Line::of(Action::Branch(Field::OutLink, "towards_own".into()))],
        );
    }

    /// Prefixes of a tunnel's rules, whatever the rules say of them.
    fn sets(&mut self, connection: &str, tunnel: &Tunnel) {
        for mode in Mode::ALL {
            for family in Family::ALL {
                let external = nets(tunnel, mode, family, |rule| rule.external);
                self.set(connection, external_set(mode, family, tunnel), family, external);
            }
        }
    }

    pub(super) fn set(&mut self, about: &str, name: String, family: Family, nets: Vec<IpNet>) {
        if !nets.is_empty() {
            let pieces = longest(nets.into_iter().map(|net| (net, ())).collect());
            let elements = pieces
                .into_iter()
                .map(|(net, ())| (Element::Net(net), Value::Member));
            self.maps.push(Map {
                name,
                about: about.to_owned(),
                key: Key::Address(family),
                data: Data::Nothing,
                elements: elements.collect(),
            });
        }
    }

    /// From the site to us by an external prefix, whatever the routes say of that.
    fn from(&mut self, connection: &str, tunnel: &Tunnel) {
        if tunnel.egress.is_empty() {
            return;
        }
        let mut actions = vec![Action::Accept];
        let class = self.class(tunnel);
        if class > 0 {
            actions.insert(0, Action::Zone(zone(class, 0)));
        }
        let lines = families(tunnel, Mode::Egress).map(|family| Line {
            conditions: vec![Condition::In(
                Field::Address(Side::Destination, family),
                external_set(Mode::Egress, family, tunnel),
            )],
            actions: actions.clone(),
        });
        let (chain, lines) = (format!("from_{}", tunnel.number), lines.collect());
        self.lead(
            "from",
            Element::Link(tunnel.link.clone()),
            Value::Jump(chain.clone()),
        );
        self.chain(chain, connection, lines);
    }

    /// To a site, as the routes say.
    fn towards(&mut self, connection: &str, tunnel: &Tunnel) {
        let class = self.class(tunnel);
        if class == 0 && tunnel.egress.is_empty() {
            return;
        }
        let mark = Action::Mark(MARK | u32::from(tunnel.number));
        let marked = |actions: Vec<Action>| {
            families(tunnel, Mode::Ingress).map(move |family| Line {
                conditions: vec![Condition::In(
                    Field::Address(Side::Destination, family),
                    external_set(Mode::Ingress, family, tunnel),
                )],
                actions: actions.clone(),
            })
        };
        let link = Element::Link(tunnel.link.clone());
        if class > 0 {
            let chain = format!("towards_own_{}", tunnel.number);
            let mut lines: Vec<Line> = marked(vec![mark.clone()]).collect();
            lines.push(Line::of(Action::Zone(zone(class, 0))));
            self.lead("towards_own", link.clone(), Value::Jump(chain.clone()));
            self.chain(chain, connection, lines);
        }
        let mut lines = vec![
            Line::of(Action::Pair(0)),
            Line::of(Action::Branch(Field::InLink, "classes".into())),
        ];
        lines.extend(marked(vec![mark, Action::PairWith(!SHOWN, 0)]));
        lines.extend(self.unmistakable(connection, tunnel));
        let mut end = vec![Action::Pair(0)];
        if class > 0 {
            lines.extend(pair(class));
            end.push(Action::Accept);
        }
        lines.push(Line {
            conditions: Vec::new(),
            actions: end,
        });
        let chain = format!("towards_{}", tunnel.number);
        self.lead("towards", link, Value::Jump(chain.clone()));
        self.chain(chain, connection, lines);
    }

    /// What is of another site but has a name of ours, by which answers come back, is in the zone of what is ours: what an
    /// egress rule translates on its way here, and, so that this holds for answers, what one shows where the packet came from.
    fn unmistakable(&mut self, connection: &str, tunnel: &Tunnel) -> Vec<Line> {
        let mut actions = vec![Action::Pair(0)];
        if self.class(tunnel) == 0 {
            actions.push(Action::Accept);
        }
        let ours = self.translated(connection, tunnel, Mode::Egress);
        let mut lines: Vec<Line> = ours
            .into_iter()
            .map(|condition| Line {
                conditions: vec![Condition::PairHas(UNTRANSLATED), condition],
                actions: actions.clone(),
            })
            .collect();
        let shown = [
            vec![Action::ZoneFrom(Field::InLink, "zones_in".into())],
            vec![Action::Pair(0), Action::Accept],
        ];
        lines.extend(shown.map(|actions| Line {
            conditions: vec![Condition::PairHas(SHOWN)],
            actions,
        }));
        lines.push(Line::of(Action::PairWith(CLASSES, 0)));
        lines
    }

    /// What packets must be like so that the rules translate their source: one of these must hold.
    fn translated(&mut self, connection: &str, tunnel: &Tunnel, mode: Mode) -> Vec<Condition> {
        let mut conditions = Vec::new();
        for family in Family::ALL {
            let rules = tunnel.rules(mode).values();
            let of: Vec<(u16, &Rule)> = rules
                .filter(|rule| Family::of(&rule.internal) == family)
                .map(|rule| (0, rule))
                .collect();
            for (field, key, kind, elements) in lookups(Side::Source, family, &of) {
                let name = internal_set(mode, kind, family, tunnel);
                conditions.push(Condition::In(field, name.clone()));
                let members = elements.into_iter().map(|(element, _)| (element, Value::Member));
                self.maps.push(Map {
                    name,
                    about: connection.to_owned(),
                    key,
                    data: Data::Nothing,
                    elements: members.collect(),
                });
            }
        }
        conditions
    }

    /// Writes down the class of the site that a packet is from, and what its rules say of both ends.
    fn class_of(&mut self, connection: &str, tunnel: &Tunnel) {
        let class = self.class(tunnel);
        if class == 0 && tunnel.egress.is_empty() {
            return;
        }
        let link = Element::Link(tunnel.link.clone());
        let both = u32::from(class) * 257;
        let mut lines = vec![Line::of(Action::Pair(both))];
        for condition in shown(tunnel) {
            lines.push(Line {
                conditions: vec![condition],
                actions: vec![Action::PairWith(u32::MAX, SHOWN)],
            });
        }
        if class > 0 {
            self.lead("zones_in", link.clone(), Value::Zone(zone(class, 0)));
            for condition in self.translated(connection, tunnel, Mode::Ingress) {
                lines.push(Line {
                    conditions: vec![condition],
                    actions: vec![Action::Return],
                });
            }
            lines.push(Line::of(Action::PairWith(u32::MAX, UNTRANSLATED)));
        }
        let chain = format!("class_{class}_{}", tunnel.number);
        self.lead("classes", link, Value::Jump(chain.clone()));
        self.chain(chain, &tunnel.site, lines);
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

/// Puts the class of the site that a packet is for beside that which it is from, the greater first.
fn pair(class: u8) -> Vec<Line> {
    let (class, both) = (u32::from(class), u32::from(class) * 257);
    vec![
        Line {
            conditions: vec![Condition::PairUpTo(both)],
            actions: vec![Action::PairWith(0xff, class << 8)],
        },
        Line {
            conditions: vec![Condition::PairFrom(both + 1)],
            actions: vec![Action::PairWith(0xff00, class)],
        },
        Line::of(Action::ZoneFrom(Field::Pair, "zones".into())),
    ]
}

fn families(tunnel: &Tunnel, mode: Mode) -> impl Iterator<Item = Family> {
    let has = move |family: &Family| {
        let mut rules = tunnel.rules(mode).values();
        rules.any(|rule| Family::of(&rule.internal) == *family)
    };
    Family::ALL.into_iter().filter(has)
}

pub(super) fn nets(tunnel: &Tunnel, mode: Mode, family: Family, side: impl Fn(&Rule) -> IpNet) -> Vec<IpNet> {
    let nets = tunnel.rules(mode).values().map(side);
    nets.filter(|net| Family::of(net) == family).collect()
}

fn external_set(mode: Mode, family: Family, tunnel: &Tunnel) -> String {
    format!("{}_external{}_{}", mode.word(), family.digit(), tunnel.number)
}

fn internal_set(mode: Mode, kind: &str, family: Family, tunnel: &Tunnel) -> String {
    format!(
        "{}_internal{kind}{}_{}",
        mode.word(),
        family.digit(),
        tunnel.number
    )
}

/// What packets must be like so that the egress rules would translate the source of answers.
fn shown(tunnel: &Tunnel) -> Vec<Condition> {
    let mut conditions = Vec::new();
    for family in families(tunnel, Mode::Egress) {
        let of = |rule: &&Rule| Family::of(&rule.internal) == family;
        let mut rules = tunnel.egress.values().filter(of);
        let (port, whole) = (
            Field::Port(Side::Destination, family),
            Field::Address(Side::Destination, family),
        );
        if rules.clone().any(|rule| rule.ports().is_some()) {
            let set = internal_set(Mode::Egress, "_ports", family, tunnel);
            conditions.push(Condition::In(port, set));
        }
        if rules.any(|rule| rule.ports().is_none()) {
            let set = internal_set(Mode::Egress, "", family, tunnel);
            conditions.push(Condition::In(whole, set));
        }
    }
    conditions
}
