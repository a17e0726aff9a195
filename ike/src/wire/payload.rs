//! Draft of the shapes both the codec and the engine are written against.

use crate::TrafficSelector;

/// The IKE header (RFC 7296 §3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// The initiator's SPI.
    pub initiator_spi: u64,
    /// The responder's SPI; 0 in the first message.
    pub responder_spi: u64,
    /// Type of the first payload.
    pub next_payload: u8,
    /// Major version in the high four bits, minor in the low four.
    pub version: u8,
    /// Exchange type: 34 IKE_SA_INIT, 35 IKE_AUTH, 36 CREATE_CHILD_SA, 37 INFORMATIONAL.
    pub exchange_type: u8,
    /// Bit 3 initiator, bit 4 version, bit 5 response.
    pub flags: u8,
    /// The message id.
    pub message_id: u32,
    /// Length of the whole message.
    pub length: u32,
}

/// A message in clear text, or the inside of an Encrypted payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// The header.
    pub header: Header,
    /// The payloads in order.
    pub payloads: Vec<Payload>,
}

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

/// SA (RFC 7296 §3.3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecurityAssociationPayload {
    /// The proposals, most wanted first.
    pub proposals: Vec<Proposal>,
}

/// One proposal (§3.3.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proposal {
    /// 1, 2, 3 …
    pub number: u8,
    /// 1 IKE, 2 AH, 3 ESP.
    pub protocol: u8,
    /// Empty, 4 or 8 octets.
    pub spi: Vec<u8>,
    /// The transforms in order.
    pub transforms: Vec<Transform>,
}

/// One transform (§3.3.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transform {
    /// 1 ENCR, 2 PRF, 3 INTEG, 4 KE, 5 ESN.
    pub kind: u8,
    /// Its number in the registry of that type.
    pub id: u16,
    /// The Key Length attribute (14), in bits.
    pub key_length: Option<u16>,
    /// It carries an attribute that we do not know, so it can never be chosen (§3.3.6).
    pub unknown_attribute: bool,
}

/// KE (§3.4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyExchangePayload {
    /// The group's number.
    pub group: u16,
    /// The public value.
    pub data: Vec<u8>,
}

/// IDi or IDr (§3.5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdentificationPayload {
    /// The type: 1 IPv4, 2 FQDN, 3 e-mail, 5 IPv6, 9 DN, 11 key id.
    pub kind: u8,
    /// The value.
    pub data: Vec<u8>,
}

/// CERT or CERTREQ (§3.6, §3.7).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificatePayload {
    /// The encoding: 4 is X.509 signature.
    pub encoding: u8,
    /// A certificate, or concatenated hashes of trust anchors' keys.
    pub data: Vec<u8>,
}

/// AUTH (§3.8).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthPayload {
    /// The method: 2 is shared key.
    pub method: u8,
    /// The proof.
    pub data: Vec<u8>,
}

/// Nonce (§3.9): 16 to 256 octets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoncePayload {
    /// The nonce.
    pub data: Vec<u8>,
}

/// N (§3.10).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotifyPayload {
    /// 0 none, 1 IKE, 2 AH, 3 ESP.
    pub protocol: u8,
    /// The SPI that it is about; empty for the IKE SA itself.
    pub spi: Vec<u8>,
    /// Below 16,384 an error, above a status.
    pub kind: u16,
    /// What the kind says.
    pub data: Vec<u8>,
}

/// D (§3.11).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeletePayload {
    /// 1 IKE, 2 AH, 3 ESP.
    pub protocol: u8,
    /// The SPIs of the sender's inbound SAs; none for IKE.
    pub spis: Vec<u32>,
}

/// V (§3.12).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VendorIdPayload {
    /// The id.
    pub data: Vec<u8>,
}

/// TSi or TSr (§3.13). Selectors of unknown type are left out and counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SelectorsPayload {
    /// The selectors in order.
    pub selectors: Vec<TrafficSelector>,
    /// How many had a type that we do not know.
    pub unknown: usize,
}

/// CP (§3.15).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigurationPayload {
    /// 1 request, 2 reply, 3 set, 4 ack.
    pub kind: u8,
    /// Type and value of each attribute.
    pub attributes: Vec<(u16, Vec<u8>)>,
}

/// EAP (§3.16): the message, checked for its length only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EapPayload {
    /// The EAP message.
    pub data: Vec<u8>,
}

/// SKF (RFC 7383 §2.5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FragmentPayload {
    /// The type of the first payload inside; 0 but in the first fragment.
    pub first: u8,
    /// 1, 2, 3 …
    pub number: u16,
    /// How many there are.
    pub total: u16,
    /// IV, ciphertext and ICV.
    pub bytes: Vec<u8>,
}

/// A payload of a type that we do not know (RFC 7296 §2.5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownPayload {
    /// Its type.
    pub kind: u8,
    /// Whether the message must be refused for it.
    pub critical: bool,
    /// Its body.
    pub data: Vec<u8>,
}
