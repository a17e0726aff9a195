//! IKE_INTERMEDIATE, both roles (RFC 9242): between IKE_SA_INIT and IKE_AUTH, one for each additional key exchange
//! (RFC 9370 §2.2.2).

use std::time::Instant;

use super::channel::{Channel, Unopened};
use super::followup::public_value;
use super::keys::Said;
use super::nat::Nat;
use super::payloads::{self, Datagram};
use super::state::{Answered, Common, InitAnswered, Secrets, State};
use super::window::Retransmission;
use crate::crypto::{Group, KeyAnswer, KeyExchange, Secret};
use crate::engine::Engine;
use crate::proposal::IkeSuite;
use crate::rejection::{Rejection, unsupported};
use crate::wire::Payload;
use crate::wire::registry::{exchange, notify};
use crate::{DropCause, Outage, Reason, Side, Stage};

/// Initiator: what was agreed on and said before IKE_AUTH.
pub(crate) struct Agreement {
    pub(crate) channel: Channel,
    pub(crate) suite: IkeSuite,
    pub(crate) nat: Nat,
    pub(crate) init_request: Vec<u8>,
    pub(crate) init_answer: Vec<u8>,
    pub(crate) initiator_nonce: Vec<u8>,
    pub(crate) responder_nonce: Vec<u8>,
    /// The id of our next request.
    pub(crate) next: u32,
}

/// Initiator: an additional key exchange is under way.
pub(crate) struct IntermediateSent {
    pub(crate) agreement: Agreement,
    pub(crate) request: Retransmission,
    exchange: KeyExchange,
}

/// The group of the exchange that the request with this id is for; each takes one request, the first of them id 1.
fn group_of(suite: IkeSuite, id: u32) -> Option<Group> {
    let place = usize::try_from(id.checked_sub(1)?).ok()?;
    suite.additional.groups().nth(place)
}

impl Agreement {
    /// The keys from one more shared secret. `None` if the suite cannot protect anything.
    fn advance(mut self, common: &Common, shared: &Secret) -> Option<Self> {
        let (initiator_spi, responder_spi) = common.spis();
        let said = Said {
            initiator_nonce: &self.initiator_nonce,
            responder_nonce: &self.responder_nonce,
            initiator_spi,
            responder_spi,
        };
        let channel = self.channel.updated(self.suite, &said, shared)?;
        let next = self.next.saturating_add(1);
        Some(Self {
            channel,
            next,
            ..self
        })
    }
}

impl IntermediateSent {
    /// The shared secret that an answer gives, or why there can be none.
    fn check(&self, payloads: &[Payload]) -> Result<Vec<u8>, Outage> {
        let broken = || Outage::plain(Reason::ProtocolError, Side::We, Stage::IkeIntermediate);
        if let Some(error) = payloads::error(payloads) {
            return Err(Outage {
                side: Side::Peer,
                offered: format!("notify {}", error.kind),
                ..broken()
            });
        }
        let theirs = payloads::key_exchange(payloads).filter(|_| unsupported(payloads).is_none());
        let theirs = theirs.filter(|theirs| theirs.group == self.exchange.group().id());
        theirs.map(|theirs| theirs.data.clone()).ok_or_else(broken)
    }
}

impl Engine {
    /// Does the next additional key exchange, or proves who we are when none is left.
    pub(crate) fn agree_further(&mut self, common: Common, mut agreement: Agreement, now: Instant) {
        let Some(group) = group_of(agreement.suite, agreement.next) else {
            return self.auth_request(common, agreement, now);
        };
        let Ok(exchange) = KeyExchange::start(group, self.random.as_mut()) else {
            let outage = Outage::plain(Reason::ProtocolError, Side::We, Stage::IkeIntermediate);
            return self.ended(&common, Some(outage), now);
        };
        let payloads = [public_value(group, exchange.public())];
        let kind = exchange::IKE_INTERMEDIATE;
        let random = self.random.as_mut();
        let bytes = agreement.channel.request(kind, agreement.next, &payloads, random);
        self.wrote(&common, (kind, agreement.next, false), &payloads);
        self.send(common.path, bytes.clone());
        let state = IntermediateSent {
            agreement,
            request: Retransmission::new(bytes, now),
            exchange,
        };
        self.keep(common, State::IntermediateSent(Box::new(state)));
    }

    /// An answer to our IKE_INTERMEDIATE arrived.
    pub(crate) fn intermediate_answer(
        &mut self,
        common: Common,
        mut state: Box<IntermediateSent>,
        datagram: &Datagram,
        now: Instant,
    ) {
        let opened = match state.agreement.channel.open(&datagram.bytes) {
            Err(Unopened::Forged(cause)) => {
                self.dropped(datagram.remote, Some(cause));
                return self.keep(common, State::IntermediateSent(state));
            }
            Err(Unopened::Part) => return self.keep(common, State::IntermediateSent(state)),
            Err(Unopened::Invalid) => None,
            Ok(payloads) => Some(payloads),
        };
        self.read(&common, &datagram.header, opened.as_deref().unwrap_or_default());
        let broken = || Outage::plain(Reason::ProtocolError, Side::We, Stage::IkeIntermediate);
        let checked = opened
            .ok_or_else(broken)
            .and_then(|payloads| state.check(&payloads));
        let IntermediateSent {
            agreement, exchange, ..
        } = *state;
        let advanced = checked.and_then(|theirs| {
            let shared = exchange.finish(&theirs).map_err(|_| broken())?;
            agreement.advance(&common, &shared).ok_or_else(broken)
        });
        match advanced {
            Ok(agreement) => self.agree_further(common, agreement, now),
            Err(outage) => {
                self.dropped(
                    datagram.remote,
                    (outage.side == Side::We).then_some(DropCause::Malformed),
                );
                self.ended(&common, Some(outage), now);
            }
        }
    }

