//! Which certificate of a path is to blame, and by which rule: for people, beside the verdict of [`Trust::judge`].

use x509_cert::der::Encode;
use x509_cert::ext::pkix::{BasicConstraints, KeyUsage, NameConstraints};

use super::certificate::Certificate;
use super::path::{Disbelief, MOST, RSA_BITS, Trust, untimely};
use super::revocation_list::RevocationList;
use super::signature::{KeyKind, SignatureScheme};
use crate::CertificateReason;

/// Whether a certificate is believed, and how it leads to a root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// The path in DER, the certificate first, as far as it leads.
    pub path: Vec<Vec<u8>>,
    /// Why it is not believed, if it is not.
    pub fault: Option<PathFault>,
}

/// What breaks a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathFault {
    /// The subject of the certificate that is to blame; empty if there is none.
    pub certificate: String,
    /// The rule that it breaks.
    pub rule: &'static str,
    /// The verdict.
    pub disbelief: Disbelief,
}

/// How far names and signatures lead.
enum End {
    /// To a root that is believed.
    Root,
    /// To one whose issuer is not among those that are known.
    NoIssuer,
    /// To one that whoever is named as its issuer did not sign.
    Forged,
}

const DATES: &str = "it is used between notBefore and notAfter (RFC 5280 §4.1.2.5)";
const ISSUER: &str = "its issuer is known, up to a root in the trust (RFC 5280 §6.1)";
const SIGNATURE: &str = "it is signed by the key of its issuer (RFC 5280 §6.1.3 a 1)";
const AUTHORITY: &str = "who issues certificates has cA in its basic constraints (RFC 5280 §4.2.1.9)";
const LENGTH: &str = "no more intermediates follow than pathLenConstraint lets (RFC 5280 §4.2.1.9)";
const ISSUES: &str = "who issues certificates has keyCertSign, where it has a key usage (RFC 5280 §4.2.1.3)";
const NAMES: &str = "names are inside the name constraints above them (RFC 5280 §4.2.1.10)";
const LEAF: &str = "a gateway's certificate is no authority's (RFC 5280 §4.2.1.9)";
const SIGNS: &str = "its key usage, if any, has digitalSignature or nonRepudiation (RFC 4945 §5.1.3.2)";
const PURPOSE: &str =
    "its extended key usage, if any, has serverAuth, clientAuth or ipsecIKE (RFC 4945 §5.1.3.12)";
const REVOKED: &str = "it is not revoked (RFC 5280 §6.3)";
const LISTS: &str = "a list says whether it is revoked (RFC 5280 §6.3)";
const STRENGTH: &str = "RSA has 2048 bits or more, and SHA-2 is what is signed";
const FORM: &str = "it can be read, and every critical extension is understood (RFC 5280 §4.2)";
const THERE: &str = "there is a certificate";
const METHOD: &str = "it is signed in an expected way";

impl Trust {
    /// The verdict of [`judge`](Self::judge), how the certificate leads to a root, and which one is to blame if it does not.
    pub fn explain(&self, sent: &[&[u8]], lists: &[RevocationList], unix_s: u64) -> Explanation {
        let verdict = self.judge(sent, lists, unix_s);
        let (path, end) = self.walk(sent);
        let fault = verdict
            .err()
            .map(|disbelief| self.blame(&path, &end, disbelief, unix_s));
        Explanation {
            path: path.into_iter().map(|one| one.der().to_vec()).collect(),
            fault,
        }
    }

    /// From the certificate to its issuer and so on; of several with one name the one that signed it.
    fn walk(&self, sent: &[&[u8]]) -> (Vec<Certificate>, End) {
        let mut path = Vec::new();
        path.extend(sent.first().and_then(|leaf| Certificate::read(leaf)));
        let others = sent.iter().skip(1).copied();
        let others = others
            .chain(self.intermediates.iter().map(Vec::as_slice))
            .take(MOST);
        let known: Vec<Certificate> = self
            .roots
            .iter()
            .map(Vec::as_slice)
            .chain(others)
            .filter_map(Certificate::read)
            .collect();
        while let Some(last) = path.last() {
            if self.roots.contains(last.der()) {
                return (path, End::Root);
            }
            let issuer = last.issuer();
            let named = known
                .iter()
                .filter(|one| one.subject() == issuer && !path.contains(one));
            let named: Vec<&Certificate> = named.collect();
            match named.iter().find(|one| one.signed(last)) {
                Some(issuer) => path.push(Certificate::clone(issuer)),
                None if named.is_empty() => return (path, End::NoIssuer),
                None => return (path, End::Forged),
            }
        }
        (path, End::NoIssuer)
    }

