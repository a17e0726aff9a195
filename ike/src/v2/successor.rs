//! CREATE_CHILD_SA that replaces the IKE SA, both roles (RFC 7296 §1.3.2, §2.18).

use std::time::{Duration, Instant};

use super::collision;
use super::followup::{Further, Pending, Promise};
use super::init;
use super::payloads;
use super::rekey::{Asked, NONCE, Reply, fresh_payloads, wanted_group};
use super::state::{Closing, Common, Established, IkeSa, State};
use super::succession::{IkeRekey, Rival, Succession, Successor};
use super::timers::{Timer, Timers};
use super::window::{Retransmission, Window};
use crate::crypto::{Group, KeyAnswer, KeyExchange, Secret};
use crate::engine::Engine;
use crate::proposal;
use crate::rejection::error;
use crate::wire::registry::{exchange, notify};
use crate::wire::{NotifyPayload, Payload};
use crate::{Connection, Event, Outage, Stage};

/// How long an IKE SA that was replaced, or may be, waits for the peer to close it.
const LEAVING: Duration = Duration::from_secs(60);

impl Engine {
    /// Asks for another IKE SA; `group` is what the peer wants, if it said so.
    pub(crate) fn rekey_ike(
        &mut self,
        common: Common,
        mut state: Box<Established>,
        group: Option<Group>,
        now: Instant,
    ) {
        let settings = common.connection.as_ref().and_then(|name| self.settings_of(name));
        let started = KeyExchange::start(group.unwrap_or(state.suite.group), self.random.as_mut());
        let (Some(settings), Ok(exchange)) = (settings, started) else {
            state.lifetime.soft = self.later(now);
            return self.keep(common, State::Established(state));
        };
        let (spi, nonce) = (self.fresh_spi(), self.drawn(NONCE));
        let offer = proposal::reoffer_ike(&settings.ike_proposals, spi);
        let mut payloads = vec![Payload::SecurityAssociation(offer)];
        payloads.extend(fresh_payloads(
            &nonce,
            Some((exchange.group(), exchange.public())),
        ));
        self.ask(&common, &mut state, (exchange::CREATE_CHILD_SA, &payloads), now);
        state.asked = Some(Asked::Ike(Box::new(IkeRekey {
            spi,
            nonce,
            exchange: Some(exchange),
            again: group.is_some(),
            rival: None,
            agreed: None,
            further: Further::default(),
        })));
        self.keep(common, State::Established(state));
    }

    /// The peer asks for another IKE SA: it is made and answered once all key exchanges are done.
    pub(crate) fn ike_rekey_asked(
        &mut self,
        common: Common,
        mut state: Box<Established>,
        (payloads, id): (&[Payload], u32),
        now: Instant,
    ) {
        let settings = common.connection.as_ref().and_then(|name| self.settings_of(name));
        let invalid = || error(notify::INVALID_SYNTAX, Vec::new());
        let agreed = settings
            .ok_or_else(invalid)
            .and_then(|settings| self.agree_succession(payloads, &settings));
        let (succession, secret, answer) = match agreed {
            Ok(agreed) => agreed,
            Err(refusal) => {
                let reply = Reply::creation(id, Vec::new());
                return self.refuse(common, state, (reply, refusal), now);
            }
        };
        let reply = Reply::creation(id, answer);
        let additional = succession.suite.additional;
        if additional.is_empty() {
            return self.make_successor(common, state, (succession, &[secret], reply), now);
        }
        let lowest = succession.lowest().to_vec();
        let promise = Promise::Ike(succession);
        let pending = Pending::new(promise, (additional, secret), lowest, now);
        self.promise(&common, &mut state, pending, reply);
        self.keep(common, State::Established(state));
    }

    /// What the responder agrees to, the secret of the first key exchange, and the payloads that tell it.
    fn agree_succession(
        &mut self,
        payloads: &[Payload],
        settings: &Connection,
    ) -> Result<(Succession, Secret, Vec<Payload>), NotifyPayload> {
        let invalid = || error(notify::INVALID_SYNTAX, Vec::new());
        let (Some(offered), Some(public), Some(theirs)) = (
            payloads::security_association(payloads),
            payloads::key_exchange(payloads),
            payloads::nonce(payloads),
        ) else {
            return Err(invalid());
        };
        let spi = self.fresh_spi();
        let chosen = proposal::rechoose_ike(offered, &settings.ike_proposals, public.group, spi);
        let none = || error(notify::NO_PROPOSAL_CHOSEN, Vec::new());
        let (suite, peer_spi, chosen) = chosen.ok_or_else(none)?;
        if public.group != suite.group.id() {
            let wanted = suite.group.id().to_be_bytes().to_vec();
            return Err(error(notify::INVALID_KE_PAYLOAD, wanted));
        }
        let exchange = KeyAnswer::new(suite.group, &public.data, self.random.as_mut());
        let exchange = exchange.map_err(|_| invalid())?;
        let nonce = self.drawn(NONCE);
        let mut answer = vec![Payload::SecurityAssociation(chosen)];
        answer.extend(fresh_payloads(&nonce, Some((suite.group, exchange.public()))));
        let secret = exchange.finish().map_err(|_| invalid())?;
        let succession = Succession {
            suite,
            initiator: false,
            spis: (spi, peer_spi),
            nonces: (theirs.to_vec(), nonce),
        };
        Ok((succession, secret, answer))
    }

