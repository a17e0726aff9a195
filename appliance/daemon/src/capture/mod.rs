//! Packets of one connection, taken for a while and handed on as a file: those of its peer below the tunnel, and those in it.

mod file;
mod filter;
mod socket;
mod task;

pub(crate) use task::{Captures, Sought};
