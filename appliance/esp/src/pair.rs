use std::net::{IpAddr, SocketAddr};

use secrecy::SecretSlice;

/// Both directions of one Child SA, always in tunnel mode.
#[derive(Debug)]
pub struct Pair {
    /// Our outer address; the port counts when encapsulated.
    pub local: SocketAddr,
    /// The peer's outer address; the port counts when encapsulated.
    pub remote: SocketAddr,
    /// How ESP packets travel between the two.
    pub encapsulation: Encapsulation,
    /// What we receive: the SPI is ours.
    pub inbound: Sa,
    /// What we send: the SPI is the peer's.
    pub outbound: Sa,
    /// Inner addresses on our side.
    pub local_selectors: Vec<Selector>,
    /// Inner addresses on the peer's side.
    pub remote_selectors: Vec<Selector>,
    /// Whether packets leave by it from the beginning; else it only receives until [`crate::Datapath::send_by`], unless
    /// no other pair would take them.
    pub sends: bool,
    /// What each direction may carry.
    pub volume: Volume,
}

/// What one direction may carry; `u64::MAX` is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Volume {
    /// Octets, inner packets with their headers, after which [`crate::Limit::Soft`] is told.
    pub soft_octets: u64,
    /// Octets after which nothing passes any more.
    pub hard_octets: u64,
    /// Packets after which [`crate::Limit::Soft`] is told.
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

/// A line whose packets are told about, as [`crate::Notice::Wanted`], while no pair carries them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WatchedLine {
    /// The number that the notice tells.
    pub line: usize,
    /// Inner addresses on our side.
    pub local_selectors: Vec<Selector>,
    /// Inner addresses on the peer's side.
    pub remote_selectors: Vec<Selector>,
}

/// How ESP packets travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encapsulation {
    /// As IP protocol 50 (RFC 4303).
    None,
    /// In UDP, on the port of IKE (RFC 3948).
    Udp,
}

/// One direction of a Child SA.
#[derive(Debug)]
pub struct Sa {
    /// The security parameters index, as it stands in the packet.
    pub spi: u32,
    /// Algorithms and keys.
    pub keys: Keys,
    /// 64-bit sequence numbers (RFC 4303 §2.2.1).
    pub extended_sequence_numbers: bool,
}

/// Algorithms and keys of one direction; the length of the cipher's key tells AES-128, 192 and 256 apart.
#[derive(Debug)]
pub enum Keys {
    /// AES-GCM with a 16-octet ICV (RFC 4106).
    AesGcm16 {
        /// The key and after it the four octets of salt (RFC 4106 §8.1).
        key_and_salt: SecretSlice<u8>,
    },
    /// ChaCha20-Poly1305 (RFC 7634).
    ChaCha20Poly1305 {
        /// The key of 32 octets and after it the four octets of salt (RFC 7634 §2).
        key_and_salt: SecretSlice<u8>,
    },
    /// AES-CBC (RFC 3602) under an HMAC.
    AesCbc {
        /// The cipher's key.
        key: SecretSlice<u8>,
        /// The authenticator.
        integrity: Integrity,
        /// The authenticator's key, of its hash's output length.
        integrity_key: SecretSlice<u8>,
    },
    /// 3DES-CBC (RFC 2451) under an HMAC: weak.
    TripleDes {
        /// The cipher's three keys, 24 octets with their parity bits, which are not looked at.
        key: SecretSlice<u8>,
        /// The authenticator.
        integrity: Integrity,
        /// The authenticator's key, of its hash's output length.
        integrity_key: SecretSlice<u8>,
    },
    /// DES-CBC (RFC 2405) under an HMAC: broken.
    Des {
        /// The cipher's key, 8 octets with their parity bits, which are not looked at.
        key: SecretSlice<u8>,
        /// The authenticator.
        integrity: Integrity,
        /// The authenticator's key, of its hash's output length.
        integrity_key: SecretSlice<u8>,
    },
    /// No encryption (RFC 2410) under an HMAC: anyone on the way can read.
    Null {
        /// The authenticator.
        integrity: Integrity,
        /// The authenticator's key, of its hash's output length.
        integrity_key: SecretSlice<u8>,
    },
}

/// An authenticator beside a cipher that has none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Integrity {
    /// HMAC-MD5-96 (RFC 2403): weak.
    HmacMd5_96,
    /// HMAC-SHA1-96 (RFC 2404).
    HmacSha1_96,
    /// HMAC-SHA-256-128 (RFC 4868).
    HmacSha2_256_128,
    /// HMAC-SHA-384-192 (RFC 4868).
    HmacSha2_384_192,
    /// HMAC-SHA-512-256 (RFC 4868).
    HmacSha2_512_256,
}

/// A range of addresses, ports and protocol (RFC 7296 §3.13.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Selector {
    /// IP protocol; 0 is any.
    pub protocol: u8,
    /// First port; for ICMP, type and code.
    pub start_port: u16,
    /// Last port, inclusive.
    pub end_port: u16,
    /// First address.
    pub start: IpAddr,
    /// Last address, inclusive, of the same family.
    pub end: IpAddr,
}
