//! The primitives as IKE uses them, on AWS-LC.

mod algorithms;

pub use algorithms::{Encryption, Group, Integrity, Prf};

/// Octets that are wiped when dropped and never printed.
pub type Secret = secrecy::SecretSlice<u8>;
