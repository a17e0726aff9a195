//! Whether a certificate leads to one that is believed (RFC 5280 §6), and may be used for IKE (RFC 4945 §5.1).

use std::collections::BTreeSet;
use std::time::Duration;

use rustls_pki_types::{CertificateDer, SignatureVerificationAlgorithm, TrustAnchor, UnixTime};
use webpki::aws_lc_rs as algorithms;
use webpki::{
    CertRevocationList, EndEntityCert, Error as PathError, ExpirationPolicy, ExtendedKeyUsageValidator,
    KeyPurposeIdIter, RevocationCheckDepth, RevocationOptions, RevocationOptionsBuilder, UnknownStatusPolicy,
    VerifiedPath, anchor_from_trusted_cert,
};

use super::certificate::{Certificate, PURPOSES};
use super::revocation_list::RevocationList;
use super::signature::KeyKind;
use crate::CertificateReason;

/// Whom to believe that a certificate is another's.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trust {
    /// Roots, in DER.
    pub roots: BTreeSet<Vec<u8>>,
    /// Certificates that lead to a root, in DER: peers need not send them.
    pub intermediates: BTreeSet<Vec<u8>>,
    /// SHA-1 or SHA-256 of certificates that are not believed.
    pub revoked: BTreeSet<Vec<u8>>,
    /// Without a list that says whether it is revoked no certificate is believed.
    pub strict: bool,
}

/// A list of revoked certificates that may say something of a peer's.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct WantedList {
    /// Where it is (`http:`).
    pub address: String,
    /// One of these must have signed it, in DER.
    pub issuers: Vec<Vec<u8>>,
}

/// Why a certificate is not believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disbelief {
    /// In one word.
    pub reason: CertificateReason,
    /// What there is.
    pub found: String,
    /// What there should be.
    pub expected: String,
}

/// The most certificates that are looked at: those that a peer sends, and those that we know.
pub(super) const MOST: usize = 16;
/// The smallest RSA key, in bits.
pub const RSA_BITS: usize = 2048;

/// How certificates may be signed.
const SIGNATURES: &[&dyn SignatureVerificationAlgorithm] = &[
    algorithms::RSA_PKCS1_2048_8192_SHA256,
    algorithms::RSA_PKCS1_2048_8192_SHA384,
    algorithms::RSA_PKCS1_2048_8192_SHA512,
    algorithms::RSA_PKCS1_2048_8192_SHA256_ABSENT_PARAMS,
    algorithms::RSA_PKCS1_2048_8192_SHA384_ABSENT_PARAMS,
    algorithms::RSA_PKCS1_2048_8192_SHA512_ABSENT_PARAMS,
    algorithms::RSA_PSS_2048_8192_SHA256_LEGACY_KEY,
    algorithms::RSA_PSS_2048_8192_SHA384_LEGACY_KEY,
    algorithms::RSA_PSS_2048_8192_SHA512_LEGACY_KEY,
    algorithms::ECDSA_P256_SHA256,
    algorithms::ECDSA_P256_SHA384,
    algorithms::ECDSA_P256_SHA512,
    algorithms::ECDSA_P384_SHA256,
    algorithms::ECDSA_P384_SHA384,
    algorithms::ECDSA_P384_SHA512,
    algorithms::ECDSA_P521_SHA256,
    algorithms::ECDSA_P521_SHA384,
    algorithms::ECDSA_P521_SHA512,
];

/// One of the purposes that fit, or none said at all.
struct ForIke;

impl ExtendedKeyUsageValidator for ForIke {
    fn validate(&self, iter: KeyPurposeIdIter<'_, '_>) -> Result<(), PathError> {
        let (mut any, mut fits) = (false, false);
        for purpose in iter {
            let arcs: Vec<String> = purpose?
                .to_decoded_oid()
                .iter()
                .map(ToString::to_string)
                .collect();
            any = true;
            fits |= PURPOSES.contains(&arcs.join(".").as_str());
        }
        if any && !fits {
            return Err(PathError::EmptyEkuExtension);
        }
        Ok(())
    }
}

