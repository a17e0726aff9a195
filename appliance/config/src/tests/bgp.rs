use std::net::IpAddr;
use std::time::Duration;

use serde_json::{Value, json};

use super::sample::{check, faults, routed, sample, with, without};
use crate::model::{
    BgpCapabilities, BgpSigning, ConnectionBgp, Family, GatewayBgp, Limits, TcpAoAlgorithm, TcpAoKey,
};
use crate::{Reason, impact, notices, with_defaults};

fn gateway(document: &Value) -> GatewayBgp {
    check(document).unwrap().gateway.bgp.unwrap()
}

fn session(document: &Value, name: &str) -> ConnectionBgp {
    check(document).unwrap().connections[name].bgp.clone().unwrap()
}

fn local(document: &Value, name: &str) -> String {
    session(document, name).local_address.to_string()
}

#[test]
fn nothing_is_there_unless_written() {
    let found = check(&sample()).unwrap();
    assert_eq!(found.gateway.bgp, None);
    assert_eq!(found.connections["to-b"].bgp, None);
    assert!(!found.gateway.nat_route_translation);
    let Limits {
        nat_rules,
        prefixes_per_peer,
    } = found.gateway.limits;
    assert_eq!((nat_rules, prefixes_per_peer), (100, 4000));
}

#[test]
fn every_default_is_filled_in() {
    let ours = gateway(&routed());
    assert_eq!(
        ours.router_id.to_string(),
        "10.1.0.1",
        "the first that is not link-local"
    );
    assert_eq!(ours.timers.hold_time, Duration::from_secs(180));
    assert_eq!(ours.timers.keepalive, Duration::from_secs(60));
    assert_eq!(ours.advertise, check(&routed()).unwrap().gateway.address_space);
    let found = session(&routed(), "to-b");
    assert_eq!(found.local_address, IpAddr::from([169, 254, 21, 2]));
    assert_eq!(found.timers, ours.timers);
    assert_eq!(
        (found.passive, found.multihop, found.maximum_prefixes),
        (false, 2, 4000)
    );
    assert_eq!((found.signing, found.restart_after), (BgpSigning::None, None));
    assert_eq!((found.ttl_security, found.bfd), (None, None));
    assert_eq!(found.local_preference, 100);
    let capabilities = BgpCapabilities {
        role: None,
        families: Family::BOTH.into(),
        add_path_receive: true,
    };
    assert_eq!(found.capabilities, capabilities);
}

#[test]
fn a_default_written_out_is_no_change() {
    let written = [
        ("/gateway/bgp/router_id", json!("10.1.0.1")),
        ("/gateway/bgp/hold_time_s", json!(180)),
        ("/gateway/bgp/keepalive_s", json!(60)),
        ("/gateway/bgp/advertise", json!(["fd01::/64", "10.1.0.0/24"])),
        (
            "/gateway/limits",
            json!({ "nat_rules": 100, "prefixes_per_peer": 4000 }),
        ),
        ("/gateway/nat_route_translation", json!(false)),
        ("/sites/b/bgp/internal", json!(false)),
        (
            "/connections/to-b/bgp",
            json!({ "local_address": "169.254.21.2", "passive": false, "hold_time_s": 180, "multihop": 2,
                    "role": null, "families": ["ipv6", "ipv4"], "add_path_receive": true, "local_preference": 100,
                    "ttl_security": null, "bfd": null, "md5_secret": null, "tcp_ao": null,
                    "maximum_prefixes": 4000, "restart_after_s": null }),
        ),
    ];
    for (pointer, value) in written {
        let document = with(routed(), pointer, value);
        assert_eq!(check(&document), check(&routed()), "{pointer}");
    }
    for pointer in [
        "/gateway/bgp",
        "/gateway/limits",
        "/sites/b/bgp",
        "/connections/to-b/bgp",
    ] {
        assert_eq!(
            check(&with(sample(), pointer, json!(null))),
            check(&sample()),
            "{pointer}"
        );
    }
}

