use aws_lc_rs::agreement::{
    self, Algorithm, ECDH_P256, ECDH_P384, ECDH_P521, PrivateKey, UnparsedPublicKey, X25519,
};
use aws_lc_rs::constant_time;
use secrecy::ExposeSecret;
use zeroize::Zeroizing;

use super::mlkem::{self, KeyPair};
use super::modp::{self, Modulus};
use super::{Group, Secret};
use crate::Random;

/// A drawn number is outside the order of a curve once in 2³² times; a generator that does not hit it this often
/// is broken.
const DRAWS: usize = 16;

/// The initiator's half of one key exchange. Where anyone may have answered, several values are tried with it until one is proved.
pub struct KeyExchange {
    group: Group,
    public: Vec<u8>,
    private: Private,
}

enum Private {
    Modp(&'static Modulus, Zeroizing<Vec<u8>>),
    Curve(PrivateKey),
    Encapsulation(KeyPair),
}

/// The responder's half of one key exchange: what it answers is known at once, and the secret when it is asked for.
pub struct KeyAnswer {
    group: Group,
    public: Vec<u8>,
    secret: Owed,
}

/// A secret, or what it is calculated from.
enum Owed {
    Made(Secret),
    DiffieHellman(Box<KeyExchange>, Vec<u8>),
}

/// Why an exchange gives no secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ExchangeError {
    /// The peer's value has not the length that its method gives it (RFC 7296 §3.4).
    #[error("the public value has the wrong length")]
    Length,
    /// The peer's value is not one of the group, or would give the secret away (RFC 6989 §2, RFC 8031 §5, FIPS 203 §7.2).
    #[error("the public value is not allowed in its group")]
    Public,
    /// The generator gave no usable private value, or memory is short.
    #[error("no private value could be made")]
    Private,
}

impl KeyExchange {
    /// Draws a private value and calculates the public one.
    pub fn start(group: Group, random: &mut dyn Random) -> Result<Self, ExchangeError> {
        match group {
            Group::Modp768
            | Group::Modp1024
            | Group::Modp1536
            | Group::Modp2048
            | Group::Modp3072
            | Group::Modp4096
            | Group::Modp2048Subgroup256 => Self::start_modp(group, random),
            Group::Ecp256 => Self::start_curve(group, (&ECDH_P256, 32), random),
            Group::Ecp384 => Self::start_curve(group, (&ECDH_P384, 48), random),
            Group::Ecp521 => Self::start_curve(group, (&ECDH_P521, 66), random),
            Group::X25519 => Self::start_curve(group, (&X25519, 32), random),
            Group::MlKem512 | Group::MlKem768 | Group::MlKem1024 => Self::start_encapsulation(group, random),
        }
    }

    /// The group.
    pub fn group(&self) -> Group {
        self.group
    }

    /// Our public value or encapsulation key, as it stands in a KE payload.
    pub fn public(&self) -> &[u8] {
        &self.public
    }

    /// Checks what the responder sent and calculates the shared secret: as long as the prime for MODP
    /// (RFC 7296 §2.14), the x coordinate for ECP (RFC 5903 §7). A ciphertext of the right length that was not made for
    /// our key gives a secret too, which nobody else has.
    pub fn finish(&self, peer_public: &[u8]) -> Result<Secret, ExchangeError> {
        if peer_public.len() != self.group.responder_octets() {
            return Err(ExchangeError::Length);
        }
        match &self.private {
            Private::Modp(modulus, exponent) => {
                check(modulus, peer_public)?;
                modulus
                    .power(peer_public, exponent.as_ref())
                    .ok_or(ExchangeError::Private)
            }
            Private::Curve(private) => agree(self.group, private, peer_public),
            Private::Encapsulation(pair) => pair.open(peer_public).ok_or(ExchangeError::Private),
        }
    }

    fn start_modp(group: Group, random: &mut dyn Random) -> Result<Self, ExchangeError> {
        let modulus = modp::modulus(group).ok_or(ExchangeError::Private)?;
        let mut exponent = Zeroizing::new(vec![0; modulus.exponent_octets()]);
        random.fill(&mut exponent);
        let private = Private::Modp(modulus, exponent);
        Self::with_private(group, private)
    }

