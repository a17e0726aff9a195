//! CREATE_CHILD_SA that replaces the Child SA, both roles (RFC 7296 §1.3.3, §2.8).

use std::time::Instant;

use super::child::{self, AgreedChild};
use super::collision;
use super::payloads;
use super::rekey::{Asked, NONCE, fresh_payloads, wanted_group};
use super::staging::overdue;
use super::state::{Common, Established, State};
use crate::crypto::{Group, KeyAnswer, KeyExchange, Secret};
use crate::engine::Engine;
use crate::proposal::{EspSuite, Keying};
use crate::rejection::error;
use crate::selector::Selectors;
use crate::wire::registry::{exchange, notify, protocol};
use crate::wire::{KeyExchangePayload, NotifyPayload, Payload};
use crate::{ChildId, Connection, Event, Outage, Reason, Side, Stage};

/// Keys are negotiated, with whatever group.
const NEGOTIATED: Keying = Keying::Negotiated(None);

/// We asked to replace the child.
pub(crate) struct ChildRekey {
    /// The SPI that we receive on until it is replaced.
    old: u32,
    /// The selector line that it is for, and what we offered.
    line: Option<usize>,
    wanted: Selectors,
    /// The SPI that we offered to receive on.
    inbound: u32,
    nonce: Vec<u8>,
    exchange: Option<KeyExchange>,
    /// We wanted another group first.
    again: bool,
    /// The peer asked for the same at the same time.
    rival: Option<Rival>,
}

/// The child that the peer made in place of the one that we are replacing.
struct Rival {
    child: ChildId,
    lowest: Vec<u8>,
}

/// The answer that waits until the datapath carries the new child.
pub(crate) struct Owed {
    id: u32,
    child: ChildId,
    /// The SPI that we receive on until it is replaced.
    replaces: u32,
    payloads: Vec<Payload>,
}

/// What the peer's request or answer holds, checked.
struct Fresh {
    agreed: AgreedChild,
    nonce: Vec<u8>,
    shared: Option<Secret>,
}

impl Established {
    /// The group that the peer will want: the one that another exchange came to, or else the one that we want most.
    fn guess(&self, settings: &Connection) -> Option<Group> {
        let groups = || {
            let proposals = settings.esp_proposals.iter();
            proposals.flat_map(|proposal| &proposal.groups).copied()
        };
        let mut known = self
            .children
            .current()
            .filter_map(|child| child.agreed.suite.group);
        known
            .find(|known| groups().any(|group| group == *known))
            .or_else(|| groups().next())
    }
}

impl Engine {
    /// Asks for another child in the place of the one that we receive on under `old`; `group` is what the peer wants, if
    /// it said so.
    pub(crate) fn rekey_child(
        &mut self,
        common: Common,
        mut state: Box<Established>,
        (old, group): (u32, Option<Group>),
        now: Instant,
    ) {
        let settings = common.connection.as_ref().and_then(|name| self.settings_of(name));
        let child = state.children.current_by_spi(old);
        let agreed = child.map(|child| (child.agreed.line, child.agreed.selectors.clone()));
        let (Some(settings), Some((line, wanted))) = (settings, agreed) else {
            return self.keep(common, State::Established(state));
        };
        let (inbound, nonce) = (self.fresh_child_spi(), self.drawn(NONCE));
        let exchange = group
            .or_else(|| state.guess(&settings))
            .and_then(|group| KeyExchange::start(group, self.random.as_mut()).ok());
        let guessed = exchange.as_ref().map(|exchange| exchange.group().id());
        let rekeys = Payload::Notify(NotifyPayload {
            protocol: protocol::ESP,
            spi: old.to_be_bytes().to_vec(),
            ..NotifyPayload::new(notify::REKEY_SA, Vec::new())
        });
        let keying = Keying::Negotiated(guessed);
        let [offer, initiator, responder] = child::offer(inbound, &settings, &wanted, keying);
        let mut payloads = vec![rekeys, offer];
        let public = exchange
            .as_ref()
            .map(|exchange| (exchange.group(), exchange.public()));
        payloads.extend(fresh_payloads(&nonce, public));
        payloads.extend([initiator, responder]);
        self.ask(&common, &mut state, (exchange::CREATE_CHILD_SA, &payloads), now);
        state.asked = Some(Asked::Child(Box::new(ChildRekey {
            old,
            line,
            wanted,
            inbound,
            nonce,
            exchange,
            again: group.is_some(),
            rival: None,
        })));
        self.keep(common, State::Established(state));
    }

