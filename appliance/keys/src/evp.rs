//! Keys by AWS-LC's C interface: its Rust one signs neither with SHA-1 nor with a hash that is not the curve's, and reads no
//! PKCS#12.
#![allow(unsafe_code)]

use std::ffi::{CStr, c_int};
use std::mem::MaybeUninit;
use std::ptr::{self, NonNull};

use aws_lc_sys as lc;
use zeroize::Zeroizing;

use crate::digest;
use crate::fixed;
use crate::provider::{Hash, KeyKind, Scheme};

/// More than the PrivateKeyInfo of the longest key that we take: RSA with 8,192 bits has 4,700 octets.
const MOST_PKCS8: usize = 8192;

/// A key of AWS-LC, private or public. The memory of a private one is wiped when it goes.
pub(crate) struct Evp(NonNull<lc::EVP_PKEY>);

// SAFETY: a key is not changed once it is made, and AWS-LC lets several threads use one that none changes.
unsafe impl Send for Evp {}
// SAFETY: as above.
unsafe impl Sync for Evp {}

/// What PKCS#12 holds.
pub(crate) struct Bag {
    /// The private key, if there is one.
    pub(crate) key: Option<Evp>,
    /// Certificates in DER, in no order.
    pub(crate) certificates: Vec<Vec<u8>>,
}

/// Why octets are no key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unreadable {
    /// They are another thing, or damaged.
    Malformed,
    /// They are encrypted, and not with this password.
    Password,
}

impl Evp {
    /// PrivateKeyInfo (RFC 5208 §5, RFC 5958 §2).
    pub(crate) fn from_pkcs8(octets: &[u8]) -> Result<Self, Unreadable> {
        let mut input = input(octets);
        // SAFETY: the input is alive; the key is ours, or null.
        let key = unsafe { lc::EVP_parse_private_key(&mut input) };
        Self::whole(key, &input)
    }

    /// EncryptedPrivateKeyInfo (RFC 5958 §3).
    pub(crate) fn from_encrypted(octets: &[u8], password: &str) -> Result<Self, Unreadable> {
        let mut input = input(octets);
        // SAFETY: input and password are alive, and their lengths are these; the key is ours, or null.
        let key = unsafe {
            lc::PKCS8_parse_encrypted_private_key(&mut input, password.as_ptr().cast(), password.len())
        };
        // Padding that is wrong after decryption is all that a wrong password shows.
        Self::whole(key, &input).map_err(|_| Unreadable::Password)
    }

    /// SubjectPublicKeyInfo (RFC 5280 §4.1.2.7).
    pub(crate) fn from_public(octets: &[u8]) -> Result<Self, Unreadable> {
        let mut input = input(octets);
        // SAFETY: the input is alive; the key is ours, or null.
        let key = unsafe { lc::EVP_parse_public_key(&mut input) };
        Self::whole(key, &input)
    }

    /// A key that was read, if nothing is left of what it was read from.
    fn whole(key: *mut lc::EVP_PKEY, rest: &lc::CBS) -> Result<Self, Unreadable> {
        let key = NonNull::new(key).map(Self);
        if key.is_none() {
            forget_errors();
        }
        key.filter(|_| rest.len == 0).ok_or(Unreadable::Malformed)
    }

    /// The public key: SubjectPublicKeyInfo in DER.
    pub(crate) fn public(&self) -> Option<Vec<u8>> {
        let mut octets = ptr::null_mut();
        // SAFETY: the key is alive; AWS-LC allocates the octets, which are then ours.
        let length = unsafe { lc::i2d_PUBKEY(self.0.as_ptr(), &mut octets) };
        owned(octets, length)
    }

    /// PrivateKeyInfo of a private key (RFC 5958 §2), in memory that is wiped.
    pub(crate) fn to_pkcs8(&self) -> Option<Zeroizing<Vec<u8>>> {
        let mut octets = Zeroizing::new(vec![0; MOST_PKCS8]);
        let mut builder = MaybeUninit::<lc::CBB>::zeroed();
        let mut length = 0;
        // SAFETY: the octets are alive and have this length; the key is alive and is only read. A builder of fixed size
        // allocates nothing, so nothing is left of it whether it fails or not.
        let written = unsafe {
            lc::CBB_init_fixed(builder.as_mut_ptr(), octets.as_mut_ptr(), octets.len()) == 1
                && lc::EVP_marshal_private_key(builder.as_mut_ptr(), self.0.as_ptr()) == 1
                && lc::CBB_finish(builder.as_mut_ptr(), ptr::null_mut(), &mut length) == 1
        };
        if !written {
            forget_errors();
            return None;
        }
        octets.truncate(length);
        Some(octets)
    }

    /// What kind of key it is; `None` for one that is not used for IKE.
    pub(crate) fn kind(&self) -> Option<KeyKind> {
        // SAFETY: the key is alive, and is only read.
        let (id, bits) = unsafe {
            (
                lc::EVP_PKEY_id(self.0.as_ptr()),
                lc::EVP_PKEY_bits(self.0.as_ptr()),
            )
        };
        match id {
            lc::EVP_PKEY_RSA => Some(KeyKind::Rsa {
                bits: u32::try_from(bits).ok()?,
            }),
            lc::EVP_PKEY_EC => self.curve(),
            _ => None,
        }
    }

