//! CREATE_CHILD_SA for a Child SA, one more or in the place of another, both roles (RFC 7296 §1.3.1, §1.3.3, §2.8).

use std::time::Instant;

use super::child::{self, AgreedChild, Child};
use super::child_answer::DUPLICATE;
use super::collision;
use super::payloads;
use super::rekey::{Asked, NONCE, fresh_payloads, wanted_group};
use super::staging::overdue;
use super::state::{Common, Established, State};
use crate::crypto::{Group, KeyExchange, Secret};
use crate::engine::Engine;
use crate::proposal::Keying;
use crate::rejection::error;
use crate::selector::Selectors;
use crate::wire::registry::{exchange, notify, protocol};
use crate::wire::{NotifyPayload, Payload};
use crate::{ChildId, Connection, Event, Outage, Reason, Side, Stage};

/// Keys are negotiated, with whatever group.
const NEGOTIATED: Keying = Keying::Negotiated(None);

/// What a child that we ask for is for.
#[derive(Debug, Clone)]
pub(crate) struct Purpose {
    /// The SPI that we receive on until it is replaced.
    old: Option<u32>,
    /// The peer has lost what is to be replaced, or there is nothing.
    anew: bool,
    line: Option<usize>,
    selectors: Selectors,
}

/// We asked for a child.
pub(crate) struct ChildRekey {
    purpose: Purpose,
    /// The SPI that we offered to receive on.
    inbound: u32,
    nonce: Vec<u8>,
    exchange: Option<KeyExchange>,
    /// We wanted another group first.
    again: bool,
    /// The peer asked for the same at the same time.
    rival: Option<Rival>,
}

/// The child that the peer made for the same.
struct Rival {
    child: ChildId,
    lowest: Vec<u8>,
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

impl Purpose {
    /// The first child of a line.
    pub(crate) fn line(line: usize, selectors: Selectors) -> Self {
        Self {
            old: None,
            anew: true,
            line: Some(line),
            selectors,
        }
    }

    /// Whether what it is to replace is still there, if it is to replace something.
    fn stands(&self, state: &Established) -> bool {
        self.old
            .is_none_or(|old| state.children.current_by_spi(old).is_some())
    }
}

impl Engine {
    /// Asks for another child in the place of the one that we receive on under `old`.
    pub(crate) fn rekey_child(&mut self, common: Common, state: Box<Established>, old: u32, now: Instant) {
        let Some(child) = state.children.current_by_spi(old) else {
            return self.keep(common, State::Established(state));
        };
        let purpose = Purpose {
            old: Some(old),
            anew: false,
            line: child.agreed.line,
            selectors: child.agreed.selectors.clone(),
        };
        self.ask_child(common, state, (purpose, None), now);
    }

    /// Asks for a child; `group` is what the peer wants, if it said so.
    pub(crate) fn ask_child(
        &mut self,
        common: Common,
        mut state: Box<Established>,
        (purpose, group): (Purpose, Option<Group>),
        now: Instant,
    ) {
        let settings = common.connection.as_ref().and_then(|name| self.settings_of(name));
        let Some(settings) = settings else {
            return self.keep(common, State::Established(state));
        };
        let (inbound, nonce) = (self.fresh_child_spi(), self.drawn(NONCE));
        let exchange = group
            .or_else(|| state.guess(&settings))
            .and_then(|group| KeyExchange::start(group, self.random.as_mut()).ok());
        let guessed = exchange.as_ref().map(|exchange| exchange.group().id());
        let rekeys = purpose.old.filter(|_| !purpose.anew).map(|old| {
            Payload::Notify(NotifyPayload {
                protocol: protocol::ESP,
                spi: old.to_be_bytes().to_vec(),
                ..NotifyPayload::new(notify::REKEY_SA, Vec::new())
            })
        });
        let keying = Keying::Negotiated(guessed);
        let [offer, initiator, responder] = child::offer(inbound, &settings, &purpose.selectors, keying);
        let mut payloads: Vec<_> = rekeys.into_iter().collect();
        payloads.push(offer);
        let public = exchange
            .as_ref()
            .map(|exchange| (exchange.group(), exchange.public()));
        payloads.extend(fresh_payloads(&nonce, public));
        payloads.extend([initiator, responder]);
        self.ask(&common, &mut state, (exchange::CREATE_CHILD_SA, &payloads), now);
        state.asked = Some(Asked::Child(Box::new(ChildRekey {
            purpose,
            inbound,
            nonce,
            exchange,
            again: group.is_some(),
            rival: None,
        })));
        self.keep(common, State::Established(state));
    }

