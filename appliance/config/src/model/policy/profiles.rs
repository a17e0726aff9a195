use std::time::Duration;

use super::reading::{IKE_LIFETIME_S, IPSEC_LIFETIME_KB, IPSEC_LIFETIME_S, bytes};
use super::{Encryption, Group, Hash, IkeProposal, IpsecProposal, Policy};

/// Curves first, and no MODP below 2048 bits.
const MODERN_GROUPS: [Group; 7] = [
    Group::X25519,
    Group::Ecp256,
    Group::Ecp384,
    Group::Ecp521,
    Group::Modp2048,
    Group::Modp3072,
    Group::Modp4096,
];

/// How long a Child SA of a policy-based Azure VPN gateway lasts.
const POLICY_BASED_LIFETIME: Duration = Duration::from_secs(3_600);

impl Policy {
    /// The name of the policy of connections that name none.
    pub(crate) const MODERN: &str = "modern";

    /// The name of the policy of route-based connections of IKEv1 that name none.
    pub(crate) const AZURE_DEFAULT: &str = "azure-default";

    /// The name of the policy of policy-based connections of IKEv1 that name none.
    pub(crate) const AZURE_POLICY_BASED: &str = "azure-policy-based";

    /// `modern`: ciphers that authenticate, SHA-2, and ML-KEM-768 on top where the peer has it. A peer that wants no key
    /// exchange at rekeys is not refused for that.
    pub(crate) fn modern() -> Self {
        let ike = |(encryption, prf), additional: &[Group]| IkeProposal {
            encryption,
            integrity: None,
            prf,
            groups: MODERN_GROUPS.to_vec(),
            additional: additional.to_vec(),
        };
        let ipsec = |encryption, groups: &[Group], additional: &[Group]| IpsecProposal {
            encryption,
            integrity: None,
            pfs_groups: groups.to_vec(),
            additional: additional.to_vec(),
        };
        let strongest = (Encryption::GcmAes256, Hash::Sha384);
        let ciphers = [
            Encryption::GcmAes256,
            Encryption::GcmAes128,
            Encryption::ChaCha20Poly1305,
        ];
        let hybrid = [Group::MlKem768];
        let with_pfs = ciphers.map(|encryption| ipsec(encryption, &MODERN_GROUPS, &[]));
        let without = ciphers.map(|encryption| ipsec(encryption, &[], &[]));
        Self {
            ike: vec![
                ike(strongest, &hybrid),
                ike((Encryption::ChaCha20Poly1305, Hash::Sha384), &hybrid),
                ike(strongest, &[]),
                ike((Encryption::GcmAes256, Hash::Sha256), &[]),
                ike((Encryption::GcmAes128, Hash::Sha256), &[]),
                ike((Encryption::ChaCha20Poly1305, Hash::Sha256), &[]),
            ],
            ipsec: [ipsec(Encryption::GcmAes256, &MODERN_GROUPS, &hybrid)]
                .into_iter()
                .chain(with_pfs)
                .chain(without)
                .collect(),
            responder_ipsec: Vec::new(),
            ike_lifetime: Duration::from_secs(IKE_LIFETIME_S),
            ipsec_lifetime: Duration::from_secs(IPSEC_LIFETIME_S),
            ipsec_bytes: None,
        }
    }

    /// `azure-default`: what a route-based Azure VPN gateway offers, and what more it takes, without a policy of its own
    /// (*About VPN devices and IPsec/IKE parameters*, 2023-10).
    pub(crate) fn azure_default() -> Self {
        let ike = |(encryption, hash)| IkeProposal {
            encryption,
            integrity: Some(hash),
            prf: hash,
            groups: vec![Group::Modp1024],
            additional: Vec::new(),
        };
        let ciphers = [Encryption::Aes256, Encryption::Aes128, Encryption::TripleDes];
        let ike_pairs = ciphers.map(|encryption| [(encryption, Hash::Sha1), (encryption, Hash::Sha256)]);
        Self {
            ike: ike_pairs.into_iter().flatten().map(ike).collect(),
            ipsec: azure_offers().collect(),
            responder_ipsec: azure_offers().chain(azure_answers()).collect(),
            ike_lifetime: Duration::from_secs(IKE_LIFETIME_S),
            ipsec_lifetime: Duration::from_secs(IPSEC_LIFETIME_S),
            ipsec_bytes: bytes(IPSEC_LIFETIME_KB),
        }
    }

