use thiserror::Error;

/// Why there is no key, or no signature. Each says in its text what was asked, and how it was answered; it never contains a
/// secret.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum KeyError {
    /// Nothing is where the key should be.
    #[error("our private key is missing: {0}; store it there, or correct what names it")]
    KeyMissing(String),
    /// It is no private key that we can use.
    #[error(
        "our private key cannot be used: {0}; use RSA of 2048 to 8192 bits, or ECDSA on P-256, P-384 or P-521"
    )]
    KeyWrongKind(String),
    /// A PIN or password is wrong.
    #[error(
        "the PIN or password of our private key is wrong: {0}; it is not tried again until it is changed"
    )]
    PinWrong(String),
    /// A token takes no PIN any more, or only one more.
    #[error("the PIN of our token is locked: {0}; unlock it with the tool of the token's maker")]
    PinLocked(String),
    /// No token has the label or serial number.
    #[error("our token is missing: {0}; put it in, or correct the label or serial number in its URI")]
    TokenMissing(String),
    /// The library of a token cannot be loaded.
    #[error("the PKCS#11 module of our token cannot be loaded: {0}; install it, or correct module-path")]
    ModuleMissing(String),
    /// The library of a token failed.
    #[error("the PKCS#11 module of our token failed: {0}; see the token's own log, and test the key again")]
    ModuleFailed(String),
    /// No answer from the key vault.
    #[error("our key vault cannot be reached: {0}; see to the way there (DNS, route, firewall, certificate)")]
    VaultUnreachable(String),
    /// The key vault says no.
    #[error(
        "our key vault refuses: {0}; give this machine's identity the role for it, or enable the certificate"
    )]
    VaultRefused(String),
    /// The key vault has been asked too often.
    #[error("our key vault is asked too often: {0}; it is asked again later, or give it fewer other users")]
    VaultThrottled(String),
    /// The key vault says what makes no sense.
    #[error("our key vault answers what cannot be used: {0}; see that its address is a key vault's")]
    VaultAnswerInvalid(String),
    /// No answer from whoever gives tokens of the managed identity.
    #[error(
        "the managed identity of this machine cannot be asked for: {0}; see that it is an Azure VM or runs the agent of Azure Arc"
    )]
    IdentityUnavailable(String),
    /// There is no such identity.
    #[error("the managed identity of this machine is refused: {0}; assign the identity to the machine")]
    IdentityRefused(String),
    /// The token is for somebody else.
    #[error("the token of the managed identity is for another audience: {0}; correct the cloud of the vault")]
    TokenAudience(String),
    /// More signatures are under way than the provider may have.
    #[error("our private key does not sign quickly enough: {0}; see why its token or vault is slow")]
    SignerSlow(String),
    /// The key cannot sign in this way.
    #[error(
        "our private key cannot sign like this: {0}; choose another authentication method, or another key"
    )]
    SchemeUnsupported(String),
    /// DNS has no address for the vault.
    #[error("the name of our key vault has no address: {0}; correct the name, or see to DNS")]
    NameUnresolved(String),
}

impl KeyError {
    /// The word for it, the same in API, log and metrics.
    pub fn word(&self) -> &'static str {
        match self {
            Self::KeyMissing(_) => "key-missing",
            Self::KeyWrongKind(_) => "key-wrong-kind",
            Self::PinWrong(_) => "pin-wrong",
            Self::PinLocked(_) => "pin-locked",
            Self::TokenMissing(_) => "token-missing",
            Self::ModuleMissing(_) => "module-missing",
            Self::ModuleFailed(_) => "module-failed",
            Self::VaultUnreachable(_) => "vault-unreachable",
            Self::VaultRefused(_) => "vault-refused",
            Self::VaultThrottled(_) => "vault-throttled",
            Self::VaultAnswerInvalid(_) => "vault-answer-invalid",
            Self::IdentityUnavailable(_) => "identity-unavailable",
            Self::IdentityRefused(_) => "identity-refused",
            Self::TokenAudience(_) => "token-audience",
            Self::SignerSlow(_) => "signer-slow",
            Self::SchemeUnsupported(_) => "scheme-unsupported",
            Self::NameUnresolved(_) => "name-unresolved",
        }
    }
}
