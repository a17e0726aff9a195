use std::collections::BTreeMap;

use appliance_config::model::{Connection, Name};
use appliance_config::{ValidConfig, held};

/// Why nobody negotiates a connection; its site stays closed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Rest {
    /// It is disabled.
    Disabled,
    /// This version cannot, for this reason.
    Held(String),
}

/// The connections that are negotiated: the enabled ones, but for those that are held.
pub(crate) fn negotiated(config: &ValidConfig) -> impl Iterator<Item = (&Name, &Connection)> {
    let all = config.connections.iter();
    all.filter(|(_, connection)| connection.enabled && held(connection).is_none())
}

/// The others, by name.
pub(crate) fn resting(config: &ValidConfig) -> BTreeMap<String, Rest> {
    let rest = |(name, connection): (&Name, &Connection)| {
        let rest = if connection.enabled {
            Rest::Held(held(connection)?.detail)
        } else {
            Rest::Disabled
        };
        Some((name.to_string(), rest))
    };
    config.connections.iter().filter_map(rest).collect()
}
