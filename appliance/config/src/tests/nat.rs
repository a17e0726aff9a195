use serde_json::{Value, json};

use super::sample::{check, faults, sample, translated, with, without};
use crate::model::{ConnectionNat, NatMode, Translation};
use crate::{Change, Reason, changes, held, notices};

pub(super) fn rule(mode: &str, internal: &str, external: &str) -> Value {
    json!({ "type": "Static", "mode": mode, "internal": { "prefix": internal }, "external": { "prefix": external } })
}

pub(super) fn refused(document: &Value) -> Vec<(String, Reason)> {
    let problems = check(document).unwrap_err().into_iter();
    problems.map(|problem| (problem.path, problem.reason)).collect()
}

#[test]
fn nothing_is_translated_unless_written() {
    let found = check(&sample()).unwrap();
    assert!(found.nat_rules.is_empty());
    assert_eq!(found.connections["to-b"].nat, ConnectionNat::default());
}

#[test]
fn rules_are_read_with_their_defaults() {
    let found = check(&translated()).unwrap();
    let few = &found.nat_rules["few"];
    assert_eq!(few.mode, NatMode::EgressSnat);
    assert_eq!(
        few.translation,
        Translation::Dynamic {
            ports: vec![1024..=65_535]
        }
    );
    assert_eq!(few.ip_configuration, None);
    let nat = &found.connections["to-b"].nat;
    assert_eq!(nat.ingress["b-in"], found.nat_rules["b-in"]);
    assert_eq!(nat.egress.len(), 2);
}

#[test]
fn a_default_written_out_is_no_change_and_neither_is_the_order_of_rules() {
    for (pointer, value) in [
        ("/nat_rules/few/external/ports", json!(["1024-65535"])),
        ("/nat_rules/few/ip_configuration", Value::Null),
        ("/nat_rules/b-in/internal/port", Value::Null),
        ("/connections/to-b/nat/egress", json!(["to-b", "few"])),
        ("/connections/to-c/nat", json!({ "ingress": [], "egress": null })),
        ("/connections/to-c/nat", Value::Null),
    ] {
        assert_eq!(
            check(&with(translated(), pointer, value)),
            check(&translated()),
            "{pointer}"
        );
    }
}

#[test]
fn a_dynamic_rule_may_have_ports_of_its_own() {
    let ports = json!(["40000-50000", "2000", "3000-3999"]);
    let found = check(&with(translated(), "/nat_rules/few/external/ports", ports)).unwrap();
    let expected = vec![2000..=2000, 3000..=3999, 40_000..=50_000];
    assert_eq!(
        found.nat_rules["few"].translation,
        Translation::Dynamic { ports: expected }
    );
    check(&with(
        translated(),
        "/nat_rules/few/external/prefix",
        json!("100.64.9.1/32"),
    ))
    .unwrap();
}

pub(super) fn four_alike() -> Value {
    let mut document = json!({
        "gateway": { "ip_configurations": { "wan": { "address": "192.0.2.1" } }, "address_space": ["10.0.0.0/24"] },
        "sites": {}, "connections": {}, "nat_rules": { "ours": rule("EgressSnat", "10.0.0.0/24", "100.64.0.0/24") }
    });
    for number in 1..=3 {
        let name = format!("s{number}");
        document["sites"][&name] =
            json!({ "endpoint": format!("198.51.100.{number}"), "address_space": ["10.0.0.0/24"] });
        document["connections"][&name] = json!({
            "site": name, "authentication": { "method": "psk", "secret": "s" },
            "nat": { "ingress": [name], "egress": ["ours"] }
        });
        document["nat_rules"][&name] = rule("IngressSnat", "10.0.0.0/24", &format!("100.64.{number}.0/24"));
    }
    document
}

#[test]
fn sites_may_overlap_where_rules_tell_them_apart() {
    let found = check(&four_alike()).unwrap();
    let spaces: Vec<String> = found
        .spaces()
        .values()
        .map(|space| format!("{space:?}"))
        .collect();
    assert_eq!(spaces, ["[100.64.1.0/24]", "[100.64.2.0/24]", "[100.64.3.0/24]"]);
    let without_rule = with(four_alike(), "/connections/s2/nat/ingress", json!([]));
    assert_eq!(
        refused(&without_rule),
        [(
            "/sites/s2/address_space/0".to_owned(),
            Reason::AddressSpaceOverlap
        )]
    );
    let one_sided = with(four_alike(), "/connections/s2/nat/egress", json!([]));
    assert_eq!(
        refused(&one_sided),
        [(
            "/connections/s2/nat/egress".to_owned(),
            Reason::AddressSpaceOverlap
        )]
    );
}

