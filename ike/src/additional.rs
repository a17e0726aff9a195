//! Key exchanges besides the first one of an SA: what is offered and chosen for them (RFC 9370 §2.2.1).

use std::borrow::Cow;

use crate::crypto::Group;
use crate::wire::registry::{group, transform};
use crate::wire::{Proposal, Transform};
use crate::{EspProposal, IkeProposal};

/// As many as there are types of transforms for them.
const MOST: usize = 7;

/// The additional key exchanges that an SA was agreed on, each at its place; places that both leave out are `None`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Additional([Option<Group>; MOST]);

impl Additional {
    /// The groups in the order of their exchanges.
    pub(crate) fn groups(self) -> impl Iterator<Item = Group> {
        self.0.into_iter().flatten()
    }

    /// Whether there are none.
    pub(crate) fn is_empty(self) -> bool {
        self.groups().next().is_none()
    }

    /// One group at most of each place, as a proposal of the peer and ours have them in common; `None` if they have not.
    /// No group is chosen twice: `first` is that of the first exchange.
    pub(crate) fn choose(proposal: &Proposal, wanted: &[Vec<Group>], first: Option<Group>) -> Option<Self> {
        let mut chosen = Self::default();
        for (place, kind) in kinds().enumerate() {
            let ours = wanted.get(place).map_or(&[][..], Vec::as_slice);
            let offered = |id| offers(proposal, kind).any(|transform| transform.id == id);
            if ours.is_empty() {
                let optional = offers(proposal, kind).next().is_none() || offered(group::NONE);
                optional.then_some(())?;
                continue;
            }
            let taken = |group| first == Some(group) || chosen.groups().any(|taken| taken == group);
            let group = ours.iter().find(|group| offered(group.id()) && !taken(**group))?;
            *chosen.0.get_mut(place)? = Some(*group);
        }
        wanted
            .get(MOST..)
            .unwrap_or_default()
            .is_empty()
            .then_some(chosen)
    }

    /// Whether one side's proposal allows it.
    pub(crate) fn is_among(self, wanted: &[Vec<Group>]) -> bool {
        let mut places = self.0.into_iter().enumerate();
        places.all(|(place, chosen)| {
            let ours = wanted.get(place).map_or(&[][..], Vec::as_slice);
            chosen.map_or(ours.is_empty(), |chosen| ours.contains(&chosen))
        })
    }

    /// The transforms of the responder's answer: one of each type that the initiator offered.
    pub(crate) fn answer(self, proposal: &Proposal) -> impl Iterator<Item = Transform> {
        let offered = |kind| offers(proposal, kind).next().is_some();
        let places = kinds().zip(self.0).filter(move |(kind, _)| offered(*kind));
        places.map(|(kind, chosen)| plain(kind, chosen.map_or(group::NONE, Group::id)))
    }
}

impl std::fmt::Display for Additional {
    /// `/KE1_…/KE2_…`, nothing for none.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let places = (1..).zip(self.0);
        let mut chosen = places.filter_map(|(number, chosen)| Some((number, chosen?)));
        chosen.try_for_each(|(number, group): (u8, Group)| write!(f, "/KE{number}_{group}"))
    }
}

/// What we offer.
pub(crate) fn offer(wanted: &[Vec<Group>]) -> impl Iterator<Item = Transform> {
    let places = kinds().zip(wanted);
    places.flat_map(|(kind, groups)| groups.iter().map(move |group| plain(kind, group.id())))
}

/// Whether a transform is for an additional key exchange.
pub(crate) fn is_additional(kind: u8) -> bool {
    (transform::ADDKE1..=transform::ADDKE7).contains(&kind)
}

/// A transform for an additional key exchange in words; `None` if it leaves it out.
pub(crate) fn word(offered: &Transform) -> Option<String> {
    let number = offered.kind.saturating_sub(transform::ADDKE1).saturating_add(1);
    if offered.id == group::NONE {
        return None;
    }
    let group = Group::from_id(offered.id).map_or_else(|| offered.id.to_string(), |group| group.to_string());
    Some(format!("KE{number}_{group}"))
}

