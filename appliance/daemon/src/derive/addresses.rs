use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use appliance_config::model::{Connection, Family, LocalAddress, Name};

/// The addresses that the interfaces of the document have at this moment; of each, those that it is to have come first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Addresses(BTreeMap<Name, Vec<IpAddr>>);

impl Addresses {
    /// What an interface has.
    pub(crate) fn found(&mut self, interface: Name, addresses: Vec<IpAddr>) {
        self.0.insert(interface, addresses);
    }

    /// The interfaces that have any.
    pub(crate) fn addressed(&self) -> BTreeSet<String> {
        let with_some = self.0.iter().filter(|(_, addresses)| !addresses.is_empty());
        with_some.map(|(interface, _)| interface.to_string()).collect()
    }

    /// The address that is meant, if it is known or there is one.
    pub(crate) fn of(&self, address: &LocalAddress) -> Option<IpAddr> {
        match address {
            LocalAddress::Known(address) => Some(*address),
            LocalAddress::OfInterface(interface, family) => {
                let mut all = self.0.get(interface)?.iter().copied();
                all.find(|address| Family::of(*address) == *family)
            }
        }
    }

    /// Those that a connection may move to.
    pub(crate) fn of_mobike(&self, connection: &Connection) -> Option<Vec<IpAddr>> {
        let named = connection.mobike.as_deref()?;
        Some(named.iter().filter_map(|address| self.of(address)).collect())
    }
}
