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
    /// As consoles and `openssl x509 -fingerprint -sha256` show it.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let octets: Vec<String> = self.0.iter().map(|octet| format!("{octet:02X}")).collect();
        write!(formatter, "{LABEL}{}", octets.join(":"))
    }
}

impl FromStr for Fingerprint {
    type Err = &'static str;

    /// With colons between the octets or without, with the label or without.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = "a fingerprint is sha256: and 64 of 0-9 a-f, with or without colons between the octets";
        let digits = text.strip_prefix(LABEL).unwrap_or(text).replace(':', "");
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
    fn every_way_of_writing_it_is_the_same_and_others_are_none() {
        let fingerprint = Fingerprint::of(&CertificateDer::from(b"certificate".as_slice()));
        let shown = fingerprint.to_string();
        let octets = shown.trim_start_matches(LABEL);
        let plain = octets.replace(':', "").to_lowercase();
        assert_eq!((octets.split(':').count(), plain.len()), (32, 64));
        for same in [&shown, octets, &plain, &format!("{LABEL}{plain}")] {
            assert_eq!(same.parse(), Ok(fingerprint), "{same}");
        }
        let short = octets.get(3..).unwrap();
        for wrong in [
            "",
            LABEL,
            "sha1:00",
            short,
            &format!("{plain}00"),
            &plain.replace('a', "g"),
        ] {
            assert!(wrong.parse::<Fingerprint>().is_err(), "{wrong}");
        }
    }
}
