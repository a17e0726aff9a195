use std::collections::BTreeMap;

use appliance_config::model::{Connection, LocalAddress, Name, Unfit};
use appliance_config::{ValidConfig, held};

use super::{Addresses, Lacking};
use crate::secrets::Lack;

/// Why nobody negotiates a connection; its site stays closed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Rest {
    /// It is disabled.
    Disabled,
    /// This version cannot, for this reason.
    Held(String),
    /// The interface whose address is to be ours has none.
    NoAddress(LocalAddress),
    /// A secret of it could not be had.
    NoSecret(Name),
    /// Who has the key of this certificate has not told the certificate yet.
    NoCertificate(Name),
    /// Who has the key of this certificate has told one that is not what its profile asks for.
    UnfitCertificate(Name, Unfit),
}

/// The connections that are negotiated: the enabled ones, but for those that are held or have no address of
/// ours.
pub(crate) fn negotiated<'c>(
    config: &'c ValidConfig,
    addresses: &Addresses,
) -> impl Iterator<Item = (&'c Name, &'c Connection)> {
    let all = config.connections.iter();
    all.filter(|(_, connection)| {
        connection.enabled && held(connection).is_none() && addresses.of(&connection.local_address).is_some()
    })
}

/// The others, by name.
pub(crate) fn resting(
    config: &ValidConfig,
    addresses: &Addresses,
    lacking: &Lacking,
) -> BTreeMap<String, Rest> {
    let rest = |(name, connection): (&Name, &Connection)| {
        let rest = match held(connection) {
            _ if !connection.enabled => Rest::Disabled,
            Some(hold) => Rest::Held(hold.detail),
            None if addresses.of(&connection.local_address).is_none() => {
                Rest::NoAddress(connection.local_address.clone())
            }
            None => match lacking.get(name)? {
                Lack::Secret(secret) => Rest::NoSecret(secret.clone()),
                Lack::Certificate(certificate) => Rest::NoCertificate(certificate.clone()),
                Lack::Fitness(certificate, unfit) => {
                    Rest::UnfitCertificate(certificate.clone(), unfit.clone())
                }
            },
        };
        Some((name.to_string(), rest))
    };
    config.connections.iter().filter_map(rest).collect()
}
