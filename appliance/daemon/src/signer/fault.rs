//! What a provider of keys says, in the engine's words.

use appliance_keys::{Hash, KeyError, KeyKind, Scheme};
use ike::crypto::SignatureScheme;
use ike::{SignerFault, SignerReason};

/// Why nothing was signed.
pub(super) fn fault(error: &KeyError) -> SignerFault {
    SignerFault {
        reason: SignerReason::of_word(error.word()).unwrap_or(SignerReason::ModuleFailed),
        detail: error.to_string(),
    }
}

/// How a provider is to sign.
pub(super) fn scheme(scheme: SignatureScheme) -> Scheme {
    match scheme {
        SignatureScheme::RsaPkcs1(hash) => Scheme::RsaPkcs1(self::hash(hash)),
        SignatureScheme::RsaBare => Scheme::RsaBare,
        SignatureScheme::RsaPss(hash) => Scheme::RsaPss(self::hash(hash)),
        SignatureScheme::Ecdsa(hash) => Scheme::Ecdsa(self::hash(hash)),
    }
}

/// What kind of key it is.
pub(super) fn kind(kind: KeyKind) -> ike::crypto::KeyKind {
    match kind {
        KeyKind::Rsa { bits } => ike::crypto::KeyKind::Rsa(usize::try_from(bits).unwrap_or(usize::MAX)),
        KeyKind::EcdsaP256 => ike::crypto::KeyKind::P256,
        KeyKind::EcdsaP384 => ike::crypto::KeyKind::P384,
        KeyKind::EcdsaP521 => ike::crypto::KeyKind::P521,
    }
}

fn hash(hash: ike::crypto::Hash) -> Hash {
    match hash {
        ike::crypto::Hash::Sha1 => Hash::Sha1,
        ike::crypto::Hash::Sha256 => Hash::Sha256,
        ike::crypto::Hash::Sha384 => Hash::Sha384,
        ike::crypto::Hash::Sha512 => Hash::Sha512,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The same word everywhere.
    #[test]
    fn every_word_of_a_provider_is_a_reason() {
        let text = || "why".to_owned();
        let all = [
            (KeyError::KeyMissing(text()), SignerReason::KeyMissing),
            (KeyError::KeyWrongKind(text()), SignerReason::KeyWrongKind),
            (KeyError::PinWrong(text()), SignerReason::PinWrong),
            (KeyError::PinLocked(text()), SignerReason::PinLocked),
            (KeyError::TokenMissing(text()), SignerReason::TokenMissing),
            (KeyError::ModuleMissing(text()), SignerReason::ModuleMissing),
            (KeyError::ModuleFailed(text()), SignerReason::ModuleFailed),
            (KeyError::VaultUnreachable(text()), SignerReason::VaultUnreachable),
            (KeyError::VaultRefused(text()), SignerReason::VaultRefused),
            (KeyError::VaultThrottled(text()), SignerReason::VaultThrottled),
            (
                KeyError::VaultAnswerInvalid(text()),
                SignerReason::VaultAnswerInvalid,
            ),
            (
                KeyError::IdentityUnavailable(text()),
                SignerReason::IdentityUnavailable,
            ),
            (KeyError::IdentityRefused(text()), SignerReason::IdentityRefused),
            (KeyError::TokenAudience(text()), SignerReason::TokenAudience),
            (KeyError::SignerSlow(text()), SignerReason::SignerSlow),
            (
                KeyError::SchemeUnsupported(text()),
                SignerReason::SchemeUnsupported,
            ),
            (KeyError::NameUnresolved(text()), SignerReason::NameUnresolved),
        ];
        for (error, reason) in all {
            let fault = fault(&error);
            assert_eq!((fault.reason, fault.reason.word()), (reason, error.word()));
            assert!(fault.detail.contains("why"));
        }
    }
}
