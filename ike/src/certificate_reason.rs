use strum::VariantArray;

/// Why a certificate is refused, or how somebody signed with it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, VariantArray)]
pub enum CertificateReason {
    /// The peer signs in a way that is not allowed.
    SignatureRefused,
    /// The peer sends no certificate.
    #[default]
    Missing,
    /// A certificate cannot be read, or says what must be understood and is not.
    Invalid,
    /// It is no longer valid.
    Expired,
    /// It is not valid yet.
    NotYetValid,
    /// It leads to no root that is believed.
    Untrusted,
    /// It is revoked.
    Revoked,
    /// Nobody can say whether it is revoked.
    RevocationUnknown,
    /// It is for something else.
    WrongUsage,
    /// Its key or its signature is too weak.
    Weak,
}

/// Why our private key does not sign.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, VariantArray)]
pub enum SignerReason {
    /// Nothing is where it should be.
    #[default]
    KeyMissing,
    /// It is no private key that we can use.
    KeyWrongKind,
    /// A PIN or a password is wrong.
    PinWrong,
    /// A token takes no PIN any more.
    PinLocked,
    /// The token is not there.
    TokenMissing,
    /// The module of the token cannot be loaded.
    ModuleMissing,
    /// The module of the token failed.
    ModuleFailed,
    /// The key vault cannot be reached.
    VaultUnreachable,
    /// The key vault refuses.
    VaultRefused,
    /// The key vault has been asked too often.
    VaultThrottled,
    /// The key vault says what makes no sense.
    VaultAnswerInvalid,
    /// Nobody gives tokens of the managed identity.
    IdentityUnavailable,
    /// There is no such managed identity.
    IdentityRefused,
    /// The token of the managed identity is for somebody else.
    TokenAudience,
    /// There is no answer in time.
    SignerSlow,
    /// The key cannot sign in this way.
    SchemeUnsupported,
    /// The name of the key vault leads nowhere.
    NameUnresolved,
}

impl CertificateReason {
    /// The reason in one stable word.
    pub fn word(self) -> &'static str {
        match self {
            Self::SignatureRefused => "signature-refused",
            Self::Missing => "certificate-missing",
            Self::Invalid => "certificate-invalid",
            Self::Expired => "certificate-expired",
            Self::NotYetValid => "certificate-not-yet-valid",
            Self::Untrusted => "certificate-untrusted",
            Self::Revoked => "certificate-revoked",
            Self::RevocationUnknown => "revocation-unknown",
            Self::WrongUsage => "certificate-wrong-usage",
            Self::Weak => "certificate-weak",
        }
    }

    /// What an operator can do about it, in one sentence.
    pub fn next_step(self) -> &'static str {
        match self {
            Self::SignatureRefused => {
                "Have the peer sign in one of the expected ways, or allow its own here."
            }
            Self::Missing => "Have the peer send its certificate, and those that lead to its root.",
            Self::Invalid => "Have a certificate issued that keeps to RFC 5280 and RFC 4945.",
            Self::Expired => "Renew the certificate.",
            Self::NotYetValid => "Compare the clocks of both sides with the certificate.",
            Self::Untrusted => {
                "Have the peer send all certificates up to its root, and see that this root is in \"trust\" here."
            }
            Self::Revoked => "Have a new certificate issued.",
            Self::RevocationUnknown => "Make the lists of revoked certificates available here.",
            Self::WrongUsage => "Have a certificate issued for VPN gateways.",
            Self::Weak => "Have a certificate issued with a stronger key or signature.",
        }
    }
}

impl SignerReason {
    /// The reason in one stable word.
    pub fn word(self) -> &'static str {
        match self {
            Self::KeyMissing => "key-missing",
            Self::KeyWrongKind => "key-wrong-kind",
            Self::PinWrong => "pin-wrong",
            Self::PinLocked => "pin-locked",
            Self::TokenMissing => "token-missing",
            Self::ModuleMissing => "module-missing",
            Self::ModuleFailed => "module-failed",
            Self::VaultUnreachable => "vault-unreachable",
            Self::VaultRefused => "vault-refused",
            Self::VaultThrottled => "vault-throttled",
            Self::VaultAnswerInvalid => "vault-answer-invalid",
            Self::IdentityUnavailable => "identity-unavailable",
            Self::IdentityRefused => "identity-refused",
            Self::TokenAudience => "token-audience",
            Self::SignerSlow => "signer-slow",
            Self::SchemeUnsupported => "scheme-unsupported",
            Self::NameUnresolved => "name-unresolved",
        }
    }

    /// The reason that this word stands for.
    pub fn of_word(word: &str) -> Option<Self> {
        Self::VARIANTS
            .iter()
            .copied()
            .find(|reason| reason.word() == word)
    }

    /// What an operator can do about it, in one sentence.
    pub fn next_step(self) -> &'static str {
        match self {
            Self::KeyMissing => "Store the key there, or correct what names it.",
            Self::KeyWrongKind => {
                "Use a key of RSA with 2048 to 8192 bits, or of ECDSA on P-256, P-384 or P-521."
            }
            Self::PinWrong => "Set the right PIN; it is not tried again until then.",
            Self::PinLocked => "Unlock the PIN with the tool of the token's maker.",
            Self::TokenMissing => "Put the token in, or correct its label in the reference of the key.",
            Self::ModuleMissing => "Install the module, or correct its path.",
            Self::ModuleFailed => "See the token's own log, and test the key again.",
            Self::VaultUnreachable => {
                "See to the way to the vault: DNS, route, firewall and its certificate."
            }
            Self::VaultRefused => {
                "Give the identity of this machine its role in the vault, or enable the certificate."
            }
            Self::VaultThrottled => "Wait, or give the vault fewer other users.",
            Self::VaultAnswerInvalid => "See that the address of the vault is that of a key vault.",
            Self::IdentityUnavailable => "See that this is an Azure VM, or runs the agent of Azure Arc.",
            Self::IdentityRefused => "Assign the identity to this machine.",
            Self::TokenAudience => "Correct the cloud of the vault.",
            Self::SignerSlow => "See why the token or the vault is slow.",
            Self::SchemeUnsupported => "Choose another way to sign, or another key.",
            Self::NameUnresolved => "Correct the name of the vault, or see to DNS.",
        }
    }
}
