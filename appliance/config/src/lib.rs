//! The configuration document and its rules.

mod change;
mod distinct;
mod document;
pub mod model;
mod problem;
mod reader;
mod rules;
mod secret;
#[cfg(test)]
mod tests;
mod validate;

pub use change::{Change, changes, refusals};
pub use problem::{Problem, Reason};
pub use secret::{PreSharedKeyFault, check_pre_shared_key};
pub use validate::{Config, ValidConfig, parse};

/// The largest document that is read, in bytes.
pub const MAX_BYTES: usize = 4 << 20;
