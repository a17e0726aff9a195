use std::net::IpAddr;
use std::time::Duration;

use serde_json::json;

use super::sample::{check, faults, identities, sample, with, without};
use crate::model::{
    Accept, Connection, Endpoint, Family, Group, Identity, LocalAddress, Mode, Protocol, UdpEncapsulation,
};
use crate::{Change, Reason, changes, refusals};

fn connection(document: &serde_json::Value, name: &str) -> Connection {
    check(document).unwrap().connections[name].clone()
}

#[test]
fn every_default_is_filled_in() {
    let found = connection(&sample(), "to-c");
    let local = IpAddr::from([192, 0, 2, 1]);
    assert!(found.enabled);
    assert_eq!(found.mode, Mode::Default);
    assert_eq!(found.local_address, LocalAddress::Known(local));
    let remote = IpAddr::from([192, 0, 2, 3]);
    assert_eq!(found.endpoint, Endpoint::Address(remote));
    assert_eq!((found.protocol, found.priority), (Protocol::IkeV2, 100));
    assert_eq!(found.authentication.pre_shared_key().unwrap().as_str(), "psk-c");
    assert_eq!(found.authentication.ppk, None);
    let expected = (Some(Identity::Address(local)), Identity::Address(remote));
    assert_eq!(identities(&found), expected);
    assert_eq!(found.dpd_timeout, Duration::from_secs(45));
    assert_eq!((found.mtu, found.tcp_mss), (1400, 1350));
    assert_eq!(found.udp_encapsulation, UdpEncapsulation::Auto);
    assert_eq!(found.addresses, []);
    assert_eq!(found.policy.ike[0].groups[0], Group::X25519);
    assert!(
        found
            .policy
            .ike
            .iter()
            .all(|proposal| proposal.integrity.is_none())
    );
}

#[test]
fn a_tunnel_moves_only_where_that_is_written() {
    let six = json!({"ip_configurations": ["six"]});
    let document = with(sample(), "/connections/to-c/mobike", six);
    let addresses = connection(&document, "to-c").mobike.unwrap();
    assert_eq!(addresses.len(), 1);
    assert_eq!(addresses[0].family(), Family::V6);
    let document = with(sample(), "/connections/to-c/mobike", json!({}));
    assert_eq!(connection(&document, "to-c").mobike, Some(Vec::new()));
    assert_eq!(connection(&sample(), "to-c").mobike, None);
}

#[test]
fn a_default_written_out_is_no_change() {
    let mut written = sample();
    for (key, value) in [
        ("enabled", json!(true)),
        ("protocol", json!("IKEv2")),
        ("aggressive_mode", json!(false)),
        ("idle_timeout_s", json!(0)),
        ("mode", json!("Default")),
        ("selectors", json!({"kind": "route-based"})),
        ("policy", json!("modern")),
        ("dpd_timeout_s", json!(45)),
        ("reauthenticate_on_renewal", json!(true)),
        ("endpoint", json!("192.0.2.3")),
        ("priority", json!(100)),
        ("mtu", json!(1400)),
        ("tcp_mss", json!(1350)),
        ("udp_encapsulation", json!("auto")),
        ("allow_redirect", json!(false)),
        ("fragment_size", json!(1280)),
        ("childless", json!("allow")),
        ("addresses", json!([])),
    ] {
        written = with(written, &format!("/connections/to-c/{key}"), value);
    }
    let written = with(
        written,
        "/connections/to-c/authentication/local_id",
        json!("192.0.2.1"),
    );
    let written = with(
        written,
        "/connections/to-c/authentication/remote_id",
        json!("192.0.2.3"),
    );
    let left_out = without(sample(), "/schema");
    assert_eq!(check(&written), check(&left_out));
}

#[test]
fn the_only_ip_configuration_need_not_be_named() {
    let document = without(sample(), "/gateway/ip_configurations/six");
    let document = without(document, "/connections/to-b/ip_configuration");
    assert_eq!(
        connection(&document, "to-b").local_address,
        LocalAddress::Known(IpAddr::from([192, 0, 2, 1]))
    );
}

#[test]
fn a_small_mtu_lowers_the_default_mss() {
    let document = with(sample(), "/connections/to-b/mtu", json!(1300));
    assert_eq!(
        connection(&without(document, "/connections/to-b/tcp_mss"), "to-b").tcp_mss,
        1260
    );
}

