use std::collections::BTreeMap;

use appliance_config::model::ListSource;
use ike::crypto::RevocationList;

use super::fault::ListFault;

/// All lists, by where they are.
pub(crate) type ListSnapshots = BTreeMap<ListSource, ListSnapshot>;

/// A list of revoked certificates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ListSnapshot {
    /// The list, once it could be had.
    pub(crate) list: Option<RevocationList>,
    /// A certificate of a peer says where it is, and not the document.
    pub(crate) is_learnt: bool,
    /// Why it could not be had last.
    pub(crate) fault: Option<ListFault>,
}
