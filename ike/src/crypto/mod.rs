//! The primitives as IKE uses them, on AWS-LC.

mod algorithms;
mod cipher;
mod exchange;
mod modp;
mod prf;

pub use algorithms::{Encryption, Group, Integrity, Prf};
pub use cipher::{OpenError, Opened, Protection, ProtectionError};
pub use exchange::{ExchangeError, KeyExchange};

/// Octets that are wiped when dropped and never printed.
pub type Secret = secrecy::SecretSlice<u8>;
