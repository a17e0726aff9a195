//! What anyone may say about an SA without protection: a hint at most (RFC 7296 §1.5, §2.21.4).

use std::time::{Duration, Instant};

use super::nat::Path;
use super::payloads::Datagram;
use super::state::{Common, Established, IkeSa, State};
use crate::ConnectionName;
use crate::engine::Engine;
use crate::wire::registry::{exchange, notify, payload};
use crate::wire::{Header, Message, NotifyPayload, Payload};

/// A peer of which an IKE message came within this time is not asked because of a hint: forgers cost a message in so
/// long at most.
const BETWEEN_CHECKS: Duration = Duration::from_secs(10);

/// The error that an unprotected message starts with, if that is what the message is.
fn error(datagram: &Datagram) -> Option<NotifyPayload> {
    let unprotected = datagram.header.next_payload == payload::NOTIFY;
    let bytes = unprotected.then_some(datagram.bytes.as_slice())?;
    let payloads = Message::decode(bytes).ok()?.payloads;
    if let Some(Payload::Notify(found)) = payloads.into_iter().next() {
        Some(found)
    } else {
        None
    }
}

/// Whether somebody says of an IKE SA, under its own SPIs, that it is unknown: perhaps the peer forgot it.
pub(crate) fn is_hint(datagram: &Datagram) -> bool {
    error(datagram).is_some_and(|error| error.kind == notify::INVALID_IKE_SPI)
}

impl Engine {
    /// A node says that it knows no Child SA of an SPI that it got packets for. If we send by that SPI to its address, the
    /// peer may have forgotten us.
    pub(crate) fn hint_of_stranger(&mut self, datagram: &Datagram, now: Instant) {
        let unknown = error(datagram).filter(|error| error.kind == notify::INVALID_SPI);
        let Some(Ok(octets)) = unknown.map(|error| <[u8; 4]>::try_from(error.data)) else {
            return;
        };
        let (outbound, path) = (u32::from_be_bytes(octets), datagram.path());
        let sends = |spi: &u64| {
            let sa = self.sas.get(spi).filter(|sa| sa.common.path.is_between(path));
            let established = sa.and_then(IkeSa::established);
            let mut children = established.into_iter().flat_map(|state| state.children.iter());
            children.any(|child| child.agreed.outbound == outbound)
        };
        let names = self.suspects(path);
        let found = names.iter().filter_map(|name| self.current_sa(name)).find(sends);
        match found.and_then(|spi| self.take(spi)) {
            Some(IkeSa {
                common,
                state: State::Established(state),
            }) => self.hinted(common, state, now),
            Some(IkeSa { common, state }) => self.keep(common, state),
            None => {}
        }
    }

    /// Says of a Child SA which the datapath has from an engine before this one that we do not know it, as of any that we
    /// get packets for (RFC 7296 §1.5): where only the peer may start, it has to find out by itself, and what it sends
    /// arrives.
    pub(crate) fn disown(&mut self, connection: &ConnectionName, path: Path, spi: u32) {
        let standing = self.connections.get(connection);
        let waits = standing.is_some_and(|standing| standing.sa.is_none() && !standing.settings.may_start());
        if waits && !self.stopping {
            let error = NotifyPayload::new(notify::INVALID_SPI, spi.to_be_bytes().to_vec());
            let message = Message {
                header: Header::new(0, 0, exchange::INFORMATIONAL, Header::INITIATOR, 0),
                payloads: vec![Payload::Notify(error)],
            };
            self.send(path, message.encode());
        }
    }

    /// Asks the peer whether it is there, unless it was heard just now or is being asked something already.
    pub(crate) fn hinted(&mut self, common: Common, state: Box<Established>, now: Instant) {
        if self.is_forgotten(&common) {
            return self.given_up(&common, State::Established(state), now);
        }
        let recent = now.saturating_duration_since(state.spoke) < BETWEEN_CHECKS;
        if recent || state.window.next_request().is_none() {
            return self.keep(common, State::Established(state));
        }
        self.probe(common, state, now);
    }
}
