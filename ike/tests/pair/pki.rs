//! Who issues certificates to the sites.

use std::collections::BTreeSet;
use std::sync::{Arc, LazyLock};

use ike::crypto::Trust;
use ike::{
    Authentication, Identity, KeyName, LocalProof, OwnCertificate, PeerCertificate, RemoteProof, Signatures,
};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams, RsaKeySize,
    SerialNumber, date_time_ymd,
};

/// 2026-11-27, while all certificates are valid.
pub(crate) const TODAY: u64 = 1_795_737_600;

/// A key of either kind is made once: that of RSA takes a while.
pub(crate) static RSA: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let key = KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, RsaKeySize::_2048).unwrap();
    key.serialize_der()
});

/// The kind of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Rsa,
    P256,
    P384,
}

/// One that issues certificates.
pub(crate) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// A certificate with its private key in PKCS#8.
pub(crate) struct Issued {
    pub(crate) der: Vec<u8>,
    pub(crate) key: Vec<u8>,
    pub(crate) subject: Identity,
}

impl Authority {
    /// A root of this name.
    pub(crate) fn root(name: &str) -> Self {
        let issuer = CertifiedIssuer::self_signed(authority(name), KeyPair::generate().unwrap());
        Self {
            issuer: issuer.unwrap(),
        }
    }

    /// One that this one has certified.
    pub(crate) fn below(&self, name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let issuer = CertifiedIssuer::signed_by(authority(name), key, &self.issuer);
        Self {
            issuer: issuer.unwrap(),
        }
    }

    pub(crate) fn der(&self) -> Vec<u8> {
        self.issuer.der().to_vec()
    }

    /// A certificate of today for a gateway, changed like this.
    pub(crate) fn issue(
        &self,
        (name, kind): (&str, Kind),
        change: impl FnOnce(&mut CertificateParams),
    ) -> Issued {
        let key = match kind {
            Kind::Rsa => KeyPair::try_from(RSA.as_slice()).unwrap(),
            Kind::P256 => KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap(),
            Kind::P384 => KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap(),
        };
        let mut parameters = named(name);
        parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        parameters.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        change(&mut parameters);
        let der = parameters.signed_by(&key, &self.issuer).unwrap().der().to_vec();
        let subject = ike::crypto::Certificate::read(&der).map(|read| read.subject());
        Issued {
            subject: Identity::DistinguishedName(subject.unwrap_or_default()),
            key: key.serialize_der(),
            der,
        }
    }

    /// A list on which this serial number stands, valid until the end of that year.
    pub(crate) fn revoke(&self, serial: u64, until: i32) -> Vec<u8> {
        let revoked = RevokedCertParams {
            serial_number: SerialNumber::from(serial),
            revocation_time: date_time_ymd(2026, 2, 1),
            reason_code: None,
            invalidity_date: None,
        };
        let parameters = CertificateRevocationListParams {
            this_update: date_time_ymd(2025, 2, 1),
            next_update: date_time_ymd(until, 12, 31),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: vec![revoked],
            key_identifier_method: KeyIdMethod::Sha256,
        };
        parameters.signed_by(&self.issuer).unwrap().der().to_vec()
    }

    /// Whom to believe if it is this one alone.
    pub(crate) fn trust(&self) -> Trust {
        Trust {
            roots: BTreeSet::from([self.der()]),
            ..Trust::default()
        }
    }
}

fn named(name: &str) -> CertificateParams {
    let mut parameters = CertificateParams::default();
    parameters.distinguished_name = rcgen::DistinguishedName::new();
    parameters
        .distinguished_name
        .push(DnType::OrganizationName, "Contoso");
    parameters.distinguished_name.push(DnType::CommonName, name);
    (parameters.not_before, parameters.not_after) = (date_time_ymd(2026, 1, 1), date_time_ymd(2036, 1, 1));
    parameters
}

fn authority(name: &str) -> CertificateParams {
    let mut parameters = named(name);
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    parameters
}

/// How somebody proves by this certificate, whose key is called so, who it is.
pub(crate) fn own(key: &str, chain: &[&Vec<u8>]) -> LocalProof {
    LocalProof::Certificate(OwnCertificate {
        key: KeyName(Arc::from(key)),
        chain: chain.iter().map(|der| (*der).clone()).collect(),
        signatures: Signatures::usual(),
    })
}

/// How a peer is to prove who it is that leads to such a root.
pub(crate) fn peer(trust: Trust) -> RemoteProof {
    RemoteProof::Certificate(PeerCertificate {
        trust,
        signatures: Signatures::usual(),
    })
}

/// Both.
pub(crate) fn authentication(local: LocalProof, remote: RemoteProof) -> Authentication {
    Authentication { local, remote }
}
