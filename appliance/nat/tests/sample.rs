//! Programs of a small gateway: what the script says, and that numbers are kept.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::collections::BTreeMap;

use appliance_nat::{Counted, Kind, Numbers, Rule, Rules, Tunnel, compile};

fn whole(internal: &str, external: &str) -> Rule {
    Rule {
        kind: Kind::Static { ports: None },
        internal: internal.parse().unwrap(),
        external: external.parse().unwrap(),
    }
}

fn tunnel(number: u16, ingress: &[(&str, Rule)], egress: &[(&str, Rule)]) -> Tunnel {
    let named = |rules: &[(&str, Rule)]| {
        let rules = rules.iter().cloned();
        rules.map(|(name, rule)| (name.to_owned(), rule)).collect()
    };
    Tunnel {
        link: format!("cw-{number}"),
        number,
        site: format!("site-{number}"),
        ingress: named(ingress),
        egress: named(egress),
    }
}

/// A LAN and two sites, all of them 10.0.0.0/24.
fn overlapping() -> Rules {
    let ours = ("ours", whole("10.0.0.0/24", "100.64.0.0/24"));
    let first = [("first", whole("10.0.0.0/24", "100.64.1.0/24"))];
    let second = [
        ("second", whole("10.0.0.0/24", "100.64.2.0/24")),
        ("6th", whole("fd00::/64", "fd01::/64")),
        (
            "web",
            Rule {
                kind: Kind::Static {
                    ports: Some((80, 8080)),
                },
                ..whole("10.0.0.5/32", "100.64.4.1/32")
            },
        ),
        (
            "webs",
            Rule {
                kind: Kind::Static {
                    ports: Some((81, 8081)),
                },
                ..whole("10.0.0.0/24", "100.64.5.0/24")
            },
        ),
        (
            "many",
            Rule {
                kind: Kind::Dynamic {
                    ports: vec![1024..=2047, 5000..=5999],
                },
                ..whole("10.9.0.0/16", "100.64.6.0/29")
            },
        ),
    ];
    let tunnels = [
        ("one".to_owned(), tunnel(1, &first, std::slice::from_ref(&ours))),
        ("two".to_owned(), tunnel(2, &second, &[ours])),
    ];
    Rules {
        tunnels: tunnels.into(),
    }
}

#[test]
fn the_same_rules_make_the_same_script() {
    let program = compile(&overlapping(), &Numbers::default()).unwrap();
    let again = compile(&overlapping(), &Numbers::default()).unwrap();
    assert_eq!(program, again);
    assert_eq!(program.script(&BTreeMap::new()), again.script(&BTreeMap::new()));
}

#[test]
fn counters_begin_with_what_they_have_counted() {
    let program = compile(&overlapping(), &Numbers::default()).unwrap();
    let name = program.bindings()[&1].key.to_string();
    let counted = Counted {
        packets: 7,
        bytes: 900,
    };
    let script = program.script(&BTreeMap::from([(name.clone(), counted)]));
    assert!(script.contains(&format!("counter {name} {{ packets 7 bytes 900 }}")));
}
