/// What a connection may agree on, most wanted first; neither list is empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// For the IKE SA.
    pub ike: Vec<IkeProposal>,
    /// For Child SAs.
    pub ipsec: Vec<IpsecProposal>,
}

/// One combination for the IKE SA.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IkeProposal {
    /// The cipher with its key length.
    pub encryption: Encryption,
    /// The hash of the authenticator; `None` for AES-GCM.
    pub integrity: Option<Hash>,
    /// The hash of the pseudo-random function.
    pub prf: Hash,
    /// Key-exchange groups, most wanted first.
    pub groups: Vec<Group>,
}

/// One combination for Child SAs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IpsecProposal {
    /// The cipher with its key length.
    pub encryption: Encryption,
    /// The hash of the authenticator; `None` for AES-GCM.
    pub integrity: Option<Hash>,
}

/// A cipher with its key length in bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Encryption {
    /// `AES128`: AES-CBC.
    Aes128,
    /// `AES192`: AES-CBC.
    Aes192,
    /// `AES256`: AES-CBC.
    Aes256,
    /// `GCMAES128`: AES-GCM with a 16-byte tag.
    GcmAes128,
    /// `GCMAES192`: AES-GCM with a 16-byte tag.
    GcmAes192,
    /// `GCMAES256`: AES-GCM with a 16-byte tag.
    GcmAes256,
}

/// The hash under HMAC, as authenticator and as pseudo-random function.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Hash {
    /// `SHA1`.
    Sha1,
    /// `SHA256`.
    Sha256,
    /// `SHA384`.
    Sha384,
    /// `SHA512`.
    Sha512,
}

/// A key-exchange group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Group {
    /// `DHGroup2`: 1024-bit MODP.
    Modp1024,
    /// `DHGroup14` or `DHGroup2048`: 2048-bit MODP.
    Modp2048,
    /// `DHGroup15`: 3072-bit MODP.
    Modp3072,
    /// `DHGroup16`: 4096-bit MODP.
    Modp4096,
    /// `DHGroup24`: 2048-bit MODP with a 256-bit subgroup.
    Modp2048Subgroup256,
    /// `ECP256`.
    Ecp256,
    /// `ECP384`.
    Ecp384,
    /// `ECP521`.
    Ecp521,
    /// `X25519`.
    X25519,
}
