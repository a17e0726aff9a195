//! IKEv2 (RFC 7296).

/// The key schedule (§2.13 to §2.18), and hashes that need no keys.
pub mod keys;
