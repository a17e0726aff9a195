//! The walk along the payloads of a message (RFC 7296 §3.2).

use bytes::{Buf, BufMut};

use super::registry::payload;
use super::{
    AuthPayload, CertificatePayload, ConfigurationPayload, DecodeError, DeletePayload, EapPayload,
    FragmentPayload, IdentificationPayload, KeyExchangePayload, NoncePayload, NotifyPayload,
    SecurityAssociationPayload, SelectorsPayload, UnknownPayload, VendorIdPayload,
};

/// The most payloads that one message may carry.
pub const MAX_PAYLOADS: usize = 128;

const CRITICAL: u8 = 0x80;
const GENERIC_HEADER: usize = 4;

/// One payload (RFC 7296 §3.2). SK and SKF hold their bytes undecoded: opening them needs keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Payload {
    /// SA (33).
    SecurityAssociation(SecurityAssociationPayload),
    /// KE (34).
    KeyExchange(KeyExchangePayload),
    /// IDi (35).
    IdentificationInitiator(IdentificationPayload),
    /// IDr (36).
    IdentificationResponder(IdentificationPayload),
    /// CERT (37).
    Certificate(CertificatePayload),
    /// CERTREQ (38).
    CertificateRequest(CertificatePayload),
    /// AUTH (39).
    Authentication(AuthPayload),
    /// Nonce (40).
    Nonce(NoncePayload),
    /// N (41).
    Notify(NotifyPayload),
    /// D (42).
    Delete(DeletePayload),
    /// V (43).
    VendorId(VendorIdPayload),
    /// TSi (44).
    SelectorsInitiator(SelectorsPayload),
    /// TSr (45).
    SelectorsResponder(SelectorsPayload),
    /// CP (47).
    Configuration(ConfigurationPayload),
    /// EAP (48).
    Eap(EapPayload),
    /// SK (46): IV, ciphertext and ICV.
    Encrypted {
        /// The type of the first payload inside.
        first: u8,
        /// IV, ciphertext and ICV.
        bytes: Vec<u8>,
    },
    /// SKF (53, RFC 7383 §2.5).
    Fragment(FragmentPayload),
    /// Any other type, kept.
    Unknown(UnknownPayload),
}

/// One payload as it stands in a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Raw<'a> {
    /// Its type.
    pub(crate) kind: u8,
    /// The type of the one after it, or of the first inside it.
    next: u8,
    critical: bool,
    /// What follows its generic header.
    pub(crate) body: &'a [u8],
}

/// The payloads that fill some octets, undecoded. SK and SKF end the walk, and so does an error.
#[derive(Debug, Clone)]
pub(crate) struct Walk<'a> {
    kind: u8,
    bytes: &'a [u8],
    payloads: usize,
}

impl<'a> Walk<'a> {
    /// Along these octets; the first payload is of type `first` (0: none).
    pub(crate) fn new(first: u8, bytes: &'a [u8]) -> Self {
        let (kind, payloads) = (first, 0);
        Self {
            kind,
            bytes,
            payloads,
        }
    }

    fn step(&mut self) -> Result<Raw<'a>, DecodeError> {
        if self.kind == payload::NONE {
            let what = "payload chain";
            return Err(DecodeError::Length { what });
        }
        if self.payloads == MAX_PAYLOADS {
            return Err(DecodeError::TooMany { what: "payloads" });
        }
        self.payloads += 1;
        let truncated = DecodeError::truncated("payload");
        let next = self.bytes.try_get_u8().map_err(&truncated)?;
        let critical = self.bytes.try_get_u8().map_err(&truncated)? & CRITICAL != 0;
        let length = usize::from(self.bytes.try_get_u16().map_err(&truncated)?);
        let length = length
            .checked_sub(GENERIC_HEADER)
            .ok_or(DecodeError::Length { what: "payload" })?;
        let (body, rest) = split(self.bytes, length, "payload")?;
        let kind = self.kind;
        let last = matches!(kind, payload::SK | payload::SKF);
        (self.kind, self.bytes) = (if last { payload::NONE } else { next }, rest);
        Ok(Raw {
            kind,
            next,
            critical,
            body,
        })
    }
}

impl<'a> Iterator for Walk<'a> {
    type Item = Result<Raw<'a>, DecodeError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.kind == payload::NONE && self.bytes.is_empty() {
            return None;
        }
        let step = self.step();
        if step.is_err() {
            (self.kind, self.bytes) = (payload::NONE, &[]);
        }
        Some(step)
    }
}

/// Reads the payloads that fill `bytes`, the first of type `first` (0: none). SK and SKF end the walk.
///
/// The critical bit of a type that we know is ignored (RFC 7296 §3.2); an unknown type keeps it.
pub fn decode(first: u8, bytes: &[u8]) -> Result<Vec<Payload>, DecodeError> {
    Walk::new(first, bytes)
        .map(|raw| raw.and_then(|raw| Payload::decode(&raw)))
        .collect()
}

