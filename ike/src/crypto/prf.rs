use aws_lc_rs::{constant_time, digest, hmac};
use md5::{Digest, Md5};
use secrecy::ExposeSecret;
use zeroize::Zeroizing;

use super::mac::Mac;
use super::{Prf, Secret};

impl Prf {
    /// prf(key, parts one after the other); the key may have any length.
    pub fn compute(self, key: &[u8], parts: &[&[u8]]) -> Secret {
        let mut output = vec![0; self.octets()];
        self.keyed(key)
            .sign_secret(&Zeroizing::new(parts.concat()), &mut output);
        output.into()
    }

    /// prf+(key, seed) of `octets` octets (RFC 7296 §2.13).
    ///
    /// # Panics
    /// If more than 255 outputs of the function are asked for, which prf+ cannot give.
    pub fn expand(self, key: &[u8], seed: &[&[u8]], octets: usize) -> Secret {
        assert!(octets <= 255 * self.octets(), "prf+ ends after 255 blocks");
        let key = self.keyed(key);
        let seed = Zeroizing::new(seed.concat());
        let mut material = vec![0; octets];
        let mut input = Zeroizing::new(Vec::with_capacity(self.octets() + seed.len() + 1));
        let mut block = Zeroizing::new(vec![0; self.octets()]);
        for (counter, part) in (1..=u8::MAX).zip(material.chunks_mut(self.octets())) {
            input.clear();
            if counter > 1 {
                input.extend_from_slice(&block);
            }
            input.extend_from_slice(&seed);
            input.push(counter);
            key.sign_secret(&input, &mut block);
            part.iter_mut()
                .zip(block.iter())
                .for_each(|(to, from)| *to = *from);
        }
        material.into()
    }

    /// Whether `claimed` is prf(key, parts), in constant time.
    pub fn verify(self, key: &[u8], parts: &[&[u8]], claimed: &[u8]) -> bool {
        let expected = self.compute(key, parts);
        constant_time::verify_slices_are_equal(expected.expose_secret(), claimed).is_ok()
    }

    /// The hash that the function is made of, of parts one after the other.
    pub(crate) fn digest(self, parts: &[&[u8]]) -> Vec<u8> {
        let algorithm = match self {
            Self::HmacMd5 => return Md5::digest(parts.concat()).to_vec(),
            Self::HmacSha1 => &digest::SHA1_FOR_LEGACY_USE_ONLY,
            Self::HmacSha2_256 => &digest::SHA256,
            Self::HmacSha2_384 => &digest::SHA384,
            Self::HmacSha2_512 => &digest::SHA512,
        };
        digest::digest(algorithm, &parts.concat()).as_ref().to_vec()
    }

    fn keyed(self, key: &[u8]) -> Mac {
        match self {
            Self::HmacMd5 => Mac::md5(key),
            Self::HmacSha1 => Mac::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, key),
            Self::HmacSha2_256 => Mac::new(hmac::HMAC_SHA256, key),
            Self::HmacSha2_384 => Mac::new(hmac::HMAC_SHA384, key),
            Self::HmacSha2_512 => Mac::new(hmac::HMAC_SHA512, key),
        }
    }
}

#[cfg(test)]
mod tests {
    use hex_literal::hex;

    use super::*;

    const ALL: [Prf; 5] = [
        Prf::HmacMd5,
        Prf::HmacSha1,
        Prf::HmacSha2_256,
        Prf::HmacSha2_384,
        Prf::HmacSha2_512,
    ];

    fn check(key: &[u8], data: &[u8], expected: [&[u8]; 5]) {
        for (prf, expected) in ALL.into_iter().zip(expected) {
            assert_eq!(prf.compute(key, &[data]).expose_secret(), expected, "{prf}");
            let (left, right) = data.split_at(data.len() / 2);
            assert!(prf.verify(key, &[left, right], expected), "{prf} in parts");
            assert!(
                !prf.verify(key, &[left, right], &expected[1..]),
                "{prf} cut short"
            );
            assert!(!prf.verify(key, &[right, left], expected), "{prf} of other data");
        }
    }

