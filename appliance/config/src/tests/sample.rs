use serde_json::{Value, json};

use crate::{Problem, Reason, ValidConfig, parse};

/// A document with two sites, in which most fields are written out.
pub(super) fn sample() -> Value {
    json!({
        "schema": 1,
        "gateway": {
            "ip_configurations": { "default": { "address": "192.0.2.1" }, "six": { "address": "2001:db8::1" } },
            "address_space": ["10.1.0.0/24", "fd01::/64"]
        },
        "sites": {
            "b": { "endpoint": "192.0.2.2", "address_space": ["10.2.0.0/24"] },
            "c": { "endpoint": "192.0.2.3", "address_space": ["10.3.0.0/24", "fd03::/64"] }
        },
        "policies": {
            "gcm": {
                "ike": { "encryption": "GCMAES128", "integrity": "SHA256", "dh_group": "X25519" },
                "ipsec": { "encryption": "GCMAES128", "integrity": "GCMAES128" }
            }
        },
        "connections": {
            "to-b": {
                "site": "b", "enabled": true, "protocol": "IKEv2", "mode": "Default",
                "ip_configuration": "default", "policy": "gcm",
                "authentication": {
                    "method": "psk", "secret": "psk-b", "local_id": "192.0.2.1", "remote_id": "192.0.2.2"
                },
                "dpd_timeout_s": 45, "mtu": 1400, "tcp_mss": 1350, "udp_encapsulation": "auto",
                "addresses": ["169.254.21.2/30"]
            },
            "to-c": {
                "site": "c", "ip_configuration": "default",
                "authentication": { "method": "psk", "secret": "psk-c" }
            }
        }
    })
}

/// `document` with `value` at `pointer`, whose parent is there.
pub(super) fn with(mut document: Value, pointer: &str, value: Value) -> Value {
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    match document.pointer_mut(parent).unwrap() {
        Value::Array(list) => list[key.parse::<usize>().unwrap()] = value,
        object => object[key] = value,
    }
    document
}

/// `document` without what stands at `pointer`.
pub(super) fn without(mut document: Value, pointer: &str) -> Value {
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    document
        .pointer_mut(parent)
        .unwrap()
        .as_object_mut()
        .unwrap()
        .remove(key)
        .unwrap();
    document
}

pub(super) fn check(document: &Value) -> Result<ValidConfig, Vec<Problem>> {
    parse(document.to_string().as_bytes())
}

pub(super) fn faults(problems: &[Problem]) -> Vec<(&str, Reason)> {
    problems
        .iter()
        .map(|problem| (problem.path.as_str(), problem.reason))
        .collect()
}
