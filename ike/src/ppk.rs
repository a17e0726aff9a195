use std::fmt;

use secrecy::{ExposeSecret, SecretSlice};
use subtle::ConstantTimeEq;

/// A secret of both sides that a quantum computer cannot find, mixed into the keys (RFC 8784).
#[derive(Clone)]
pub struct PostQuantumPresharedKey {
    /// What both sides call it: a PPK_ID_FIXED, without its type.
    pub id: Vec<u8>,
    /// At least 256 bits of entropy, if it is to be of use.
    pub secret: SecretSlice<u8>,
    /// Without it there is no IKE SA; else it is used when both sides have it.
    pub required: bool,
}

impl PartialEq for PostQuantumPresharedKey {
    /// In constant time as to the secret.
    fn eq(&self, other: &Self) -> bool {
        let same: bool = self
            .secret
            .expose_secret()
            .ct_eq(other.secret.expose_secret())
            .into();
        same && (&self.id, self.required) == (&other.id, other.required)
    }
}

impl Eq for PostQuantumPresharedKey {}

impl fmt::Debug for PostQuantumPresharedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostQuantumPresharedKey")
            .field("id", &String::from_utf8_lossy(&self.id))
            .field("required", &self.required)
            .finish_non_exhaustive()
    }
}
