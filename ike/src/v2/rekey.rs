//! When SAs are replaced, and what becomes of the peer's wish to do so (RFC 7296 §1.3, §2.8).

use std::time::{Duration, Instant};

use super::child::Child;
use super::child_wish::ChildRekey;
use super::collision::{self, Occupation, Target, Wish};
use super::payloads::{self, Datagram};
use super::state::{Common, Established, IkeSa, State};
use super::succession::IkeRekey;
use super::timers::Lifetime;
use super::window::Retransmission;
use crate::crypto::Group;
use crate::engine::Engine;
use crate::rejection::error;
use crate::wire::registry::{exchange, notify, protocol};
use crate::wire::{KeyExchangePayload, NoncePayload, NotifyPayload, Payload};
use crate::{ChildId, ConnectionName, Outage, Reason, Side, Spent, Stage};

/// The least time until a rekey that failed is tried again; up to twice as much is drawn, so that two sides that
/// refuse each other do not meet again.
const RETRY: Duration = Duration::from_secs(4);
pub(crate) const NONCE: usize = 32;

/// What our outstanding request asks for, if it is not only whether the peer is there.
pub(crate) enum Asked {
    /// To replace the child.
    Child(Box<ChildRekey>),
    /// To replace the IKE SA.
    Ike(Box<IkeRekey>),
    /// To delete the child that we receive on under this SPI.
    Deletion(u32),
    /// To follow us to another path.
    Update,
    /// To repeat this cookie, and so to show that it receives on its new path.
    Routability(Vec<u8>),
}

/// An answer of ours.
pub(crate) struct Reply {
    /// The kind of exchange.
    pub(crate) exchange: u8,
    pub(crate) id: u32,
    pub(crate) payloads: Vec<Payload>,
}

impl Reply {
    /// To CREATE_CHILD_SA.
    pub(crate) fn creation(id: u32, payloads: Vec<Payload>) -> Self {
        let exchange = exchange::CREATE_CHILD_SA;
        Self {
            exchange,
            id,
            payloads,
        }
    }
}

impl Established {
    /// What of ours could collide with a wish of the peer.
    pub(crate) fn occupation(&self) -> Occupation {
        match &self.asked {
            Some(Asked::Child(_)) => Occupation::RekeyingChild,
            Some(Asked::Ike(_)) => Occupation::RekeyingIke,
            Some(Asked::Deletion(_)) => Occupation::DeletingChild,
            Some(Asked::Update | Asked::Routability(_)) | None if self.deletions.is_empty() => {
                Occupation::Idle
            }
            Some(Asked::Update | Asked::Routability(_)) | None => Occupation::DeletingChild,
        }
    }

    /// What the peer wants replaced: a child is named by the SPI that the peer receives on.
    fn wish(&self, payloads: &[Payload]) -> Wish {
        if let Some(rekey) = payloads::notify(payloads, notify::REKEY_SA) {
            let named = |child: &Child| child.agreed.outbound.to_be_bytes() == *rekey.spi;
            let (current, leaving) = (
                self.children.current().find(|child| named(child)),
                self.children.others().any(named),
            );
            return Wish::Child(match current {
                Some(child) => Target::Current(child.agreed.inbound),
                None if leaving => Target::Leaving,
                None => Target::Unknown,
            });
        }
        let offered = payloads::security_association(payloads);
        let ike = offered.is_some_and(|offered| {
            let mut proposals = offered.proposals.iter();
            proposals.any(|proposal| proposal.protocol == protocol::IKE)
        });
        if ike { Wish::Ike } else { Wish::Additional }
    }

