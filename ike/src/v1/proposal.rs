//! Proposals of both phases: what is offered, met with what is configured, becomes what is chosen (RFC 2409 appendix A,
//! RFC 2407 §4.4, §4.5).

use std::time::Duration;

use super::method::Method;
use super::numbers::{
    authenticator, authenticator_number, cipher, cipher_number, esp_cipher, group, group_number, hash_number,
    prf, transform_number,
};
use crate::additional::Additional;
use crate::crypto::Group;
use crate::proposal::{EspSuite, IkeSuite};
use crate::wire::v1::registry::{isakmp, life, mode, phase1, phase2, protocol};
use crate::wire::v1::{Attribute, Proposal, SecurityAssociationPayload, Transform};
use crate::{Connection, Encapsulation, EspProposal, IkeProposal};

/// Octets of a kilobyte of a lifetime (RFC 2407 §4.5).
const KILOBYTE: u64 = 1024;

/// What both sides agreed on for phase 1, and how long the other side lets it live.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Phase1 {
    pub(crate) suite: IkeSuite,
    pub(crate) method: Method,
    pub(crate) seconds: Option<u64>,
}

/// What both sides agreed on for phase 2, and how long the other side lets it live.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Phase2 {
    pub(crate) suite: EspSuite,
    pub(crate) seconds: Option<u64>,
    pub(crate) octets: Option<u64>,
}

/// How a quick mode is to travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Transport {
    pub(crate) encapsulation: Encapsulation,
    /// NATs are spoken of in the numbers of the drafts before RFC 3947.
    pub(crate) draft: bool,
}

impl Transport {
    fn mode(self) -> u16 {
        match self.encapsulation {
            Encapsulation::None => mode::TUNNEL,
            Encapsulation::Udp if self.draft => mode::UDP_TUNNEL_DRAFT,
            Encapsulation::Udp => mode::UDP_TUNNEL,
        }
    }
}

/// Our proposals for phase 1; those that IKEv1 has no numbers for are left out.
pub(crate) fn offer_phase1(settings: &Connection) -> SecurityAssociationPayload {
    offer(settings, |_| true)
}

/// The same for aggressive mode, whose first message holds a public value: with the group that we want most alone (RFC 2409
/// §5). `None` if IKEv1 has numbers for nothing of it.
pub(crate) fn offer_aggressive(settings: &Connection) -> Option<(Group, SecurityAssociationPayload)> {
    let sayable = |one: &&IkeProposal| cipher_number(one.encryption).is_some();
    let mut groups = settings
        .ike_proposals
        .iter()
        .filter(sayable)
        .flat_map(|one| one.groups.iter().copied());
    let group = groups.find(|group| group_number(*group).is_some())?;
    Some((group, offer(settings, |other| other == group)))
}

fn offer(settings: &Connection, wanted: impl Fn(Group) -> bool) -> SecurityAssociationPayload {
    let method = Method::of(settings);
    let all = settings.ike_proposals.iter();
    let pairs = all.flat_map(|one| one.groups.iter().map(move |group| (one, *group)));
    let pairs = pairs.filter(|(_, group)| wanted(*group));
    let lifetime = u32::try_from(settings.ike_lifetime.as_secs()).unwrap_or(u32::MAX);
    let transforms = pairs.filter_map(|(one, group)| {
        let (cipher, hash) = (cipher_number(one.encryption)?, hash_number(one.prf));
        let mut attributes = vec![Attribute::number(phase1::ENCRYPTION, cipher.into())];
        let bits = one.encryption.key_length();
        attributes.extend(bits.map(|bits| Attribute::number(phase1::KEY_LENGTH, bits.into())));
        attributes.extend([
            Attribute::number(phase1::HASH, hash.into()),
            Attribute::number(phase1::GROUP, group_number(group)?.into()),
            Attribute::number(phase1::AUTHENTICATION, method?.number().into()),
            Attribute::number(phase1::LIFE_TYPE, life::SECONDS.into()),
            Attribute::number(phase1::LIFE_DURATION, lifetime),
        ]);
        Some(attributes)
    });
    let numbered = (1..=u8::MAX).zip(transforms);
    let transforms = numbered.map(|(number, attributes)| Transform {
        number,
        id: isakmp::KEY_IKE,
        attributes,
    });
    one_proposal(protocol::ISAKMP, Vec::new(), transforms.collect())
}

