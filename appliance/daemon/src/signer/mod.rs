//! Whoever has our private keys: opens them, signs with them when the engine asks, and shows how they do.

mod fault;
mod held;
mod open;
mod owner;
mod provider_trial;
mod snapshot;
mod spec;
mod trial;

pub(crate) use owner::{Refreshed, Signer, chains, start};
pub(crate) use provider_trial::{Step, TryProvider};
pub(crate) use snapshot::{Chains, KeySnapshot, KeySnapshots, KeyState};
pub(crate) use spec::KeySpec;
pub(crate) use trial::{KeyTrial, SchemeTrial, TRIAL, TrialFault, TryKey};
