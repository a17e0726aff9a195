//! The HTTP API on the control socket.

mod action;
mod error;
mod router;
mod status;

pub(crate) use router::{Published, serve};
