//! CREATE_CHILD_SA for a Child SA as responder (RFC 7296 §1.3.1, §1.3.3).

use std::time::{Duration, Instant};

use super::child::{self, AgreedChild};
use super::collision;
use super::followup::{Pending, Promise};
use super::payloads;
use super::rekey::{Asked, NONCE, Reply, fresh_payloads};
use super::state::{Common, Established};
use crate::crypto::{KeyAnswer, Secret};
use crate::engine::Engine;
use crate::proposal::{EspSuite, Keying};
use crate::rejection::error;
use crate::wire::registry::notify;
use crate::wire::{KeyExchangePayload, NotifyPayload, Payload};
use crate::{ChildId, Connection};

/// How long a request of the peer can be under way that it sent before it had ours.
const CROSSING: Duration = Duration::from_secs(15);
/// How long what the peer made a duplicate of may stay.
pub(crate) const DUPLICATE: Duration = Duration::from_secs(5);
/// A peer may have so many sets of selectors, and twice as many children while it replaces them; as many again may still
/// receive what is under way.
const MOST: usize = 100;

/// The answer that waits until the datapath carries the new child.
pub(crate) struct Owed {
    pub(crate) reply: Reply,
    pub(crate) child: ChildId,
    /// The SPI that we receive on until it is replaced.
    pub(crate) replaces: Option<u32>,
    /// The peer did not say that it is to be replaced.
    pub(crate) duplicate: bool,
}

/// A child that the peer asked for and gets.
pub(crate) struct Grant {
    pub(crate) agreed: AgreedChild,
    /// What the peer named to be replaced.
    pub(crate) old: Option<u32>,
    /// What it replaces: that, or the one that lets the same through.
    replaces: Option<u32>,
    /// The peer's and ours.
    nonces: (Vec<u8>, Vec<u8>),
}

impl Grant {
    /// The SPI that we are to receive on.
    pub(crate) fn inbound(&self) -> u32 {
        self.agreed.inbound
    }
}

/// A child as it will be, with the payloads that tell it.
struct Choice {
    agreed: AgreedChild,
    answer: [Payload; 3],
    exchange: Option<(Payload, Secret)>,
    replaces: Option<u32>,
}

impl Established {
    /// What a child that the peer wants besides the others takes the place of: the one that lets the same through.
    fn room_for(&self, agreed: &AgreedChild, now: Instant) -> Result<Option<u32>, NotifyPayload> {
        let twin = self.children.twin(&agreed.selectors);
        let crossing = |at: Instant| now.saturating_duration_since(at) < CROSSING;
        let (sets, children) = self.children.count();
        if twin.is_some_and(|twin| twin.created && crossing(twin.begun)) {
            // The peer may not have had our request when it sent its own: ours came first.
            Err(error(notify::TEMPORARY_FAILURE, Vec::new()))
        } else if (twin.is_none() && sets >= MOST) || children >= 2 * MOST {
            Err(error(notify::NO_ADDITIONAL_SAS, Vec::new()))
        } else {
            Ok(twin.map(|twin| twin.agreed.inbound))
        }
    }
}

impl Engine {
    /// Asks the datapath for the child that the peer wants, in the place of `old` if it named that; the answer follows.
    pub(crate) fn grant_child(
        &mut self,
        common: &Common,
        state: &mut Established,
        (old, payloads, id): (Option<u32>, &[Payload], u32),
        now: Instant,
    ) -> Result<(), NotifyPayload> {
        if state.children.departed.len() >= 2 * MOST {
            return Err(error(notify::TEMPORARY_FAILURE, Vec::new()));
        }
        let invalid = || error(notify::INVALID_SYNTAX, Vec::new());
        let name = common.connection.as_ref().ok_or_else(invalid)?;
        let settings = self.settings_of(name).ok_or_else(invalid)?;
        let theirs = payloads::nonce(payloads).ok_or_else(invalid)?;
        let chosen = self.choose_child(state, &settings, (old, payloads), now)?;
        let (agreed, replaces) = (chosen.agreed, chosen.replaces);
        let [offer, initiator, responder] = chosen.answer;
        let nonce = self.drawn(NONCE);
        let mut answer = vec![offer];
        answer.extend(fresh_payloads(&nonce, None));
        let (ours, shared) = chosen.exchange.unzip();
        answer.extend(ours);
        answer.extend([initiator, responder]);
        let reply = Reply::creation(id, answer);
        let additional = agreed.suite.additional;
        let nonces = (theirs.to_vec(), nonce);
        let grant = Grant {
            agreed,
            old,
            replaces,
            nonces,
        };
        match shared {
            Some(first) if !additional.is_empty() => {
                let lowest = collision::lowest(&grant.nonces.0, &grant.nonces.1).to_vec();
                let promise = Promise::Child(Box::new(grant));
                let pending = Pending::new(promise, (additional, first), lowest, now);
                self.promise(common, state, pending, reply);
                Ok(())
            }
            shared => {
                let made = (grant, shared.as_slice(), reply);
                self.make_child(common, state, made, now)
                    .map_err(|(_, refusal)| refusal)
            }
        }
    }

