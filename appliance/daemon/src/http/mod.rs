//! The HTTP API on the control socket.

mod action;
mod audit;
mod body;
mod config;
mod error;
mod events;
mod generation;
mod metrics;
mod peer;
mod query;
mod router;
mod secret;
mod status;
#[cfg(test)]
mod tests;
mod write;

pub(crate) use router::{Published, serve};
