use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use appliance_config::ValidConfig;
use appliance_config::model::{Device, Role, Trust};
use nix::ifaddrs::getifaddrs;

/// What the running document says about access.
#[derive(Debug, Clone, Default)]
pub(crate) struct Policy {
    /// Who there is.
    pub(crate) users: BTreeMap<String, Role>,
    /// Where the API is served.
    pub(crate) listen: BTreeSet<SocketAddr>,
    /// What certificates of clients go back to, where they are asked for one.
    pub(crate) client_trust: Option<Trust>,
    /// The parts of the document that say from where.
    settings: ValidConfig,
}

/// The device of this machine that has an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LocalDevice {
    name: String,
    mac: Option<[u8; 6]>,
}

impl Policy {
    /// What a document says.
    pub(crate) fn of(config: &ValidConfig) -> Self {
        let users = config.users.iter();
        let management = &config.system.management;
        Self {
            users: users.map(|(name, user)| (name.to_string(), user.role)).collect(),
            listen: management.listen.clone(),
            client_trust: management
                .client_trust
                .as_ref()
                .and_then(|name| config.trust.get(name).cloned()),
            settings: ValidConfig {
                system: config.system.clone(),
                interfaces: config.interfaces.clone(),
                ..ValidConfig::default()
            },
        }
    }

    /// Whether somebody at this address may connect, whose packets go to an address of this device.
    pub(crate) fn lets_in(&self, remote: IpAddr, device: Option<&LocalDevice>) -> bool {
        let interface = device.and_then(|device| self.interface(device));
        self.settings.admits(remote, interface)
    }

    /// What the document calls a device.
    pub(crate) fn interface(&self, device: &LocalDevice) -> Option<&str> {
        let found = self
            .settings
            .interfaces
            .iter()
            .find(|(key, interface)| match &interface.device {
                Device::SameName | Device::Vlan { .. } => key.as_str() == device.name,
                Device::Named(name) => *name == device.name,
                Device::Mac(mac) => Some(mac.0) == device.mac,
            });
        found.map(|(key, _)| key.as_str())
    }
}

impl LocalDevice {
    /// The one that has this address now.
    pub(crate) fn with(address: IpAddr) -> Option<Self> {
        let address = address.to_canonical();
        let all: Vec<_> = getifaddrs().ok()?.collect();
        let has = |found: &&nix::ifaddrs::InterfaceAddress| {
            let found = found.address.as_ref();
            let v4 = found.and_then(|found| found.as_sockaddr_in().map(|found| IpAddr::V4(found.ip())));
            let v6 = || found.and_then(|found| found.as_sockaddr_in6().map(|found| IpAddr::V6(found.ip())));
            v4.or_else(v6) == Some(address)
        };
        let name = all.iter().find(has)?.interface_name.clone();
        let of_link = all.iter().filter(|found| found.interface_name == name);
        let mac = of_link
            .filter_map(|found| found.address.as_ref()?.as_link_addr()?.addr())
            .next();
        Some(Self { name, mac })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn policy(document: &serde_json::Value) -> Policy {
        Policy::of(&appliance_config::parse(document.to_string().as_bytes()).unwrap())
    }

    /// The API is not for whoever is out there, unless the document says so.
    #[test]
    fn without_prefixes_only_inner_interfaces_let_anybody_in() {
        let policy = policy(&json!({ "interfaces": {
            "wan0": { "role": "wan", "match": { "mac": "52:54:00:00:00:01" }, "ipv4": { "method": "dhcp" } },
            "lan0": { "role": "lan", "match": { "name": "eth1" }, "ipv4": { "method": "static", "addresses": ["10.1.0.1/24"] } }
        } }));
        let (remote, other) = ("198.51.100.7".parse().unwrap(), [0x52, 0x54, 0, 0, 0, 1]);
        let device = |name: &str, mac| LocalDevice {
            name: name.to_owned(),
            mac,
        };
        assert!(policy.lets_in(remote, Some(&device("eth1", None))));
        assert!(!policy.lets_in(remote, Some(&device("eth0", Some(other)))));
        assert!(!policy.lets_in(remote, Some(&device("lan0", None))));
        assert!(!policy.lets_in(remote, None));
        assert_eq!(policy.interface(&device("eth0", Some(other))), Some("wan0"));
    }

    #[test]
    fn the_device_of_an_address_is_found() {
        let found = LocalDevice::with("127.0.0.1".parse().unwrap()).unwrap();
        assert_eq!(found.name, "lo");
        assert_eq!(LocalDevice::with("192.0.2.250".parse().unwrap()), None);
    }
}
