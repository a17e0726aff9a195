use std::collections::{BTreeMap, BTreeSet};

use appliance_config::model::Name;
use appliance_kernel::mark::{INTERFACE_IDS, TUNNEL_PREFIX, is_ours};
use appliance_kernel::{Link, LinkKind, Object};
use ike::ConnectionName;

/// The longest name of a link (`IFNAMSIZ` without its final zero).
const LINK_LENGTH: usize = 15;
const LINK_PREFIX: &str = TUNNEL_PREFIX;
/// How much of a long name is kept before a dash and four digits.
const KEPT: usize = LINK_LENGTH - LINK_PREFIX.len() - 5;

/// What the kernel knows a connection by. The same names give the same numbers, unless others run under them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Numbering {
    /// XFRM interface id and request id of its policies.
    pub(crate) interface_id: u32,
    /// Name of the tunnel link.
    pub(crate) link: String,
}

impl Numbering {
    /// What tells it from every other, in 16 bits.
    pub(crate) fn number(&self) -> u16 {
        let [_, _, high, low] = self.interface_id.to_be_bytes();
        u16::from_be_bytes([high, low])
    }

    fn is_ours(&self) -> bool {
        is_ours(self.interface_id) && self.link.starts_with(LINK_PREFIX)
    }
}

/// The numbers and links that connections run under.
pub(crate) type InUse = BTreeMap<ConnectionName, Numbering>;

/// What a daemon before this one gave to its connections: their links say which they are for.
pub(crate) fn found<'o>(present: impl Iterator<Item = &'o Object>) -> InUse {
    let links = present.filter_map(|object| match object {
        Object::Link(link) => Some(link),
        Object::Address(_)
        | Object::Route(_)
        | Object::Rule(_)
        | Object::State(_)
        | Object::Policy(_)
        | Object::Ruleset(_)
        | Object::Translation(_)
        | Object::Firewall(_) => None,
    });
    let numbering = |link: &Link| match link.kind {
        LinkKind::Xfrm { interface_id, .. } => Some(Numbering {
            interface_id,
            link: link.name.to_string(),
        }),
        LinkKind::External | LinkKind::Vlan { .. } | LinkKind::Device => None,
    };
    links
        .filter(|link| !link.purpose.is_empty())
        .filter_map(|link| Some((ConnectionName(link.purpose.as_str().into()), numbering(link)?)))
        .collect()
}

/// Numbers and links that are given away.
#[derive(Default)]
struct Taken {
    ids: BTreeSet<u32>,
    links: BTreeSet<String>,
}

impl Taken {
    fn is_free(&self, numbering: &Numbering) -> bool {
        !self.ids.contains(&numbering.interface_id) && !self.links.contains(&numbering.link)
    }

    fn take(&mut self, numbering: &Numbering) {
        self.ids.insert(numbering.interface_id);
        self.links.insert(numbering.link.clone());
    }
}

/// Gives every connection its own number and link name. Those that have theirs keep them, so that no newcomer moves a
/// tunnel that is up.
pub(crate) fn number<'c>(
    names: impl Iterator<Item = &'c Name>,
    in_use: &InUse,
) -> BTreeMap<&'c Name, Numbering> {
    let (mut taken, mut numbered) = (Taken::default(), BTreeMap::new());
    let mut newcomers = Vec::new();
    for name in names {
        let kept = in_use.get(&ConnectionName(name.as_str().into()));
        if let Some(kept) = kept.filter(|kept| taken.is_free(kept) && kept.is_ours()) {
            taken.take(kept);
            numbered.insert(name, kept.clone());
        } else {
            newcomers.push(name);
        }
    }
    // Names that fit as they are come first, so that no shortened one takes theirs.
    newcomers.sort_unstable_by_key(|name| (!fits(name.as_str()), *name));
    for name in newcomers {
        // More connections than numbers: the document is far too small for so many.
        let Some(numbering) = free(name.as_str(), &taken) else {
            break;
        };
        taken.take(&numbering);
        numbered.insert(name, numbering);
    }
    numbered
}

fn fits(name: &str) -> bool {
    LINK_PREFIX.len() + name.len() <= LINK_LENGTH
}

/// The first numbering for this name that nobody has.
fn free(name: &str, taken: &Taken) -> Option<Numbering> {
    let whole = format!("{LINK_PREFIX}{name}");
    let whole = Some(whole).filter(|link| fits(name) && !taken.links.contains(link));
    let first = hash(name);
    let mut candidates = (0..=u16::MAX).map(|step| {
        let number = first.wrapping_add(step);
        Numbering {
            interface_id: INTERFACE_IDS.start() | u32::from(number),
            link: whole.clone().unwrap_or_else(|| shortened(name, number)),
        }
    });
    candidates.find(|candidate| taken.is_free(candidate))
}

fn shortened(name: &str, number: u16) -> String {
    let kept: String = name.chars().take(KEPT).collect();
    format!("{LINK_PREFIX}{kept}-{number:04x}")
}

/// FNV-1a, folded.
fn hash(name: &str) -> u16 {
    let [a, b, c, d] = fnv1a(name.bytes()).to_be_bytes();
    u16::from_be_bytes([a ^ c, b ^ d])
}

