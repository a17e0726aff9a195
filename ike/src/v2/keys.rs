use std::net::{IpAddr, SocketAddr};

use aws_lc_rs::digest;
use secrecy::ExposeSecret;
use zeroize::Zeroizing;

use crate::EspKeys;
use crate::crypto::{Encryption, Integrity, Prf, Protection, ProtectionError, Secret};

/// The algorithms that an IKE SA was agreed on, without its group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Suite {
    /// The cipher.
    pub encryption: Encryption,
    /// The authenticator; `None` for AEAD ciphers.
    pub integrity: Option<Integrity>,
    /// The pseudo-random function.
    pub prf: Prf,
}

/// What both sides said in the exchange that made an IKE SA.
#[derive(Debug, Clone, Copy)]
pub struct Said<'a> {
    /// Ni, the body of the initiator's Nonce payload.
    pub initiator_nonce: &'a [u8],
    /// Nr, the body of the responder's Nonce payload.
    pub responder_nonce: &'a [u8],
    /// SPIi of the SA that is made.
    pub initiator_spi: u64,
    /// SPIr of the SA that is made.
    pub responder_spi: u64,
}

/// The keys of an IKE SA (RFC 7296 §2.14).
pub struct IkeKeys {
    suite: Suite,
    /// SK_d.
    derivation: Secret,
    /// SK_ai, SK_ei and SK_pi: what the initiator of the SA sends with.
    pub initiator: SideKeys,
    /// SK_ar, SK_er and SK_pr: what the responder of the SA sends with.
    pub responder: SideKeys,
}

/// The keys that one side of an IKE SA sends with.
#[derive(Clone)]
pub struct SideKeys {
    suite: Suite,
    integrity: Secret,
    encryption: Secret,
    proof: Secret,
}

/// The keys of both directions of a Child SA (§2.17).
pub struct ChildKeys {
    /// For packets from the initiator of the exchange that made it.
    pub initiator: EspKeys,
    /// For packets from the responder of that exchange.
    pub responder: EspKeys,
}

/// What one side proves with its AUTH payload: InitiatorSignedOctets or ResponderSignedOctets without the last
/// part, which the keys give (§2.15).
#[derive(Debug, Clone, Copy)]
pub struct Proven<'a> {
    /// That side's IKE_SA_INIT message, from the first octet of its header on (the one that was answered).
    pub message: &'a [u8],
    /// The body of the other side's Nonce payload.
    pub peer_nonce: &'a [u8],
    /// The body of that side's ID payload: type, three reserved octets, value.
    pub identity: &'a [u8],
    /// IntAuth, if there were IKE_INTERMEDIATE exchanges; else nothing (RFC 9242 §3.3.2).
    pub intermediate: &'a [u8],
}

impl IkeKeys {
    /// Forgets what proves who each side is, which is needed but once.
    pub(crate) fn forget_proofs(&mut self) {
        (self.initiator.proof, self.responder.proof) = (Secret::default(), Secret::default());
    }

    /// The keys after IKE_SA_INIT: SKEYSEED = prf(Ni | Nr, g^ir) (§2.14).
    pub fn derive(suite: Suite, said: &Said<'_>, shared: &Secret) -> Self {
        let nonces = [said.initiator_nonce, said.responder_nonce].concat();
        let seed = suite.prf.compute(&nonces, &[shared.expose_secret()]);
        Self::from_seed(suite, said, &seed)
    }

    /// The keys of the IKE SA that replaces this one: SKEYSEED = prf(SK_d (old), g^ir (new) | Ni | Nr), with the
    /// function of the old SA (§2.18). The secrets of further key exchanges follow the nonces (RFC 9370 §2.2.4).
    pub fn rekey(&self, suite: Suite, said: &Said<'_>, secrets: &[Secret]) -> Self {
        let parts = with_nonces(secrets, (said.initiator_nonce, said.responder_nonce));
        let seed = self.suite.prf.compute(self.derivation.expose_secret(), &parts);
        Self::from_seed(suite, said, &seed)
    }

