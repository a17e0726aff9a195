//! IKE_FOLLOWUP_KE, both roles: the key exchanges after the first of a CREATE_CHILD_SA (RFC 9370 §2.2.4).

use std::time::{Duration, Instant};

use super::child_answer::Grant;
use super::payloads::{self, Datagram};
use super::rekey::Reply;
use super::state::{Common, Established, State};
use super::succession::Succession;
use crate::additional::Additional;
use crate::crypto::{Group, KeyAnswer, KeyExchange, Secret};
use crate::engine::Engine;
use crate::rejection::error;
use crate::wire::registry::{exchange, notify};
use crate::wire::{KeyExchangePayload, NotifyPayload, Payload};

/// How long we keep what we know of an exchange whose next step is the peer's.
const PATIENCE: Duration = Duration::from_secs(20);
/// Octets of what links one step with the next.
const LINK: usize = 16;

/// Initiator: the key exchanges that are left after CREATE_CHILD_SA.
#[derive(Default)]
pub(crate) struct Further {
    /// Their groups, the next one last.
    groups: Vec<Group>,
    under_way: Option<KeyExchange>,
}

/// Responder: what CREATE_CHILD_SA agreed on, to be made when all key exchanges are done.
pub(crate) struct Pending {
    link: Vec<u8>,
    /// The groups that are left, the next one last.
    groups: Vec<Group>,
    secrets: Vec<Secret>,
    /// Until when the peer may go on.
    pub(crate) until: Instant,
    /// The lowest nonce of the exchange.
    pub(crate) lowest: Vec<u8>,
    pub(crate) promise: Promise,
}

/// What is to be made.
pub(crate) enum Promise {
    /// A Child SA.
    Child(Box<Grant>),
    /// An IKE SA in the place of this one.
    Ike(Succession),
}

impl Further {
    /// All that were agreed on.
    pub(crate) fn new(additional: Additional) -> Self {
        let mut groups: Vec<_> = additional.groups().collect();
        groups.reverse();
        let under_way = None;
        Self { groups, under_way }
    }

    /// Whether another one has to follow before the peer makes anything.
    pub(crate) fn is_left(&self) -> bool {
        !self.groups.is_empty()
    }

    /// The secret of the one under way; `None` if the answer does not give it.
    pub(crate) fn secret(&mut self, payloads: &[Payload]) -> Option<Secret> {
        let ours = self.under_way.take()?;
        let theirs = payloads::key_exchange(payloads)?;
        (theirs.group == ours.group().id()).then_some(())?;
        ours.finish(&theirs.data).ok()
    }
}

impl Pending {
    /// Whether it is for an IKE SA.
    pub(crate) fn is_succession(&self) -> bool {
        matches!(self.promise, Promise::Ike(_))
    }

    /// The first exchange is done; these are to follow.
    pub(crate) fn new(
        promise: Promise,
        (additional, first): (Additional, Secret),
        lowest: Vec<u8>,
        now: Instant,
    ) -> Self {
        let Further { groups, .. } = Further::new(additional);
        Self {
            link: Vec::new(),
            groups,
            secrets: vec![first],
            until: now + PATIENCE,
            lowest,
            promise,
        }
    }
}

/// A KE payload.
pub(crate) fn public_value(group: Group, public: &[u8]) -> Payload {
    let (group, data) = (group.id(), public.to_vec());
    Payload::KeyExchange(KeyExchangePayload { group, data })
}

/// What the request goes on with.
fn next_step(
    state: &mut Established,
    payloads: &[Payload],
    now: Instant,
) -> Result<Box<Pending>, NotifyPayload> {
    let link = payloads::notify(payloads, notify::ADDITIONAL_KEY_EXCHANGE);
    let goes_on = |pending: &mut Box<Pending>| {
        let named = link.is_some_and(|link| link.data == pending.link);
        named && now < pending.until
    };
    let unknown = || error(notify::STATE_NOT_FOUND, Vec::new());
    state.pending.take_if(goes_on).ok_or_else(unknown)
}

