use std::net::IpAddr;

use ipnet::IpNet;

/// A peer's gateway and what lies behind it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Site {
    /// The outer address of the peer's gateway.
    pub endpoint: IpAddr,
    /// The prefixes behind it; no packet to them may leave in clear text.
    pub address_space: Vec<IpNet>,
}
