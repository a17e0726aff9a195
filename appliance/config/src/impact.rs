mod caller;
mod interfaces;
mod way;

use schemars::JsonSchema;
use serde::Serialize;

pub use caller::{Approach, CallerImpact};
pub use interfaces::InterfaceImpact;

use crate::{Change, ValidConfig, changes};

/// What a new document does to what runs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Impact {
    /// To connections.
    pub connections: ConnectionImpact,
    /// To interfaces.
    pub interfaces: InterfaceImpact,
    /// To the access of whoever asks, if that is over the network.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub caller: Option<CallerImpact>,
}

/// What a new document does to connections, each by name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ConnectionImpact {
    /// Their SAs are closed and negotiated anew.
    pub reset: Vec<String>,
    /// They change and their SAs stay.
    pub changed_in_place: Vec<String>,
    /// They are new.
    pub added: Vec<String>,
    /// They are gone.
    pub removed: Vec<String>,
}

/// What `new` does, coming from `old`, also to one who asks from there.
pub fn impact(old: &ValidConfig, new: &ValidConfig, approach: Option<&Approach>) -> Impact {
    let mut connections = ConnectionImpact::default();
    for (name, change) in changes(old, new) {
        let list = match change {
            Change::Unchanged => continue,
            Change::InPlace => &mut connections.changed_in_place,
            Change::Reset => &mut connections.reset,
            Change::Added => &mut connections.added,
            Change::Removed => &mut connections.removed,
        };
        list.push(name.to_string());
    }
    Impact {
        connections,
        interfaces: interfaces::interfaces(old, new),
        caller: approach.map(|approach| caller::caller(old, new, approach)),
    }
}
