//! The protected messages of one IKE SA (RFC 7296 §3.14).

use super::keys::{ChildKeys, IkeKeys, Said, SideKeys};
use crate::crypto::{OpenError, Protection, Secret};
use crate::proposal::{EspSuite, IkeSuite};
use crate::wire::{Header, Payload, chain};
use crate::{DropCause, Random};

/// Keys of an IKE SA, ready for use.
pub(crate) struct Channel {
    keys: IkeKeys,
    initiator: bool,
    spis: (u64, u64),
    outgoing: Protection,
    incoming: Protection,
}

/// Why a protected message was not opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unopened {
    /// Anyone may have sent it.
    Forged(DropCause),
    /// The peer sent it, and it is not what RFC 7296 allows (§2.21.3).
    Invalid,
}

impl Channel {
    /// Keys of the SA from what both sides said. `None` if the suite cannot protect anything.
    pub(crate) fn new(suite: IkeSuite, said: &Said<'_>, shared: &Secret, initiator: bool) -> Option<Self> {
        Self::ready(IkeKeys::derive(suite.keys(), said, shared), said, initiator)
    }

    fn ready(keys: IkeKeys, said: &Said<'_>, initiator: bool) -> Option<Self> {
        let (ours, theirs) = if initiator {
            (&keys.initiator, &keys.responder)
        } else {
            (&keys.responder, &keys.initiator)
        };
        let (outgoing, incoming) = (ours.protection().ok()?, theirs.protection().ok()?);
        Some(Self {
            initiator,
            spis: (said.initiator_spi, said.responder_spi),
            outgoing,
            incoming,
            keys,
        })
    }

    /// The keys of our side and the peer's.
    pub(crate) fn sides(&self) -> (&SideKeys, &SideKeys) {
        if self.initiator {
            (&self.keys.initiator, &self.keys.responder)
        } else {
            (&self.keys.responder, &self.keys.initiator)
        }
    }

    /// The keys of the IKE SA that replaces this one (§2.18). `None` if the suite cannot protect anything.
    pub(crate) fn rekeyed(
        &self,
        suite: IkeSuite,
        said: &Said<'_>,
        shared: &Secret,
        initiator: bool,
    ) -> Option<Self> {
        Self::ready(self.keys.rekey(suite.keys(), said, shared), said, initiator)
    }

    /// The keys of a child, from the nonces of IKE_SA_INIT or of the exchange that makes it and from that exchange's
    /// own secret, if it has one (§2.17).
    pub(crate) fn child_keys(
        &self,
        suite: EspSuite,
        nonces: (&[u8], &[u8]),
        shared: Option<&Secret>,
    ) -> ChildKeys {
        self.keys
            .child((suite.encryption, suite.integrity), nonces, shared)
    }

    /// A protected request.
    pub(crate) fn request(
        &mut self,
        exchange: u8,
        id: u32,
        payloads: &[Payload],
        random: &mut dyn Random,
    ) -> Vec<u8> {
        self.seal(exchange, 0, id, (payloads, random))
    }

    /// A protected answer.
    pub(crate) fn answer(
        &mut self,
        exchange: u8,
        id: u32,
        payloads: &[Payload],
        random: &mut dyn Random,
    ) -> Vec<u8> {
        self.seal(exchange, Header::RESPONSE, id, (payloads, random))
    }

    /// Opens a message that came under this SA's SPIs.
    pub(crate) fn open(&self, bytes: &[u8]) -> Result<Vec<Payload>, Unopened> {
        let opened = self.incoming.open_message(bytes).map_err(|error| match error {
            OpenError::Malformed => Unopened::Forged(DropCause::Malformed),
            OpenError::Integrity => Unopened::Forged(DropCause::IntegrityFailed),
            OpenError::Padding => Unopened::Invalid,
        })?;
        chain::decode(opened.first, &opened.payloads).map_err(|_| Unopened::Invalid)
    }

    /// Sealing fails only for messages beyond 64 KiB or after 2⁶⁴ of them; what is then not sent is as good as
    /// lost, so that the SA ends by its timers.
    fn seal(&mut self, exchange: u8, flags: u8, id: u32, body: (&[Payload], &mut dyn Random)) -> Vec<u8> {
        let (payloads, random) = body;
        let flags = flags | if self.initiator { Header::INITIATOR } else { 0 };
        let (initiator_spi, responder_spi) = self.spis;
        let mut header = Vec::with_capacity(Header::LENGTH);
        Header::new(initiator_spi, responder_spi, exchange, flags, id).encode(&mut header);
        let (first, inside) = chain::encode(payloads);
        let Some(header) = header.first_chunk() else {
            return Vec::new();
        };
        self.outgoing
            .seal_message(header, first, &inside, random)
            .unwrap_or_default()
    }
}
