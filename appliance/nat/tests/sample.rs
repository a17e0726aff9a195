//! Programs of a small gateway: what the script says, and that numbers are kept.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::collections::{BTreeMap, BTreeSet};

use appliance_nat::{Counted, Kind, Numbers, Program, Rule, Rules, TooMany, Tunnel, compile};

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

/// A rule that says something else is another binding: flows of before are not its own.
#[test]
fn a_rule_that_changes_is_another_binding() {
    let mut rules = overlapping();
    let before = compile(&rules, &Numbers::default()).unwrap();
    let changed = rules
        .tunnels
        .get_mut("one")
        .unwrap()
        .ingress
        .get_mut("first")
        .unwrap();
    changed.external = "100.64.77.0/24".parse().unwrap();
    let after = compile(&rules, before.numbers()).unwrap();
    let id = |program: &Program| {
        let mut all = program.bindings().iter();
        let of = all.find(|(_, binding)| binding.name == "first");
        *of.unwrap().0
    };
    assert_ne!(id(&before), id(&after));
    assert!(!before.bindings().contains_key(&id(&after)));
}

/// The same rule on two connections is two bindings, each with a counter of its own.
#[test]
fn a_shared_rule_is_a_binding_on_each_connection() {
    let program = compile(&overlapping(), &Numbers::default()).unwrap();
    let shared = program
        .bindings()
        .values()
        .filter(|binding| binding.name == "ours");
    let keys: BTreeSet<String> = shared.map(|binding| binding.key.to_string()).collect();
    assert_eq!(keys.len(), 2);
}

/// More sites than a zone can tell apart are refused.
#[test]
fn too_many_sites() {
    let of = |count: u16| Rules {
        tunnels: (1..=count)
            .map(|number| {
                let rule = whole(
                    "10.0.0.0/24",
                    &format!("100.{}.{}.0/24", 64 + number / 256, number % 256),
                );
                (format!("to-{number}"), tunnel(number, &[("rule", rule)], &[]))
            })
            .collect(),
    };
    assert!(compile(&of(255), &Numbers::default()).is_ok());
    assert_eq!(
        compile(&of(256), &Numbers::default()),
        Err(TooMany::Sites {
            count: 256,
            limit: 255
        })
    );
}

/// nftables 1.0.6 cannot translate a prefix of IPv6 together with a port.
#[test]
fn a_port_of_many_hosts_of_ipv6() {
    let rule = Rule {
        kind: Kind::Static {
            ports: Some((80, 8080)),
        },
        ..whole("fd0a::/120", "fd64::/120")
    };
    let tunnels = [("to-1".to_owned(), tunnel(1, &[("rule", rule)], &[]))].into();
    let prefix = "fd0a::/120".parse().unwrap();
    assert_eq!(
        compile(&Rules { tunnels }, &Numbers::default()),
        Err(TooMany::Hosts { prefix })
    );
}

/// A name cannot say anything to nftables.
#[test]
fn names_are_only_names() {
    let rule = whole("10.0.0.0/24", "100.64.1.0/24");
    let mut evil = tunnel(1, &[("x }\n drop \"", rule)], &[]);
    evil.site = "a\"\n}".into();
    evil.link = "cw-\"}".into();
    let tunnels = [("c\"\n\\".to_owned(), evil)].into();
    let script = compile(&Rules { tunnels }, &Numbers::default())
        .unwrap()
        .script(&BTreeMap::new());
    assert!(!script.contains("drop \""));
    let quotes = |line: &str| line.matches('"').count();
    assert!(script.lines().all(|line| quotes(line) % 2 == 0), "{script}");
}

/// What is no listing of the table says nothing; what is damaged says what can be read.
#[test]
fn listings_that_are_none() {
    assert_eq!(Numbers::from_listing(""), None);
    assert_eq!(Numbers::from_listing("table inet causeway {\n}"), None);
    let damaged = "table inet causeway_nat {\n\tmap counters {\n\t\telements = { 0x00000003 : \"a.0123456789abcdef\", \
                   0x0 : \"b.0123456789abcdef\", 5 : ";
    let numbers = Numbers::from_listing(damaged).unwrap();
    assert_eq!(numbers.bindings.values().copied().collect::<Vec<u16>>(), [3]);
}