#[test]
fn a_peer_gets_the_address_that_suits_it() {
    assert_eq!(
        local(&routed(), "to-c"),
        "10.1.0.1",
        "the first that is not link-local"
    );
    let peer = |address: &str| {
        with(
            routed(),
            "/sites/b/bgp",
            json!({ "asn": 64512, "address": address }),
        )
    };
    assert_eq!(
        local(&peer("169.254.22.1"), "to-b"),
        "169.254.22.2",
        "the one in its /30"
    );
    assert_eq!(
        local(&peer("169.254.99.1"), "to-b"),
        "169.254.21.2",
        "or else the first"
    );
    assert_eq!(local(&peer("fd02::1"), "to-b"), "fd01::1");
    let chosen = json!({ "local_address": "169.254.22.2" });
    assert_eq!(
        local(&with(routed(), "/connections/to-b/bgp", chosen), "to-b"),
        "169.254.22.2"
    );
}

#[test]
fn a_peer_that_no_address_suits_is_refused() {
    for (ours, reason, says) in [
        ("10.1.0.1", Reason::ApipaMismatch, "no address of ours will do"),
        ("fd01::1", Reason::AddressFamilyMismatch, "different IP versions"),
    ] {
        let bgp = json!({ "asn": 65010, "addresses": [ours], "router_id": "10.1.0.1" });
        let document = without(with(routed(), "/gateway/bgp", bgp), "/connections/to-c/bgp");
        let problems = check(&document).unwrap_err();
        assert_eq!(
            faults(&problems),
            [("/connections/to-b/bgp/local_address", reason)]
        );
        assert!(problems[0].detail.contains(says), "{}", problems[0]);
    }
}

#[test]
fn without_ipv4_the_router_id_must_be_said() {
    let bgp = json!({ "asn": 65010, "addresses": ["fd01::1"] });
    let document = with(sample(), "/gateway/bgp", bgp);
    assert_eq!(
        faults(&check(&document).unwrap_err()),
        [("/gateway/bgp/router_id", Reason::MissingKey)]
    );
    let said = with(document, "/gateway/bgp/router_id", json!("192.0.2.200"));
    assert_eq!(gateway(&said).router_id.to_string(), "192.0.2.200");
    let bgp = json!({ "asn": 65010, "addresses": ["fd01::1", "169.254.21.2"] });
    let link_local = gateway(&with(sample(), "/gateway/bgp", bgp));
    assert_eq!(link_local.router_id.to_string(), "169.254.21.2");
}

#[test]
fn numbers_that_may_be_used_are_accepted() {
    for asn in [
        1_u32,
        64_512,
        64_514,
        65_515,
        65_521,
        65_534,
        65_552,
        4_200_000_000,
        4_294_967_294,
    ] {
        let document = without(routed(), "/connections/to-c");
        let document = without(document, "/sites/c");
        check(&with(document, "/sites/b/bgp/asn", json!(asn))).unwrap();
    }
    let ours = without(
        with(
            sample(),
            "/gateway/bgp",
            json!({ "asn": 65515, "addresses": ["10.1.0.1"] }),
        ),
        "/schema",
    );
    check(&ours).unwrap();
}

#[test]
fn a_site_may_be_in_our_own_system_if_it_says_so() {
    let document = with(routed(), "/sites/c/bgp/asn", json!(65010));
    check(&with(document, "/sites/c/bgp/internal", json!(true))).unwrap();
}

/// RFC 9234 §4.1: a role is what one autonomous system is to another.
#[test]
fn inside_our_own_system_there_are_no_roles() {
    let document = with(routed(), "/sites/c/bgp/asn", json!(65010));
    let document = with(document, "/sites/c/bgp/internal", json!(true));
    let document = with(document, "/connections/to-c/bgp/role", json!("peer"));
    let problems = check(&document).unwrap_err();
    let reason = Reason::AsnNotExternal;
    assert_eq!(faults(&problems), [("/connections/to-c/bgp/role", reason)]);
    assert!(problems[0].detail.contains("no roles"), "{}", problems[0]);
}

