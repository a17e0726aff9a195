use serde_json::{Value, json};

use crate::model::{Connection, Identity, OwnProof, PeerProof};
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

/// The sample with the machine that it runs on.
pub(super) fn machine() -> Value {
    let system = json!({
        "hostname": "branch-042", "time": { "zone": "Europe/Berlin", "ntp": ["ntp.example", "192.0.2.123"] },
        "dns": ["192.0.2.53"],
        "management": { "listen": ["0.0.0.0:8443"], "allow_from": ["10.1.0.0/24"], "confirm_within_s": 60 },
        "maintenance": { "start": "02:30", "hours": 3, "automatic_updates": true }
    });
    let interfaces = json!({
        "wan0": {
            "role": "wan", "match": { "mac": "52:54:00:00:00:01" }, "mtu": 1500,
            "ipv4": { "method": "static", "addresses": ["192.0.2.1/26"], "gateway": "192.0.2.62" },
            "ipv6": { "method": "static", "addresses": ["2001:db8::1/64"], "gateway": "fe80::1" }
        },
        "lan0": { "role": "lan", "mtu": 9000, "ipv4": { "method": "static", "addresses": ["10.1.0.1/24"] } },
        "lan0.20": {
            "role": "lan", "vlan": { "parent": "lan0", "id": 20 },
            "ipv4": { "method": "static", "addresses": ["10.1.20.1/24"] }
        },
        "bare": { "role": "management", "match": { "name": "eth7" } }
    });
    let document = with(sample(), "/system", system);
    let document = with(document, "/interfaces", interfaces);
    with(
        document,
        "/users",
        json!({ "alice": { "role": "admin" }, "noc": { "role": "viewer" } }),
    )
}

/// Base64 of the certificates of the tests: a root, one that is from it, and one that is from that; another root, and what
/// is from that: as Azure VPN Gateway wants it, with one purpose alone, with a key of 1,024 bits.
const CERTIFICATES: [(&str, &str); 7] = [
    ("$root", include_str!("certificates/root.pem")),
    ("$intermediate", include_str!("certificates/intermediate.pem")),
    ("$leaf", include_str!("certificates/leaf.pem")),
    ("$azure-root", include_str!("certificates/azure_root.pem")),
    ("$azure", include_str!("certificates/azure.pem")),
    ("$one-purpose", include_str!("certificates/one_purpose.pem")),
    ("$short", include_str!("certificates/short.pem")),
];

/// `text` with every `$` and name of a certificate made what it stands for.
pub(super) fn with_certificates(text: &str) -> String {
    CERTIFICATES.iter().fold(text.to_owned(), |text, (word, pem)| {
        let lines = pem.lines().filter(|line| !line.starts_with('-'));
        text.replace(word, &lines.collect::<String>())
    })
}

/// The sample, of which `to-c` proves itself by certificates.
pub(super) fn certified() -> Value {
    let text = r#"{
        "key_providers": {
            "vault": { "kind": "key-vault", "identity": {
                "managed": "user-assigned", "client_id": "00000000-0000-0000-0000-00000000000A" } },
            "hsm": { "kind": "pkcs11", "module": "/usr/lib/softhsm/libsofthsm2.so", "pin": "hsm-pin" },
            "disk": { "kind": "file" }
        },
        "certificates": {
            "edge": { "key": {
                "provider": "vault", "reference": "https://contoso.vault.azure.net/certificates/edge" } },
            "edge-hsm": { "key": { "provider": "hsm", "reference": "pkcs11:token=branch%201;object=edge" },
                          "chain": ["$leaf", "$intermediate", "$root"] },
            "edge-file": { "key": { "provider": "disk", "reference": "edge" }, "chain": ["$leaf"] }
        },
        "trust": { "roots": {
            "chain": ["$root", "$intermediate"], "crl": "strict",
            "revoked_thumbprints": { "lost": "00:11:22:33:44:55:66:77:88:99:AA:bb:cc:dd:ee:ff:00:11:22:33" } } }
    }"#;
    let added: Value = serde_json::from_str(&with_certificates(text)).unwrap();
    let mut document = sample();
    document
        .as_object_mut()
        .unwrap()
        .extend(added.as_object().unwrap().clone());
    let authentication = json!({
        "method": "certificate", "certificate": "edge", "peer": { "subject": "CN=AzOutboundCert", "chain": "roots" }
    });
    with(document, "/connections/to-c/authentication", authentication)
}

