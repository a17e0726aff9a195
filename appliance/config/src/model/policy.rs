use std::ops::RangeInclusive;
use std::time::Duration;

use crate::Reason;
use crate::reader::{Object, Value};

/// What a connection may agree on, most wanted first; neither list is empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// For the IKE SA.
    pub ike: Vec<IkeProposal>,
    /// For Child SAs.
    pub ipsec: Vec<IpsecProposal>,
    /// How long an IKE SA may live.
    pub ike_lifetime: Duration,
    /// How long a Child SA may live.
    pub ipsec_lifetime: Duration,
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
    /// The group of the key exchange at each rekey (perfect forward secrecy); `None` for no exchange.
    pub pfs_group: Option<Group>,
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

const ENCRYPTION: &[(&str, Encryption)] = &[
    ("GCMAES256", Encryption::GcmAes256),
    ("GCMAES192", Encryption::GcmAes192),
    ("GCMAES128", Encryption::GcmAes128),
    ("AES256", Encryption::Aes256),
    ("AES192", Encryption::Aes192),
    ("AES128", Encryption::Aes128),
];
const ENCRYPTION_LATER: &[&str] = &["CHACHA20POLY1305", "DES3", "DES", "None"];

const HASH: &[(&str, Hash)] = &[
    ("SHA512", Hash::Sha512),
    ("SHA384", Hash::Sha384),
    ("SHA256", Hash::Sha256),
    ("SHA1", Hash::Sha1),
];
const HASH_LATER: &[&str] = &["MD5"];

const GROUP: &[(&str, Group)] = &[
    ("X25519", Group::X25519),
    ("ECP521", Group::Ecp521),
    ("ECP384", Group::Ecp384),
    ("ECP256", Group::Ecp256),
    ("DHGroup24", Group::Modp2048Subgroup256),
    ("DHGroup16", Group::Modp4096),
    ("DHGroup15", Group::Modp3072),
    ("DHGroup14", Group::Modp2048),
    ("DHGroup2048", Group::Modp2048),
    ("DHGroup2", Group::Modp1024),
];
const GROUP_LATER: &[&str] = &["DHGroup1", "None"];

const PFS: &[(&str, Option<Group>)] = &[
    ("None", None),
    ("X25519", Some(Group::X25519)),
    ("ECP521", Some(Group::Ecp521)),
    ("ECP384", Some(Group::Ecp384)),
    ("ECP256", Some(Group::Ecp256)),
    ("PFS24", Some(Group::Modp2048Subgroup256)),
    ("PFS14", Some(Group::Modp2048)),
    ("PFS2048", Some(Group::Modp2048)),
    ("PFS2", Some(Group::Modp1024)),
];
const PFS_LATER: &[&str] = &["PFSMM", "PFS1"];

/// Azure has it fixed, and so have we.
const IKE_LIFETIME_S: u64 = 28_800;
const IPSEC_LIFETIME_S: u64 = 27_000;
const IPSEC_LIFETIMES_S: RangeInclusive<u64> = 300..=172_799;

impl Encryption {
    /// The word of the document.
    pub fn word(self) -> &'static str {
        match self {
            Self::Aes128 => "AES128",
            Self::Aes192 => "AES192",
            Self::Aes256 => "AES256",
            Self::GcmAes128 => "GCMAES128",
            Self::GcmAes192 => "GCMAES192",
            Self::GcmAes256 => "GCMAES256",
        }
    }

    /// It authenticates by itself.
    pub fn is_aead(self) -> bool {
        match self {
            Self::GcmAes128 | Self::GcmAes192 | Self::GcmAes256 => true,
            Self::Aes128 | Self::Aes192 | Self::Aes256 => false,
        }
    }
}

/// What stands under `integrity` for ESP.
#[derive(Clone, Copy, PartialEq, Eq)]
enum IpsecIntegrity {
    Hash(Hash),
    Aead(Encryption),
}

const IPSEC_INTEGRITY: &[(&str, IpsecIntegrity)] = &[
    ("GCMAES256", IpsecIntegrity::Aead(Encryption::GcmAes256)),
    ("GCMAES192", IpsecIntegrity::Aead(Encryption::GcmAes192)),
    ("GCMAES128", IpsecIntegrity::Aead(Encryption::GcmAes128)),
    ("SHA512", IpsecIntegrity::Hash(Hash::Sha512)),
    ("SHA384", IpsecIntegrity::Hash(Hash::Sha384)),
    ("SHA256", IpsecIntegrity::Hash(Hash::Sha256)),
    ("SHA1", IpsecIntegrity::Hash(Hash::Sha1)),
];

impl Policy {
    /// One combination for each SA, complete.
    pub(crate) fn read(value: &Value<'_>) -> Option<Self> {
        let mut object = value.object()?.missing_is(Reason::PolicyIncomplete);
        let ike = object.required("ike", |value| {
            let (mut object, fixed) = (complete(value)?, IKE_LIFETIME_S..=IKE_LIFETIME_S);
            let lifetime = object.optional("lifetime_s", IKE_LIFETIME_S, |value| value.whole(fixed));
            IkeProposal::read(object).zip(lifetime)
        });
        let ipsec = object.required("ipsec", |value| {
            let (mut object, bounds) = (complete(value)?, IPSEC_LIFETIMES_S);
            let lifetime = object.optional("lifetime_s", IPSEC_LIFETIME_S, |value| value.whole(bounds));
            IpsecProposal::read(object).zip(lifetime)
        });
        let ((ike, ike_lifetime_s), (ipsec, ipsec_lifetime_s)) = (ike?, ipsec?);
        Some(Self {
            ike: vec![ike],
            ipsec: vec![ipsec],
            ike_lifetime: Duration::from_secs(ike_lifetime_s),
            ipsec_lifetime: Duration::from_secs(ipsec_lifetime_s),
        })
    }

