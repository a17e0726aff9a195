//! From the checked configuration to what each part should want. Pure.

mod addresses;
mod algorithms;
mod authentication;
mod bgp;
mod desired;
mod engine;
mod firewall;
mod inventory;
mod keys;
mod lists;
mod network;
mod numbering;
mod resting;
mod route_policy;
mod route_translation;
mod session_end;
#[cfg(test)]
mod tests;
mod translation;

pub(crate) use self::bgp::{BgpSettings, RestingSession, no_speaker};
pub(crate) use addresses::Addresses;
pub(crate) use desired::{Desired, Lacking, derive};
pub(crate) use inventory::{Collection, Entry, Source, User, inventory};
pub(crate) use keys::{key_spec, vault_reference};
#[cfg(test)]
pub(crate) use network::Speaker;
pub(crate) use network::{NetworkSettings, TunnelSettings, network};
pub(crate) use numbering::{InUse, Numbering, fnv1a, found};
pub(crate) use resting::{Rest, negotiated, resting};
pub(crate) use route_policy::policy;
pub(crate) use session_end::{Distance, Following, SessionEnd, Signing, TcpAoKey};
