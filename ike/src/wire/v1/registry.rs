//! Numbers that IANA assigns ("Internet Key Exchange (IKE) Attributes", "Internet Security Association and Key Management
//! Protocol (ISAKMP) Identifiers"), as far as we speak of them; RFC 2407 to 2409 where no other document is named.

/// Exchange types (the header).
pub mod exchange {
    /// Identity Protection (2): main mode.
    pub const MAIN_MODE: u8 = 2;
    /// Aggressive (4).
    pub const AGGRESSIVE: u8 = 4;
    /// Informational (5).
    pub const INFORMATIONAL: u8 = 5;
    /// Quick Mode (32).
    pub const QUICK_MODE: u8 = 32;
}

/// Payload types.
pub mod payload {
    /// NONE (0): no payload follows.
    pub const NONE: u8 = 0;
    /// SA (1).
    pub const SA: u8 = 1;
    /// P (2), inside SA.
    pub const PROPOSAL: u8 = 2;
    /// T (3), inside P.
    pub const TRANSFORM: u8 = 3;
    /// KE (4).
    pub const KE: u8 = 4;
    /// ID (5).
    pub const ID: u8 = 5;
    /// CERT (6).
    pub const CERT: u8 = 6;
    /// CR (7).
    pub const CERTREQ: u8 = 7;
    /// HASH (8).
    pub const HASH: u8 = 8;
    /// SIG (9).
    pub const SIG: u8 = 9;
    /// NONCE (10).
    pub const NONCE: u8 = 10;
    /// N (11).
    pub const NOTIFY: u8 = 11;
    /// D (12).
    pub const DELETE: u8 = 12;
    /// VID (13).
    pub const VENDOR_ID: u8 = 13;
    /// NAT-D (20) (RFC 3947).
    pub const NAT_D: u8 = 20;
    /// NAT-D (130) as the drafts before RFC 3947 number it.
    pub const NAT_D_DRAFT: u8 = 130;
    /// A fragment of a message (132), which no RFC says and common implementations have.
    pub const FRAGMENT: u8 = 132;
}

/// Protocols that an SPI belongs to.
pub mod protocol {
    /// ISAKMP (1).
    pub const ISAKMP: u8 = 1;
    /// ESP (3).
    pub const ESP: u8 = 3;
}

/// Transforms of ISAKMP.
pub mod isakmp {
    /// KEY_IKE (1).
    pub const KEY_IKE: u8 = 1;
}

/// Transforms of ESP.
pub mod esp {
    /// DES (2).
    pub const DES: u8 = 2;
    /// 3DES (3).
    pub const TRIPLE_DES: u8 = 3;
    /// NULL (11).
    pub const NULL: u8 = 11;
    /// AES-CBC (12) (RFC 3602).
    pub const AES_CBC: u8 = 12;
    /// AES-GCM with an ICV of 16 octets (20) (RFC 4106).
    pub const AES_GCM_16: u8 = 20;
}

/// Attributes of phase 1.
pub mod phase1 {
    /// Encryption algorithm (1).
    pub const ENCRYPTION: u16 = 1;
    /// Hash algorithm (2).
    pub const HASH: u16 = 2;
    /// Authentication method (3).
    pub const AUTHENTICATION: u16 = 3;
    /// Group description (4).
    pub const GROUP: u16 = 4;
    /// Life type (11).
    pub const LIFE_TYPE: u16 = 11;
    /// Life duration (12).
    pub const LIFE_DURATION: u16 = 12;
    /// Key length in bits (14).
    pub const KEY_LENGTH: u16 = 14;
}

/// Values of the attribute encryption algorithm.
pub mod encryption {
    /// DES-CBC (1).
    pub const DES: u16 = 1;
    /// 3DES-CBC (5).
    pub const TRIPLE_DES: u16 = 5;
    /// AES-CBC (7) (RFC 3602).
    pub const AES_CBC: u16 = 7;
}

/// Values of the attribute hash algorithm.
pub mod hash {
    /// MD5 (1).
    pub const MD5: u16 = 1;
    /// SHA (2).
    pub const SHA1: u16 = 2;
    /// SHA2-256 (4).
    pub const SHA2_256: u16 = 4;
    /// SHA2-384 (5).
    pub const SHA2_384: u16 = 5;
    /// SHA2-512 (6).
    pub const SHA2_512: u16 = 6;
}