    /// The peer answered our wish for a child.
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
        let fresh = match rekey.check(payloads, &settings) {
            Ok(fresh) => fresh,
            Err(outage) => {
                // The peer has a child that we cannot have.
                state.deletions.push(rekey.inbound);
                self.child_failed(&common, &mut state, (*rekey, outage, true), now);
                return self.proceed(common, state, now);
            }
        };
        let ours = collision::lowest(&rekey.nonce, &fresh.nonce);
        let rival = rekey.rival.take().filter(|rival| {
            let rival = state.children.get_mut(rival.child);
            rival.is_some_and(|rival| rival.agreed.selectors.are_those_of(&fresh.agreed.selectors))
        });
        if let Some(rival) = &rival
            && collision::is_redundant(ours, &rival.lowest)
        {
            state.deletions.push(rekey.inbound);
            state
                .children
                .adopt(rival.child, (rekey.purpose.old, overdue(now)));
            if rekey.purpose.old.is_some() {
                self.rekeyed(&common, Event::ChildRekeyed);
            }
            return self.proceed(common, state, now);
        }
        let nonces = (rekey.nonce.as_slice(), fresh.nonce.as_slice());
        let keys = state
            .channel
            .child_keys(fresh.agreed.suite, nonces, fresh.shared.as_ref());
        let made = (fresh.agreed, keys, state.nat.encapsulation());
        let mut child = self.install(&common, made, true, now);
        let old = rekey.purpose.old;
        (child.replaces, child.created) = (old, old.is_none());
        let loser = rival.and_then(|rival| state.children.get_mut(rival.child));
        let loser = loser.map(|loser| {
            loser.lifetime.end = overdue(now).min(loser.lifetime.end);
            loser.agreed.inbound
        });
        state.children.succeed((old.or(loser), overdue(now)), child);
        self.keep(common, State::Established(state));
    }

    /// The peer refused our wish for a child.
    fn child_not_rekeyed(
        &mut self,
        common: Common,
        mut state: Box<Established>,
        (rekey, payloads, settings): (Box<ChildRekey>, &[Payload], &Connection),
        now: Instant,
    ) {
        self.forget_child_spi(rekey.inbound);
        let again = rekey.rival.is_none() && rekey.purpose.stands(&state) && state.owed.is_none();
        let mut ours = settings
            .esp_proposals
            .iter()
            .flat_map(|proposal| &proposal.groups);
        let group = wanted_group(payloads, &mut ours).filter(|_| !rekey.again);
        if group.is_some() && again {
            return self.ask_child(common, state, (rekey.purpose, group), now);
        }
        let lost = !rekey.purpose.anew && payloads::notify(payloads, notify::CHILD_SA_NOT_FOUND).is_some();
        if lost && again && rekey.purpose.line.is_some() {
            let purpose = Purpose {
                anew: true,
                ..rekey.purpose
            };
            return self.ask_child(common, state, (purpose, None), now);
        }
        let kind = payloads::error(payloads).map_or(notify::TEMPORARY_FAILURE, |error| error.kind);
        let wanted = (settings, &rekey.purpose.selectors);
        let outage = if lost {
            Outage::plain(Reason::DeletedByPeer, Side::Peer, Stage::Established)
        } else {
            child::refused_by_peer(kind, wanted, NEGOTIATED, true)
        };
        let lasting = payloads::lasting_error(payloads).is_some();
        self.child_failed(&common, &mut state, (*rekey, outage, lasting), now);
        self.proceed(common, state, now);
    }

    /// No child came of our wish: what was to be replaced stays, unless the peer has lost it.
    fn child_failed(
        &mut self,
        common: &Common,
        state: &mut Established,
        (rekey, outage, lasting): (ChildRekey, Outage, bool),
        now: Instant,
    ) {
        let Purpose { old, anew, line, .. } = rekey.purpose;
        if let Some(rival) = &rekey.rival {
            return state.children.adopt(rival.child, (old, overdue(now)));
        }
        let lost = anew || outage.reason == Reason::DeletedByPeer;
        let standing = old.filter(|old| state.children.current_by_spi(*old).is_some());
        match (standing, line) {
            (Some(old), _) if !lost => {
                if lasting {
                    self.degraded(common, &outage);
                }
                let later = self.later(now);
                state.postpone(old, later);
            }
            (Some(old), _) => {
                if let Some(child) = state.children.take(|child| child.agreed.inbound == old) {
                    self.remove_child(&child);
                    state.promote();
                    self.child_gone(common, state, (line, child.installed, &outage), now);
                }
            }
            (None, Some(line)) => self.line_refused(common, state, (line, outage, lasting), now),
            (None, None) => {}
        }
    }

