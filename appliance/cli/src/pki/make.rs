use std::path::Path;
use std::time::SystemTime;

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_RSA_SHA256, RsaKeySize, SanType,
};
use serde_json::json;

use super::authority::{Authority, date, validity};
use super::command::{Key, Made};
use super::file::not_made;
use super::folder::Folder;
use crate::answer::{Answer, Done};
use crate::client::Error;

/// So many intermediates may stand below a root: with it five certificates, the most that Azure takes.
const BELOW: u8 = 4;

/// A certificate of a gateway.
pub(super) struct Wanted<'w> {
    pub(super) subject: &'w str,
    pub(super) names: &'w [SanType],
    pub(super) days: u32,
}

/// Makes an authority.
pub(super) fn root(name: &str, days: u32, made: &Made) -> Done {
    let folder = Folder::prepare(made)?;
    let mut params = named(name, days);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(BELOW));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let key = made.key.generate()?;
    let certificate = params.self_signed(&key).map_err(not_made)?;
    folder.write(&[certificate.der().clone()], &key)?;
    Ok(told(
        name,
        made,
        "issues certificates with causeway pki leaf --ca",
    ))
}

/// Has an authority issue a certificate.
pub(super) fn leaf(ca: &Path, wanted: &Wanted<'_>, made: &Made) -> Done {
    let authority = Authority::open(ca)?;
    if made.out.canonicalize().ok() == ca.canonicalize().ok() {
        return Err(Error::Usage(format!(
            "{} is the folder of the authority itself, whose key stays; name another one with --out",
            ca.display()
        )));
    }
    let left = authority
        .end()
        .duration_since(SystemTime::now())
        .unwrap_or_default();
    let left = left.as_secs() / 86_400;
    if u64::from(wanted.days) > left {
        return Err(Error::Usage(format!(
            "{} is good for {left} more days, and so is what it issues: say --days {left} or less, or make another authority",
            ca.display()
        )));
    }
    let folder = Folder::prepare(made)?;
    let mut params = named(wanted.subject, wanted.days);
    params.is_ca = IsCa::ExplicitNoCa;
    params.subject_alt_names = wanted.names.to_vec();
    params.key_usages = vec![
        KeyUsagePurpose::DigitalSignature,
        KeyUsagePurpose::KeyEncipherment,
    ];
    if matches!(made.key, Key::P256 | Key::P384) {
        params.key_usages.truncate(1);
    }
    params.extended_key_usages = vec![
        ExtendedKeyUsagePurpose::ClientAuth,
        ExtendedKeyUsagePurpose::ServerAuth,
    ];
    params.use_authority_key_identifier_extension = true;
    let key = made.key.generate()?;
    let certificate = params.signed_by(&key, &authority.issuer).map_err(not_made)?;
    let mut chain = vec![certificate.der().clone()];
    chain.extend(authority.chain);
    folder.write(&chain, &key)?;
    Ok(told(
        wanted.subject,
        made,
        "is trusted by what trust.json says, which is for the other side",
    ))
}

fn named(common_name: &str, days: u32) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common_name);
    [params.not_before, params.not_after] = validity(days).map(date);
    params
}

fn told(name: &str, made: &Made, what: &str) -> Answer {
    let out = made.out.display().to_string();
    let text = format!("CN={name} is in {out}; it {what}.\n");
    Answer::done(json!({ "subject": format!("CN={name}"), "folder": out }), text)
}

impl Key {
    fn generate(self) -> Result<KeyPair, Error> {
        let rsa = |size| KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, size);
        let key = match self {
            Self::Rsa2048 => rsa(RsaKeySize::_2048),
            Self::Rsa3072 => rsa(RsaKeySize::_3072),
            Self::Rsa4096 => rsa(RsaKeySize::_4096),
            Self::P256 => KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256),
            Self::P384 => KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384),
        };
        key.map_err(not_made)
    }
}
