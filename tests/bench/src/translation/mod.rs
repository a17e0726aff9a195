//! What translation of addresses costs: gateways that only differ in their rules, with a network on each side.

mod rules;
mod scene;

pub use rules::{Named, by_hand, dynamic, program};
pub use scene::{INSIDE, OUTSIDE, Scene};
