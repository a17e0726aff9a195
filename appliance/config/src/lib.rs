//! The configuration document and its rules.

pub mod model;
mod problem;
mod validate;

pub use problem::{Problem, Reason};
pub use validate::ValidConfig;

/// The largest document that is read, in bytes.
pub const MAX_BYTES: usize = 4 << 20;
