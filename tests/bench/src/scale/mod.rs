//! Thousands of connections in one engine, in memory and in virtual time.

mod heap;
mod hub;

pub use heap::held;
pub use hub::{Cost, Hub};