/// The responder's choice for phase 1: our order decides. The answer is the transform as it came.
pub(crate) fn choose_phase1(
    offered: &SecurityAssociationPayload,
    settings: &Connection,
) -> Option<(Phase1, SecurityAssociationPayload)> {
    let proposals = || {
        offered
            .proposals
            .iter()
            .filter(|one| one.protocol == protocol::ISAKMP)
    };
    let method = Method::of(settings)?;
    let wanted = settings.ike_proposals.iter().find_map(|wanted| {
        proposals().find_map(|proposal| {
            let mut transforms = proposal.transforms.iter();
            let found = transforms.find_map(|transform| {
                let agreed = phase1(transform).filter(|agreed| agreed.method == method)?;
                allows(wanted, agreed.suite).then_some((agreed, transform))
            });
            found.map(|(agreed, transform)| (agreed, proposal, transform))
        })
    });
    let (agreed, proposal, transform) = wanted?;
    let answer = Proposal {
        transforms: vec![transform.clone()],
        ..proposal.clone()
    };
    let proposals = vec![answer];
    Some((agreed, SecurityAssociationPayload { proposals }))
}

/// What the responder chose from our offer for phase 1; `None` if it is not one thing that we offered.
pub(crate) fn accept_phase1(answer: &SecurityAssociationPayload, settings: &Connection) -> Option<Phase1> {
    let agreed = phase1(only(answer, protocol::ISAKMP)?.1)?;
    is_among(settings, (agreed.suite, agreed.method)).then_some(agreed)
}

/// Whether a suite and a method are among what is configured.
pub(crate) fn is_among(settings: &Connection, (suite, method): (IkeSuite, Method)) -> bool {
    let mut all = settings.ike_proposals.iter();
    Method::of(settings) == Some(method) && all.any(|wanted| allows(wanted, suite))
}

fn allows(wanted: &IkeProposal, suite: IkeSuite) -> bool {
    (wanted.encryption, wanted.prf) == (suite.encryption, suite.prf) && wanted.groups.contains(&suite.group)
}

/// What a transform of phase 1 means, if it is one that we can do.
fn phase1(transform: &Transform) -> Option<Phase1> {
    let number = |kind| {
        transform
            .number_of(kind)
            .and_then(|number| u16::try_from(number).ok())
    };
    if transform.id != isakmp::KEY_IKE {
        return None;
    }
    let suite = IkeSuite {
        encryption: cipher(number(phase1::ENCRYPTION)?, number(phase1::KEY_LENGTH))?,
        integrity: None,
        prf: prf(number(phase1::HASH)?)?,
        group: group(number(phase1::GROUP)?)?,
        additional: Additional::default(),
    };
    let lifetimes = Lifetimes::of(transform, phase1::LIFE_TYPE, phase1::LIFE_DURATION);
    Some(Phase1 {
        suite,
        method: Method::of_number(number(phase1::AUTHENTICATION)?)?,
        seconds: lifetimes.seconds,
    })
}

/// The proposals of phase 2 that one quick mode can offer: one key exchange goes with all of them (RFC 2409 §5.5).
pub(crate) fn offerable(settings: &Connection) -> (Option<Group>, Vec<&EspProposal>) {
    let first = |one: &EspProposal| one.groups.first().copied();
    let group = settings.esp_proposals.first().and_then(first);
    let fits = |one: &&EspProposal| match group {
        Some(group) => one.groups.contains(&group),
        None => one.groups.is_empty(),
    };
    (group, settings.esp_proposals.iter().filter(fits).collect())
}

/// Our proposals for phase 2; `spi` is the one we want to receive on.
pub(crate) fn offer_phase2(
    settings: &Connection,
    spi: u32,
    transport: Transport,
) -> SecurityAssociationPayload {
    let (group, proposals) = offerable(settings);
    let transforms = proposals.into_iter().flat_map(|one| {
        let both = one
            .extended_sequence_numbers
            .then_some(true)
            .into_iter()
            .chain([false]);
        both.filter_map(move |extended| attributes(settings, one, (group, extended), transport))
    });
    let numbered = (1..=u8::MAX).zip(transforms);
    let transforms = numbered.map(|(number, (id, attributes))| Transform {
        number,
        id,
        attributes,
    });
    one_proposal(protocol::ESP, spi.to_be_bytes().to_vec(), transforms.collect())
}

