//! The key schedule of IKEv1 (RFC 2409 §5, §5.5, appendix B). Nothing here judges a message.

use secrecy::{ExposeSecret, SecretSlice};

use crate::EspKeys;
use crate::crypto::{Cbc, Encryption, Prf, ProtectionError, Secret};
use crate::proposal::{EspSuite, IkeSuite};
use crate::v2::keys::ChildKeys;
use crate::wire::v1::registry::protocol;

/// What both sides said in the phase 1 exchange.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Said {
    /// CKY-I and CKY-R.
    pub(crate) cookies: (u64, u64),
    /// Ni_b and Nr_b.
    pub(crate) nonces: (Vec<u8>, Vec<u8>),
    /// g^xi and g^xr.
    pub(crate) publics: (Vec<u8>, Vec<u8>),
    /// SAi_b: the body of the initiator's SA payload.
    pub(crate) offer: Vec<u8>,
}

/// The keys of a phase 1 SA.
pub(crate) struct Keys {
    prf: Prf,
    encryption: Encryption,
    /// SKEYID.
    root: Secret,
    /// SKEYID_d.
    derivation: Secret,
    /// SKEYID_a.
    authentication: Secret,
    /// What encrypts, made of SKEYID_e.
    key: Secret,
}

impl Keys {
    /// The keys of two sides that have the same secret: SKEYID = prf(pre-shared-key, Ni_b | Nr_b).
    pub(crate) fn of_secret(suite: IkeSuite, said: &Said, shared: &Secret, secret: &SecretSlice<u8>) -> Self {
        let nonces: [&[u8]; 2] = [&said.nonces.0, &said.nonces.1];
        let root = suite.prf.compute(secret.expose_secret(), &nonces);
        Self::from_root(suite, said, shared, root)
    }

    /// The keys of two sides that sign: SKEYID = prf(Ni_b | Nr_b, g^xy).
    pub(crate) fn of_exchange(suite: IkeSuite, said: &Said, shared: &Secret) -> Self {
        let nonces = [said.nonces.0.as_slice(), &said.nonces.1].concat();
        let root = suite.prf.compute(&nonces, &[shared.expose_secret()]);
        Self::from_root(suite, said, shared, root)
    }

    fn from_root(suite: IkeSuite, said: &Said, shared: &Secret, root: Secret) -> Self {
        let cookies = (said.cookies.0.to_be_bytes(), said.cookies.1.to_be_bytes());
        let next = |before: &[u8], number: u8| {
            let parts: [&[u8]; 5] = [before, shared.expose_secret(), &cookies.0, &cookies.1, &[number]];
            suite.prf.compute(root.expose_secret(), &parts)
        };
        let derivation = next(&[], 0);
        let authentication = next(derivation.expose_secret(), 1);
        let encrypting = next(authentication.expose_secret(), 2);
        let key = lengthened(suite.prf, &encrypting, suite.encryption.key_octets());
        Self {
            prf: suite.prf,
            encryption: suite.encryption,
            root,
            derivation,
            authentication,
            key,
        }
    }

    /// HASH_I, or HASH_R if the responder proves who it is: `identity` is the body of its ID payload.
    pub(crate) fn proof(&self, said: &Said, of_initiator: bool, identity: &[u8]) -> Vec<u8> {
        let cookies = (said.cookies.0.to_be_bytes(), said.cookies.1.to_be_bytes());
        let (mut publics, mut order) = ((&said.publics.0, &said.publics.1), (&cookies.0, &cookies.1));
        if !of_initiator {
            (publics, order) = ((publics.1, publics.0), (order.1, order.0));
        }
        let parts: [&[u8]; 6] = [publics.0, publics.1, order.0, order.1, &said.offer, identity];
        let proof = self.prf.compute(self.root.expose_secret(), &parts);
        proof.expose_secret().to_vec()
    }

    /// HASH(1), HASH(2) or that of an informational message: prf(SKEYID_a, M-ID | parts).
    pub(crate) fn hash(&self, message_id: u32, parts: &[&[u8]]) -> Vec<u8> {
        let id = message_id.to_be_bytes();
        let all = [&[id.as_slice()], parts].concat();
        let hash = self.prf.compute(self.authentication.expose_secret(), &all);
        hash.expose_secret().to_vec()
    }

    /// HASH(3): prf(SKEYID_a, 0 | M-ID | Ni_b | Nr_b).
    pub(crate) fn third_hash(&self, message_id: u32, nonces: (&[u8], &[u8])) -> Vec<u8> {
        let id = message_id.to_be_bytes();
        let parts: [&[u8]; 4] = [&[0], &id, nonces.0, nonces.1];
        let hash = self.prf.compute(self.authentication.expose_secret(), &parts);
        hash.expose_secret().to_vec()
    }

