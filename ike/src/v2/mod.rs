//! IKEv2 (RFC 7296).

mod auth;
mod channel;
mod child;
mod delete;
mod informational;
mod init;
/// The key schedule (§2.13 to §2.18), and hashes that need no keys.
pub mod keys;
mod liveness;
pub(crate) mod nat;
pub(crate) mod payloads;
mod proof;
pub(crate) mod state;
#[cfg(test)]
#[allow(clippy::disallowed_methods)]
mod tests;
mod timers;
mod window;
