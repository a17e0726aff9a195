//! A peer that has the keys and keeps no rule: it authenticates properly, and then says what the bytes tell it to.

mod attack;
mod peer;

pub use attack::insider;
