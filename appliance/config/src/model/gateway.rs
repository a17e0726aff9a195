use std::collections::BTreeMap;

use ipnet::IpNet;

use super::address::prefix;
use super::{GatewayBgp, Interface, IpConfiguration, Limits, Name};
use crate::Reason;
use crate::reader::{Collection, Value};

/// Our side.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Gateway {
    /// Our outer addresses, by the name of their IP configuration; at least one.
    pub ip_configurations: BTreeMap<Name, IpConfiguration>,
    /// The prefixes behind us.
    pub address_space: Vec<IpNet>,
    /// Our BGP speaker, if there is one.
    pub bgp: Option<GatewayBgp>,
    /// How much we take on.
    pub limits: Limits,
    /// BGP speaks of prefixes as the rules of translation make them.
    pub nat_route_translation: bool,
}

/// Our side as far as it could be read.
pub(crate) struct GatewayDraft {
    pub(crate) ip_configurations: Collection<IpConfiguration>,
    pub(crate) address_space: Option<Vec<IpNet>>,
    pub(crate) bgp: Option<Option<GatewayBgp>>,
    pub(crate) limits: Option<Limits>,
    nat_route_translation: Option<bool>,
}

impl GatewayDraft {
    /// Nothing could be read.
    pub(crate) fn unknown() -> Self {
        Self {
            ip_configurations: Collection::unknown(),
            address_space: None,
            bgp: None,
            limits: None,
            nat_route_translation: None,
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
        let bgp = object.optional("bgp", None, |value| {
            GatewayBgp::read(value, address_space.as_deref()).map(Some)
        });
        let limits = object.optional("limits", Limits::default(), Limits::read);
        let nat_route_translation = object.optional("nat_route_translation", false, Value::boolean);
        Some(Self {
            ip_configurations: ip_configurations.unwrap_or_else(Collection::unknown),
            address_space,
            bgp,
            limits,
            nat_route_translation,
        })
    }

    pub(crate) fn complete(self) -> Option<Gateway> {
        let (ip_configurations, address_space) = (self.ip_configurations.all(), self.address_space);
        Some(Gateway {
            ip_configurations: ip_configurations?,
            address_space: address_space?,
            bgp: self.bgp?,
            limits: self.limits?,
            nat_route_translation: self.nat_route_translation?,
        })
    }
}
