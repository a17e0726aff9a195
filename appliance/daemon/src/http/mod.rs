//! The HTTP API on the control socket.

mod action;
mod body;
mod config;
mod error;
mod generation;
mod peer;
mod router;
mod secret;
mod status;
#[cfg(test)]
mod tests;
mod write;

pub(crate) use router::{Published, serve};
