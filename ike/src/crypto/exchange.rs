use aws_lc_rs::agreement::{self, ECDH_P256, ECDH_P384, ECDH_P521, PrivateKey, UnparsedPublicKey, X25519};
use aws_lc_rs::constant_time;
use secrecy::ExposeSecret;
use zeroize::Zeroizing;

use super::modp::{self, Modulus};
use super::{Group, Secret};
use crate::Random;

/// Octets of a MODP private value: twice the strength of the largest group (RFC 3526 §8), and a seventh of the
/// time that one as long as the prime takes.
const EXPONENT: usize = 32;
/// A drawn number is outside the order of a curve once in 2³² times; a generator that does not hit it this often
/// is broken.
const DRAWS: usize = 16;

/// Our half of one Diffie-Hellman exchange, for use once.
pub struct KeyExchange {
    group: Group,
    public: Vec<u8>,
    private: Private,
}

enum Private {
    Modp(&'static Modulus, Zeroizing<[u8; EXPONENT]>),
    Curve(PrivateKey),
}

/// Why an exchange gives no secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ExchangeError {
    /// The peer's public value has not the length of its group (RFC 7296 §3.4).
    #[error("the public value has the wrong length")]
    Length,
    /// The peer's public value is not one of the group, or would give the secret away (RFC 6989 §2, RFC 8031 §5).
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
            Group::Modp1024
            | Group::Modp2048
            | Group::Modp3072
            | Group::Modp4096
            | Group::Modp2048Subgroup256 => Self::start_modp(group, random),
            Group::Ecp256 | Group::Ecp384 | Group::Ecp521 | Group::X25519 => Self::start_curve(group, random),
        }
    }

    /// The group.
    pub fn group(&self) -> Group {
        self.group
    }

    /// Our public value, as it stands in a KE payload.
    pub fn public(&self) -> &[u8] {
        &self.public
    }

    /// Checks the peer's public value and calculates the shared secret: as long as the prime for MODP
    /// (RFC 7296 §2.14), the x coordinate for ECP (RFC 5903 §7).
    pub fn finish(self, peer_public: &[u8]) -> Result<Secret, ExchangeError> {
        if peer_public.len() != self.group.public_octets() {
            return Err(ExchangeError::Length);
        }
        match self.private {
            Private::Modp(modulus, exponent) => {
                check(modulus, peer_public)?;
                modulus
                    .power(peer_public, exponent.as_ref())
                    .ok_or(ExchangeError::Private)
            }
            Private::Curve(private) => agree(self.group, &private, peer_public),
        }
    }

    fn start_modp(group: Group, random: &mut dyn Random) -> Result<Self, ExchangeError> {
        let modulus = modp::modulus(group).ok_or(ExchangeError::Private)?;
        let mut exponent = Zeroizing::new([0; EXPONENT]);
        random.fill(exponent.as_mut());
        let private = Private::Modp(modulus, exponent);
        Self::with_private(group, private)
    }

    fn start_curve(group: Group, random: &mut dyn Random) -> Result<Self, ExchangeError> {
        let (algorithm, octets) = match group {
            Group::Ecp256 => (&ECDH_P256, 32),
            Group::Ecp384 => (&ECDH_P384, 48),
            Group::Ecp521 => (&ECDH_P521, 66),
            _ => (&X25519, 32),
        };
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
            Private::Modp(modulus, exponent) => {
                let public = modulus
                    .power(modulus.generator, exponent.as_ref())
                    .ok_or(ExchangeError::Private)?;
                public.expose_secret().to_vec()
            }
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
        };
        Ok(Self {
            group,
            public,
            private,
        })
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
    let octets = match group {
        Group::X25519 => public.to_vec(),
        _ => [&[4], public].concat(),
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