    /// The peer answered our wish for another child.
    pub(crate) fn child_rekeyed(
        &mut self,
        common: Common,
        mut state: Box<Established>,
        (mut rekey, payloads): (Box<ChildRekey>, &[Payload]),
        now: Instant,
    ) {
        let Some(settings) = common.connection.as_ref().and_then(|name| self.settings_of(name)) else {
            return self.keep(common, State::Established(state));
        };
        if payloads::error(payloads).is_some() {
            return self.child_not_rekeyed(common, state, (rekey, payloads, &settings), now);
        }
        let Some(fresh) = rekey.check(payloads, &settings) else {
            // The peer has a child that we cannot have.
            state.deletions.push(rekey.inbound);
            if let Some(rival) = &rekey.rival {
                state.children.adopt(rival.child, (rekey.old, overdue(now)));
            }
            let later = self.later(now);
            state.postpone(rekey.old, later);
            return self.proceed(common, state, now);
        };
        let ours = collision::lowest(&rekey.nonce, &fresh.nonce);
        if let Some(rival) = &rekey.rival
            && collision::is_redundant(ours, &rival.lowest)
        {
            state.deletions.push(rekey.inbound);
            state.children.adopt(rival.child, (rekey.old, overdue(now)));
            self.rekeyed(&common, Event::ChildRekeyed);
            return self.proceed(common, state, now);
        }
        let nonces = (rekey.nonce.as_slice(), fresh.nonce.as_slice());
        let keys = state
            .channel
            .child_keys(fresh.agreed.suite, nonces, fresh.shared.as_ref());
        let made = (fresh.agreed, keys, state.nat.encapsulation());
        let mut child = self.install(&common, made, true, now);
        child.replaces = Some(rekey.old);
        let end = overdue(now);
        if let Some(rival) = rekey.rival.and_then(|rival| state.children.get_mut(rival.child)) {
            rival.lifetime.end = end.min(rival.lifetime.end);
        }
        state.children.succeed((rekey.old, end), child);
        self.keep(common, State::Established(state));
    }

    /// The peer refused our wish for another child.
    fn child_not_rekeyed(
        &mut self,
        common: Common,
        mut state: Box<Established>,
        (rekey, payloads, settings): (Box<ChildRekey>, &[Payload], &Connection),
        now: Instant,
    ) {
        self.forget_child_spi(rekey.inbound);
        if let Some(rival) = &rekey.rival {
            state.children.adopt(rival.child, (rekey.old, overdue(now)));
            return self.proceed(common, state, now);
        }
        if state.children.current_by_spi(rekey.old).is_none() {
            return self.proceed(common, state, now);
        }
        if payloads::notify(payloads, notify::CHILD_SA_NOT_FOUND).is_some() {
            let outage = Outage::plain(Reason::DeletedByPeer, Side::Peer, Stage::Established);
            self.remove_children(&mut state, now);
            self.ended(&common, Some(outage), now);
            return self.close(common, state.farewell(), now);
        }
        let mut ours = settings
            .esp_proposals
            .iter()
            .flat_map(|proposal| &proposal.groups);
        let group = wanted_group(payloads, &mut ours).filter(|_| !rekey.again);
        if group.is_some() && state.owed.is_none() {
            return self.rekey_child(common, state, (rekey.old, group), now);
        }
        if let Some(kind) = payloads::lasting_error(payloads) {
            let refused = child::refused_by_peer(kind, (settings, &rekey.wanted), NEGOTIATED, true);
            self.degraded(&common, &refused);
        }
        let later = self.later(now);
        state.postpone(rekey.old, later);
        self.proceed(common, state, now);
    }