fn attributes(
    settings: &Connection,
    one: &EspProposal,
    (group, extended): (Option<Group>, bool),
    transport: Transport,
) -> Option<(u8, Vec<Attribute>)> {
    let seconds = u32::try_from(settings.child_lifetime.as_secs()).unwrap_or(u32::MAX);
    let kilobytes = settings.child_octets.map(|octets| octets / KILOBYTE);
    let kilobytes = kilobytes.and_then(|kilobytes| u32::try_from(kilobytes).ok());
    let number = |kind, value: u16| Attribute::number(kind, value.into());
    let mut attributes = vec![
        number(phase2::LIFE_TYPE, life::SECONDS),
        Attribute::number(phase2::LIFE_DURATION, seconds),
    ];
    if let Some(kilobytes) = kilobytes.filter(|kilobytes| *kilobytes > 0) {
        attributes.push(number(phase2::LIFE_TYPE, life::KILOBYTES));
        attributes.push(Attribute::number(phase2::LIFE_DURATION, kilobytes));
    }
    if let Some(group) = group {
        attributes.push(number(phase2::GROUP, group_number(group)?));
    }
    attributes.push(number(phase2::MODE, transport.mode()));
    let authenticator = one.integrity.map(authenticator_number);
    attributes.extend(authenticator.map(|authenticator| number(phase2::AUTHENTICATION, authenticator)));
    let bits = one.encryption.key_length();
    attributes.extend(bits.map(|bits| number(phase2::KEY_LENGTH, bits)));
    attributes.extend(extended.then(|| number(phase2::EXTENDED_SEQUENCE_NUMBERS, 1)));
    Some((transform_number(one.encryption)?, attributes))
}

/// The responder's choice for phase 2, the initiator's SPI, and our answer with `spi`: the transform as it came.
pub(crate) fn choose_phase2(
    offered: &SecurityAssociationPayload,
    configured: &[EspProposal],
    spi: u32,
    transport: Transport,
) -> Option<(Phase2, u32, SecurityAssociationPayload)> {
    let alone = |number| {
        offered
            .proposals
            .iter()
            .filter(|one| one.number == number)
            .count()
            == 1
    };
    let proposals = || offered.proposals.iter().filter(|one| alone(one.number));
    let wanted = configured.iter().find_map(|wanted| {
        proposals().find_map(|proposal| {
            let theirs = esp_spi(proposal)?;
            let mut transforms = proposal.transforms.iter();
            let found = transforms.find_map(|transform| {
                let agreed = phase2(transform, transport)?;
                allows_esp(wanted, agreed.suite).then_some((agreed, transform))
            });
            found.map(|(agreed, transform)| (agreed, theirs, proposal, transform))
        })
    });
    let (agreed, theirs, proposal, transform) = wanted?;
    let answer = Proposal {
        spi: spi.to_be_bytes().to_vec(),
        transforms: vec![transform.clone()],
        ..proposal.clone()
    };
    let proposals = vec![answer];
    Some((agreed, theirs, SecurityAssociationPayload { proposals }))
}

/// What the responder chose from our offer for phase 2, and its SPI.
pub(crate) fn accept_phase2(
    answer: &SecurityAssociationPayload,
    settings: &Connection,
    transport: Transport,
) -> Option<(Phase2, u32)> {
    let (proposal, transform) = only(answer, protocol::ESP)?;
    let agreed = phase2(transform, transport)?;
    let (group, proposals) = offerable(settings);
    let mut offered = proposals.iter();
    let offered = offered.any(|wanted| allows_esp(wanted, agreed.suite)) && agreed.suite.group == group;
    Some((agreed, esp_spi(proposal)?)).filter(|_| offered)
}

fn allows_esp(wanted: &EspProposal, suite: EspSuite) -> bool {
    let group = suite
        .group
        .map_or(wanted.groups.is_empty(), |group| wanted.groups.contains(&group));
    (wanted.encryption, wanted.integrity) == (suite.encryption, suite.integrity)
        && group
        && (wanted.extended_sequence_numbers || !suite.extended_sequence_numbers)
}

