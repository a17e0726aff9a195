//! Messages as they stand on the wire (RFC 4271 §4): decoding never panics and never judges what the session allows.

pub mod as_path;
pub mod attribute;
mod block;
pub mod capability;
pub mod community;
pub mod error;
pub mod framing;
pub(crate) mod nlri;
pub mod notification;
pub(crate) mod octets;
pub mod open;
mod reach;
mod recent;
pub mod refresh;
pub mod registry;
pub mod update;
mod value;
pub mod writer;
