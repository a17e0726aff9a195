//! Messages as they stand on the wire (RFC 7296 §3). Decoding never panics and never judges.

mod auth;
mod cert;
pub mod chain;
mod configuration;
mod delete;
mod eap;
mod error;
mod fragment;
mod header;
mod identity;
mod key_exchange;
mod message;
mod nonce;
mod notify;
mod proposal_v2;
pub mod registry;
mod selector;
#[cfg(test)]
mod tests;
mod unknown;
pub mod v1;
mod vendor;

pub use auth::AuthPayload;
pub use cert::CertificatePayload;
pub use chain::Payload;
pub use configuration::ConfigurationPayload;
pub use delete::DeletePayload;
pub use eap::EapPayload;
pub use error::DecodeError;
pub use fragment::FragmentPayload;
pub use header::Header;
pub use identity::IdentificationPayload;
pub use key_exchange::KeyExchangePayload;
pub use message::Message;
pub use nonce::NoncePayload;
pub use notify::NotifyPayload;
pub use proposal_v2::{Proposal, SecurityAssociationPayload, Transform};
pub use selector::SelectorsPayload;
pub use unknown::UnknownPayload;
pub use vendor::VendorIdPayload;