fn lines(document: &serde_json::Value, name: &str) -> Vec<(String, String, bool)> {
    let words = |nets: &[ipnet::IpNet]| nets.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
    let lines = connection(document, name).selectors.lines;
    let line = lines
        .iter()
        .map(|line| (words(&line.local), words(&line.remote), line.on_demand));
    line.collect()
}

fn line(local: &str, remote: &str, on_demand: bool) -> (String, String, bool) {
    (local.to_owned(), remote.to_owned(), on_demand)
}

#[test]
fn route_based_selectors_are_any_to_any() {
    let any = line("0.0.0.0/0 ::/0", "0.0.0.0/0 ::/0", false);
    assert_eq!(lines(&sample(), "to-b"), [any], "our address space has IPv6");
    let document = with(sample(), "/gateway/address_space", json!(["10.1.0.0/24"]));
    assert_eq!(lines(&document, "to-b"), [line("0.0.0.0/0", "0.0.0.0/0", false)]);
    assert_eq!(connection(&document, "to-b").selectors.accept, Accept::Narrowed);
}

#[test]
fn policy_based_selectors_are_every_combination_of_one_ip_version() {
    let selectors = json!({"kind": "policy-based", "accept": "as-proposed"});
    let document = with(sample(), "/connections/to-c/selectors", selectors);
    let document = with(
        document,
        "/gateway/address_space",
        json!(["10.1.0.0/24", "10.1.7.0/24", "fd01::/64"]),
    );
    let expected = [
        line("10.1.0.0/24", "10.3.0.0/24", false),
        line("10.1.7.0/24", "10.3.0.0/24", false),
        line("fd01::/64", "fd03::/64", false),
    ];
    assert_eq!(lines(&document, "to-c"), expected);
    assert_eq!(connection(&document, "to-c").selectors.accept, Accept::AsProposed);
}

#[test]
fn policy_based_selectors_are_a_hundred_at_most() {
    let document = with(
        sample(),
        "/connections/to-b/selectors",
        json!({"kind": "policy-based"}),
    );
    let prefixes = |count: u8| json!((0..count).map(|n| format!("10.1.{n}.0/24")).collect::<Vec<_>>());
    let document = with(
        document,
        "/sites/b/address_space",
        json!(["10.2.0.0/24", "10.4.0.0/24"]),
    );
    let of = |count| check(&with(document.clone(), "/gateway/address_space", prefixes(count)));
    assert_eq!(of(50).unwrap().connections["to-b"].selectors.lines.len(), 100);
    for (count, says) in [(51, "more than 100 lines"), (0, "nothing could pass")] {
        let problems = of(count).unwrap_err();
        let expected = [("/connections/to-b/selectors", Reason::OutOfRange)];
        assert_eq!(faults(&problems), expected);
        assert!(problems[0].detail.contains(says), "{}", problems[0]);
    }
}

#[test]
fn custom_selectors_come_up_one_with_the_tunnel_and_the_others_on_demand() {
    let custom = json!({"kind": "custom", "lines": [
        {"local": ["10.1.0.128/25", "10.1.0.0/26"], "remote": ["10.2.0.0/24"]},
        {"local": ["0.0.0.0/0"], "remote": ["10.0.0.0/8"]},
    ]});
    let document = with(sample(), "/connections/to-b/selectors", custom);
    let expected = [
        line("10.1.0.0/26 10.1.0.128/25", "10.2.0.0/24", false),
        line("0.0.0.0/0", "10.0.0.0/8", true),
    ];
    assert_eq!(lines(&document, "to-b"), expected);
}

#[test]
fn a_line_has_as_many_pairs_as_the_kernel_takes() {
    let of = |count: u8| {
        let local: Vec<_> = (0..count).map(|n| format!("10.1.{n}.0/24")).collect();
        let selectors = json!({"kind": "custom", "lines": [{"local": local, "remote": ["10.2.0.0/24"]}]});
        check(&with(sample(), "/connections/to-b/selectors", selectors))
    };
    of(42).unwrap();
    let expected = [("/connections/to-b/selectors/lines/0", Reason::OutOfRange)];
    assert_eq!(faults(&of(43).unwrap_err()), expected);
}

