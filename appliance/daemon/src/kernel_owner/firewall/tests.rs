use std::net::Ipv4Addr;

use appliance_config::ValidConfig;
use appliance_dhcp::Lease;
use appliance_kernel::Device;

use super::*;
use crate::derive::{Addresses, InUse};

const DOCUMENT: &str = r#"{
  "system": { "dns": ["172.16.0.53", "198.51.100.53"] },
  "interfaces": {
    "lan0": { "role": "lan", "ipv4": { "method": "static", "addresses": ["10.1.0.1/24"] } },
    "desk": { "role": "management", "ipv4": { "method": "static", "addresses": ["10.9.0.1/24"] } },
    "wan0": { "role": "wan", "match": { "mac": "52:54:00:00:00:01" }, "ipv4": { "method": "dhcp" } }
  },
  "gateway": { "ip_configurations": { "default": { "interface": "wan0" } }, "address_space": [] }
}"#;

fn link(name: &str) -> LinkName {
    name.try_into().unwrap()
}

fn lease(address: [u8; 4], router: [u8; 4]) -> Lease {
    Lease {
        address: address.into(),
        prefix_length: 24,
        router: Some(router.into()),
        name_servers: vec![Ipv4Addr::new(10, 200, 0, 53), Ipv4Addr::new(192, 0, 2, 53)],
        ntp_servers: vec![Ipv4Addr::new(10, 202, 0, 123), Ipv4Addr::new(192, 0, 2, 123)],
        mtu: None,
        server: Ipv4Addr::new(10, 201, 0, 1),
        duration: None,
        renewal: None,
    }
}

/// The openings of a document on a machine that has these leases and, beside what it says, these networks.
fn openings(document: &str, lease: Option<Lease>, connected: &[(&str, &str)]) -> Option<Openings> {
    let config: ValidConfig = appliance_config::parse(document.as_bytes()).unwrap();
    let device = Device {
        mac: Some([0x52, 0x54, 0, 0, 0, 1]),
        ..Device::default()
    };
    let connected = connected.iter().map(|(name, address)| {
        let address: IpNet = address.parse().unwrap();
        Connected {
            link: link(name),
            address: address.addr(),
            network: address.trunc(),
        }
    });
    let leases = lease.into_iter().map(|lease| ("wan0".parse().unwrap(), lease));
    let (devices, leases) = ([(link("enp1s0"), device)].into(), leases.collect());
    let machine = Machine {
        interfaces: &config.interfaces,
        devices: &devices,
        leases: &leases,
    };
    let network = crate::derive::network(&config, &InUse::default(), &Addresses::default());
    let firewall = machine.firewall(&network, &connected.collect());
    firewall.and_then(|firewall| firewall.openings().cloned())
}

fn texts(prefixes: &[IpNet]) -> Vec<String> {
    prefixes.iter().map(ToString::to_string).collect()
}

/// A gateway on somebody's host, whose interfaces are not in the document, closes nothing there.
#[test]
fn without_interfaces_nothing_is_closed() {
    let document = r#"{ "gateway": { "ip_configurations": { "default": { "address": "192.0.2.1" } }, "address_space": [] } }"#;
    assert_eq!(openings(document, None, &[("eth0", "192.0.2.1/24")]), None);
}

/// Links are closed by their role, whatever they are called, and others are let be.
#[test]
fn roles_decide() {
    let openings = openings(DOCUMENT, None, &[("docker0", "172.17.0.1/16")]).unwrap();
    assert_eq!(openings.outside, [link("enp1s0")].into());
    assert_eq!(openings.inside, [link("lan0")].into());
    assert_eq!(openings.management, [link("desk")].into());
    assert_eq!(texts(&openings.own), ["10.1.0.0/24", "10.9.0.0/24"]);
}

/// Of private addresses the outside leads to its own networks, its router, and the servers that its lease or the document
/// names; that is known with the lease, before the address is there.
#[test]
fn what_is_near_follows_from_lease_and_document() {
    let private = lease([10, 50, 0, 7], [10, 50, 1, 1]);
    let near = openings(DOCUMENT, Some(private), &[("enp1s0", "fe80::1/64")])
        .unwrap()
        .near;
    let expected = [
        "10.50.0.0/24",
        "10.50.1.1/32",
        "10.200.0.53/32",
        "10.201.0.1/32",
        "10.202.0.123/32",
        "172.16.0.53/32",
    ];
    assert_eq!(texts(&near), expected);
    let here = openings(
        DOCUMENT,
        None,
        &[("enp1s0", "192.168.1.7/24"), ("lan0", "10.1.9.1/24")],
    )
    .unwrap();
    assert_eq!(texts(&here.near), ["172.16.0.53/32", "192.168.1.0/24"]);
}