    /// Mixes a post-quantum preshared key into what proofs and Child SAs depend on: SK_d = prf+(PPK, SK_d'), and
    /// likewise SK_pi and SK_pr (RFC 8784 §3).
    pub fn mix(&mut self, ppk: &Secret) {
        self.derivation = mixed(self.suite.prf, ppk, &self.derivation);
        self.initiator = self.initiator.mixed(ppk);
        self.responder = self.responder.mixed(ppk);
    }

    /// The algorithms that the keys are for.
    pub fn suite(&self) -> Suite {
        self.suite
    }

    /// The keys of a Child SA: KEYMAT = prf+(SK_d, [g^ir (new)] | Ni | Nr) (§2.17). The nonces are those of the
    /// exchange that makes it; `secrets` are those of its key exchanges, if it had any, and all but the first of them
    /// follow the nonces (RFC 9370 §2.2.4).
    pub fn child(
        &self,
        (encryption, integrity): (Encryption, Option<Integrity>),
        nonces: (&[u8], &[u8]),
        secrets: &[Secret],
    ) -> ChildKeys {
        let seed = with_nonces(secrets, nonces);
        let integrity_octets = integrity.map_or(0, Integrity::key_octets);
        let octets = 2 * (encryption.key_octets() + integrity_octets);
        let material = self
            .suite
            .prf
            .expand(self.derivation.expose_secret(), &seed, octets);
        let mut material = Material(material.expose_secret());
        let mut keys = || EspKeys {
            encryption,
            encryption_key: material.take(encryption.key_octets()),
            integrity: integrity.map(|algorithm| (algorithm, material.take(algorithm.key_octets()))),
        };
        ChildKeys {
            initiator: keys(),
            responder: keys(),
        }
    }

    /// {SK_d | SK_ai | SK_ar | SK_ei | SK_er | SK_pi | SK_pr} = prf+(SKEYSEED, Ni | Nr | SPIi | SPIr)
    fn from_seed(suite: Suite, said: &Said<'_>, seed: &Secret) -> Self {
        let prf = suite.prf.octets();
        let integrity = suite.integrity.map_or(0, Integrity::key_octets);
        let encryption = suite.encryption.key_octets();
        let parts = [
            said.initiator_nonce,
            said.responder_nonce,
            &said.initiator_spi.to_be_bytes(),
            &said.responder_spi.to_be_bytes(),
        ];
        let octets = 3 * prf + 2 * (integrity + encryption);
        let material = suite.prf.expand(seed.expose_secret(), &parts, octets);
        let mut material = Material(material.expose_secret());
        let derivation = material.take(prf);
        let (integrity_i, integrity_r) = (material.take(integrity), material.take(integrity));
        let (encryption_i, encryption_r) = (material.take(encryption), material.take(encryption));
        let (proof_i, proof_r) = (material.take(prf), material.take(prf));
        Self {
            suite,
            derivation,
            initiator: SideKeys {
                suite,
                integrity: integrity_i,
                encryption: encryption_i,
                proof: proof_i,
            },
            responder: SideKeys {
                suite,
                integrity: integrity_r,
                encryption: encryption_r,
                proof: proof_r,
            },
        }
    }
}

impl SideKeys {
    /// Hands out the keys that protect what this side sends. They are gone then: sealing twice from the start would
    /// use an IV twice.
    ///
    /// # Errors
    /// If the suite has an authenticator where there must be none, or the other way round.
    pub fn protection(&mut self) -> Result<Protection, ProtectionError> {
        let (key, integrity_key) = (
            std::mem::take(&mut self.encryption),
            std::mem::take(&mut self.integrity),
        );
        let integrity = self.suite.integrity.map(|algorithm| (algorithm, integrity_key));
        Protection::new(self.suite.encryption, key, integrity)
    }

    /// The value of this side's AUTH payload with a pre-shared key:
    /// prf(prf(secret, "Key Pad for IKEv2"), signed octets) (§2.15).
    pub fn shared_key_proof(&self, secret: &Secret, proven: &Proven<'_>) -> Vec<u8> {
        let prf = self.suite.prf;
        let pad = prf.compute(secret.expose_secret(), &[b"Key Pad for IKEv2"]);
        let maced = self.maced_identity(proven);
        let signed = [
            proven.message,
            proven.peer_nonce,
            maced.expose_secret(),
            proven.intermediate,
        ];
        prf.compute(pad.expose_secret(), &signed).expose_secret().to_vec()
    }

