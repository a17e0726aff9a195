use std::collections::BTreeSet;
use std::net::IpAddr;

use appliance_config::model::{self, Crl};
use ike::crypto::{Certificate, Trust};
use ike::{
    Authentication, ExpectedIdentity, Identity, KeyName, LocalProof, OwnCertificate, PeerCertificate,
    RemoteProof, Signatures,
};

use super::engine::identity;
use crate::secrets::Secrets;

/// How both sides of a connection prove who they are, who we are, and who the peer must be.
pub(super) type Proofs = (Authentication, Identity, ExpectedIdentity);

/// `None` without its secret, or the certificate that a provider has not told yet.
pub(super) fn proofs(
    authentication: &model::Authentication,
    secrets: &Secrets,
    local: IpAddr,
) -> Option<Proofs> {
    match authentication {
        model::Authentication::PreSharedKey {
            secret,
            local_identity,
            remote_identity,
            ..
        } => Some((
            Authentication::pre_shared_key(secrets.value(secret)?.clone()),
            local_identity.as_ref().map_or(Identity::Address(local), identity),
            identity(remote_identity).into(),
        )),
        model::Authentication::Certificate {
            name,
            certificate,
            peer,
            local_identity,
            remote_identity,
            ..
        } => {
            let chain = secrets.chain(name, certificate)?;
            let subject = || {
                Some(Identity::DistinguishedName(
                    Certificate::read(chain.first()?)?.subject(),
                ))
            };
            let ours = match local_identity {
                Some(given) => identity(given),
                None => subject()?,
            };
            let expected = || ExpectedIdentity::CommonName(peer.subject.clone());
            let theirs = remote_identity
                .as_ref()
                .map_or_else(expected, |given| identity(given).into());
            let key = KeyName(name.as_str().into());
            let signatures = Signatures::usual();
            let local = LocalProof::Certificate(OwnCertificate {
                key,
                chain,
                signatures,
            });
            let remote = RemoteProof::Certificate(PeerCertificate {
                trust: trust(&peer.trust),
                signatures: Signatures::usual(),
            });
            Some((Authentication { local, remote }, ours, theirs))
        }
    }
}

fn trust(trust: &model::Trust) -> Trust {
    let (roots, others): (Vec<_>, Vec<_>) = trust.chain.iter().partition(|x509| x509.is_root());
    let ders = |all: Vec<&model::X509>| -> BTreeSet<Vec<u8>> {
        all.iter().map(|x509| x509.der().to_vec()).collect()
    };
    Trust {
        roots: ders(roots),
        intermediates: ders(others),
        revoked: trust
            .revoked
            .values()
            .map(|thumbprint| thumbprint.octets().to_vec())
            .collect(),
        strict: trust.crl == Crl::Strict,
    }
}
