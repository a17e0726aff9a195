//! Which connections somebody may be who has proved nothing yet.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use crate::engine::Engine;
use crate::proposal::{self, IkeSuite};
use crate::v2::nat::Path;
use crate::{Connection, ConnectionName, Mode, Remote, RemoteProof, Version};

/// Of how many connections the secrets are tried at a proof of main mode.
const TRIED: usize = 32;

/// The names of connections by where their peers may come from.
#[derive(Default)]
pub(crate) struct Places {
    /// By our address and the peer's.
    between: BTreeSet<(IpAddr, IpAddr, ConnectionName)>,
    /// By our address: their peers may come from anywhere.
    anywhere: BTreeMap<IpAddr, Anywhere>,
}

/// Connections whose peers may come from anywhere.
#[derive(Default)]
struct Anywhere {
    names: BTreeSet<ConnectionName>,
    /// One for each way to answer IKE_SA_INIT: strangers must not cost more the more connections there are.
    ways: Vec<Arc<Connection>>,
}

impl Places {
    /// A connection is there, its peer at this address if it is known.
    pub(crate) fn insert(
        &mut self,
        name: &ConnectionName,
        settings: &Arc<Connection>,
        address: Option<IpAddr>,
    ) {
        let local = settings.local.ip();
        if let Some(address) = address {
            self.between.insert((local, address, name.clone()));
        }
        if comes_from_anywhere(settings) {
            let anywhere = self.anywhere.entry(local).or_default();
            anywhere.names.insert(name.clone());
            if !anywhere.ways.iter().any(|way| same_way(way, settings)) {
                anywhere.ways.push(Arc::clone(settings));
            }
        }
    }

    /// A connection is gone, whose peer was at this address if it was known.
    pub(crate) fn remove(&mut self, name: &ConnectionName, settings: &Connection, address: Option<IpAddr>) {
        let local = settings.local.ip();
        if let Some(address) = address {
            self.between.remove(&(local, address, name.clone()));
        }
        if let Some(anywhere) = self.anywhere.get_mut(&local) {
            anywhere.names.remove(name);
        }
    }

    /// Forgets the ways in which no connection answers any more.
    pub(crate) fn settle<'c>(&mut self, all: impl Fn(&ConnectionName) -> Option<&'c Arc<Connection>>) {
        self.anywhere.retain(|_, anywhere| !anywhere.names.is_empty());
        for anywhere in self.anywhere.values_mut() {
            anywhere.ways.clear();
            for settings in anywhere.names.iter().filter_map(&all) {
                if !anywhere.ways.iter().any(|way| same_way(way, settings)) {
                    anywhere.ways.push(Arc::clone(settings));
                }
            }
        }
    }

    fn at(&self, path: Path) -> impl Iterator<Item = &ConnectionName> {
        let (local, remote) = (path.local.ip(), path.remote.ip());
        let first = (local, remote, ConnectionName(Arc::from("")));
        let here =
            move |(ours, theirs, _): &&(IpAddr, IpAddr, ConnectionName)| (*ours, *theirs) == (local, remote);
        self.between
            .range(first..)
            .take_while(here)
            .map(|(.., name)| name)
    }

    fn those_anywhere(&self, path: Path) -> Option<&Anywhere> {
        self.anywhere.get(&path.local.ip())
    }
}

fn comes_from_anywhere(settings: &Connection) -> bool {
    match settings.remote {
        Remote::Address(_) => false,
        Remote::Name { .. } | Remote::Any => settings.mode != Mode::InitiatorOnly,
    }
}

/// Whether both answer an IKE_SA_INIT alike: in all that its answer depends on.
fn same_way(one: &Connection, other: &Connection) -> bool {
    let way = |settings: &Connection| {
        let Connection {
            version,
            aggressive,
            force_encapsulation,
            fragment_size,
            childless,
            ppk,
            ..
        } = settings;
        let how = (*force_encapsulation, *fragment_size, *childless, ppk.is_some());
        (*version, *aggressive, how)
    };
    let roots = |settings: &Connection| match &settings.authentication.remote {
        RemoteProof::Certificate(expected) => Some(expected.trust.roots.clone()),
        RemoteProof::PreSharedKey(_) => None,
    };
    way(one) == way(other) && one.ike_proposals == other.ike_proposals && roots(one) == roots(other)
}

