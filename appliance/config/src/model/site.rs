use std::net::IpAddr;

use ipnet::IpNet;

use super::address::{outer_address, prefix};
use crate::reader::Value;

/// A peer's gateway and what lies behind it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Site {
    /// The outer address of the peer's gateway.
    pub endpoint: IpAddr,
    /// The prefixes behind it; no packet to them may leave in clear text.
    pub address_space: Vec<IpNet>,
}

impl Site {
    pub(crate) fn read(value: &Value<'_>) -> Option<Self> {
        let mut object = value.object()?;
        let endpoint = object.required("endpoint", outer_address);
        let address_space = object.required("address_space", |value| value.list(prefix));
        object.later(&["bgp"]);
        Some(Self {
            endpoint: endpoint?,
            address_space: address_space?,
        })
    }
}
