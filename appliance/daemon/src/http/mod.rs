//! The HTTP API on the control socket.

mod action;
mod error;
mod router;
mod status;
#[cfg(test)]
mod tests;

pub(crate) use router::{Published, serve};
