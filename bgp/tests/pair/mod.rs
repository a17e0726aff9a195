//! Speakers over in-memory connections, in virtual time: delay, octets in pieces, loss of connections, seeds.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::disallowed_methods
)]

mod collision;
mod convergence;
mod hostile;
mod limit;
mod lone;
mod network;
mod reasons;
mod refresh;
mod restart;
mod session;
mod site;
mod translation;

pub(crate) use lone::Lone;
pub(crate) use network::Network;
pub(crate) use site::{Site, name, neighbour, prefix, settings};
