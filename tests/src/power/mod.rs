//! Power cuts: what a machine tells before and after one, and what it must not have forgotten.

pub mod ledger;
pub mod told;
