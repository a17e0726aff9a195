//! A private key tried without any tunnel.

use std::time::Duration;

use appliance_keys::{Key, KeyError, KeyKind, Place};
use aws_lc_rs::rand;
use ike::crypto::{Certificate, SignatureScheme, is_signed_by};
use ike::{KeyName, SignerFault};
use tokio::time::{Instant, timeout_at};

use super::fault::{fault, kind, scheme};
use super::spec::KeySpec;

/// How long a trial may take, whatever is tried.
pub(crate) const TRIAL: Duration = Duration::from_secs(25);

/// A key that is to be tried.
#[derive(Debug)]
pub(crate) struct TryKey {
    /// By the name of its certificate.
    pub(crate) name: KeyName,
    /// Where it is.
    pub(crate) spec: KeySpec,
    /// Its certificate in DER, if the document has it.
    pub(crate) certificate: Option<Vec<u8>>,
}

/// How a key does when it signs in every way that it may be asked for.
#[derive(Debug)]
pub(crate) struct KeyTrial {
    /// Who has it.
    pub(crate) provider: &'static str,
    /// Where it is, its kind, and its version if there are several; `None` if it could not be opened.
    pub(crate) opened: Option<(Place, KeyKind, Option<String>)>,
    /// What is amiss however it signs.
    pub(crate) fault: Option<TrialFault>,
    /// Each way to sign, and what came of it.
    pub(crate) schemes: Vec<(SignatureScheme, SchemeTrial)>,
    /// How long all of it took.
    pub(crate) took: Duration,
}

/// What came of one way to sign.
#[derive(Debug, Clone)]
pub(crate) enum SchemeTrial {
    /// The signature is right.
    Works(Duration),
    /// There is none, or it is wrong.
    Fails(TrialFault, Duration),
    /// The key would have to leave its vault for it, which a trial does not ask for.
    LeftOut,
}

/// Why a trial fails.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum TrialFault {
    /// What its provider says.
    Signer(SignerFault),
    /// This secret, which is the key or opens it, cannot be had.
    NoSecret(String),
    /// Neither the document nor the provider has a certificate for it.
    NoCertificate,
    /// The certificate is of another key.
    OtherKey(String),
}

impl KeyTrial {
    /// A key that could not be opened.
    pub(crate) fn closed(provider: &'static str, fault: TrialFault, took: Duration) -> Self {
        Self {
            provider,
            opened: None,
            fault: Some(fault),
            schemes: Vec::new(),
            took,
        }
    }
}