    fn curve(&self) -> Option<KeyKind> {
        // SAFETY: the key is alive and lends what is asked of it, or null, which the next function is not given.
        let curve = unsafe {
            let key = NonNull::new(lc::EVP_PKEY_get0_EC_KEY(self.0.as_ptr()))?;
            let group = NonNull::new(lc::EC_KEY_get0_group(key.as_ptr()).cast_mut())?;
            lc::EC_GROUP_get_curve_name(group.as_ptr())
        };
        match curve {
            lc::NID_X9_62_prime256v1 => Some(KeyKind::EcdsaP256),
            lc::NID_secp384r1 => Some(KeyKind::EcdsaP384),
            lc::NID_secp521r1 => Some(KeyKind::EcdsaP521),
            _ => None,
        }
    }

    /// Signs a message, which is hashed here unless it is a hash already.
    pub(crate) fn sign(&self, scheme: Scheme, message: &[u8]) -> Option<Vec<u8>> {
        let digest = digest::signed(scheme, message);
        let context = Context::new(self)?;
        // SAFETY: context and key are alive.
        if unsafe { lc::EVP_PKEY_sign_init(context.0.as_ptr()) } != 1 || !context.choose(scheme) {
            return None;
        }
        // SAFETY: the key is alive, and is only read.
        let mut length = usize::try_from(unsafe { lc::EVP_PKEY_size(self.0.as_ptr()) }).ok()?;
        let mut signature = vec![0; length];
        // SAFETY: context and octets are alive, and their lengths are these.
        let signed = unsafe {
            lc::EVP_PKEY_sign(
                context.0.as_ptr(),
                signature.as_mut_ptr(),
                &mut length,
                digest.as_ptr(),
                digest.len(),
            )
        };
        if signed != 1 {
            forget_errors();
            return None;
        }
        signature.truncate(length);
        match self.kind()?.half() {
            Some(half) => fixed::from_der(&signature, half),
            None => Some(signature),
        }
    }

    /// Whether a signature, in the form in which [`sign`](Self::sign) gives them, is of this key.
    pub(crate) fn verify(&self, scheme: Scheme, message: &[u8], signature: &[u8]) -> bool {
        self.is_of(scheme, message, signature).unwrap_or(false)
    }

    fn is_of(&self, scheme: Scheme, message: &[u8], signature: &[u8]) -> Option<bool> {
        let digest = digest::signed(scheme, message);
        let signature = match self.kind()?.half() {
            Some(half) => fixed::to_der(signature, half)?,
            None => signature.to_vec(),
        };
        let context = Context::new(self)?;
        // SAFETY: context and key are alive.
        if unsafe { lc::EVP_PKEY_verify_init(context.0.as_ptr()) } != 1 || !context.choose(scheme) {
            return None;
        }
        // SAFETY: context and octets are alive, and their lengths are these.
        let verified = unsafe {
            lc::EVP_PKEY_verify(
                context.0.as_ptr(),
                signature.as_ptr(),
                signature.len(),
                digest.as_ptr(),
                digest.len(),
            )
        };
        if verified != 1 {
            forget_errors();
        }
        Some(verified == 1)
    }
}

impl Drop for Evp {
    fn drop(&mut self) {
        // SAFETY: the key is ours, and nobody has it any more.
        unsafe { lc::EVP_PKEY_free(self.0.as_ptr()) }
    }
}

/// One operation with a key.
struct Context(NonNull<lc::EVP_PKEY_CTX>);

impl Context {
    fn new(key: &Evp) -> Option<Self> {
        // SAFETY: the key is alive; the context counts as another owner of it, and is ours, or null.
        NonNull::new(unsafe { lc::EVP_PKEY_CTX_new(key.0.as_ptr(), ptr::null_mut()) }).map(Self)
    }

    /// Says how to sign or verify.
    fn choose(&self, scheme: Scheme) -> bool {
        let context = self.0.as_ptr();
        let padding = match scheme {
            Scheme::RsaPkcs1(_) | Scheme::RsaBare => Some(lc::RSA_PKCS1_PADDING),
            Scheme::RsaPss(_) => Some(lc::RSA_PKCS1_PSS_PADDING),
            Scheme::Ecdsa(_) => None,
        };
        // SAFETY: the context is alive; the hashes are constants of AWS-LC.
        let chosen = unsafe {
            let hash = scheme.hash().map(|hash| match hash {
                Hash::Sha1 => lc::EVP_sha1(),
                Hash::Sha256 => lc::EVP_sha256(),
                Hash::Sha384 => lc::EVP_sha384(),
                Hash::Sha512 => lc::EVP_sha512(),
            });
            padding.is_none_or(|padding| lc::EVP_PKEY_CTX_set_rsa_padding(context, padding) == 1)
                && hash.is_none_or(|hash| lc::EVP_PKEY_CTX_set_signature_md(context, hash) == 1)
                && (padding != Some(lc::RSA_PKCS1_PSS_PADDING)
                    || lc::EVP_PKEY_CTX_set_rsa_pss_saltlen(context, lc::RSA_PSS_SALTLEN_DIGEST) == 1)
        };
        if !chosen {
            forget_errors();
        }
        chosen
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        // SAFETY: the context is ours, and nobody has it any more.
        unsafe { lc::EVP_PKEY_CTX_free(self.0.as_ptr()) }
    }
}

