use jsonschema::Validator;
use serde_json::{Value, json};

use super::sample::{certified, check, machine, refused, routed, sample, translated, with, without};
use crate::{Reason, schema, with_defaults};

fn validator() -> Validator {
    jsonschema::validator_for(schema().as_value()).unwrap()
}

/// The sample with everything in it that may be left out.
fn whole() -> Value {
    let lines =
        json!({ "kind": "custom", "lines": [{ "local": ["10.1.0.0/25"], "remote": ["10.2.0.0/24"] }] });
    let additions = [
        ("/connections/to-b/selectors", lines),
        (
            "/connections/to-b/mobike",
            json!({ "ip_configurations": ["six"] }),
        ),
        (
            "/connections/to-b/authentication/ppk",
            json!({ "id": "x", "secret": "p" }),
        ),
        ("/policies/gcm/ike/additional_key_exchanges", json!(["MLKEM768"])),
        ("/policies/gcm/ipsec/lifetime_kb", json!(0)),
        ("/policies/gcm/ipsec/pfs_group", json!("PFS2048")),
    ];
    additions
        .into_iter()
        .fold(sample(), |document, (pointer, value)| {
            with(document, pointer, value)
        })
}

#[test]
fn the_schema_takes_what_the_rules_take() {
    for document in [
        sample(),
        whole(),
        machine(),
        certified(),
        routed(),
        without(sample(), "/connections"),
    ] {
        assert!(check(&document).is_ok());
        let problems: Vec<String> = validator()
            .iter_errors(&document)
            .map(|error| format!("{}: {error}", error.instance_path()))
            .collect();
        assert_eq!(problems, [""; 0]);
    }
}

/// Faults of shape, word and bound are faults by the schema too, but for those that follow from another member.
#[test]
fn the_schema_refuses_what_the_rules_refuse_by_shape() {
    let validator = validator();
    let by_shape = [
        Reason::UnknownKey,
        Reason::WrongType,
        Reason::OutOfRange,
        Reason::UnknownWord,
        Reason::MissingKey,
        Reason::NotInThisVersion,
        Reason::InvalidName,
    ];
    let words = by_shape.map(Reason::word);
    let follows_from_another = [
        "/connections/to-b/tcp_mss | 1361",
        "/connections/to-b/selectors | {\"kind\": \"custom\"}",
        "/connections/to-c/endpoint | \"any\"",
        "/connections/to-c/mtu | 1279",
        "/gateway/ip_configurations/wan | {}",
        "/interfaces/wan0/mtu | 1279",
        "/connections/to-b/authentication | {\"method\": \"psk\", \"secret\": \"s\", \"certificate\"",
        "/connections/to-c/authentication | {\"method\": \"certificate\"",
        "/connections/to-c/authentication/secret |",
        "/connections/to-c/authentication/peer | {\"secret\"",
        "/connections/to-c/authentication/transition | {\"from\"",
        "/connections/to-b/authentication/peer | {\"subject\"",
        "/certificates/edge-file/chain | null",
        "/key_providers/disk/module",
        "/key_providers/hsm/identity",
        "/key_providers/hsm/module | null",
        "/key_providers/vault/identity | null",
        "/key_providers/vault/identity | {\"managed\": \"user-assigned\"}",
        "/key_providers/vault/identity | {\"managed\": \"system-assigned\", \"client_id\"",
        "/interfaces/wan0/match | {}",
        "/interfaces/lan0.20/mtu | 9001",
        "/interfaces/lan0/ipv4 | {\"method\": \"static\"}",
        "/interfaces/lan0/ipv4 | {\"method\": \"dhcp\", \"gateway\"",
        "/gateway/bgp/keepalive_s | 61",
        "/nat_rules/few/external/ports | [\"",
        "/route_policies/in/terms/0/match/prefixes/0 | ",
        "/route_policies/in/terms/0/match/as_path_length | {",
    ];
    let mut tried = 0;
    for (document, columns) in refused() {
        let case = columns.join(" | ");
        let follows = follows_from_another.iter().any(|prefix| case.starts_with(prefix));
        if !words.contains(&columns[2]) || follows {
            continue;
        }
        assert!(!validator.is_valid(&document), "{case}");
        tried += 1;
    }
    assert!(tried > 30, "{tried}");
}

#[test]
fn defaults_written_out_change_nothing_and_leave_nothing_out() {
    for document in [sample(), whole(), machine(), certified(), routed(), translated()] {
        let filled = with_defaults(&document).unwrap();
        assert_eq!(check(&filled), check(&document));
        assert_eq!(with_defaults(&filled).unwrap(), filled);
        assert!(validator().is_valid(&filled));
    }
    let filled = with_defaults(&sample()).unwrap();
    let found = &filled["connections"]["to-c"];
    let described = schema().as_value()["$defs"]["Connection"]["properties"].clone();
    for key in described.as_object().unwrap().keys() {
        assert_eq!(
            found.get(key).is_none(),
            ["bgp", "idle_timeout_s", "mobike", "reauthenticate_s"].contains(&key.as_str()),
            "{key}"
        );
    }
    assert_eq!(found["tcp_mss"], 1350);
    assert_eq!(
        found["authentication"],
        json!({ "method": "psk", "secret": "psk-c", "local_id": "192.0.2.1", "remote_id": "192.0.2.3" })
    );
    let null = with(sample(), "/connections/to-c/policy", Value::Null);
    assert_eq!(
        with_defaults(&null).unwrap()["connections"]["to-c"]["policy"],
        "modern"
    );
    let small = with(sample(), "/connections/to-c/mtu", json!(1300));
    assert_eq!(
        with_defaults(&small).unwrap()["connections"]["to-c"]["tcp_mss"],
        1260
    );
    let anywhere = with(sample(), "/sites/c/endpoint", json!("any"));
    let anywhere = with(
        anywhere,
        "/connections/to-c/authentication/remote_id",
        json!("c.example"),
    );
    let filled = with_defaults(&anywhere).unwrap();
    assert_eq!(check(&filled), check(&anywhere));
    assert_eq!(filled["connections"]["to-c"]["mode"], "ResponderOnly");
}
