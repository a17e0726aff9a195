/// A cipher with its key length in bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Encryption {
    /// `GCMAES256`: AES-GCM with a 16-byte tag.
    GcmAes256,
    /// `GCMAES192`: AES-GCM with a 16-byte tag.
    GcmAes192,
    /// `GCMAES128`: AES-GCM with a 16-byte tag.
    GcmAes128,
    /// `CHACHA20POLY1305`.
    ChaCha20Poly1305,
    /// `AES256`: AES-CBC.
    Aes256,
    /// `AES192`: AES-CBC.
    Aes192,
    /// `AES128`: AES-CBC.
    Aes128,
    /// `DES3`: 3DES-CBC.
    TripleDes,
    /// `DES`: DES-CBC.
    Des,
    /// `None`, for ESP only: authenticates, hides nothing.
    Null,
}

/// The hash under HMAC, as authenticator and as pseudo-random function.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Hash {
    /// `MD5`.
    Md5,
    /// `SHA1`.
    Sha1,
    /// `SHA256`.
    Sha256,
    /// `SHA384`.
    Sha384,
    /// `SHA512`.
    Sha512,
}

/// A key-exchange method.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Group {
    /// `DHGroup1`: 768-bit MODP.
    Modp768,
    /// `DHGroup2`: 1024-bit MODP.
    Modp1024,
    /// `DHGroup5`: 1536-bit MODP.
    Modp1536,
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
    /// `MLKEM512`, beside another only.
    MlKem512,
    /// `MLKEM768`, beside another only.
    MlKem768,
    /// `MLKEM1024`, beside another only.
    MlKem1024,
}

impl Encryption {
    /// The word of the document.
    pub fn word(self) -> &'static str {
        match self {
            Self::GcmAes256 => "GCMAES256",
            Self::GcmAes192 => "GCMAES192",
            Self::GcmAes128 => "GCMAES128",
            Self::ChaCha20Poly1305 => "CHACHA20POLY1305",
            Self::Aes256 => "AES256",
            Self::Aes192 => "AES192",
            Self::Aes128 => "AES128",
            Self::TripleDes => "DES3",
            Self::Des => "DES",
            Self::Null => "None",
        }
    }

    /// It authenticates by itself.
    pub fn is_aead(self) -> bool {
        match self {
            Self::GcmAes256 | Self::GcmAes192 | Self::GcmAes128 | Self::ChaCha20Poly1305 => true,
            Self::Aes256 | Self::Aes192 | Self::Aes128 | Self::TripleDes | Self::Des | Self::Null => false,
        }
    }
}

/// Ciphers of the IKE SA.
pub(crate) const IKE_ENCRYPTION: &[(&str, Encryption)] = &[
    ("GCMAES256", Encryption::GcmAes256),
    ("GCMAES192", Encryption::GcmAes192),
    ("GCMAES128", Encryption::GcmAes128),
    ("CHACHA20POLY1305", Encryption::ChaCha20Poly1305),
    ("AES256", Encryption::Aes256),
    ("AES192", Encryption::Aes192),
    ("AES128", Encryption::Aes128),
    ("DES3", Encryption::TripleDes),
    ("DES", Encryption::Des),
];

/// Ciphers of Child SAs.
pub(crate) const IPSEC_ENCRYPTION: &[(&str, Encryption)] = &[
    ("GCMAES256", Encryption::GcmAes256),
    ("GCMAES192", Encryption::GcmAes192),
    ("GCMAES128", Encryption::GcmAes128),
    ("CHACHA20POLY1305", Encryption::ChaCha20Poly1305),
    ("AES256", Encryption::Aes256),
    ("AES192", Encryption::Aes192),
    ("AES128", Encryption::Aes128),
    ("DES3", Encryption::TripleDes),
    ("DES", Encryption::Des),
    ("None", Encryption::Null),
];

/// What stands under `integrity`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Integrity {
    Hash(Hash),
    Aead(Encryption),
}

pub(crate) const INTEGRITY: &[(&str, Integrity)] = &[
    ("SHA512", Integrity::Hash(Hash::Sha512)),
    ("SHA384", Integrity::Hash(Hash::Sha384)),
    ("SHA256", Integrity::Hash(Hash::Sha256)),
    ("SHA1", Integrity::Hash(Hash::Sha1)),
    ("MD5", Integrity::Hash(Hash::Md5)),
    ("GCMAES256", Integrity::Aead(Encryption::GcmAes256)),
    ("GCMAES192", Integrity::Aead(Encryption::GcmAes192)),
    ("GCMAES128", Integrity::Aead(Encryption::GcmAes128)),
    ("CHACHA20POLY1305", Integrity::Aead(Encryption::ChaCha20Poly1305)),
];

/// Groups of the IKE SA; `None` is known, so that it is refused with a reason of its own.
pub(crate) const GROUP: &[(&str, Option<Group>)] = &[
    ("X25519", Some(Group::X25519)),
    ("ECP521", Some(Group::Ecp521)),
    ("ECP384", Some(Group::Ecp384)),
    ("ECP256", Some(Group::Ecp256)),
    ("DHGroup24", Some(Group::Modp2048Subgroup256)),
    ("DHGroup16", Some(Group::Modp4096)),
    ("DHGroup15", Some(Group::Modp3072)),
    ("DHGroup14", Some(Group::Modp2048)),
    ("DHGroup2048", Some(Group::Modp2048)),
    ("DHGroup5", Some(Group::Modp1536)),
    ("DHGroup2", Some(Group::Modp1024)),
    ("DHGroup1", Some(Group::Modp768)),
    ("None", None),
];

/// Which key exchange a rekey has.
#[derive(Clone, Copy)]
pub(crate) enum Pfs {
    None,
    Group(Group),
    /// `PFSMM`: the group of the IKE SA.
    AsIke,
}

pub(crate) const PFS: &[(&str, Pfs)] = &[
    ("None", Pfs::None),
    ("X25519", Pfs::Group(Group::X25519)),
    ("ECP521", Pfs::Group(Group::Ecp521)),
    ("ECP384", Pfs::Group(Group::Ecp384)),
    ("ECP256", Pfs::Group(Group::Ecp256)),
    ("PFS24", Pfs::Group(Group::Modp2048Subgroup256)),
    ("PFS16", Pfs::Group(Group::Modp4096)),
    ("PFS15", Pfs::Group(Group::Modp3072)),
    ("PFS14", Pfs::Group(Group::Modp2048)),
    ("PFS2048", Pfs::Group(Group::Modp2048)),
    ("PFS5", Pfs::Group(Group::Modp1536)),
    ("PFS2", Pfs::Group(Group::Modp1024)),
    ("PFS1", Pfs::Group(Group::Modp768)),
    ("PFSMM", Pfs::AsIke),
];

/// Methods of a key exchange that follows another.
pub(crate) const ADDITIONAL: &[(&str, Group)] = &[
    ("MLKEM1024", Group::MlKem1024),
    ("MLKEM768", Group::MlKem768),
    ("MLKEM512", Group::MlKem512),
    ("X25519", Group::X25519),
    ("ECP521", Group::Ecp521),
    ("ECP384", Group::Ecp384),
    ("ECP256", Group::Ecp256),
    ("DHGroup16", Group::Modp4096),
    ("DHGroup15", Group::Modp3072),
    ("DHGroup14", Group::Modp2048),
];
