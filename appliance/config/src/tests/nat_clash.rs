use serde_json::{Value, json};

use super::nat::{four_alike, refused, rule};
use super::sample::{check, faults, sample, with};
use crate::Reason;

#[test]
fn a_rule_of_which_longer_ones_leave_nothing_is_told_with_them() {
    let rules = json!({
        "all": rule("IngressSnat", "10.2.0.0/24", "100.64.2.0/24"),
        "low": rule("IngressSnat", "10.2.0.0/25", "100.64.3.0/25"),
        "high": rule("IngressSnat", "10.2.0.128/25", "100.64.3.128/25"),
    });
    let document = with(sample(), "/nat_rules", rules);
    let list = |names: Value| {
        with(
            document.clone(),
            "/connections/to-b/nat",
            json!({ "ingress": names }),
        )
    };
    check(&list(json!(["all", "low"]))).unwrap();
    let problems = check(&list(json!(["all", "low", "high"]))).unwrap_err();
    assert_eq!(
        faults(&problems),
        [("/connections/to-b/nat/ingress", Reason::NatRuleShadowed)]
    );
    let detail = &problems[0].detail;
    assert!(
        detail.contains("all never translates: high and low say all of 10.2.0.0/24"),
        "{detail}"
    );
    let mut web = rule("IngressSnat", "10.2.0.128/25", "100.64.3.128/25");
    web["internal"]["port"] = json!(80);
    web["external"]["port"] = json!(8080);
    check(&with(list(json!(["all", "low", "high"])), "/nat_rules/high", web)).unwrap();
}

#[test]
fn what_shares_external_addresses_leads_to_one_place() {
    let port = |internal: &str, port: u16| {
        let mut rule = rule("IngressSnat", internal, "100.64.0.1/32");
        rule["internal"]["port"] = json!(443);
        rule["external"]["port"] = json!(port);
        rule
    };
    let rules = json!({ "one": port("10.2.0.1/32", 443), "two": port("10.2.0.2/32", 8443) });
    let document = with(sample(), "/nat_rules", rules);
    let document = with(document, "/connections/to-b/nat", json!({ "ingress": ["one"] }));
    let document = with(document, "/sites/c/address_space", json!(["10.2.0.0/24"]));
    let document = with(document, "/sites/b/address_space", json!(["10.2.0.1/32"]));
    let document = with(document, "/connections/to-c/nat", json!({ "ingress": ["two"] }));
    let problems = check(&document).unwrap_err();
    let expected = ("/connections/to-c/nat/ingress", Reason::NatMappingOverlap);
    let found = problems
        .iter()
        .find(|problem| (&*problem.path, problem.reason) == expected);
    assert!(
        found.unwrap().detail.contains("one and two share 100.64.0.1/32"),
        "{problems:?}"
    );
}

#[test]
fn a_port_of_ipv6_is_translated_for_one_host() {
    let port = |length: u8| {
        let mut rule = rule(
            "EgressSnat",
            &format!("fd01::/{length}"),
            &format!("fd64::/{length}"),
        );
        rule["internal"]["port"] = json!(443);
        rule["external"]["port"] = json!(8443);
        with(sample(), "/nat_rules", json!({ "r": rule }))
    };
    check(&port(128)).unwrap();
    assert_eq!(
        refused(&port(120)),
        [("/nat_rules/r/internal".to_owned(), Reason::NatPortsNotAllowed)]
    );
}

#[test]
fn no_more_sites_are_translated_than_can_be_told_apart() {
    let document = |count: u16| {
        let mut document = four_alike();
        document["gateway"]["limits"] = json!({ "nat_rules": 500 });
        for number in 4..=count {
            let (name, third, last) = (format!("s{number}"), number / 256, number % 256);
            document["sites"][&name] = json!({
                "endpoint": format!("198.51.{}.{last}", 101 + third), "address_space": ["10.0.0.0/24"]
            });
            document["connections"][&name] = json!({
                "site": name, "authentication": { "method": "psk", "secret": "s" },
                "nat": { "ingress": [name], "egress": ["ours"] }
            });
            document["nat_rules"][&name] = rule(
                "IngressSnat",
                "10.0.0.0/24",
                &format!("100.{}.{last}.0/24", 65 + third),
            );
        }
        document
    };
    check(&document(255)).unwrap();
    assert_eq!(
        refused(&document(256)),
        [("/connections".to_owned(), Reason::NatRuleLimit)]
    );
}