    /// RFC 2202 §2: its first case has a key of another length than the others.
    #[test]
    fn published_md5() {
        let code = hex!("9294727a3638bb1c13f48ef8158bfc9d");
        let ours = Prf::HmacMd5.compute(&[0x0b; 16], &[b"Hi There"]);
        assert_eq!(ours.expose_secret(), code);
    }

    /// RFC 2202 §3 and RFC 4231 §4.2: a short key; for MD5 by Python's hmac.
    #[test]
    fn published_case_1() {
        let expected: [&[u8]; 5] = [
            &hex!("5ccec34ea9656392457fa1ac27f08fbc"),
            &hex!("b617318655057264e28bc0b6fb378c8ef146be00"),
            &hex!("b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"),
            &hex!(
                "afd03944d84895626b0825f4ab46907f15f9dadbe4101ec682aa034c7cebc59cfaea9ea9076ede7f4af152e8b2fa9cb6"
            ),
            &hex!(
                "87aa7cdea5ef619d4ff0b4241a1d6cb02379f4e2ce4ec2787ad0b30545e17cde"
                "daa833b7d6b8a702038b274eaea3f4e4be9d914eeb61f1702e696c203a126854"
            ),
        ];
        check(&[0x0b; 20], b"Hi There", expected);
    }

    /// RFC 2202 §2, §3 and RFC 4231 §4.3: a key that is a word.
    #[test]
    fn published_case_2() {
        let expected: [&[u8]; 5] = [
            &hex!("750c783e6ab0b503eaa86e310a5db738"),
            &hex!("effcdf6ae5eb2fa2d27416d5f184df9c259a7c79"),
            &hex!("5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"),
            &hex!(
                "af45d2e376484031617f78d2b58a6b1b9c7ef464f5a01b47e42ec3736322445e8e2240ca5e69e2c78b3239ecfab21649"
            ),
            &hex!(
                "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea250554"
                "9758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737"
            ),
        ];
        check(b"Jefe", b"what do ya want for nothing?", expected);
    }

    /// RFC 2202 §2, §3 and RFC 4231 §4.7: a key longer than a block.
    #[test]
    fn published_case_6() {
        let data = b"Test Using Larger Than Block-Size Key - Hash Key First";
        let sha1 = hex!("aa4ae5e15272d00e95705637ce8a3b55ed402112");
        assert_eq!(Prf::HmacSha1.compute(&[0xaa; 80], &[data]).expose_secret(), sha1);
        let md5 = hex!("6b1ab7fe4bd7bf8f0b62e6ce61b9d0cd");
        assert_eq!(Prf::HmacMd5.compute(&[0xaa; 80], &[data]).expose_secret(), md5);
        let sha2: [&[u8]; 3] = [
            &hex!("60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"),
            &hex!(
                "4ece084485813e9088d2c63a041bc5b44f9ef1012a2b588f3cd11f05033ac4c60c2ef6ab4030fe8296248df163f44952"
            ),
            &hex!(
                "80b24263c7c1a3ebb71493c1dd7be8b49b46d1f41b4aeec1121b013783f8f352"
                "6b56d037e05f2598bd0fd2215d6a1e5295e64f73f63f0aec8b915a985d786598"
            ),
        ];
        for (prf, expected) in ALL.into_iter().skip(2).zip(sha2) {
            assert_eq!(
                prf.compute(&[0xaa; 131], &[data]).expose_secret(),
                expected,
                "{prf}"
            );
        }
    }

    /// prf+ is T1 | T2 | …, T1 = prf(K, S | 1), Tn = prf(K, Tn-1 | S | n) (RFC 7296 §2.13), cut where it is enough.
    #[test]
    fn expansion_chains_its_blocks() {
        for prf in ALL {
            let seed: [&[u8]; 2] = [b"one ", b"seed"];
            let first = prf.compute(b"key", &[b"one seed", &[1]]);
            let second = prf.compute(b"key", &[first.expose_secret(), b"one seed", &[2]]);
            let expected = [first.expose_secret(), second.expose_secret()].concat();
            let octets = prf.octets() + 7;
            assert_eq!(
                prf.expand(b"key", &seed, octets).expose_secret(),
                &expected[..octets],
                "{prf}"
            );
            assert!(prf.expand(b"key", &seed, 0).expose_secret().is_empty());
        }
    }
}
