//! What is offered, met with what is configured, becomes what is chosen (RFC 7296 §2.7, §3.3).

use crate::additional::{self, Additional};
use crate::crypto::{Encryption, Group, Integrity};
pub(crate) use crate::suite::{EspSuite, IkeSuite, words};
use crate::wire::registry::{esn, group, integrity, protocol, transform};
use crate::wire::{Proposal, SecurityAssociationPayload, Transform};
use crate::{EspProposal, IkeProposal};

/// Where a Child SA takes its keys from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keying {
    /// From the IKE SA, in IKE_AUTH; KE transforms mean nothing (RFC 7296 §1.2).
    Inherited,
    /// As CREATE_CHILD_SA negotiates; the initiator guessed this group, if any (§1.3).
    Negotiated(Option<u16>),
}

/// Our IKE proposals as an SA payload.
pub(crate) fn offer_ike(configured: &[IkeProposal]) -> SecurityAssociationPayload {
    let proposals = configured.iter().zip(1..=u8::MAX).map(|(proposal, number)| {
        let mut transforms = ciphers(proposal.encryption, proposal.integrity);
        transforms.push(plain(transform::PRF, proposal.prf.id()));
        transforms.extend(
            proposal
                .groups
                .iter()
                .map(|group| plain(transform::KE, group.id())),
        );
        transforms.extend(additional::offer(&proposal.additional));
        Proposal {
            number,
            protocol: protocol::IKE,
            spi: Vec::new(),
            transforms,
        }
    });
    SecurityAssociationPayload {
        proposals: proposals.collect(),
    }
}

/// The proposals that differ: without a key exchange of their own, those that differ in nothing else are one.
fn distinct(configured: &[EspProposal], keying: Keying) -> impl Iterator<Item = &EspProposal> {
    let ciphers = |one: &EspProposal| (one.encryption, one.integrity, one.extended_sequence_numbers);
    let first = move |place: usize, one: &EspProposal| {
        let mut before = configured.iter().take(place);
        keying != Keying::Inherited || !before.any(|other| ciphers(other) == ciphers(one))
    };
    let places = configured.iter().enumerate();
    places
        .filter(move |(place, one)| first(*place, one))
        .map(|(_, one)| one)
}

/// Our ESP proposals as an SA payload; `spi` is the one we want to receive on.
pub(crate) fn offer_esp(configured: &[EspProposal], spi: u32, keying: Keying) -> SecurityAssociationPayload {
    let proposals = distinct(configured, keying)
        .zip(1..=u8::MAX)
        .map(|(proposal, number)| {
            let mut transforms = ciphers(proposal.encryption, proposal.integrity);
            if proposal.extended_sequence_numbers {
                transforms.push(plain(transform::ESN, esn::EXTENDED));
            }
            transforms.push(plain(transform::ESN, esn::NONE));
            if keying != Keying::Inherited {
                let groups = proposal.groups.iter();
                transforms.extend(groups.map(|group| plain(transform::KE, group.id())));
                transforms
                    .extend(additional::offer(&proposal.additional).filter(|_| !proposal.groups.is_empty()));
            }
            Proposal {
                number,
                protocol: protocol::ESP,
                spi: spi.to_be_bytes().to_vec(),
                transforms,
            }
        });
    SecurityAssociationPayload {
        proposals: proposals.collect(),
    }
}

/// The same for an IKE SA that replaces one: `spi` is what we want it to have (§1.3.2).
pub(crate) fn reoffer_ike(configured: &[IkeProposal], spi: u64) -> SecurityAssociationPayload {
    let mut offer = offer_ike(configured);
    offer
        .proposals
        .iter_mut()
        .for_each(|proposal| proposal.spi = spi.to_be_bytes().to_vec());
    offer
}

