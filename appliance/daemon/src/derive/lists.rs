use appliance_config::ValidConfig;
use appliance_config::model::{ListSource, Trust};
use ike::crypto::Certificate;

use crate::revocation::ListSpecs;

/// The lists that say whether peers of enabled connections have a revoked certificate: those that the document names, and those
/// that the certificates of its trust name.
pub(super) fn lists(config: &ValidConfig, unix_s: Option<u64>) -> ListSpecs {
    let enabled = config
        .connections
        .values()
        .filter(|connection| connection.enabled);
    let mut specs = ListSpecs::new();
    for connection in enabled {
        for trust in connection.authentication.believed(unix_s) {
            for source in sources(trust) {
                let issuers = trust.chain.iter().map(|x509| x509.der().to_vec());
                specs.entry(source).or_default().extend(issuers);
            }
        }
    }
    specs
}

fn sources(trust: &Trust) -> impl Iterator<Item = ListSource> {
    let certificates = trust
        .chain
        .iter()
        .filter_map(|x509| Certificate::read(x509.der()));
    let named = certificates.flat_map(|certificate| certificate.distribution_points());
    trust.lists.iter().cloned().chain(named.map(ListSource::Http))
}
