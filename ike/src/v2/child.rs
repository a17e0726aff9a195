//! Child SAs: the one that IKE_AUTH makes, and the refusal of CREATE_CHILD_SA.

use std::time::Instant;

use super::keys::ChildKeys;
use super::nat::Path;
use crate::esp::EspSa;
use crate::proposal::EspSuite;
use crate::rejection::error;
use crate::wire::Payload;
use crate::wire::registry::notify;
use crate::{ChildId, ChildSnapshot, ConnectionName, Encapsulation, EspPair, TrafficSelector};

/// One Child SA, without its keys: those are with the datapath.
#[derive(Debug)]
pub(crate) struct Child {
    pub(crate) id: ChildId,
    pub(crate) agreed: AgreedChild,
    pub(crate) encapsulation: Encapsulation,
    /// Since when the datapath carries it.
    pub(crate) installed: Option<Instant>,
}

/// What both sides agreed on.
#[derive(Debug)]
pub(crate) struct AgreedChild {
    pub(crate) inbound: u32,
    pub(crate) outbound: u32,
    pub(crate) suite: EspSuite,
    pub(crate) local_selectors: Vec<TrafficSelector>,
    pub(crate) remote_selectors: Vec<TrafficSelector>,
}

impl Child {
    /// What the datapath is to program; `initiator` says whether we started the exchange that made it.
    pub(crate) fn pair(
        &self,
        connection: ConnectionName,
        path: Path,
        keys: ChildKeys,
        initiator: bool,
    ) -> EspPair {
        let (ours, theirs) = if initiator {
            (keys.initiator, keys.responder)
        } else {
            (keys.responder, keys.initiator)
        };
        let extended_sequence_numbers = self.agreed.suite.extended_sequence_numbers;
        EspPair {
            connection,
            local: path.local,
            remote: path.remote,
            encapsulation: self.encapsulation,
            inbound: EspSa {
                spi: self.agreed.inbound,
                keys: theirs,
                extended_sequence_numbers,
            },
            outbound: EspSa {
                spi: self.agreed.outbound,
                keys: ours,
                extended_sequence_numbers,
            },
            local_selectors: self.agreed.local_selectors.clone(),
            remote_selectors: self.agreed.remote_selectors.clone(),
        }
    }

    /// A view for status, once the datapath carries it.
    pub(crate) fn snapshot(&self) -> Option<ChildSnapshot> {
        Some(ChildSnapshot {
            id: self.id,
            inbound_spi: self.agreed.inbound,
            outbound_spi: self.agreed.outbound,
            algorithms: self.agreed.suite.to_string(),
            encapsulation: self.encapsulation,
            local_selectors: self.agreed.local_selectors.clone(),
            remote_selectors: self.agreed.remote_selectors.clone(),
            since: self.installed?,
        })
    }
}

/// The answer to every CREATE_CHILD_SA: one Child SA per IKE SA, and no rekeying (RFC 7296 §1.3, §4). On the way
/// out, the peer may try again later (§2.25.2).
pub(crate) fn refusal(closing: bool) -> Vec<Payload> {
    let kind = if closing {
        notify::TEMPORARY_FAILURE
    } else {
        notify::NO_ADDITIONAL_SAS
    };
    vec![Payload::Notify(error(kind, Vec::new()))]
}
