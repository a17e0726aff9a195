//! HTTP over the Unix socket of a daemon here, or over TLS to one elsewhere.

mod download;
mod error;
mod fingerprint;
mod follow;
mod http;
mod refusal;
mod sse;
mod tls;
mod upload;

pub(crate) use error::Error;
pub(crate) use fingerprint::Fingerprint;
pub(crate) use http::{Client, Place, Server};
pub(crate) use refusal::Violation;
pub(crate) use sse::Event;
pub(crate) use tls::Trust;
