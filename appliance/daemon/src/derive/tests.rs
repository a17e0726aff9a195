use std::collections::BTreeMap;
use std::time::Duration;

use ike::crypto::{Encryption, Group, Prf};
use ike::{
    Childless, ConnectionName, Identity, LineStart, Mode, Remote, ResponderSelectors, TrafficSelector,
};

use secrecy::ExposeSecret;
use serde_json::{Value, json};

use super::{Addresses, Desired, InUse, Lacking, Rest, derive, resting};
use crate::datapath::Kind;
use crate::secrets::Secrets;

const DOCUMENT: &str = r#"{
  "gateway": { "ip_configurations": { "default": { "address": "192.0.2.1" } }, "address_space": ["10.1.0.0/24"] },
  "sites": {
    "b": { "endpoint": "192.0.2.2", "address_space": ["10.2.0.0/24"] },
    "c": { "endpoint": "192.0.2.3", "address_space": ["10.3.0.0/24"] },
    "unconnected": { "endpoint": "192.0.2.4", "address_space": ["10.4.0.0/24"] }
  },
  "policies": { "gcm": { "ike": { "encryption": "GCMAES128", "integrity": "SHA256", "dh_group": "X25519" },
                         "ipsec": { "encryption": "GCMAES128", "integrity": "GCMAES128", "pfs_group": "PFS2048",
                                    "lifetime_s": 3600 } } },
  "connections": {
    "to-b": { "site": "b", "mode": "InitiatorOnly", "policy": "gcm", "dpd_timeout_s": 30, "reauthenticate_s": 600, "tcp_mss": 1200,
              "addresses": ["169.254.21.2/30"],
              "authentication": { "method": "psk", "secret": "psk-b", "remote_id": "b.example",
                                  "ppk": { "id": "office", "secret": "ppk-b" } },
              "childless": "force", "fragment_size": 900 },
    "to-c": { "site": "c", "enabled": false, "authentication": { "method": "psk", "secret": "psk-c" } }
  }
}"#;

fn desired(document: &str, datapath: Kind) -> Desired {
    let config = appliance_config::parse(document.as_bytes()).unwrap();
    derive(
        &config,
        &Secrets::of(&[("psk-b", "secret"), ("psk-c", "other"), ("ppk-b", "quantum")]),
        datapath,
        &InUse::new(),
        &Addresses::default(),
    )
}

fn name(text: &str) -> ConnectionName {
    ConnectionName(text.into())
}

#[test]
fn a_connection_becomes_what_the_engine_negotiates() {
    let desired = desired(DOCUMENT, Kind::Kernel);
    let connection = &desired.ike.connections[&name("to-b")];
    assert_eq!(
        (connection.local, &connection.remote),
        (
            "192.0.2.1:500".parse().unwrap(),
            &Remote::Address("192.0.2.2:500".parse().unwrap())
        )
    );
    assert_eq!(connection.mode, Mode::InitiatorOnly);
    assert!(desired.ike.inside.contains(&"10.2.0.0/24".parse().unwrap()));
    assert_eq!(
        connection.local_identity,
        Identity::Address("192.0.2.1".parse().unwrap())
    );
    assert_eq!(
        connection.remote_identity,
        Identity::Fqdn("b.example".to_owned()).into()
    );
    assert_eq!(connection.dpd_timeout, Duration::from_secs(30));
    assert_eq!(connection.reauthentication, Some(Duration::from_secs(600)));
    assert!(connection.reauthenticate_on_renewal);
    let ppk = connection.ppk.as_ref().unwrap();
    assert_eq!((ppk.id.as_slice(), ppk.required), (&b"office"[..], true));
    assert_eq!(ppk.secret.expose_secret(), b"quantum");
    assert_eq!(
        (connection.childless, connection.fragment_size),
        (Childless::Force, 900)
    );
    let proposal = &connection.ike_proposals[0];
    assert_eq!(
        (proposal.encryption, proposal.integrity, proposal.prf),
        (Encryption::AesGcm16(128), None, Prf::HmacSha2_256)
    );
    assert_eq!(proposal.groups, [Group::X25519]);
    assert_eq!(connection.esp_proposals[0].groups, [Group::Modp2048]);
    assert_eq!(
        (connection.ike_lifetime, connection.child_lifetime),
        (Duration::from_secs(28_800), Duration::from_secs(3600))
    );
    let [selector] = connection.lines[0].local.as_slice() else {
        panic!("{:?}", connection.lines[0].local)
    };
    assert_eq!(
        (selector.start.to_string(), selector.end.to_string()),
        ("0.0.0.0".to_owned(), "255.255.255.255".to_owned())
    );
}

