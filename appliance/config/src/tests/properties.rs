use proptest::prelude::*;
use serde_json::{Value, json};

use super::sample::{certified, check, machine, sample};
use crate::{canonical, parse, with_defaults};

const MEANINGFUL: &[&str] = &[
    "b",
    "to-b",
    "default",
    "psk",
    "modern",
    "gcm",
    "AES256",
    "SHA1",
    "10.0.0.0/8",
    "192.0.2.1",
    "10.1.0.1/24",
    "lan0",
    "dhcp",
    "static",
    "edge",
    "pkcs11:object=edge",
    "",
];

/// A value of any shape, often one that means something somewhere in the document.
fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(|number| json!(number)),
        prop::sample::select(MEANINGFUL).prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 6, |inner| {
        let keys = prop_oneof![
            Just("site".to_owned()),
            Just("address".to_owned()),
            any::<String>()
        ];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(keys, inner, 0..4).prop_map(Value::from_iter),
        ]
    })
}

/// Puts `value` somewhere into `document`: the way down is chosen by `turns`.
fn mutate(document: &mut Value, turns: &[usize], value: Value) {
    let Some((turn, rest)) = turns.split_first() else {
        *document = value;
        return;
    };
    let child = match document {
        Value::Object(map) if !map.is_empty() => map.values_mut().nth(turn % 4),
        Value::Array(list) if !list.is_empty() => list.get_mut(turn % 2),
        _ => None,
    };
    match child {
        Some(child) => mutate(child, rest, value),
        None => *document = value,
    }
}

fn name() -> impl Strategy<Value = String> {
    "[a-zA-Z0-9_][a-zA-Z0-9._-]{0,62}"
}

/// A document that keeps every rule: as many sites as there are names, one connection to each.
fn valid_document() -> impl Strategy<Value = Value> {
    let word = |words: &'static [&'static str]| prop::sample::select(words);
    let ciphers = word(&[
        "GCMAES128",
        "GCMAES192",
        "GCMAES256",
        "AES128",
        "AES192",
        "AES256",
        "CHACHA20POLY1305",
    ]);
    let hash = word(&["SHA1", "SHA256", "SHA384", "SHA512"]);
    let group = word(&["DHGroup2", "DHGroup14", "DHGroup24", "ECP256", "ECP521", "X25519"]);
    let names = prop::collection::btree_set(name(), 0..8);
    let numbers = (9..=3600u64, 576..=9000u64, any::<bool>());
    (names, ciphers, hash, group, numbers).prop_map(|(names, cipher, hash, group, (dpd, mtu, enabled))| {
        let integrity = if cipher.starts_with("GCM") || cipher.starts_with("CHACHA") {
            cipher
        } else {
            hash
        };
        let mut document = json!({
            "gateway": {
                "ip_configurations": { "wan": { "address": "192.0.2.1" } }, "address_space": ["10.255.0.0/16"]
            },
            "sites": {}, "connections": {},
            "policies": { "p": {
                "ike": { "encryption": cipher, "integrity": hash, "dh_group": group },
                "ipsec": { "encryption": cipher, "integrity": integrity }
            } }
        });
        for (index, name) in names.iter().enumerate() {
            let endpoint = format!("198.51.100.{}", index + 1);
            let prefix = format!("10.{index}.0.0/16");
            document["sites"][name] = json!({ "endpoint": endpoint, "address_space": [prefix] });
            document["connections"][name] = json!({
                "site": name, "policy": "p", "enabled": enabled, "dpd_timeout_s": dpd, "mtu": mtu,
                "authentication": { "method": "psk", "secret": name }
            });
        }
        document
    })
}

proptest! {
    #[test]
    fn a_valid_document_survives_being_written_in_other_ways(document in valid_document()) {
        let valid = check(&document).unwrap();
        prop_assert_eq!(valid.connections.len(), document["connections"].as_object().unwrap().len());
        let pretty = serde_json::to_string_pretty(&document).unwrap();
        let again: Value = serde_json::from_str(&pretty).unwrap();
        prop_assert_eq!(parse(pretty.as_bytes()), Ok(valid.clone()));
        prop_assert_eq!(check(&again), Ok(valid));
    }

    #[test]
    fn a_changed_document_is_read_or_refused_at_a_path(
        of in prop::sample::select(vec![sample(), machine(), certified()]),
        changes in prop::collection::vec((prop::collection::vec(any::<usize>(), 0..6), any_value()), 1..4),
    ) {
        let mut document = of;
        for (turns, value) in changes {
            mutate(&mut document, &turns, value);
        }
        let checked = check(&document);
        if let Ok(config) = &checked {
            let filled = with_defaults(&document).unwrap();
            prop_assert_eq!(&check(&filled).unwrap(), config, "defaults written out are no change");
            prop_assert_eq!(&check(&canonical(&document)).unwrap(), config, "nor is null");
        }
        if let Err(problems) = checked {
            prop_assert!(!problems.is_empty());
            prop_assert!(problems.iter().all(|problem| problem.path.is_empty() || problem.path.starts_with('/')));
        }
    }

    #[test]
    fn changed_bytes_are_read_or_refused(at in any::<prop::sample::Index>(), bytes in any::<Vec<u8>>(), cut in 0..8usize) {
        let mut document = sample().to_string().into_bytes();
        let start = at.index(document.len());
        let end = document.len().min(start + cut);
        document.splice(start..end, bytes);
        if let Err(problems) = parse(&document) {
            prop_assert!(!problems.is_empty());
        }
    }
}
