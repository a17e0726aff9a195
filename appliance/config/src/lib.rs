//! The configuration document and its rules.

mod admission;
mod bgp_change;
mod change;
mod difference;
mod distinct;
mod document;
mod edit;
mod impact;
pub mod model;
mod notices;
mod prefixes;
mod problem;
mod reader;
mod routing_notices;
mod rules;
mod schema;
mod secret;
mod spaces;
#[cfg(test)]
mod tests;
mod validate;
mod written;

pub use change::{Change, changes, refusals};
pub use difference::{Difference, difference};
pub use edit::{Edit, edit};
pub use impact::{Approach, CallerImpact, Impact, InterfaceImpact, ItemImpact, impact};
pub use notices::{Hold, Notice, held, notices};
pub use problem::{Problem, Reason};
pub use schema::{schema, with_defaults};
pub use secret::{PreSharedKeyFault, check_pre_shared_key};
pub use validate::{Config, ValidConfig, parse};
pub use written::canonical;

/// The largest document that is read, in bytes.
pub const MAX_BYTES: usize = 4 << 20;
