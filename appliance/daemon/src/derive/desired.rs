use appliance_config::ValidConfig;

use super::{Addresses, InUse, NetworkSettings, engine, network::network};
use crate::datapath::Kind;
use crate::secrets::Secrets;

/// What each part should want.
#[derive(Debug, Clone)]
pub(crate) struct Desired {
    /// For the IKE engine.
    pub(crate) ike: ike::Settings,
    /// For the owner of kernel and datapath.
    pub(crate) network: NetworkSettings,
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
        network: network(config, in_use, addresses),
    }
}
