use std::net::IpAddr;
use std::time::Duration;

use serde_json::{Value, json};

use super::sample::{check, faults, identities, machine, sample, with, without};
use crate::Reason;
use crate::model::{Addressing, Device, Family, Host, Interface, LocalAddress, Role, System};

fn interface(document: &Value, name: &str) -> Interface {
    check(document).unwrap().interfaces[name].clone()
}

#[test]
fn a_machine_that_says_nothing_of_itself_has_the_defaults() {
    let found = check(&sample()).unwrap();
    assert_eq!(found.system, System::default());
    let management = &found.system.management;
    let listen: Vec<_> = management.listen.iter().map(ToString::to_string).collect();
    assert_eq!(listen, ["0.0.0.0:8443", "[::]:8443"]);
    assert_eq!(management.confirm_within, Duration::from_secs(120));
    assert_eq!(found.system.time.zone, "UTC");
    assert_eq!(
        (
            found.system.maintenance.start_minute,
            found.system.maintenance.hours
        ),
        (60, 5)
    );
    assert!(found.interfaces.is_empty() && found.users.is_empty());
}

#[test]
fn defaults_of_the_machine_written_out_are_no_change() {
    let system = json!({
        "hostname": null, "time": { "zone": "UTC", "ntp": [] }, "dns": [],
        "management": {
            "listen": ["[::]:8443", "0.0.0.0:8443"], "allow_from": [], "confirm_within_s": 120
        },
        "maintenance": { "start": "01:00", "hours": 5, "automatic_updates": false }
    });
    for system in [
        system,
        json!({}),
        json!({ "time": {}, "management": {}, "maintenance": {} }),
    ] {
        let document = with(sample(), "/system", system);
        assert_eq!(check(&document), check(&sample()));
    }
    let document = with(machine(), "/interfaces/lan0/mtu", json!(1500));
    let none = json!({ "method": "none" });
    let written = with(document.clone(), "/interfaces/lan0/ipv6", none);
    let written = with(written, "/interfaces/lan0/ipv4/gateway", json!(null));
    let written = with(written, "/interfaces/lan0.20/mtu", json!(1500));
    assert_eq!(check(&written), check(&document));
    assert_eq!(check(&without(written, "/interfaces/lan0/mtu")), check(&document));
}

#[test]
fn what_is_said_of_the_machine_is_read() {
    let found = check(&machine()).unwrap();
    let (system, users) = (&found.system, &found.users);
    assert_eq!(system.hostname.as_deref(), Some("branch-042"));
    assert_eq!(system.time.zone, "Europe/Berlin");
    let ntp = [
        Host::Name("ntp.example".to_owned()),
        Host::Address([192, 0, 2, 123].into()),
    ];
    assert_eq!(system.time.ntp, ntp);
    assert_eq!(
        (system.maintenance.start_minute, system.maintenance.hours),
        (150, 3)
    );
    assert!(system.maintenance.automatic_updates);
    assert_eq!(
        (users["alice"].role, users["noc"].role),
        (Role::Admin, Role::Viewer)
    );
    assert!(Role::Viewer < Role::Operator && Role::Operator < Role::Admin);
}

#[test]
fn an_interface_is_the_device_that_it_says() {
    let device = |name| interface(&machine(), name).device;
    assert!(matches!(device("wan0"), Device::Mac(mac) if mac.to_string() == "52:54:00:00:00:01"));
    assert_eq!(device("lan0"), Device::SameName);
    assert_eq!(device("bare"), Device::Named("eth7".to_owned()));
    let parent = "lan0".parse().unwrap();
    assert_eq!(device("lan0.20"), Device::Vlan { parent, id: 20 });
    let upper = with(
        machine(),
        "/interfaces/wan0/match/mac",
        json!("AA:54:00:00:00:0F"),
    );
    let Device::Mac(mac) = interface(&upper, "wan0").device else {
        panic!("no MAC address")
    };
    assert_eq!(mac.0, [0xaa, 0x54, 0, 0, 0, 0x0f]);
}

