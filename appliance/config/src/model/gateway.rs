use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;

use super::Name;

/// Our side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gateway {
    /// Our outer addresses, by the name of their IP configuration; at least one.
    pub ip_configurations: BTreeMap<Name, IpAddr>,
    /// The prefixes behind us.
    pub address_space: Vec<IpNet>,
}
