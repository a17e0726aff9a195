use std::collections::BTreeMap;
use std::sync::Arc;

use appliance_config::ValidConfig;
use appliance_config::model::{self, Name, NatRule};
use appliance_nat::{Kind, Rule, Rules, Tunnel};
use ike::ConnectionName;

use super::TunnelSettings;

/// What is translated in these tunnels.
pub(super) fn translation(config: &ValidConfig, tunnels: &BTreeMap<ConnectionName, TunnelSettings>) -> Rules {
    let connections = config.connections.iter();
    let translated = connections.filter(|(_, connection)| !connection.nat.is_empty());
    let tunnels = translated.filter_map(|(name, connection)| {
        let settings = tunnels.get(&ConnectionName(Arc::from(name.as_str())))?;
        let tunnel = Tunnel {
            link: settings.numbering.link.clone(),
            number: settings.numbering.number(),
            site: connection.site_name.to_string(),
            ingress: rules(&connection.nat.ingress),
            egress: rules(&connection.nat.egress),
        };
        Some((name.to_string(), tunnel))
    });
    Rules {
        tunnels: tunnels.collect(),
    }
}

fn rules(rules: &BTreeMap<Name, NatRule>) -> BTreeMap<String, Rule> {
    let rule = |rule: &NatRule| Rule {
        kind: match &rule.translation {
            model::Translation::Static { ports } => Kind::Static { ports: *ports },
            model::Translation::Dynamic { ports } => Kind::Dynamic { ports: ports.clone() },
        },
        internal: rule.internal,
        external: rule.external,
    };
    rules
        .iter()
        .map(|(name, one)| (name.to_string(), rule(one)))
        .collect()
}
