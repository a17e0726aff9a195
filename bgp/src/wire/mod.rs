//! Messages as they stand on the wire (RFC 4271 §4): decoding never panics and never judges what the session allows.

pub mod as_path;
pub mod attribute;
pub mod capability;
pub mod error;
pub mod notification;
pub mod open;
pub mod refresh;
pub mod update;
