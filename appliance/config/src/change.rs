use std::collections::BTreeMap;

use crate::model::{Connection, Name};
use crate::{Problem, Reason, ValidConfig};

/// What a new document does to one connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// Nothing.
    Unchanged,
    /// It changes, and its SAs stay.
    InPlace,
    /// Its SAs are closed and negotiated anew.
    Reset,
    /// It is new.
    Added,
    /// It is gone.
    Removed,
}

/// What `new` does to every connection of both documents, coming from `old`.
pub fn changes(old: &ValidConfig, new: &ValidConfig) -> BTreeMap<Name, Change> {
    let removed = old.connections.keys().map(|name| (name.clone(), Change::Removed));
    let mut changes: BTreeMap<Name, Change> = removed.collect();
    for (name, connection) in &new.connections {
        let change = old
            .connections
            .get(name)
            .map_or(Change::Added, |old| change(old, connection));
        changes.insert(name.clone(), change);
    }
    changes
}

/// What `new` may not do, coming from `old`: a connection keeps the protocol that it was made with.
pub fn refusals(old: &ValidConfig, new: &ValidConfig) -> Vec<Problem> {
    let both = new
        .connections
        .iter()
        .filter_map(|(name, new)| Some((name, old.connections.get(name)?, new)));
    let changed = both.filter(|(_, old, new)| old.protocol != new.protocol);
    changed
        .map(|(name, old, new)| Problem {
            path: format!("/connections/{name}/protocol"),
            reason: Reason::ProtocolImmutable,
            detail: format!(
                "the connection is there with {} and cannot become {}: delete it and create it anew",
                old.protocol, new.protocol
            ),
        })
        .collect()
}

fn change(old: &Connection, new: &Connection) -> Change {
    if old == new {
        Change::Unchanged
    } else if agree(old, new) {
        Change::InPlace
    } else {
        Change::Reset
    }
}

/// `old` and `new` differ at most in what only we act on.
fn agree(old: &Connection, new: &Connection) -> bool {
    let mut alike = new.clone();
    alike.mode = old.mode;
    alike.dpd_timeout = old.dpd_timeout;
    alike.reauthentication = old.reauthentication;
    alike.mtu = old.mtu;
    if new.authentication.is_served_by(&old.authentication) {
        alike.authentication.clone_from(&old.authentication);
    }
    alike.tcp_mss = old.tcp_mss;
    alike.addresses.clone_from(&old.addresses);
    alike.site_name.clone_from(&old.site_name);
    alike.site.clone_from(&old.site);
    alike.policy_name.clone_from(&old.policy_name);
    alike.priority = old.priority;
    alike.bgp.clone_from(&old.bgp);
    alike.nat.clone_from(&old.nat);
    alike == *old
}
