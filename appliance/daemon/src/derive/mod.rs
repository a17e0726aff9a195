//! From the checked configuration to what each part should want. Pure.

mod addresses;
mod algorithms;
mod desired;
mod engine;
mod network;
mod numbering;
mod resting;
#[cfg(test)]
mod tests;

pub(crate) use addresses::Addresses;
pub(crate) use desired::{Desired, Lacking, derive};
pub(crate) use network::{NetworkSettings, TunnelSettings, network};
pub(crate) use numbering::{InUse, Numbering, fnv1a, found};
pub(crate) use resting::{Rest, negotiated, resting};
