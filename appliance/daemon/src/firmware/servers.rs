use std::net::Ipv4Addr;

use appliance_config::model::Host;
use appliance_dhcp::Lease;

use crate::status::Clients;

/// Servers that this machine asks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Servers {
    /// Who names them.
    pub(crate) source: Source,
    /// The first is asked first.
    pub(crate) hosts: Vec<Host>,
}

/// Who names servers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Source {
    /// The document.
    Document,
    /// Servers of DHCP.
    Dhcp,
    /// Nobody.
    #[default]
    None,
}

impl Source {
    /// As the API tells it.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Document => "document",
            Self::Dhcp => "dhcp",
            Self::None => "none",
        }
    }
}

impl Servers {
    /// Those of the document; without any, those of DHCP by the name of their interface, each once, for as long as there is a lease.
    pub(super) fn of(
        document: Vec<Host>,
        clients: &Clients,
        leased: impl Fn(&Lease) -> &[Ipv4Addr],
        most: usize,
    ) -> Self {
        let mut servers = Self {
            source: Source::Document,
            hosts: document,
        };
        if servers.hosts.is_empty() {
            let held = clients.values().filter_map(|client| client.held.as_ref());
            for address in held.flat_map(|held| leased(&held.lease)) {
                let host = Host::Address((*address).into());
                if !servers.hosts.contains(&host) {
                    servers.hosts.push(host);
                }
            }
            servers.source = if servers.hosts.is_empty() {
                Source::None
            } else {
                Source::Dhcp
            };
        }
        servers.hosts.truncate(most);
        servers
    }
}
