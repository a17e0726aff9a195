//! Modular exponentiation in constant time.
#![allow(unsafe_code)]

use std::ptr::{self, NonNull};
use std::sync::LazyLock;

use aws_lc_sys as lc;
use hex_literal::hex;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::{Group, Secret};

/// The values of four bits.
const DIGITS: usize = 16;

/// A group modulo a prime, made ready once for the whole process.
pub(super) struct Modulus {
    montgomery: NonNull<lc::BN_MONT_CTX>,
    prime: Number,
    /// The prime in network order.
    pub(super) octets: Vec<u8>,
    /// For each four bits of an exponent, least significant first: the generator to the power of each value that they
    /// may have at their place, in Montgomery form.
    powers: Vec<u8>,
    /// The order of the generator, where it is not (p - 1) / 2.
    pub(super) order: Option<&'static [u8]>,
}

// SAFETY: once made, both numbers are only read: AWS-LC takes them as pointers to const, and documents
// that functions that do so may run concurrently.
unsafe impl Send for Modulus {}
// SAFETY: as above.
unsafe impl Sync for Modulus {}

static MODP_768: LazyLock<Option<Modulus>> = LazyLock::new(|| Modulus::new(&PRIME_768, &[2], None));
static MODP_1024: LazyLock<Option<Modulus>> = LazyLock::new(|| Modulus::new(&PRIME_1024, &[2], None));
static MODP_1536: LazyLock<Option<Modulus>> =
    LazyLock::new(|| Modulus::rfc3526(lc::BN_get_rfc3526_prime_1536));
static MODP_2048: LazyLock<Option<Modulus>> =
    LazyLock::new(|| Modulus::rfc3526(lc::BN_get_rfc3526_prime_2048));
static MODP_3072: LazyLock<Option<Modulus>> =
    LazyLock::new(|| Modulus::rfc3526(lc::BN_get_rfc3526_prime_3072));
static MODP_4096: LazyLock<Option<Modulus>> =
    LazyLock::new(|| Modulus::rfc3526(lc::BN_get_rfc3526_prime_4096));
static MODP_2048_256: LazyLock<Option<Modulus>> =
    LazyLock::new(|| Modulus::new(&PRIME_2048_256, &GENERATOR_2048_256, Some(&ORDER_2048_256)));

/// The modulus of a MODP group; `None` for other groups, and when there was no memory for it.
pub(super) fn modulus(group: Group) -> Option<&'static Modulus> {
    match group {
        Group::Modp768 => MODP_768.as_ref(),
        Group::Modp1024 => MODP_1024.as_ref(),
        Group::Modp1536 => MODP_1536.as_ref(),
        Group::Modp2048 => MODP_2048.as_ref(),
        Group::Modp3072 => MODP_3072.as_ref(),
        Group::Modp4096 => MODP_4096.as_ref(),
        Group::Modp2048Subgroup256 => MODP_2048_256.as_ref(),
        Group::Ecp256
        | Group::Ecp384
        | Group::Ecp521
        | Group::X25519
        | Group::MlKem512
        | Group::MlKem768
        | Group::MlKem1024 => None,
    }
}

impl Modulus {
    fn rfc3526(prime: unsafe extern "C" fn(*mut lc::BIGNUM) -> *mut lc::BIGNUM) -> Option<Self> {
        // SAFETY: given null, these functions allocate a number that is then ours, or return null.
        let prime = Number(NonNull::new(unsafe { prime(ptr::null_mut()) })?);
        // SAFETY: the number is alive.
        let octets = usize::try_from(unsafe { lc::BN_num_bytes(prime.0.as_ptr()) }).ok()?;
        Self::new(&prime.octets(octets)?, &[2], None)
    }

    fn new(prime: &[u8], generator: &[u8], order: Option<&'static [u8]>) -> Option<Self> {
        let number = Number::from_octets(prime)?;
        let scratch = Context::new()?;
        // SAFETY: both pointers are alive; the result is ours, or null.
        let montgomery = unsafe { lc::BN_MONT_CTX_new_for_modulus(number.0.as_ptr(), scratch.0.as_ptr()) };
        let mut modulus = Self {
            montgomery: NonNull::new(montgomery)?,
            prime: number,
            octets: prime.to_vec(),
            powers: Vec::new(),
            order,
        };
        modulus.powers = modulus.powers_of(generator, &scratch)?;
        Some(modulus)
    }

    fn powers_of(&self, generator: &[u8], scratch: &Context) -> Option<Vec<u8>> {
        let octets = self.octets.len();
        let mut base = self.to_montgomery(generator, scratch)?;
        let mut powers = Vec::with_capacity(self.exponent_octets() * 2 * DIGITS * octets);
        for _ in 0..self.exponent_octets() * 2 {
            let mut power = self.to_montgomery(&[1], scratch)?;
            for _ in 0..DIGITS {
                powers.extend(power.octets(octets)?);
                power = self.product(&power, &base, scratch)?;
            }
            base = power;
        }
        Some(powers)
    }

