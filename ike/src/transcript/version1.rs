use super::line::{CHECK, CHECKED};
use crate::v1::identity;
use crate::v1::proposal::{self, Transport};
use crate::wire::v1::registry::{notify, protocol};
use crate::wire::v1::{DeletePayload, IdentificationPayload, Payload};

/// What a message of phase 1, or one that stands alone, says (RFC 2408 §3).
pub(super) fn says(payloads: &[Payload]) -> String {
    joined(payloads, |payload| part(payload, (None, named)))
}

/// What a message of quick mode says: its identities are selectors (RFC 2409 §5.5).
pub(super) fn says_of_quick_mode(payloads: &[Payload], transport: Option<Transport>) -> String {
    joined(payloads, |payload| part(payload, (transport, selected)))
}

fn joined(payloads: &[Payload], part: impl Fn(&Payload) -> Option<String>) -> String {
    payloads.iter().filter_map(part).collect::<Vec<_>>().join("; ")
}

/// A payload in words; `None` for what says nothing to a reader, or is nobody's business: nonces and public values.
fn part(
    payload: &Payload,
    (transport, identity): (
        Option<Transport>,
        impl Fn(&IdentificationPayload) -> Option<String>,
    ),
) -> Option<String> {
    match payload {
        Payload::SecurityAssociation(offer) => Some(format!("SA {}", proposal::words(offer, transport))),
        Payload::Identification(said) => Some(format!("ID {}", identity(said)?)),
        Payload::Certificate(_) => Some("certificate".to_owned()),
        Payload::Signature(_) => Some("signature".to_owned()),
        Payload::Notify(found) => Some(word(found.kind)),
        Payload::Delete(delete) => Some(deleted(delete)),
        Payload::Unknown { kind, .. } => Some(format!("payload {kind}")),
        Payload::KeyExchange(_)
        | Payload::CertificateRequest(_)
        | Payload::Hash(_)
        | Payload::Nonce(_)
        | Payload::VendorId(_)
        | Payload::NatDetection(_) => None,
    }
}

fn named(said: &IdentificationPayload) -> Option<String> {
    identity::of_peer(said).map(|said| crate::identity::words(&said))
}

fn selected(said: &IdentificationPayload) -> Option<String> {
    identity::to_selector(said).map(|selector| selector.to_string())
}

fn deleted(delete: &DeletePayload) -> String {
    if delete.protocol == protocol::ISAKMP {
        return "delete of the IKE SA".to_owned();
    }
    let spis = delete
        .spis
        .iter()
        .map(|spi| spi.iter().map(|octet| format!("{octet:02x}")).collect::<String>());
    format!("delete of the Child SA {}", spis.collect::<Vec<_>>().join(", "))
}

fn word(kind: u16) -> String {
    let known = match kind {
        notify::INVALID_PAYLOAD_TYPE => "INVALID-PAYLOAD-TYPE",
        notify::INVALID_COOKIE => "INVALID-COOKIE",
        notify::NO_PROPOSAL_CHOSEN => "NO-PROPOSAL-CHOSEN",
        notify::PAYLOAD_MALFORMED => "PAYLOAD-MALFORMED",
        notify::INVALID_ID_INFORMATION => "INVALID-ID-INFORMATION",
        notify::INVALID_HASH_INFORMATION => "INVALID-HASH-INFORMATION",
        notify::AUTHENTICATION_FAILED => "AUTHENTICATION-FAILED",
        notify::CONNECTED => "CONNECTED",
        notify::INITIAL_CONTACT => "INITIAL-CONTACT",
        notify::R_U_THERE => return format!("{CHECK} R-U-THERE"),
        notify::R_U_THERE_ACK => CHECKED,
        other => return format!("notify {other}"),
    };
    known.to_owned()
}
