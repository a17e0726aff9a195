use ipnet::IpNet;

use super::address::prefix;
use super::{Endpoint, SiteBgp};
use crate::reader::Value;

/// A peer's gateway and what lies behind it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Site {
    /// Where the peer's gateway is.
    pub endpoint: Endpoint,
    /// The prefixes behind it; no packet to them may leave in clear text.
    pub address_space: Vec<IpNet>,
    /// Its BGP speaker, if it has one.
    pub bgp: Option<SiteBgp>,
}

impl Site {
    pub(crate) fn read(value: &Value<'_>) -> Option<Self> {
        let mut object = value.object()?;
        let endpoint = object.required("endpoint", Endpoint::read);
        let address_space = object.required("address_space", |value| value.list(prefix));
        let bgp = object.optional("bgp", None, |value| SiteBgp::read(value).map(Some));
        Some(Self {
            endpoint: endpoint?,
            address_space: address_space?,
            bgp: bgp?,
        })
    }
}
