mod caller;
mod interfaces;
mod way;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

pub use caller::{Approach, CallerImpact};
pub use interfaces::InterfaceImpact;

use crate::bgp_change::bgp_changes;
use crate::model::Name;
use crate::{Change, ValidConfig, changes};

/// What a new document does to what runs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Impact {
    /// To connections.
    pub connections: ItemImpact,
    /// To BGP sessions, by the site that they are with.
    pub bgp_peers: ItemImpact,
    /// To interfaces.
    pub interfaces: InterfaceImpact,
    /// To the access of whoever asks, if that is over the network.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub caller: Option<CallerImpact>,
}

/// What a new document does to items of one kind, each by name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ItemImpact {
    /// What they have negotiated is closed and negotiated anew: the SAs of a connection, the sessions of a peer. Of connections whose
    /// trust alone shrinks it is those whose peer has shown nothing that is still believed.
    pub reset: Vec<String>,
    /// They change and what they have negotiated stays.
    pub changed_in_place: Vec<String>,
    /// They are new.
    pub added: Vec<String>,
    /// They are gone.
    pub removed: Vec<String>,
}

/// What `new` does, coming from `old`, also to one who asks from there.
pub fn impact(old: &ValidConfig, new: &ValidConfig, approach: Option<&Approach>) -> Impact {
    Impact {
        connections: ItemImpact::of(changes(old, new)),
        bgp_peers: ItemImpact::of(bgp_changes(old, new)),
        interfaces: interfaces::interfaces(old, new),
        caller: approach.map(|approach| caller::caller(old, new, approach)),
    }
}

impl ItemImpact {
    fn of(changes: BTreeMap<Name, Change>) -> Self {
        let mut impact = Self::default();
        for (name, change) in changes {
            let list = match change {
                Change::Unchanged => continue,
                Change::InPlace => &mut impact.changed_in_place,
                Change::Reset => &mut impact.reset,
                Change::Added => &mut impact.added,
                Change::Removed => &mut impact.removed,
            };
            list.push(name.to_string());
        }
        impact
    }
}
