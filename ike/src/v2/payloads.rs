//! Finding payloads in a message, and making the small ones.

use std::net::{IpAddr, SocketAddr};

use super::nat::Path;
use crate::wire::registry::{notify, protocol};
use crate::wire::{
    AuthPayload, DeletePayload, Header, IdentificationPayload, KeyExchangePayload, NotifyPayload, Payload,
    SecurityAssociationPayload, SelectorsPayload,
};

/// A message as it arrived, its header read.
#[derive(Debug, Clone)]
pub(crate) struct Datagram {
    pub(crate) local: SocketAddr,
    pub(crate) remote: SocketAddr,
    pub(crate) header: Header,
    pub(crate) bytes: Vec<u8>,
}

impl Datagram {
    /// The way back.
    pub(crate) fn path(&self) -> Path {
        Path {
            local: self.local,
            remote: self.remote,
        }
    }

    /// The exchange and its id.
    pub(crate) fn exchange(&self) -> (u8, u32) {
        (self.header.exchange_type, self.header.message_id)
    }
}

/// The gateway that the data of a REDIRECT names, in words (RFC 5685 §9.1).
pub(crate) fn gateway(data: &[u8]) -> String {
    let named = || {
        let (&[kind, length], rest) = data.split_first_chunk::<2>()?;
        let identity = rest.get(..length.into())?;
        match (kind, identity) {
            (1, identity) => Some(IpAddr::from(<[u8; 4]>::try_from(identity).ok()?).to_string()),
            (2, identity) => Some(IpAddr::from(<[u8; 16]>::try_from(identity).ok()?).to_string()),
            (3, identity) => Some(String::from_utf8_lossy(identity).into_owned()),
            _ => None,
        }
    };
    named().unwrap_or_else(|| "an unreadable gateway".to_owned())
}

/// The first error of an answer, unless it is only one of the moment.
pub(crate) fn lasting_error(payloads: &[Payload]) -> Option<u16> {
    let kind = error(payloads)?.kind;
    (![notify::TEMPORARY_FAILURE, notify::STATE_NOT_FOUND].contains(&kind)).then_some(kind)
}

/// The first payload that `read` knows.
fn first<'a, T>(payloads: &'a [Payload], read: impl Fn(&'a Payload) -> Option<T>) -> Option<T> {
    payloads.iter().find_map(read)
}

pub(crate) fn security_association(payloads: &[Payload]) -> Option<&SecurityAssociationPayload> {
    first(payloads, |payload| {
        if let Payload::SecurityAssociation(found) = payload {
            Some(found)
        } else {
            None
        }
    })
}

pub(crate) fn key_exchange(payloads: &[Payload]) -> Option<&KeyExchangePayload> {
    first(payloads, |payload| {
        if let Payload::KeyExchange(found) = payload {
            Some(found)
        } else {
            None
        }
    })
}

pub(crate) fn nonce(payloads: &[Payload]) -> Option<&[u8]> {
    first(payloads, |payload| {
        if let Payload::Nonce(found) = payload {
            Some(found.data.as_slice())
        } else {
            None
        }
    })
}

pub(crate) fn initiator_identity(payloads: &[Payload]) -> Option<&IdentificationPayload> {
    first(payloads, |payload| {
        if let Payload::IdentificationInitiator(found) = payload {
            Some(found)
        } else {
            None
        }
    })
}

pub(crate) fn responder_identity(payloads: &[Payload]) -> Option<&IdentificationPayload> {
    first(payloads, |payload| {
        if let Payload::IdentificationResponder(found) = payload {
            Some(found)
        } else {
            None
        }
    })
}

pub(crate) fn authentication(payloads: &[Payload]) -> Option<&AuthPayload> {
    first(payloads, |payload| {
        if let Payload::Authentication(found) = payload {
            Some(found)
        } else {
            None
        }
    })
}

pub(crate) fn selectors(payloads: &[Payload]) -> Option<(&SelectorsPayload, &SelectorsPayload)> {
    let initiator = first(payloads, |payload| {
        if let Payload::SelectorsInitiator(found) = payload {
            Some(found)
        } else {
            None
        }
    });
    let responder = first(payloads, |payload| {
        if let Payload::SelectorsResponder(found) = payload {
            Some(found)
        } else {
            None
        }
    });
    initiator.zip(responder)
}

pub(crate) fn deletes(payloads: &[Payload]) -> impl Iterator<Item = &DeletePayload> {
    payloads.iter().filter_map(|payload| {
        if let Payload::Delete(found) = payload {
            Some(found)
        } else {
            None
        }
    })
}

fn notifies(payloads: &[Payload]) -> impl Iterator<Item = &NotifyPayload> {
    payloads.iter().filter_map(|payload| {
        if let Payload::Notify(found) = payload {
            Some(found)
        } else {
            None
        }
    })
}

pub(crate) fn notify(payloads: &[Payload], kind: u16) -> Option<&NotifyPayload> {
    notifies(payloads).find(|notify| notify.kind == kind)
}

/// The first notify that is an error (RFC 7296 §3.10.1).
pub(crate) fn error(payloads: &[Payload]) -> Option<&NotifyPayload> {
    notifies(payloads).find(|notify| notify.kind < 16_384)
}

/// A status notify about the IKE SA.
pub(crate) fn status(kind: u16, data: Vec<u8>) -> Payload {
    Payload::Notify(NotifyPayload {
        protocol: protocol::NONE,
        spi: Vec::new(),
        kind,
        data,
    })
}

/// A Delete of the IKE SA that carries it.
pub(crate) fn delete_ike() -> Payload {
    Payload::Delete(DeletePayload {
        protocol: protocol::IKE,
        spis: Vec::new(),
    })
}

/// A Delete of the Child SA that its sender receives under this SPI.
pub(crate) fn delete_child(spi: u32) -> Payload {
    Payload::Delete(DeletePayload {
        protocol: protocol::ESP,
        spis: vec![spi],
    })
}

/// The body of an ID payload, as it is proved (RFC 7296 §2.15).
pub(crate) fn identity_body(identity: &IdentificationPayload) -> Vec<u8> {
    let mut body = Vec::new();
    identity.encode(&mut body);
    body
}