    /// The datapath carries a child of an established SA: an answer that was owed goes out, and what we replaced goes.
    pub(crate) fn child_carried(
        &mut self,
        common: Common,
        mut state: Box<Established>,
        id: ChildId,
        now: Instant,
    ) {
        let (mut replaces, mut line) = (None, None);
        if let Some(child) = state.children.get_mut(id) {
            child.installed = Some(now);
            (replaces, line) = (child.replaces.take(), child.agreed.line);
        }
        if let Some(old) = replaces {
            self.rekeyed(&common, Event::ChildRekeyed);
            if state.children.slot_of(old).is_some() {
                state.children.stop_sending(old);
                state.deletions.push(old);
            }
        }
        state.childless_until = None;
        if line.is_some_and(|line| state.lines.carried(line)) {
            self.mended(&common);
        }
        if let Some(owed) = state.owed.take_if(|owed| owed.child == id) {
            self.answer_creation(&common, &mut state, (owed.id, &owed.payloads));
            state.lines.defer(now);
            let undecided = matches!(&state.asked, Some(Asked::Child(rekey)) if rekey.rekeys_too(id));
            if !undecided {
                let end = if owed.duplicate {
                    now + DUPLICATE
                } else {
                    overdue(now)
                };
                state.children.adopt(id, (owed.replaces, end));
            }
            if owed.replaces.is_some() && !owed.duplicate && !undecided {
                self.rekeyed(&common, Event::ChildRekeyed);
            }
        }
        self.proceed(common, state, now);
    }

    /// The datapath does not carry a child, or no longer: what it was to replace stays, and what needs one gets another.
    pub(crate) fn child_refused(
        &mut self,
        common: Common,
        mut state: Box<Established>,
        (id, outage): (ChildId, &Outage),
        now: Instant,
    ) {
        let inbound = state.children.get_mut(id).map(|child| child.agreed.inbound);
        let slot = inbound.and_then(|inbound| state.children.slot_of(inbound));
        let beside: Vec<_> = slot
            .into_iter()
            .flat_map(|slot| slot.iter().map(|child| child.agreed.inbound))
            .collect();
        let Some(child) = state.children.take(|child| child.id == id) else {
            return self.keep(common, State::Established(state));
        };
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
        let served = child.agreed.line.is_none_or(|line| state.children.serve(line));
        if served && state.children.carry() {
            self.degraded(&common, outage);
        }
        let later = self.later(now);
        beside.into_iter().for_each(|spi| state.postpone(spi, later));
        self.child_gone(
            &common,
            &mut state,
            (child.agreed.line, child.installed, outage),
            now,
        );
        self.proceed(common, state, now);
    }
}

impl ChildRekey {
    /// The SPI that we offered to receive on.
    pub(crate) fn inbound(&self) -> u32 {
        self.inbound
    }

    /// The selector line that it is for.
    pub(crate) fn line(&self) -> Option<usize> {
        self.purpose.line
    }

    /// The peer made a child in the place of `old`, or one more; perhaps we ask for the same.
    pub(crate) fn meet(&mut self, child: &Child, old: Option<u32>, lowest: &[u8]) {
        let ours = &self.purpose;
        let both_replace = !ours.anew && ours.old == old;
        let both_create = ours.anew && old.is_none() && ours.line == child.agreed.line;
        if both_replace || both_create {
            let (child, lowest) = (child.id, lowest.to_vec());
            self.rival = Some(Rival { child, lowest });
        }
    }

    /// Whether both replace the same child, the peer by this one.
    fn rekeys_too(&self, child: ChildId) -> bool {
        let rival = self.rival.as_ref().is_some_and(|rival| rival.child == child);
        rival && self.purpose.old.is_some()
    }

    /// What the peer granted, or why it is not what we asked for.
    fn check(&mut self, payloads: &[Payload], settings: &Connection) -> Result<Fresh, Outage> {
        let group = self.exchange.as_ref().map(|exchange| exchange.group());
        let keying = Keying::Negotiated(group.map(Group::id));
        let wanted = (self.purpose.line, &self.purpose.selectors);
        let agreed = child::accept(self.inbound, payloads, (settings, keying), wanted)?;
        let broken = || Outage::plain(Reason::ProtocolError, Side::We, Stage::CreateChildSa);
        let nonce = payloads::nonce(payloads).ok_or_else(broken)?.to_vec();
        let shared = match agreed.suite.group {
            None => None,
            Some(chosen) => Some(self.shared(chosen, payloads).ok_or_else(broken)?),
        };
        Ok(Fresh {
            agreed,
            nonce,
            shared,
        })
    }

    /// The secret of the child's own key exchange.
    fn shared(&mut self, chosen: Group, payloads: &[Payload]) -> Option<Secret> {
        let public = payloads::key_exchange(payloads)?;
        let exchange = self.exchange.take().filter(|ours| ours.group() == chosen)?;
        (public.group == chosen.id()).then_some(())?;
        exchange.finish(&public.data).ok()
    }
}
