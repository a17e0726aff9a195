//! Private keys that are somewhere: in a sealed file, in a PKCS#11 token, or in Azure Key Vault. Whoever needs a
//! signature holds a [`Key`] and does not learn where the private key is, unless it asks. All of it runs within tokio.

mod chain;
mod digest;
mod error;
mod evp;
mod fixed;
mod http;
mod limits;
mod outstanding;
mod pace;
mod pem;
mod provider;
mod uri;

pub mod file;
pub mod key_vault;
pub mod managed_identity;
pub mod pkcs11;

pub use error::KeyError;
pub use limits::Limits;
pub use provider::{Hash, Key, KeyKind, Place, Scheme, Signing};
pub use uri::{Pkcs11Uri, UriError};
