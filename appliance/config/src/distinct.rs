//! Connections whose peers could not be told apart.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::Reason;
use crate::model::{Connection, LocalAddress, Name};
use crate::reader::{Collection, Report};

/// Connections that end at one address of ours and expect one identity.
#[derive(Default)]
struct Alike<'c> {
    first: Option<&'c Name>,
    /// The first one whose peer may have any address.
    anywhere: Option<&'c Name>,
    /// The first one with this address of the peer.
    there: BTreeMap<IpAddr, &'c Name>,
}

/// No two enabled connections expect the same identity from places that have an address in common. Where a name leads
/// is not known beforehand, so it may be anywhere.
pub(crate) fn check(connections: &Collection<Connection>, report: &Report) {
    let mut known: BTreeMap<(&LocalAddress, (u8, String)), Alike<'_>> = BTreeMap::new();
    for (name, connection) in connections.iter().filter(|(_, connection)| connection.enabled) {
        let (expected, folded) = connection.authentication.expected();
        let key = (&connection.local_address, folded);
        let alike = known.entry(key).or_default();
        if let Some(other) = alike.add(name, connection.endpoint.address()) {
            let detail = format!(
                "its peer could not be told from that of /connections/{other}: both prove to be {expected} to \
                 {}; give one another remote_id or ip_configuration, or disable it",
                connection.local_address
            );
            let path = format!("/connections/{name}");
            report.add(&path, Reason::ConnectionsIndistinguishable, detail);
        }
    }
}

impl<'c> Alike<'c> {
    /// One more, whose peer has this address or any; returns one that could be taken for it.
    fn add(&mut self, name: &'c Name, address: Option<IpAddr>) -> Option<&'c Name> {
        let other = match address {
            Some(address) => self.anywhere.or(self.there.get(&address).copied()),
            None => self.first,
        };
        let _first = match address {
            Some(address) => self.there.entry(address).or_insert(name),
            None => self.anywhere.get_or_insert(name),
        };
        self.first.get_or_insert(name);
        other
    }
}
