use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::limits;
use crate::model::management::{CONFIRM_WITHIN_S, default_listen};
use crate::model::system::{HOURS, START, ZONE};

/// The machine itself.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct System {
    /// What it is called: the firmware image `causeway` if left out; another host keeps its own name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    hostname: Option<String>,
    /// Where its clock stands.
    #[serde(default)]
    time: Time,
    /// Addresses of the resolvers it asks; those of DHCP, on the firmware image, if there are none; another host asks as it is set up.
    #[serde(default)]
    dns: Vec<String>,
    /// Who may reach its API and console, and where.
    #[serde(default)]
    management: Management,
    /// When it may interrupt the traffic.
    #[serde(default)]
    maintenance: Maintenance,
}

/// The clock.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct Time {
    /// The name of a zone of the IANA time zone database.
    zone: String,
    /// The servers it is set by, addresses or host names; those of DHCP if there are none. A host that is no firmware image does it as it has it.
    ntp: Vec<String>,
}

/// Who may reach the API and the console, and where.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct Management {
    /// Addresses with ports where they are served; only on the Unix socket if there are none.
    listen: Vec<String>,
    /// Prefixes from which they may be reached; if there are none, from anywhere over interfaces of role lan and
    /// management, or just from anywhere where the document has no interfaces.
    #[schemars(schema_with = "limits::prefixes")]
    allow_from: Vec<String>,
    /// Seconds that a change waits to be confirmed where a client asks for that and gives no time.
    #[schemars(schema_with = "limits::confirm_within_s")]
    confirm_within_s: u64,
    /// The name of what the certificates of clients must lead to, under `trust`; none is needed if left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "limits::name")]
    client_trust: Option<String>,
}

/// The hours of every day in which it may interrupt the traffic.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct Maintenance {
    /// When they begin, HH:MM in its time zone.
    start: String,
    /// How many they are.
    #[schemars(schema_with = "limits::maintenance_hours")]
    hours: u8,
    /// It installs updates then by itself.
    automatic_updates: bool,
}

impl Default for Time {
    fn default() -> Self {
        Self {
            zone: ZONE.to_owned(),
            ntp: Vec::new(),
        }
    }
}

impl Default for Management {
    fn default() -> Self {
        Self {
            listen: default_listen().map(|address| address.to_string()).into(),
            allow_from: Vec::new(),
            confirm_within_s: CONFIRM_WITHIN_S,
            client_trust: None,
        }
    }
}

impl Default for Maintenance {
    fn default() -> Self {
        Self {
            start: START.to_owned(),
            hours: HOURS,
            automatic_updates: false,
        }
    }
}
