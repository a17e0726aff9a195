use std::time::Duration;

use super::{Encryption, Group, Hash};

/// What a connection may agree on, most wanted first; `ike` and `ipsec` are not empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// For the IKE SA.
    pub ike: Vec<IkeProposal>,
    /// For Child SAs.
    pub ipsec: Vec<IpsecProposal>,
    /// For Child SAs that the peer asks for; empty where `ipsec` says that too.
    pub responder_ipsec: Vec<IpsecProposal>,
    /// How long an IKE SA may live.
    pub ike_lifetime: Duration,
    /// How long a Child SA may live.
    pub ipsec_lifetime: Duration,
    /// How many bytes one direction of a Child SA may carry; `None` for as many as its cipher bears.
    pub ipsec_bytes: Option<u64>,
}

/// One combination for the IKE SA.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IkeProposal {
    /// The cipher with its key length.
    pub encryption: Encryption,
    /// The hash of the authenticator; `None` for ciphers that authenticate by themselves.
    pub integrity: Option<Hash>,
    /// The hash of the pseudo-random function.
    pub prf: Hash,
    /// Key-exchange groups, most wanted first.
    pub groups: Vec<Group>,
    /// The key exchanges that follow, in their order (RFC 9370).
    pub additional: Vec<Group>,
}

/// One combination for Child SAs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IpsecProposal {
    /// The cipher with its key length.
    pub encryption: Encryption,
    /// The hash of the authenticator; `None` for ciphers that authenticate by themselves.
    pub integrity: Option<Hash>,
    /// Groups for a key exchange at each rekey (perfect forward secrecy), most wanted first; none for no exchange.
    pub pfs_groups: Vec<Group>,
    /// The key exchanges that follow it, in their order (RFC 9370).
    pub additional: Vec<Group>,
}