    /// When the next SA must be replaced or has had its time.
    pub(crate) fn lifetime_due(&self) -> Option<Instant> {
        let free = self.window.next_request().is_some() && self.owed.is_none() && self.deletions.is_empty();
        let free = free && self.pending.is_none();
        let soft = |child: &Child| child.installed.map(|_| child.lifetime.soft);
        let softs = self.children.current().filter_map(soft);
        let softs = softs.chain([self.lifetime.soft]).filter(|_| free);
        let ends = self.children.current().map(|child| child.lifetime.end);
        let others = self.children.others();
        let others = others.filter(|other| !self.deletions.contains(&other.agreed.inbound));
        let ends = ends.chain(others.map(|other| other.lifetime.end));
        let spent = self.window.is_spent().then_some(self.since);
        let all = softs.chain(ends).chain([self.lifetime.end]).chain(spent);
        let all = all.chain(self.proofs.due);
        let carried = all.min().filter(|_| self.children.carry());
        let lines = self.lines.due().filter(|_| free);
        let departed = self.children.departed.iter().map(|child| child.until);
        let waiting = self.children.iter().filter_map(Child::patience);
        let pending = self.pending.as_ref().map(|pending| pending.until);
        let handover = self.children.handover;
        let both = self.proofs.both_until;
        let due = [carried, lines, self.childless_until(), pending, handover, both]
            .into_iter()
            .flatten();
        due.chain(departed).chain(waiting).min()
    }

    /// Until when it may be without a child; while a datapath thinks about one, it waits for that.
    fn childless_until(&self) -> Option<Instant> {
        self.childless_until
            .filter(|_| self.children.iter().next().is_none())
    }

    /// The newest child that the datapath carries and that nobody deletes takes the place of one that is gone.
    pub(crate) fn promote(&mut self) {
        let deletions = &self.deletions;
        let asked = if let Some(Asked::Deletion(asked)) = self.asked {
            Some(asked)
        } else {
            None
        };
        self.children
            .promote(|spi| deletions.contains(&spi) || asked == Some(spi));
    }

    /// The child that we receive on under this SPI need not be replaced before that.
    pub(crate) fn postpone(&mut self, inbound: u32, at: Instant) {
        if let Some(child) = self.children.current_by_spi_mut(inbound) {
            child.lifetime.soft = at;
        }
    }
}

/// The payloads of both kinds of rekey that hold a nonce and a public value.
pub(crate) fn fresh_payloads(nonce: &[u8], exchange: Option<(Group, &[u8])>) -> Vec<Payload> {
    let mut fresh = vec![Payload::Nonce(NoncePayload { data: nonce.to_vec() })];
    fresh.extend(exchange.map(|(group, public)| {
        let (group, data) = (group.id(), public.to_vec());
        Payload::KeyExchange(KeyExchangePayload { group, data })
    }));
    fresh
}

/// The group that an INVALID_KE_PAYLOAD asks for, if it is one of ours.
pub(crate) fn wanted_group<'a>(
    payloads: &[Payload],
    mut ours: impl Iterator<Item = &'a Group>,
) -> Option<Group> {
    let refusal = payloads::notify(payloads, notify::INVALID_KE_PAYLOAD)?;
    let wanted = u16::from_be_bytes(refusal.data.as_slice().try_into().ok()?);
    ours.find(|group| group.id() == wanted).copied()
}

impl Engine {
    /// When a rekey that failed is tried again.
    pub(crate) fn later(&mut self, now: Instant) -> Instant {
        let drawn: u32 = self.drawn(1).first().copied().unwrap_or_default().into();
        now + RETRY + RETRY * 2 * drawn / 256
    }

    /// A lifetime of this length, which ends for the soft part at a drawn time.
    pub(crate) fn lifetime(&mut self, length: Duration, now: Instant) -> Lifetime {
        let drawn: u32 = self.drawn(1).first().copied().unwrap_or_default().into();
        Lifetime {
            soft: now + length * 4 / 5 + length / 10 * drawn / 256,
            end: now + length,
        }
    }

    /// Somebody wants an SA replaced before its time.
    pub(crate) fn rekey_now(&mut self, name: &ConnectionName, ike: bool, now: Instant) {
        let spi = self.current_sa(name);
        let Some(IkeSa { common, mut state }) = spi.and_then(|spi| self.take(spi)) else {
            return;
        };
        if let State::Established(established) = &mut state {
            if ike {
                established.lifetime.soft = now;
            } else {
                let children = established.children.current_mut();
                children.for_each(|child| child.lifetime.soft = now);
            }
        }
        self.keep(common, state);
    }

