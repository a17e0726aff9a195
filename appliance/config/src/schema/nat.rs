use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::limits;
use crate::model::nat::DYNAMIC_PORTS;

/// A rule of translation; one rule serves both directions.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NatRule {
    /// Host by host, or many hosts behind few addresses.
    #[serde(rename = "type")]
    #[schemars(schema_with = "limits::nat_type")]
    pub(super) kind: String,
    /// Whether the site's source addresses are translated, or ours.
    #[schemars(schema_with = "limits::nat_mode")]
    pub(super) mode: String,
    /// Before translation.
    pub(super) internal: Internal,
    /// After it.
    pub(super) external: External,
    /// For connections from this outer address of ours only; for all if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "limits::name")]
    pub(super) ip_configuration: Option<String>,
}

/// Before translation.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Internal {
    /// Which addresses.
    pub(super) prefix: String,
    /// Only this TCP and UDP port, with Static only; every packet if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "limits::port")]
    pub(super) port: Option<u16>,
}

/// After translation.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct External {
    /// Which addresses.
    pub(super) prefix: String,
    /// The port that stands for that of the internal side, with Static only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "limits::port")]
    pub(super) port: Option<u16>,
    /// The ports that may be taken, with Dynamic only; 1024-65535 if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "limits::port_ranges")]
    pub(super) ports: Option<Vec<String>>,
}

/// The rules of a connection.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ConnectionNat {
    /// For what comes from the site: rules of mode IngressSnat.
    #[serde(default)]
    #[schemars(schema_with = "limits::names")]
    pub(super) ingress: Vec<String>,
    /// For what goes to it: rules of mode EgressSnat.
    #[serde(default)]
    #[schemars(schema_with = "limits::names")]
    pub(super) egress: Vec<String>,
}

impl NatRule {
    /// Writes out the defaults that follow from other members.
    pub(super) fn fill(&mut self) {
        if self.kind == "Dynamic" {
            self.external
                .ports
                .get_or_insert_with(|| vec![DYNAMIC_PORTS.to_owned()]);
        }
    }
}