impl Engine {
    /// Whether anything may answer an IKE_SA_INIT on this path.
    pub(crate) fn expects(&self, path: Path) -> bool {
        let places = &self.connections.places;
        !self.stopping && (places.at(path).next().is_some() || places.those_anywhere(path).is_some())
    }

    /// What may answer the first message of main mode on this path.
    pub(crate) fn welcomes_v1(&self, path: Path) -> Vec<Arc<Connection>> {
        let mut all = self.welcoming(path);
        all.retain(|settings| settings.version == Version::V1 && settings.mode != Mode::InitiatorOnly);
        all
    }

    /// Whether a connection of IKEv1 may be on this path.
    pub(crate) fn is_version_1(&self, path: Path) -> bool {
        let mut all = self.welcoming(path).into_iter();
        all.any(|settings| settings.version == Version::V1)
    }

    /// The connections of IKEv1 that may be on this path: the same address first, and of those from anywhere so many as may be
    /// tried.
    pub(crate) fn candidates_v1(&self, path: Path) -> Vec<(ConnectionName, Arc<Connection>)> {
        let mut all = self.every_candidate_v1(path);
        all.truncate(TRIED);
        all
    }

    /// All connections of IKEv1 that may be on this path: the same address first.
    pub(crate) fn every_candidate_v1(&self, path: Path) -> Vec<(ConnectionName, Arc<Connection>)> {
        let places = &self.connections.places;
        let anywhere = places.those_anywhere(path).into_iter();
        let anywhere = anywhere.flat_map(|anywhere| &anywhere.names);
        let names = places.at(path).chain(anywhere).filter(|_| !self.stopping);
        let all = names.filter_map(|name| Some((name.clone(), self.settings_of(name)?)));
        all.filter(|(_, settings)| settings.version == Version::V1)
            .collect()
    }

    /// What may answer an IKE_SA_INIT on this path: those whose peer is at its other end, then one for each way in
    /// which those answer whose peers may come from anywhere. None once we stop.
    pub(crate) fn welcomes(&self, path: Path) -> Vec<Arc<Connection>> {
        let mut all = self.welcoming(path);
        all.retain(|settings| settings.version == Version::V2);
        all
    }

    fn welcoming(&self, path: Path) -> Vec<Arc<Connection>> {
        if self.stopping {
            return Vec::new();
        }
        let places = &self.connections.places;
        let here = places.at(path).filter_map(|name| self.settings_of(name));
        let anywhere = places.those_anywhere(path).into_iter();
        here.chain(anywhere.flat_map(|anywhere| anywhere.ways.iter().cloned()))
            .collect()
    }

    /// The connection that expects this peer, among those that may be on this path with this suite: the same
    /// address first.
    pub(crate) fn expecting(
        &self,
        path: Path,
        suite: IkeSuite,
        expects: impl Fn(&Connection) -> bool,
    ) -> Option<(ConnectionName, Arc<Connection>)> {
        let places = &self.connections.places;
        let anywhere = places.those_anywhere(path).into_iter();
        let names = places
            .at(path)
            .chain(anywhere.flat_map(|anywhere| &anywhere.names));
        let mut found = names
            .filter(|_| !self.stopping)
            .filter_map(|name| Some((name, self.settings_of(name)?)));
        let (name, settings) = found.find(|(_, settings)| {
            settings.mode != Mode::InitiatorOnly
                && settings.version == Version::V2
                && proposal::allows(&settings.ike_proposals, suite)
                && expects(settings)
        })?;
        Some((name.clone(), settings))
    }

    /// Whose peer somebody on this path may have been whom we refused: those with its address, or else the only one
    /// whose peer may come from anywhere. Of several nobody can say which was meant.
    pub(crate) fn suspects(&self, path: Path) -> Vec<ConnectionName> {
        if self.stopping {
            return Vec::new();
        }
        let places = &self.connections.places;
        let here: Vec<_> = places.at(path).cloned().collect();
        let only = places
            .those_anywhere(path)
            .filter(|anywhere| here.is_empty() && anywhere.names.len() == 1);
        here.into_iter()
            .chain(only.into_iter().flat_map(|anywhere| anywhere.names.clone()))
            .collect()
    }
}