fn ao(keys: Value) -> Value {
    with(routed(), "/connections/to-b/bgp/tcp_ao", keys)
}

fn ao_key(secret: &str, id: u8) -> Value {
    json!({ "secret": secret, "send_id": id, "receive_id": id })
}

#[test]
fn keys_of_tcp_ao_are_read_in_their_order() {
    let said = json!({ "secret": "old", "send_id": 0, "receive_id": 255, "algorithm": "hmac-sha1-96",
                       "sign_options": false });
    let key = |secret: &str, ids: (u8, u8), algorithm, sign_options| TcpAoKey {
        secret: secret.parse().unwrap(),
        send_id: ids.0,
        receive_id: ids.1,
        algorithm,
        sign_options,
    };
    let expected = BgpSigning::TcpAo(vec![
        key("new", (7, 7), TcpAoAlgorithm::Aes128Cmac, true),
        key("old", (0, 255), TcpAoAlgorithm::HmacSha1, false),
    ]);
    let document = ao(json!([ao_key("new", 7), said]));
    assert_eq!(session(&document, "to-b").signing, expected);
    let filled = with_defaults(&document).unwrap();
    let shown = &filled["connections"]["to-b"]["bgp"]["tcp_ao"][0];
    assert_eq!(shown["algorithm"], "aes-128-cmac-96");
    assert_eq!(shown["sign_options"], true);
    assert_eq!(check(&filled), check(&document));
}

/// A session goes on as long as one key stays and none means something else; else nobody could know with which key the
/// peer signs.
#[test]
fn keys_of_tcp_ao_take_turns_in_place() {
    let told = |before: Value, after: Value| {
        let (old, new) = (check(&ao(before)).unwrap(), check(&ao(after)).unwrap());
        let peers = impact(&old, &new, None).bgp_peers;
        (peers.reset.join(" "), peers.changed_in_place.join(" "))
    };
    let (in_place, reset) = ((String::new(), "b".to_owned()), ("b".to_owned(), String::new()));
    let (one, two) = (ao_key("one", 1), ao_key("two", 2));
    assert_eq!(told(json!([one]), json!([one, two])), in_place);
    assert_eq!(told(json!([one, two]), json!([two, one])), in_place);
    assert_eq!(told(json!([two, one]), json!([two])), in_place);
    assert_eq!(told(json!([one]), json!([two])), reset, "none stays");
    assert_eq!(told(json!([one, two]), json!([one, ao_key("other", 2)])), reset);
    assert_eq!(told(json!([one]), json!(null)), reset, "no more signatures");
}

#[test]
fn every_default_of_a_session_is_shown() {
    let filled = with_defaults(&routed()).unwrap();
    let found = &filled["connections"]["to-b"]["bgp"];
    assert_eq!(found["families"], json!(["ipv4", "ipv6"]));
    assert_eq!(found["add_path_receive"], true);
    assert_eq!(found["local_preference"], 100);
    assert_eq!(found.get("role"), None);
}

#[test]
fn what_goes_beyond_what_azure_has_is_accepted() {
    for (pointer, value) in [
        ("/gateway/bgp/advertise", json!([])),
        ("/gateway/bgp/advertise", json!(["0.0.0.0/0", "10.0.0.0/8"])),
        (
            "/gateway/limits",
            json!({ "nat_rules": 500, "prefixes_per_peer": 1_000_000 }),
        ),
        ("/sites/c/bgp/address", json!("10.33.0.1")),
        (
            "/sites/c/address_space",
            json!(["10.3.0.0/24", "10.3.0.1/32", "fd03::/64"]),
        ),
        (
            "/gateway/address_space",
            json!(["10.1.0.0/24", "10.1.0.1/32", "fd01::/64"]),
        ),
        (
            "/sites/b/bgp",
            json!({ "asn": 64512, "address": "169.254.255.254" }),
        ),
        ("/connections/to-b/enabled", json!(false)),
    ] {
        check(&with(routed(), pointer, value.clone()))
            .unwrap_or_else(|found| panic!("{pointer} {value}: {found:?}"));
    }
}

