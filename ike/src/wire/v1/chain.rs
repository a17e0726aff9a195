//! The walk along the payloads of a message (RFC 2408 §3.2).

use bytes::{Buf, BufMut};

use super::registry::payload;
use super::{
    DeletePayload, IdentificationPayload, NatDetectionPayload, NotifyPayload, SecurityAssociationPayload,
};
use crate::wire::chain::{MAX_PAYLOADS, patch_length, split};
use crate::wire::{CertificatePayload, DecodeError, VendorIdPayload};

const GENERIC_HEADER: usize = 4;

/// One payload (RFC 2408 §3.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Payload {
    /// SA (1).
    SecurityAssociation(SecurityAssociationPayload),
    /// KE (4): a public value.
    KeyExchange(Vec<u8>),
    /// ID (5).
    Identification(IdentificationPayload),
    /// CERT (6).
    Certificate(CertificatePayload),
    /// CR (7).
    CertificateRequest(CertificatePayload),
    /// HASH (8).
    Hash(Vec<u8>),
    /// SIG (9).
    Signature(Vec<u8>),
    /// NONCE (10): 8 to 256 octets (RFC 2409 §5).
    Nonce(Vec<u8>),
    /// N (11).
    Notify(NotifyPayload),
    /// D (12).
    Delete(DeletePayload),
    /// VID (13).
    VendorId(VendorIdPayload),
    /// NAT-D (20, or 130).
    NatDetection(NatDetectionPayload),
    /// Any other type, kept: NAT-OA (21, or 131), which tunnels have no use for, is one of them.
    Unknown {
        /// Its type.
        kind: u8,
        /// Its body.
        data: Vec<u8>,
    },
}

/// One payload as it stands in a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Raw<'a> {
    /// Its type.
    pub(crate) kind: u8,
    /// What follows its generic header.
    pub(crate) body: &'a [u8],
    /// How many octets the chain has from its beginning to the end of this payload.
    pub(crate) end: usize,
}

/// Walks along a chain, the first of type `first` (0: none), to the payload that names no other. What follows is padding.
pub(crate) fn walk(first: u8, bytes: &[u8]) -> Result<Vec<Raw<'_>>, DecodeError> {
    let truncated = DecodeError::truncated("payload");
    let (mut kind, mut rest, mut payloads) = (first, bytes, Vec::new());
    while kind != payload::NONE {
        if payloads.len() == MAX_PAYLOADS {
            return Err(DecodeError::TooMany { what: "payloads" });
        }
        let next = rest.try_get_u8().map_err(&truncated)?;
        let _reserved = rest.try_get_u8().map_err(&truncated)?;
        let length = usize::from(rest.try_get_u16().map_err(&truncated)?);
        let length = length
            .checked_sub(GENERIC_HEADER)
            .ok_or(DecodeError::Length { what: "payload" })?;
        let (body, after) = split(rest, length, "payload")?;
        let end = bytes.len() - after.len();
        payloads.push(Raw { kind, body, end });
        (kind, rest) = (next, after);
    }
    Ok(payloads)
}

/// Reads the payloads of a chain, the first of type `first` (0: none), and tells how many octets they take; what follows
/// them is padding (RFC 2409 appendix B).
pub fn decode(first: u8, bytes: &[u8]) -> Result<(Vec<Payload>, usize), DecodeError> {
    let raw = walk(first, bytes)?;
    let octets = raw.last().map_or(0, |last| last.end);
    let payloads: Result<Vec<_>, _> = raw.iter().map(Payload::decode).collect();
    Ok((payloads?, octets))
}

/// Writes the payloads and names the type of the first.
///
/// A length or count that its field cannot hold is written as the field's largest value: no datagram is long enough for
/// that.
pub fn encode(payloads: &[Payload]) -> (u8, Vec<u8>) {
    let mut out = Vec::new();
    for (index, payload) in payloads.iter().enumerate() {
        let start = out.len();
        out.put_u8(payloads.get(index + 1).map_or(payload::NONE, Payload::kind));
        out.put_u8(0);
        out.put_u16(0);
        payload.encode(&mut out);
        patch_length(&mut out, start);
    }
    (payloads.first().map_or(payload::NONE, Payload::kind), out)
}

impl Payload {
    /// Its type's number.
    pub fn kind(&self) -> u8 {
        match self {
            Self::SecurityAssociation(_) => payload::SA,
            Self::KeyExchange(_) => payload::KE,
            Self::Identification(_) => payload::ID,
            Self::Certificate(_) => payload::CERT,
            Self::CertificateRequest(_) => payload::CERTREQ,
            Self::Hash(_) => payload::HASH,
            Self::Signature(_) => payload::SIG,
            Self::Nonce(_) => payload::NONCE,
            Self::Notify(_) => payload::NOTIFY,
            Self::Delete(_) => payload::DELETE,
            Self::VendorId(_) => payload::VENDOR_ID,
            Self::NatDetection(found) if found.draft => payload::NAT_D_DRAFT,
            Self::NatDetection(_) => payload::NAT_D,
            Self::Unknown { kind, .. } => *kind,
        }
    }

    fn decode(raw: &Raw<'_>) -> Result<Self, DecodeError> {
        let body = raw.body;
        Ok(match raw.kind {
            payload::SA => Self::SecurityAssociation(SecurityAssociationPayload::decode(body)?),
            payload::KE => Self::KeyExchange(body.to_vec()),
            payload::ID => Self::Identification(IdentificationPayload::decode(body)?),
            payload::CERT => Self::Certificate(CertificatePayload::decode(body)?),
            payload::CERTREQ => Self::CertificateRequest(CertificatePayload::decode(body)?),
            payload::HASH => Self::Hash(body.to_vec()),
            payload::SIG => Self::Signature(body.to_vec()),
            payload::NONCE if (8..=256).contains(&body.len()) => Self::Nonce(body.to_vec()),
            payload::NONCE => return Err(DecodeError::Length { what: "Nonce" }),
            payload::NOTIFY => Self::Notify(NotifyPayload::decode(body)?),
            payload::DELETE => Self::Delete(DeletePayload::decode(body)?),
            payload::VENDOR_ID => Self::VendorId(VendorIdPayload::decode(body)?),
            payload::NAT_D => Self::NatDetection(NatDetectionPayload::decode(false, body)?),
            payload::NAT_D_DRAFT => Self::NatDetection(NatDetectionPayload::decode(true, body)?),
            kind => Self::Unknown {
                kind,
                data: body.to_vec(),
            },
        })
    }

    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::SecurityAssociation(payload) => payload.encode(out),
            Self::Identification(payload) => payload.encode(out),
            Self::Certificate(payload) | Self::CertificateRequest(payload) => payload.encode(out),
            Self::KeyExchange(data) | Self::Hash(data) | Self::Signature(data) | Self::Nonce(data) => {
                out.extend_from_slice(data);
            }
            Self::Notify(payload) => payload.encode(out),
            Self::Delete(payload) => payload.encode(out),
            Self::VendorId(payload) => payload.encode(out),
            Self::NatDetection(payload) => out.extend_from_slice(&payload.hash),
            Self::Unknown { data, .. } => out.extend_from_slice(data),
        }
    }
}