    /// The IV of the first encrypted message of phase 1.
    pub(crate) fn first_iv(&self, said: &Said) -> Vec<u8> {
        self.iv(&[&said.publics.0, &said.publics.1])
    }

    /// The IV of the first message of another exchange: `last` is the last block of phase 1.
    pub(crate) fn exchange_iv(&self, last: &[u8], message_id: u32) -> Vec<u8> {
        self.iv(&[last, &message_id.to_be_bytes()])
    }

    fn iv(&self, parts: &[&[u8]]) -> Vec<u8> {
        let mut iv = self.prf.digest(parts);
        iv.truncate(self.encryption.block_octets());
        iv
    }

    /// The cipher, made ready.
    pub(crate) fn cipher(&self) -> Result<Cbc, ProtectionError> {
        Cbc::new(self.encryption, &self.key)
    }

    /// The keys of both directions of what a quick mode made: `spis` are those that its initiator and its responder receive
    /// on, `shared` is g(qm)^xy.
    pub(crate) fn child(
        &self,
        suite: EspSuite,
        shared: Option<&Secret>,
        spis: (u32, u32),
        nonces: (&[u8], &[u8]),
    ) -> ChildKeys {
        let to = |spi: u32| self.material(suite, shared, spi, nonces);
        ChildKeys {
            initiator: to(spis.1),
            responder: to(spis.0),
        }
    }

    /// KEYMAT of what is received under this SPI, cut into keys (RFC 2407 §4.5: the cipher's comes first).
    fn material(
        &self,
        suite: EspSuite,
        shared: Option<&Secret>,
        spi: u32,
        nonces: (&[u8], &[u8]),
    ) -> EspKeys {
        let shared = shared.map_or(&[][..], |shared| shared.expose_secret());
        let (spi, own) = (spi.to_be_bytes(), self.derivation.expose_secret());
        let octets = suite.encryption.key_octets() + suite.integrity.map_or(0, |one| one.key_octets());
        let room = Vec::with_capacity(octets + self.prf.octets());
        let (mut material, mut block) = (zeroize::Zeroizing::new(room), Secret::default());
        while material.len() < octets {
            let parts: [&[u8]; 6] = [
                block.expose_secret(),
                shared,
                &[protocol::ESP],
                &spi,
                nonces.0,
                nonces.1,
            ];
            block = self.prf.compute(own, &parts);
            material.extend_from_slice(block.expose_secret());
        }
        let (key, rest) = material.split_at(suite.encryption.key_octets());
        let integrity = suite.integrity.map(|one| {
            let key: Vec<u8> = rest.iter().take(one.key_octets()).copied().collect();
            (one, key.into())
        });
        EspKeys {
            encryption: suite.encryption,
            encryption_key: key.to_vec().into(),
            integrity,
        }
    }
}