    /// `azure-policy-based`: what a policy-based Azure VPN gateway offers and takes, with IKEv1 only (the same page).
    pub(crate) fn azure_policy_based() -> Self {
        let pairs = [
            (Encryption::Aes256, Hash::Sha256),
            (Encryption::Aes256, Hash::Sha1),
            (Encryption::Aes128, Hash::Sha1),
            (Encryption::TripleDes, Hash::Sha1),
        ];
        let ike = |(encryption, hash)| IkeProposal {
            encryption,
            integrity: Some(hash),
            prf: hash,
            groups: vec![Group::Modp1024],
            additional: Vec::new(),
        };
        Self {
            ike: pairs.map(ike).into(),
            ipsec: pairs
                .map(|(encryption, hash)| azure(encryption, hash, None))
                .into(),
            responder_ipsec: Vec::new(),
            ike_lifetime: Duration::from_secs(IKE_LIFETIME_S),
            ipsec_lifetime: POLICY_BASED_LIFETIME,
            ipsec_bytes: bytes(IPSEC_LIFETIME_KB),
        }
    }
}

/// An entry of Azure's tables.
fn azure(encryption: Encryption, integrity: Hash, group: Option<Group>) -> IpsecProposal {
    IpsecProposal {
        encryption,
        integrity: Some(integrity),
        pfs_groups: group.into_iter().collect(),
        additional: Vec::new(),
    }
}

/// The six that Azure offers, none with a key exchange.
fn azure_offers() -> impl Iterator<Item = IpsecProposal> {
    let gcm = IpsecProposal {
        integrity: None,
        ..azure(Encryption::GcmAes256, Hash::Sha256, None)
    };
    let others = [
        (Encryption::Aes256, Hash::Sha1),
        (Encryption::TripleDes, Hash::Sha1),
        (Encryption::Aes256, Hash::Sha256),
        (Encryption::Aes128, Hash::Sha1),
        (Encryption::TripleDes, Hash::Sha256),
    ];
    let others = others.map(|(encryption, integrity)| azure(encryption, integrity, None));
    std::iter::once(gcm).chain(others)
}

/// The twenty that it takes besides, in its order.
fn azure_answers() -> impl Iterator<Item = IpsecProposal> {
    use Encryption::{Aes128, Aes256, Des, TripleDes};
    use Group::{Modp768, Modp1024, Modp2048, Modp2048Subgroup256};
    use Hash::{Sha1, Sha256};
    let entries = [
        (Des, Sha1, None),
        (Aes256, Sha1, Some(Modp768)),
        (Aes256, Sha1, Some(Modp1024)),
        (Aes256, Sha1, Some(Modp2048)),
        (Aes128, Sha1, Some(Modp768)),
        (Aes128, Sha1, Some(Modp1024)),
        (Aes128, Sha1, Some(Modp2048)),
        (TripleDes, Sha1, Some(Modp768)),
        (TripleDes, Sha1, Some(Modp1024)),
        (TripleDes, Sha256, Some(Modp1024)),
        (Aes256, Sha256, Some(Modp768)),
        (Aes256, Sha256, Some(Modp1024)),
        (Aes256, Sha256, Some(Modp2048)),
        (Aes256, Sha1, Some(Modp2048Subgroup256)),
        (Aes256, Sha256, Some(Modp2048Subgroup256)),
        (Aes128, Sha256, None),
        (Aes128, Sha256, Some(Modp768)),
        (Aes128, Sha256, Some(Modp1024)),
        (Aes128, Sha256, Some(Modp2048)),
        (TripleDes, Sha1, Some(Modp2048)),
    ];
    entries
        .into_iter()
        .map(|(encryption, integrity, group)| azure(encryption, integrity, group))
}
