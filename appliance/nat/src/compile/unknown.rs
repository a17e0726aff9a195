use ipnet::IpNet;

use super::Compiler;
use super::zone::{CLASSES, SHOWN, nets};
use crate::program::{
    Action, Condition, Data, Element, Family, Field, Hook, Key, Line, Map, Side, UNKNOWN, Value,
};
use crate::rule::{Mode, Rule};

impl Compiler<'_> {
    /// What is of no known flow and begins none, such as an error about nothing or the end of a forgotten connection, cannot
    /// be translated. It is dropped where it would leave with addresses that mean something else there.
    pub(super) fn unknown(&mut self) {
        let mut dropped = vec![
            vec![Condition::Marked],
            vec![Condition::PairFrom(1), Condition::PairUpTo(CLASSES)],
        ];
        dropped.extend(self.ours());
        let unknown = |mut conditions: Vec<Condition>, actions: &[Action]| {
            conditions.insert(0, Condition::Unknown);
            let actions = actions.to_vec();
            Line { conditions, actions }
        };
        let mut lines: Vec<Line> = [
            Action::Pair(0),
            Action::Branch(Field::InLink, "classes".into()),
            Action::PairWith(!SHOWN, 0),
        ]
        .map(|action| unknown(Vec::new(), &[action]))
        .into();
        let drop = [Action::Pair(0), Action::Hit(UNKNOWN.into()), Action::Drop];
        lines.extend(dropped.into_iter().map(|conditions| unknown(conditions, &drop)));
        lines.push(unknown(Vec::new(), &[Action::Pair(0)]));
        self.hook(Hook::Passing, "what cannot be translated", lines);
    }

    /// What egress rules are about: an external prefix of ours, and an internal one on its way to a site that is shown another.
    fn ours(&mut self) -> Vec<Vec<Condition>> {
        let rules = self.rules;
        let with_rules = || rules.tunnels.values().filter(|tunnel| !tunnel.egress.is_empty());
        let links = with_rules().map(|tunnel| (Element::Link(tunnel.link.clone()), Value::Member));
        self.maps.push(Map {
            name: "egress_links".into(),
            about: "tunnels with egress rules".into(),
            key: Key::Link,
            data: Data::Nothing,
            elements: links.collect(),
        });
        let to_site = Condition::In(Field::OutLink, "egress_links".into());
        let mut conditions = Vec::new();
        for family in Family::ALL {
            let egress = |side: fn(&Rule) -> IpNet| -> Vec<IpNet> {
                with_rules()
                    .flat_map(|tunnel| nets(tunnel, Mode::Egress, family, side))
                    .collect()
            };
            let external = egress(|rule| rule.external);
            if external.is_empty() {
                continue;
            }
            let (to, from) = (
                format!("egress_externals{}", family.digit()),
                format!("egress_internals{}", family.digit()),
            );
            let inside = |side, set: &str| Condition::In(Field::Address(side, family), set.to_owned());
            conditions.push(vec![inside(Side::Destination, &to)]);
            conditions.push(vec![to_site.clone(), inside(Side::Source, &from)]);
            self.set("of all tunnels", to, family, external);
            self.set("of all tunnels", from, family, egress(|rule| rule.internal));
        }
        conditions
    }
}
