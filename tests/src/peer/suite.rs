//! Algorithms, in the words of both implementations.

/// What a tunnel is to use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Suite {
    /// Cipher of the IKE SA, in the words of Causeway's document.
    pub ike_encryption: &'static str,
    /// Hash of the IKE SA: authenticator and pseudo-random function.
    pub hash: &'static str,
    /// Key-exchange group.
    pub group: &'static str,
    /// Cipher of the Child SA.
    pub esp_encryption: &'static str,
    /// Authenticator of the Child SA; the cipher again when that authenticates by itself.
    pub esp_integrity: &'static str,
    /// Group of the key exchange at a rekey of the Child SA, in the words of Causeway's document; `None` for none.
    pub pfs_group: &'static str,
}

const fn suite(ike: [&'static str; 3], esp: [&'static str; 2]) -> Suite {
    let [ike_encryption, hash, group] = ike;
    let [esp_encryption, esp_integrity] = esp;
    Suite {
        ike_encryption,
        hash,
        group,
        esp_encryption,
        esp_integrity,
        pfs_group: "None",
    }
}

/// What scenarios use that are not about algorithms.
pub const USUAL: Suite = suite(["GCMAES128", "SHA256", "X25519"], ["GCMAES128", "GCMAES128"]);

/// What a peer uses that knows nothing older: its group is not the one that Causeway's `modern` offers first.
pub const MODERN: Suite = suite(["GCMAES256", "SHA384", "ECP384"], ["GCMAES256", "GCMAES256"]);
/// What a peer uses that is made for Azure's defaults.
pub const AZURE: Suite = suite(["AES256", "SHA1", "DHGroup2"], ["AES256", "SHA256"]);
/// A choice of an administrator's own, with a key exchange at each rekey.
pub const CUSTOM: Suite = Suite {
    pfs_group: "ECP256",
    ..suite(["AES256", "SHA384", "DHGroup14"], ["AES256", "SHA256"])
};

/// What IKEv1 has that is not weak.
pub const VERSION_1: Suite = suite(["AES256", "SHA256", "DHGroup14"], ["AES256", "SHA256"]);

/// Every cipher, hash and group at least once that is not weak.
pub const ALL: [Suite; 10] = [
    USUAL,
    suite(["GCMAES256", "SHA384", "ECP384"], ["GCMAES256", "GCMAES256"]),
    suite(["AES128", "SHA1", "DHGroup2"], ["AES128", "SHA1"]),
    suite(["AES256", "SHA256", "DHGroup14"], ["AES256", "SHA256"]),
    suite(["AES192", "SHA384", "DHGroup15"], ["AES192", "SHA384"]),
    suite(["AES256", "SHA512", "DHGroup16"], ["AES256", "SHA512"]),
    suite(["GCMAES128", "SHA256", "ECP256"], ["AES256", "SHA1"]),
    suite(["AES128", "SHA256", "ECP521"], ["AES128", "SHA256"]),
    suite(["GCMAES192", "SHA512", "DHGroup24"], ["GCMAES192", "GCMAES192"]),
    suite(
        ["CHACHA20POLY1305", "SHA256", "X25519"],
        ["CHACHA20POLY1305", "CHACHA20POLY1305"],
    ),
];

/// What is here for peers that know nothing better.
pub const WEAK: [Suite; 3] = [
    suite(["DES3", "SHA1", "DHGroup2"], ["DES3", "SHA1"]),
    suite(["DES", "MD5", "DHGroup1"], ["DES", "MD5"]),
    suite(["AES128", "SHA1", "DHGroup2"], ["None", "SHA1"]),
];

impl Suite {
    /// The IKE proposal in strongSwan's words.
    pub fn strongswan_ike(&self) -> String {
        let hash = if is_combined(self.ike_encryption) {
            format!("prf{}", self.hash.to_lowercase())
        } else {
            self.hash.to_lowercase()
        };
        format!("{}-{hash}-{}", cipher(self.ike_encryption), group(self.group))
    }

    /// The ESP proposal in strongSwan's words.
    pub fn strongswan_esp(&self) -> String {
        let mut words = cipher(self.esp_encryption).to_owned();
        if !is_combined(self.esp_encryption) {
            words += &format!("-{}", self.esp_integrity.to_lowercase());
        }
        if self.pfs_group != "None" {
            words += &format!("-{}", group(self.pfs_group));
        }
        words
    }
}

/// A cipher that authenticates by itself.
fn is_combined(cipher: &str) -> bool {
    cipher.starts_with("GCM") || cipher == "CHACHA20POLY1305"
}

fn cipher(word: &str) -> &'static str {
    match word {
        "AES128" => "aes128",
        "AES192" => "aes192",
        "AES256" => "aes256",
        "GCMAES128" => "aes128gcm16",
        "GCMAES192" => "aes192gcm16",
        "GCMAES256" => "aes256gcm16",
        "CHACHA20POLY1305" => "chacha20poly1305",
        "DES3" => "3des",
        "DES" => "des",
        "None" => "null",
        _ => "a cipher this lab has no word for",
    }
}

fn group(word: &str) -> &'static str {
    match word {
        "DHGroup1" => "modp768",
        "DHGroup2" => "modp1024",
        "DHGroup5" => "modp1536",
        "DHGroup14" => "modp2048",
        "DHGroup15" => "modp3072",
        "DHGroup16" => "modp4096",
        "DHGroup24" => "modp2048s256",
        "ECP256" => "ecp256",
        "ECP384" => "ecp384",
        "ECP521" => "ecp521",
        "X25519" => "x25519",
        _ => "a group this lab has no word for",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_suite_has_words_for_strongswan() {
        assert_eq!(USUAL.strongswan_ike(), "aes128gcm16-prfsha256-x25519");
        assert_eq!(ALL[2].strongswan_esp(), "aes128-sha1");
        assert_eq!(CUSTOM.strongswan_esp(), "aes256-sha256-ecp256");
        for suite in ALL.into_iter().chain(WEAK).chain([MODERN, AZURE, CUSTOM]) {
            let words = suite.strongswan_ike() + &suite.strongswan_esp();
            assert!(!words.contains("no word"), "{suite:?}");
        }
    }
}