#[test]
fn identities_are_told_apart() {
    let local = |text: &str| {
        let document = with(sample(), "/connections/to-b/authentication/local_id", json!(text));
        identities(&connection(&document, "to-b")).0.unwrap()
    };
    assert_eq!(
        local("2001:db8::9"),
        Identity::Address("2001:db8::9".parse().unwrap())
    );
    assert_eq!(
        local("Hub.Example.net"),
        Identity::Fqdn("Hub.Example.net".to_owned())
    );
    assert_eq!(
        local("ops@example.net"),
        Identity::Email("ops@example.net".to_owned())
    );
    assert_eq!(local("keyid:00fF"), Identity::KeyId(vec![0, 255]));
    assert_eq!(local("fqdn:192.0.2.1"), Identity::Fqdn("192.0.2.1".to_owned()));
    assert_eq!(local("email:@fw"), Identity::Email("@fw".to_owned()));
    assert_eq!(
        local("address:2001:db8::9"),
        Identity::Address("2001:db8::9".parse().unwrap())
    );
}

/// The name's last part comes first in the text and last in the DER (RFC 4514 §2.1).
#[test]
fn a_distinguished_name_becomes_der() {
    let local = |text: &str| {
        let document = with(sample(), "/connections/to-b/authentication/local_id", json!(text));
        match identities(&connection(&document, "to-b")).0.unwrap() {
            Identity::DistinguishedName(name) => (name.to_string(), name.der().to_vec()),
            other => panic!("{other:?}"),
        }
    };
    let mut expected = vec![0x30, 0x1e, 0x31, 0x0d, 0x30, 0x0b, 6, 3, 0x55, 4, 10, 0x0c, 4];
    expected.extend(b"Acme");
    expected.extend([0x31, 0x0d, 0x30, 0x0b, 6, 3, 0x55, 4, 3, 0x0c, 4]);
    expected.extend(b"gw 1");
    let expected = ("CN=gw 1,O=Acme".to_owned(), expected);
    assert_eq!(local("CN=gw 1, O=Acme"), expected);
    assert_eq!(local("dn:CN=gw 1,O=Acme"), expected);
    assert_eq!(local(r"CN=a\, b+UID=7, O=x").0, r"CN=a\, b+UID=7,O=x");
}

fn remote_identity(document: &serde_json::Value, name: &str) -> Identity {
    identities(&connection(document, name)).1
}

#[test]
fn a_peer_may_be_known_by_its_name() {
    let document = with(sample(), "/sites/c/endpoint", json!("C.Example.net"));
    let host = "c.example.net".to_owned();
    assert_eq!(
        connection(&document, "to-c").endpoint,
        Endpoint::Name(host.clone())
    );
    assert_eq!(remote_identity(&document, "to-c"), Identity::Fqdn(host));
}

#[test]
fn a_peer_that_comes_from_anywhere_is_waited_for() {
    let document = with(sample(), "/sites/c/endpoint", json!("any"));
    let id = json!("c.example");
    let document = with(document, "/connections/to-c/authentication/remote_id", id);
    let found = connection(&document, "to-c");
    assert_eq!((found.endpoint, found.mode), (Endpoint::Any, Mode::ResponderOnly));
}

#[test]
fn a_site_may_have_several_connections_each_with_an_endpoint_of_its_own() {
    let second = json!({
        "site": "b", "ip_configuration": "default", "endpoint": "192.0.2.22", "priority": 7,
        "authentication": { "method": "psk", "secret": "psk-b" }
    });
    let document = with(sample(), "/connections/to-b-again", second);
    let found = connection(&document, "to-b-again");
    let endpoint = IpAddr::from([192, 0, 2, 22]);
    assert_eq!((found.endpoint, found.priority), (Endpoint::Address(endpoint), 7));
    assert_eq!(
        remote_identity(&document, "to-b-again"),
        Identity::Address(endpoint)
    );
    assert_eq!(
        found.site.address_space,
        connection(&document, "to-b").site.address_space
    );
}

