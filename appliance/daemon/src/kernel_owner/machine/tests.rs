use appliance_config::ValidConfig;

use super::*;

const DOCUMENT: &str = r#"{
  "interfaces": {
    "lan0": { "role": "lan", "ipv4": { "method": "static", "addresses": ["10.1.0.1/24"] },
              "ipv6": { "method": "static", "addresses": ["fd01::1/64"], "gateway": "fe80::1" } },
    "lan0.20": { "role": "lan", "vlan": { "parent": "lan0", "id": 20 },
                 "ipv4": { "method": "static", "addresses": ["10.1.20.1/24"] } },
    "wan0": { "role": "wan", "match": { "mac": "52:54:00:00:00:01" }, "mtu": 1500, "ipv4": { "method": "dhcp" },
              "ipv6": { "method": "auto" } },
    "wan1": { "role": "wan", "match": { "name": "eth1" },
              "ipv4": { "method": "static", "addresses": ["192.0.2.1/24"], "gateway": "192.0.2.254" } }
  },
  "gateway": { "ip_configurations": { "default": { "interface": "wan0" } }, "address_space": [] }
}"#;

struct Known {
    config: ValidConfig,
    devices: BTreeMap<LinkName, Device>,
    leases: BTreeMap<Name, Lease>,
}

fn link(name: &str) -> LinkName {
    name.try_into().unwrap()
}

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

fn device(index: u32, mac: [u8; 6], is_vlan: bool) -> Device {
    Device {
        index,
        mac: Some(mac),
        up: true,
        carrier: true,
        mtu: 1500,
        is_vlan,
    }
}

impl Known {
    fn new() -> Self {
        let mac = [0x52, 0x54, 0, 0, 0, 1];
        let devices = [
            ("enp1s0", device(2, mac, false)),
            ("a-vlan", device(3, mac, true)),
            ("lan0", device(4, [2; 6], false)),
        ];
        Self {
            config: appliance_config::parse(DOCUMENT.as_bytes()).unwrap(),
            devices: devices.map(|(name, device)| (link(name), device)).into(),
            leases: BTreeMap::new(),
        }
    }

    fn granted(router: &str) -> Self {
        let lease = Lease {
            address: [198, 51, 100, 7].into(),
            prefix_length: 24,
            router: Some(router.parse().unwrap()),
            name_servers: Vec::new(),
            ntp_servers: Vec::new(),
            mtu: Some(1400),
            server: [198, 51, 100, 1].into(),
            duration: None,
            renewal: None,
        };
        Self {
            leases: [(name("wan0"), lease)].into(),
            ..Self::new()
        }
    }

    fn machine(&self) -> Machine<'_> {
        Machine {
            interfaces: &self.config.interfaces,
            devices: &self.devices,
            leases: &self.leases,
        }
    }

    /// In words.
    fn objects(&self) -> Vec<String> {
        let objects = self.machine().objects();
        let words = objects.iter().map(|object| match object {
            Object::Link(link) => format!("link {} mtu {} {:?}", link.name, link.mtu, link.kind),
            Object::Address(address) => format!("address {} {}", address.link, address.network),
            Object::Route(route) => match &route.target {
                Target::Gateway {
                    link,
                    gateway,
                    on_link,
                } => {
                    format!(
                        "{} via {gateway} {link} metric {} {on_link}",
                        route.prefix, route.metric
                    )
                }
                target => panic!("{target:?}"),
            },
            object => panic!("{object:?}"),
        });
        words.collect()
    }
}

/// A device is found by its hardware address, a VLAN of it is not mistaken for it, and what is not plugged in is wanted all
/// the same.
#[test]
fn interfaces_become_links_addresses_and_routes() {
    let expected = [
        "link lan0 mtu 1500 Device",
        "address lan0 10.1.0.1/24",
        "address lan0 fd01::1/64",
        "::/0 via fe80::1 lan0 metric 400 false",
        "link lan0.20 mtu 1500 Vlan { parent: lan0, id: 20 }",
        "address lan0.20 10.1.20.1/24",
        "link enp1s0 mtu 1500 Device",
        "link eth1 mtu 1500 Device",
        "address eth1 192.0.2.1/24",
        "0.0.0.0/0 via 192.0.2.254 eth1 metric 403 false",
    ];
    assert_eq!(Known::new().objects(), expected);
}