    /// Makes the IKE SA that the peer asked for and answers; it takes over unless we asked for one as well.
    pub(crate) fn make_successor(
        &mut self,
        mut common: Common,
        mut state: Box<Established>,
        (succession, secrets, reply): (Succession, &[Secret], Reply),
        now: Instant,
    ) {
        let Some(successor) = succession.make((&common, &state.channel), secrets, now) else {
            let refusal = error(notify::INVALID_SYNTAX, Vec::new());
            return self.refuse(common, state, (reply, refusal), now);
        };
        self.reply(&common, &mut state, &reply);
        let spi = successor.common.spi;
        self.enthrone(successor, &state, now);
        if let Some(Asked::Ike(rekey)) = &mut state.asked {
            let lowest = succession.lowest().to_vec();
            rekey.rival = Some(Rival { spi, lowest });
        } else {
            self.hand_over(&common, &mut state, spi, now);
            common.timers.set(Timer::Expiry, Some(now + LEAVING));
        }
        self.keep(common, State::Established(state));
    }

    /// The peer answered our wish for another IKE SA.
    pub(crate) fn ike_rekeyed(
        &mut self,
        common: Common,
        mut state: Box<Established>,
        (mut rekey, payloads): (Box<IkeRekey>, &[Payload]),
        now: Instant,
    ) {
        let Some(settings) = common.connection.as_ref().and_then(|name| self.settings_of(name)) else {
            return self.keep(common, State::Established(state));
        };
        let Some(ours) = rekey.take(payloads, &settings) else {
            return self.ike_not_rekeyed(common, state, (*rekey, payloads, &settings), now);
        };
        if let Some(theirs) = state.pending.as_ref().filter(|pending| pending.is_succession()) {
            if collision::is_redundant(&ours, &theirs.lowest) {
                // The peer's own exchange stays, which is not done yet.
                if let Some(successor) = rekey.successor((&common, &state.channel), now) {
                    self.abdicate(successor, now);
                }
                state.lifetime.soft = self.later(now);
                return self.proceed(common, state, now);
            }
            self.drop_pending(&mut state);
        }
        let loses = rekey.loses(&ours);
        if !rekey.further.is_left() || loses {
            return self.ike_agreed(common, state, (*rekey, loses), now);
        }
        if !self.follow_up(&common, &mut state, (&mut rekey.further, payloads), now) {
            return self.break_off(common, state, now);
        }
        state.asked = Some(Asked::Ike(rekey));
        self.keep(common, State::Established(state));
    }

    /// All key exchanges are done, so that both sides have the new IKE SA; or the peer's, made at the same time, stays
    /// (`loses`).
    fn ike_agreed(
        &mut self,
        mut common: Common,
        mut state: Box<Established>,
        (rekey, loses): (IkeRekey, bool),
        now: Instant,
    ) {
        let rival = rekey.rival();
        let successor = rekey.successor((&common, &state.channel), now);
        let gives_way = rival.filter(|_| loses);
        if gives_way.is_some_and(|rival| self.hand_over(&common, &mut state, rival, now)) {
            successor
                .into_iter()
                .for_each(|successor| self.abdicate(successor, now));
            common.timers.set(Timer::Expiry, Some(now + LEAVING));
            return self.keep(common, State::Established(state));
        }
        let Some(successor) = successor else {
            return self.break_off(common, state, now);
        };
        let spi = successor.common.spi;
        self.enthrone(successor, &state, now);
        self.hand_over(&common, &mut state, spi, now);
        self.outlive(rival, now);
        self.close(common, state.farewell(), now);
    }

