use std::collections::BTreeMap;
use std::sync::Arc;

use appliance_config::ValidConfig;
use appliance_config::model::{Connection, Name, NatRule, Translation as Kind};
use bgp::{Mapping, MappingKind, Translation};

/// What of the rules of a connection its session follows: nothing unless the document wants it.
pub(super) fn translation(config: &ValidConfig, connection: &Connection) -> Translation {
    if !config.gateway.nat_route_translation {
        return Translation::default();
    }
    Translation {
        ingress: mappings(&connection.nat.ingress),
        egress: mappings(&connection.nat.egress),
    }
}

fn mappings(rules: &BTreeMap<Name, NatRule>) -> Vec<Mapping> {
    let mapping = |(name, rule): (&Name, &NatRule)| Mapping {
        rule: Arc::from(name.as_str()),
        internal: rule.internal,
        external: rule.external,
        kind: match &rule.translation {
            Kind::Static { ports: None } => MappingKind::Static,
            Kind::Static { ports: Some(_) } => MappingKind::Port,
            Kind::Dynamic { .. } => MappingKind::Dynamic,
        },
    };
    rules.iter().map(mapping).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn document() -> Value {
        json!({
            "gateway": {
                "ip_configurations": { "default": { "address": "192.0.2.1" } },
                "address_space": ["10.1.0.0/16"],
                "bgp": { "asn": 65010, "addresses": ["172.16.9.9"] },
                "nat_route_translation": true,
            },
            "sites": {
                "b": { "endpoint": "192.0.2.2", "address_space": ["10.9.0.0/24"],
                       "bgp": { "asn": 65515, "address": "172.16.0.1" } },
                "c": { "endpoint": "192.0.2.3", "address_space": ["10.3.0.0/24"],
                       "bgp": { "asn": 65003, "address": "172.16.0.3" } },
            },
            "nat_rules": {
                "learnt": { "type": "Static", "mode": "IngressSnat", "internal": { "prefix": "10.8.0.0/24" },
                            "external": { "prefix": "100.64.8.0/24" } },
                "written": { "type": "Static", "mode": "IngressSnat", "internal": { "prefix": "10.9.0.0/24" },
                             "external": { "prefix": "100.64.9.0/24" } },
                "web": { "type": "Static", "mode": "IngressSnat", "internal": { "prefix": "10.7.0.1/32", "port": 80 },
                         "external": { "prefix": "100.64.7.1/32", "port": 8080 } },
                "few": { "type": "Dynamic", "mode": "EgressSnat", "internal": { "prefix": "10.1.0.0/16" },
                         "external": { "prefix": "100.64.1.0/28" } },
            },
            "connections": {
                "to-b": { "site": "b", "authentication": { "method": "psk", "secret": "psk" }, "bgp": {},
                          "nat": { "ingress": ["learnt", "written", "web"], "egress": ["few"] } },
                "to-c": { "site": "c", "authentication": { "method": "psk", "secret": "psk" }, "bgp": {} },
            },
        })
    }

    fn read(document: &Value) -> ValidConfig {
        appliance_config::parse(document.to_string().as_bytes()).unwrap()
    }

    /// Each rule by its name, with what of it routes may follow; and nothing where the document does not want it.
    #[test]
    fn a_session_follows_the_rules_of_its_connection() {
        let config = read(&document());
        let found = translation(&config, &config.connections["to-b"]);
        let kinds: Vec<_> = found
            .ingress
            .iter()
            .map(|mapping| (&*mapping.rule, mapping.kind))
            .collect();
        let expected = [
            ("learnt", MappingKind::Static),
            ("web", MappingKind::Port),
            ("written", MappingKind::Static),
        ];
        assert_eq!(kinds, expected);
        let few = &found.egress[0];
        assert_eq!((found.egress.len(), few.kind), (1, MappingKind::Dynamic));
        assert_eq!(
            (few.internal.to_string(), few.external.to_string()),
            ("10.1.0.0/16".into(), "100.64.1.0/28".into())
        );
        assert_eq!(
            translation(&config, &config.connections["to-c"]),
            Translation::default()
        );
        let mut off = document();
        off["gateway"]["nat_route_translation"] = json!(false);
        let config = read(&off);
        assert_eq!(
            translation(&config, &config.connections["to-b"]),
            Translation::default()
        );
    }

    /// What BGP is to bring is not there without it.
    #[test]
    fn what_the_session_translates_is_not_static() {
        let config = read(&document());
        let statics = |config: &ValidConfig| {
            let space = config.static_space(&config.connections["to-b"]);
            space.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(statics(&config), ["100.64.7.1/32", "100.64.9.0/24"]);
        let mut off = document();
        off["gateway"]["nat_route_translation"] = json!(false);
        assert_eq!(
            statics(&read(&off)),
            ["100.64.7.1/32", "100.64.8.0/24", "100.64.9.0/24"]
        );
    }
}