    fn start_encapsulation(group: Group, random: &mut dyn Random) -> Result<Self, ExchangeError> {
        let mut seed = Zeroizing::new([0; mlkem::SEED]);
        random.fill(seed.as_mut());
        let pair = KeyPair::new(group, &seed).ok_or(ExchangeError::Private)?;
        Self::with_private(group, Private::Encapsulation(pair))
    }

    fn start_curve(
        group: Group,
        (algorithm, octets): (&'static Algorithm, usize),
        random: &mut dyn Random,
    ) -> Result<Self, ExchangeError> {
        let mut drawn = Zeroizing::new(vec![0; octets]);
        for _ in 0..DRAWS {
            random.fill(&mut drawn);
            if group == Group::Ecp521 {
                drawn.first_mut().into_iter().for_each(|top| *top &= 1);
            }
            if let Ok(private) = PrivateKey::from_private_key(algorithm, &drawn) {
                return Self::with_private(group, Private::Curve(private));
            }
        }
        Err(ExchangeError::Private)
    }

    fn with_private(group: Group, private: Private) -> Result<Self, ExchangeError> {
        let public = match &private {
            Private::Modp(modulus, exponent) => modulus.public(exponent).ok_or(ExchangeError::Private)?,
            Private::Curve(private) => {
                let public = private.compute_public_key().map_err(|_| ExchangeError::Private)?;
                let octets = public.as_ref();
                // RFC 5903 §7: both coordinates without the octet that says so.
                octets
                    .strip_prefix(&[4])
                    .filter(|_| group != Group::X25519)
                    .unwrap_or(octets)
                    .to_vec()
            }
            Private::Encapsulation(pair) => pair.public().ok_or(ExchangeError::Private)?,
        };
        Ok(Self {
            group,
            public,
            private,
        })
    }
}

impl KeyAnswer {
    /// Answers what the initiator sent. A Diffie-Hellman exchange costs one public value now and the rest when the secret
    /// is asked for, so that a stranger's first message costs little; an encapsulation is done at once.
    ///
    /// # Errors
    /// What the initiator sent has the wrong length, or is no encapsulation key.
    pub fn new(group: Group, initiator: &[u8], random: &mut dyn Random) -> Result<Self, ExchangeError> {
        if initiator.len() != group.initiator_octets() {
            return Err(ExchangeError::Length);
        }
        if !matches!(group, Group::MlKem512 | Group::MlKem768 | Group::MlKem1024) {
            let exchange = KeyExchange::start(group, random)?;
            return Ok(Self {
                group,
                public: exchange.public.clone(),
                secret: Owed::DiffieHellman(Box::new(exchange), initiator.to_vec()),
            });
        }
        let mut message = Zeroizing::new([0; mlkem::MESSAGE]);
        random.fill(message.as_mut());
        let made = mlkem::encapsulate(group, initiator, &message);
        let (public, secret) = made.ok_or(ExchangeError::Public)?;
        Ok(Self {
            group,
            public,
            secret: Owed::Made(secret),
        })
    }

    /// The group.
    pub fn group(&self) -> Group {
        self.group
    }

    /// Our public value or the ciphertext, as it stands in a KE payload.
    pub fn public(&self) -> &[u8] {
        &self.public
    }