#[test]
fn a_connection_becomes_a_link_and_what_leads_into_it() {
    let desired = desired(DOCUMENT, Kind::Kernel);
    let tunnel = &desired.network.tunnels[&name("to-b")];
    assert_eq!(tunnel.numbering.link, "cw-to-b");
    assert_eq!((tunnel.mtu, tunnel.tcp_mss), (1400, 1200));
    assert_eq!(tunnel.addresses, ["169.254.21.2/30".parse().unwrap()]);
    assert_eq!(tunnel.prefixes, ["10.2.0.0/24".parse().unwrap()]);
}

#[test]
fn every_site_is_closed_connected_or_not() {
    let network = desired(DOCUMENT, Kind::Kernel).network;
    let closed: Vec<_> = network.closed.iter().map(ToString::to_string).collect();
    assert_eq!(closed, ["10.2.0.0/24", "10.3.0.0/24", "10.4.0.0/24"]);
    assert_eq!(network.tunnels.len(), 1, "the disabled connection has no tunnel");
}

/// Its site is closed all the same, and a disabled one is not negotiated either.
#[test]
fn a_connection_that_this_version_cannot_negotiate_is_left_out() {
    let document = DOCUMENT.replace(r#""mode": "InitiatorOnly","#, r#""protocol": "IKEv1","#);
    let desired = desired(&document, Kind::Kernel);
    assert!(desired.ike.connections.is_empty());
    assert!(desired.network.tunnels.is_empty());
    assert!(desired.network.outer_addresses.is_empty());
    assert!(desired.network.closed.contains(&"10.2.0.0/24".parse().unwrap()));
    let config = appliance_config::parse(document.as_bytes()).unwrap();
    let resting = resting(&config, &Addresses::default(), &Lacking::new());
    assert_eq!(resting["to-c"], Rest::Disabled);
    assert!(matches!(&resting["to-b"], Rest::Held(detail) if detail.contains("IKEv1")));
}

/// Its site is closed by the addresses under which we know it, and not by ours, which it has too.
#[test]
fn a_connection_with_rules_leads_to_what_they_make_of_the_site() {
    let rule = r#"{ "type": "Static", "mode": "MODE", "internal": { "prefix": "10.1.0.0/24" }, "external": { "prefix": "EXTERNAL" } }"#;
    let [ingress, egress] = [("IngressSnat", "100.64.2.0/24"), ("EgressSnat", "100.64.1.0/24")]
        .map(|(mode, external)| rule.replace("MODE", mode).replace("EXTERNAL", external));
    let document = DOCUMENT
        .replace(r#""10.2.0.0/24""#, r#""10.1.0.0/24""#)
        .replace(
            r#""mode": "InitiatorOnly","#,
            r#""nat": { "ingress": ["in"], "egress": ["out"] },"#,
        )
        .replace(
            r#""sites": {"#,
            &format!(r#""nat_rules": {{ "in": {ingress}, "out": {egress} }}, "sites": {{"#),
        );
    let desired = desired(&document, Kind::Kernel);
    let closed = &desired.network.closed;
    assert!(closed.contains(&"100.64.2.0/24".parse().unwrap()), "{closed:?}");
    assert!(!closed.contains(&"10.1.0.0/24".parse().unwrap()), "{closed:?}");
    assert!(!desired.ike.inside.contains(&"10.1.0.0/24".parse().unwrap()));
    assert_eq!(
        desired.network.hidden,
        ["100.64.1.0/24".parse().unwrap()].into(),
        "nobody here is called what the site calls us"
    );
    let tunnel = &desired.network.tunnels[&name("to-b")];
    assert_eq!(tunnel.prefixes, ["100.64.2.0/24".parse().unwrap()]);
    let translated = &desired.network.translation.tunnels["to-b"];
    assert_eq!(
        (translated.link.as_str(), translated.site.as_str()),
        ("cw-to-b", "b")
    );
    assert_eq!(
        u32::from(translated.number) | 0x4357_0000,
        tunnel.numbering.interface_id
    );
    let external =
        |rules: &BTreeMap<String, appliance_nat::Rule>, name: &str| rules[name].external.to_string();
    assert_eq!(external(&translated.ingress, "in"), "100.64.2.0/24");
    assert_eq!(external(&translated.egress, "out"), "100.64.1.0/24");
}

/// Where BGP follows the rules, what stands for a prefix that the document does not have of the site is in the tunnel while the
/// peer says so, and closed all the time.
#[test]
fn what_bgp_is_to_bring_is_closed_and_leads_nowhere_before() {
    let mut document: Value = serde_json::from_str(DOCUMENT).unwrap();
    document["gateway"]["bgp"] = json!({ "asn": 65010, "addresses": ["172.16.9.9"] });
    document["sites"]["b"]["bgp"] = json!({ "asn": 65515, "address": "172.16.0.1" });
    document["nat_rules"] = json!({ "in": { "type": "Static", "mode": "IngressSnat",
        "internal": { "prefix": "10.9.0.0/24" }, "external": { "prefix": "100.64.2.0/24" } } });
    document["connections"]["to-b"]["bgp"] = json!({});
    document["connections"]["to-b"]["addresses"] = json!([]);
    document["connections"]["to-b"]["nat"] = json!({ "ingress": ["in"] });
    let prefixes = |follows: bool| {
        let mut document = document.clone();
        document["gateway"]["nat_route_translation"] = json!(follows);
        let network = desired(&document.to_string(), Kind::Kernel).network;
        assert!(network.closed.contains(&"100.64.2.0/24".parse().unwrap()));
        let prefixes = network.tunnels[&name("to-b")].prefixes.iter();
        prefixes.map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(prefixes(false), ["10.2.0.0/24", "100.64.2.0/24"]);
    assert_eq!(prefixes(true), ["10.2.0.0/24"]);
}

#[test]
fn encapsulation_is_forced_where_the_datapath_lives_on_it_or_the_document_says_so() {
    let forced = |document: &str, datapath| {
        desired(document, datapath).ike.connections[&name("to-b")].force_encapsulation
    };
    let always = DOCUMENT.replace(
        r#""policy": "gcm","#,
        r#""policy": "gcm", "udp_encapsulation": "always","#,
    );
    assert!(!forced(DOCUMENT, Kind::Kernel));
    assert!(forced(DOCUMENT, Kind::User));
    assert!(forced(&always, Kind::Kernel));
}

#[test]
fn ipv6_is_asked_for_where_a_prefix_has_it() {
    let document = DOCUMENT.replace(r#"["10.1.0.0/24"]"#, r#"["10.1.0.0/24", "fd01::/64"]"#);
    let desired = desired(&document, Kind::Kernel);
    assert_eq!(desired.ike.connections[&name("to-b")].lines[0].remote.len(), 2);
}

#[test]
fn custom_selectors_become_lines_of_which_the_first_comes_with_the_tunnel() {
    let custom = r#""policy": "gcm", "selectors": { "kind": "custom", "accept": "as-proposed", "lines": [
        { "local": ["10.1.0.0/25"], "remote": ["10.2.0.0/24"] },
        { "local": ["10.1.0.128/25"], "remote": ["10.2.0.0/24"] } ] },"#;
    let document = DOCUMENT.replace(r#""policy": "gcm","#, custom);
    let connection = desired(&document, Kind::Kernel)
        .ike
        .connections
        .remove(&name("to-b"))
        .unwrap();
    let [first, second] = connection.lines.as_slice() else {
        panic!("{:?}", connection.lines)
    };
    assert_eq!(
        (first.start, second.start),
        (LineStart::WithTunnel, LineStart::OnDemand)
    );
    let selector = |text: &str| TrafficSelector::network(text.parse().unwrap());
    assert_eq!(first.local, [selector("10.1.0.0/25")]);
    assert_eq!(second.local, [selector("10.1.0.128/25")]);
    assert_eq!(second.remote, [selector("10.2.0.0/24")]);
    assert_eq!(connection.responder_selectors, ResponderSelectors::AsProposed);
}

#[test]
fn a_peer_may_be_a_name_or_come_from_anywhere() {
    let remote = |endpoint: &str| {
        let endpoint = format!(r#""endpoint": "{endpoint}""#);
        let document = DOCUMENT.replace(r#""endpoint": "192.0.2.2""#, &endpoint);
        let document = document.replace(r#""mode": "InitiatorOnly", "#, "");
        let connection = desired(&document, Kind::Kernel)
            .ike
            .connections
            .remove(&name("to-b"))
            .unwrap();
        assert_eq!(
            connection.remote_identity,
            Identity::Fqdn("b.example".to_owned()).into()
        );
        (connection.remote, connection.mode)
    };
    let host = "gw.b.example".to_owned();
    assert_eq!(
        remote("gw.b.example"),
        (Remote::Name { host, port: 500 }, Mode::Default)
    );
    assert_eq!(remote("any"), (Remote::Any, Mode::ResponderOnly));
}

#[test]
fn every_kind_of_identity_reads_as_it_was_written() {
    for written in [
        "2001:db8::7",
        "gw.example",
        "ops@gw.example",
        "CN=gw\\, 1,O=Acme",
        "keyid:00ff",
    ] {
        let json = serde_json::to_string(written).unwrap();
        let document = DOCUMENT.replace(r#""remote_id": "b.example""#, &format!(r#""remote_id": {json}"#));
        let connection = &desired(&document, Kind::Kernel).ike.connections[&name("to-b")];
        assert_eq!(connection.remote_identity.to_string(), written);
    }
}

#[test]
fn switching_one_connection_on_moves_no_other() {
    let enabled = DOCUMENT.replace(r#""enabled": false, "#, "");
    let (before, after) = (
        desired(DOCUMENT, Kind::Kernel).network,
        desired(&enabled, Kind::Kernel).network,
    );
    assert_eq!(before.tunnels[&name("to-b")], after.tunnels[&name("to-b")]);
    assert_eq!(after.tunnels.len(), 2);
}

/// The address of an interface that is told from elsewhere comes and goes; without it nothing is negotiated, the site stays
/// closed and status has a reason.
#[test]
fn a_connection_follows_the_address_of_its_interface() {
    let document = DOCUMENT
        .replace(r#"{ "address": "192.0.2.1" }"#, r#"{ "interface": "wan0" }"#)
        .replacen(
            '{',
            r#"{ "interfaces": { "wan0": { "role": "wan", "ipv4": { "method": "dhcp" } } },"#,
            1,
        );
    let config = appliance_config::parse(document.as_bytes()).unwrap();
    let secrets = Secrets::of(&[("psk-b", "secret"), ("psk-c", "other"), ("ppk-b", "quantum")]);
    let with = |found: &[&str]| {
        let mut addresses = Addresses::default();
        let found = found.iter().map(|address| address.parse().unwrap()).collect();
        addresses.found("wan0".parse().unwrap(), found);
        let desired = derive(&config, &secrets, Kind::Kernel, &InUse::new(), &addresses);
        let resting = resting(&config, &addresses, &desired.lacking);
        (desired, resting)
    };
    let (without, resting) = with(&["2001:db8::1"]);
    assert_eq!(
        (without.ike.connections.len(), without.network.tunnels.len()),
        (0, 0)
    );
    assert_eq!(without.network.closed.len(), 3);
    assert!(matches!(resting["to-b"], Rest::NoAddress(_)), "{resting:?}");
    for address in ["192.0.2.1", "192.0.2.9"] {
        let (desired, resting) = with(&["2001:db8::1", address]);
        let local = desired.ike.connections[&name("to-b")].local.ip();
        assert_eq!(local.to_string(), address);
        assert_eq!(desired.network.tunnels[&name("to-b")].local, local);
        assert_eq!(desired.network.outer_addresses, [local].into());
        assert!(!resting.contains_key("to-b"), "{resting:?}");
    }
}
