//! An IKE SA that is to take the place of another: what is known of it until it is made (RFC 7296 §1.3.2, §2.18).

use std::time::Instant;

use super::channel::Channel;
use super::collision;
use super::followup::Further;
use super::keys::Said;
use super::payloads;
use super::state::Common;
use crate::Connection;
use crate::crypto::{KeyExchange, Secret};
use crate::proposal::{self, IkeSuite};
use crate::wire::Payload;

/// We asked to replace the IKE SA.
pub(crate) struct IkeRekey {
    /// Our SPI of the new one.
    pub(super) spi: u64,
    pub(super) nonce: Vec<u8>,
    pub(super) exchange: Option<KeyExchange>,
    /// We wanted another group first.
    pub(super) again: bool,
    /// The peer asked for the same at the same time.
    pub(super) rival: Option<Rival>,
    /// What was agreed on, with the secrets of all key exchanges so far.
    pub(super) agreed: Option<(Succession, Vec<Secret>)>,
    pub(super) further: Further,
}

/// The IKE SA that the peer made in place of the one that we are replacing.
pub(super) struct Rival {
    pub(super) spi: u64,
    pub(super) lowest: Vec<u8>,
}

/// What both sides agreed on for a new IKE SA.
pub(crate) struct Succession {
    pub(super) suite: IkeSuite,
    /// We asked for it.
    pub(super) initiator: bool,
    /// Ours and the peer's.
    pub(super) spis: (u64, u64),
    /// The initiator's and the responder's.
    pub(super) nonces: (Vec<u8>, Vec<u8>),
}

/// A new IKE SA that nothing depends on yet.
pub(super) struct Successor {
    pub(super) common: Common,
    pub(super) channel: Channel,
    pub(super) suite: IkeSuite,
}

impl Succession {
    pub(super) fn lowest(&self) -> &[u8] {
        collision::lowest(&self.nonces.0, &self.nonces.1)
    }

    /// The new IKE SA in the place of the one that has this channel. `None` if the suite cannot protect anything.
    pub(super) fn make(
        &self,
        old: (&Common, &Channel),
        secrets: &[Secret],
        now: Instant,
    ) -> Option<Successor> {
        let (old, channel) = old;
        let (ours, theirs) = self.spis;
        let mut common = Common::new((ours, theirs), old.path, now);
        (common.initiator, common.connection) = (self.initiator, old.connection.clone());
        (common.extensions, common.mobility) = (old.extensions, old.mobility.clone());
        common.proved.clone_from(&old.proved);
        common.shown.clone_from(&old.shown);
        let (initiator_spi, responder_spi) = common.spis();
        let said = Said {
            initiator_nonce: &self.nonces.0,
            responder_nonce: &self.nonces.1,
            initiator_spi,
            responder_spi,
        };
        let (suite, channel) = (
            self.suite,
            channel.rekeyed(self.suite, &said, secrets, self.initiator)?,
        );
        Some(Successor {
            common,
            channel,
            suite,
        })
    }
}

impl IkeRekey {
    /// Our SPI of the IKE SA that the peer made at the same time.
    pub(crate) fn rival(&self) -> Option<u64> {
        self.rival.as_ref().map(|rival| rival.spi)
    }

    /// The lowest nonce of our exchange, if the peer's answer is what we asked for.
    pub(super) fn take(&mut self, payloads: &[Payload], settings: &Connection) -> Option<Vec<u8>> {
        if payloads::error(payloads).is_some() {
            return None;
        }
        if let Some((succession, secrets)) = &mut self.agreed {
            secrets.push(self.further.secret(payloads)?);
            return Some(succession.lowest().to_vec());
        }
        let (succession, secret) = self.check(payloads, settings)?;
        self.further = Further::new(succession.suite.additional);
        let lowest = succession.lowest().to_vec();
        self.agreed = Some((succession, vec![secret]));
        Some(lowest)
    }

    /// What the peer granted.
    fn check(&mut self, payloads: &[Payload], settings: &Connection) -> Option<(Succession, Secret)> {
        let chosen = payloads::security_association(payloads)?;
        let public = payloads::key_exchange(payloads)?;
        let theirs = payloads::nonce(payloads)?;
        let exchange = self.exchange.take()?;
        let group = exchange.group();
        let (suite, peer_spi) = proposal::reaccept_ike(chosen, &settings.ike_proposals, group)?;
        (public.group == group.id()).then_some(())?;
        let secret = exchange.finish(&public.data).ok()?;
        let succession = Succession {
            suite,
            initiator: true,
            spis: (self.spi, peer_spi),
            nonces: (self.nonce.clone(), theirs.to_vec()),
        };
        Some((succession, secret))
    }

    /// Whether the IKE SA that the peer made stays.
    pub(super) fn loses(&self, ours: &[u8]) -> bool {
        let rival = self.rival.as_ref();
        rival.is_some_and(|rival| collision::is_redundant(ours, &rival.lowest))
    }

    /// The new IKE SA, once all key exchanges are done: before that the peer has none.
    pub(super) fn successor(&self, old: (&Common, &Channel), now: Instant) -> Option<Successor> {
        let (succession, secrets) = self.agreed.as_ref()?;
        (!self.further.is_left()).then_some(())?;
        succession.make(old, secrets, now)
    }
}