    /// A child has carried what it may: another one is made, or if that fails, the whole tunnel anew.
    pub(crate) fn spent(&mut self, id: ChildId, spent: Spent, now: Instant) {
        let Some(IkeSa { common, mut state }) = self.take_child(id) else {
            return;
        };
        if let State::Established(established) = &mut state
            && let Some(child) = established.children.get_mut(id)
        {
            child.lifetime.soft = now.min(child.lifetime.soft);
            if spent == Spent::Hard {
                // It carries nothing any more: what an exchange takes is all the time that there is.
                child.lifetime.end = child.lifetime.end.min(now + Retransmission::longest());
            }
        }
        self.keep(common, state);
    }

    /// An SA must be replaced, or has had its time.
    pub(crate) fn aged(&mut self, common: Common, mut state: Box<Established>, now: Instant) {
        self.sweep(&mut state, now);
        self.tire(&mut state, now);
        let late = |child: &&Child| child.patience().is_some_and(|patience| patience <= now);
        let late = state.children.iter().find(late).map(|child| child.id);
        if let Some(child) = late {
            self.keep(common, State::Established(state));
            return self.not_carried(child, now);
        }
        if state.proofs.both_until.is_some_and(|until| until <= now) {
            return self.both_no_longer(common, state, now);
        }
        if !state.children.carry() {
            return self.await_child(common, state, now);
        }
        let lasting = state.children.current().any(|child| child.lifetime.end > now);
        if state.window.is_spent() || state.lifetime.end <= now || !lasting {
            let outage = self.lifetime_ended(&common);
            self.pass_on(&common, &mut state, now);
            self.remove_children(&mut state, now);
            self.ended(&common, Some(outage), now);
            return self.close(common, state.farewell(), now);
        }
        if state.proofs.due.is_some_and(|due| due <= now) {
            return self.proofs_due(common, state, now);
        }
        self.bury(&common, &mut state, now);
        let old = state.children.others().filter(|other| other.lifetime.end <= now);
        let old: Vec<_> = old.map(|other| other.agreed.inbound).collect();
        for spi in old {
            if !state.deletions.contains(&spi) {
                state.deletions.push(spi);
            }
        }
        let free = state.window.next_request().is_some() && state.owed.is_none();
        let free = free && state.deletions.is_empty() && state.pending.is_none();
        let aged = |child: &&Child| child.installed.is_some() && child.lifetime.soft <= now;
        let child = state.children.current().find(aged);
        let child = child.map(|child| child.agreed.inbound);
        if free && state.lifetime.soft <= now {
            self.rekey_ike(common, state, None, now);
        } else if let Some(old) = child.filter(|_| free) {
            self.rekey_child(common, state, old, now);
        } else {
            self.proceed(common, state, now);
        }
    }

    /// Without a child an IKE SA waits for one for a while.
    fn await_child(&mut self, common: Common, mut state: Box<Established>, now: Instant) {
        if state.childless_until().is_some_and(|until| until <= now) {
            let outage = state.lines.first_outage().cloned();
            let outage = outage.filter(|_| self.renews(&common));
            self.remove_children(&mut state, now);
            self.ended(&common, outage, now);
            self.close(common, state.farewell(), now);
        } else {
            self.proceed(common, state, now);
        }
    }

    /// Deletes the children that nothing replaced in time, while others carry their traffic.
    fn bury(&mut self, common: &Common, state: &mut Established, now: Instant) {
        let ended = |child: &Child| child.lifetime.end <= now;
        let dead: Vec<_> = state.children.current().filter(|child| ended(child)).collect();
        let dead: Vec<_> = dead.into_iter().map(|child| child.id).collect();
        for id in dead {
            if let Some(child) = state.children.take(|child| child.id == id) {
                let outage = self.lifetime_ended(common);
                self.remove_child(&child);
                state.deletions.push(child.agreed.inbound);
                state.promote();
                self.child_gone(common, state, (child.agreed.line, child.installed, &outage), now);
            }
        }
    }

    /// What to say when nothing took the place of an SA in time.
    fn lifetime_ended(&self, common: &Common) -> Outage {
        let amiss = common.connection.as_ref().and_then(|name| self.amiss(name));
        Outage {
            offered: amiss.map_or_else(String::new, |outage| outage.reason.word().to_owned()),
            expected: "a rekey before the end of the lifetime".to_owned(),
            ..Outage::plain(Reason::LifetimeEnded, Side::We, Stage::Established)
        }
    }

