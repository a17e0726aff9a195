//! IKEv2 (RFC 7296).

mod auth;
mod auth_answer;
pub(crate) mod certificates;
mod channel;
pub(crate) mod child;
mod child_answer;
mod child_rekey;
mod child_wish;
pub(crate) mod children;
mod collision;
mod delete;
mod displacement;
mod extensions;
mod followup;
pub(crate) mod fragments;
mod hints;
mod informational;
mod init;
mod init_answer;
mod int_auth;
mod intermediate;
/// The key schedule (§2.13 to §2.18), and hashes that need no keys.
pub mod keys;
pub(crate) mod lines;
mod liveness;
mod mobike;
pub(crate) mod nat;
pub(crate) mod payloads;
mod proof;
mod proofs;
pub(crate) mod reauthentication;
pub(crate) mod redirect;
mod rekey;
pub(crate) mod signing;
pub(crate) mod staging;
pub(crate) mod state;
mod succession;
mod successor;
#[cfg(test)]
#[allow(clippy::disallowed_methods)]
mod tests;
pub(crate) mod timers;
pub(crate) mod trial;
pub(crate) mod volume;
pub(crate) mod window;