/// Has an open key sign in every way, until the deadline; its certificate says whether the signatures are right.
pub(super) async fn try_open(
    key: &dyn Key,
    (provider, version): (&'static str, Option<String>),
    certificate: Option<Vec<u8>>,
    (begun, deadline): (Instant, Instant),
) -> KeyTrial {
    let certificate = certificate.or_else(|| key.chain().first().cloned());
    let certificate = certificate.and_then(|der| Certificate::read(&der));
    let public = certificate
        .as_ref()
        .map_or(key.public_key(), Certificate::public_key);
    let name = certificate.as_ref().map(|certificate| certificate.names().0);
    let mut schemes = Vec::new();
    // What is amiss with the token or the vault is so for all that follow.
    let mut lost = None;
    for way in kind(key.kind()).schemes() {
        let tried = match &lost {
            Some(fault) => SchemeTrial::Fails(TrialFault::clone(fault), Duration::ZERO),
            None if key.would_leave(scheme(way)) => SchemeTrial::LeftOut,
            None => sign(key, way, (public, name.as_deref()), deadline).await,
        };
        if let SchemeTrial::Fails(fault, _) = &tried
            && is_lasting(fault)
        {
            lost = Some(fault.clone());
        }
        schemes.push((way, tried));
    }
    KeyTrial {
        provider,
        opened: Some((key.place(), key.kind(), version)),
        fault: certificate.is_none().then_some(TrialFault::NoCertificate),
        schemes,
        took: begun.elapsed(),
    }
}

/// It would come again with every other way to sign.
fn is_lasting(fault: &TrialFault) -> bool {
    match fault {
        TrialFault::Signer(fault) => fault.reason != ike::SignerReason::SchemeUnsupported,
        TrialFault::NoSecret(_) | TrialFault::NoCertificate | TrialFault::OtherKey(_) => false,
    }
}

async fn sign(
    key: &dyn Key,
    way: SignatureScheme,
    (public, name): (&[u8], Option<&str>),
    deadline: Instant,
) -> SchemeTrial {
    let begun = Instant::now();
    // Not what IKE signs, whoever asks.
    let mut challenge = b"causeway test-sign ".to_vec();
    let mut drawn = [0; 32];
    if rand::fill(&mut drawn).is_err() {
        let none = KeyError::ModuleFailed("the system has no random numbers".to_owned());
        return SchemeTrial::Fails(TrialFault::Signer(fault(&none)), begun.elapsed());
    }
    challenge.extend_from_slice(&drawn);
    let signed = timeout_at(deadline, key.sign(scheme(way), &challenge)).await;
    let took = begun.elapsed();
    match signed.unwrap_or_else(|_| Err(late())) {
        Err(error) => SchemeTrial::Fails(TrialFault::Signer(fault(&error)), took),
        Ok(signature) if is_signed_by(public, way, &challenge, &signature) => SchemeTrial::Works(took),
        Ok(_) => SchemeTrial::Fails(TrialFault::OtherKey(name.unwrap_or_default().to_owned()), took),
    }
}

/// Nothing came within the time of a trial.
pub(super) fn late() -> KeyError {
    KeyError::SignerSlow(format!("no answer within {} seconds", TRIAL.as_secs()))
}

#[cfg(test)]
mod tests {
    use appliance_keys::file::FileKey;
    use appliance_keys::{Scheme, Signing};
    use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_RSA_SHA256};
    use secrecy::SecretSlice;

    use super::*;

    /// A key in memory that is said to be in a vault, which cannot do SHA-1 and may break off.
    struct Vaulted {
        key: FileKey,
        is_gone: bool,
    }

    impl Key for Vaulted {
        fn kind(&self) -> KeyKind {
            self.key.kind()
        }

        fn public_key(&self) -> &[u8] {
            self.key.public_key()
        }

        fn place(&self) -> Place {
            Place::Vault
        }

        fn chain(&self) -> &[Vec<u8>] {
            &[]
        }

        fn sign<'a>(&'a self, scheme: Scheme, message: &'a [u8]) -> Signing<'a> {
            assert!(!self.would_leave(scheme), "{scheme} would fetch the key");
            if self.is_gone {
                return Box::pin(async { Err(KeyError::VaultUnreachable("gone".to_owned())) });
            }
            self.key.sign(scheme, message)
        }

        fn would_leave(&self, scheme: Scheme) -> bool {
            matches!(scheme.hash(), None | Some(appliance_keys::Hash::Sha1))
        }
    }

    fn made(algorithm: &'static rcgen::SignatureAlgorithm) -> (FileKey, Vec<u8>) {
        let pair = KeyPair::generate_for(algorithm).unwrap();
        let params = rcgen::CertificateParams::new(vec!["gw.example".to_owned()]).unwrap();
        let certificate = params.self_signed(&pair).unwrap().der().to_vec();
        let key = FileKey::open(&SecretSlice::from(pair.serialize_der()), None).unwrap();
        (key, certificate)
    }

    async fn tried(key: &dyn Key, certificate: Option<Vec<u8>>) -> KeyTrial {
        let now = Instant::now();
        try_open(key, ("file", None), certificate, (now, now + TRIAL)).await
    }

    fn words(trial: &KeyTrial) -> Vec<String> {
        let words = trial.schemes.iter().map(|(way, tried)| {
            let came = match tried {
                SchemeTrial::Works(_) => "works",
                SchemeTrial::Fails(TrialFault::OtherKey(_), _) => "other key",
                SchemeTrial::Fails(TrialFault::Signer(fault), _) => fault.reason.word(),
                SchemeTrial::Fails(TrialFault::NoSecret(_) | TrialFault::NoCertificate, _) => "amiss",
                SchemeTrial::LeftOut => "left out",
            };
            format!("{way}: {came}")
        });
        words.collect()
    }

    #[tokio::test]
    async fn every_way_to_sign_is_tried_and_checked_by_the_certificate() {
        let (rsa, certificate) = made(&PKCS_RSA_SHA256);
        let trial = tried(&rsa, Some(certificate)).await;
        let expected = [
            "RSA PKCS#1 with SHA-1: works",
            "RSA PKCS#1 with SHA2-256: works",
            "RSA PKCS#1 with SHA2-384: works",
            "RSA PKCS#1 with SHA2-512: works",
            "RSA-PSS with SHA2-256: works",
            "RSA-PSS with SHA2-384: works",
            "RSA-PSS with SHA2-512: works",
            "RSA PKCS#1 without the name of a hash: works",
        ];
        assert_eq!(
            (words(&trial), trial.fault),
            (expected.map(str::to_owned).into(), None)
        );
        let (curve, certificate) = made(&PKCS_ECDSA_P256_SHA256);
        let trial = tried(&curve, Some(certificate)).await;
        assert!(
            words(&trial)
                .iter()
                .all(|word| word.starts_with("ECDSA") && word.ends_with(": works"))
        );
        assert_eq!(trial.schemes.len(), 3);
    }

    #[tokio::test]
    async fn the_certificate_of_another_key_is_told_and_so_is_that_there_is_none() {
        let ((key, _), (_, other)) = (made(&PKCS_ECDSA_P256_SHA256), made(&PKCS_ECDSA_P256_SHA256));
        let trial = tried(&key, Some(other)).await;
        assert!(words(&trial).iter().all(|word| word.ends_with(": other key")));
        let trial = tried(&key, None).await;
        assert_eq!(trial.fault, Some(TrialFault::NoCertificate));
        assert!(words(&trial).iter().all(|word| word.ends_with(": works")));
    }

    /// A trial must not be the reason for which a key leaves its vault.
    #[tokio::test]
    async fn what_would_take_the_key_out_of_its_vault_is_left_out() {
        let (key, certificate) = made(&PKCS_RSA_SHA256);
        let mut vaulted = Vaulted { key, is_gone: false };
        let trial = tried(&vaulted, Some(certificate.clone())).await;
        assert_eq!(words(&trial)[0], "RSA PKCS#1 with SHA-1: left out");
        assert!(words(&trial)[1..7].iter().all(|word| word.ends_with(": works")));
        assert_eq!(
            words(&trial)[7],
            "RSA PKCS#1 without the name of a hash: left out"
        );
        vaulted.is_gone = true;
        let trial = tried(&vaulted, Some(certificate)).await;
        assert!(
            words(&trial)[1..7]
                .iter()
                .all(|word| word.ends_with(": vault-unreachable"))
        );
    }
}
