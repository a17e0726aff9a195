//! How both sides of a connection prove who they are, as it is configured.

use std::fmt;
use std::sync::Arc;

use secrecy::{ExposeSecret, SecretSlice};
use subtle::ConstantTimeEq;

use crate::crypto::{Hash, SignatureScheme, Trust};

/// How both sides prove who they are. Each may do so in its own way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authentication {
    /// How we do.
    pub local: LocalProof,
    /// How the peer is to.
    pub remote: RemoteProof,
}

/// How we prove who we are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LocalProof {
    /// By the secret that both sides have (RFC 7296 §2.15).
    PreSharedKey(SharedSecret),
    /// By a signature.
    Certificate(OwnCertificate),
}

/// How the peer is to prove who it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RemoteProof {
    /// By the secret that both sides have.
    PreSharedKey(SharedSecret),
    /// By a signature, with a certificate that is believed.
    Certificate(PeerCertificate),
}

/// A secret that both sides have. It is compared in constant time and never printed.
#[derive(Clone)]
pub struct SharedSecret(pub SecretSlice<u8>);

/// A certificate of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnCertificate {
    /// What whoever signs calls its key.
    pub key: KeyName,
    /// The certificate, then that of its issuer and so on, in DER.
    pub chain: Vec<Vec<u8>>,
    /// How we sign.
    pub signatures: Signatures,
}

/// What whoever signs calls a private key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct KeyName(pub Arc<str>);

/// How a peer is to prove who it is by its certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerCertificate {
    /// Whom to believe.
    pub trust: Trust,
    /// How the peer may sign.
    pub signatures: Signatures,
}

/// How proofs are signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signatures {
    /// RFC 7427's method 14, where the peer has it too; else there are only methods 1 and 9 to 11.
    pub digital: bool,
    /// The hashes of RSA with method 1; we sign with the first (RFC 7296 §3.8 has SHA-1).
    pub rsa: Vec<Hash>,
    /// With method 14 we sign by RSA-PSS where we have an RSA key, and not by PKCS#1.
    pub pss: bool,
}

/// What is to be signed, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToBeSigned {
    /// With which key.
    pub key: KeyName,
    /// How; a signature of ECDSA is r and s, each as long as the order of the curve.
    pub scheme: SignatureScheme,
    /// Each of these alone.
    pub messages: Vec<Vec<u8>>,
}

/// An IKE SA for which something is signed: our SPI of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct SaId(pub u64);

/// Why nothing was signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignerFault {
    /// In one word.
    pub reason: crate::SignerReason,
    /// What whoever signs says of it.
    pub detail: String,
}

impl Authentication {
    /// Both sides by the same secret.
    pub fn pre_shared_key(secret: SecretSlice<u8>) -> Self {
        let secret = SharedSecret(secret);
        Self {
            local: LocalProof::PreSharedKey(secret.clone()),
            remote: RemoteProof::PreSharedKey(secret),
        }
    }

    /// Whether an IKE SA that was authenticated by `other` stands for this one too: only how we prove who we are from now on
    /// differs, or more certificates are believed, or those that the peer has shown are believed still.
    pub(crate) fn is_served_by(
        &self,
        other: &Self,
        still_believed: impl FnOnce(&PeerCertificate) -> bool,
    ) -> bool {
        let local = match (&self.local, &other.local) {
            (LocalProof::Certificate(_), LocalProof::Certificate(_)) => true,
            (ours, theirs) => ours == theirs,
        };
        let remote = match (&self.remote, &other.remote) {
            (RemoteProof::Certificate(ours), RemoteProof::Certificate(theirs)) => {
                ours.trust.believes_all_that(&theirs.trust) || still_believed(ours)
            }
            (ours, theirs) => ours == theirs,
        };
        local && remote
    }
}

impl Signatures {
    /// What Azure VPN Gateway and strongSwan both take: method 14 where there is one, and SHA-1 where there is not.
    pub fn usual() -> Self {
        Self {
            digital: true,
            rsa: vec![Hash::Sha1, Hash::Sha256, Hash::Sha384, Hash::Sha512],
            pss: false,
        }
    }
}

impl PartialEq for SharedSecret {
    /// In constant time.
    fn eq(&self, other: &Self) -> bool {
        self.0.expose_secret().ct_eq(other.0.expose_secret()).into()
    }
}

impl Eq for SharedSecret {}

impl fmt::Debug for SharedSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a secret")
    }
}