/// Certificates of AWS-LC.
struct Certificates(NonNull<lc::stack_st_X509>);

impl Certificates {
    /// Takes them all.
    fn take(self) -> Option<Vec<Vec<u8>>> {
        let stack = self.0.as_ptr().cast();
        let mut certificates = Vec::new();
        // SAFETY: the stack is alive and holds certificates, each of which is ours once it is off the stack.
        while let Some(certificate) = NonNull::new(unsafe { lc::OPENSSL_sk_pop(stack) }) {
            let certificate = certificate.cast::<lc::X509>().as_ptr();
            let mut octets = ptr::null_mut();
            // SAFETY: the certificate is alive; AWS-LC allocates the octets, which are then ours.
            let length = unsafe { lc::i2d_X509(certificate, &mut octets) };
            // SAFETY: the certificate is ours, and nobody has it any more.
            unsafe { lc::X509_free(certificate) };
            certificates.push(owned(octets, length)?);
        }
        Some(certificates)
    }
}

impl Drop for Certificates {
    fn drop(&mut self) {
        let stack = self.0.as_ptr().cast();
        // SAFETY: as in `take`; then the stack is empty, ours, and nobody has it any more.
        unsafe {
            while let Some(certificate) = NonNull::new(lc::OPENSSL_sk_pop(stack)) {
                lc::X509_free(certificate.cast::<lc::X509>().as_ptr());
            }
            lc::OPENSSL_sk_free(stack);
        }
    }
}

/// Reads PKCS#12 (RFC 7292), which has a password, possibly an empty one.
pub(crate) fn from_pkcs12(octets: &[u8], password: &str) -> Result<Bag, Unreadable> {
    let mut terminated = Zeroizing::new(Vec::with_capacity(password.len() + 1));
    terminated.extend_from_slice(password.as_bytes());
    terminated.push(0);
    // A password of PKCS#12 ends at the first NUL, so none contains one.
    let password = CStr::from_bytes_with_nul(&terminated).map_err(|_| Unreadable::Password)?;
    // SAFETY: the stack is ours, or null.
    let stack = NonNull::new(unsafe { lc::OPENSSL_sk_new_null() }).ok_or(Unreadable::Malformed)?;
    let certificates = Certificates(stack.cast());
    let (mut key, mut input) = (ptr::null_mut(), input(octets));
    // SAFETY: all that is given is alive; the key is ours, or null.
    let read = unsafe {
        lc::PKCS12_get_key_and_certs(&mut key, certificates.0.as_ptr(), &mut input, password.as_ptr())
    };
    let key = NonNull::new(key).map(Evp);
    if read != 1 {
        return Err(last_error());
    }
    let certificates = certificates.take().ok_or(Unreadable::Malformed)?;
    Ok(Bag { key, certificates })
}

/// What AWS-LC says about PKCS#12 that it could not read.
fn last_error() -> Unreadable {
    // SAFETY: reads a queue of this thread.
    let error = unsafe { lc::ERR_peek_last_error() };
    forget_errors();
    // The library is in the upper eight bits, the reason in the lower twelve (ERR_PACK of err.h).
    let (library, reason) = (error >> 24, error & 0xfff);
    let is = |number: u32, name: i32| i64::from(number) == i64::from(name);
    if is(library, lc::ERR_LIB_PKCS12) && is(reason, lc::PKCS12_R_MAC_VERIFY_FAILURE) {
        Unreadable::Password
    } else {
        Unreadable::Malformed
    }
}

fn input(octets: &[u8]) -> lc::CBS {
    lc::CBS {
        data: octets.as_ptr(),
        len: octets.len(),
    }
}

/// Copies octets that AWS-LC allocated, and gives their memory back.
fn owned(octets: *mut u8, length: c_int) -> Option<Vec<u8>> {
    let octets = NonNull::new(octets)?;
    let length = usize::try_from(length).ok().filter(|length| *length > 0);
    // SAFETY: AWS-LC wrote this many octets there, and the memory is ours.
    unsafe {
        let copy = length.map(|length| std::slice::from_raw_parts(octets.as_ptr(), length).to_vec());
        lc::OPENSSL_free(octets.as_ptr().cast());
        copy
    }
}

/// AWS-LC remembers errors per thread, until they are forgotten.
fn forget_errors() {
    // SAFETY: clears a queue of this thread.
    unsafe { lc::ERR_clear_error() }
}
