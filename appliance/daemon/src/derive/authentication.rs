use std::collections::BTreeSet;
use std::net::IpAddr;

use appliance_config::model::{self, Crl, OwnProof, PeerProof};
use ike::crypto::{Certificate, Hash, Trust};
use ike::{
    Authentication, ExpectedIdentity, Identity, KeyName, LocalProof, OwnCertificate, PeerCertificate,
    RemoteProof, SharedSecret, Signatures,
};

use super::engine;
use crate::secrets::Secrets;

/// How both sides of a connection prove who they are, who we are, and who the peer must be.
pub(super) type Proofs = (Authentication, Identity, ExpectedIdentity);

/// `None` without its secret, or the certificate that a provider has not told yet.
pub(super) fn proofs(
    authentication: &model::Authentication,
    secrets: &Secrets,
    local: IpAddr,
) -> Option<Proofs> {
    let (own, ours) = own(authentication, secrets, local)?;
    let (peer, theirs) = peer(authentication, secrets)?;
    let authentication = Authentication {
        local: own,
        remote: peer,
    };
    Some((authentication, ours, theirs))
}

fn own(
    authentication: &model::Authentication,
    secrets: &Secrets,
    local: IpAddr,
) -> Option<(LocalProof, Identity)> {
    match &authentication.local {
        OwnProof::PreSharedKey { secret, identity } => {
            let proof = LocalProof::PreSharedKey(SharedSecret(secrets.value(secret)?.clone()));
            let ours = identity
                .as_ref()
                .map_or(Identity::Address(local), engine::identity);
            Some((proof, ours))
        }
        OwnProof::Certificate { identity, .. } => {
            let (name, certificate) = authentication.certificate(secrets.unix_s())?;
            let chain = secrets.chain(name, certificate)?;
            let subject = || {
                Some(Identity::DistinguishedName(
                    Certificate::read(chain.first()?)?.subject(),
                ))
            };
            let ours = match identity {
                Some(given) => engine::identity(given),
                None => subject()?,
            };
            let proof = LocalProof::Certificate(OwnCertificate {
                key: KeyName(name.as_str().into()),
                chain,
                signatures: signatures(&authentication.signatures),
            });
            Some((proof, ours))
        }
    }
}

fn peer(
    authentication: &model::Authentication,
    secrets: &Secrets,
) -> Option<(RemoteProof, ExpectedIdentity)> {
    match &authentication.remote {
        PeerProof::PreSharedKey { secret, identity } => {
            let proof = RemoteProof::PreSharedKey(SharedSecret(secrets.value(secret)?.clone()));
            Some((proof, engine::identity(identity).into()))
        }
        PeerProof::Certificate { peer, identity } => {
            let subject = || ExpectedIdentity::CommonName(peer.subject.clone());
            let theirs = identity
                .as_ref()
                .map_or_else(subject, |given| engine::identity(given).into());
            let proof = RemoteProof::Certificate(PeerCertificate {
                trust: trust(&authentication.believed(secrets.unix_s())),
                signatures: signatures(&authentication.signatures),
            });
            Some((proof, theirs))
        }
    }
}

fn signatures(signatures: &model::Signatures) -> Signatures {
    let hash = |hash: &model::Hash| match hash {
        // The document has no such word here.
        model::Hash::Md5 => None,
        model::Hash::Sha1 => Some(Hash::Sha1),
        model::Hash::Sha256 => Some(Hash::Sha256),
        model::Hash::Sha384 => Some(Hash::Sha384),
        model::Hash::Sha512 => Some(Hash::Sha512),
    };
    Signatures {
        digital: signatures.digital_signature,
        rsa: signatures.rsa_hashes.iter().filter_map(hash).collect(),
        pss: signatures.pss,
    }
}

/// All that is believed; who insists on lists insists for all of it.
fn trust(believed: &[&model::Trust]) -> Trust {
    let chains = believed.iter().flat_map(|trust| &trust.chain);
    let (roots, others): (Vec<_>, Vec<_>) = chains.partition(|x509| x509.is_root());
    let ders = |all: Vec<&model::X509>| -> BTreeSet<Vec<u8>> {
        all.iter().map(|x509| x509.der().to_vec()).collect()
    };
    let revoked = believed.iter().flat_map(|trust| trust.revoked.values());
    Trust {
        roots: ders(roots),
        intermediates: ders(others),
        revoked: revoked.map(|thumbprint| thumbprint.octets().to_vec()).collect(),
        strict: believed.iter().any(|trust| trust.crl == Crl::Strict),
    }
}