impl Trust {
    /// Whether the first of these certificates, which a peer sent, is believed at this time in seconds of UNIX time. The
    /// others lead to a root, as ours do.
    ///
    /// # Errors
    /// Why it is not.
    pub fn judge(
        &self,
        sent: &[&[u8]],
        lists: &[RevocationList],
        unix_s: u64,
    ) -> Result<Certificate, Disbelief> {
        let leaf = sent
            .first()
            .ok_or_else(|| Disbelief::new(CertificateReason::Missing, "no certificate", self.words()))?;
        let certificate = Certificate::read(leaf).ok_or_else(|| {
            let expected = "an X.509 certificate with an RSA key, or with ECDSA on P-256, P-384 or P-521";
            Disbelief::new(CertificateReason::Invalid, "something else", expected.to_owned())
        })?;
        self.alone(&certificate, unix_s)?;
        self.leads(&certificate, &self.others(sent), (lists, unix_s))?;
        Ok(certificate)
    }

    /// Whether all that `other` believes is believed by this one.
    pub(crate) fn believes_all_that(&self, other: &Self) -> bool {
        let more =
            self.roots.is_superset(&other.roots) && self.intermediates.is_superset(&other.intermediates);
        more && self.revoked.is_subset(&other.revoked) && self.strict <= other.strict
    }

    /// What can be said of a certificate alone.
    fn alone(&self, certificate: &Certificate, unix_s: u64) -> Result<(), Disbelief> {
        let (name, _) = certificate.names();
        if let Some(disbelief) = untimely(certificate, unix_s) {
            return Err(disbelief);
        }
        if let KeyKind::Rsa(bits) = certificate.kind()
            && bits < RSA_BITS
        {
            let expected = format!("at least RSA-{RSA_BITS}");
            let found = format!("{name} with RSA-{bits}");
            return Err(Disbelief::new(CertificateReason::Weak, &found, expected));
        }
        if !certificate.may_sign() {
            let found = format!("{name}, whose key usage leaves signatures out");
            let expected = "digitalSignature or nonRepudiation in its key usage".to_owned();
            return Err(Disbelief::new(CertificateReason::WrongUsage, &found, expected));
        }
        let listed = |thumbprint: &Vec<u8>| certificate.has_thumbprint(thumbprint);
        if self.revoked.iter().any(listed) {
            let expected = "none of the revoked thumbprints".to_owned();
            return Err(Disbelief::new(CertificateReason::Revoked, &name, expected));
        }
        Ok(())
    }