#[test]
fn what_no_rule_translates_still_overlaps() {
    let half = with(
        four_alike(),
        "/nat_rules/s2",
        rule("IngressSnat", "10.0.0.0/25", "100.64.2.0/25"),
    );
    assert_eq!(
        refused(&half),
        [(
            "/sites/s2/address_space/0".to_owned(),
            Reason::AddressSpaceOverlap
        )]
    );
    let mut port = rule("IngressSnat", "10.0.0.0/24", "100.64.2.0/24");
    port["internal"]["port"] = json!(80);
    port["external"]["port"] = json!(8080);
    assert_eq!(
        refused(&with(four_alike(), "/nat_rules/s2", port)),
        [(
            "/sites/s2/address_space/0".to_owned(),
            Reason::AddressSpaceOverlap
        )],
        "other ports are not translated"
    );
    let mut second = four_alike()["connections"]["s2"].clone();
    second["endpoint"] = json!("198.51.100.22");
    second["nat"] = json!({ "egress": ["ours"] });
    let beside = with(four_alike(), "/connections/s2-again", second.clone());
    assert_eq!(
        refused(&beside),
        [(
            "/sites/s2/address_space/0".to_owned(),
            Reason::AddressSpaceOverlap
        )],
        "on the second connection"
    );
    second["nat"] = json!({ "ingress": ["s2"], "egress": ["ours"] });
    check(&with(beside, "/connections/s2-again", second)).unwrap();
}

#[test]
fn what_is_left_of_a_prefix_keeps_its_place() {
    let document = with(
        sample(),
        "/nat_rules",
        json!({ "in": rule("IngressSnat", "10.2.0.64/26", "100.64.0.0/26") }),
    );
    let document = with(document, "/connections/to-b/nat", json!({ "ingress": ["in"] }));
    let found = check(&document).unwrap();
    let space = format!(
        "{:?}",
        found.spaces()["b".parse::<crate::model::Name>().as_ref().unwrap()]
    );
    assert_eq!(space, "[10.2.0.0/26, 10.2.0.128/25, 100.64.0.0/26]");
    let beside = with(
        document.clone(),
        "/sites/c/address_space",
        json!(["10.2.0.64/26"]),
    );
    check(&beside).unwrap();
    let overlapping = with(document, "/sites/c/address_space", json!(["10.2.0.128/26"]));
    assert_eq!(
        refused(&overlapping),
        [("/sites/c/address_space/0".to_owned(), Reason::AddressSpaceOverlap)]
    );
}

#[test]
fn a_site_is_not_shown_our_network_as_part_of_its_own() {
    let document = with(
        sample(),
        "/nat_rules",
        json!({ "out": rule("EgressSnat", "10.1.0.0/24", "10.9.0.0/24") }),
    );
    let document = with(document, "/connections/to-b/nat", json!({ "egress": ["out"] }));
    check(&document).unwrap();
    let mut inner = rule("IngressSnat", "10.9.0.0/16", "100.64.0.0/16");
    inner["ip_configuration"] = json!("default");
    let document = with(document, "/nat_rules/in", inner);
    let document = with(document, "/sites/b/address_space", json!(["10.9.0.0/16"]));
    let document = with(
        document,
        "/connections/to-b/nat",
        json!({ "ingress": ["in"], "egress": ["out"] }),
    );
    assert_eq!(
        refused(&document),
        [(
            "/connections/to-b/nat/egress".to_owned(),
            Reason::NatMappingOverlap
        )]
    );
}

#[test]
fn an_ingress_rule_is_for_one_site_and_a_static_egress_rule_for_all() {
    let document = with(translated(), "/sites/c/address_space", json!(["10.1.0.0/24"]));
    let document = with(document, "/connections/to-c/bgp", Value::Null);
    let document = with(
        document,
        "/connections/to-c/nat",
        json!({ "ingress": ["b-in"], "egress": ["to-b"] }),
    );
    assert_eq!(
        refused(&document),
        [("/connections/to-c/nat/ingress".to_owned(), Reason::NatRuleShared)]
    );
    let own = with(
        document,
        "/nat_rules/c-in",
        rule("IngressSnat", "10.1.0.0/24", "100.64.3.0/24"),
    );
    let own = with(own, "/connections/to-c/nat/ingress", json!(["c-in"]));
    let own = with(own, "/gateway/bgp", Value::Null);
    check(&own).unwrap();
    let dynamic = with(own, "/connections/to-c/nat/egress", json!(["to-b", "few"]));
    assert_eq!(
        refused(&dynamic),
        [("/connections/to-c/nat/egress".to_owned(), Reason::NatRuleShared)],
        "a dynamic one is for one connection"
    );
}