    /// Deletes what is to be deleted, and then makes what is to be made, as soon as the window allows; keeps the SA.
    pub(crate) fn proceed(&mut self, mut common: Common, mut state: Box<Established>, now: Instant) {
        if self.ask_about_path(&mut common, &mut state, now) {
            return self.keep(common, State::Established(state));
        }
        if !state.deletions.is_empty() && state.window.next_request().is_some() {
            let spi = state.deletions.remove(0);
            self.leave(&mut state, spi);
            state.asked = Some(Asked::Deletion(spi));
            let payloads = [payloads::delete_child(spi)];
            self.ask(&common, &mut state, (exchange::INFORMATIONAL, &payloads), now);
        } else if state.pending.is_none()
            && let Some(line) = state.next_line(now)
        {
            return self.create_line(common, state, line, now);
        }
        self.keep(common, State::Established(state));
    }

    /// Sends our next request.
    pub(crate) fn ask(
        &mut self,
        common: &Common,
        state: &mut Established,
        (kind, payloads): (u8, &[Payload]),
        now: Instant,
    ) {
        if let Some(id) = state.window.next_request() {
            let bytes = state.channel.request(kind, id, payloads, self.random.as_mut());
            self.wrote(common, (kind, id, false), payloads);
            self.send(common.path, bytes.clone());
            state.window.requested(bytes, now);
        }
    }

    /// The peer asks for another SA.
    pub(crate) fn creates(
        &mut self,
        common: Common,
        mut state: Box<Established>,
        (payloads, datagram): (&[Payload], &Datagram),
        now: Instant,
    ) {
        let name = common.connection.as_ref();
        let current = name.and_then(|name| self.current_sa(name)) == Some(common.spi);
        let occupation = if current || self.renews(&common) {
            state.occupation()
        } else {
            Occupation::Leaving
        };
        let wish = state.wish(payloads);
        let id = datagram.header.message_id;
        if let Err(kind) = collision::judge(wish, occupation) {
            let reply = Reply::creation(id, Vec::new());
            return self.refuse(common, state, (reply, error(kind, Vec::new())), now);
        }
        let granted = match wish {
            Wish::Ike => {
                return self.ike_rekey_asked(common, state, (payloads, id), now);
            }
            Wish::Child(Target::Current(old)) => {
                self.grant_child(&common, &mut state, (Some(old), payloads, id), now)
            }
            Wish::Child(Target::Leaving | Target::Unknown) => {
                Err(error(notify::CHILD_SA_NOT_FOUND, Vec::new()))
            }
            Wish::Additional => self.grant_child(&common, &mut state, (None, payloads, id), now),
        };
        match granted {
            Ok(()) => self.keep(common, State::Established(state)),
            Err(refusal) => {
                let reply = Reply::creation(id, Vec::new());
                self.refuse(common, state, (reply, refusal), now);
            }
        }
    }

    /// Answers the request that is due.
    pub(crate) fn reply(&mut self, common: &Common, state: &mut Established, reply: &Reply) {
        let Reply {
            exchange,
            id,
            payloads,
        } = reply;
        let bytes = state
            .channel
            .answer(*exchange, *id, payloads, self.random.as_mut());
        self.wrote(common, (*exchange, *id, true), payloads);
        self.send(common.path, bytes.clone());
        state.window.answered(bytes);
    }

    /// Answers with an error in the place of what was to be said; a request that is none closes the SA (RFC 7296
    /// §2.21.3).
    pub(crate) fn refuse(
        &mut self,
        common: Common,
        mut state: Box<Established>,
        (reply, refusal): (Reply, NotifyPayload),
        now: Instant,
    ) {
        let broken = refusal.kind == notify::INVALID_SYNTAX;
        let payloads = vec![Payload::Notify(refusal)];
        self.reply(&common, &mut state, &Reply { payloads, ..reply });
        if broken {
            return self.break_off(common, state, now);
        }
        self.keep(common, State::Established(state));
    }

    /// What the peer said is not what it may say: the SA is closed.
    pub(crate) fn break_off(&mut self, common: Common, mut state: Box<Established>, now: Instant) {
        let outage = Outage::plain(Reason::ProtocolError, Side::We, Stage::Established);
        self.remove_children(&mut state, now);
        self.ended(&common, Some(outage), now);
        self.close(common, state.farewell(), now);
    }
}
