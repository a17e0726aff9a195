use std::collections::BTreeMap;

use crate::ValidConfig;
use crate::model::{Connection, Name};

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
    alike.mtu = old.mtu;
    alike.tcp_mss = old.tcp_mss;
    alike.addresses.clone_from(&old.addresses);
    alike.site_name.clone_from(&old.site_name);
    alike.site.address_space.clone_from(&old.site.address_space);
    alike == *old
}
