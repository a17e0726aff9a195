//! ML-KEM with octets that the caller drew (FIPS 203).
#![allow(unsafe_code)]

use std::ffi::c_int;
use std::ptr::{self, NonNull};

use aws_lc_sys as lc;
use zeroize::Zeroizing;

use super::{Group, Secret};

/// Octets that a key pair is made of: d and z (FIPS 203 §7.1).
pub(super) const SEED: usize = 64;
/// Octets that an encapsulation is made of: m (§7.2).
pub(super) const MESSAGE: usize = 32;
const SHARED: usize = 32;

/// A key pair of one exchange.
pub(super) struct KeyPair {
    key: Key,
    group: Group,
}

/// The name of the parameter set in AWS-LC; `None` for other methods.
fn parameters(group: Group) -> Option<c_int> {
    match group {
        Group::MlKem512 => Some(lc::NID_MLKEM512),
        Group::MlKem768 => Some(lc::NID_MLKEM768),
        Group::MlKem1024 => Some(lc::NID_MLKEM1024),
        Group::Modp768
        | Group::Modp1024
        | Group::Modp1536
        | Group::Modp2048
        | Group::Modp3072
        | Group::Modp4096
        | Group::Modp2048Subgroup256
        | Group::Ecp256
        | Group::Ecp384
        | Group::Ecp521
        | Group::X25519 => None,
    }
}

impl KeyPair {
    /// ML-KEM.KeyGen of d and z (FIPS 203 §6.1). `None` for other methods, or when memory is short.
    pub(super) fn new(group: Group, seed: &[u8; SEED]) -> Option<Self> {
        let name = parameters(group)?;
        // SAFETY: an id and no engine; the result is ours, or null.
        let context = Context::new(unsafe { lc::EVP_PKEY_CTX_new_id(lc::EVP_PKEY_KEM, ptr::null_mut()) })?;
        let (mut key, mut length) = (ptr::null_mut(), seed.len());
        // SAFETY: the context is ours and only used here; pointer and length are those of an array that AWS-LC copies;
        // on success the key is ours.
        let made = unsafe {
            lc::EVP_PKEY_CTX_kem_set_params(context.0.as_ptr(), name) == 1
                && lc::EVP_PKEY_keygen_init(context.0.as_ptr()) == 1
                && lc::EVP_PKEY_keygen_deterministic(
                    context.0.as_ptr(),
                    &raw mut key,
                    seed.as_ptr(),
                    &raw mut length,
                ) == 1
        };
        let key = NonNull::new(key).map(Key)?;
        made.then_some(Self { key, group })
    }

    /// The encapsulation key, as the initiator sends it.
    pub(super) fn public(&self) -> Option<Vec<u8>> {
        let mut octets = vec![0; self.group.initiator_octets()];
        let mut length = octets.len();
        // SAFETY: the key is alive; pointer and length are those of a buffer that is long enough.
        let done = unsafe {
            lc::EVP_PKEY_get_raw_public_key(self.key.0.as_ptr(), octets.as_mut_ptr(), &raw mut length)
        };
        (done == 1 && length == octets.len()).then_some(octets)
    }

    /// ML-KEM.Decaps (§7.3): a ciphertext of the right length that was not made for this key gives a secret that
    /// nobody else has. `None` for one of another length.
    pub(super) fn open(&self, ciphertext: &[u8]) -> Option<Secret> {
        if ciphertext.len() != self.group.responder_octets() {
            return None;
        }
        let context = self.key.context()?;
        let mut shared = Zeroizing::new([0; SHARED]);
        let mut length = shared.len();
        // SAFETY: the context is ours and only used here; pointers and lengths are those of slices.
        let done = unsafe {
            lc::EVP_PKEY_decapsulate(
                context.0.as_ptr(),
                shared.as_mut_ptr(),
                &raw mut length,
                ciphertext.as_ptr(),
                ciphertext.len(),
            )
        };
        (done == 1 && length == SHARED).then(|| Secret::from(shared.to_vec()))
    }
}

/// ML-KEM.Encaps of m (§7.2): the ciphertext and the secret. `None` if the key is none of this method's: its length and
/// its numbers are checked.
pub(super) fn encapsulate(group: Group, key: &[u8], message: &[u8; MESSAGE]) -> Option<(Vec<u8>, Secret)> {
    let name = parameters(group)?;
    // SAFETY: pointer and length are those of a slice, which AWS-LC copies; the result is ours, or null.
    let key = unsafe { lc::EVP_PKEY_kem_new_raw_public_key(name, key.as_ptr(), key.len()) };
    let context = NonNull::new(key).map(Key)?.context()?;
    let mut ciphertext = vec![0; group.responder_octets()];
    let mut shared = Zeroizing::new([0; SHARED]);
    let (mut length, mut shared_length, mut drawn) = (ciphertext.len(), SHARED, message.len());
    // SAFETY: the context is ours and only used here; pointers and lengths are those of buffers and an array.
    let done = unsafe {
        lc::EVP_PKEY_encapsulate_deterministic(
            context.0.as_ptr(),
            ciphertext.as_mut_ptr(),
            &raw mut length,
            shared.as_mut_ptr(),
            &raw mut shared_length,
            message.as_ptr(),
            &raw mut drawn,
        )
    };
    let whole = length == ciphertext.len() && shared_length == SHARED;
    (done == 1 && whole).then(|| (ciphertext, Secret::from(shared.to_vec())))
}

/// A key of AWS-LC, which wipes it when it is freed.
struct Key(NonNull<lc::EVP_PKEY>);

// SAFETY: it has one owner, and AWS-LC ties no key to a thread.
unsafe impl Send for Key {}
// SAFETY: once made it is only read, which AWS-LC allows from several threads.
unsafe impl Sync for Key {}

impl Key {
    /// Scratch of one calculation with this key, which it keeps alive by counting.
    fn context(&self) -> Option<Context> {
        // SAFETY: the key is alive; no engine; the result is ours, or null.
        Context::new(unsafe { lc::EVP_PKEY_CTX_new(self.0.as_ptr(), ptr::null_mut()) })
    }
}

impl Drop for Key {
    fn drop(&mut self) {
        // SAFETY: it is ours and not used any more.
        unsafe { lc::EVP_PKEY_free(self.0.as_ptr()) }
    }
}

struct Context(NonNull<lc::EVP_PKEY_CTX>);

impl Context {
    fn new(context: *mut lc::EVP_PKEY_CTX) -> Option<Self> {
        NonNull::new(context).map(Self)
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        // SAFETY: it is ours and not used any more.
        unsafe { lc::EVP_PKEY_CTX_free(self.0.as_ptr()) }
    }
}