/// SKEYID_e as long as a cipher needs it: cut, or lengthened where it is shorter (appendix B).
fn lengthened(prf: Prf, key: &Secret, octets: usize) -> Secret {
    let own = key.expose_secret();
    if own.len() >= octets {
        return own.iter().take(octets).copied().collect::<Vec<_>>().into();
    }
    let room = Vec::with_capacity(octets + prf.octets());
    let (mut material, mut block) = (zeroize::Zeroizing::new(room), prf.compute(own, &[&[0]]));
    while material.len() < octets {
        material.extend_from_slice(block.expose_secret());
        block = prf.compute(own, &[block.expose_secret()]);
    }
    material.truncate(octets);
    material.to_vec().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::additional::Additional;
    use crate::crypto::{Group, Integrity};

    struct Expected {
        key: &'static str,
        iv: &'static str,
        proofs: [&'static str; 2],
        hashes: [&'static str; 2],
        second_iv: &'static str,
        child: [&'static str; 2],
    }

    fn hex(octets: &[u8]) -> String {
        octets.iter().map(|octet| format!("{octet:02x}")).collect()
    }

    fn check(encryption: Encryption, prf: Prf, expected: &Expected) {
        let said = Said {
            cookies: (0x0102_0304_0506_0708, 0x1112_1314_1516_1718),
            nonces: ((1..=16).collect(), (33..65).collect()),
            publics: (vec![b'I'; 96], vec![b'R'; 96]),
            offer: b"offer".to_vec(),
        };
        let suite = IkeSuite {
            encryption,
            integrity: None,
            prf,
            group: Group::Modp768,
            additional: Additional::default(),
        };
        let shared: Secret = (0..96).collect::<Vec<u8>>().into();
        let keys = Keys::of_secret(suite, &said, &shared, &b"a secret of both".to_vec().into());
        assert_eq!(hex(keys.key.expose_secret()), expected.key);
        let iv = keys.first_iv(&said);
        assert_eq!(hex(&iv), expected.iv);
        let identity = [1, 0, 0, 0, 192, 0, 2, 1];
        let proofs = [true, false].map(|initiator| hex(&keys.proof(&said, initiator, &identity)));
        assert_eq!(proofs, expected.proofs);
        let nonces = (said.nonces.0.as_slice(), said.nonces.1.as_slice());
        let hashes = [
            keys.hash(0xdeca_fbad, &[b"beh", b"ind"]),
            keys.third_hash(0xdeca_fbad, nonces),
        ];
        assert_eq!(hashes.map(|hash| hex(&hash)), expected.hashes);
        assert_eq!(hex(&keys.exchange_iv(&iv, 0xdeca_fbad)), expected.second_iv);
        let esp = EspSuite {
            encryption: Encryption::AesCbc(256),
            integrity: Some(Integrity::HmacSha1_96),
            extended_sequence_numbers: false,
            group: Some(Group::Modp768),
            additional: Additional::default(),
        };
        let child = keys.child(esp, Some(&shared), (7, 0xc0ff_ee01), nonces).initiator;
        let mac = child.integrity.unwrap().1;
        let both = [child.encryption_key.expose_secret(), mac.expose_secret()];
        assert_eq!(both.map(hex), expected.child);
    }

    /// Values of Python's hmac and hashlib, as all here: SKEYID_e of 20 octets makes a key of 24.
    #[test]
    fn keys_of_sha1_agree_with_others() {
        check(
            Encryption::TripleDes,
            Prf::HmacSha1,
            &Expected {
                key: "303d40e37825d12f7cab2469f4a5370c604bc794ca94a3c8",
                iv: "330c31bccc3f6e57",
                proofs: [
                    "116bb55b00b41446462b7ffbe8cb591063302408",
                    "4b1c395e95152e807b0ca2e64f1e0f3c103b15c3",
                ],
                hashes: [
                    "46fa1efd99c4e1ce763194a612db79f95bc26ecc",
                    "90d2bb84eb1e83b11a745d96ac4f8a77869c6cd3",
                ],
                second_iv: "130b1cad337a6126",
                child: [
                    "0c212aac0e5f8054065c795c87d69cee2af5daf67edca9e2b17a2c61b36e9f2a",
                    "73395cfa02583161b0bb5c9671d4762823ec2345",
                ],
            },
        );
    }

    /// One of 16 octets makes a key of 32.
    #[test]
    fn keys_of_md5_agree_with_others() {
        check(
            Encryption::AesCbc(256),
            Prf::HmacMd5,
            &Expected {
                key: "82e04996a205cb2335a9234eaa22855570bc41d1101c477d174455ce49905f19",
                iv: "0804008c06fa56b400cacb40559fa074",
                proofs: [
                    "869a71d586626d5da8d23996436e7304",
                    "bdd6a7f5c77d1040b6aeb66d4f07ece8",
                ],
                hashes: [
                    "cd8713eb35f0d5b743636998e01b4102",
                    "45a2569501d596e7580cddc9fd10804b",
                ],
                second_iv: "e1f6d4ec2e2f2e47abb2929cf53127aa",
                child: [
                    "9ba982f7272e635f5e162f974258b8c5a0760f41e2da544dd092d31ed26904de",
                    "b0789f6370b98bbe0c0de973cf3f6a6bf07d51d0",
                ],
            },
        );
    }

    /// One of 32 octets is cut to 16.
    #[test]
    fn keys_of_sha2_agree_with_others() {
        check(
            Encryption::AesCbc(128),
            Prf::HmacSha2_256,
            &Expected {
                key: "b44ef301dc2fa7b33bf6c932c851c8f8",
                iv: "71fa1052c028059509815c0ee1a02e13",
                proofs: [
                    "24d7181570937bb0db6a9a649c26aece17ed9f8c6ab397bae6daf42366e6c44b",
                    "e69558384073c9f07fb355a206ed308ce4f56be095bfb17673dc900491cfef26",
                ],
                hashes: [
                    "4ce2db778c5df3f14e4c9a748f225003d80e47b406393bb0ebb4cf9952ced015",
                    "f2b34744957af6bbc7ca6f38f240fc16544ce10669d5fbbc3c1e197f6e5537bd",
                ],
                second_iv: "7030bb56d53d731e3c627fe12942be86",
                child: [
                    "824d8c9f9b229f7ab0858b10bbb6d2f0cf703d3fda83c676db81a69185724c0a",
                    "91292853066145a490e7a11eb97dacee291348f3",
                ],
            },
        );
    }
}