/// Values of the attribute authentication method.
pub mod authentication {
    /// Pre-shared key (1).
    pub const PRE_SHARED_KEY: u16 = 1;
    /// RSA signatures (3).
    pub const RSA_SIGNATURE: u16 = 3;
}

/// Attributes of phase 2 (RFC 2407 §4.5).
pub mod phase2 {
    /// SA life type (1).
    pub const LIFE_TYPE: u16 = 1;
    /// SA life duration (2).
    pub const LIFE_DURATION: u16 = 2;
    /// Group description (3).
    pub const GROUP: u16 = 3;
    /// Encapsulation mode (4).
    pub const MODE: u16 = 4;
    /// Authentication algorithm (5).
    pub const AUTHENTICATION: u16 = 5;
    /// Key length in bits (6).
    pub const KEY_LENGTH: u16 = 6;
    /// Extended sequence numbers (11) (RFC 4304).
    pub const EXTENDED_SEQUENCE_NUMBERS: u16 = 11;
}

/// Values of both life types.
pub mod life {
    /// Seconds (1).
    pub const SECONDS: u16 = 1;
    /// Kilobytes (2), of 1,024 octets.
    pub const KILOBYTES: u16 = 2;
}

/// Values of the attribute encapsulation mode.
pub mod mode {
    /// Tunnel (1).
    pub const TUNNEL: u16 = 1;
    /// UDP-encapsulated tunnel (3) (RFC 3947 §5.1).
    pub const UDP_TUNNEL: u16 = 3;
    /// The same (61443) as the drafts before RFC 3947 number it.
    pub const UDP_TUNNEL_DRAFT: u16 = 61_443;
}

/// Values of the attribute authentication algorithm.
pub mod authenticator {
    /// HMAC-MD5 (1).
    pub const HMAC_MD5: u16 = 1;
    /// HMAC-SHA (2).
    pub const HMAC_SHA1: u16 = 2;
    /// HMAC-SHA2-256 (5) (RFC 4868).
    pub const HMAC_SHA2_256: u16 = 5;
    /// HMAC-SHA2-384 (6) (RFC 4868).
    pub const HMAC_SHA2_384: u16 = 6;
    /// HMAC-SHA2-512 (7) (RFC 4868).
    pub const HMAC_SHA2_512: u16 = 7;
}

/// Types of identities (RFC 2407 §4.6.2); those of IKEv2 have the same numbers.
pub mod identity {
    /// ID_IPV4_ADDR (1).
    pub const IPV4_ADDR: u8 = 1;
    /// ID_IPV4_ADDR_SUBNET (4).
    pub const IPV4_SUBNET: u8 = 4;
    /// ID_IPV6_ADDR (5).
    pub const IPV6_ADDR: u8 = 5;
    /// ID_IPV6_ADDR_SUBNET (6).
    pub const IPV6_SUBNET: u8 = 6;
    /// ID_IPV4_ADDR_RANGE (7).
    pub const IPV4_RANGE: u8 = 7;
    /// ID_IPV6_ADDR_RANGE (8).
    pub const IPV6_RANGE: u8 = 8;
}

/// Notify types.
pub mod notify {
    /// INVALID-PAYLOAD-TYPE (1): what a message looks like that was decrypted with other keys.
    pub const INVALID_PAYLOAD_TYPE: u16 = 1;
    /// INVALID-COOKIE (4).
    pub const INVALID_COOKIE: u16 = 4;
    /// NO-PROPOSAL-CHOSEN (14).
    pub const NO_PROPOSAL_CHOSEN: u16 = 14;
    /// PAYLOAD-MALFORMED (16).
    pub const PAYLOAD_MALFORMED: u16 = 16;
    /// INVALID-ID-INFORMATION (18).
    pub const INVALID_ID_INFORMATION: u16 = 18;
    /// INVALID-HASH-INFORMATION (23).
    pub const INVALID_HASH_INFORMATION: u16 = 23;
    /// AUTHENTICATION-FAILED (24).
    pub const AUTHENTICATION_FAILED: u16 = 24;
    /// CONNECTED (16384): what the commit bit waits for.
    pub const CONNECTED: u16 = 16_384;
    /// INITIAL-CONTACT (24578).
    pub const INITIAL_CONTACT: u16 = 24_578;
    /// R-U-THERE (36136) (RFC 3706 §5).
    pub const R_U_THERE: u16 = 36_136;
    /// R-U-THERE-ACK (36137) (RFC 3706 §5).
    pub const R_U_THERE_ACK: u16 = 36_137;
}