    fn blame(&self, path: &[Certificate], end: &End, disbelief: Disbelief, unix_s: u64) -> PathFault {
        let leaf = path.first();
        let (certificate, rule) = match disbelief.reason {
            CertificateReason::Expired | CertificateReason::NotYetValid => {
                let roots: Vec<Certificate> = self
                    .roots
                    .iter()
                    .filter_map(|root| Certificate::read(root))
                    .collect();
                let late = path
                    .iter()
                    .chain(&roots)
                    .find(|one| untimely(one, unix_s).is_some());
                return fault(late.or(leaf), DATES, disbelief);
            }
            CertificateReason::Weak => (path.iter().find(|one| one.is_weak()).or(leaf), STRENGTH),
            CertificateReason::WrongUsage => (leaf, leaf.map_or(PURPOSE, usage_rule)),
            CertificateReason::Revoked => {
                let listed = |one: &&Certificate| self.revoked.iter().any(|print| one.has_thumbprint(print));
                (path.iter().find(listed).or(leaf), REVOKED)
            }
            CertificateReason::RevocationUnknown => (leaf, LISTS),
            CertificateReason::Untrusted => match end {
                End::NoIssuer => (path.last(), ISSUER),
                End::Forged => (path.last(), SIGNATURE),
                End::Root => broken(path).map_or((leaf, ISSUER), |(one, rule)| (Some(one), rule)),
            },
            CertificateReason::Invalid => (leaf, FORM),
            CertificateReason::Missing => (leaf, THERE),
            CertificateReason::SignatureRefused => (leaf, METHOD),
        };
        fault(certificate, rule, disbelief)
    }
}

fn fault(certificate: Option<&Certificate>, rule: &'static str, disbelief: Disbelief) -> PathFault {
    PathFault {
        certificate: certificate.map(|one| one.names().0).unwrap_or_default(),
        rule,
        disbelief,
    }
}

/// Why one that could be used for something else cannot be for IKE.
fn usage_rule(leaf: &Certificate) -> &'static str {
    if !leaf.may_sign() {
        SIGNS
    } else if leaf.constraints().is_some_and(|basic| basic.ca) {
        LEAF
    } else {
        PURPOSE
    }
}

/// Which issuer of a path that leads to a root may not have issued what is before it.
fn broken(path: &[Certificate]) -> Option<(&Certificate, &'static str)> {
    let authorities = path.iter().enumerate().skip(1);
    let rule = |(below, authority): (usize, &Certificate)| {
        let basic = authority.constraints();
        // What issued itself anew does not count (RFC 5280 §4.2.1.9).
        let between = path
            .iter()
            .take(below)
            .skip(1)
            .filter(|one| one.subject() != one.issuer())
            .count();
        let most = basic.as_ref().and_then(|basic| basic.path_len_constraint);
        if basic.is_none_or(|basic| !basic.ca) {
            Some(AUTHORITY)
        } else if most.is_some_and(|most| between > usize::from(most)) {
            Some(LENGTH)
        } else if !authority.may_issue() {
            Some(ISSUES)
        } else {
            None
        }
    };
    let mut broken = authorities
        .clone()
        .filter_map(|place| Some((place.1, rule(place)?)));
    let constrained = || {
        let mut named = authorities
            .clone()
            .filter(|(_, authority)| authority.constrains_names());
        Some((named.next()?.1, NAMES))
    };
    broken.next().or_else(constrained)
}

impl Certificate {
    /// The name of its issuer, in DER.
    fn issuer(&self) -> Vec<u8> {
        self.says().issuer().to_der().unwrap_or_default()
    }

    /// Whether its key made the signature of another.
    fn signed(&self, other: &Self) -> bool {
        let parsed = other.parsed();
        let scheme = parsed.signature_algorithm().to_der().ok();
        let scheme = scheme.and_then(|der| SignatureScheme::named(&der));
        let (Some(scheme), Ok(says)) = (scheme, other.says().to_der()) else {
            return false;
        };
        let signature = parsed.signature().as_bytes().unwrap_or_default();
        scheme.verifies((self.kind(), self.public_key()), &says, signature)
    }

    /// Its key is short, or what its issuer signed it with is not what we take.
    fn is_weak(&self) -> bool {
        let short = matches!(self.kind(), KeyKind::Rsa(bits) if bits < RSA_BITS);
        let scheme = self.parsed().signature_algorithm().to_der().ok();
        let scheme = scheme.and_then(|der| SignatureScheme::named(&der));
        short || scheme.is_none_or(|scheme| scheme.hash() == Some(super::Hash::Sha1))
    }

    fn constraints(&self) -> Option<BasicConstraints> {
        let basic = self.says().get_extension::<BasicConstraints>();
        Some(basic.ok()??.1)
    }

    fn may_issue(&self) -> bool {
        match self.says().get_extension::<KeyUsage>() {
            Ok(usage) => usage.is_none_or(|(_, usage)| usage.key_cert_sign()),
            Err(_) => false,
        }
    }

