//! The API over the network: TLS listeners, the certificate, and places for connections.

mod certificate;
mod client;
mod listeners;
mod places;
mod server;

pub(crate) use certificate::{Certificate, CertificateFault};
pub(crate) use listeners::{AGAIN, Listeners};
pub(crate) use places::Place;
pub(crate) use server::Https;