/// The responder's choice for the IKE SA: our order decides, but a group that the initiator guessed
/// (`guessed`) and that we allow saves a round trip. With it comes the SA payload of the answer.
pub(crate) fn choose_ike(
    offered: &SecurityAssociationPayload,
    configured: &[IkeProposal],
    guessed: u16,
) -> Option<(IkeSuite, SecurityAssociationPayload)> {
    let (suite, chosen) = configured.iter().find_map(|wanted| {
        let mut sound = offered.proposals.iter().filter(|proposal| is_ike(proposal));
        sound.find_map(|proposal| Some((ike_suite(proposal, wanted, guessed)?, proposal)))
    })?;
    let mut transforms = chosen_ciphers(chosen, suite.encryption, suite.integrity);
    transforms.push(plain(transform::PRF, suite.prf.id()));
    transforms.push(plain(transform::KE, suite.group.id()));
    transforms.extend(suite.additional.answer(chosen));
    let answer = Proposal {
        number: chosen.number,
        protocol: protocol::IKE,
        spi: Vec::new(),
        transforms,
    };
    Some((
        suite,
        SecurityAssociationPayload {
            proposals: vec![answer],
        },
    ))
}

/// The responder's choice for an IKE SA that replaces one: the suite, the initiator's SPI, and our answer with `spi`.
pub(crate) fn rechoose_ike(
    offered: &SecurityAssociationPayload,
    configured: &[IkeProposal],
    guessed: u16,
    spi: u64,
) -> Option<(IkeSuite, u64, SecurityAssociationPayload)> {
    let (suite, mut answer) = choose_ike(&without_spis(offered), configured, guessed)?;
    let chosen = answer.proposals.first_mut()?;
    let mut same = offered.proposals.iter();
    let theirs = ike_spi(same.find(|proposal| proposal.number == chosen.number)?)?;
    chosen.spi = spi.to_be_bytes().to_vec();
    Some((suite, theirs, answer))
}

/// What the responder chose from our offer to replace the IKE SA, and its SPI.
pub(crate) fn reaccept_ike(
    answer: &SecurityAssociationPayload,
    configured: &[IkeProposal],
    group: Group,
) -> Option<(IkeSuite, u64)> {
    let theirs = ike_spi(single(answer)?)?;
    Some((accept_ike(&without_spis(answer), configured, group)?, theirs))
}

/// What can be chosen to replace an IKE SA, as it would stand in IKE_SA_INIT.
fn without_spis(payload: &SecurityAssociationPayload) -> SecurityAssociationPayload {
    let sound = payload
        .proposals
        .iter()
        .filter(|proposal| ike_spi(proposal).is_some());
    let bare = sound.map(|proposal| Proposal {
        spi: Vec::new(),
        ..proposal.clone()
    });
    SecurityAssociationPayload {
        proposals: bare.collect(),
    }
}

/// The responder's choice for a Child SA: the suite, the initiator's SPI, and our answer with `spi`.
pub(crate) fn choose_esp(
    offered: &SecurityAssociationPayload,
    configured: &[EspProposal],
    spi: u32,
    keying: Keying,
) -> Option<(EspSuite, u32, SecurityAssociationPayload)> {
    let (suite, chosen) = configured.iter().find_map(|wanted| {
        let mut sound = offered
            .proposals
            .iter()
            .filter(|proposal| esp_spi(proposal).is_some());
        sound.find_map(|proposal| Some((esp_suite(proposal, wanted, keying)?, proposal)))
    })?;
    let mut transforms = chosen_ciphers(chosen, suite.encryption, suite.integrity);
    if kinds(chosen, transform::ESN).next().is_some() {
        let number = if suite.extended_sequence_numbers {
            esn::EXTENDED
        } else {
            esn::NONE
        };
        transforms.push(plain(transform::ESN, number));
    }
    match suite.group {
        Some(group) => {
            transforms.push(plain(transform::KE, group.id()));
            transforms.extend(suite.additional.answer(chosen));
        }
        None if keying != Keying::Inherited && has(chosen, transform::KE, group::NONE) => {
            transforms.push(plain(transform::KE, group::NONE));
        }
        None => {}
    }
    let spi = spi.to_be_bytes().to_vec();
    let answer = Proposal {
        number: chosen.number,
        protocol: protocol::ESP,
        spi,
        transforms,
    };
    Some((
        suite,
        esp_spi(chosen)?,
        SecurityAssociationPayload {
            proposals: vec![answer],
        },
    ))
}

