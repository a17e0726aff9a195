//! Two engines, a lossy network between them, and virtual time.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::disallowed_methods
)]

mod aggressive;
mod algorithms;
mod certificate_faults;
mod certificates;
mod certificates1;
mod child_collision;
mod child_create;
mod child_delete;
mod child_rekey;
mod childless;
mod collision;
mod connections;
mod crossing;
mod establish;
mod flood;
mod followup;
mod fragmentation;
mod fragmentation1;
mod hostile;
mod hostile1;
mod idle;
mod ike_collision;
mod ike_delete;
mod ike_rekey;
mod intermediate;
mod key_exchange;
mod lines;
mod liveness;
mod loss;
mod message_ids;
mod migration;
mod mobike;
mod nat;
mod network;
mod operator;
mod pair;
mod patience;
mod pki;
mod ppk;
mod reasons;
mod reasons1;
mod reauthentication;
mod redirect;
mod rekey;
mod restart;
mod revocation;
mod selectors;
mod signer;
mod site;
mod situation;
mod table;
mod traffic;
mod transcript;
mod untimely;
mod version1;
mod volume;

pub(crate) use pair::Pair;
pub(crate) use site::{Site, connection, name};
