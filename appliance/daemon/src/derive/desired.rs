use std::collections::BTreeMap;

use appliance_config::ValidConfig;
use appliance_config::model::Name;
use ike::KeyName;

use super::keys::keys;
use super::lists::lists;
use super::{Addresses, BgpSettings, InUse, NetworkSettings, bgp, engine, negotiated, network::network};
use crate::datapath::Kind;
use crate::revocation::ListSpecs;
use crate::secrets::{Lack, Secrets, lacking};
use crate::signer::KeySpec;

/// What could not be had, by the connections that name it.
pub(crate) type Lacking = BTreeMap<Name, Lack>;

/// What each part should want.
#[derive(Debug, Clone)]
pub(crate) struct Desired {
    /// For the IKE engine.
    pub(crate) ike: ike::Settings,
    /// For the BGP speaker.
    pub(crate) bgp: BgpSettings,
    /// For the owner of kernel and datapath.
    pub(crate) network: NetworkSettings,
    /// For whoever has private keys.
    pub(crate) keys: BTreeMap<KeyName, KeySpec>,
    /// For whoever fetches lists of revoked certificates.
    pub(crate) lists: ListSpecs,
    /// Connections that nobody negotiates because this of theirs could not be had.
    pub(crate) lacking: Lacking,
}

/// What follows from this configuration, its secrets and the datapath that carries it, for connections that keep the
/// numbers they have, and interfaces that have these addresses.
pub(crate) fn derive(
    config: &ValidConfig,
    secrets: &Secrets,
    datapath: Kind,
    in_use: &InUse,
    addresses: &Addresses,
) -> Desired {
    Desired {
        ike: engine::settings(config, secrets, datapath, addresses),
        bgp: bgp::settings(config, secrets, in_use, addresses),
        network: network(config, in_use, addresses),
        keys: keys(config, secrets),
        lists: lists(config, secrets.unix_s()),
        lacking: negotiated(config, addresses)
            .filter_map(|(name, connection)| Some((name.clone(), lacking(connection, secrets)?)))
            .collect(),
    }
}