/// What the responder chose from our IKE offer; `None` if it is not one thing that we offered.
pub(crate) fn accept_ike(
    answer: &SecurityAssociationPayload,
    configured: &[IkeProposal],
    group: Group,
) -> Option<IkeSuite> {
    let proposal = single(answer)?;
    let wanted = configured.get(usize::from(proposal.number).checked_sub(1)?)?;
    let suite = ike_suite(proposal, wanted, group.id()).filter(|_| is_ike(proposal))?;
    (suite.group == group).then_some(suite)
}

/// What the responder chose from our ESP offer, and its SPI.
pub(crate) fn accept_esp(
    answer: &SecurityAssociationPayload,
    configured: &[EspProposal],
    keying: Keying,
) -> Option<(EspSuite, u32)> {
    let proposal = single(answer)?;
    let wanted = distinct(configured, keying).nth(usize::from(proposal.number).checked_sub(1)?)?;
    Some((esp_suite(proposal, wanted, keying)?, esp_spi(proposal)?))
}

/// Whether `suite` is among what is configured.
pub(crate) fn allows(configured: &[IkeProposal], suite: IkeSuite) -> bool {
    configured.iter().any(|proposal| {
        (proposal.encryption, proposal.integrity, proposal.prf)
            == (suite.encryption, suite.integrity, suite.prf)
            && proposal.groups.contains(&suite.group)
            && suite.additional.is_among(&proposal.additional)
    })
}

fn ike_suite(proposal: &Proposal, wanted: &IkeProposal, guessed: u16) -> Option<IkeSuite> {
    let known = |kind| {
        matches!(
            kind,
            transform::ENCR | transform::PRF | transform::INTEG | transform::KE
        ) || additional::is_additional(kind)
    };
    if !proposal.transforms.iter().all(|transform| known(transform.kind)) {
        return None;
    }
    has_ciphers(proposal, wanted.encryption, wanted.integrity).then_some(())?;
    has(proposal, transform::PRF, wanted.prf.id()).then_some(())?;
    let mut common = wanted
        .groups
        .iter()
        .filter(|group| has(proposal, transform::KE, group.id()));
    let first = *common.clone().next()?;
    let group = common
        .find(|group| group.id() == guessed)
        .copied()
        .unwrap_or(first);
    let (encryption, integrity, prf) = (wanted.encryption, wanted.integrity, wanted.prf);
    Some(IkeSuite {
        encryption,
        integrity,
        prf,
        group,
        additional: Additional::choose(proposal, &wanted.additional, Some(group))?,
    })
}

fn esp_suite(proposal: &Proposal, wanted: &EspProposal, keying: Keying) -> Option<EspSuite> {
    let known = |kind| {
        matches!(
            kind,
            transform::ENCR | transform::INTEG | transform::KE | transform::ESN
        ) || additional::is_additional(kind)
    };
    if !proposal.transforms.iter().all(|transform| known(transform.kind)) {
        return None;
    }
    has_ciphers(proposal, wanted.encryption, wanted.integrity).then_some(())?;
    let plain = has(proposal, transform::ESN, esn::NONE) || kinds(proposal, transform::ESN).next().is_none();
    let extended = wanted.extended_sequence_numbers && has(proposal, transform::ESN, esn::EXTENDED);
    let group = match keying {
        Keying::Inherited => None,
        Keying::Negotiated(guessed) => esp_group(proposal, wanted, guessed)?,
    };
    (plain || extended).then_some(EspSuite {
        encryption: wanted.encryption,
        integrity: wanted.integrity,
        extended_sequence_numbers: extended,
        group,
        additional: additional::of_child(proposal, wanted, group)?,
    })
}

