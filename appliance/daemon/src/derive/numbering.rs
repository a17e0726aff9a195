use std::collections::{BTreeMap, BTreeSet};

use appliance_config::model::Name;
use appliance_kernel::mark::INTERFACE_IDS;

/// The longest name of a link (`IFNAMSIZ` without its final zero).
const LINK_LENGTH: usize = 15;
const LINK_PREFIX: &str = "cw-";
/// How much of a long name is kept before a dash and four digits.
const KEPT: usize = LINK_LENGTH - LINK_PREFIX.len() - 5;

/// What the kernel knows a connection by. The same names give the same numbers, so that a daemon that was killed
/// finds its objects again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Numbering {
    /// XFRM interface id and request id of its policies.
    pub(crate) interface_id: u32,
    /// Name of the tunnel link.
    pub(crate) link: String,
}

/// Gives every connection its own number and link name.
pub(crate) fn number<'c>(names: impl Iterator<Item = &'c Name>) -> BTreeMap<&'c Name, Numbering> {
    // Names that fit as they are come first, so that no shortened one takes theirs.
    let mut names: Vec<_> = names.collect();
    names.sort_unstable_by_key(|name| (LINK_PREFIX.len() + name.as_str().len() > LINK_LENGTH, *name));
    let (mut taken_ids, mut taken_links) = (BTreeSet::new(), BTreeSet::new());
    let mut numbered = BTreeMap::new();
    for name in names {
        let first = hash(name.as_str());
        let free = (0..=u16::MAX)
            .map(|step| numbering(name.as_str(), first.wrapping_add(step)))
            .find(|candidate| {
                !taken_ids.contains(&candidate.interface_id) && !taken_links.contains(&candidate.link)
            });
        // More connections than numbers: the document is far too small for so many.
        let Some(numbering) = free else { break };
        taken_ids.insert(numbering.interface_id);
        taken_links.insert(numbering.link.clone());
        numbered.insert(name, numbering);
    }
    numbered
}

fn numbering(name: &str, number: u16) -> Numbering {
    let link = if LINK_PREFIX.len() + name.len() <= LINK_LENGTH {
        format!("{LINK_PREFIX}{name}")
    } else {
        let kept: String = name.chars().take(KEPT).collect();
        format!("{LINK_PREFIX}{kept}-{number:04x}")
    };
    Numbering {
        interface_id: INTERFACE_IDS.start() | u32::from(number),
        link,
    }
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
        let numbered: Vec<_> = number(names.iter()).into_values().collect();
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
        let shortened = number([&long].into_iter())[&long].link.clone();
        let short: Name = shortened.strip_prefix(LINK_PREFIX).unwrap().parse().unwrap();
        let numbered = number([&long, &short].into_iter());
        assert_eq!(numbered[&short].link, shortened);
        assert_ne!(numbered[&long].link, shortened);
    }

    proptest! {
        #[test]
        fn all_are_distinct_and_valid(texts in prop::collection::btree_set("[a-zA-Z0-9._-]{1,63}", 0..60)) {
            let names: Vec<Name> = texts.iter().filter_map(|text| text.parse().ok()).collect();
            let numbered = number(names.iter());
            prop_assert_eq!(numbered.len(), names.len());
            let ids: BTreeSet<_> = numbered.values().map(|one| one.interface_id).collect();
            let links: BTreeSet<_> = numbered.values().map(|one| one.link.as_str()).collect();
            prop_assert_eq!((ids.len(), links.len()), (names.len(), names.len()));
            prop_assert!(ids.iter().all(|id| INTERFACE_IDS.contains(id)));
            prop_assert!(links.iter().all(|link| link.len() <= LINK_LENGTH));
        }
    }
}
