//! What a connection may agree on: the words of the document, how a policy is read, and the profiles that are built in.

mod algorithm;
mod profiles;
mod proposal;
mod reading;

pub use algorithm::{Encryption, Group, Hash};
pub use proposal::{IkeProposal, IpsecProposal, Policy};
