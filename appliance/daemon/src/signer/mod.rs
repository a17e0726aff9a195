//! Whoever has our private keys: opens them, signs with them when the engine asks, and shows how they do.

mod fault;
mod held;
mod open;
mod owner;
mod snapshot;
mod spec;

pub(crate) use owner::{Signer, chains, start};
pub(crate) use snapshot::{Chains, KeySnapshot, KeySnapshots, KeyState};
pub(crate) use spec::KeySpec;