/// FNV-1a: must not change between versions, which the standard library's hash may.
pub(crate) fn fnv1a(octets: impl Iterator<Item = u8>) -> u32 {
    octets.fold(0x811c_9dc5_u32, |hash, octet| {
        (hash ^ u32::from(octet)).wrapping_mul(0x0100_0193)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn names(texts: &[&str]) -> Vec<Name> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    /// These values may never change: a daemon that was updated must find what the old one left.
    #[test]
    fn numbers_and_links_are_stable() {
        let names = names(&["to-b", "abcdefghijkl", "branch-frankfurt-west"]);
        let numbered: Vec<_> = number(names.iter(), &InUse::new()).into_values().collect();
        let expected = [
            ("cw-abcdefghijkl", 0x4357_d6ee),
            ("cw-branch--7f1b", 0x4357_7f1b),
            ("cw-to-b", 0x4357_323a),
        ];
        let expected = expected.map(|(link, interface_id)| Numbering {
            interface_id,
            link: link.to_owned(),
        });
        assert_eq!(numbered, expected);
    }

    #[test]
    fn a_short_name_keeps_its_link_though_a_long_one_would_shorten_to_it() {
        let long: Name = "branch-frankfurt-west".parse().unwrap();
        let shortened = number([&long].into_iter(), &InUse::new())[&long].link.clone();
        let short: Name = shortened.strip_prefix(LINK_PREFIX).unwrap().parse().unwrap();
        let numbered = number([&long, &short].into_iter(), &InUse::new());
        assert_eq!(numbered[&short].link, shortened);
        assert_ne!(numbered[&long].link, shortened);
    }

    fn name(text: &str) -> ConnectionName {
        ConnectionName(text.into())
    }

    /// Two names with one hash, the one that sorts first as newcomer; their links would collide as well.
    #[test]
    fn a_newcomer_moves_no_connection_that_runs() {
        let hash_of = |number: u32| hash(&format!("branch-office-{number}"));
        let twins = (1..100_000).find_map(|high| {
            let low = (0..high.min(3000)).find(|low| hash_of(*low) == hash_of(high))?;
            Some([low, high].map(|number| format!("branch-office-{number}")))
        });
        let mut twins = twins.unwrap();
        twins.sort();
        let [newcomer, runs] = twins.map(|text| text.parse::<Name>().unwrap());
        let alone = number([&runs].into_iter(), &InUse::new());
        let in_use = InUse::from([(name(runs.as_str()), alone[&runs].clone())]);
        let both = number([&newcomer, &runs].into_iter(), &in_use);
        assert_eq!(both[&runs], alone[&runs]);
        assert_ne!(both[&newcomer].interface_id, both[&runs].interface_id);
        // Without the first one, as after a restart with nothing in the kernel, the newcomer would have its place.
        assert_eq!(
            number([&newcomer, &runs].into_iter(), &InUse::new())[&newcomer],
            alone[&runs]
        );
    }

    #[test]
    fn a_short_name_gives_way_to_a_link_that_is_in_use() {
        let [long, short] =
            ["branch-frankfurt-west", "branch--7f1b"].map(|text| text.parse::<Name>().unwrap());
        let alone = number([&long].into_iter(), &InUse::new());
        let in_use = InUse::from([(name(long.as_str()), alone[&long].clone())]);
        let both = number([&long, &short].into_iter(), &in_use);
        assert_eq!(both[&long], alone[&long]);
        assert!(both[&short].link.starts_with("cw-branch--"));
    }

    /// What the links of a daemon before say counts, and only of links that could be ours.
    #[test]
    fn what_a_daemon_before_gave_is_found_in_its_links() {
        let link = |link: &str, interface_id, purpose: &str| {
            Object::Link(Link {
                name: link.try_into().unwrap(),
                kind: LinkKind::Xfrm {
                    interface_id,
                    underlying: None,
                },
                mtu: 1400,
                up: true,
                purpose: purpose.to_owned(),
            })
        };
        let present = [
            link("cw-to-b", 0x4357_0007, "to-b"),
            link("cw-odd", 9, "odd"),
            link("cw-old", 0x4357_0008, ""),
        ];
        let in_use = found(present.iter());
        let names = names(&["odd", "old", "to-b"]);
        let numbered = number(names.iter(), &in_use);
        let fresh = number(names.iter(), &InUse::new());
        assert_eq!(numbered[&names[2]].interface_id, 0x4357_0007);
        assert_eq!(
            (&numbered[&names[0]], &numbered[&names[1]]),
            (&fresh[&names[0]], &fresh[&names[1]])
        );
    }

    proptest! {
        #[test]
        fn all_are_distinct_and_valid(texts in prop::collection::btree_set("[a-zA-Z0-9._-]{1,63}", 0..60)) {
            let names: Vec<Name> = texts.iter().filter_map(|text| text.parse().ok()).collect();
            let numbered = number(names.iter(), &InUse::new());
            prop_assert_eq!(numbered.len(), names.len());
            let ids: BTreeSet<_> = numbered.values().map(|one| one.interface_id).collect();
            let links: BTreeSet<_> = numbered.values().map(|one| one.link.as_str()).collect();
            prop_assert_eq!((ids.len(), links.len()), (names.len(), names.len()));
            prop_assert!(ids.iter().all(|id| INTERFACE_IDS.contains(id)));
            prop_assert!(links.iter().all(|link| link.len() <= LINK_LENGTH));
        }
    }
}
