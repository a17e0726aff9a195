//! Messages of IKEv1 as they stand on the wire (RFC 2408 §3, RFC 2407 §4.6). Decoding never panics and never judges.

mod attribute;
pub mod chain;
mod delete;
mod fragment;
mod identity;
mod message;
mod nat;
mod notify;
mod proposal;
pub mod registry;
#[cfg(test)]
mod tests;

pub use attribute::{Attribute, AttributeValue};
pub use chain::Payload;
pub use delete::DeletePayload;
pub use fragment::FragmentPayload;
pub use identity::IdentificationPayload;
pub use message::Message;
pub use nat::NatDetectionPayload;
pub use notify::NotifyPayload;
pub use proposal::{Proposal, SecurityAssociationPayload, Transform};