#[test]
fn rules_for_ports_of_their_own_may_share_an_address() {
    let port = |internal: &str, port: u16| {
        let mut rule = rule("IngressSnat", internal, "100.64.0.1/32");
        rule["internal"]["port"] = json!(443);
        rule["external"]["port"] = json!(port);
        rule
    };
    let rules = json!({ "one": port("10.2.0.1/32", 443), "two": port("10.2.0.2/32", 8443) });
    let document = with(sample(), "/nat_rules", rules);
    let document = with(
        document,
        "/connections/to-b/nat",
        json!({ "ingress": ["one", "two"] }),
    );
    check(&document).unwrap();
    assert_eq!(
        refused(&with(document, "/nat_rules/two/external/port", json!(443))),
        [(
            "/nat_rules/two/external/prefix".to_owned(),
            Reason::NatMappingOverlap
        )]
    );
}

#[test]
fn two_addresses_of_ours_may_have_the_same_rule_each() {
    let twin = |configuration: &str| {
        let mut rule = rule("IngressSnat", "10.2.0.0/24", "100.64.2.0/24");
        rule["ip_configuration"] = json!(configuration);
        rule
    };
    let rules = json!({ "one": twin("default"), "two": twin("six") });
    let document = with(sample(), "/nat_rules", rules);
    let document = with(document, "/connections/to-b/nat", json!({ "ingress": ["one"] }));
    check(&document).unwrap();
    assert_eq!(
        refused(&with(
            document,
            "/nat_rules/two/ip_configuration",
            json!("default")
        )),
        [(
            "/nat_rules/two/external/prefix".to_owned(),
            Reason::NatMappingOverlap
        )]
    );
}

#[test]
fn an_outer_address_is_in_no_prefix_that_leads_into_a_tunnel() {
    let document = |mode: &str| {
        let internal = if mode == "EgressSnat" {
            "10.1.0.1/32"
        } else {
            "10.2.0.1/32"
        };
        with(
            sample(),
            "/nat_rules",
            json!({ "r": rule(mode, internal, "192.0.2.3/32") }),
        )
    };
    assert_eq!(
        refused(&document("IngressSnat")),
        [("/sites/c/endpoint".to_owned(), Reason::EndpointInsideAddressSpace)]
    );
    check(&document("EgressSnat")).unwrap();
}

#[test]
fn a_rule_has_a_name_without_a_slash() {
    let rules = json!({ "a/b": rule("EgressSnat", "10.1.0.0/24", "100.64.0.0/24") });
    assert_eq!(
        refused(&with(sample(), "/nat_rules", rules)),
        [("/nat_rules/a~1b".to_owned(), Reason::InvalidName)]
    );
}

fn bgp(document: Value, ours: &str, theirs: &str) -> Value {
    let document = with(
        document,
        "/gateway/bgp",
        json!({ "asn": 65010, "addresses": [ours], "router_id": "10.1.0.1" }),
    );
    let document = with(document, "/connections/to-c/bgp", Value::Null);
    let document = with(
        document,
        "/sites/b/bgp",
        json!({ "asn": 64512, "address": theirs }),
    );
    with(document, "/connections/to-b/bgp", json!({}))
}

#[test]
fn bgp_ends_are_not_translated() {
    check(&bgp(translated(), "10.99.0.1", "10.98.0.1")).unwrap();
    let cases = [
        (
            "169.254.21.2",
            "169.254.21.1",
            "/connections/to-b/nat",
            Reason::NatWithApipa,
        ),
        (
            "10.1.0.9",
            "10.98.0.1",
            "/connections/to-b/nat/egress",
            Reason::NatCoversBgpAddress,
        ),
        (
            "100.64.1.1",
            "10.98.0.1",
            "/nat_rules/to-b/external/prefix",
            Reason::NatCoversBgpAddress,
        ),
        (
            "10.99.0.1",
            "100.64.2.1",
            "/nat_rules/b-in/external/prefix",
            Reason::NatCoversBgpAddress,
        ),
    ];
    for (ours, theirs, path, reason) in cases {
        let document = bgp(translated(), ours, theirs);
        let document = with(document, "/connections/to-b/addresses", json!([]));
        assert_eq!(refused(&document), [(path.to_owned(), reason)], "{ours} {theirs}");
    }
}

