//! What is known of each configured connection.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use crate::candidates::Places;
use crate::contact::Contacts;
use crate::resolution::Resolution;
use crate::v2::reauthentication::Renewal;
use crate::v2::redirect::Redirection;
use crate::watch::Watch;
use crate::{Connection, ConnectionName, ConnectionState, Outage, Reason, Side, Stage, Version2Trial};

/// One configured connection. It runs on at most one IKE SA, and another one may be about to replace that; those on their
/// way out do not count.
pub(crate) struct Standing {
    pub(crate) settings: Arc<Connection>,
    pub(crate) state: ConnectionState,
    pub(crate) since: Instant,
    pub(crate) outage: Option<Outage>,
    /// The IKE SA that carries or will carry it.
    pub(crate) sa: Option<u64>,
    /// What is to replace that.
    pub(crate) renewal: Renewal,
    pub(crate) failures: u32,
    pub(crate) retry: Option<Instant>,
    /// What the datapath watches.
    pub(crate) watch: Watch,
    /// When the outage was last set for somebody whom we refused.
    pub(crate) noted: Option<Instant>,
    /// When something that anybody can bring about was last told in its log.
    pub(crate) stranger_told: Option<Instant>,
    /// Where the peer's name leads.
    pub(crate) resolution: Resolution,
    /// Where the peer sent us instead.
    pub(crate) redirection: Redirection,
    /// What came of trying IKEv2 with its peer.
    pub(crate) trial: Option<Version2Trial>,
    /// An operator has taken it down: neither side starts it.
    pub(crate) disconnected: bool,
}

/// Every configured connection, found by name and by where its peer may come from.
#[derive(Default)]
pub(crate) struct Connections {
    pub(crate) standings: BTreeMap<ConnectionName, Standing>,
    pub(crate) places: Places,
    pub(crate) contacts: Contacts,
}

impl Standing {
    /// One that was just configured.
    pub(crate) fn new(settings: Connection, now: Instant) -> Self {
        let outage = Some(untried(&settings));
        Self {
            settings: Arc::new(settings),
            state: ConnectionState::Down,
            since: now,
            outage,
            sa: None,
            renewal: Renewal::default(),
            failures: 0,
            retry: None,
            watch: Watch::default(),
            noted: None,
            stranger_told: None,
            resolution: Resolution::default(),
            redirection: Redirection::default(),
            trial: None,
            disconnected: false,
        }
    }

    /// Both sides may start it again.
    pub(crate) fn revive(&mut self) {
        if std::mem::take(&mut self.disconnected) {
            self.outage = Some(untried(&self.settings));
        }
    }

    /// It stands there from now on.
    pub(crate) fn enter(&mut self, state: ConnectionState, now: Instant) {
        if self.state != state {
            (self.state, self.since) = (state, now);
        }
    }

    /// It has no IKE SA, and we may start one.
    pub(crate) fn may_initiate(&self) -> bool {
        self.sa.is_none() && !self.disconnected && self.settings.may_start()
    }
}

/// Why a connection is down before anything was tried.
fn untried(settings: &Connection) -> Outage {
    let reason = if settings.may_start() {
        Reason::Starting
    } else {
        Reason::Configuration
    };
    Outage::plain(reason, Side::We, Stage::Idle)
}

impl Connections {
    pub(crate) fn get(&self, name: &ConnectionName) -> Option<&Standing> {
        self.standings.get(name)
    }

    pub(crate) fn insert(&mut self, name: ConnectionName, standing: Standing) {
        if !standing.disconnected {
            let address = standing.resolution.address(&standing.settings);
            self.places.insert(&name, &standing.settings, address);
        }
        self.standings.insert(name, standing);
    }

    pub(crate) fn remove(&mut self, name: &ConnectionName) -> Option<Standing> {
        let standing = self.standings.remove(name)?;
        let address = standing.resolution.address(&standing.settings);
        self.places.remove(name, &standing.settings, address);
        Some(standing)
    }

    /// Everything that was to go has gone.
    pub(crate) fn settle(&mut self) {
        let standings = &self.standings;
        self.places
            .settle(|name| standings.get(name).map(|standing| &standing.settings));
    }

    /// The settings of a connection, and what is known of where its peer's name leads.
    pub(crate) fn resolution(&mut self, name: &ConnectionName) -> Option<(Arc<Connection>, &mut Resolution)> {
        let standing = self.standings.get_mut(name)?;
        Some((Arc::clone(&standing.settings), &mut standing.resolution))
    }

    /// The peer's name leads there.
    pub(crate) fn found_at(&mut self, name: &ConnectionName, found: (IpAddr, Instant)) {
        if let Some(mut standing) = self.remove(name) {
            standing.resolution.found(found);
            self.insert(name.clone(), standing);
        }
    }
}
