use std::collections::BTreeMap;

use crate::model::{Connection, Gateway, Name, Site};

/// A document that keeps every rule; nothing downstream checks again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ValidConfig {
    /// Our side.
    pub gateway: Gateway,
    /// Every site, connected or not.
    pub sites: BTreeMap<Name, Site>,
    /// Every connection, enabled or not.
    pub connections: BTreeMap<Name, Connection>,
}
