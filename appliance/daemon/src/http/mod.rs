//! The HTTP API, on the control socket and over the network.

mod action;
mod assets;
mod audit;
mod bgp;
mod body;
mod caller;
mod capture;
mod certificate;
mod certificates;
mod comparison;
mod config;
mod connection;
mod diagnostics;
mod error;
mod events;
mod exchange;
mod firmware;
mod gate;
mod generation;
mod ike_log;
mod metrics;
mod mrt;
mod nat;
mod openapi;
mod query;
mod recording;
mod revocation;
mod router;
mod secret;
mod session;
mod status;
mod stream;
#[cfg(test)]
mod tests;
mod token;
mod trial;
mod user;
mod verification;
mod write;

pub(crate) use connection::{serve, serve_connection};
pub(crate) use router::{Published, router};
