//! The parties of a scenario.

pub mod api;
pub mod causeway;
pub mod strongswan;
pub mod suite;
pub mod tunnel;
