//! The primitives as IKE uses them, on AWS-LC; DES and MD5, which it does not offer, on RustCrypto.

mod algorithms;
mod cipher;
mod exchange;
mod mac;
mod mlkem;
mod modp;
mod prf;
mod separate;
mod weakness;

pub use algorithms::{Encryption, Group, Integrity, Prf};
pub use cipher::{OpenError, Opened, Protection, ProtectionError};
pub use exchange::{ExchangeError, KeyAnswer, KeyExchange};

/// Octets that are wiped when dropped and never printed.
pub type Secret = secrecy::SecretSlice<u8>;
