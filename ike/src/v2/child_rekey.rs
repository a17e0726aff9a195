//! CREATE_CHILD_SA for a Child SA, one more or in the place of another, both roles (RFC 7296 §1.3.1, §1.3.3, §2.8).

use std::time::Instant;

use super::child;
use super::child_answer::DUPLICATE;
use super::child_wish::{ChildRekey, Fresh, Purpose};
use super::collision;
use super::followup::Further;
use super::payloads;
use super::rekey::{Asked, NONCE, Reply, fresh_payloads, wanted_group};
use super::staging::overdue;
use super::state::{Common, Established, State};
use crate::crypto::{Group, KeyExchange};
use crate::engine::Engine;
use crate::proposal::Keying;
use crate::rejection::error;
use crate::wire::registry::{exchange, notify, protocol};
use crate::wire::{NotifyPayload, Payload};
use crate::{ChildId, Connection, Event, Outage, Reason, Side, Stage};

/// Keys are negotiated, with whatever group.
const NEGOTIATED: Keying = Keying::Negotiated(None);

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
            fresh: None,
            further: Further::default(),
            deleted: Vec::new(),
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
        let fresh = match rekey.take(payloads, &settings) {
            Ok(fresh) => fresh,
            Err(outage) => {
                // The peer has a child that we cannot have.
                state.deletions.push(rekey.inbound);
                self.child_failed(&common, &mut state, (*rekey, outage, true), now);
                return self.proceed(common, state, now);
            }
        };
        let ours = collision::lowest(&rekey.nonce, &fresh.nonce).to_vec();
        let pending = state
            .pending
            .as_ref()
            .filter(|pending| rekey.competes_with(pending));
        if let Some(pending) = pending {
            if collision::is_redundant(&ours, &pending.lowest) {
                return self.child_yields(common, state, *rekey, now);
            }
            self.drop_pending(&mut state);
        }
        if rekey.further.is_left() {
            return self.child_goes_on(common, state, (rekey, fresh, payloads, &ours), now);
        }
        self.child_agreed(common, state, (*rekey, fresh, &ours), now);
    }

    /// The peer's own exchange for the same stays, which is not done yet: what ours made or would have made goes.
    fn child_yields(&mut self, common: Common, mut state: Box<Established>, rekey: ChildRekey, now: Instant) {
        if rekey.further.is_left() {
            self.forget_child_spi(rekey.inbound);
        } else {
            state.deletions.push(rekey.inbound);
        }
        let outage = Outage::plain(Reason::Replaced, Side::Peer, Stage::CreateChildSa);
        self.child_failed(&common, &mut state, (rekey, outage, false), now);
        self.proceed(common, state, now);
    }

    /// A further key exchange is to be done, unless the peer has made a child for the same that stays.
    fn child_goes_on(
        &mut self,
        common: Common,
        mut state: Box<Established>,
        (mut rekey, fresh, payloads, ours): (Box<ChildRekey>, Fresh, &[Payload], &[u8]),
        now: Instant,
    ) {
        let rival = rekey.rival.as_ref();
        if rival.is_some_and(|rival| collision::is_redundant(ours, &rival.lowest)) {
            return self.child_yields(common, state, *rekey, now);
        }
        if self.follow_up(&common, &mut state, (&mut rekey.further, payloads), now) {
            rekey.fresh = Some(fresh);
            state.asked = Some(Asked::Child(rekey));
            return self.keep(common, State::Established(state));
        }
        self.forget_child_spi(rekey.inbound);
        let outage = Outage::plain(Reason::ProtocolError, Side::We, Stage::CreateChildSa);
        self.child_failed(&common, &mut state, (*rekey, outage, true), now);
        self.proceed(common, state, now);
    }

    /// All key exchanges are done: both sides have the child.
    fn child_agreed(
        &mut self,
        common: Common,
        mut state: Box<Established>,
        (mut rekey, fresh, ours): (ChildRekey, Fresh, &[u8]),
        now: Instant,
    ) {
        if rekey.deleted.contains(&fresh.agreed.outbound) {
            // Its Delete was faster than its answer.
            self.forget_child_spi(rekey.inbound);
            let outage = Outage::plain(Reason::DatapathRefused, Side::Peer, Stage::CreateChildSa);
            self.child_failed(&common, &mut state, (rekey, outage, false), now);
            return self.proceed(common, state, now);
        }
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
            .child_keys(fresh.agreed.suite, nonces, &fresh.secrets);
        let made = (fresh.agreed, keys, state.nat.encapsulation());
        let old = rekey.purpose.old;
        let behind =
            old.is_some_and(|old| state.children.yields(old)) || self.sent_after(&common, &made.0.selectors);
        let mut child = if behind {
            self.install_behind(&common, made, now)
        } else {
            self.install(&common, made, true, now)
        };
        (child.replaces, child.created) = (old, old.is_none());
        let loser = rival.and_then(|rival| state.children.get_mut(rival.child));
        let loser = loser.map(|loser| {
            loser.lifetime.end = overdue(now).min(loser.lifetime.end);
            loser.agreed.inbound
        });
        let inbound = child.agreed.inbound;
        state.children.succeed((old.or(loser), overdue(now)), child);
        if behind {
            state.children.yield_to_another(inbound);
        }
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
            self.reply(&common, &mut state, &owed.reply);
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
            self.departed_early(&mut state, id);
            return self.keep(common, State::Established(state));
        };
        self.forget_child(id, child.agreed.inbound);
        if let Some(Asked::Child(rekey)) = &mut state.asked {
            rekey.rival.take_if(|rival| rival.child == id);
        }
        let owed = state.owed.take_if(|owed| owed.child == id);
        if let Some(owed) = owed {
            let payloads = vec![Payload::Notify(error(notify::TEMPORARY_FAILURE, Vec::new()))];
            let reply = Reply {
                payloads,
                ..owed.reply
            };
            self.reply(&common, &mut state, &reply);
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
