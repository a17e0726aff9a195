//! Who fetches lists of revoked certificates, keeps them, and tells the engine of them.

mod cache;
mod fault;
mod fetch;
mod held;
mod owner;
mod snapshot;
#[cfg(test)]
mod tests;

pub(crate) use cache::Cache;
pub(crate) use owner::{Librarian, Lists, start};
pub(crate) use snapshot::{ListSnapshot, ListSnapshots};

use std::collections::{BTreeMap, BTreeSet};

use appliance_config::model::ListSource;

/// Which lists are wanted, each with the certificates, in DER, one of which must have signed it.
pub(crate) type ListSpecs = BTreeMap<ListSource, BTreeSet<Vec<u8>>>;