    /// Octets of a private value: twice the strength that NIST SP 800-56A gives the prime (112, 128 and 152 bits for
    /// 2048, 3072 and 4096 bits), to whole words; one as long as the prime would take seven times the time.
    pub(super) fn exponent_octets(&self) -> usize {
        if self.octets.len() > 384 { 40 } else { 32 }
    }

    /// The public value of a private one that has as many octets as `exponent_octets` says: a product of powers that are
    /// at hand, a fifth of the time that `power` takes. All of them are read for each factor, so that neither time nor
    /// addresses tell which was taken. `None` when memory is short.
    pub(super) fn public(&self, exponent: &[u8]) -> Option<Vec<u8>> {
        let (octets, scratch) = (self.octets.len(), Context::new()?);
        let mut product = self.to_montgomery(&[1], &scratch)?;
        let digits = exponent.iter().rev().flat_map(|octet| [octet & 0xf, octet >> 4]);
        let mut factor = Zeroizing::new(vec![0; octets]);
        for (powers, digit) in self.powers.chunks_exact(DIGITS * octets).zip(digits) {
            factor.fill(0);
            for (value, power) in (0_u8..).zip(powers.chunks_exact(octets)) {
                let mask = 0_u8.wrapping_sub(value.ct_eq(&digit).unwrap_u8());
                factor
                    .iter_mut()
                    .zip(power)
                    .for_each(|(to, from)| *to |= *from & mask);
            }
            product = self.product(&product, &Number::from_octets(&factor)?, &scratch)?;
        }
        self.out_of_montgomery(&product, &scratch)?.octets(octets)
    }

    /// `base` to the power of `exponent` in time that depends on their lengths only, as long as the prime.
    /// `None` if `base` is not less than the prime, or memory is short.
    pub(super) fn power(&self, base: &[u8], exponent: &[u8]) -> Option<Secret> {
        let (base, exponent) = (Number::from_octets(base)?, Number::from_octets(exponent)?);
        let (result, context) = (Number::from_octets(&[])?, Context::new()?);
        // SAFETY: all pointers are alive for the call, the result is not one of the inputs, the context is used
        // by this call only, and the Montgomery context belongs to this prime, which is odd.
        let done = unsafe {
            lc::BN_mod_exp_mont_consttime(
                result.0.as_ptr(),
                base.0.as_ptr(),
                exponent.0.as_ptr(),
                self.prime.0.as_ptr(),
                context.0.as_ptr(),
                self.montgomery.as_ptr(),
            )
        };
        if done != 1 {
            return None;
        }
        result.octets(self.octets.len()).map(Secret::from)
    }
}

// In Montgomery form, where numbers are always as wide as the prime, lest AWS-LC take a path whose time tells.
impl Modulus {
    fn to_montgomery(&self, octets: &[u8], scratch: &Context) -> Option<Number> {
        let mut padded = vec![0; self.octets.len().checked_sub(octets.len())?];
        padded.extend_from_slice(octets);
        let (result, number) = (Number::from_octets(&[])?, Number::from_octets(&padded)?);
        // SAFETY: all pointers are alive for the call, and the scratch numbers are used by this call only.
        let done = unsafe {
            lc::BN_to_montgomery(
                result.0.as_ptr(),
                number.0.as_ptr(),
                self.montgomery.as_ptr(),
                scratch.0.as_ptr(),
            )
        };
        (done == 1).then_some(result)
    }

    fn out_of_montgomery(&self, number: &Number, scratch: &Context) -> Option<Number> {
        let result = Number::from_octets(&[])?;
        // SAFETY: as above.
        let done = unsafe {
            lc::BN_from_montgomery(
                result.0.as_ptr(),
                number.0.as_ptr(),
                self.montgomery.as_ptr(),
                scratch.0.as_ptr(),
            )
        };
        (done == 1).then_some(result)
    }

    fn product(&self, one: &Number, other: &Number, scratch: &Context) -> Option<Number> {
        let result = Number::from_octets(&[])?;
        // SAFETY: as above.
        let done = unsafe {
            lc::BN_mod_mul_montgomery(
                result.0.as_ptr(),
                one.0.as_ptr(),
                other.0.as_ptr(),
                self.montgomery.as_ptr(),
                scratch.0.as_ptr(),
            )
        };
        (done == 1).then_some(result)
    }
}

impl Drop for Modulus {
    fn drop(&mut self) {
        // SAFETY: it is ours and not used any more.
        unsafe { lc::BN_MONT_CTX_free(self.montgomery.as_ptr()) }
    }
}

/// A number that is wiped when dropped.
struct Number(NonNull<lc::BIGNUM>);