/// The group of a child's own key exchange, or that there is none. `None` if there is nothing in common.
fn esp_group(proposal: &Proposal, wanted: &EspProposal, guessed: Option<u16>) -> Option<Option<Group>> {
    if wanted.groups.is_empty() {
        let without =
            kinds(proposal, transform::KE).next().is_none() || has(proposal, transform::KE, group::NONE);
        return without.then_some(None);
    }
    let offered = |group: &&Group| has(proposal, transform::KE, group.id());
    let mut common = wanted.groups.iter().filter(offered);
    let guess = common.clone().find(|group| Some(group.id()) == guessed);
    guess.or_else(|| common.next()).copied().map(Some)
}

/// An AEAD cipher goes with no authenticator or with NONE (RFC 7296 §3.3.3).
fn has_ciphers(proposal: &Proposal, encryption: Encryption, authenticator: Option<Integrity>) -> bool {
    let cipher = kinds(proposal, transform::ENCR)
        .any(|offered| offered.id == encryption.id() && offered.key_length == encryption.key_length());
    let mut offered = kinds(proposal, transform::INTEG);
    cipher
        && match authenticator {
            Some(wanted) => offered.any(|transform| transform.id == wanted.id()),
            None => offered.next().is_none() || has(proposal, transform::INTEG, integrity::NONE),
        }
}

fn chosen_ciphers(
    from: &Proposal,
    encryption: Encryption,
    authenticator: Option<Integrity>,
) -> Vec<Transform> {
    let mut transforms = ciphers(encryption, authenticator);
    if authenticator.is_none() && has(from, transform::INTEG, integrity::NONE) {
        transforms.push(plain(transform::INTEG, integrity::NONE));
    }
    transforms
}

fn ciphers(encryption: Encryption, authenticator: Option<Integrity>) -> Vec<Transform> {
    let key_length = encryption.key_length();
    let cipher = Transform {
        kind: transform::ENCR,
        id: encryption.id(),
        key_length,
        unknown_attribute: false,
    };
    let authenticator = authenticator.map(|known| plain(transform::INTEG, known.id()));
    std::iter::once(cipher).chain(authenticator).collect()
}

fn plain(kind: u8, id: u16) -> Transform {
    Transform {
        kind,
        id,
        key_length: None,
        unknown_attribute: false,
    }
}

/// The transforms of one type that can be chosen.
fn kinds(proposal: &Proposal, kind: u8) -> impl Iterator<Item = &Transform> {
    proposal
        .transforms
        .iter()
        .filter(move |transform| transform.kind == kind && !transform.unknown_attribute)
}

fn has(proposal: &Proposal, kind: u8, id: u16) -> bool {
    kinds(proposal, kind).any(|transform| transform.id == id && transform.key_length.is_none())
}

/// In IKE_SA_INIT the SPI stands in the header (RFC 7296 §3.3.1).
fn is_ike(proposal: &Proposal) -> bool {
    proposal.protocol == protocol::IKE && proposal.spi.is_empty()
}

/// The SPI of an ESP proposal; the first 255 are reserved (RFC 4303 §2.1).
fn esp_spi(proposal: &Proposal) -> Option<u32> {
    let spi = u32::from_be_bytes(proposal.spi.as_slice().try_into().ok()?);
    (proposal.protocol == protocol::ESP && spi > 255).then_some(spi)
}

/// The SPI of a proposal for an IKE SA that replaces one; 0 is none.
fn ike_spi(proposal: &Proposal) -> Option<u64> {
    let spi = u64::from_be_bytes(proposal.spi.as_slice().try_into().ok()?);
    (proposal.protocol == protocol::IKE && spi != 0).then_some(spi)
}