    /// What this side signs, InitiatorSignedOctets or ResponderSignedOctets (§2.15).
    pub fn signed_octets(&self, proven: &Proven<'_>) -> Vec<u8> {
        let maced = self.maced_identity(proven);
        let parts = [
            proven.message,
            proven.peer_nonce,
            maced.expose_secret(),
            proven.intermediate,
        ];
        parts.concat()
    }

    /// Whether `claimed` is this side's AUTH value, in constant time.
    pub fn verify_shared_key(&self, secret: &Secret, proven: &Proven<'_>, claimed: &[u8]) -> bool {
        let expected = Zeroizing::new(self.shared_key_proof(secret, proven));
        aws_lc_rs::constant_time::verify_slices_are_equal(&expected, claimed).is_ok()
    }

    /// The same with a post-quantum preshared key mixed into the key of proofs.
    pub fn mixed(&self, ppk: &Secret) -> Self {
        let proof = mixed(self.suite.prf, ppk, &self.proof);
        Self {
            proof,
            ..self.clone()
        }
    }

    /// The next link of this side's chain over its IKE_INTERMEDIATE messages: prf(SK_p, former | message)
    /// (RFC 9242 §3.3.2).
    pub fn link(&self, former: &[u8], message: &[u8]) -> Vec<u8> {
        let link = self
            .suite
            .prf
            .compute(self.proof.expose_secret(), &[former, message]);
        link.expose_secret().to_vec()
    }

    /// MACedIDForI or MACedIDForR: prf(SK_p, body of the ID payload).
    fn maced_identity(&self, proven: &Proven<'_>) -> Secret {
        self.suite
            .prf
            .compute(self.proof.expose_secret(), &[proven.identity])
    }
}

/// g^ir | Ni | Nr | SK(1) | SK(2) …
fn with_nonces<'a>(secrets: &'a [Secret], (initiator, responder): (&'a [u8], &'a [u8])) -> Vec<&'a [u8]> {
    let (first, further) = secrets.split_at(secrets.len().min(1));
    let octets = |secret: &'a Secret| secret.expose_secret();
    let parts = first.iter().map(octets).chain([initiator, responder]);
    parts.chain(further.iter().map(octets)).collect()
}

fn mixed(prf: Prf, ppk: &Secret, key: &Secret) -> Secret {
    prf.expand(ppk.expose_secret(), &[key.expose_secret()], prf.octets())
}

/// Key material, from which keys are taken in order.
struct Material<'a>(&'a [u8]);

impl Material<'_> {
    fn take(&mut self, octets: usize) -> Secret {
        let (key, rest) = self.0.split_at(octets);
        self.0 = rest;
        key.to_vec().into()
    }
}

/// The data of NAT_DETECTION_SOURCE_IP and NAT_DETECTION_DESTINATION_IP: SHA-1 of the SPIs as they stand in the
/// message's header, the address and the port (§2.23).
pub fn nat_detection(initiator_spi: u64, responder_spi: u64, address: SocketAddr) -> [u8; 20] {
    let mut context = digest::Context::new(&digest::SHA1_FOR_LEGACY_USE_ONLY);
    context.update(&initiator_spi.to_be_bytes());
    context.update(&responder_spi.to_be_bytes());
    match address.ip() {
        IpAddr::V4(ip) => context.update(&ip.octets()),
        IpAddr::V6(ip) => context.update(&ip.octets()),
    }
    context.update(&address.port().to_be_bytes());
    let mut hash = [0; 20];
    hash.iter_mut()
        .zip(context.finish().as_ref())
        .for_each(|(to, from)| *to = *from);
    hash
}

/// The cookie for one IKE_SA_INIT: PRF_HMAC_SHA2_256(secret, Ni | IPi | SPIi), which takes no state (§2.6).
pub fn cookie(secret: &Secret, initiator_nonce: &[u8], initiator: IpAddr, initiator_spi: u64) -> Vec<u8> {
    let (v4, v6);
    let address: &[u8] = match initiator {
        IpAddr::V4(ip) => {
            v4 = ip.octets();
            &v4
        }
        IpAddr::V6(ip) => {
            v6 = ip.octets();
            &v6
        }
    };
    let parts = [initiator_nonce, address, &initiator_spi.to_be_bytes()];
    Prf::HmacSha2_256
        .compute(secret.expose_secret(), &parts)
        .expose_secret()
        .to_vec()
}

