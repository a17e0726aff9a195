use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::limits;

/// What becomes of routes: the first term that fits decides.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RoutePolicy {
    /// In their order.
    #[serde(default)]
    #[schemars(schema_with = "limits::terms::<Term>")]
    pub(super) terms: Vec<Term>,
    /// What becomes of a route that no term fits.
    #[serde(default = "reject")]
    #[schemars(schema_with = "limits::verdict")]
    pub(super) default: String,
}

/// One step of a policy.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Term {
    /// Which routes it fits: those that meet every condition.
    #[serde(default, rename = "match")]
    pub(super) condition: Condition,
    /// What is changed in those that it accepts.
    #[serde(default)]
    pub(super) set: RouteChange,
    /// What becomes of them.
    #[schemars(schema_with = "limits::verdict")]
    pub(super) then: String,
}

/// Which routes a term fits; what is left out fits all.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Condition {
    /// Routes to one of these: a prefix alone, or with `ge 20`, `le 24` or both.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "limits::some_prefixes")]
    pub(super) prefixes: Option<Vec<String>>,
    /// The length of the AS path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) as_path_length: Option<PathLength>,
    /// The AS path: numbers, ranges, `.` for any one, `*` for any number of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) as_path: Option<String>,
    /// Communities that it bears, all of them.
    #[serde(default)]
    pub(super) communities: Vec<String>,
    /// Where it comes from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "limits::origin")]
    pub(super) origin: Option<String>,
    /// The site that it was learnt from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "limits::name")]
    pub(super) peer: Option<String>,
}

/// Bounds of a length.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PathLength {
    /// At least this.
    #[serde(default)]
    #[schemars(schema_with = "limits::path_length")]
    pub(super) ge: u16,
    /// At most this.
    #[serde(default = "longest")]
    #[schemars(schema_with = "limits::path_length")]
    pub(super) le: u16,
}

/// What is changed in a route.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RouteChange {
    /// LOCAL_PREF becomes this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "limits::preference")]
    pub(super) local_preference: Option<u32>,
    /// MULTI_EXIT_DISC becomes this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "limits::preference")]
    pub(super) med: Option<u32>,
    /// What becomes of communities.
    #[serde(default)]
    pub(super) communities: Communities,
    /// How often an autonomous system is put before the AS path: ours on export, the peer's on import.
    #[serde(default)]
    #[schemars(schema_with = "limits::prepend")]
    pub(super) prepend: u8,
    /// NEXT_HOP becomes this address, or `self`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) next_hop: Option<String>,
}

/// What becomes of communities, in this order.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Communities {
    /// All are taken off.
    #[serde(default)]
    pub(super) clear: bool,
    /// These are.
    #[serde(default)]
    pub(super) remove: Vec<String>,
    /// These are put on.
    #[serde(default)]
    pub(super) add: Vec<String>,
}

fn reject() -> String {
    "reject".to_owned()
}

fn longest() -> u16 {
    u16::MAX
}