    /// `modern`: AES-GCM only, curves first.
    pub(crate) fn modern() -> Self {
        let groups = [
            Group::X25519,
            Group::Ecp256,
            Group::Ecp384,
            Group::Ecp521,
            Group::Modp2048,
        ];
        let groups: Vec<Group> = groups
            .into_iter()
            .chain([Group::Modp3072, Group::Modp4096])
            .collect();
        let ike = |encryption, prf| IkeProposal {
            encryption,
            integrity: None,
            prf,
            groups: groups.clone(),
        };
        let ipsec = |encryption| IpsecProposal {
            encryption,
            integrity: None,
            pfs_group: None,
        };
        Self {
            ike: vec![
                ike(Encryption::GcmAes256, Hash::Sha384),
                ike(Encryption::GcmAes256, Hash::Sha256),
                ike(Encryption::GcmAes128, Hash::Sha256),
            ],
            ipsec: vec![ipsec(Encryption::GcmAes256), ipsec(Encryption::GcmAes128)],
            ike_lifetime: Duration::from_secs(IKE_LIFETIME_S),
            ipsec_lifetime: Duration::from_secs(IPSEC_LIFETIME_S),
        }
    }

    /// `azure-default`: what a route-based Azure gateway offers and takes without a policy of its own, as far as
    /// our algorithms go.
    pub(crate) fn azure_default() -> Self {
        let ike = |encryption, hash| IkeProposal {
            encryption,
            integrity: Some(hash),
            prf: hash,
            groups: vec![Group::Modp1024],
        };
        let ipsec = |encryption, integrity| IpsecProposal {
            encryption,
            integrity,
            pfs_group: None,
        };
        Self {
            ike: vec![
                ike(Encryption::Aes256, Hash::Sha1),
                ike(Encryption::Aes256, Hash::Sha256),
                ike(Encryption::Aes128, Hash::Sha1),
                ike(Encryption::Aes128, Hash::Sha256),
            ],
            ipsec: vec![
                ipsec(Encryption::GcmAes256, None),
                ipsec(Encryption::Aes256, Some(Hash::Sha1)),
                ipsec(Encryption::Aes256, Some(Hash::Sha256)),
                ipsec(Encryption::Aes128, Some(Hash::Sha1)),
                ipsec(Encryption::Aes128, Some(Hash::Sha256)),
            ],
            ike_lifetime: Duration::from_secs(IKE_LIFETIME_S),
            ipsec_lifetime: Duration::from_secs(IPSEC_LIFETIME_S),
        }
    }
}

/// Every key is needed but the lifetime, and limits in volume come later.
fn complete<'d>(value: &Value<'d>) -> Option<Object<'d>> {
    let mut object = value.object()?.missing_is(Reason::PolicyIncomplete);
    object.later(&["lifetime_kb", "additional_key_exchanges"]);
    Some(object)
}

impl IkeProposal {
    fn read(mut object: Object<'_>) -> Option<Self> {
        let encryption = object.required("encryption", |value| value.word(ENCRYPTION, ENCRYPTION_LATER));
        let hash = object.required("integrity", |value| value.word(HASH, HASH_LATER));
        let group = object.required("dh_group", |value| value.word(GROUP, GROUP_LATER));
        let (encryption, prf, group) = (encryption?, hash?, group?);
        let integrity = (!encryption.is_aead()).then_some(prf);
        Some(Self {
            encryption,
            integrity,
            prf,
            groups: vec![group],
        })
    }
}

impl IpsecProposal {
    fn read(mut object: Object<'_>) -> Option<Self> {
        let encryption = object.required("encryption", |value| value.word(ENCRYPTION, ENCRYPTION_LATER));
        let integrity = object.required("integrity", |value| {
            together(value, encryption, value.word(IPSEC_INTEGRITY, HASH_LATER)?)
        });
        let pfs_group = object.optional("pfs_group", None, |value| value.word(PFS, PFS_LATER));
        Some(Self {
            encryption: encryption?,
            integrity: integrity?,
            pfs_group: pfs_group?,
        })
    }
}

/// AES-GCM goes with itself, AES-CBC with a hash; gives the hash.
fn together(
    value: &Value<'_>,
    encryption: Option<Encryption>,
    integrity: IpsecIntegrity,
) -> Option<Option<Hash>> {
    let encryption = encryption?;
    let word = encryption.word();
    match integrity {
        IpsecIntegrity::Aead(cipher) if cipher == encryption => Some(None),
        IpsecIntegrity::Hash(hash) if !encryption.is_aead() => Some(Some(hash)),
        IpsecIntegrity::Aead(_) | IpsecIntegrity::Hash(_) => {
            let wanted = if encryption.is_aead() {
                word
            } else {
                "one of SHA512, SHA384, SHA256, SHA1"
            };
            value.problem(
                Reason::PolicyInconsistent,
                format!("{word} encryption needs {wanted} here"),
            );
            None
        }
    }
}
