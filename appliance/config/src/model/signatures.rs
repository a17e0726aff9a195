use super::Hash;
use crate::Reason;
use crate::reader::Value;

/// How certificates are proved: which signatures we make, and which of the peer's we take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signatures {
    /// RFC 7427's method 14 where the peer has it too.
    pub digital_signature: bool,
    /// The hashes of RSA with method 1, at least one; we sign with the first.
    pub rsa_hashes: Vec<Hash>,
    /// With method 14 and an RSA key we sign by PSS and not by PKCS#1.
    pub pss: bool,
}

/// The hashes of RSA, and their words.
pub(crate) const RSA_HASH: &[(&str, Hash)] = &[
    ("SHA1", Hash::Sha1),
    ("SHA256", Hash::Sha256),
    ("SHA384", Hash::Sha384),
    ("SHA512", Hash::Sha512),
];

impl Default for Signatures {
    /// What Azure VPN Gateway and others both take: RFC 7296 §3.8 has SHA-1 with method 1.
    fn default() -> Self {
        Self {
            digital_signature: true,
            rsa_hashes: RSA_HASH.iter().map(|(_, hash)| *hash).collect(),
            pss: false,
        }
    }
}

impl Signatures {
    pub(super) fn read(value: &Value<'_>) -> Option<Self> {
        let usual = Self::default();
        let mut object = value.object()?;
        let digital_signature = object.optional("digital_signature", usual.digital_signature, Value::boolean);
        let rsa_hashes = object.optional("rsa_hashes", usual.rsa_hashes, rsa_hashes);
        let pss = object.optional("pss", usual.pss, Value::boolean);
        if digital_signature == Some(false) && pss == Some(true) {
            object.faulty(
                "pss",
                Reason::ConflictingKeys,
                "needs \"digital_signature\": only method 14 has RSA-PSS",
            );
            return None;
        }
        Some(Self {
            digital_signature: digital_signature?,
            rsa_hashes: rsa_hashes?,
            pss: pss?,
        })
    }
}

fn rsa_hashes(value: &Value<'_>) -> Option<Vec<Hash>> {
    let hashes = value.list(|value| value.word(RSA_HASH, &[]))?;
    if hashes.is_empty() {
        value.problem(Reason::OutOfRange, "is empty; method 1 needs a hash");
        return None;
    }
    for (index, hash) in hashes.iter().enumerate() {
        if hashes.iter().take(index).any(|before| before == hash) {
            value.element_problem(index, Reason::OutOfRange, "is there already");
            return None;
        }
    }
    Some(hashes)
}