    /// The peer refused our wish for another IKE SA.
    fn ike_not_rekeyed(
        &mut self,
        mut common: Common,
        mut state: Box<Established>,
        (rekey, payloads, settings): (IkeRekey, &[Payload], &Connection),
        now: Instant,
    ) {
        let rival = rekey.rival();
        if rival.is_some_and(|rival| self.hand_over(&common, &mut state, rival, now)) {
            common.timers.set(Timer::Expiry, Some(now + LEAVING));
            return self.keep(common, State::Established(state));
        }
        let mut groups = settings
            .ike_proposals
            .iter()
            .flat_map(|proposal| &proposal.groups);
        let group = wanted_group(payloads, &mut groups).filter(|_| !rekey.again);
        if group.is_some() {
            return self.rekey_ike(common, state, group, now);
        }
        if payloads::error(payloads).is_none() {
            return self.break_off(common, state, now);
        }
        if let Some(kind) = payloads::lasting_error(payloads) {
            let stage = Stage::CreateChildSa;
            self.degraded(
                &common,
                &Outage {
                    stage,
                    ..init::refusal(kind, settings)
                },
            );
        }
        state.lifetime.soft = self.later(now);
        self.proceed(common, state, now);
    }

    /// The peer's IKE SA is the one too many. The peer deletes it, unless it never heard of it: it is kept for as long as
    /// that Delete may come.
    fn outlive(&mut self, rival: Option<u64>, now: Instant) {
        if let Some(IkeSa { mut common, state }) = rival.and_then(|rival| self.take(rival)) {
            let State::Established(state) = state else {
                return self.keep(common, state);
            };
            common.timers = Timers::default();
            let until = now + Retransmission::longest();
            common.timers.set(Timer::Expiry, Some(until));
            let closing = Closing {
                farewell: None,
                ..state.farewell()
            };
            self.keep(common, State::Closing(Box::new(closing)));
        }
    }

    /// An answer arrives while we close: the IKE SA that it makes goes as well.
    pub(crate) fn too_late(
        &mut self,
        common: &Common,
        state: &mut Closing,
        payloads: &[Payload],
        now: Instant,
    ) {
        let settings = common.connection.as_ref().and_then(|name| self.settings_of(name));
        if let Some(Asked::Ike(mut rekey)) = state.asked.take()
            && let Some(settings) = settings
            && rekey.take(payloads, &settings).is_some()
            && let Some(successor) = rekey.successor((common, &state.channel), now)
        {
            self.abdicate(successor, now);
        }
    }

    /// Closes a new IKE SA.
    fn abdicate(&mut self, successor: Successor, now: Instant) {
        let closing = Closing {
            channel: successor.channel,
            window: Window::new(0, 0),
            farewell: Some(vec![payloads::delete_ike()]),
            asked: None,
            owes: false,
        };
        self.close(successor.common, closing, now);
    }

    /// Keeps a new IKE SA; until something is handed over to it, the peer has a while to close it.
    fn enthrone(&mut self, successor: Successor, old: &Established, now: Instant) {
        let Successor {
            mut common,
            channel,
            suite,
        } = successor;
        let name = common.connection.as_ref();
        let settings = name.and_then(|name| self.settings_of(name));
        let length = settings.map_or(Connection::IKE_LIFETIME, |settings| settings.ike_lifetime);
        let lifetime = self.lifetime(length, now);
        let state = Established::new(
            (channel, suite),
            Window::new(0, 0),
            old.nat,
            (lifetime, old.dpd_timeout),
            now,
        );
        common.timers.set(Timer::Expiry, Some(now + LEAVING));
        common.timers.set(Timer::Keepalive, state.first_keepalive(now));
        self.keep(common, State::Established(Box::new(state)));
    }

    /// The children of an IKE SA, and its connection, go over to another one; false if that is no more.
    pub(crate) fn hand_over(
        &mut self,
        from: &Common,
        state: &mut Established,
        to: u64,
        now: Instant,
    ) -> bool {
        let Some(IkeSa {
            mut common,
            state: heir,
        }) = self.take(to)
        else {
            return false;
        };
        let State::Established(mut heir) = heir else {
            self.keep(common, heir);
            return false;
        };
        heir.children = std::mem::take(&mut state.children);
        heir.lines = std::mem::take(&mut state.lines);
        heir.childless_until = state.childless_until.take();
        heir.proofs = state.proofs;
        heir.deletions = std::mem::take(&mut state.deletions);
        self.drop_pending(state);
        for child in heir.children.ids() {
            self.move_child(child, to);
        }
        if let Some(name) = &from.connection {
            self.succeeded(name, from.spi, to);
        }
        self.rekeyed(from, Event::IkeRekeyed);
        // Without a child it serves nobody, and nothing but its expiry would ever close it.
        if heir.children.carry() || heir.childless_until.is_some() {
            common.timers.set(Timer::Expiry, None);
        }
        self.proceed(common, heir, now);
        true
    }

    /// The peer closes the old IKE SA while we ask for another: the one that it asked for takes over.
    pub(crate) fn give_way(&mut self, common: &Common, state: &mut Established, now: Instant) {
        let rival = if let Some(Asked::Ike(rekey)) = &state.asked {
            rekey.rival()
        } else {
            None
        };
        if rival.is_some_and(|rival| self.hand_over(common, state, rival, now)) {
            state.asked = None;
        }
    }
}
