use std::fmt;
use std::str::FromStr;

use aws_lc_rs::digest::{SHA256, SHA256_OUTPUT_LEN, digest};
use rustls::pki_types::CertificateDer;

const LABEL: &str = "sha256:";

/// The SHA-256 of a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fingerprint([u8; SHA256_OUTPUT_LEN]);

impl Fingerprint {
    pub(super) fn of(certificate: &CertificateDer<'_>) -> Self {
        let mut octets = [0; SHA256_OUTPUT_LEN];
        octets.copy_from_slice(digest(&SHA256, certificate).as_ref());
        Self(octets)
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(LABEL)?;
        self.0
            .iter()
            .try_for_each(|octet| write!(formatter, "{octet:02x}"))
    }
}

impl FromStr for Fingerprint {
    type Err = &'static str;

    /// With or without colons between the octets, as `openssl x509 -fingerprint -sha256` writes it too.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = "a fingerprint is sha256: and 64 of 0-9 a-f";
        let digits = text.strip_prefix(LABEL).ok_or(wrong)?.replace(':', "");
        let nibbles: Option<Vec<u32>> = digits.chars().map(|digit| digit.to_digit(16)).collect();
        let nibbles = nibbles.filter(|nibbles| nibbles.len() == 2 * SHA256_OUTPUT_LEN);
        let mut octets = [0; SHA256_OUTPUT_LEN];
        for (octet, pair) in octets.iter_mut().zip(nibbles.ok_or(wrong)?.chunks(2)) {
            let value = pair.iter().fold(0, |value, nibble| value * 16 + nibble);
            *octet = u8::try_from(value).map_err(|_| wrong)?;
        }
        Ok(Self(octets))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_of_writing_it_are_the_same_and_others_are_none() {
        let fingerprint = Fingerprint::of(&CertificateDer::from(b"certificate".as_slice()));
        let plain = fingerprint.to_string();
        assert_eq!(plain.parse(), Ok(fingerprint));
        let digits: Vec<char> = plain.trim_start_matches(LABEL).to_uppercase().chars().collect();
        let pairs: Vec<String> = digits.chunks(2).map(|pair| pair.iter().collect()).collect();
        assert_eq!(format!("{LABEL}{}", pairs.join(":")).parse(), Ok(fingerprint));
        for wrong in [
            "",
            "sha256:",
            "sha1:00",
            plain.trim_start_matches(LABEL),
            "sha256:zz",
        ] {
            assert!(wrong.parse::<Fingerprint>().is_err(), "{wrong}");
        }
    }
}