#[cfg(test)]
mod tests {
    use hex_literal::hex;

    use super::*;

    // A NIST CAVP vector for the IKEv2 key derivation of SP 800-135 (PRF_HMAC_SHA1), as it stands in Cisco's OpenSSL KDF
    // tests: its 132 octets of DKM are exactly what AES_CBC_128 with HMAC_SHA1_96 takes.
    const SUITE: Suite = Suite {
        encryption: Encryption::AesCbc(128),
        integrity: Some(Integrity::HmacSha1_96),
        prf: Prf::HmacSha1,
    };
    const SAID: Said<'_> = Said {
        initiator_nonce: &hex!("3651fef5c9c35e93"),
        responder_nonce: &hex!("c09a8b90a3f04d59"),
        initiator_spi: 0x8e5c_3ae5_0722_1684,
        responder_spi: 0xb1f2_01bb_155c_3acd,
    };
    const SHARED: [u8; 128] = hex!(
        "d084a30166a50fb7325c3960874a839449ef9741c2f4f947d0201dd8c1269273d79509f37e3ca3eb4fa2fe2a"
        "28254e289cd3f34dad4eb4df1a07685a4b8a94fa61e2491f7598b3ce65547ff133b3f63d1ac4175eaa695033"
        "f3cedb026a6873a36455172a8540b8a5d23a0143bed0390ee49b168269d75fffee9fb62be965993c"
    );
    const NEW_SHARED: [u8; 128] = hex!(
        "52f00ab174c25d5b7139ae5ff4e8e9eddee5992d2e36adf8a559ffd90dab1442e4fbe429d320c0f33552a17d"
        "1557fa41ea70e8fb916c4fa27ed52b5f8ebd8461afa78f1159159a64055ac5f6319e29c28eae58cbc6847770"
        "f32c3fed1d04750484f854790f95e9ec01bc5bc461f24966462e359511329305038e94deb6dd42c2"
    );
    const MATERIAL: [u8; 132] = hex!(
        "6f1b12cad3cbe097b35430356d869d54cddb0198ec859174d53ceb92dddedbe2436db69f60977c58fa63bbb6"
        "67f8d36920b109baae8f6c61a9ac49feda01843225d080ec5539d5881a25521ffb2a0a91874a9c0a27fcc2d7"
        "17eb8963a9e3a89c7ab264757284c28cf8c3ca40576f4220b052b1fb8e9ad60ba3c80557323331a8cbb89f20"
    );
    const CHILD_MATERIAL: [u8; 132] = hex!(
        "4727dc0ef94eb326ce131cf282fb652faa638ad0ddae3786a11bcc0309876009f8c485de011ad962c5b1ca8a"
        "41ff8145445749079c5686e26ffebbc342f06981f3da745e11ca0976424d1f8caec623d59dc7186deb20a27b"
        "411d1dcb70a365440bf7de905088b0692e8addc094e18d1939bdb67e89798ca6b239e2ccb81c2409dac0106c"
    );
    const CHILD_MATERIAL_WITH_EXCHANGE: [u8; 132] = hex!(
        "b109c21ad4c0797768c1cec9e63554681e48f224bca7f23c20c4ea7041983451e9aa1d5408656c8a975ff1b9"
        "d9a12c75ffeb64bdecb30174664cccb4e14f1c377b7f6d1525af77c7092aac3e47f917ebae8297fb5539d200"
        "8ce830823a09cc197361d4a289c72745f6ce9fefe812be5bf55b3200fbb82e41a4a40877d3fe106db909707b"
    );
    const REKEYED_SEED: [u8; 20] = hex!("3b03bce748c96d5e8306918d2ff89b68f0648da3");

    fn secret(octets: &[u8]) -> Secret {
        octets.to_vec().into()
    }

    fn joined(keys: &IkeKeys) -> Vec<u8> {
        let (i, r) = (&keys.initiator, &keys.responder);
        let in_order = [
            &keys.derivation,
            &i.integrity,
            &r.integrity,
            &i.encryption,
            &r.encryption,
            &i.proof,
            &r.proof,
        ];
        in_order
            .iter()
            .flat_map(|key| key.expose_secret().to_vec())
            .collect()
    }

    fn joined_child(keys: &ChildKeys) -> Vec<u8> {
        [&keys.initiator, &keys.responder]
            .into_iter()
            .flat_map(|keys| {
                let integrity = keys
                    .integrity
                    .as_ref()
                    .map(|(_, key)| key.expose_secret().to_vec());
                [
                    keys.encryption_key.expose_secret().to_vec(),
                    integrity.unwrap_or_default(),
                ]
                .concat()
            })
            .collect()
    }

    #[test]
    fn published_ike_keys() {
        let keys = IkeKeys::derive(SUITE, &SAID, &secret(&SHARED));
        assert_eq!(joined(&keys), MATERIAL);
        let lengths = [
            &keys.derivation,
            &keys.initiator.encryption,
            &keys.initiator.proof,
        ];
        assert_eq!(lengths.map(|key| key.expose_secret().len()), [20, 16, 20]);
    }

    #[test]
    fn published_child_keys() {
        let keys = IkeKeys::derive(SUITE, &SAID, &secret(&SHARED));
        let nonces = (SAID.initiator_nonce, SAID.responder_nonce);
        let widest = (Encryption::AesCbc(128), Some(Integrity::HmacSha2_384_192));
        let child = keys.child(widest, nonces, &[]);
        assert_eq!(joined_child(&child), CHILD_MATERIAL[..128]);
        let child = keys.child(widest, nonces, &[secret(&NEW_SHARED)]);
        assert_eq!(joined_child(&child), CHILD_MATERIAL_WITH_EXCHANGE[..128]);
    }

    /// AES-GCM takes four octets of salt after each key, and no integrity keys (RFC 4106 §8.1, RFC 5282 §7.1).
    #[test]
    fn aead_keys_carry_their_salt() {
        let nonces = (SAID.initiator_nonce, SAID.responder_nonce);
        let keys = IkeKeys::derive(SUITE, &SAID, &secret(&SHARED));
        let child = keys.child((Encryption::AesGcm16(256), None), nonces, &[]);
        assert_eq!(
            child.initiator.encryption_key.expose_secret(),
            &CHILD_MATERIAL[..36]
        );
        assert_eq!(
            child.responder.encryption_key.expose_secret(),
            &CHILD_MATERIAL[36..72]
        );
        assert!(child.initiator.integrity.is_none());
        let aead = Suite {
            encryption: Encryption::AesGcm16(256),
            integrity: None,
            ..SUITE
        };
        let mut keys = IkeKeys::derive(aead, &SAID, &secret(&SHARED));
        assert_eq!(joined(&keys), MATERIAL, "20 + 2 * 36 + 2 * 20 octets are as many");
        assert_eq!(keys.initiator.encryption.expose_secret(), &MATERIAL[20..56]);
        assert!(keys.initiator.protection().is_ok());
    }

    /// A new IKE SA takes its seed from SK_d of the old one with the old function, but its keys with the new one.
    #[test]
    fn published_rekeyed_seed() {
        let old = IkeKeys::derive(SUITE, &SAID, &secret(&SHARED));
        for prf in [Prf::HmacSha1, Prf::HmacSha2_512] {
            let suite = Suite { prf, ..SUITE };
            let new = old.rekey(suite, &SAID, &[secret(&NEW_SHARED)]);
            assert_eq!(
                joined(&new),
                joined(&IkeKeys::from_seed(suite, &SAID, &secret(&REKEYED_SEED)))
            );
        }
    }

    /// Values of Python's hmac: prf(prf(secret, pad), message | nonce | prf(SK_p, ID)), with SK_p the first octets of
    /// SHA-512("skp").
    #[test]
    fn shared_key_proofs_agree_with_others() {
        let proof_key = digest::digest(&digest::SHA512, b"skp");
        let passphrase = secret(b"correct horse battery staple");
        let nonce: Vec<u8> = (0..32).collect();
        let proven = Proven {
            message: b"first message",
            peer_nonce: &nonce,
            identity: &[1, 0, 0, 0, 192, 0, 2, 1],
            intermediate: &[],
        };
        let expected: [(Prf, &[u8]); 4] = [
            (Prf::HmacSha1, &hex!("c67888ccc300ab19e08815382843faddf975a535")),
            (
                Prf::HmacSha2_256,
                &hex!("4fc37917d33adefa7a724042d388e113507badabf1fc898f389d97a8e6505542"),
            ),
            (
                Prf::HmacSha2_384,
                &hex!(
                    "8dcce3042cc5d4988830703a0e4858f802dc0af73c657938"
                    "e2f033798b97d4833a3272f0749d3803789b8e1f6a4aa68b"
                ),
            ),
            (
                Prf::HmacSha2_512,
                &hex!(
                    "a86d38c9a791e8687fab1a3aa19befb84a754d8859f842d6222762042e55d518"
                    "34b729c77c1933fe43af6e7981a03b09c71c6710c20394b928a26ad94b3fa097"
                ),
            ),
        ];
        for (prf, expected) in expected {
            let side = SideKeys {
                suite: Suite { prf, ..SUITE },
                integrity: secret(&[]),
                encryption: secret(&[]),
                proof: secret(&proof_key.as_ref()[..prf.octets()]),
            };
            assert_eq!(side.shared_key_proof(&passphrase, &proven), expected, "{prf}");
            assert!(side.verify_shared_key(&passphrase, &proven, expected));
            assert!(!side.verify_shared_key(&secret(b"wrong"), &proven, expected));
            assert!(!side.verify_shared_key(&passphrase, &proven, &expected[1..]));
            let other = Proven {
                identity: &[1, 0, 0, 0, 192, 0, 2, 2],
                ..proven
            };
            assert!(!side.verify_shared_key(&passphrase, &other, expected));
        }
    }

    /// What one side protects with its keys the other opens with the same, and only with those.
    #[test]
    fn sides_have_different_keys() {
        struct Zeros;
        impl crate::Random for Zeros {
            fn fill(&mut self, bytes: &mut [u8]) {
                bytes.fill(0);
            }
        }
        let mut keys = IkeKeys::derive(SUITE, &SAID, &secret(&SHARED));
        let mut ours = keys.initiator.protection().unwrap();
        let message = ours.seal_message(&[0; 28], 41, b"payloads", &mut Zeros).unwrap();
        assert!(keys.initiator.protection().is_err(), "they are handed out once");
        assert_eq!(ours.open_message(&message).unwrap().payloads, b"payloads");
        assert!(
            keys.responder
                .protection()
                .unwrap()
                .open_message(&message)
                .is_err()
        );
    }

    /// Values of Python's hashlib.
    #[test]
    fn nat_detection_hashes_agree_with_others() {
        let v4 = nat_detection(
            0x0102_0304_0506_0708,
            0x1112_1314_1516_1718,
            "192.0.2.1:4500".parse().unwrap(),
        );
        assert_eq!(v4, hex!("5184f43875ff7d9e3dfdc92bd1dee1a08204de3e"));
        let v6 = nat_detection(0x0102_0304_0506_0708, 0, "[2001:db8::1]:500".parse().unwrap());
        assert_eq!(v6, hex!("7fa12a60a3a27ef1b3fed26cc6d5b8fbf553292f"));
    }

    /// A cookie is good for one address, nonce and SPI under one secret only.
    #[test]
    fn cookies_depend_on_all_they_cover() {
        let (one, two) = (secret(&[1; 32]), secret(&[2; 32]));
        let (here, there) = ("192.0.2.1".parse().unwrap(), "2001:db8::1".parse().unwrap());
        let cookies = [
            cookie(&one, b"nonce", here, 1),
            cookie(&two, b"nonce", here, 1),
            cookie(&one, b"other", here, 1),
            cookie(&one, b"nonce", there, 1),
            cookie(&one, b"nonce", here, 2),
        ];
        assert_eq!(cookie(&one, b"nonce", here, 1), cookies[0]);
        for (index, left) in cookies.iter().enumerate() {
            assert!(cookies[index + 1..].iter().all(|right| right != left));
        }
    }
}
