//! HTTP over the Unix socket of a daemon here, or over TLS to one elsewhere.

mod error;
mod fingerprint;
mod http;
mod refusal;
mod tls;

pub(crate) use error::Error;
pub(crate) use fingerprint::Fingerprint;
pub(crate) use http::{Client, Place, Server};
pub(crate) use refusal::Violation;
pub(crate) use tls::Trust;
