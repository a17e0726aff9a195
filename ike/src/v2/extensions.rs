//! What two peers may use beyond RFC 7296, as they announce it in IKE_SA_INIT.

use super::payloads;
use crate::Extension;
use crate::wire::Payload;
use crate::wire::registry::notify;

/// What both sides of an IKE SA announced.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Extensions {
    /// RFC 7383.
    pub(crate) fragmentation: bool,
    /// RFC 9242.
    pub(crate) intermediate: bool,
}

impl Extensions {
    /// What the peer announced; all of it is what we announce as well.
    pub(crate) fn announced(payloads: &[Payload]) -> Self {
        let announced = |kind| payloads::notify(payloads, kind).is_some();
        Self {
            fragmentation: announced(notify::IKEV2_FRAGMENTATION_SUPPORTED),
            intermediate: announced(notify::INTERMEDIATE_EXCHANGE_SUPPORTED),
        }
    }

    /// A view for status.
    pub(crate) fn snapshot(self) -> Vec<Extension> {
        let used = [
            (self.fragmentation, Extension::Fragmentation),
            (self.intermediate, Extension::Intermediate),
        ];
        used.into_iter()
            .filter_map(|(used, extension)| used.then_some(extension))
            .collect()
    }
}

/// What we announce.
pub(crate) fn announcements() -> [Payload; 2] {
    [
        payloads::status(notify::IKEV2_FRAGMENTATION_SUPPORTED, Vec::new()),
        payloads::status(notify::INTERMEDIATE_EXCHANGE_SUPPORTED, Vec::new()),
    ]
}