    /// The peer's half of an additional key exchange arrived under the keys so far.
    pub(crate) fn intermediate_asked(
        &mut self,
        common: Common,
        mut state: Box<InitAnswered>,
        (payloads, datagram): (&[Payload], &Datagram),
    ) {
        match self.exchange_further(&common, &mut state, payloads) {
            Ok(answer) => {
                self.send(datagram.path(), answer);
                self.keep(common, State::InitAnswered(state));
            }
            Err(rejection) => {
                self.auth_refused(common, *state, (rejection, datagram.path(), datagram.exchange()));
            }
        }
    }

    /// Our half, and the keys that follow. The former keys stay to answer the same request again.
    fn exchange_further(
        &mut self,
        common: &Common,
        state: &mut InitAnswered,
        payloads: &[Payload],
    ) -> Result<Vec<u8>, Rejection> {
        let invalid = || Rejection::answered(Some(DropCause::Malformed), notify::INVALID_SYNTAX, Vec::new());
        if let Some(rejection) = unsupported(payloads) {
            return Err(rejection);
        }
        let group = state.group_awaited().ok_or_else(invalid)?;
        let theirs = payloads::key_exchange(payloads).filter(|theirs| theirs.group == group.id());
        let theirs = theirs.ok_or_else(invalid)?;
        let exchange = KeyAnswer::new(group, &theirs.data, self.random.as_mut()).map_err(|_| invalid())?;
        let ours = [public_value(group, exchange.public())];
        let shared = exchange.finish().map_err(|_| invalid())?;
        let (suite, next) = (state.suite, state.next);
        let nonces = (state.initiator_nonce.clone(), state.responder_nonce.clone());
        let (initiator_spi, responder_spi) = common.spis();
        let said = Said {
            initiator_nonce: &nonces.0,
            responder_nonce: &nonces.1,
            initiator_spi,
            responder_spi,
        };
        let channel = state.channel(common).ok_or_else(invalid)?;
        let bytes = channel.answer(exchange::IKE_INTERMEDIATE, next, &ours, self.random.as_mut());
        let updated = channel.updated(suite, &said, &shared).ok_or_else(invalid)?;
        let updated = Secrets::Made(updated.into());
        if let Secrets::Made(channel) = std::mem::replace(&mut state.secrets, updated) {
            let (channel, bytes) = (*channel, bytes.clone());
            state.answered = Some(Answered { channel, bytes });
        }
        state.next = next.saturating_add(1);
        Ok(bytes)
    }
}

impl InitAnswered {
    /// The group of the additional key exchange that is to come next.
    pub(crate) fn group_awaited(&self) -> Option<Group> {
        group_of(self.suite, self.next)
    }

    /// Opens the request that is due: IKE_INTERMEDIATE while a key exchange is left, then IKE_AUTH.
    pub(crate) fn open(&mut self, common: &Common, datagram: &Datagram) -> Result<Vec<Payload>, Unopened> {
        let header = &datagram.header;
        let due = match self.group_awaited() {
            Some(_) => exchange::IKE_INTERMEDIATE,
            None => exchange::IKE_AUTH,
        };
        if header.exchange_type != due || header.is_response() {
            return Err(Unopened::Forged(DropCause::UnexpectedExchange));
        }
        if header.message_id != self.next {
            return Err(Unopened::Forged(DropCause::UnexpectedMessageId));
        }
        if !self.nat.remote && datagram.remote.ip() != common.path.remote.ip() {
            // NAT detection says that the peer's address is its own: a copy from elsewhere would draw us there.
            return Err(Unopened::Forged(DropCause::NoConnection));
        }
        let channel = self.channel(common);
        let channel = channel.ok_or(Unopened::Forged(DropCause::IntegrityFailed))?;
        channel.open(&datagram.bytes)
    }

    /// The answer to an IKE_INTERMEDIATE request that came before and comes again; `None` if it is not that.
    pub(crate) fn repeated(&self, datagram: &Datagram) -> Option<Result<Vec<u8>, Unopened>> {
        let header = &datagram.header;
        let same = header.message_id.checked_add(1) == Some(self.next)
            && header.exchange_type == exchange::IKE_INTERMEDIATE
            && !header.is_response();
        let answered = self.answered.as_ref().filter(|_| same)?;
        let repeats = answered.channel.repeats(&datagram.bytes);
        Some(repeats.map(|()| answered.bytes.clone()))
    }
}