#[test]
fn a_connection_keeps_its_protocol() {
    let old = check(&sample()).unwrap();
    let mut new = old.clone();
    assert_eq!(refusals(&old, &new), []);
    new.connections.get_mut("to-b").unwrap().protocol = Protocol::IkeV1;
    let problems = refusals(&old, &new);
    assert_eq!(
        faults(&problems),
        [("/connections/to-b/protocol", Reason::ProtocolImmutable)]
    );
    assert!(
        problems[0].detail.contains("IKEv2 and cannot become IKEv1"),
        "{}",
        problems[0]
    );
    let without_it = check(&without(sample(), "/connections/to-b")).unwrap();
    assert_eq!(refusals(&without_it, &new), [], "it is new");
}

#[test]
fn ipv6_is_accepted_outside_and_inside() {
    let document = with(sample(), "/sites/b/endpoint", json!("2001:db8::2"));
    let document = with(
        document,
        "/sites/b/address_space",
        json!(["10.2.0.0/24", "fd02::/64"]),
    );
    let document = with(document, "/connections/to-b/ip_configuration", json!("six"));
    assert_eq!(connection(&document, "to-b").local_address.family(), Family::V6);
}

#[test]
fn prefixes_of_one_owner_may_nest_and_a_peer_may_stand_in_our_network() {
    let document = with(
        sample(),
        "/sites/b/address_space",
        json!(["10.2.0.0/16", "10.2.3.0/24"]),
    );
    let document = with(document, "/sites/c/endpoint", json!("10.1.0.9"));
    check(&document).unwrap();
}

#[test]
fn a_byte_order_mark_is_skipped() {
    let text = format!("\u{feff}{}", sample());
    assert_eq!(crate::parse(text.as_bytes()), check(&sample()));
}

#[test]
fn changes_are_told_by_connection() {
    let old = check(&sample()).unwrap();
    let to_b = |pointer: &str, value| {
        let new = check(&with(sample(), &format!("/connections/to-b/{pointer}"), value)).unwrap();
        let changes = changes(&old, &new);
        assert_eq!(changes["to-c"], Change::Unchanged);
        changes["to-b"]
    };
    assert_eq!(to_b("dpd_timeout_s", json!(45)), Change::Unchanged);
    assert_eq!(to_b("dpd_timeout_s", json!(60)), Change::InPlace);
    assert_eq!(to_b("reauthenticate_s", json!(86_400)), Change::InPlace);
    assert_eq!(to_b("reauthenticate_on_renewal", json!(false)), Change::InPlace);
    assert_eq!(to_b("mtu", json!(1500)), Change::InPlace);
    assert_eq!(to_b("addresses", json!([])), Change::InPlace);
    assert_eq!(to_b("priority", json!(1)), Change::InPlace);
    assert_eq!(to_b("endpoint", json!("192.0.2.22")), Change::Reset);
    assert_eq!(to_b("policy", json!("modern")), Change::Reset);
    assert_eq!(to_b("enabled", json!(false)), Change::Reset);
    assert_eq!(to_b("authentication/secret", json!("other")), Change::Reset);

    let fewer = check(&without(sample(), "/connections/to-b")).unwrap();
    assert_eq!(changes(&old, &fewer)["to-b"], Change::Removed);
    assert_eq!(changes(&fewer, &old)["to-b"], Change::Added);
    let wider = check(&with(sample(), "/sites/b/address_space", json!(["10.2.0.0/16"]))).unwrap();
    assert_eq!(changes(&old, &wider)["to-b"], Change::InPlace);
    let moved = check(&with(sample(), "/sites/b/endpoint", json!("192.0.2.77"))).unwrap();
    assert_eq!(changes(&old, &moved)["to-b"], Change::Reset);
}

/// Every JSON document that a README shows is one that can be used.
#[test]
fn the_documents_of_the_readmes_are_valid() {
    let readmes = [
        include_str!("../../README.md"),
        include_str!("../../../../README.md"),
    ];
    let blocks = readmes
        .into_iter()
        .flat_map(|readme| readme.split("```json").skip(1));
    let mut seen = 0;
    for block in blocks {
        let (document, _) = block.split_once("```").unwrap();
        let lines = document.trim_start_matches('c').lines();
        let plain: Vec<&str> = lines.map(|line| line.split("//").next().unwrap()).collect();
        assert_eq!(
            crate::parse(plain.join("\n").as_bytes()).map(|_| ()),
            Ok(()),
            "{document}"
        );
        seen += 1;
    }
    assert!(seen >= 3, "the READMEs show only {seen} documents");
}
