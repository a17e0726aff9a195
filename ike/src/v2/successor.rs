//! CREATE_CHILD_SA that replaces the IKE SA, both roles (RFC 7296 §1.3.2, §2.18).

use std::time::{Duration, Instant};

use super::channel::Channel;
use super::collision;
use super::init;
use super::keys::Said;
use super::payloads;
use super::rekey::{Asked, NONCE, fresh_payloads, wanted_group};
use super::state::{Closing, Common, Established, IkeSa, State};
use super::timers::{Timer, Timers};
use super::window::{Retransmission, Window};
use crate::crypto::{Group, KeyAnswer, KeyExchange};
use crate::engine::Engine;
use crate::proposal::{self, IkeSuite};
use crate::rejection::error;
use crate::wire::registry::{exchange, notify};
use crate::wire::{NotifyPayload, Payload};
use crate::{Connection, Event, Outage, Stage};

/// How long an IKE SA that was replaced, or may be, waits for the peer to close it.
const LEAVING: Duration = Duration::from_secs(60);

/// We asked to replace the IKE SA.
pub(crate) struct IkeRekey {
    /// Our SPI of the new one.
    spi: u64,
    nonce: Vec<u8>,
    exchange: KeyExchange,
    /// We wanted another group first.
    again: bool,
    /// The peer asked for the same at the same time.
    rival: Option<Rival>,
}

/// The IKE SA that the peer made in place of the one that we are replacing.
struct Rival {
    spi: u64,
    lowest: Vec<u8>,
}

/// A new IKE SA that nothing depends on yet, with the nonce of the other side.
struct Successor {
    common: Common,
    channel: Channel,
    suite: IkeSuite,
    nonce: Vec<u8>,
}