/// An answer holds one proposal, with one transform of each type (RFC 7296 §2.7).
fn single(answer: &SecurityAssociationPayload) -> Option<&Proposal> {
    let [proposal] = answer.proposals.as_slice() else {
        return None;
    };
    let once = |transform: &Transform| kinds(proposal, transform.kind).count() == 1;
    proposal.transforms.iter().all(once).then_some(proposal)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::Prf;

    fn gcm(groups: &[Group]) -> IkeProposal {
        let encryption = Encryption::AesGcm16(128);
        IkeProposal {
            encryption,
            integrity: None,
            prf: Prf::HmacSha2_256,
            groups: groups.to_vec(),
            additional: vec![],
        }
    }

    fn cbc(groups: &[Group]) -> IkeProposal {
        let integrity = Some(Integrity::HmacSha2_256_128);
        IkeProposal {
            encryption: Encryption::AesCbc(256),
            integrity,
            ..gcm(groups)
        }
    }

    fn esp(extended_sequence_numbers: bool) -> EspProposal {
        EspProposal {
            encryption: Encryption::AesGcm16(256),
            integrity: None,
            extended_sequence_numbers,
            groups: vec![],
            additional: vec![],
        }
    }

    /// The responder's order of proposals decides, but a guessed group that it allows is taken.
    #[test]
    fn our_order_decides_and_a_good_guess_stands() {
        let offered = offer_ike(&[gcm(&[Group::Ecp256, Group::X25519]), cbc(&[Group::X25519])]);
        let ours = [cbc(&[Group::X25519]), gcm(&[Group::X25519])];
        let (suite, answer) = choose_ike(&offered, &ours, Group::X25519.id()).unwrap();
        assert_eq!(
            suite.to_string(),
            "AES_CBC_256/HMAC_SHA2_256_128/PRF_HMAC_SHA2_256/X25519"
        );
        assert_eq!(answer.proposals[0].number, 2);
        let both = [gcm(&[Group::X25519, Group::Ecp256])];
        assert_eq!(
            choose_ike(&offered, &both, Group::Ecp256.id()).unwrap().0.group,
            Group::Ecp256
        );
        assert_eq!(
            choose_ike(&offered, &both, Group::Modp2048.id()).unwrap().0.group,
            Group::X25519
        );
    }

    /// What a responder answers is accepted by the initiator that offered it, and nothing else is.
    #[test]
    fn only_what_was_offered_is_accepted() {
        let ours = [gcm(&[Group::Ecp256, Group::X25519])];
        let (suite, answer) = choose_ike(&offer_ike(&ours), &ours, Group::X25519.id()).unwrap();
        assert_eq!(accept_ike(&answer, &ours, Group::X25519), Some(suite));
        assert_eq!(accept_ike(&answer, &ours, Group::Ecp256), None);
        assert_eq!(accept_ike(&answer, &[cbc(&[Group::X25519])], Group::X25519), None);
        assert_eq!(
            accept_ike(&offer_ike(&ours), &ours, Group::X25519),
            None,
            "two groups are no choice"
        );
        let mut doubled = answer.clone();
        doubled.proposals.extend(answer.proposals);
        assert_eq!(accept_ike(&doubled, &ours, Group::X25519), None);
    }

    #[test]
    fn extended_sequence_numbers_are_taken_when_both_want_them() {
        for (theirs, ours, expected) in [(true, true, true), (true, false, false), (false, true, false)] {
            let (suite, spi, answer) = choose_esp(
                &offer_esp(&[esp(theirs)], 4711, Keying::Inherited),
                &[esp(ours)],
                815,
                Keying::Inherited,
            )
            .unwrap();
            assert_eq!((suite.extended_sequence_numbers, spi), (expected, 4711));
            assert_eq!(
                accept_esp(&answer, &[esp(theirs)], Keying::Inherited),
                Some((suite, 815))
            );
        }
    }

    /// A transform with an attribute that we do not know can never be chosen (RFC 7296 §3.3.6).
    #[test]
    fn unknown_attributes_and_reserved_spis_are_refused() {
        let mut offered = offer_ike(&[gcm(&[Group::X25519])]);
        offered.proposals[0].transforms[0].unknown_attribute = true;
        assert!(choose_ike(&offered, &[gcm(&[Group::X25519])], 31).is_none());
        assert!(
            choose_esp(
                &offer_esp(&[esp(false)], 255, Keying::Inherited),
                &[esp(false)],
                815,
                Keying::Inherited
            )
            .is_none()
        );
    }

    /// A proposal with a type of transform that we do not know is passed over, and so is a transform of a known type that
    /// we do not have (RFC 7296 §3.3.6).
    #[test]
    fn unknown_transforms_are_passed_over() {
        let ours = [gcm(&[Group::X25519])];
        let mut offered = offer_ike(&[gcm(&[Group::X25519]), gcm(&[Group::X25519])]);
        offered.proposals[0].transforms.push(plain(240, 1));
        offered.proposals[1]
            .transforms
            .insert(0, plain(transform::ENCR, 4711));
        let (_, answer) = choose_ike(&offered, &ours, Group::X25519.id()).unwrap();
        assert_eq!(answer.proposals[0].number, 2);
        assert_eq!(words(&answer), "AES_GCM_16_128/PRF_HMAC_SHA2_256/X25519");
        let mut offered = offer_esp(&[esp(true), esp(false)], 4711, Keying::Inherited);
        offered.proposals[0].transforms.push(plain(240, 1));
        let (suite, _, answer) = choose_esp(&offered, &[esp(true)], 815, Keying::Inherited).unwrap();
        assert_eq!(
            (suite.extended_sequence_numbers, answer.proposals[0].number),
            (false, 2)
        );
    }

    /// With and without a key exchange of its own in one list: each is met by what a peer offers, in both roles.
    #[test]
    fn with_and_without_an_exchange_mix() {
        let with = EspProposal {
            groups: vec![Group::X25519],
            ..esp(false)
        };
        let (mixed, plain) = ([with.clone(), esp(false)], [esp(false)]);
        let x25519 = Keying::Negotiated(Some(Group::X25519.id()));
        for (offered, keying, group) in [
            (&mixed[..], x25519, Some(Group::X25519)),
            (&[with][..], x25519, Some(Group::X25519)),
            (&plain[..], Keying::Negotiated(None), None),
        ] {
            let offer = offer_esp(offered, 4711, keying);
            let (suite, _, answer) = choose_esp(&offer, &mixed, 815, keying).unwrap();
            assert_eq!(suite.group, group);
            assert_eq!(accept_esp(&answer, offered, keying), Some((suite, 815)));
        }
        let offer = offer_esp(&mixed, 4711, x25519);
        let (suite, _, answer) = choose_esp(&offer, &plain, 815, x25519).unwrap();
        assert_eq!(suite.group, None, "the peer's policy has none");
        assert_eq!(accept_esp(&answer, &mixed, x25519), Some((suite, 815)));
        let offer = offer_esp(&mixed, 4711, Keying::Inherited);
        assert_eq!(offer.proposals.len(), 1, "IKE_AUTH has no exchange of its own");
    }

    /// A cipher whose keys have one length has no Key Length attribute, and one with it is another (RFC 7634 §4).
    #[test]
    fn ciphers_of_one_key_length_carry_none() {
        let chacha = IkeProposal {
            encryption: Encryption::ChaCha20Poly1305,
            ..gcm(&[Group::X25519])
        };
        let mut offered = offer_ike(std::slice::from_ref(&chacha));
        assert_eq!(offered.proposals[0].transforms[0].key_length, None);
        assert!(choose_ike(&offered, std::slice::from_ref(&chacha), 31).is_some());
        offered.proposals[0].transforms[0].key_length = Some(256);
        assert!(choose_ike(&offered, &[chacha], 31).is_none());
    }

    #[test]
    fn words_name_what_we_do_not_have() {
        let mut offered = offer_ike(&[gcm(&[Group::X25519])]);
        offered.proposals[0].transforms[1].id = 4711;
        assert_eq!(words(&offered), "AES_GCM_16_128/TRANSFORM_2_4711/X25519");
    }
}