/// Every line of a table of faults, one change to its document each, in columns.
pub(super) fn refused() -> impl Iterator<Item = (Value, Vec<&'static str>)> {
    let tables = [
        (sample(), include_str!("refused.txt")),
        (machine(), include_str!("refused_machine.txt")),
        (certified(), include_str!("refused_certificates.txt")),
        (routed(), include_str!("refused_bgp.txt")),
        (translated(), include_str!("refused_nat.txt")),
    ];
    tables.into_iter().flat_map(|(document, table)| {
        let lines = table.lines().filter(|line| line.starts_with('/'));
        lines.map(move |line| {
            let columns: Vec<&str> = line.split(" | ").collect();
            let value = serde_json::from_str(&with_certificates(columns[1])).expect(line);
            (with(document.clone(), columns[0], value), columns)
        })
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

/// Our identity and the peer's of a connection with a pre-shared key.
pub(super) fn identities(connection: &Connection) -> (Option<Identity>, Identity) {
    match (
        &connection.authentication.local,
        &connection.authentication.remote,
    ) {
        (
            OwnProof::PreSharedKey { identity: local, .. },
            PeerProof::PreSharedKey { identity: remote, .. },
        ) => (local.clone(), remote.clone()),
        other => panic!("{other:?}"),
    }
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

/// The sample with BGP to both sites, over link-local addresses and over others.
pub(super) fn routed() -> Value {
    let additions = [
        (
            "/gateway/bgp",
            json!({ "asn": 65010, "addresses": ["169.254.21.2", "10.1.0.1", "169.254.22.2", "fd01::1"] }),
        ),
        ("/sites/b/bgp", json!({ "asn": 65515, "address": "169.254.21.1" })),
        ("/sites/c/bgp", json!({ "asn": 64512, "address": "10.3.0.1" })),
        ("/connections/to-b/bgp", json!({})),
        ("/connections/to-c/bgp", json!({})),
    ];
    additions
        .into_iter()
        .fold(sample(), |document, (pointer, value)| {
            with(document, pointer, value)
        })
}

/// The sample with a site `b` that has our own addresses, and with route policies on the way to `c`.
pub(super) fn translated() -> Value {
    let rule = |kind: &str, mode: &str, internal: &str, external: &str| json!({ "type": kind, "mode": mode, "internal": { "prefix": internal }, "external": { "prefix": external } });
    let additions = [
        ("/sites/b/address_space", json!(["10.1.0.0/24"])),
        (
            "/nat_rules",
            json!({
                "b-in": rule("Static", "IngressSnat", "10.1.0.0/24", "100.64.2.0/24"),
                "to-b": rule("Static", "EgressSnat", "10.1.0.0/24", "100.64.1.0/24"),
                "few": rule("Dynamic", "EgressSnat", "10.1.0.0/25", "100.64.9.0/26"),
                "idle": rule("Static", "IngressSnat", "10.77.0.0/24", "100.64.77.0/24"),
                "idle-out": rule("Static", "EgressSnat", "10.78.0.0/24", "100.64.78.0/24"),
            }),
        ),
        (
            "/connections/to-b/nat",
            json!({ "ingress": ["b-in"], "egress": ["few", "to-b"] }),
        ),
        ("/gateway/bgp", json!({ "asn": 65010, "addresses": ["10.1.0.1"] })),
        ("/sites/c/bgp", json!({ "asn": 64512, "address": "10.3.0.1" })),
        (
            "/connections/to-c/bgp",
            json!({ "import": "in", "export": "out" }),
        ),
        (
            "/route_policies",
            json!({
                "in": { "default": "accept", "terms": [{
                    "match": {
                        "prefixes": ["10.0.0.0/8 ge 16 le 24", "192.0.2.0/24"], "as_path_length": { "ge": 1, "le": 4 },
                        "as_path": "64512 . 64513-65534 *", "communities": ["65010:7", "no-export"], "origin": "igp",
                        "peer": "c"
                    },
                    "set": {
                        "local_preference": 200, "med": 10, "prepend": 2, "next_hop": "self",
                        "communities": { "remove": ["65010:8"], "add": ["rt:65010:9", "65010:1:2"] }
                    },
                    "then": "accept"
                }] },
                "out": { "terms": [{ "match": { "prefixes": ["10.1.0.0/16 le 24"] }, "then": "accept" }] }
            }),
        ),
    ];
    additions
        .into_iter()
        .fold(sample(), |document, (pointer, value)| {
            with(document, pointer, value)
        })
}