impl IkeRekey {
    /// Our SPI of the IKE SA that the peer made at the same time.
    pub(crate) fn rival(&self) -> Option<u64> {
        self.rival.as_ref().map(|rival| rival.spi)
    }
}

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
            exchange,
            again: group.is_some(),
            rival: None,
        })));
        self.keep(common, State::Established(state));
    }

    /// The peer asks for another IKE SA: it is made and answered, and takes over unless we asked for one as well.
    pub(crate) fn ike_rekey_asked(
        &mut self,
        mut common: Common,
        mut state: Box<Established>,
        (payloads, id): (&[Payload], u32),
        now: Instant,
    ) {
        let settings = common.connection.as_ref().and_then(|name| self.settings_of(name));
        let invalid = || error(notify::INVALID_SYNTAX, Vec::new());
        let made = settings
            .ok_or_else(invalid)
            .and_then(|settings| self.succeed(&common, &state, (payloads, &settings), now));
        let (successor, answer) = match made {
            Ok(made) => made,
            Err(refusal) => return self.refuse(common, state, (id, refusal), now),
        };
        self.answer_creation(&common, &mut state, (id, &answer));
        let theirs = payloads::nonce(payloads).unwrap_or_default();
        let lowest = collision::lowest(theirs, &successor.nonce).to_vec();
        let spi = successor.common.spi;
        self.enthrone(successor, &state, now);
        if let Some(Asked::Ike(rekey)) = &mut state.asked {
            rekey.rival = Some(Rival { spi, lowest });
        } else {
            self.hand_over(&common, &mut state, spi, now);
            common.timers.set(Timer::Expiry, Some(now + LEAVING));
        }
        self.keep(common, State::Established(state));
    }

    /// The responder's new IKE SA and the payloads that tell it.
    fn succeed(
        &mut self,
        old: &Common,
        state: &Established,
        (payloads, settings): (&[Payload], &Connection),
        now: Instant,
    ) -> Result<(Successor, Vec<Payload>), NotifyPayload> {
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
        let shared = exchange.finish().map_err(|_| invalid())?;
        let said = Said {
            initiator_nonce: theirs,
            responder_nonce: &nonce,
            initiator_spi: peer_spi,
            responder_spi: spi,
        };
        let channel = state.channel.rekeyed(suite, &said, &shared, false);
        let mut common = Common::new((spi, peer_spi), old.path, now);
        (common.connection, common.extensions) = (old.connection.clone(), old.extensions);
        common.mobility = old.mobility.clone();
        let successor = Successor {
            common,
            channel: channel.ok_or_else(invalid)?,
            suite,
            nonce,
        };
        Ok((successor, answer))
    }

    /// The peer answered our wish for another IKE SA.
    pub(crate) fn ike_rekeyed(
        &mut self,
        mut common: Common,
        mut state: Box<Established>,
        (rekey, payloads): (Box<IkeRekey>, &[Payload]),
        now: Instant,
    ) {
        let Some(settings) = common.connection.as_ref().and_then(|name| self.settings_of(name)) else {
            return self.keep(common, State::Established(state));
        };
        let (rival, again, ours) = (rekey.rival(), rekey.again, rekey.nonce.clone());
        let theirs = rekey.rival.as_ref().map(|rival| rival.lowest.clone());
        let Some(successor) = rekey.accept(&common, &state.channel, (payloads, &settings), now) else {
            if rival.is_some_and(|rival| self.hand_over(&common, &mut state, rival, now)) {
                common.timers.set(Timer::Expiry, Some(now + LEAVING));
                return self.keep(common, State::Established(state));
            }
            let mut groups = settings
                .ike_proposals
                .iter()
                .flat_map(|proposal| &proposal.groups);
            let group = wanted_group(payloads, &mut groups).filter(|_| !again);
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
                        ..init::refusal(kind, &settings)
                    },
                );
            }
            state.lifetime.soft = self.later(now);
            return self.proceed(common, state, now);
        };
        let lowest = collision::lowest(&ours, &successor.nonce);
        let loses = theirs.is_some_and(|theirs| collision::is_redundant(lowest, &theirs));
        let gives_way = rival.filter(|_| loses);
        if gives_way.is_some_and(|rival| self.hand_over(&common, &mut state, rival, now)) {
            self.abdicate(successor, now);
            common.timers.set(Timer::Expiry, Some(now + LEAVING));
            return self.keep(common, State::Established(state));
        }
        let spi = successor.common.spi;
        self.enthrone(successor, &state, now);
        self.hand_over(&common, &mut state, spi, now);
        self.outlive(rival, now);
        self.close(common, state.farewell(), now);
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
        if let Some(Asked::Ike(rekey)) = state.asked.take()
            && let Some(settings) = settings
            && let Some(successor) = rekey.accept(common, &state.channel, (payloads, &settings), now)
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
        };
        self.close(successor.common, closing, now);
    }

    /// Keeps a new IKE SA; until something is handed over to it, the peer has a while to close it.
    fn enthrone(&mut self, successor: Successor, old: &Established, now: Instant) {
        let Successor {
            mut common,
            channel,
            suite,
            nonce: _,
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
        heir.deletions = std::mem::take(&mut state.deletions);
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

impl IkeRekey {
    /// The new IKE SA, if the peer granted it as we asked.
    fn accept(
        self,
        old: &Common,
        channel: &Channel,
        (payloads, settings): (&[Payload], &Connection),
        now: Instant,
    ) -> Option<Successor> {
        if payloads::error(payloads).is_some() {
            return None;
        }
        let chosen = payloads::security_association(payloads)?;
        let public = payloads::key_exchange(payloads)?;
        let theirs = payloads::nonce(payloads)?;
        let group = self.exchange.group();
        let (suite, peer_spi) = proposal::reaccept_ike(chosen, &settings.ike_proposals, group)?;
        (public.group == group.id()).then_some(())?;
        let shared = self.exchange.finish(&public.data).ok()?;
        let said = Said {
            initiator_nonce: &self.nonce,
            responder_nonce: theirs,
            initiator_spi: self.spi,
            responder_spi: peer_spi,
        };
        let channel = channel.rekeyed(suite, &said, &shared, true)?;
        let mut common = Common::new((self.spi, peer_spi), old.path, now);
        (common.initiator, common.connection) = (true, old.connection.clone());
        (common.extensions, common.mobility) = (old.extensions, old.mobility.clone());
        Some(Successor {
            common,
            channel,
            suite,
            nonce: theirs.to_vec(),
        })
    }
}