fn phase2(transform: &Transform, transport: Transport) -> Option<Phase2> {
    let number = |kind| {
        transform
            .number_of(kind)
            .and_then(|number| u16::try_from(number).ok())
    };
    let named = |kind| {
        transform
            .attributes
            .iter()
            .any(|attribute| attribute.kind == kind)
    };
    let udp = [mode::UDP_TUNNEL, mode::UDP_TUNNEL_DRAFT];
    let fits = match transport.encapsulation {
        Encapsulation::None => number(phase2::MODE)? == mode::TUNNEL,
        Encapsulation::Udp => udp.contains(&number(phase2::MODE)?),
    };
    let encryption = esp_cipher(transform.id, number(phase2::KEY_LENGTH))?;
    let integrity = match number(phase2::AUTHENTICATION) {
        Some(known) => Some(authenticator(known)?),
        None => None,
    };
    let own = match number(phase2::GROUP) {
        Some(number) => Some(group(number)?),
        None if named(phase2::GROUP) => return None,
        None => None,
    };
    let sound = fits && encryption.is_aead() == integrity.is_none();
    let lifetimes = Lifetimes::of(transform, phase2::LIFE_TYPE, phase2::LIFE_DURATION);
    sound.then_some(Phase2 {
        suite: EspSuite {
            encryption,
            integrity,
            extended_sequence_numbers: number(phase2::EXTENDED_SEQUENCE_NUMBERS) == Some(1),
            group: own,
            additional: Additional::default(),
        },
        seconds: lifetimes.seconds,
        octets: lifetimes.octets,
    })
}

/// What pairs of life type and duration say; a type without a duration says nothing.
#[derive(Default)]
struct Lifetimes {
    seconds: Option<u64>,
    octets: Option<u64>,
}

impl Lifetimes {
    fn of(transform: &Transform, kind: u16, duration: u16) -> Self {
        let (mut found, mut unit) = (Self::default(), None);
        for attribute in &transform.attributes {
            if attribute.kind == kind {
                unit = attribute.as_number().and_then(|unit| u16::try_from(unit).ok());
            } else if attribute.kind == duration {
                let value = attribute.as_number();
                match unit.take() {
                    Some(life::SECONDS) => found.seconds = value,
                    Some(life::KILOBYTES) => {
                        found.octets = value.and_then(|value| value.checked_mul(KILOBYTE))
                    }
                    _ => {}
                }
            }
        }
        found
    }
}

/// The shorter of our lifetime and the peer's; a peer that wants none at all gets ours.
pub(crate) fn shorter(ours: Duration, theirs: Option<u64>) -> Duration {
    let theirs = theirs.filter(|seconds| *seconds > 0).map(Duration::from_secs);
    theirs.map_or(ours, |theirs| theirs.min(ours))
}

/// The proposals in words: what belongs together joined by `/`, transforms by a comma.
pub(crate) fn words(payload: &SecurityAssociationPayload, transport: Option<Transport>) -> String {
    let word = |transform: &Transform, proposal: &Proposal| match transport {
        None => phase1(transform).map(|agreed| format!("{}{}", agreed.suite, agreed.method.word())),
        Some(transport) if proposal.protocol == protocol::ESP => {
            phase2(transform, transport).map(|agreed| agreed.suite.to_string())
        }
        Some(_) => None,
    };
    let all = payload.proposals.iter().flat_map(|proposal| {
        let transforms = proposal.transforms.iter();
        transforms.map(move |transform| word(transform, proposal).unwrap_or_else(|| foreign(transform)))
    });
    let mut words: Vec<String> = all.collect();
    words.dedup();
    words.join(", ")
}

/// A transform that we cannot do, by its numbers.
fn foreign(transform: &Transform) -> String {
    let numbers = transform.attributes.iter().filter_map(|attribute| {
        let number = attribute.as_number()?;
        Some(format!("{}={number}", attribute.kind))
    });
    format!(
        "TRANSFORM_{}({})",
        transform.id,
        numbers.collect::<Vec<_>>().join(" ")
    )
}

fn one_proposal(protocol: u8, spi: Vec<u8>, transforms: Vec<Transform>) -> SecurityAssociationPayload {
    let number = 1;
    let proposals = vec![Proposal {
        number,
        protocol,
        spi,
        transforms,
    }];
    SecurityAssociationPayload { proposals }
}

fn only(answer: &SecurityAssociationPayload, protocol: u8) -> Option<(&Proposal, &Transform)> {
    let [proposal] = answer.proposals.as_slice() else {
        return None;
    };
    let [transform] = proposal.transforms.as_slice() else {
        return None;
    };
    (proposal.protocol == protocol).then_some((proposal, transform))
}

fn esp_spi(proposal: &Proposal) -> Option<u32> {
    let octets: [u8; 4] = proposal.spi.as_slice().try_into().ok()?;
    (proposal.protocol == protocol::ESP).then(|| u32::from_be_bytes(octets))
}
