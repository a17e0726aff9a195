//! What NAT on the tunnel of a neighbour makes of prefixes.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;

use ipnet::IpNet;

/// The rules of NAT on the tunnel of a neighbour, as far as routes are to follow them. Without any, prefixes pass as
/// they are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Translation {
    /// For addresses of the neighbour's site: what it sends to an internal prefix leads to the external one here.
    pub ingress: Vec<Mapping>,
    /// For ours: an internal prefix that is ours is told it as the external one.
    pub egress: Vec<Mapping>,
}

/// One rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mapping {
    /// The name of the rule.
    pub rule: Arc<str>,
    /// The prefix as its owner has it.
    pub internal: IpNet,
    /// As the other side has it.
    pub external: IpNet,
    /// What of it is translated.
    pub kind: MappingKind,
}

/// What of its prefix a rule translates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MappingKind {
    /// Host by host.
    Static,
    /// All hosts behind few addresses, and nothing begins at the other side.
    Dynamic,
    /// One port of each host; the rest passes as it is, so that no route follows.
    Port,
}

/// How a prefix lies to the rules of one direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Meeting<'a> {
    /// No rule has to do with it.
    Apart,
    /// It is what this rule translates.
    Exact(&'a Mapping),
    /// It is a part of that.
    Inside(&'a Mapping),
    /// That is a part of it, and the rest is not translated.
    Around(&'a Mapping),
    /// The rule translates one port of hosts in it.
    Port(&'a Mapping),
}

/// The rules of one neighbour, to be found by prefix.
#[derive(Debug, Clone, Default)]
pub(crate) struct Translator {
    pub(crate) ingress: Mappings,
    pub(crate) egress: Mappings,
}

/// Those of one direction.
#[derive(Debug, Clone, Default)]
pub(crate) struct Mappings {
    /// Those that translate all, by their internal prefix.
    whole: BTreeMap<IpNet, Mapping>,
    /// How long these are.
    lengths: BTreeSet<u8>,
    /// Those for a port.
    ports: BTreeMap<IpNet, Mapping>,
    /// The internal prefix of each external one. Of several, which a valid document does not have, the first.
    internal: BTreeMap<IpNet, IpNet>,
}

impl Translator {
    pub(crate) fn new(translation: &Translation) -> Self {
        Self {
            ingress: Mappings::new(&translation.ingress),
            egress: Mappings::new(&translation.egress),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.ingress.is_empty() && self.egress.is_empty()
    }

    /// Whether it is how the neighbour sees one of our prefixes, or inside such a one.
    pub(crate) fn is_inside_ours(&self, prefix: IpNet) -> bool {
        holds(self.egress.internal.keys(), prefix)
    }
}

impl Mappings {
    fn new(mappings: &[Mapping]) -> Self {
        let mut found = Self::default();
        for mapping in mappings {
            let (internal, external) = (mapping.internal.trunc(), mapping.external.trunc());
            let mapping = Mapping {
                internal,
                external,
                ..mapping.clone()
            };
            match mapping.kind {
                MappingKind::Static | MappingKind::Dynamic => {
                    if *found.internal.entry(external).or_insert(internal) == internal {
                        found.lengths.insert(internal.prefix_len());
                        found.whole.insert(internal, mapping);
                    }
                }
                MappingKind::Port => {
                    found.ports.entry(internal).or_insert(mapping);
                }
            }
        }
        found
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.whole.is_empty() && self.ports.is_empty()
    }

    /// How a prefix lies to these rules. A default route lies to none.
    pub(crate) fn meet(&self, prefix: IpNet) -> Meeting<'_> {
        if prefix.prefix_len() == 0 || self.is_empty() {
            return Meeting::Apart;
        }
        if let Some(mapping) = self.whole.get(&prefix) {
            return Meeting::Exact(mapping);
        }
        // The longest first: it is the one that NAT applies.
        let lengths = self.lengths.range(..prefix.prefix_len()).rev();
        let mut holders = lengths.filter_map(|length| IpNet::new(prefix.addr(), *length).ok());
        if let Some(mapping) = holders.find_map(|holder| self.whole.get(&holder.trunc())) {
            return Meeting::Inside(mapping);
        }
        let mut after = self.whole.range((Bound::Excluded(prefix), Bound::Unbounded));
        if let Some((_, mapping)) = after.next().filter(|(internal, _)| prefix.contains(*internal)) {
            return Meeting::Around(mapping);
        }
        let overlaps =
            |mapping: &&Mapping| prefix.contains(&mapping.internal) || mapping.internal.contains(&prefix);
        self.ports
            .values()
            .find(overlaps)
            .map_or(Meeting::Apart, Meeting::Port)
    }

    /// The rule whose external prefix this is.
    pub(crate) fn behind(&self, external: IpNet) -> Option<&Mapping> {
        self.whole.get(self.internal.get(&external)?)
    }

    /// The external prefixes of rules that translate all.
    pub(crate) fn externals(&self) -> impl Iterator<Item = IpNet> {
        self.internal.keys().copied()
    }
}

/// Whether one of these is the prefix, or has it inside.
fn holds<'a>(mut holders: impl Iterator<Item = &'a IpNet>, prefix: IpNet) -> bool {
    holders.any(|holder| holder.contains(&prefix))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rib::sample::prefix;

    fn mapping(rule: &str, internal: &str, external: &str, kind: MappingKind) -> Mapping {
        Mapping {
            rule: rule.into(),
            internal: prefix(internal),
            external: prefix(external),
            kind,
        }
    }

    /// Each way that a prefix can lie to rules; of nested ones the longest, as NAT has it.
    #[test]
    fn prefixes_meet_rules() {
        let mappings = Mappings::new(&[
            mapping("site", "10.0.0.0/16", "100.64.0.0/16", MappingKind::Static),
            mapping("part", "10.0.1.0/24", "100.65.1.0/24", MappingKind::Static),
            mapping("few", "10.9.0.0/16", "100.66.0.0/29", MappingKind::Dynamic),
            mapping("web", "10.20.0.0/24", "100.67.0.0/24", MappingKind::Port),
            mapping("six", "fd00::/48", "fd01::/48", MappingKind::Static),
        ]);
        let met = |to: &str| match mappings.meet(prefix(to)) {
            Meeting::Apart => "apart".to_owned(),
            Meeting::Exact(mapping) => format!("is {}", mapping.rule),
            Meeting::Inside(mapping) => format!("in {}", mapping.rule),
            Meeting::Around(mapping) => format!("around {}", mapping.rule),
            Meeting::Port(mapping) => format!("port {}", mapping.rule),
        };
        for (to, expected) in [
            ("10.0.0.0/16", "is site"),
            ("10.0.1.0/24", "is part"),
            ("10.0.1.128/25", "in part"),
            ("10.0.2.0/24", "in site"),
            ("10.0.0.0/15", "around site"),
            ("10.0.0.0/8", "around site"),
            ("10.8.0.0/15", "around few"),
            ("10.9.0.0/16", "is few"),
            ("10.20.0.0/24", "port web"),
            ("10.20.0.128/25", "port web"),
            ("10.16.0.0/12", "port web"),
            ("10.64.0.0/16", "apart"),
            ("100.64.0.0/16", "apart"),
            ("0.0.0.0/0", "apart"),
            ("::/0", "apart"),
            ("fd00::/48", "is six"),
            ("fd00::/47", "around six"),
            ("fd00:0:0:1::/64", "in six"),
        ] {
            assert_eq!(met(to), expected, "{to}");
        }
        let behind = |to: &str| mappings.behind(prefix(to)).map(|mapping| &*mapping.rule);
        assert_eq!(behind("100.65.1.0/24"), Some("part"));
        assert_eq!(behind("100.67.0.0/24"), None, "no route follows a port");
    }

    /// Two prefixes cannot become one: the first rule is followed, and the other as if it were not there.
    #[test]
    fn the_first_of_two_rules_for_one_external_prefix_counts() {
        let mappings = Mappings::new(&[
            mapping("one", "10.0.1.0/24", "100.64.0.0/24", MappingKind::Static),
            mapping("two", "10.0.0.0/24", "100.64.0.0/24", MappingKind::Static),
        ]);
        assert_eq!(mappings.meet(prefix("10.0.0.0/24")), Meeting::Apart);
        let behind = mappings.behind(prefix("100.64.0.0/24")).unwrap();
        assert_eq!(&*behind.rule, "one");
    }
}