/// Writes the payloads and names the type of the first. SK or SKF can only be the last.
///
/// A length or count that its field cannot hold is written as the field's largest value: no datagram is
/// long enough for that.
pub fn encode(payloads: &[Payload]) -> (u8, Vec<u8>) {
    let mut out = Vec::new();
    for (index, payload) in payloads.iter().enumerate() {
        let start = out.len();
        let following = payloads.get(index + 1).map_or(payload::NONE, Payload::kind);
        out.put_u8(payload.first_inside().unwrap_or(following));
        out.put_u8(if payload.is_critical() { CRITICAL } else { 0 });
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
            Self::IdentificationInitiator(_) => payload::ID_I,
            Self::IdentificationResponder(_) => payload::ID_R,
            Self::Certificate(_) => payload::CERT,
            Self::CertificateRequest(_) => payload::CERTREQ,
            Self::Authentication(_) => payload::AUTH,
            Self::Nonce(_) => payload::NONCE,
            Self::Notify(_) => payload::NOTIFY,
            Self::Delete(_) => payload::DELETE,
            Self::VendorId(_) => payload::VENDOR_ID,
            Self::SelectorsInitiator(_) => payload::TS_I,
            Self::SelectorsResponder(_) => payload::TS_R,
            Self::Configuration(_) => payload::CP,
            Self::Eap(_) => payload::EAP,
            Self::Encrypted { .. } => payload::SK,
            Self::Fragment(_) => payload::SKF,
            Self::Unknown(unknown) => unknown.kind,
        }
    }

    /// The type of the first payload inside SK or SKF, which stands where others name the next payload.
    fn first_inside(&self) -> Option<u8> {
        if let Self::Encrypted { first, .. } = self {
            return Some(*first);
        }
        if let Self::Fragment(fragment) = self {
            Some(fragment.first)
        } else {
            None
        }
    }

    fn is_critical(&self) -> bool {
        if let Self::Unknown(unknown) = self {
            unknown.critical
        } else {
            false
        }
    }

    fn decode(raw: &Raw<'_>) -> Result<Self, DecodeError> {
        let Raw {
            kind,
            next,
            critical,
            body,
        } = *raw;
        Ok(match kind {
            payload::SA => Self::SecurityAssociation(SecurityAssociationPayload::decode(body)?),
            payload::KE => Self::KeyExchange(KeyExchangePayload::decode(body)?),
            payload::ID_I => Self::IdentificationInitiator(IdentificationPayload::decode(body)?),
            payload::ID_R => Self::IdentificationResponder(IdentificationPayload::decode(body)?),
            payload::CERT => Self::Certificate(CertificatePayload::decode(body)?),
            payload::CERTREQ => Self::CertificateRequest(CertificatePayload::decode(body)?),
            payload::AUTH => Self::Authentication(AuthPayload::decode(body)?),
            payload::NONCE => Self::Nonce(NoncePayload::decode(body)?),
            payload::NOTIFY => Self::Notify(NotifyPayload::decode(body)?),
            payload::DELETE => Self::Delete(DeletePayload::decode(body)?),
            payload::VENDOR_ID => Self::VendorId(VendorIdPayload::decode(body)?),
            payload::TS_I => Self::SelectorsInitiator(SelectorsPayload::decode(body)?),
            payload::TS_R => Self::SelectorsResponder(SelectorsPayload::decode(body)?),
            payload::CP => Self::Configuration(ConfigurationPayload::decode(body)?),
            payload::EAP => Self::Eap(EapPayload::decode(body)?),
            payload::SK => Self::Encrypted {
                first: next,
                bytes: body.to_vec(),
            },
            payload::SKF => Self::Fragment(FragmentPayload::decode(next, body)?),
            kind => Self::Unknown(UnknownPayload {
                kind,
                critical,
                data: body.to_vec(),
            }),
        })
    }

    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::SecurityAssociation(payload) => payload.encode(out),
            Self::KeyExchange(payload) => payload.encode(out),
            Self::IdentificationInitiator(payload) | Self::IdentificationResponder(payload) => {
                payload.encode(out);
            }
            Self::Certificate(payload) | Self::CertificateRequest(payload) => payload.encode(out),
            Self::Authentication(payload) => payload.encode(out),
            Self::Nonce(payload) => payload.encode(out),
            Self::Notify(payload) => payload.encode(out),
            Self::Delete(payload) => payload.encode(out),
            Self::VendorId(payload) => payload.encode(out),
            Self::SelectorsInitiator(payload) | Self::SelectorsResponder(payload) => payload.encode(out),
            Self::Configuration(payload) => payload.encode(out),
            Self::Eap(payload) => payload.encode(out),
            Self::Encrypted { bytes, .. } => out.extend_from_slice(bytes),
            Self::Fragment(payload) => payload.encode(out),
            Self::Unknown(payload) => out.extend_from_slice(&payload.data),
        }
    }
}

/// Cuts `bytes` behind its first `length` octets.
pub(super) fn split<'a>(
    bytes: &'a [u8],
    length: usize,
    what: &'static str,
) -> Result<(&'a [u8], &'a [u8]), DecodeError> {
    bytes
        .split_at_checked(length)
        .ok_or(DecodeError::Truncated { what })
}

/// Writes how many octets follow `start` into the length field of the structure that begins there: payload,
/// proposal, transform and selector all have it in their third and fourth octet.
pub(super) fn patch_length(out: &mut [u8], start: usize) {
    let length = u16::try_from(out.len() - start).unwrap_or(u16::MAX);
    if let Some(field) = out.get_mut(start + 2..start + 4) {
        field.copy_from_slice(&length.to_be_bytes());
    }
}

/// A count as its one-octet field holds it.
pub(super) fn count(items: usize) -> u8 {
    u8::try_from(items).unwrap_or(u8::MAX)
}
