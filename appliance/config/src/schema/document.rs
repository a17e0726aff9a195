use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, schema_for};
use serde::{Deserialize, Serialize};

use super::bgp::{GatewayBgp, Limits, SiteBgp};
use super::certificate::{Certificate, KeyProvider, Trust};
use super::connection::Connection;
use super::interface::Interface;
use super::limits;
use super::nat::NatRule;
use super::policy::Policy;
use super::route_policy::RoutePolicy;
use super::system::System;

/// A Causeway configuration.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Document {
    /// The version of this format.
    #[serde(default = "limits::schema_version")]
    #[schemars(range(min = 1, max = 1))]
    pub(super) schema: u32,
    /// The machine itself.
    #[serde(default)]
    system: System,
    /// Network interfaces, by name; if there are none, the host manages them.
    #[serde(default)]
    #[schemars(schema_with = "limits::items::<Interface>")]
    pub(super) interfaces: BTreeMap<String, Interface>,
    /// Our side; needed where there are sites.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) gateway: Option<Gateway>,
    /// Peers and what lies behind them, by name.
    #[serde(default)]
    #[schemars(schema_with = "limits::items::<Site>")]
    pub(super) sites: BTreeMap<String, Site>,
    /// Algorithms and lifetimes, by name, beside the built-in `modern`, `azure-default` and `azure-policy-based`.
    #[serde(default)]
    #[schemars(schema_with = "limits::items::<Policy>")]
    pub(super) policies: BTreeMap<String, Policy>,
    /// Tunnels, by name.
    #[serde(default)]
    #[schemars(schema_with = "limits::items::<Connection>")]
    pub(super) connections: BTreeMap<String, Connection>,
    /// Rules of translation, by name.
    #[serde(default)]
    #[schemars(schema_with = "limits::items::<NatRule>")]
    pub(super) nat_rules: BTreeMap<String, NatRule>,
    /// What becomes of routes, by name.
    #[serde(default)]
    #[schemars(schema_with = "limits::items::<RoutePolicy>")]
    pub(super) route_policies: BTreeMap<String, RoutePolicy>,
    /// Who may log in, by name.
    #[serde(default)]
    #[schemars(schema_with = "limits::items::<User>")]
    users: BTreeMap<String, User>,
    /// Certificates of ours, by name.
    #[serde(default)]
    #[schemars(schema_with = "limits::items::<Certificate>")]
    certificates: BTreeMap<String, Certificate>,
    /// Whom certificates of others are believed by, by name.
    #[serde(default)]
    #[schemars(schema_with = "limits::items::<Trust>")]
    trust: BTreeMap<String, Trust>,
    /// Who holds private keys, by name.
    #[serde(default)]
    #[schemars(schema_with = "limits::items::<KeyProvider>")]
    key_providers: BTreeMap<String, KeyProvider>,
}

/// Our side.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Gateway {
    /// Our outer addresses, by name; at least one.
    #[schemars(schema_with = "limits::some_items::<IpConfiguration>")]
    pub(super) ip_configurations: BTreeMap<String, IpConfiguration>,
    /// The prefixes behind us.
    #[schemars(schema_with = "limits::prefixes")]
    pub(super) address_space: Vec<String>,
    /// Our BGP speaker; none unless written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) bgp: Option<GatewayBgp>,
    /// How much the gateway takes on.
    #[serde(default)]
    pub(super) limits: Limits,
    /// BGP speaks of prefixes as the rules of translation make them.
    #[serde(default)]
    pub(super) nat_route_translation: bool,
}

/// One outer address, written or as an interface has it: one of the two.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct IpConfiguration {
    /// An IPv4 or IPv6 address of this machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) address: Option<String>,
    /// The interface whose first address it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "limits::name")]
    pub(super) interface: Option<String>,
}

/// A peer's gateway and what lies behind it.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Site {
    /// The address or host name of the peer, or `any` for one that comes from wherever it is.
    pub(super) endpoint: String,
    /// The prefixes behind it; no packet to them leaves in clear text.
    #[schemars(schema_with = "limits::prefixes")]
    pub(super) address_space: Vec<String>,
    /// Its BGP speaker; none unless written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) bgp: Option<SiteBgp>,
}

/// Somebody who may log in.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct User {
    /// What the user may do.
    #[schemars(schema_with = "limits::user_role")]
    role: String,
}

/// JSON Schema (draft 2020-12) of the document: its shape, words and bounds. What depends on several members, such as
/// references, overlaps and policies that fit together, only [`crate::parse`] knows.
pub fn schema() -> Schema {
    schema_for!(Document)
}
