//! The primitives as IKE uses them, on AWS-LC; DES and MD5, which it does not offer, on RustCrypto.

mod algorithms;
mod bare;
mod cbc;
mod certificate;
mod cipher;
mod exchange;
mod explanation;
mod mac;
mod mlkem;
mod modp;
mod path;
mod prf;
mod revocation_list;
mod separate;
pub(crate) mod signature;
mod weakness;

pub use algorithms::{Encryption, Group, Integrity, Prf};
pub(crate) use cbc::Cbc;
pub use certificate::Certificate;
pub use cipher::{OpenError, Opened, Protection, ProtectionError};
pub use exchange::{ExchangeError, KeyAnswer, KeyExchange};
pub use explanation::{Explanation, PathFault};
pub use path::{Disbelief, RSA_BITS, Trust, WantedList};
pub use revocation_list::RevocationList;
pub use signature::{Hash, KeyKind, SignatureScheme, is_signed_by};

/// Octets that are wiped when dropped and never printed.
pub type Secret = secrecy::SecretSlice<u8>;
