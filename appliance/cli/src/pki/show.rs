use std::fmt::Write;
use std::net::IpAddr;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, SHA256, digest};
use serde_json::{Value, json};
use x509_cert::TbsCertificate;
use x509_cert::der::asn1::{ObjectIdentifier, UintRef};
use x509_cert::der::{Decode, Reader, SliceReader};
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::ext::pkix::{BasicConstraints, ExtendedKeyUsage, SubjectAltName};

use super::file::{Read, certificates};
use crate::answer::{Answer, Done};
use crate::report::push;

const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
/// Purposes by their names of RFC 5280 §4.2.1.12; others are shown as numbers.
const PURPOSES: [(&str, &str); 7] = [
    ("2.5.29.37.0", "any"),
    ("1.3.6.1.5.5.7.3.1", "serverAuth"),
    ("1.3.6.1.5.5.7.3.2", "clientAuth"),
    ("1.3.6.1.5.5.7.3.3", "codeSigning"),
    ("1.3.6.1.5.5.7.3.4", "emailProtection"),
    ("1.3.6.1.5.5.7.3.8", "timeStamping"),
    ("1.3.6.1.5.5.7.3.9", "OCSPSigning"),
];
/// Curves by their names.
const CURVES: [(&str, &str); 3] = [
    ("1.2.840.10045.3.1.7", "P-256"),
    ("1.3.132.0.34", "P-384"),
    ("1.3.132.0.35", "P-521"),
];

/// What the certificates of a file say. Nobody looks at signatures here.
pub(super) fn run(file: &Path) -> Done {
    let (mut text, mut told) = (String::new(), Vec::new());
    for certificate in certificates(file)? {
        if !text.is_empty() {
            text.push('\n');
        }
        let one = facts(&certificate);
        for (label, words) in &one {
            push(&mut text, &format!("{label:<9} {words}"));
        }
        let one = one
            .into_iter()
            .map(|(label, words)| (label.replace('-', "").to_lowercase(), words.into()));
        told.push(Value::Object(one.collect()));
    }
    Ok(Answer::done(json!(told), text))
}

fn facts(certificate: &Read) -> Vec<(&'static str, String)> {
    let says = certificate.says.tbs_certificate();
    vec![
        ("subject", says.subject().to_string()),
        ("issuer", says.issuer().to_string()),
        ("names", names(says)),
        ("valid", validity(says, SystemTime::now())),
        ("key", key(says)),
        ("purposes", purposes(says)),
        ("authority", authority(says)),
        ("serial", hexadecimal(says.serial_number().as_bytes())),
        (
            "SHA-1",
            hexadecimal(digest(&SHA1_FOR_LEGACY_USE_ONLY, &certificate.der).as_ref()),
        ),
        ("SHA-256", hexadecimal(digest(&SHA256, &certificate.der).as_ref())),
    ]
}

const UNREADABLE: &str = "cannot be read";

fn names(says: &TbsCertificate) -> String {
    let names = match says.get_extension::<SubjectAltName>() {
        Ok(Some((_, names))) => names.0,
        Ok(None) => return "none".to_owned(),
        Err(_) => return UNREADABLE.to_owned(),
    };
    let names: Vec<String> = names.iter().map(name).collect();
    names.join(", ")
}

fn name(name: &GeneralName) -> String {
    match name {
        GeneralName::DnsName(name) => format!("dns:{}", name.as_str()),
        GeneralName::Rfc822Name(name) => format!("email:{}", name.as_str()),
        GeneralName::UniformResourceIdentifier(name) => format!("uri:{}", name.as_str()),
        GeneralName::DirectoryName(name) => format!("directory:{name}"),
        GeneralName::IpAddress(octets) => {
            let octets = octets.as_bytes();
            let four = <[u8; 4]>::try_from(octets).map(IpAddr::from);
            let address = four.or_else(|_| <[u8; 16]>::try_from(octets).map(IpAddr::from));
            address.map_or(format!("ip: {UNREADABLE}"), |address| format!("ip:{address}"))
        }
        GeneralName::RegisteredId(id) => format!("id:{id}"),
        GeneralName::OtherName(other) => format!("other:{}", other.type_id),
        GeneralName::EdiPartyName(_) => "a party of EDI".to_owned(),
    }
}

fn validity(says: &TbsCertificate, now: SystemTime) -> String {
    let validity = says.validity();
    let [from, until] =
        [validity.not_before, validity.not_after].map(|time| UNIX_EPOCH + time.to_unix_duration());
    let standing = if now < from {
        "NOT YET VALID".to_owned()
    } else {
        match until.duration_since(now) {
            Ok(left) => format!("{} days left", left.as_secs() / 86_400),
            Err(_) => "EXPIRED".to_owned(),
        }
    };
    let (from, until) = (
        validity.not_before.to_date_time(),
        validity.not_after.to_date_time(),
    );
    format!("{from} to {until}: {standing}")
}

fn key(says: &TbsCertificate) -> String {
    let key = says.subject_public_key_info();
    let algorithm = &key.algorithm;
    if algorithm.oid == RSA {
        let bits = bits(key.subject_public_key.raw_bytes());
        return bits.map_or(format!("RSA, {UNREADABLE}"), |bits| format!("RSA, {bits} bits"));
    }
    if algorithm.oid == EC {
        let curve = algorithm.parameters.as_ref();
        let curve = curve.and_then(|curve| curve.decode_as::<ObjectIdentifier>().ok());
        return curve.map_or(format!("ECDSA, {UNREADABLE}"), |curve| {
            format!("ECDSA, {}", named(&CURVES, &curve))
        });
    }
    algorithm.oid.to_string()
}

/// The length of the modulus of an RSA key (RFC 8017 §A.1.1).
fn bits(key: &[u8]) -> Option<usize> {
    let mut reader = SliceReader::new(key).ok()?;
    let modulus = reader.sequence(|inside| -> x509_cert::der::Result<Vec<u8>> {
        let modulus = UintRef::decode(inside)?.as_bytes().to_vec();
        UintRef::decode(inside)?;
        Ok(modulus)
    });
    let modulus = modulus.ok()?;
    let zeros = modulus.first()?.leading_zeros();
    (modulus.len() * 8).checked_sub(usize::try_from(zeros).ok()?)
}

fn purposes(says: &TbsCertificate) -> String {
    match says.get_extension::<ExtendedKeyUsage>() {
        Ok(Some((_, purposes))) => {
            let words: Vec<String> = purposes.0.iter().map(|one| named(&PURPOSES, one)).collect();
            words.join(", ")
        }
        Ok(None) => "not limited".to_owned(),
        Err(_) => UNREADABLE.to_owned(),
    }
}

fn authority(says: &TbsCertificate) -> String {
    match says.get_extension::<BasicConstraints>() {
        Ok(Some((_, basic))) if basic.ca => match basic.path_len_constraint {
            Some(most) => format!("yes, with {most} intermediates below it at most"),
            None => "yes".to_owned(),
        },
        Ok(Some(_) | None) => "no".to_owned(),
        Err(_) => UNREADABLE.to_owned(),
    }
}

fn named(names: &[(&str, &str)], id: &ObjectIdentifier) -> String {
    let number = id.to_string();
    let known = names.iter().find(|(known, _)| *known == number);
    known.map_or(number.clone(), |(_, name)| (*name).to_owned())
}

fn hexadecimal(octets: &[u8]) -> String {
    octets.iter().fold(String::new(), |mut text, octet| {
        let _ = write!(text, "{octet:02X}");
        text
    })
}