    fn constrains_names(&self) -> bool {
        !matches!(self.says().get_extension::<NameConstraints>(), Ok(None))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use rcgen::{
        BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, GeneralSubtree,
        IsCa, KeyPair, KeyUsagePurpose, NameConstraints, date_time_ymd,
    };

    use super::*;

    /// 2026-11-27.
    const TODAY: u64 = 1_795_737_600;

    type Authority = CertifiedIssuer<'static, KeyPair>;

    fn named(name: &str) -> CertificateParams {
        let mut params = CertificateParams::new(vec![format!("{name}.example")]).unwrap();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        (params.not_before, params.not_after) = (date_time_ymd(2026, 1, 1), date_time_ymd(2027, 1, 1));
        params
    }

    fn authority(name: &str) -> CertificateParams {
        let mut params = named(name);
        params.subject_alt_names.clear();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        params
    }

    fn root(params: CertificateParams) -> Authority {
        CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
    }

    fn below(params: CertificateParams, issuer: &Authority) -> Authority {
        CertifiedIssuer::signed_by(params, KeyPair::generate().unwrap(), issuer).unwrap()
    }

    /// What is said of a leaf of the last of these, all of which are sent; the first is believed.
    fn explained(authorities: &[&Authority], leaf: &CertificateParams) -> Explanation {
        let (key, issuer) = (KeyPair::generate().unwrap(), authorities.last().unwrap());
        let leaf = leaf.clone().signed_by(&key, issuer).unwrap();
        let mut sent: Vec<&[u8]> = vec![leaf.der()];
        sent.extend(authorities.iter().skip(1).map(|one| one.der().as_ref()));
        trust(authorities[0]).explain(&sent, &[], TODAY)
    }

    fn trust(root: &Authority) -> Trust {
        Trust {
            roots: BTreeSet::from([root.der().to_vec()]),
            ..Trust::default()
        }
    }

    fn names(explanation: &Explanation) -> Vec<String> {
        let path = explanation.path.iter();
        path.map(|der| Certificate::read(der).unwrap().names().0)
            .collect()
    }

    fn blamed(explanation: &Explanation) -> (&str, &str, &'static str) {
        let fault = explanation.fault.as_ref().expect("it is believed");
        (&fault.certificate, fault.disbelief.reason.word(), fault.rule)
    }

    #[test]
    fn a_path_that_is_believed_is_told_from_the_leaf_to_the_root() {
        let root = root(authority("root"));
        let middle = below(authority("middle"), &root);
        let good = explained(&[&root, &middle], &named("gw"));
        assert_eq!(good.fault, None);
        assert_eq!(names(&good), ["CN=gw", "CN=middle", "CN=root"]);
    }

    #[test]
    fn what_is_missing_or_forged_is_told_where_the_path_ends() {
        let root = root(authority("root"));
        let middle = below(authority("middle"), &root);
        let leaf = named("gw")
            .signed_by(&KeyPair::generate().unwrap(), &middle)
            .unwrap();
        let alone = trust(&root).explain(&[leaf.der()], &[], TODAY);
        assert_eq!(blamed(&alone), ("CN=gw", "certificate-untrusted", ISSUER));
        let impostor = below(authority("middle"), &root);
        let forged = trust(&root).explain(&[leaf.der(), impostor.der()], &[], TODAY);
        assert_eq!(blamed(&forged), ("CN=gw", "certificate-untrusted", SIGNATURE));
    }

    #[test]
    fn the_authority_that_may_not_issue_is_blamed() {
        let root = root(authority("root"));
        let gateway = below(named("not-an-authority"), &root);
        let issued = explained(&[&root, &gateway], &named("gw"));
        assert_eq!(
            blamed(&issued),
            ("CN=not-an-authority", "certificate-untrusted", AUTHORITY)
        );
        let mut short = authority("short");
        short.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        let short = below(short, &root);
        let long = below(authority("long"), &short);
        let issued = explained(&[&root, &short, &long], &named("gw"));
        assert_eq!(blamed(&issued), ("CN=short", "certificate-untrusted", LENGTH));
        let mut narrow = authority("narrow");
        narrow.name_constraints = Some(NameConstraints {
            permitted_subtrees: vec![GeneralSubtree::DnsName("elsewhere.example".to_owned())],
            excluded_subtrees: Vec::new(),
        });
        let narrow = below(narrow, &root);
        let issued = explained(&[&root, &narrow], &named("gw"));
        assert_eq!(blamed(&issued), ("CN=narrow", "certificate-untrusted", NAMES));
    }

    #[test]
    fn the_one_that_is_late_or_for_something_else_is_blamed() {
        let root = root(authority("root"));
        let mut old = authority("old");
        old.not_after = date_time_ymd(2026, 2, 1);
        let old = below(old, &root);
        let issued = explained(&[&root, &old], &named("gw"));
        assert_eq!(blamed(&issued), ("CN=old", "certificate-expired", DATES));
        let issued = explained(&[&root], &authority("ca"));
        assert_eq!(blamed(&issued), ("CN=ca", "certificate-wrong-usage", SIGNS));
        let mut signing = authority("ca");
        signing.key_usages.push(KeyUsagePurpose::DigitalSignature);
        let issued = explained(&[&root], &signing);
        assert_eq!(blamed(&issued), ("CN=ca", "certificate-wrong-usage", LEAF));
    }
}