    /// Asks the datapath for the child that the peer wants in the place of the current one; the answer follows.
    pub(crate) fn grant_child(
        &mut self,
        common: &Common,
        state: &mut Established,
        (old, payloads, id): (u32, &[Payload], u32),
        now: Instant,
    ) -> Result<(), NotifyPayload> {
        let invalid = || error(notify::INVALID_SYNTAX, Vec::new());
        let settings = common.connection.as_ref().and_then(|name| self.settings_of(name));
        let settings = settings.ok_or_else(invalid)?;
        let theirs = payloads::nonce(payloads).ok_or_else(invalid)?;
        let public = payloads::key_exchange(payloads);
        let keying = Keying::Negotiated(public.map(|public| public.group));
        let inbound = self.fresh_child_spi();
        let replaced = state.children.current_by_spi(old).map(|child| &child.agreed);
        let chosen = child::choose(inbound, payloads, (&settings, keying), replaced)
            .map_err(|(kind, _)| error(kind, Vec::new()))
            .and_then(|(agreed, answer)| {
                let exchange = self.answering_exchange(agreed.suite, public)?;
                Ok((agreed, answer, exchange))
            });
        let (agreed, [offer, initiator, responder], exchange) = match chosen {
            Ok(chosen) => chosen,
            Err(refusal) => {
                self.forget_child_spi(inbound);
                return Err(refusal);
            }
        };
        let nonce = self.drawn(NONCE);
        let mut answer = vec![offer];
        answer.extend(fresh_payloads(&nonce, None));
        let (ours, shared) = exchange.unzip();
        answer.extend(ours);
        answer.extend([initiator, responder]);
        let keys = state
            .channel
            .child_keys(agreed.suite, (theirs, &nonce), shared.as_ref());
        let child = self.stage(common, (agreed, keys, state.nat.encapsulation()), now);
        if let Some(Asked::Child(rekey)) = &mut state.asked
            && rekey.old == old
        {
            let lowest = collision::lowest(theirs, &nonce).to_vec();
            rekey.rival = Some(Rival {
                child: child.id,
                lowest,
            });
        }
        state.owed = Some(Owed {
            id,
            child: child.id,
            replaces: old,
            payloads: answer,
        });
        state.children.join(old, child);
        Ok(())
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

    /// The datapath carries a child of an established SA: an answer that was owed goes out, and what we replaced goes.
    pub(crate) fn child_carried(
        &mut self,
        common: Common,
        mut state: Box<Established>,
        id: ChildId,
        now: Instant,
    ) {
        let mut replaces = None;
        if let Some(child) = state.children.get_mut(id) {
            child.installed = Some(now);
            replaces = child.replaces.take();
        }
        if let Some(old) = replaces {
            self.rekeyed(&common, Event::ChildRekeyed);
            if state.children.slot_of(old).is_some() {
                state.children.stop_sending(old);
                state.deletions.push(old);
            }
        }
        if let Some(owed) = state.owed.take_if(|owed| owed.child == id) {
            self.answer_creation(&common, &mut state, (owed.id, &owed.payloads));
            let undecided = matches!(&state.asked, Some(Asked::Child(rekey)) if rekey.old == owed.replaces);
            if !undecided {
                state.children.adopt(id, (owed.replaces, overdue(now)));
                self.rekeyed(&common, Event::ChildRekeyed);
            }
        }
        self.proceed(common, state, now);
    }

    /// The datapath refused a child that was to replace another, which stays. Gives the SA back if there is no other.
    pub(crate) fn rekey_refused(
        &mut self,
        common: Common,
        mut state: Box<Established>,
        (id, outage): (ChildId, &Outage),
        now: Instant,
    ) -> Option<(Common, Box<Established>)> {
        let inbound = state.children.get_mut(id)?.agreed.inbound;
        let slot = state.children.slot_of(inbound)?;
        let beside: Vec<_> = slot.iter().map(|child| child.agreed.inbound).collect();
        let child = state.children.take(|child| child.id == id)?;
        self.forget_child(id, child.agreed.inbound);
        if let Some(Asked::Child(rekey)) = &mut state.asked {
            rekey.rival.take_if(|rival| rival.child == id);
        }
        let owed = state.owed.take_if(|owed| owed.child == id);
        if let Some(owed) = owed {
            let refusal = [Payload::Notify(error(notify::TEMPORARY_FAILURE, Vec::new()))];
            self.answer_creation(&common, &mut state, (owed.id, &refusal));
        } else {
            state.deletions.push(child.agreed.inbound);
        }
        state.promote();
        self.send_by_current(&mut state);
        if !state.children.carry() {
            return Some((common, state));
        }
        self.degraded(&common, outage);
        let later = self.later(now);
        beside.into_iter().for_each(|spi| state.postpone(spi, later));
        self.proceed(common, state, now);
        None
    }
}

impl ChildRekey {
    /// The SPI that we offered to receive on.
    pub(crate) fn inbound(&self) -> u32 {
        self.inbound
    }

    /// What the peer granted; `None` if it is not what we asked for.
    fn check(&mut self, payloads: &[Payload], settings: &Connection) -> Option<Fresh> {
        let group = self.exchange.as_ref().map(|exchange| exchange.group());
        let keying = Keying::Negotiated(group.map(Group::id));
        let agreed = child::accept(
            self.inbound,
            payloads,
            (settings, keying),
            (self.line, &self.wanted),
        )
        .ok()?;
        let nonce = payloads::nonce(payloads)?.to_vec();
        let shared = match agreed.suite.group {
            None => None,
            Some(chosen) => {
                let public = payloads::key_exchange(payloads)?;
                let exchange = self.exchange.take().filter(|ours| ours.group() == chosen)?;
                (public.group == chosen.id()).then_some(())?;
                Some(exchange.finish(&public.data).ok()?)
            }
        };
        Some(Fresh {
            agreed,
            nonce,
            shared,
        })
    }
}