/// The IKE proposals that a peer can use: without IKE_INTERMEDIATE those without additional key exchanges.
pub(crate) fn usable(proposals: &[IkeProposal], intermediate: bool) -> Cow<'_, [IkeProposal]> {
    if intermediate {
        return Cow::Borrowed(proposals);
    }
    let plain = proposals
        .iter()
        .filter(|proposal| proposal.additional.iter().all(Vec::is_empty));
    plain.cloned().collect()
}

/// What a child's own key exchange is followed by: nothing if there is none.
pub(crate) fn of_child(
    proposal: &Proposal,
    wanted: &EspProposal,
    first: Option<Group>,
) -> Option<Additional> {
    match first {
        Some(_) => Additional::choose(proposal, &wanted.additional, first),
        None => Some(Additional::default()),
    }
}

fn kinds() -> impl Iterator<Item = u8> {
    transform::ADDKE1..=transform::ADDKE7
}

fn offers(proposal: &Proposal, kind: u8) -> impl Iterator<Item = &Transform> {
    let sound = move |transform: &&Transform| {
        transform.kind == kind && !transform.unknown_attribute && transform.key_length.is_none()
    };
    proposal.transforms.iter().filter(sound)
}

fn plain(kind: u8, id: u16) -> Transform {
    Transform {
        kind,
        id,
        key_length: None,
        unknown_attribute: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::registry::protocol;
    use Group::{Ecp256, Ecp384, X25519};

    fn offered(places: &[&[u16]]) -> Proposal {
        let transforms = kinds().zip(places);
        let transforms = transforms.flat_map(|(kind, ids)| ids.iter().map(move |id| plain(kind, *id)));
        Proposal {
            number: 1,
            protocol: protocol::IKE,
            spi: Vec::new(),
            transforms: transforms.collect(),
        }
    }

    fn chosen(places: &[&[u16]], wanted: &[Vec<Group>]) -> Option<Vec<Group>> {
        let proposal = offered(places);
        let chosen = Additional::choose(&proposal, wanted, Some(X25519))?;
        assert!(chosen.is_among(wanted));
        let kinds_offered = places.iter().filter(|ids| !ids.is_empty()).count();
        assert_eq!(
            chosen.answer(&proposal).count(),
            kinds_offered,
            "one transform of each type"
        );
        Some(chosen.groups().collect())
    }

    #[test]
    fn each_exchange_has_one_group_of_both_sides() {
        let (first, second) = (Ecp256.id(), Ecp384.id());
        assert_eq!(chosen(&[], &[]), Some(vec![]));
        assert_eq!(
            chosen(&[&[second, first]], &[vec![Ecp256, Ecp384]]),
            Some(vec![Ecp256]),
            "our order"
        );
        assert_eq!(
            chosen(
                &[&[first], &[first, second]],
                &[vec![Ecp256], vec![Ecp256, Ecp384]]
            ),
            Some(vec![Ecp256, Ecp384]),
            "none twice"
        );
        assert_eq!(
            chosen(&[&[X25519.id()]], &[vec![X25519]]),
            None,
            "it is the first exchange's"
        );
        assert_eq!(chosen(&[&[first]], &[vec![Ecp384]]), None);
    }

    /// Who offers NONE lets the other leave the exchange out; who does not insists on it.
    #[test]
    fn an_exchange_may_be_left_out_only_where_none_is_offered() {
        let first = Ecp256.id();
        assert_eq!(chosen(&[&[first, group::NONE]], &[]), Some(vec![]));
        assert_eq!(chosen(&[&[first]], &[]), None);
        assert_eq!(chosen(&[], &[vec![Ecp256]]), None);
        assert_eq!(
            chosen(&[&[], &[first]], &[vec![], vec![Ecp256]]),
            Some(vec![Ecp256])
        );
    }

    #[test]
    fn words_name_the_place() {
        let both =
            Additional::choose(&offered(&[&[], &[Ecp384.id()]]), &[vec![], vec![Ecp384]], None).unwrap();
        assert_eq!(both.to_string(), "/KE2_ECP_384");
        assert_eq!(
            word(&plain(transform::ADDKE7, Ecp256.id())).as_deref(),
            Some("KE7_ECP_256")
        );
        assert_eq!(word(&plain(transform::ADDKE1, group::NONE)), None);
    }
}