impl Engine {
    /// Does the next key exchange of what we asked for; `answer` is the peer's last. False if that leads nowhere.
    pub(crate) fn follow_up(
        &mut self,
        common: &Common,
        state: &mut Established,
        (further, answer): (&mut Further, &[Payload]),
        now: Instant,
    ) -> bool {
        let link = payloads::notify(answer, notify::ADDITIONAL_KEY_EXCHANGE);
        let group = further.groups.pop();
        let ours = group.and_then(|group| KeyExchange::start(group, self.random.as_mut()).ok());
        let (Some(link), Some(ours)) = (link, ours) else {
            return false;
        };
        let link = payloads::status(notify::ADDITIONAL_KEY_EXCHANGE, link.data.clone());
        let payloads = [public_value(ours.group(), ours.public()), link];
        self.ask(common, state, (exchange::IKE_FOLLOWUP_KE, &payloads), now);
        further.under_way = Some(ours);
        true
    }

    /// Answers a CREATE_CHILD_SA to which more key exchanges belong; what it is for is made with the last of them.
    pub(crate) fn promise(
        &mut self,
        common: &Common,
        state: &mut Established,
        mut pending: Pending,
        mut reply: Reply,
    ) {
        self.drop_pending(state);
        reply.payloads.push(self.link(&mut pending));
        state.pending = Some(Box::new(pending));
        self.reply(common, state, &reply);
    }

    /// What names the next step.
    fn link(&mut self, pending: &mut Pending) -> Payload {
        pending.link = self.drawn(LINK);
        payloads::status(notify::ADDITIONAL_KEY_EXCHANGE, pending.link.clone())
    }

    /// The peer does the next key exchange of what it asked for.
    pub(crate) fn followed_up(
        &mut self,
        common: Common,
        mut state: Box<Established>,
        (payloads, datagram): (&[Payload], &Datagram),
        now: Instant,
    ) {
        let reply = Reply {
            exchange: exchange::IKE_FOLLOWUP_KE,
            id: datagram.header.message_id,
            payloads: Vec::new(),
        };
        let mut pending = match next_step(&mut state, payloads, now) {
            Ok(pending) => pending,
            Err(refusal) => return self.refuse(common, state, (reply, refusal), now),
        };
        let ours = match self.exchange_next(&mut pending, payloads) {
            Ok(ours) => ours,
            Err(refusal) => {
                state.pending = Some(pending);
                self.drop_pending(&mut state);
                return self.refuse(common, state, (reply, refusal), now);
            }
        };
        let mut reply = Reply {
            payloads: vec![ours],
            ..reply
        };
        if !pending.groups.is_empty() {
            pending.until = now + PATIENCE;
            reply.payloads.push(self.link(&mut pending));
            state.pending = Some(pending);
            self.reply(&common, &mut state, &reply);
            return self.keep(common, State::Established(state));
        }
        match pending.promise {
            Promise::Child(grant) => {
                let made = self.make_child(&common, &mut state, (*grant, &pending.secrets, reply), now);
                match made {
                    Ok(()) => self.keep(common, State::Established(state)),
                    Err((reply, refusal)) => self.refuse(common, state, (reply, refusal), now),
                }
            }
            Promise::Ike(succession) => {
                self.make_successor(common, state, (succession, &pending.secrets, reply), now);
            }
        }
    }

    /// Our half of the next key exchange.
    fn exchange_next(
        &mut self,
        pending: &mut Pending,
        payloads: &[Payload],
    ) -> Result<Payload, NotifyPayload> {
        let invalid = || error(notify::INVALID_SYNTAX, Vec::new());
        let group = pending.groups.pop().ok_or_else(invalid)?;
        let theirs = payloads::key_exchange(payloads).filter(|theirs| theirs.group == group.id());
        let theirs = theirs.ok_or_else(invalid)?;
        let answer = KeyAnswer::new(group, &theirs.data, self.random.as_mut()).map_err(|_| invalid())?;
        let ours = public_value(group, answer.public());
        pending.secrets.push(answer.finish().map_err(|_| invalid())?);
        Ok(ours)
    }

    /// Nothing comes any more of what the peer asked for.
    pub(crate) fn drop_pending(&mut self, state: &mut Established) {
        if let Some(pending) = state.pending.take()
            && let Promise::Child(grant) = pending.promise
        {
            self.forget_child_spi(grant.inbound());
        }
    }

    /// The peer took too long over its key exchanges.
    pub(crate) fn tire(&mut self, state: &mut Established, now: Instant) {
        if state.pending.as_ref().is_some_and(|pending| pending.until <= now) {
            self.drop_pending(state);
        }
    }
}
