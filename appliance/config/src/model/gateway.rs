use std::collections::BTreeMap;

use ipnet::IpNet;

use super::address::prefix;
use super::{Interface, IpConfiguration, Name};
use crate::Reason;
use crate::reader::{Collection, Value};

/// Our side.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Gateway {
    /// Our outer addresses, by the name of their IP configuration; at least one.
    pub ip_configurations: BTreeMap<Name, IpConfiguration>,
    /// The prefixes behind us.
    pub address_space: Vec<IpNet>,
}

/// Our side as far as it could be read.
pub(crate) struct GatewayDraft {
    pub(crate) ip_configurations: Collection<IpConfiguration>,
    pub(crate) address_space: Option<Vec<IpNet>>,
}

impl GatewayDraft {
    /// Nothing could be read.
    pub(crate) fn unknown() -> Self {
        Self {
            ip_configurations: Collection::unknown(),
            address_space: None,
        }
    }

    pub(crate) fn read(value: &Value<'_>, interfaces: &Collection<Interface>) -> Option<Self> {
        let mut object = value.object()?;
        let ip_configurations = object.required("ip_configurations", |value| {
            let collection = Collection::read(value, |value| IpConfiguration::read(value, interfaces));
            if collection.is_empty() {
                value.problem(
                    Reason::OutOfRange,
                    "is empty; at least one outer address is needed",
                );
            }
            Some(collection)
        });
        let address_space = object.required("address_space", |value| value.list(prefix));
        object.later(&["bgp", "nat_route_translation", "limits"]);
        Some(Self {
            ip_configurations: ip_configurations.unwrap_or_else(Collection::unknown),
            address_space,
        })
    }

    pub(crate) fn complete(self) -> Option<Gateway> {
        let (ip_configurations, address_space) = (self.ip_configurations.all(), self.address_space);
        Some(Gateway {
            ip_configurations: ip_configurations?,
            address_space: address_space?,
        })
    }
}
