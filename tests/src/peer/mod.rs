//! The parties of a scenario.

pub mod api;
pub mod bird;
pub mod causeway;
pub mod credentials;
pub mod document;
pub mod frr;
pub mod key_vault;
pub mod router;
pub mod speaker;
pub mod strongswan;
pub mod suite;
pub mod tunnel;