#[test]
fn a_peer_in_its_site_is_not_translated_either() {
    let rules = json!({ "in": rule("IngressSnat", "10.2.0.0/24", "100.64.0.0/24") });
    let document = with(sample(), "/nat_rules", rules);
    let document = with(document, "/connections/to-b/nat", json!({ "ingress": ["in"] }));
    let document = bgp(document, "10.99.0.1", "10.2.0.1");
    assert_eq!(
        refused(&document),
        [(
            "/connections/to-b/nat/ingress".to_owned(),
            Reason::NatCoversBgpAddress
        )]
    );
    let learnt = with(document, "/sites/b/address_space", json!([]));
    let learnt = with(learnt, "/sites/b/bgp/address", json!("10.98.0.1"));
    check(&learnt).unwrap();
}

#[test]
fn the_number_of_rules_is_bounded_by_a_setting() {
    let many = |count: u16| {
        let rules = (0..count).map(|n| {
            (
                format!("r{n}"),
                rule(
                    "EgressSnat",
                    "10.1.0.0/32",
                    &format!("100.64.{}.{}/32", n / 256, n % 256),
                ),
            )
        });
        with(sample(), "/nat_rules", Value::from_iter(rules))
    };
    let limit = |count: u16| with(many(count), "/gateway/limits", json!({ "nat_rules": 500 }));
    check(&many(100)).unwrap();
    assert_eq!(
        refused(&many(101)),
        [("/nat_rules".to_owned(), Reason::NatRuleLimit)]
    );
    check(&limit(500)).unwrap();
    assert_eq!(
        refused(&limit(501)),
        [("/nat_rules".to_owned(), Reason::NatRuleLimit)]
    );
}

#[test]
fn one_fault_of_a_rule_is_told_once() {
    let document = with(four_alike(), "/nat_rules/s2/type", json!("static"));
    assert_eq!(
        refused(&document),
        [("/nat_rules/s2/type".to_owned(), Reason::UnknownWord)]
    );
    let document = with(four_alike(), "/connections/s2/enabled", json!(1));
    assert_eq!(
        refused(&document),
        [("/connections/s2/enabled".to_owned(), Reason::WrongType)]
    );
    let document = with(four_alike(), "/nat_rules", json!(1));
    assert_eq!(refused(&document), [("/nat_rules".to_owned(), Reason::WrongType)]);
}

#[test]
fn all_faults_of_rules_are_told_at_once() {
    let document = with(
        translated(),
        "/nat_rules/few/external/prefix",
        json!("100.64.0.0/16"),
    );
    let document = with(
        document,
        "/nat_rules/idle/external/prefix",
        json!("100.64.77.0/25"),
    );
    let document = with(document, "/nat_rules/to-b/mode", json!("egress"));
    let document = with(document, "/connections/to-b/nat/ingress", json!(["b-in", "x"]));
    let problems = check(&document).unwrap_err();
    assert_eq!(
        faults(&problems),
        [
            ("/connections/to-b/nat/ingress/1", Reason::DanglingReference),
            ("/nat_rules/few/external", Reason::NatPoolTooLarge),
            ("/nat_rules/idle/external", Reason::NatLengthsDiffer),
            ("/nat_rules/to-b/mode", Reason::UnknownWord),
        ]
    );
}

#[test]
fn rules_hold_no_connection() {
    let found = check(&translated()).unwrap();
    assert_eq!(held(&found.connections["to-b"]), None);
    assert_eq!(notices(&found), []);
}

#[test]
fn a_rule_changes_its_connections_in_place() {
    let old = check(&translated()).unwrap();
    let new = check(&with(
        translated(),
        "/nat_rules/b-in/external/prefix",
        json!("100.64.5.0/24"),
    ))
    .unwrap();
    let changes = changes(&old, &new);
    assert_eq!(
        (changes["to-b"], changes["to-c"]),
        (Change::InPlace, Change::Unchanged)
    );
    let unused = check(&without(translated(), "/nat_rules/idle")).unwrap();
    assert_eq!(crate::changes(&old, &unused)["to-b"], Change::Unchanged);
    assert_ne!(old, unused);
}
