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

/// Why a certificate is not what its profile asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unfit {
    /// The name that Azure VPN Gateway has for it.
    pub azure: &'static str,
    /// What there is, and what there has to be.
    pub detail: String,
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

fn azure(chain: &[X509]) -> Result<(), Unfit> {
    let unfit = |what: &'static str, detail: String| Unfit { azure: what, detail };
    let Some(leaf) = chain.first() else {
        let detail = "there is no certificate".to_owned();
        return Err(unfit(
            "VpnConnectionOutBoundAuthenticationCertificateIsEmpty",
            detail,
        ));
    };
    let name = leaf.name();
    let bits = leaf.rsa_bits().ok_or_else(|| {
        let detail = format!("the key of {name} is not RSA; Azure VPN Gateway has RSA only");
        unfit(
            "VpnConnectionOutBoundAuthenticationCertificateDoesNotHaveRSAPrivateKey",
            detail,
        )
    })?;
    if bits < RSA_BITS {
        let detail = format!("the key of {name} is RSA-{bits}; at least RSA-{RSA_BITS} is needed");
        return Err(unfit(
            "VpnConnectionOutBoundAuthenticationCertificateRSAPrivateKeyLength",
            detail,
        ));
    }
    if !leaf.is_for(&BOTH) {
        let detail =
            format!("{name} lacks serverAuth or clientAuth in its extended key usage; both are needed");
        return Err(unfit(
            "VpnConnectionOutBoundAuthenticationCertificateClientAndServerAuth",
            detail,
        ));
    }
    if !chain.last().is_some_and(X509::is_root) {
        let detail = format!("what leads from {name} to its root does not end with the root");
        return Err(unfit(
            "VpnConnectionOutBoundAuthenticationCertificateChainDoesNotHaveRootCert",
            detail,
        ));
    }
    Ok(())
}
