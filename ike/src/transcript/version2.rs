use super::line::CHECK;
use super::notify::word;
use crate::crypto::Group;
use crate::identity;
use crate::suite;
use crate::v2::payloads;
use crate::wire::registry::{authentication, exchange, notify, protocol};
use crate::wire::{
    CertificatePayload, DeletePayload, NotifyPayload, Payload, SecurityAssociationPayload, SelectorsPayload,
};

/// Notifications that every message of their kind has.
const USUAL: [u16; 2] = [
    notify::NAT_DETECTION_SOURCE_IP,
    notify::NAT_DETECTION_DESTINATION_IP,
];

/// What a message of IKEv2 says: what it is for, then its payloads.
pub(super) fn says((kind, _, answers): (u8, u32, bool), payloads: &[Payload]) -> String {
    let purpose = purpose(kind, answers, payloads).into_iter();
    let certificates = certificates(payloads).into_iter();
    let parts = purpose
        .chain(payloads.iter().filter_map(part))
        .chain(certificates);
    parts.collect::<Vec<_>>().join("; ")
}

/// What a request is for that its payloads do not say in words.
fn purpose(kind: u8, answers: bool, payloads: &[Payload]) -> Option<String> {
    if answers {
        return None;
    }
    let told = |payload: &Payload| matches!(payload, Payload::Notify(found) if !is_probe(found.kind));
    let nothing = payloads
        .iter()
        .all(|payload| matches!(payload, Payload::Notify(_)) && !told(payload));
    if kind == exchange::INFORMATIONAL {
        return nothing.then(|| CHECK.to_owned());
    }
    if kind != exchange::CREATE_CHILD_SA {
        return None;
    }
    let rekeyed = payloads::notify(payloads, notify::REKEY_SA).map(|found| spi(&found.spi));
    Some(match rekeyed {
        Some(spi) => format!("rekey of the Child SA {spi}"),
        None if payloads::security_association(payloads).is_some_and(is_ike) => {
            "rekey of the IKE SA".to_owned()
        }
        None => "another Child SA".to_owned(),
    })
}

/// What a dead-peer check may carry: whether a NAT came or went, and a cookie (RFC 4555 §3.8).
fn is_probe(kind: u16) -> bool {
    USUAL.contains(&kind) || kind == notify::COOKIE2
}

fn is_ike(offer: &SecurityAssociationPayload) -> bool {
    offer
        .proposals
        .iter()
        .any(|proposal| proposal.protocol == protocol::IKE)
}

/// A payload in words; `None` for what says nothing to a reader, or is nobody's business: nonces and proofs.
fn part(payload: &Payload) -> Option<String> {
    match payload {
        Payload::SecurityAssociation(offer) => Some(format!("SA {}", suite::words(offer))),
        Payload::KeyExchange(public) => {
            let group = Group::from_id(public.group);
            Some(group.map_or_else(|| format!("KE {}", public.group), |group| format!("KE {group}")))
        }
        Payload::IdentificationInitiator(said) => Some(format!("IDi {}", identity::words(said))),
        Payload::IdentificationResponder(said) => Some(format!("IDr {}", identity::words(said))),
        Payload::Authentication(proof) => Some(format!("AUTH by {}", method(proof.method))),
        Payload::Notify(found) => notified(found),
        Payload::Delete(delete) => Some(deleted(delete)),
        Payload::SelectorsInitiator(selectors) => Some(format!("TSi {}", selected(selectors))),
        Payload::SelectorsResponder(selectors) => Some(format!("TSr {}", selected(selectors))),
        Payload::Eap(_) => Some("EAP".to_owned()),
        Payload::Configuration(_) => Some("CP".to_owned()),
        Payload::Unknown(unknown) => Some(format!("payload {}", unknown.kind)),
        Payload::Certificate(_)
        | Payload::CertificateRequest(_)
        | Payload::Nonce(_)
        | Payload::VendorId(_)
        | Payload::Encrypted { .. }
        | Payload::Fragment(_) => None,
    }
}

fn certificates(payloads: &[Payload]) -> Option<String> {
    let count = payloads
        .iter()
        .filter(|payload| matches!(payload, Payload::Certificate(CertificatePayload { .. })));
    match count.count() {
        0 => None,
        1 => Some("1 certificate".to_owned()),
        count => Some(format!("{count} certificates")),
    }
}

fn notified(found: &NotifyPayload) -> Option<String> {
    if USUAL.contains(&found.kind) || found.kind == notify::REKEY_SA {
        return None;
    }
    let wanted = <[u8; 2]>::try_from(found.data.as_slice())
        .ok()
        .map(u16::from_be_bytes);
    let wanted = wanted
        .filter(|_| found.kind == notify::INVALID_KE_PAYLOAD)
        .and_then(Group::from_id);
    let name = word(found.kind);
    Some(wanted.map_or_else(|| name.clone(), |group| format!("{name} {group}")))
}

fn deleted(delete: &DeletePayload) -> String {
    if delete.protocol == protocol::IKE {
        return "delete of the IKE SA".to_owned();
    }
    let spis = delete.spis.iter().map(|spi| format!("{spi:08x}"));
    format!("delete of the Child SA {}", spis.collect::<Vec<_>>().join(", "))
}

fn selected(selectors: &SelectorsPayload) -> String {
    let words = selectors.selectors.iter().map(ToString::to_string);
    words.collect::<Vec<_>>().join(", ")
}

/// An SPI as other views write it.
fn spi(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

fn method(method: u8) -> String {
    let known = match method {
        authentication::RSA_SIGNATURE => "RSA signature",
        authentication::SHARED_KEY => "pre-shared key",
        authentication::ECDSA_256 => "ECDSA on P-256",
        authentication::ECDSA_384 => "ECDSA on P-384",
        authentication::ECDSA_521 => "ECDSA on P-521",
        authentication::NULL => "nothing",
        authentication::DIGITAL_SIGNATURE => "digital signature",
        other => return format!("method {other}"),
    };
    known.to_owned()
}
