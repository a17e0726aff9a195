use std::fmt;

use x509_cert::der::asn1::ObjectIdentifier;

use super::X509;
use super::x509::RSA_BITS;

/// What a certificate of ours has to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CertificateProfile {
    /// What IKE asks for: RSA or ECDSA.
    General,
    /// What Azure VPN Gateway asks of its own: RSA, both purposes of TLS, and a chain with its root.
    Azure,
}

/// What Azure VPN Gateway asks of the certificate that it shows itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AzureRule {
    /// There is one.
    Present,
    /// Its key is one of RSA.
    Rsa,
    /// That key is long enough.
    KeyLength,
    /// It is for both purposes of TLS.
    Purposes,
    /// What leads from it to its root has the root.
    Root,
}

/// A certificate is not what its profile asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unfit {
    /// What does not hold.
    pub rule: AzureRule,
    /// What there is, for a human.
    pub found: String,
}

pub(crate) const PROFILE: &[(&str, CertificateProfile)] = &[
    ("general", CertificateProfile::General),
    ("azure", CertificateProfile::Azure),
];

/// id-kp-serverAuth and id-kp-clientAuth (RFC 5280 §4.2.1.12).
const BOTH: [ObjectIdentifier; 2] = [
    ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.1"),
    ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.2"),
];

impl CertificateProfile {
    /// The word of the document.
    pub fn word(self) -> &'static str {
        match self {
            Self::General => "general",
            Self::Azure => "azure",
        }
    }

    /// Whether a certificate with those that lead from it to its root is what this asks for.
    ///
    /// # Errors
    /// The first thing that is not.
    pub fn check(self, chain: &[X509]) -> Result<(), Unfit> {
        match self {
            Self::General => Ok(()),
            Self::Azure => azure(chain),
        }
    }
}

impl AzureRule {
    /// What Azure VPN Gateway says where it does not hold (*Troubleshoot site-to-site connections with digital certificate
    /// authentication*).
    pub fn error(self) -> &'static str {
        match self {
            Self::Present => "VpnConnectionOutBoundAuthenticationCertificateIsEmpty",
            Self::Rsa => "VpnConnectionOutBoundAuthenticationCertificateDoesNotHaveRSAPrivateKey",
            Self::KeyLength => "VpnConnectionOutBoundAuthenticationCertificateRSAPrivateKeyLength",
            Self::Purposes => "VpnConnectionOutBoundAuthenticationCertificateClientAndServerAuth",
            Self::Root => "VpnConnectionOutBoundAuthenticationCertificateChainDoesNotHaveRootCert",
        }
    }

    /// What holds then, for a human.
    pub fn words(self) -> &'static str {
        match self {
            Self::Present => "there is a certificate",
            Self::Rsa => "its key is one of RSA",
            Self::KeyLength => "its key is long enough",
            Self::Purposes => "its extended key usage has clientAuth and serverAuth",
            Self::Root => "its chain has its root",
        }
    }

    /// What there has to be, for a human.
    pub fn expected(self) -> &'static str {
        match self {
            Self::Present => "a certificate",
            Self::Rsa | Self::KeyLength => "RSA with 2048 bits or more",
            Self::Purposes => "clientAuth (1.3.6.1.5.5.7.3.2) and serverAuth (1.3.6.1.5.5.7.3.1)",
            Self::Root => "the chain with its root",
        }
    }
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (found, rule) = (&self.found, self.rule);
        write!(f, "{found}; expected {} ({})", rule.expected(), rule.error())
    }
}

fn azure(chain: &[X509]) -> Result<(), Unfit> {
    let unfit = |rule, found| Err(Unfit { rule, found });
    let Some(leaf) = chain.first() else {
        return unfit(AzureRule::Present, "there is none".to_owned());
    };
    let name = leaf.name();
    let Some(bits) = leaf.rsa_bits() else {
        return unfit(AzureRule::Rsa, format!("{name} with a key that is not RSA"));
    };
    if bits < RSA_BITS {
        return unfit(AzureRule::KeyLength, format!("{name} with RSA-{bits}"));
    }
    if !leaf.is_for(&BOTH) {
        let found = format!("{name} without one or both of them in its extended key usage");
        return unfit(AzureRule::Purposes, found);
    }
    if !chain.last().is_some_and(X509::is_root) {
        return unfit(
            AzureRule::Root,
            format!("{name} with a chain that ends before its root"),
        );
    }
    Ok(())
}