impl Number {
    /// Reads network order. The width is that of the octets, leading zeros included, so it tells nothing.
    fn from_octets(octets: &[u8]) -> Option<Self> {
        // SAFETY: pointer and length are those of a slice; given null, the result is a number of ours, or null.
        NonNull::new(unsafe { lc::BN_bin2bn(octets.as_ptr(), octets.len(), ptr::null_mut()) }).map(Self)
    }

    /// Network order, padded on the left to `length`.
    fn octets(&self, length: usize) -> Option<Vec<u8>> {
        let mut octets = vec![0; length];
        // SAFETY: the number is alive; pointer and length are those of a slice.
        let fits = unsafe { lc::BN_bn2bin_padded(octets.as_mut_ptr(), octets.len(), self.0.as_ptr()) };
        (fits == 1).then_some(octets)
    }
}

impl Drop for Number {
    fn drop(&mut self) {
        // SAFETY: it is ours and not used any more.
        unsafe { lc::BN_clear_free(self.0.as_ptr()) }
    }
}

/// Scratch numbers of one calculation.
struct Context(NonNull<lc::BN_CTX>);

impl Context {
    fn new() -> Option<Self> {
        // SAFETY: the result is ours, or null.
        NonNull::new(unsafe { lc::BN_CTX_new() }).map(Self)
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        // SAFETY: it is ours and not used any more.
        unsafe { lc::BN_CTX_free(self.0.as_ptr()) }
    }
}

/// RFC 2409 §6.1.
const PRIME_768: [u8; 96] = hex!(
    "FFFFFFFFFFFFFFFFC90FDAA22168C234C4C6628B80DC1CD129024E088A67CC74020BBEA63B139B22514A08798E3404DD"
    "EF9519B3CD3A431B302B0A6DF25F14374FE1356D6D51C245E485B576625E7EC6F44C42E9A63A3620FFFFFFFFFFFFFFFF"
);
/// RFC 2409 §6.2.
const PRIME_1024: [u8; 128] = hex!(
    "FFFFFFFFFFFFFFFFC90FDAA22168C234C4C6628B80DC1CD129024E088A67CC74020BBEA63B139B22514A08798E3404DD"
    "EF9519B3CD3A431B302B0A6DF25F14374FE1356D6D51C245E485B576625E7EC6F44C42E9A637ED6B0BFF5CB6F406B7ED"
    "EE386BFB5A899FA5AE9F24117C4B1FE649286651ECE65381FFFFFFFFFFFFFFFF"
);
/// RFC 5114 §2.3.
const PRIME_2048_256: [u8; 256] = hex!(
    "87A8E61DB4B6663CFFBBD19C651959998CEEF608660DD0F25D2CEED4435E3B00E00DF8F1D61957D4FAF7DF4561B2AA30"
    "16C3D91134096FAA3BF4296D830E9A7C209E0C6497517ABD5A8A9D306BCF67ED91F9E6725B4758C022E0B1EF4275BF7B"
    "6C5BFC11D45F9088B941F54EB1E59BB8BC39A0BF12307F5C4FDB70C581B23F76B63ACAE1CAA6B7902D52526735488A0E"
    "F13C6D9A51BFA4AB3AD8347796524D8EF6A167B5A41825D967E144E5140564251CCACB83E6B486F6B3CA3F7971506026"
    "C0B857F689962856DED4010ABD0BE621C3A3960A54E710C375F26375D7014103A4B54330C198AF126116D2276E11715F"
    "693877FAD7EF09CADB094AE91E1A1597"
);
/// RFC 5114 §2.3.
const GENERATOR_2048_256: [u8; 256] = hex!(
    "3FB32C9B73134D0B2E77506660EDBD484CA7B18F21EF205407F4793A1A0BA12510DBC15077BE463FFF4FED4AAC0BB555"
    "BE3A6C1B0C6B47B1BC3773BF7E8C6F62901228F8C28CBB18A55AE31341000A650196F931C77A57F2DDF463E5E9EC144B"
    "777DE62AAAB8A8628AC376D282D6ED3864E67982428EBC831D14348F6F2F9193B5045AF2767164E1DFC967C1FB3F2E55"
    "A4BD1BFFE83B9C80D052B985D182EA0ADB2A3B7313D3FE14C8484B1E052588B9B7D2BBD2DF016199ECD06E1557CD0915"
    "B3353BBB64E0EC377FD028370DF92B52C7891428CDC67EB6184B523D1DB246C32F63078490F00EF8D647D148D4795451"
    "5E2327CFEF98C582664B4C0F6CC41659"
);
/// RFC 5114 §2.3.
const ORDER_2048_256: [u8; 32] = hex!("8CF83642A709A097B447997640129DA299B1A47D1EB3750BA308B0FE64F5FBD3");