#[test]
fn a_vlan_has_the_mtu_of_its_parent() {
    assert_eq!(interface(&machine(), "lan0.20").mtu, 9000);
    assert_eq!(interface(&machine(), "bare").mtu, 1500);
    let small = with(machine(), "/interfaces/lan0.20/mtu", json!(1400));
    assert_eq!(interface(&small, "lan0.20").mtu, 1400);
}

#[test]
fn an_interface_with_another_name_may_have_a_long_one() {
    let document = with(
        machine(),
        "/interfaces/the-way-to-the-internet",
        json!({ "role": "wan", "match": { "name": "eth3" }, "ipv4": { "method": "dhcp" }, "ipv6": { "method": "auto" } }),
    );
    let found = interface(&document, "the-way-to-the-internet");
    assert_eq!(
        (&found.ipv4, &found.ipv6),
        (&Addressing::Automatic, &Addressing::Automatic)
    );
}

#[test]
fn link_local_addresses_may_be_alike_on_several_links() {
    let alike = json!({ "method": "static", "addresses": ["fe80::1/64"] });
    let document = with(machine(), "/interfaces/lan0/ipv6", alike.clone());
    check(&with(document.clone(), "/interfaces/lan0.20/ipv6", alike)).unwrap();
    let twice = json!({ "method": "static", "addresses": ["fe80::1/64", "fe80::1/10"] });
    let problems = check(&with(document, "/interfaces/lan0/ipv6", twice)).unwrap_err();
    assert_eq!(
        faults(&problems),
        [("/interfaces/lan0/ipv6/addresses/1", Reason::DuplicateAddress)]
    );
}

#[test]
fn an_interface_may_have_several_addresses_of_one_network_and_none_behind_its_link() {
    let addresses = json!(["10.1.0.1/24", "10.1.0.2/24", "10.1.0.129/25"]);
    check(&with(machine(), "/interfaces/lan0/ipv4/addresses", addresses)).unwrap();
    let pair = json!({ "method": "static", "addresses": ["10.1.7.0/31"], "gateway": "10.1.7.1" });
    let document = without(machine(), "/interfaces/wan0/ipv4/gateway");
    check(&with(document, "/interfaces/bare/ipv4", pair)).unwrap();
}

/// The sample with its connections over an interface, whose addressing is this.
fn by_interface(ipv4: Value, ipv6: Value) -> Value {
    let wan = json!({ "role": "wan", "ipv4": ipv4, "ipv6": ipv6 });
    let document = with(sample(), "/interfaces", json!({ "wan0": wan }));
    let document = without(document, "/connections/to-b/authentication/local_id");
    with(
        document,
        "/gateway/ip_configurations",
        json!({ "default": { "interface": "wan0" } }),
    )
}

fn fixed(address: &str) -> Value {
    json!({ "method": "static", "addresses": [address] })
}

#[test]
fn an_outer_address_may_be_that_of_an_interface() {
    let none = json!({ "method": "none" });
    let local = |document: &Value| {
        let connection = check(document).unwrap().connections["to-b"].clone();
        let (local_identity, _) = identities(&connection);
        (
            connection.local_address,
            local_identity.map(|identity| identity.to_string()),
        )
    };
    let known = |text: &str| {
        let address = text.parse::<IpAddr>().unwrap();
        (LocalAddress::Known(address), Some(text.to_owned()))
    };
    let wan0 = || "wan0".parse().unwrap();
    let both = by_interface(fixed("192.0.2.1/26"), fixed("2001:db8::1/64"));
    assert_eq!(local(&both), known("192.0.2.1"));
    let written = json!({ "address": "192.0.2.1" });
    assert_eq!(
        local(&with(both.clone(), "/gateway/ip_configurations/default", written)),
        known("192.0.2.1")
    );
    let six = with(both, "/connections/to-b/endpoint", json!("2001:db8:1::2"));
    assert_eq!(local(&six), known("2001:db8::1"));
    let dynamic = by_interface(json!({ "method": "dhcp" }), none.clone());
    assert_eq!(
        local(&dynamic),
        (LocalAddress::OfInterface(wan0(), Family::V4), None)
    );
    let named = with(
        dynamic,
        "/connections/to-b/authentication/local_id",
        json!("gw.example"),
    );
    assert_eq!(local(&named).1.as_deref(), Some("gw.example"));
    let six = with(
        by_interface(none, fixed("2001:db8::1/64")),
        "/sites/b/endpoint",
        json!("b.example"),
    );
    let six = without(six, "/connections/to-c");
    assert_eq!(local(&six), known("2001:db8::1"));
}