    /// Asks the datapath for a child that the peer gets; the answer follows. Else the error to answer with.
    pub(crate) fn make_child(
        &mut self,
        common: &Common,
        state: &mut Established,
        (grant, secrets, reply): (Grant, &[Secret], Reply),
        now: Instant,
    ) -> Result<(), (Reply, NotifyPayload)> {
        let (replaces, suite) = (grant.replaces, grant.agreed.suite);
        let gone = |old| state.children.current_by_spi(old).is_none();
        if replaces.is_some_and(gone) {
            self.forget_child_spi(grant.inbound());
            return Err((reply, error(notify::CHILD_SA_NOT_FOUND, Vec::new())));
        }
        let nonces = (grant.nonces.0.as_slice(), grant.nonces.1.as_slice());
        let keys = state.channel.child_keys(suite, nonces, secrets);
        let made = (grant.agreed, keys, state.nat.encapsulation());
        let before =
            self.sent_before(common, &made.0.selectors) || self.sent_after(common, &made.0.selectors);
        let child = if replaces.is_some() || before {
            self.stage(common, made, now)
        } else {
            self.install(common, made, false, now)
        };
        if let Some(Asked::Child(rekey)) = &mut state.asked {
            rekey.meet(&child, grant.old, collision::lowest(nonces.0, nonces.1));
        }
        state.owed = Some(Owed {
            reply,
            child: child.id,
            replaces,
            duplicate: grant.old.is_none(),
        });
        let inbound = child.agreed.inbound;
        state.children.join(replaces, child);
        if before {
            state.children.yield_to_another(inbound);
        }
        Ok(())
    }

    /// What is to become of the peer's wish.
    fn choose_child(
        &mut self,
        state: &Established,
        settings: &Connection,
        (old, payloads): (Option<u32>, &[Payload]),
        now: Instant,
    ) -> Result<Choice, NotifyPayload> {
        let public = payloads::key_exchange(payloads);
        let keying = Keying::Negotiated(public.map(|public| public.group));
        let inbound = self.fresh_child_spi();
        let replaced = old.and_then(|old| Some(&state.children.current_by_spi(old)?.agreed));
        let beside = (replaced, &state.children);
        let chosen = child::choose(inbound, payloads, (settings, keying), beside)
            .map_err(|(kind, _)| error(kind, Vec::new()))
            .and_then(|(agreed, answer)| {
                let replaces = match old {
                    Some(old) => Some(old),
                    None => state.room_for(&agreed, now)?,
                };
                let exchange = self.answering_exchange(agreed.suite, public)?;
                Ok(Choice {
                    agreed,
                    answer,
                    exchange,
                    replaces,
                })
            });
        if chosen.is_err() {
            self.forget_child_spi(inbound);
        }
        chosen
    }

    /// Our public value and the shared secret, if the suite wants a key exchange.
    fn answering_exchange(
        &mut self,
        suite: EspSuite,
        public: Option<&KeyExchangePayload>,
    ) -> Result<Option<(Payload, Secret)>, NotifyPayload> {
        let Some(group) = suite.group else {
            return Ok(None);
        };
        let Some(public) = public.filter(|public| public.group == group.id()) else {
            let wanted = group.id().to_be_bytes().to_vec();
            return Err(error(notify::INVALID_KE_PAYLOAD, wanted));
        };
        let invalid = |_| error(notify::INVALID_SYNTAX, Vec::new());
        let answer = KeyAnswer::new(group, &public.data, self.random.as_mut()).map_err(invalid)?;
        let (group, data) = (group.id(), answer.public().to_vec());
        let ours = Payload::KeyExchange(KeyExchangePayload { group, data });
        let shared = answer.finish().map_err(invalid)?;
        Ok(Some((ours, shared)))
    }
}
