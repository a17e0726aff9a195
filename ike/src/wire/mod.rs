//! Messages as they stand on the wire (RFC 7296 §3). Decoding never panics and never judges.

mod error;
mod payload;

pub use error::DecodeError;
pub use payload::{
    AuthPayload, CertificatePayload, ConfigurationPayload, DeletePayload, EapPayload, FragmentPayload,
    Header, IdentificationPayload, KeyExchangePayload, Message, NoncePayload, NotifyPayload, Payload,
    Proposal, SecurityAssociationPayload, SelectorsPayload, Transform, UnknownPayload, VendorIdPayload,
};