#[test]
fn custom_selectors_may_name_the_speakers_alone() {
    let lines = json!([
        { "local": ["10.1.0.0/24"], "remote": ["10.2.0.0/24"] },
        { "local": ["169.254.21.2/32"], "remote": ["169.254.21.1/32"] },
    ]);
    let selectors = json!({ "kind": "custom", "lines": lines });
    check(&with(routed(), "/connections/to-b/selectors", selectors)).unwrap();
}

/// A second tunnel to the site of `to-b`, whose BGP says this.
fn second(bgp: Value) -> Value {
    let second = json!({
        "site": "b", "ip_configuration": "default", "endpoint": "192.0.2.22", "bgp": bgp,
        "authentication": { "method": "psk", "secret": "psk-b" }
    });
    with(routed(), "/connections/to-b-again", second)
}

#[test]
fn two_tunnels_to_one_site_have_one_session_or_one_each() {
    check(&second(json!({}))).unwrap();
    check(&second(
        json!({ "local_address": "169.254.22.2", "passive": true }),
    ))
    .unwrap();
    let problems = check(&second(json!({ "passive": true }))).unwrap_err();
    assert_eq!(
        faults(&problems),
        [("/connections/to-b-again/bgp", Reason::BgpSessionConflict)]
    );
    assert!(
        problems[0].detail.contains("/connections/to-b leads"),
        "{}",
        problems[0]
    );
}

#[test]
fn a_session_needs_both_sides() {
    let document = with(sample(), "/connections/to-b/bgp", json!({}));
    let problems = check(&document).unwrap_err();
    let expected = ("/connections/to-b/bgp", Reason::BgpNotConfigured);
    assert_eq!(faults(&problems), [expected; 2]);
    assert!(problems[0].detail.contains("of the gateway") && problems[1].detail.contains("of the site"));
}

#[test]
fn what_is_unknown_of_one_side_is_told_once() {
    let document = with(routed(), "/gateway/bgp/asn", json!("x"));
    assert_eq!(
        faults(&check(&document).unwrap_err()),
        [("/gateway/bgp/asn", Reason::WrongType)]
    );
    let document = with(routed(), "/gateway", json!(1));
    assert_eq!(
        faults(&check(&document).unwrap_err()),
        [("/gateway", Reason::WrongType)]
    );
    let document = with(routed(), "/sites/b/bgp/address", json!(1));
    assert_eq!(
        faults(&check(&document).unwrap_err()),
        [("/sites/b/bgp/address", Reason::WrongType)]
    );
}

#[test]
fn timers_of_a_connection_keep_three_keepalives() {
    let timers = |document: Value| session(&document, "to-b").timers;
    let held = with(routed(), "/connections/to-b/bgp/hold_time_s", json!(30));
    assert_eq!(timers(held).keepalive, Duration::from_secs(10));
    let fast = with(routed(), "/gateway/bgp/keepalive_s", json!(20));
    let held = with(fast, "/connections/to-b/bgp/hold_time_s", json!(90));
    assert_eq!(timers(held).keepalive, Duration::from_secs(20));
}

