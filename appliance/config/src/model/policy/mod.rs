//! What a connection may agree on: the words of the document, how a policy is read, and the profiles that are built in.

pub(crate) mod algorithm;
mod profiles;
mod proposal;
pub(crate) mod reading;

pub use algorithm::{Encryption, Group, Hash};
pub use proposal::{IkeProposal, IpsecProposal, Policy};
