use std::net::SocketAddr;

use secrecy::SecretSlice;

use crate::crypto::{Encryption, Integrity};
use crate::{ConnectionName, TrafficSelector};

/// Names one Child SA between engine and owner; never reused within one engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChildId(pub u64);

/// Both directions of one Child SA, as either datapath takes them.
#[derive(Debug)]
pub struct EspPair {
    /// The connection that the child belongs to.
    pub connection: ConnectionName,
    /// Our outer address; the port counts when encapsulated.
    pub local: SocketAddr,
    /// The peer's outer address; the port counts when encapsulated.
    pub remote: SocketAddr,
    /// How ESP packets travel between the two.
    pub encapsulation: Encapsulation,
    /// What we receive: the SPI is ours.
    pub inbound: EspSa,
    /// What we send: the SPI is the peer's.
    pub outbound: EspSa,
    /// Inner addresses on our side.
    pub local_selectors: Vec<TrafficSelector>,
    /// Inner addresses on the peer's side.
    pub remote_selectors: Vec<TrafficSelector>,
    /// Whether packets leave by it from the beginning; else it only receives until [`crate::Action::SendBy`].
    pub sends: bool,
    /// What each direction may carry.
    pub volume: Volume,
}

/// What one direction of a Child SA may carry. What is used up is told as [`crate::Input::ChildSpent`]; `u64::MAX` is no
/// limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Volume {
    /// Octets, inner packets with their headers, after which it is to be replaced.
    pub soft_octets: u64,
    /// Octets after which nothing passes any more.
    pub hard_octets: u64,
    /// Packets after which it is to be replaced.
    pub soft_packets: u64,
    /// Packets after which nothing passes any more.
    pub hard_packets: u64,
}

impl Volume {
    /// No limit.
    pub const UNLIMITED: Self = Self {
        soft_octets: u64::MAX,
        hard_octets: u64::MAX,
        soft_packets: u64::MAX,
        hard_packets: u64::MAX,
    };
}

/// A selector line whose packets the datapath is to tell about while no Child SA carries them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Watched {
    /// Its place in [`crate::Connection::lines`].
    pub line: usize,
    /// Our outer address.
    pub local: SocketAddr,
    /// The peer's outer address.
    pub remote: SocketAddr,
    /// Inner addresses on our side.
    pub local_selectors: Vec<TrafficSelector>,
    /// Inner addresses on the peer's side.
    pub remote_selectors: Vec<TrafficSelector>,
}

/// How ESP packets travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encapsulation {
    /// As IP protocol 50 (RFC 4303).
    None,
    /// In UDP, on the port of IKE (RFC 3948).
    Udp,
}

/// One direction of a Child SA, always in tunnel mode.
#[derive(Debug)]
pub struct EspSa {
    /// The security parameters index, as it stands in the packet.
    pub spi: u32,
    /// Algorithms and keys.
    pub keys: EspKeys,
    /// 64-bit sequence numbers (RFC 4303 §2.2.1).
    pub extended_sequence_numbers: bool,
}

/// Algorithms and keys of one direction (RFC 7296 §2.17).
#[derive(Debug)]
pub struct EspKeys {
    /// The cipher with its key length.
    pub encryption: Encryption,
    /// The cipher's key; for AES-GCM the four octets of salt follow it (RFC 4106 §8.1).
    pub encryption_key: SecretSlice<u8>,
    /// The authenticator and its key; `None` for AEAD ciphers.
    pub integrity: Option<(Integrity, SecretSlice<u8>)>,
}