#[test]
fn what_is_not_acted_on_and_short_timers_are_told() {
    let told = |document: &Value| {
        let found = notices(&check(document).unwrap()).into_iter();
        found
            .map(|notice| (notice.path, notice.reason))
            .collect::<Vec<_>>()
    };
    assert_eq!(told(&sample()), []);
    assert_eq!(told(&routed()), []);
    let translated = with(routed(), "/gateway/nat_route_translation", json!(true));
    assert_eq!(told(&translated), [], "it is acted on");
    let short = |path: &str| (path.to_owned(), Reason::BgpTimersShort);
    let found = told(&with(routed(), "/gateway/bgp/keepalive_s", json!(59)));
    assert_eq!(found, [short("/gateway/bgp/hold_time_s")]);
    let found = told(&with(routed(), "/connections/to-b/bgp/hold_time_s", json!(179)));
    assert_eq!(found, [short("/connections/to-b/bgp/hold_time_s")]);
}

#[test]
fn the_impact_tells_which_peers_lose_their_session() {
    let old = check(&routed()).unwrap();
    let told = |document: &Value| {
        let found = impact(&old, &check(document).unwrap(), None);
        let peers = found.bgp_peers;
        assert_eq!(found.connections.reset, [""; 0], "the tunnel stays");
        [peers.reset, peers.changed_in_place, peers.added, peers.removed].map(|names| names.join(" "))
    };
    let changed = |pointer: &str, value: Value| told(&with(routed(), pointer, value));
    let none = [""; 4];
    assert_eq!(told(&routed()), none);
    assert_eq!(changed("/connections/to-b/bgp/passive", json!(false)), none);
    for (pointer, value) in [
        ("/gateway/bgp/asn", json!(65011)),
        ("/gateway/bgp/router_id", json!("10.1.0.7")),
        ("/gateway/bgp/hold_time_s", json!(240)),
        ("/gateway/bgp/keepalive_s", json!(50)),
    ] {
        assert_eq!(changed(pointer, value), ["b c", "", "", ""], "{pointer}");
    }
    for (pointer, value) in [
        ("/sites/b/bgp/asn", json!(64_513)),
        ("/sites/b/bgp/address", json!("169.254.21.9")),
        ("/connections/to-b/bgp/local_address", json!("169.254.22.2")),
        ("/connections/to-b/bgp/hold_time_s", json!(200)),
        ("/connections/to-b/bgp/md5_secret", json!("bgp-b")),
        ("/connections/to-b/bgp/ttl_security", json!(1)),
        ("/connections/to-b/bgp/role", json!("customer")),
        ("/connections/to-b/bgp/families", json!(["ipv4"])),
        ("/connections/to-b/bgp/add_path_receive", json!(false)),
    ] {
        assert_eq!(changed(pointer, value), ["b", "", "", ""], "{pointer}");
    }
    for (pointer, value) in [
        ("/connections/to-b/bgp/passive", json!(true)),
        ("/connections/to-b/bgp/bfd", json!({})),
        ("/connections/to-b/bgp/maximum_prefixes", json!(10)),
        ("/connections/to-b/bgp/restart_after_s", json!(600)),
        ("/connections/to-b/bgp/local_preference", json!(200)),
    ] {
        assert_eq!(changed(pointer, value), ["", "b", "", ""], "{pointer}");
    }
    assert_eq!(
        changed("/gateway/nat_route_translation", json!(true)),
        ["", "b c", "", ""]
    );
    assert_eq!(changed("/gateway/bgp/advertise", json!([])), ["", "b c", "", ""]);
    assert_eq!(changed("/sites/b/bgp/internal", json!(false)), none);
    assert_eq!(changed("/connections/to-b/bgp", json!(null)), ["", "", "", "b"]);
    assert_eq!(told(&second(json!({}))), none, "it shares the session");
    assert_eq!(
        told(&second(json!({ "local_address": "169.254.22.2" }))),
        ["", "b", "", ""]
    );
    let all = impact(&check(&sample()).unwrap(), &old, None);
    assert_eq!(all.bgp_peers.added, ["b", "c"]);
    assert_eq!(all.connections.changed_in_place, ["to-b", "to-c"]);
    let disabled = check(&with(routed(), "/connections/to-b/enabled", json!(false))).unwrap();
    assert_eq!(impact(&old, &disabled, None).bgp_peers.removed, ["b"]);
}