    /// The shared secret, as [`KeyExchange::finish`] gives it to the initiator.
    ///
    /// # Errors
    /// What the initiator sent is not allowed in the group.
    pub fn finish(self) -> Result<Secret, ExchangeError> {
        match self.secret {
            Owed::Made(secret) => Ok(secret),
            Owed::DiffieHellman(exchange, initiator) => exchange.finish(&initiator),
        }
    }
}

/// RFC 6989 §2.1 and §2.2: 1 < y < p - 1 and, where the prime is not a safe one, y in the subgroup.
fn check(modulus: &Modulus, public: &[u8]) -> Result<(), ExchangeError> {
    let (last, above) = public.split_last().ok_or(ExchangeError::Length)?;
    let (prime_last, prime_above) = modulus.octets.split_last().ok_or(ExchangeError::Private)?;
    let small = *last <= 1 && above.iter().all(|octet| *octet == 0);
    // The prime is odd, so p - 1 differs from it in the last octet only.
    if small || (above, *last) >= (prime_above, prime_last - 1) {
        return Err(ExchangeError::Public);
    }
    let Some(order) = modulus.order else { return Ok(()) };
    let one = modulus.power(public, order).ok_or(ExchangeError::Private)?;
    match one.expose_secret().split_last() {
        Some((1, above)) if above.iter().all(|octet| *octet == 0) => Ok(()),
        _ => Err(ExchangeError::Public),
    }
}

/// AWS-LC checks that a point is on its curve (RFC 6989 §2.3) and that X25519 gives not zero (RFC 8031 §5).
fn agree(group: Group, private: &PrivateKey, public: &[u8]) -> Result<Secret, ExchangeError> {
    let octets = if group == Group::X25519 {
        public.to_vec()
    } else {
        [&[4], public].concat()
    };
    let peer = UnparsedPublicKey::new(private.algorithm(), octets);
    let secret = agreement::agree(private, peer, ExchangeError::Public, |secret| {
        Ok(Secret::from(secret.to_vec()))
    })?;
    let zero = vec![0; secret.expose_secret().len()];
    match constant_time::verify_slices_are_equal(secret.expose_secret(), &zero) {
        Ok(()) => Err(ExchangeError::Public),
        Err(_) => Ok(secret),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use hex_literal::hex;

    use super::*;

    /// Gives out the octets it was made of, once.
    struct Octets(Vec<u8>);

    impl Random for Octets {
        fn fill(&mut self, bytes: &mut [u8]) {
            bytes.copy_from_slice(&self.0[..bytes.len()]);
            self.0.drain(..bytes.len());
        }
    }

    /// A linear congruential generator: different each time is all that tests need.
    struct Varied(u64);

    impl Random for Varied {
        fn fill(&mut self, bytes: &mut [u8]) {
            for byte in bytes {
                self.0 = self
                    .0
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1_442_695_040_888_963_407);
                *byte = self.0.to_be_bytes()[0];
            }
        }
    }

    const ALL: [Group; 14] = [
        Group::Modp768,
        Group::Modp1024,
        Group::Modp1536,
        Group::Modp2048,
        Group::Modp3072,
        Group::Modp4096,
        Group::Modp2048Subgroup256,
        Group::Ecp256,
        Group::Ecp384,
        Group::Ecp521,
        Group::X25519,
        Group::MlKem512,
        Group::MlKem768,
        Group::MlKem1024,
    ];

    fn start(group: Group, private: &[u8]) -> KeyExchange {
        KeyExchange::start(group, &mut Octets(private.to_vec())).unwrap()
    }

    /// What an initiator, and then a responder, says of the other's value.
    fn verdicts(group: Group, public: &[u8]) -> [Result<(), ExchangeError>; 2] {
        let initiator = KeyExchange::start(group, &mut Varied(1)).unwrap();
        let responder = KeyAnswer::new(group, public, &mut Varied(1)).and_then(KeyAnswer::finish);
        [initiator.finish(public).map(|_| ()), responder.map(|_| ())]
    }

    /// What both say.
    fn verdict(group: Group, public: &[u8]) -> Result<(), ExchangeError> {
        let [initiator, responder] = verdicts(group, public);
        assert_eq!(initiator, responder, "{group}");
        initiator
    }

    /// Both sides have the published public value and the published secret.
    fn check(
        group: Group,
        [private_i, public_i]: [&[u8]; 2],
        [private_r, public_r]: [&[u8]; 2],
        secret: &[u8],
    ) {
        let initiator = start(group, private_i);
        let responder = KeyAnswer::new(group, public_i, &mut Octets(private_r.to_vec())).unwrap();
        assert_eq!(initiator.public(), public_i, "{group}");
        assert_eq!(responder.public(), public_r, "{group}");
        assert_eq!(
            initiator.finish(public_r).unwrap().expose_secret(),
            secret,
            "{group}"
        );
        assert_eq!(responder.finish().unwrap().expose_secret(), secret, "{group}");
    }

    /// RFC 5903 §8.1.
    #[test]
    fn published_ecp_256() {
        let i = hex!("C88F01F510D9AC3F70A292DAA2316DE544E9AAB8AFE84049C62A9C57862D1433");
        let gi = hex!(
            "DAD0B65394221CF9B051E1FECA5787D098DFE637FC90B9EF945D0C3772581180"
            "5271A0461CDB8252D61F1C456FA3E59AB1F45B33ACCF5F58389E0577B8990BB3"
        );
        let r = hex!("C6EF9C5D78AE012A011164ACB397CE2088685D8F06BF9BE0B283AB46476BEE53");
        let gr = hex!(
            "D12DFB5289C8D4F81208B70270398C342296970A0BCCB74C736FC7554494BF63"
            "56FBF3CA366CC23E8157854C13C58D6AAC23F046ADA30F8353E74F33039872AB"
        );
        let girx = hex!("D6840F6B42F6EDAFD13116E0E12565202FEF8E9ECE7DCE03812464D04B9442DE");
        check(Group::Ecp256, [&i, &gi], [&r, &gr], &girx);
    }

    /// RFC 5903 §8.2.
    #[test]
    fn published_ecp_384() {
        let i = hex!(
            "099F3C7034D4A2C699884D73A375A67F7624EF7C6B3C0F160647B67414DCE655E35B538041E649EE3FAEF896783AB194"
        );
        let gi = hex!(
            "667842D7D180AC2CDE6F74F37551F55755C7645C20EF73E31634FE72B4C55EE6DE3AC808ACB4BDB4C88732AEE95F41AA"
            "9482ED1FC0EEB9CAFC4984625CCFC23F65032149E0E144ADA024181535A0F38EEB9FCFF3C2C947DAE69B4C634573A81C"
        );
        let r = hex!(
            "41CB0779B4BDB85D47846725FBEC3C9430FAB46CC8DC5060855CC9BDA0AA2942E0308312916B8ED2960E4BD55A7448FC"
        );
        let gr = hex!(
            "E558DBEF53EECDE3D3FCCFC1AEA08A89A987475D12FD950D83CFA41732BC509D0D1AC43A0336DEF96FDA41D0774A3571"
            "DCFBEC7AACF3196472169E838430367F66EEBE3C6E70C416DD5F0C68759DD1FFF83FA40142209DFF5EAAD96DB9E6386C"
        );
        let girx = hex!(
            "11187331C279962D93D604243FD592CB9D0A926F422E47187521287E7156C5C4D603135569B9E9D09CF5D4A270F59746"
        );
        check(Group::Ecp384, [&i, &gi], [&r, &gr], &girx);
    }

    /// RFC 5903 §8.3: coordinates that begin with zeros keep them.
    #[test]
    fn published_ecp_521() {
        let i = hex!(
            "0037ADE9319A89F4DABDB3EF411AACCCA5123C61ACAB57B5393DCE47608172A0"
            "95AA85A30FE1C2952C6771D937BA9777F5957B2639BAB072462F68C27A57382D4A52"
        );
        let gi = hex!(
            "0015417E84DBF28C0AD3C278713349DC7DF153C897A1891BD98BAB4357C9ECBE"
            "E1E3BF42E00B8E380AEAE57C2D107564941885942AF5A7F4601723C4195D176CED3E"
            "017CAE20B6641D2EEB695786D8C946146239D099E18E1D5A514C739D7CB4A10A"
            "D8A788015AC405D7799DC75E7B7D5B6CF2261A6A7F1507438BF01BEB6CA3926F9582"
        );
        let r = hex!(
            "0145BA99A847AF43793FDD0E872E7CDFA16BE30FDC780F97BCCC3F078380201E"
            "9C677D600B343757A3BDBF2A3163E4C2F869CCA7458AA4A4EFFC311F5CB151685EB9"
        );
        let gr = hex!(
            "00D0B3975AC4B799F5BEA16D5E13E9AF971D5E9B984C9F39728B5E5739735A21"
            "9B97C356436ADC6E95BB0352F6BE64A6C2912D4EF2D0433CED2B6171640012D9460F"
            "015C68226383956E3BD066E797B623C27CE0EAC2F551A10C2C724D9852077B87"
            "220B6536C5C408A1D2AEBB8E86D678AE49CB57091F4732296579AB44FCD17F0FC56A"
        );
        let girx = hex!(
            "01144C7D79AE6956BC8EDB8E7C787C4521CB086FA64407F97894E5E6B2D79B04"
            "D1427E73CA4BAA240A34786859810C06B3C715A3A8CC3151F2BEE417996D19F3DDEA"
        );
        check(Group::Ecp521, [&i, &gi], [&r, &gr], &girx);
    }

    /// RFC 7748 §6.1.
    #[test]
    fn published_x25519() {
        let a = hex!("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a");
        let public_a = hex!("8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a");
        let b = hex!("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb");
        let public_b = hex!("de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f");
        let secret = hex!("4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742");
        check(Group::X25519, [&a, &public_a], [&b, &public_b], &secret);
    }

    /// RFC 5114 and values of an independent implementation: the file says which. One secret begins with zeros.
    #[test]
    fn modp_agrees_with_others() {
        let vectors = named(include_str!("../../tests/vectors/modp.txt"));
        for (name, group) in [
            ("modp768", Group::Modp768),
            ("modp1024", Group::Modp1024),
            ("modp1536", Group::Modp1536),
            ("modp2048", Group::Modp2048),
            ("modp2048padded", Group::Modp2048),
            ("modp3072", Group::Modp3072),
            ("modp4096", Group::Modp4096),
            ("modp2048s256", Group::Modp2048Subgroup256),
        ] {
            let value = |what: &str| vectors[format!("{name} {what}").as_str()].as_slice();
            check(
                group,
                [value("initiator private"), value("initiator public")],
                [value("responder private"), value("responder public")],
                value("secret"),
            );
        }
    }

    /// NIST's samples: a key from its seed, and a ciphertext and its secret from what was drawn for them. A ciphertext
    /// that was made for another key gives the secret of FIPS 203 §6.3, which only the owner of the key has.
    #[test]
    fn ml_kem_agrees_with_others() {
        let vectors = named(include_str!("../../tests/vectors/mlkem.txt"));
        for (name, group) in [
            ("mlkem512", Group::MlKem512),
            ("mlkem768", Group::MlKem768),
            ("mlkem1024", Group::MlKem1024),
        ] {
            let value = |what: &str| vectors[format!("{name} {what}").as_str()].as_slice();
            let initiator = start(group, value("seed"));
            assert_eq!(initiator.public(), value("key"), "{group}");
            let mut drawn = Octets(value("message").to_vec());
            let responder = KeyAnswer::new(group, value("peer"), &mut drawn).unwrap();
            assert_eq!(responder.public(), value("ciphertext"), "{group}");
            assert_eq!(
                responder.finish().unwrap().expose_secret(),
                value("secret"),
                "{group}"
            );
            let rejected = initiator.finish(value("ciphertext")).unwrap();
            assert_eq!(rejected.expose_secret(), value("rejected"), "{group}");
        }
    }

    /// FIPS 203 §7.2: an encapsulation key whose numbers are not below q is none.
    #[test]
    fn encapsulation_keys_out_of_range_are_refused() {
        for group in [Group::MlKem512, Group::MlKem768, Group::MlKem1024] {
            let mut key = start(group, &[7; 64]).public().to_vec();
            key[..2].fill(0xff);
            let answer = KeyAnswer::new(group, &key, &mut Varied(1));
            assert_eq!(answer.err(), Some(ExchangeError::Public), "{group}");
        }
    }

    fn named(text: &'static str) -> BTreeMap<&'static str, Vec<u8>> {
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        lines
            .filter_map(|line| line.split_once(" = "))
            .map(|(name, value)| (name, octets(value)))
            .collect()
    }

    fn octets(hex: &str) -> Vec<u8> {
        hex.as_bytes()
            .chunks(2)
            .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
            .collect()
    }

    /// Any two sides agree, and lengths are always those of the group.
    #[test]
    fn two_sides_agree() {
        let mut random = Varied(7);
        for group in ALL {
            let ours = KeyExchange::start(group, &mut random).unwrap();
            let theirs = KeyAnswer::new(group, ours.public(), &mut random).unwrap();
            assert_eq!(ours.public().len(), group.initiator_octets());
            assert_eq!(theirs.public().len(), group.responder_octets());
            assert_ne!(ours.public(), theirs.public());
            let answered = theirs.public().to_vec();
            let secret = ours.finish(&answered).unwrap();
            assert_eq!(
                secret.expose_secret(),
                theirs.finish().unwrap().expose_secret(),
                "{group}"
            );
        }
    }

    #[test]
    fn other_lengths_are_refused() {
        let length = Err(ExchangeError::Length);
        for group in ALL {
            let ours = KeyExchange::start(group, &mut Varied(2)).unwrap();
            let theirs = KeyAnswer::new(group, ours.public(), &mut Varied(3)).unwrap();
            assert_eq!(verdicts(group, theirs.public())[0], Ok(()), "{group}");
            assert_eq!(verdicts(group, ours.public())[1], Ok(()), "{group}");
            for (role, public) in [theirs.public(), ours.public()].into_iter().enumerate() {
                assert_eq!(verdicts(group, &public[1..])[role], length, "{group}");
                let longer = [&[0], public].concat();
                assert_eq!(verdicts(group, &longer)[role], length, "{group}");
                assert_eq!(verdicts(group, &[])[role], length, "{group}");
            }
        }
    }

    /// RFC 6989 §2.1: 1 < y < p - 1.
    #[test]
    fn modp_values_that_give_the_secret_away_are_refused() {
        for group in &ALL[..6] {
            let prime = &modp::modulus(*group).unwrap().octets;
            let with_last = |base: &[u8], last: u8| [&base[..base.len() - 1], &[last]].concat();
            let zeros = vec![0; prime.len()];
            let last = prime[prime.len() - 1];
            let refused = [
                zeros.clone(),
                with_last(&zeros, 1),
                with_last(prime, last - 1),
                prime.clone(),
                vec![0xff; prime.len()],
            ];
            for public in refused {
                assert_eq!(verdict(*group, &public), Err(ExchangeError::Public), "{group}");
            }
        }
        assert_eq!(
            verdict(Group::Modp2048, &[vec![0; 255], vec![2]].concat()),
            Ok(())
        );
    }

    /// RFC 6989 §2.2: the group has a small subgroup for each factor of (p - 1) / q, so y^q must be 1.
    #[test]
    fn values_outside_the_subgroup_are_refused() {
        let two = [vec![0; 255], vec![2]].concat();
        assert_eq!(
            verdict(Group::Modp2048Subgroup256, &two),
            Err(ExchangeError::Public)
        );
    }

    /// RFC 6989 §2.3: a point must be on its curve.
    #[test]
    fn points_off_the_curve_are_refused() {
        for group in [Group::Ecp256, Group::Ecp384, Group::Ecp521] {
            let mut public = KeyExchange::start(group, &mut Varied(3))
                .unwrap()
                .public()
                .to_vec();
            *public.last_mut().unwrap() ^= 1;
            assert_eq!(verdict(group, &public), Err(ExchangeError::Public), "{group}");
            assert_eq!(
                verdict(group, &vec![0; public.len()]),
                Err(ExchangeError::Public),
                "{group}"
            );
            assert_eq!(
                verdict(group, &vec![0xff; public.len()]),
                Err(ExchangeError::Public),
                "{group}"
            );
        }
    }

    /// RFC 8031 §5: points of small order make the secret zero, whatever our private value is.
    #[test]
    fn points_of_small_order_are_refused() {
        for public in [
            hex!("0000000000000000000000000000000000000000000000000000000000000000"),
            hex!("0100000000000000000000000000000000000000000000000000000000000000"),
            hex!("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"),
            hex!("5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157"),
            hex!("ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
        ] {
            assert_eq!(verdict(Group::X25519, &public), Err(ExchangeError::Public));
        }
    }

    /// A private value outside the order of the curve is drawn again, but not for ever.
    #[test]
    fn private_values_out_of_range_are_drawn_again() {
        let good = hex!("C88F01F510D9AC3F70A292DAA2316DE544E9AAB8AFE84049C62A9C57862D1433");
        let again = start(Group::Ecp256, &[[0xff; 32], [0; 32], good].concat());
        assert_eq!(again.public(), start(Group::Ecp256, &good).public());
        let stuck = KeyExchange::start(Group::Ecp256, &mut Octets(vec![0xff; 1024]));
        assert_eq!(stuck.err(), Some(ExchangeError::Private));
    }
}