/// Its router comes after a configured one, and may be off its network; its MTU is not above the configured one.
#[test]
fn a_lease_becomes_an_address_and_a_route() {
    let near = Known::granted("198.51.100.1").objects();
    let has = |objects: &[String], text: &str| objects.iter().any(|object| object == text);
    assert!(has(&near, "link enp1s0 mtu 1400 Device"), "{near:?}");
    assert!(has(&near, "address enp1s0 198.51.100.7/24"), "{near:?}");
    assert!(
        has(&near, "0.0.0.0/0 via 198.51.100.1 enp1s0 metric 502 false"),
        "{near:?}"
    );
    let far = Known::granted("10.0.0.1").objects();
    assert!(
        has(&far, "0.0.0.0/0 via 10.0.0.1 enp1s0 metric 502 true"),
        "{far:?}"
    );
}

/// The address of the interface is the granted one, or what a router advertised, and nothing that is not there.
#[test]
fn addresses_are_those_that_are_there() {
    let connected = |all: &[(&str, &str)]| {
        let one = |(name, network): &(&str, &str)| {
            let network: IpNet = network.parse().unwrap();
            Connected {
                link: link(name),
                address: network.addr(),
                network: network.trunc(),
            }
        };
        all.iter().map(one).collect::<BTreeSet<_>>()
    };
    let known = Known::granted("198.51.100.1");
    let of = |all: &[(&str, &str)], family| {
        let addresses = known.machine().addresses(&connected(all));
        let meant = appliance_config::model::LocalAddress::OfInterface(name("wan0"), family);
        addresses.of(&meant).map(|address| address.to_string())
    };
    assert_eq!(
        of(&[("enp1s0", "203.0.113.9/24")], Family::V4),
        None,
        "somebody else's"
    );
    let there = [("enp1s0", "198.51.100.7/24"), ("enp1s0", "fe80::7/64")];
    assert_eq!(of(&there, Family::V4).unwrap(), "198.51.100.7");
    assert_eq!(of(&there, Family::V6), None);
    let advertised = [there[1], ("enp1s0", "2001:db8::7/64")];
    assert_eq!(of(&advertised, Family::V6).unwrap(), "2001:db8::7");
}

/// Somebody's address goes from an interface that has all of its own, and not before.
#[test]
fn addresses_of_others_go_last() {
    let known = Known::new();
    let address = |link_name: &str, network: &str| Address {
        link: link(link_name),
        network: network.parse().unwrap(),
    };
    let foreign = [
        address("lan0", "10.9.0.1/24"),
        address("lan0", "fe80::9/64"),
        address("enp1s0", "203.0.113.9/24"),
        address("other", "10.8.0.1/24"),
    ];
    let strange = |there: &[Address]| {
        let connected = there.iter().chain(&foreign).map(Connected::from).collect();
        known.machine().strange(foreign.iter().cloned(), &connected)
    };
    assert_eq!(strange(&[]), []);
    let own = address("lan0", "10.1.0.1/24");
    assert_eq!(strange(std::slice::from_ref(&own)), [foreign[0].clone()]);
}

/// Routers are believed on the way to the peers, where the document says so.
#[test]
fn advertisements_are_taken_on_the_wan_only() {
    let document = DOCUMENT.replace(
        r#""ipv6": { "method": "static", "addresses": ["fd01::1/64"], "gateway": "fe80::1" }"#,
        r#""ipv6": { "method": "auto" }"#,
    );
    let known = Known {
        config: appliance_config::parse(document.as_bytes()).unwrap(),
        ..Known::new()
    };
    let accept = |name: &str| {
        let switches = known.machine().switches();
        let mut found = switches.iter().filter(|(_, link, setting, _)| {
            link.as_str() == name && *setting == LinkSetting::AcceptRouterAdvertisements
        });
        found.next().map(|(.., value)| *value)
    };
    assert_eq!(
        (accept("enp1s0"), accept("lan0"), accept("eth1")),
        (Some(2), Some(0), None)
    );
}

/// What a server gives on the way out, even an address inside a site's prefix, makes no network of our own.
#[test]
fn nothing_is_local_on_the_way_out() {
    let known = Known::new();
    let connected = ["enp1s0", "eth1", "lan0", "other"].map(|name| Connected {
        link: link(name),
        address: "10.5.0.7".parse().unwrap(),
        network: "10.5.0.0/16".parse().unwrap(),
    });
    let inner = known.machine().inner(&connected.into());
    let links: Vec<&str> = inner.iter().map(|one| one.link.as_str()).collect();
    assert_eq!(links, ["lan0", "other"]);
}
