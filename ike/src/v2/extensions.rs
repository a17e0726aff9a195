//! What two peers may use beyond RFC 7296, as they announce it in IKE_SA_INIT.

use super::payloads;
use crate::crypto::Hash;
use crate::wire::Payload;
use crate::wire::registry::{hash, notify};
use crate::{Childless, Connection, Extension};

/// What both sides of an IKE SA announced.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Extensions {
    /// RFC 6023; only the responder announces it.
    pub(crate) childless: bool,
    /// RFC 7383.
    pub(crate) fragmentation: bool,
    /// RFC 7427.
    pub(crate) hashes: Hashes,
    /// RFC 8784; once authenticated: whether it is used.
    pub(crate) ppk: bool,
    /// RFC 9242.
    pub(crate) intermediate: bool,
}

/// The hash algorithms that both sides have for signatures, most wanted first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Hashes([Option<u16>; HASHES.len()]);

/// What we can sign and verify with, in the order of [`Hash::SHA2`].
const HASHES: [u16; 3] = [hash::SHA2_256, hash::SHA2_384, hash::SHA2_512];

impl Hashes {
    /// The ones that the peer has too (RFC 7427 §4).
    fn announced(data: &[u8]) -> Self {
        let theirs = |ours: &u16| data.chunks_exact(2).any(|id| id == ours.to_be_bytes());
        Self(HASHES.map(|ours| Some(ours).filter(theirs)))
    }

    /// The one that both sides want most.
    pub(crate) fn common(self) -> Option<Hash> {
        Hash::SHA2.into_iter().find(|hash| self.has(*hash))
    }

    /// Whether both sides have it.
    pub(crate) fn has(self, hash: Hash) -> bool {
        let mut ours = Hash::SHA2.into_iter().zip(self.0);
        ours.any(|(ours, theirs)| ours == hash && theirs.is_some())
    }

    fn is_empty(self) -> bool {
        self.0.iter().all(Option::is_none)
    }
}

impl Extensions {
    /// What the peer announced and we have.
    pub(crate) fn announced(payloads: &[Payload]) -> Self {
        let announced = |kind| payloads::notify(payloads, kind).is_some();
        let hashes = payloads::notify(payloads, notify::SIGNATURE_HASH_ALGORITHMS);
        Self {
            childless: announced(notify::CHILDLESS_IKEV2_SUPPORTED),
            fragmentation: announced(notify::IKEV2_FRAGMENTATION_SUPPORTED),
            hashes: hashes
                .map(|hashes| Hashes::announced(&hashes.data))
                .unwrap_or_default(),
            ppk: announced(notify::USE_PPK),
            intermediate: announced(notify::INTERMEDIATE_EXCHANGE_SUPPORTED),
        }
    }

    /// A view for status.
    pub(crate) fn snapshot(self) -> Vec<Extension> {
        let used = [
            (self.childless, Extension::Childless),
            (self.fragmentation, Extension::Fragmentation),
            (!self.hashes.is_empty(), Extension::SignatureHashes),
            (self.ppk, Extension::PostQuantumPresharedKey),
            (self.intermediate, Extension::Intermediate),
        ];
        used.into_iter()
            .filter_map(|(used, extension)| used.then_some(extension))
            .collect()
    }
}

/// What every IKE_SA_INIT message of ours announces.
pub(crate) fn announcements() -> [Payload; 3] {
    let hashes = HASHES.iter().flat_map(|hash| hash.to_be_bytes()).collect();
    [
        payloads::status(notify::IKEV2_FRAGMENTATION_SUPPORTED, Vec::new()),
        payloads::status(notify::SIGNATURE_HASH_ALGORITHMS, hashes),
        payloads::status(notify::INTERMEDIATE_EXCHANGE_SUPPORTED, Vec::new()),
    ]
}

/// That we have a post-quantum preshared key (RFC 8784 §3).
pub(crate) fn use_ppk() -> Payload {
    payloads::status(notify::USE_PPK, Vec::new())
}

/// What our answer announces besides: that there need be no child in IKE_AUTH, if no connection forbids it, and that we
/// have a post-quantum preshared key, if the initiator has one. Says too what we then understand.
pub(crate) fn answered<'a>(
    asked: Extensions,
    mut settings: impl Iterator<Item = &'a Connection> + Clone,
) -> (Extensions, Vec<Payload>) {
    let childless = settings
        .clone()
        .all(|settings| settings.childless != Childless::Never);
    let ppk = asked.ppk && settings.any(|settings| settings.ppk.is_some());
    let agreed = Extensions {
        childless,
        ppk,
        ..asked
    };
    let notify = childless.then(|| payloads::status(notify::CHILDLESS_IKEV2_SUPPORTED, Vec::new()));
    (agreed, notify.into_iter().chain(ppk.then(use_ppk)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7427 §4: a list of numbers; what we do not have, and an octet too many, mean nothing.
    #[test]
    fn common_hashes_are_kept() {
        let common = Hashes::announced(&[0, 1, 0, 4, 0, 5, 0, 2, 0]);
        assert_eq!(common.0, [Some(hash::SHA2_256), None, Some(hash::SHA2_512)]);
        assert!(Hashes::announced(&[0, 1]).is_empty());
    }
}