    /// Whether there is a path to a root, and nothing on it is revoked.
    fn leads(
        &self,
        certificate: &Certificate,
        others: &[CertificateDer<'_>],
        (lists, unix_s): (&[RevocationList], u64),
    ) -> Result<(), Disbelief> {
        let refused = |error: &PathError| self.refused(certificate, others, (error, unix_s));
        let roots = self.valid_roots(unix_s)?;
        let verify = |lists: &[&CertRevocationList<'_>], policy| {
            let revocation = revocation(lists, policy)?;
            self.verified(certificate, others, (&roots, unix_s), revocation)
        };
        let path = self.verified(certificate, others, (&roots, unix_s), None);
        let path = path.map_err(|error| refused(&error))?;
        // A list that is forged, or that nobody can use, is none.
        let lists = lists.iter().map(RevocationList::list);
        let usable = lists.filter(|list| path.iter().any(|on_path| on_path.is_issued_by(list.issuer())));
        let usable: Vec<&CertRevocationList<'_>> = usable
            .filter(|list| !verify(&[list], Policy::Lenient).is_err_and(|error| is_unknown(&error)))
            .collect();
        let policy = if self.strict {
            Policy::Strict
        } else {
            Policy::Lenient
        };
        verify(&usable, policy).map(drop).map_err(|error| refused(&error))
    }

    /// The certificate and what leads from it to one of the roots, without that.
    fn verified(
        &self,
        certificate: &Certificate,
        others: &[CertificateDer<'_>],
        (roots, unix_s): (&[&[u8]], u64),
        revocation: Option<RevocationOptions<'_>>,
    ) -> Result<Vec<Certificate>, PathError> {
        let roots: Vec<CertificateDer<'_>> = roots.iter().map(|root| CertificateDer::from(*root)).collect();
        let anchors = roots
            .iter()
            .filter_map(|root| anchor_from_trusted_cert(root).ok());
        let anchors: Vec<TrustAnchor<'_>> = anchors.collect();
        let der = CertificateDer::from(certificate.der());
        let leaf = EndEntityCert::try_from(&der)?;
        let time = UnixTime::since_unix_epoch(Duration::from_secs(unix_s));
        let stands = |path: &VerifiedPath<'_>| self.stands(path);
        let stands: &dyn Fn(&VerifiedPath<'_>) -> Result<(), PathError> = &stands;
        let path = leaf.verify_for_usage(
            SIGNATURES,
            &anchors,
            others,
            time,
            ForIke,
            revocation,
            Some(stands),
        )?;
        let between = path.intermediate_certificates();
        let between = between.filter_map(|found| Certificate::read(&found.der()));
        Ok(std::iter::once(certificate.clone()).chain(between).collect())
    }

    /// Whether no thumbprint of this path is revoked. Another path may do without that certificate.
    fn stands(&self, path: &VerifiedPath<'_>) -> Result<(), PathError> {
        let read = |der: CertificateDer<'_>| Certificate::read(&der);
        let mut passed = path
            .intermediate_certificates()
            .filter_map(|found| read(found.der()));
        let revoked = |found: &Certificate| self.revoked.iter().any(|listed| found.has_thumbprint(listed));
        if passed.any(|found| revoked(&found)) {
            return Err(PathError::CertRevoked);
        }
        Ok(())
    }

    /// The lists that say whether any certificate between the first of these and its root is revoked: those of the path alone,
    /// for nobody vouches for what else a peer sends.
    pub(crate) fn lists(&self, sent: &[&[u8]], unix_s: u64) -> Vec<WantedList> {
        let path = self.path(sent, unix_s).unwrap_or_default();
        let above = path.iter().map(|found| found.der().to_vec());
        let above: Vec<Vec<u8>> = above.skip(1).chain(self.roots.iter().cloned()).collect();
        let addresses = path.iter().flat_map(Certificate::distribution_points);
        let wanted = |address| WantedList {
            address,
            issuers: above.clone(),
        };
        addresses.map(wanted).collect()
    }

    fn path(&self, sent: &[&[u8]], unix_s: u64) -> Option<Vec<Certificate>> {
        let leaf = Certificate::read(sent.first()?)?;
        let roots = self.valid_roots(unix_s).ok()?;
        self.verified(&leaf, &self.others(sent), (&roots, unix_s), None)
            .ok()
    }

    /// What may lead from the first of these certificates to a root.
    fn others<'a>(&'a self, sent: &[&'a [u8]]) -> Vec<CertificateDer<'a>> {
        let others = sent.iter().skip(1).copied();
        let others = others.chain(self.intermediates.iter().map(Vec::as_slice));
        others.take(MOST).map(CertificateDer::from).collect()
    }

    /// The roots that are valid now.
    fn valid_roots(&self, unix_s: u64) -> Result<Vec<&[u8]>, Disbelief> {
        let (mut valid, mut untimely_one) = (Vec::new(), None);
        for root in &self.roots {
            match Certificate::read(root).and_then(|root| untimely(&root, unix_s)) {
                None => valid.push(root.as_slice()),
                disbelief => untimely_one = disbelief,
            }
        }
        match untimely_one {
            Some(disbelief) if valid.is_empty() => Err(disbelief),
            _ => Ok(valid),
        }
    }

    /// The names of the roots.
    fn words(&self) -> String {
        let roots = self.roots.iter().filter_map(|root| Certificate::read(root));
        let names: Vec<String> = roots.map(|root| root.names().0).collect();
        format!("a certificate that leads to {}", names.join(" or "))
    }

    fn refused(
        &self,
        certificate: &Certificate,
        others: &[CertificateDer<'_>],
        (error, unix_s): (&PathError, u64),
    ) -> Disbelief {
        let (name, issuer) = certificate.names();
        let found = format!("{name} from {issuer}");
        let because = format!("{found} ({error})");
        let reason = reason_of(error);
        match reason {
            CertificateReason::Expired | CertificateReason::NotYetValid => {
                let read = others.iter().filter_map(|other| Certificate::read(other));
                let late = read.filter_map(|other| untimely(&other, unix_s)).next();
                late.unwrap_or_else(|| Disbelief::new(reason, &because, "certificates of today".to_owned()))
            }
            CertificateReason::WrongUsage => {
                let expected = "an end-entity certificate with serverAuth, clientAuth or ipsecIKE, or without \
                                an extended key usage";
                Disbelief::new(reason, &because, expected.to_owned())
            }
            CertificateReason::Revoked => {
                Disbelief::new(reason, &found, "one that is not revoked".to_owned())
            }
            CertificateReason::RevocationUnknown => {
                let expected = "a list of revoked certificates of each issuer, for \"crl\" is \"strict\"";
                Disbelief::new(reason, &because, expected.to_owned())
            }
            CertificateReason::Untrusted
            | CertificateReason::SignatureRefused
            | CertificateReason::Missing
            | CertificateReason::Invalid
            | CertificateReason::Weak => Disbelief::new(reason, &because, self.words()),
        }
    }
}

/// What it means that no list, or none that is still good, says whether a certificate is revoked.
#[derive(Clone, Copy)]
enum Policy {
    /// That it is not believed.
    Strict,
    /// Nothing.
    Lenient,
}

/// How lists of revoked certificates are to be taken.
fn revocation<'l>(
    lists: &'l [&'l CertRevocationList<'l>],
    policy: Policy,
) -> Result<Option<RevocationOptions<'l>>, PathError> {
    let options = match (RevocationOptionsBuilder::new(lists), policy) {
        (Ok(options), _) => options.with_depth(RevocationCheckDepth::Chain),
        (Err(_), Policy::Strict) => return Err(PathError::UnknownRevocationStatus),
        (Err(_), Policy::Lenient) => return Ok(None),
    };
    let (status, expiration) = match policy {
        Policy::Strict => (UnknownStatusPolicy::Deny, ExpirationPolicy::Enforce),
        Policy::Lenient => (UnknownStatusPolicy::Allow, ExpirationPolicy::Ignore),
    };
    let options = options
        .with_status_policy(status)
        .with_expiration_policy(expiration);
    Ok(Some(options.build()))
}

fn is_unknown(error: &PathError) -> bool {
    reason_of(error) == CertificateReason::RevocationUnknown
}

/// The reason word for what is wrong with a path.
fn reason_of(error: &PathError) -> CertificateReason {
    match error {
        PathError::CertExpired { .. } => CertificateReason::Expired,
        PathError::CertNotValidYet { .. } => CertificateReason::NotYetValid,
        PathError::CertRevoked | PathError::CertDistrusted => CertificateReason::Revoked,
        PathError::UnknownRevocationStatus
        | PathError::CrlExpired { .. }
        | PathError::InvalidCrlSignatureForPublicKey
        | PathError::IssuerNotCrlSigner
        | PathError::UnsupportedCrlSignatureAlgorithmContext(_)
        | PathError::UnsupportedCrlSignatureAlgorithmForPublicKeyContext(_) => {
            CertificateReason::RevocationUnknown
        }
        PathError::CaUsedAsEndEntity
        | PathError::EmptyEkuExtension
        | PathError::RequiredEkuNotFoundContext(_) => CertificateReason::WrongUsage,
        PathError::UnsupportedSignatureAlgorithmContext(_)
        | PathError::UnsupportedSignatureAlgorithmForPublicKeyContext(_) => CertificateReason::Weak,
        PathError::UnknownIssuer
        | PathError::InvalidSignatureForPublicKey
        | PathError::EndEntityUsedAsCa
        | PathError::PathLenConstraintViolated
        | PathError::NameConstraintViolation
        | PathError::MaximumPathDepthExceeded
        | PathError::MaximumPathBuildCallsExceeded
        | PathError::MaximumSignatureChecksExceeded
        | PathError::MaximumNameConstraintComparisonsExceeded => CertificateReason::Untrusted,
        _ => CertificateReason::Invalid,
    }
}

/// What is wrong with the time of a certificate.
pub(super) fn untimely(certificate: &Certificate, unix_s: u64) -> Option<Disbelief> {
    let (name, _) = certificate.names();
    let (from, until) = certificate.validity();
    if unix_s > until {
        let found = format!("{name}, valid until {}", date(until));
        let expected = format!("valid at {}", date(unix_s));
        return Some(Disbelief::new(CertificateReason::Expired, &found, expected));
    }
    (unix_s < from).then(|| {
        let found = format!("{name}, valid from {}", date(from));
        Disbelief::new(
            CertificateReason::NotYetValid,
            &found,
            format!("valid at {}", date(unix_s)),
        )
    })
}

/// Seconds of UNIX time as RFC 3339 writes them.
fn date(unix_s: u64) -> String {
    let date = x509_cert::der::DateTime::from_unix_duration(Duration::from_secs(unix_s));
    date.map_or_else(|_| "after the year 9999".to_owned(), |date| date.to_string())
}

impl Disbelief {
    fn new(reason: CertificateReason, found: &str, expected: String) -> Self {
        let found = found.to_owned();
        Self {
            reason,
            found,
            expected,
        }
    }
}

#[cfg(test)]
mod tests {
    use hex_literal::hex;

    use super::*;

    #[test]
    fn nothing_is_missing() {
        let disbelief = Trust::default().judge(&[], &[], 0).unwrap_err();
        assert_eq!(disbelief.reason, CertificateReason::Missing);
    }

    /// CN=w with RSA-1024, made by openssl.
    #[test]
    fn a_short_key_is_weak() {
        let der = hex!(
            "308201f63082015fa00302010202146867fc6996d2620d6c2b8d6bffbd4e8e6797843e300d06092a864886f70d01010b0500300c310a30"
            "0806035504030c01773020170d3236313132373137313634355a180f32313236313130333137313634355a300c310a300806035504030c"
            "017730819f300d06092a864886f70d010101050003818d0030818902818100c06bb10b9b3ffee689776d419c41c46760732b5b29b541fc"
            "0f97c89dd12cadced1022789fce37e5cfd7bca8161815c4e0e22650f3b64a674a8366951ef20dae03848c0afd25fdb100a85bf1a897fff"
            "39442cbd5852c843418d9555be98c05f95013cc3bcb3b95f8188a993cb8f601961b9b134e439673a5482bcb91a7a4101790203010001a3"
            "533051301d0603551d0e04160414a92a0feabbc4b250b15a34c19453e904f3aa04ee301f0603551d23041830168014a92a0feabbc4b250"
            "b15a34c19453e904f3aa04ee300f0603551d130101ff040530030101ff300d06092a864886f70d01010b0500038181002169e26239d7bf"
            "625470137f9d39443046a8e381d74820def78da6cf7ad1a014afce21108d3dc70bc5567b9469fd4c16910f6e8c28e85d87c446fd81929b"
            "7cba5ddee7077df28bf859f2c969726170665098f13666e4d1ca9b2e7c36102d43c1f64d0dcf26182886ded4ffbc1d04933127ace55e43"
            "4afbb72ddafdd5cb372521"
        );
        let disbelief = Trust::default().judge(&[&der], &[], 1_800_000_000).unwrap_err();
        assert_eq!(disbelief.reason, CertificateReason::Weak);
        assert_eq!(disbelief.found, "CN=w with RSA-1024");
    }
}
