//! Signatures of RSA over a hash that nothing names, as IKEv1 has them (RFC 2409 §5.1): PKCS#1 v1.5 without a `DigestInfo`.
#![allow(unsafe_code)]

use std::ptr::{self, NonNull};

use aws_lc_sys as lc;

/// A public key of AWS-LC.
struct PublicKey(NonNull<lc::EVP_PKEY>);

impl PublicKey {
    /// Reads a SubjectPublicKeyInfo in DER.
    fn read(der: &[u8]) -> Option<Self> {
        let mut input = lc::CBS {
            data: der.as_ptr(),
            len: der.len(),
        };
        // SAFETY: pointer and length are those of a slice; the key is ours, or null.
        let key = NonNull::new(unsafe { lc::EVP_parse_public_key(&mut input) }).map(Self);
        key.filter(|_| input.len == 0)
    }
}

impl Drop for PublicKey {
    fn drop(&mut self) {
        // SAFETY: it is ours and not used any more.
        unsafe { lc::EVP_PKEY_free(self.0.as_ptr()) }
    }
}

/// One operation with a key.
struct Context(NonNull<lc::EVP_PKEY_CTX>);

impl Drop for Context {
    fn drop(&mut self) {
        // SAFETY: it is ours and not used any more.
        unsafe { lc::EVP_PKEY_CTX_free(self.0.as_ptr()) }
    }
}

/// Whether `signature` is one of `hash` by this key of RSA, a SubjectPublicKeyInfo in DER.
pub(super) fn verifies(key: &[u8], hash: &[u8], signature: &[u8]) -> bool {
    let verified = verified(key, hash, signature).unwrap_or(false);
    if !verified {
        // SAFETY: clears a queue of this thread, in which AWS-LC remembers errors.
        unsafe { lc::ERR_clear_error() }
    }
    verified
}

fn verified(key: &[u8], hash: &[u8], signature: &[u8]) -> Option<bool> {
    let key = PublicKey::read(key)?;
    // SAFETY: the key is alive; the context counts as another owner of it, and is ours, or null.
    let context =
        NonNull::new(unsafe { lc::EVP_PKEY_CTX_new(key.0.as_ptr(), ptr::null_mut()) }).map(Context)?;
    // SAFETY: the context is alive, as are the octets, and their lengths are these. Where no hash is named, what is signed is
    // compared as it is.
    let verified = unsafe {
        let context = context.0.as_ptr();
        lc::EVP_PKEY_verify_init(context) == 1
            && lc::EVP_PKEY_CTX_set_rsa_padding(context, lc::RSA_PKCS1_PADDING) == 1
            && lc::EVP_PKEY_verify(
                context,
                signature.as_ptr(),
                signature.len(),
                hash.as_ptr(),
                hash.len(),
            ) == 1
    };
    Some(verified)
}
