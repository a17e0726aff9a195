use ike::SharedSecret;

/// Where a private key is, and what opens it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum KeySpec {
    /// A sealed file, unsealed: PKCS#8 or PKCS#12.
    File(SharedSecret),
    /// In a token (PKCS#11).
    Token {
        /// A `pkcs11:` URI with the path of its module.
        uri: String,
        /// The PIN, if the token has one.
        pin: Option<SharedSecret>,
    },
    /// In Azure Key Vault.
    Vault {
        /// The identifier of its certificate.
        reference: String,
        /// The client id of the managed identity; that of the machine itself if there is none.
        client_id: Option<String>,
    },
}

impl KeySpec {
    /// Who has it, in one word.
    pub(crate) fn provider(&self) -> &'static str {
        match self {
            Self::File(_) => "file",
            Self::Token { .. } => "pkcs11",
            Self::Vault { .. } => "key-vault",
        }
    }
}
