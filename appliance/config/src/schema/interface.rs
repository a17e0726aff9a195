use std::net::Ipv6Addr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::limits;

const NONE: &str = "none";

/// A network interface.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Interface {
    /// What lies behind it.
    #[schemars(schema_with = "limits::interface_role")]
    role: String,
    /// Which device it is, if not the one with its name.
    #[serde(default, rename = "match", skip_serializing_if = "Option::is_none")]
    found: Option<Match>,
    /// It is made, with its name, on top of another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) vlan: Option<Vlan>,
    /// The longest packet, in bytes; 1500 if left out, or what the parent of a VLAN has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "limits::interface_mtu")]
    pub(super) mtu: Option<u16>,
    /// How it comes to IPv4 addresses.
    #[serde(default)]
    ipv4: Ipv4,
    /// How it comes to IPv6 addresses.
    #[serde(default)]
    ipv6: Ipv6,
}

/// Which device it is: one of the two.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Match {
    /// The one with this address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    mac: Option<String>,
    /// The one that the kernel calls so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    name: Option<String>,
}

/// A VLAN (IEEE 802.1Q).
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Vlan {
    /// The interface whose frames are tagged.
    #[schemars(schema_with = "limits::name")]
    pub(super) parent: String,
    /// The tag.
    #[schemars(schema_with = "limits::vlan_id")]
    id: u16,
}

/// How it comes to IPv4 addresses.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Ipv4 {
    /// By these, by DHCP, or not at all.
    #[schemars(schema_with = "limits::ipv4_method")]
    method: String,
    /// With `static` only: at least one, each with the length of its prefix.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "limits::some_prefixes")]
    addresses: Option<Vec<String>>,
    /// With `static` only: the neighbour that the default route leads to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    gateway: Option<String>,
}

/// How it comes to IPv6 addresses.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Ipv6 {
    /// By these, by what routers advertise, or not at all.
    #[schemars(schema_with = "limits::ipv6_method")]
    method: String,
    /// With `static` only: at least one, each with the length of its prefix.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "limits::some_prefixes")]
    addresses: Option<Vec<String>>,
    /// With `static` only: the neighbour that the default route leads to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    gateway: Option<String>,
}

impl Interface {
    /// The configured address from which this endpoint is reached.
    pub(super) fn address_towards(&self, endpoint: Option<&str>) -> Option<String> {
        let to_ipv6 = endpoint.is_some_and(|endpoint| endpoint.parse::<Ipv6Addr>().is_ok());
        let by_ipv6 = self.ipv6.method != NONE && (to_ipv6 || self.ipv4.method == NONE);
        let addresses = if by_ipv6 {
            &self.ipv6.addresses
        } else {
            &self.ipv4.addresses
        };
        let (address, _length) = addresses.as_ref()?.first()?.split_once('/')?;
        Some(address.to_owned())
    }
}

impl Default for Ipv4 {
    fn default() -> Self {
        Self {
            method: NONE.to_owned(),
            addresses: None,
            gateway: None,
        }
    }
}

impl Default for Ipv6 {
    fn default() -> Self {
        Self {
            method: NONE.to_owned(),
            addresses: None,
            gateway: None,
        }
    }
}