#[test]
fn an_outer_address_is_looked_for_on_interfaces_only_where_all_are_known() {
    let elsewhere = with(
        machine(),
        "/gateway/ip_configurations/default/address",
        json!("198.51.100.1"),
    );
    assert!(check(&elsewhere).is_err());
    let dynamic = with(
        elsewhere.clone(),
        "/interfaces/bare/ipv4",
        json!({ "method": "dhcp" }),
    );
    check(&dynamic).unwrap();
    // Without a way to the peers in it, the document leaves that to the host.
    let by_host = with(elsewhere, "/interfaces/wan0/role", json!("lan"));
    check(&by_host).unwrap();
}

#[test]
fn the_address_of_an_interface_is_an_outer_address_as_any_other() {
    let document = with(
        by_interface(fixed("10.2.0.7/24"), json!({ "method": "none" })),
        "/schema",
        json!(1),
    );
    let problems = check(&document).unwrap_err();
    let expected = [(
        "/gateway/ip_configurations/default/interface",
        Reason::EndpointInsideAddressSpace,
    )];
    assert_eq!(faults(&problems), expected);
}

#[test]
fn management_is_admitted_from_where_the_document_says() {
    let admits = |document: &Value, remote: &str, interface: Option<&str>| {
        check(document)
            .unwrap()
            .admits(remote.parse().unwrap(), interface)
    };
    let anywhere = |document: &Value, remote: &str| {
        [None, Some("wan0"), Some("lan0")].map(|interface| admits(document, remote, interface))
    };
    assert_eq!(anywhere(&machine(), "10.1.0.7"), [true; 3]);
    assert_eq!(anywhere(&machine(), "::ffff:10.1.0.7"), [true; 3]);
    assert_eq!(anywhere(&machine(), "10.1.1.7"), [false; 3]);
    assert_eq!(anywhere(&machine(), "::1"), [true; 3]);
    let by_role = without(machine(), "/system/management/allow_from");
    assert_eq!(anywhere(&by_role, "203.0.113.7"), [false, false, true]);
    assert_eq!(anywhere(&by_role, "127.0.0.1"), [true; 3]);
    assert_eq!(anywhere(&sample(), "203.0.113.7"), [true; 3]);
}

#[test]
fn a_listener_serves_its_address_or_all_of_one_ip_version() {
    let serves = |listen: Value, local: &str| {
        let document = with(machine(), "/system/management/listen", listen);
        check(&document)
            .unwrap()
            .system
            .management
            .serves(local.parse().unwrap())
    };
    assert!(serves(json!(["0.0.0.0:8443"]), "10.1.0.1:8443"));
    assert!(!serves(json!(["0.0.0.0:8443"]), "10.1.0.1:443"));
    assert!(!serves(json!(["0.0.0.0:8443"]), "[fd01::1]:8443"));
    assert!(serves(json!(["10.1.0.1:443", "[::]:8443"]), "10.1.0.1:443"));
    assert!(!serves(json!(["10.1.0.1:443"]), "10.1.20.1:443"));
    assert!(!serves(json!([]), "10.1.0.1:8443"));
}
