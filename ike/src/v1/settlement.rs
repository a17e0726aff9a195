//! A phase 1 SA is established: which of several of one connection is used from now on, and what ends them.

use std::time::{Duration, Instant};

use super::channel;
use super::keys::Keys;
use super::phases::Session;
use super::proposal::shorter;
use super::state::{Agreement, Established, Phase, State};
use crate::engine::Engine;
use crate::v2::nat;
use crate::v2::state::Common;
use crate::v2::timers::Timer;
use crate::wire::v1::registry::{exchange, protocol};
use crate::wire::v1::{DeletePayload, Message, NotifyPayload, Payload};
use crate::{Connection, ConnectionName, ConnectionState, Event, Outage, Reason, Side, Stage};

/// Two SAs that both sides started within this time were started at once.
const AT_ONCE: Duration = Duration::from_secs(15);
/// How long an SA stays that was replaced: what is under way in it ends.
const UNDER_WAY: Duration = Duration::from_secs(5);
/// How long it stays where the other side is to close it.
const LEAVING: Duration = Duration::from_secs(60);

impl Engine {
    /// What both sides know once they proved who they are: `keys` come with the last block of phase 1.
    pub(super) fn established_phase(
        &mut self,
        (keys, last_block): (Keys, Vec<u8>),
        agreement: Agreement,
        settings: &Connection,
        now: Instant,
    ) -> Established {
        let length = shorter(settings.ike_lifetime, agreement.seconds);
        Established {
            aggressive: agreement.aggressive,
            keys,
            suite: agreement.suite,
            last_block,
            announced: agreement.announced,
            nat: agreement.nat,
            asked: None,
            answering: Vec::new(),
            done: Vec::new(),
            seen: std::collections::BTreeSet::new(),
            lifetime: self.lifetime(length, now),
            heard: now,
            looking: None,
            probe: None,
            sequence: self.drawn_id() & 0x7fff_ffff,
            peer_sequence: None,
            dpd_timeout: settings.dpd_timeout,
            keepalive: agreement.nat.local.then(|| now + nat::KEEPALIVE),
            leaving: None,
        }
    }

    /// An SA was established; `contact`: the peer says that it has no other with us.
    pub(super) fn settle(&mut self, common: Common, mut state: Established, contact: bool, now: Instant) {
        let Some((name, settings)) = common.connection.clone().zip(self.settings_of_phase(&common)) else {
            return;
        };
        self.connections.contacts.made(&settings);
        let rival = self.current_sa(&name).filter(|spi| *spi != common.spi);
        let rival = rival.and_then(|spi| self.take_phase(spi));
        let at_once = rival.as_ref().is_some_and(|rival| {
            let (one, other) = (rival.common.begun, common.begun);
            let apart = one.max(other).saturating_duration_since(one.min(other));
            rival.common.initiator != common.initiator && apart < AT_ONCE
        });
        if let Some(rival) = rival {
            if at_once && rival.common.spis().0 > common.spis().0 {
                let patience = if common.initiator { UNDER_WAY } else { LEAVING };
                state.leaving = Some(now + patience);
                self.keep_phase(rival.common, rival.state);
                return self.keep_phase(common, State::Established(Box::new(state)));
            }
            self.make_room(rival, (&common, contact && !at_once), now);
        }
        self.unschedule(&name);
        let had = self
            .v1
            .tunnels
            .get(&name)
            .is_some_and(|tunnel| tunnel.children.carry());
        self.run_on(&name, (common.spi, had), now);
        let mut tunnel = self.take_tunnel(&name);
        if contact && !at_once && had {
            self.out
                .push(crate::Action::Report(Event::Replaced(name.clone())));
            self.discard(&mut tunnel);
        }
        tunnel.orphaned = None;
        self.begin_lines_v1(&common, &mut tunnel, &settings, now);
        let state = Box::new(state);
        if had && !contact {
            self.rekeyed(&common, Event::IkeRekeyed);
        }
        self.keep_session(Session {
            name: name.clone(),
            common,
            state,
            tunnel,
        });
        self.attend(&name, now);
    }

    /// Another SA takes the place of this one: an attempt ends, an established SA stays for what is under way.
    fn make_room(&mut self, rival: Phase, (heir, forgotten): (&Common, bool), now: Instant) {
        let Phase { common, state, .. } = rival;
        if let State::Established(mut state) = state {
            if forgotten {
                return;
            }
            let patience = if heir.initiator { UNDER_WAY } else { LEAVING };
            state.leaving = Some(now + patience);
            self.keep_phase(common, State::Established(state));
        } else {
            self.half_open.remove(common.spi);
        }
    }

    /// An attempt of ours is under way. Where Child SAs carry traffic, or an SA stands, the connection stays as it is.
    pub(super) fn attempting(&mut self, name: &ConnectionName, spi: u64, now: Instant) {
        let current = self.current_sa(name);
        let stands = current.and_then(|spi| self.v1.sas.get(&spi)).is_some();
        if stands {
            return;
        }
        let carries = self
            .v1
            .tunnels
            .get(name)
            .is_some_and(|tunnel| tunnel.children.carry());
        self.run_on(name, (spi, carries), now);
    }

    /// The connection runs on this SA from now on; `carries`: it has been up, and stays so.
    fn run_on(&mut self, name: &ConnectionName, (spi, carries): (u64, bool), now: Instant) {
        if let Some(standing) = self.connections.standings.get_mut(name) {
            standing.sa = Some(spi);
            if !carries {
                standing.enter(ConnectionState::Connecting, now);
            }
        }
    }

    /// An attempt of ours failed, or an SA is no more. What its connection still has goes on for a while.
    pub(super) fn attempt_ended(&mut self, common: &Common, outage: Option<Outage>, now: Instant) {
        let Some(name) = common.connection.clone() else {
            return;
        };
        if self.current_sa(&name) != Some(common.spi) {
            // The SA that it was to replace is still there, and tries again.
            let Some(mut session) = self.take_session(&name) else {
                return;
            };
            session.state.lifetime.soft = self.later(now);
            return self.keep_session(session);
        }
        if !self
            .v1
            .tunnels
            .get(&name)
            .is_some_and(|tunnel| tunnel.children.carry())
        {
            let mut tunnel = self.take_tunnel(&name);
            self.discard(&mut tunnel);
            return self.ended(common, outage, now);
        }
        let drawn = self.drawn(1).first().copied().unwrap_or_default();
        if let Some(standing) = self.connections.standings.get_mut(&name) {
            standing.sa = None;
            standing.failures = standing.failures.saturating_add(1);
            let (failures, starts) = (standing.failures, standing.settings.may_start());
            let again = starts && !standing.disconnected && !self.stopping;
            if again {
                self.retry_at(&name, now + crate::connection::wait(failures, drawn));
            }
        }
        if let Some(outage) = outage {
            self.degraded(common, &outage);
        }
        let mut tunnel = self.take_tunnel(&name);
        tunnel.orphaned.get_or_insert(now + LEAVING);
        self.keep_tunnel(&name, tunnel);
    }

    /// An SA in use is no more. If its Child SAs live on, another one is begun at once.
    pub(super) fn phase_gone(&mut self, common: &Common, outage: Outage, now: Instant) {
        let Some(name) = common.connection.clone() else {
            return;
        };
        if self.current_sa(&name) != Some(common.spi) {
            return;
        }
        let carries = self
            .v1
            .tunnels
            .get(&name)
            .is_some_and(|tunnel| tunnel.children.carry());
        self.attempt_ended(common, (!carries).then_some(outage), now);
        if carries {
            self.connect(&name, now);
        }
    }

    /// The peer is gone, or the connection has had its time: nothing of it stays.
    pub(super) fn abandon(&mut self, name: &ConnectionName, outage: Outage, now: Instant) {
        let mut tunnel = self.take_tunnel(name);
        self.discard(&mut tunnel);
        let spi = self.current_sa(name);
        let phase = spi.and_then(|spi| self.take_phase(spi));
        if let Some(standing) = self.connections.standings.get_mut(name) {
            standing.sa = None;
        }
        if let Some(phase) = phase {
            self.delete_if_established(phase);
        }
        self.lost(name, Some(outage), now);
    }

    /// Closes all that a connection has, with Deletes.
    pub(crate) fn dismantle(&mut self, name: &ConnectionName) {
        let of_it = |phase: &Phase| phase.common.connection.as_ref() == Some(name);
        let all = self.v1.sas.iter().filter(|(_, phase)| of_it(phase));
        let all: Vec<_> = all.map(|(spi, _)| *spi).collect();
        let mut tunnel = self.take_tunnel(name);
        for spi in all {
            let Some(phase) = self.take_phase(spi) else {
                continue;
            };
            if let (Some(state), None) = (
                phase.established(),
                phase.established().and_then(|state| state.leaving),
            ) {
                let spis: Vec<u32> = tunnel.children.iter().map(|child| child.agreed.inbound).collect();
                self.delete_children(&phase.common, state, &spis);
            }
            self.delete_if_established(phase);
        }
        self.discard(&mut tunnel);
    }

    /// Forgets every SA that has not authenticated.
    pub(crate) fn drop_half_open_v1(&mut self) {
        let half_open = |phase: &&Phase| phase.common.connection.is_none();
        let all = self.v1.sas.values().filter(half_open);
        let all: Vec<_> = all.map(|phase| phase.common.spi).collect();
        for spi in all {
            self.take_phase(spi);
            self.half_open.remove(spi);
        }
    }

    fn delete_if_established(&mut self, phase: Phase) {
        if let State::Established(mut state) = phase.state {
            self.forget_quick_modes(&mut state);
            let iv = state.last_block.clone();
            self.delete_phase(&phase.common, (&state.keys, &iv));
        }
    }

    /// Tells the peer that this SA is no more; `keys` come with the last block of phase 1.
    pub(super) fn delete_phase(&mut self, common: &Common, keys: (&Keys, &[u8])) {
        let (initiator, responder) = common.spis();
        let delete = Payload::Delete(DeletePayload {
            protocol: protocol::ISAKMP,
            spis: vec![[initiator.to_be_bytes(), responder.to_be_bytes()].concat()],
        });
        self.inform(common, keys, &[delete]);
    }

    /// Tells the peer that Child SAs are no more.
    pub(super) fn delete_children(&mut self, common: &Common, state: &Established, spis: &[u32]) {
        if spis.is_empty() {
            return;
        }
        let spis = spis.iter().map(|spi| spi.to_be_bytes().to_vec());
        let delete = Payload::Delete(DeletePayload {
            protocol: protocol::ESP,
            spis: spis.collect(),
        });
        self.inform(common, (&state.keys, &state.last_block), &[delete]);
    }

    /// Tells the peer under the protection of an SA what is wrong with it.
    pub(super) fn notify_phase(&mut self, common: &Common, keys: (&Keys, &[u8]), kind: u16) {
        let (initiator, responder) = common.spis();
        let notify = Payload::Notify(NotifyPayload {
            protocol: protocol::ISAKMP,
            spi: [initiator.to_be_bytes(), responder.to_be_bytes()].concat(),
            kind,
            data: Vec::new(),
        });
        self.inform(common, keys, &[notify]);
    }

    /// An informational message of ours, which nobody answers.
    pub(super) fn inform(
        &mut self,
        common: &Common,
        (keys, last_block): (&Keys, &[u8]),
        payloads: &[Payload],
    ) {
        let id = self.drawn_id();
        let header = Message::header(common.spis(), exchange::INFORMATIONAL, id);
        let iv = keys.exchange_iv(last_block, id);
        let hash = |behind: &[u8]| keys.hash(id, &[behind]);
        let (bytes, _) = channel::seal_hashed(keys, header, payloads, hash, &iv);
        self.spoke(common, (Side::We, exchange::INFORMATIONAL, None), payloads);
        self.send(common.path, bytes);
    }

    /// Phase 1 is to begin anew while the SA of a connection stands: by us, if we may start it and no NAT stands before the
    /// peer.
    pub(super) fn reauthenticate(&mut self, name: &ConnectionName, now: Instant) {
        let spi = self.current_sa(name);
        let attempt = |phase: &Phase| phase.is_attempt() && phase.common.connection.as_ref() == Some(name);
        if self.v1.sas.values().any(attempt) {
            return;
        }
        let phase = spi.and_then(|spi| self.v1.sas.get(&spi));
        let reachable = phase.filter(|phase| {
            phase
                .established()
                .is_some_and(|state| phase.common.initiator || !state.nat.remote)
        });
        if let Some(path) = reachable.map(|phase| phase.common.path) {
            let settings = self.settings_of(name).filter(|settings| settings.may_start());
            let Some(settings) = settings else { return };
            let port = match &settings.remote {
                crate::Remote::Address(address) => address.port(),
                crate::Remote::Name { port, .. } => *port,
                // From anywhere: only the peer can start.
                crate::Remote::Any => return,
            };
            self.begin_phase(name, (path.remote.ip(), port).into(), now);
        }
    }

    /// What to say when nothing took the place of an SA in time.
    pub(super) fn lifetime_ended_v1(&self, name: &ConnectionName) -> Outage {
        let amiss = self.amiss(name);
        Outage {
            offered: amiss.map_or_else(String::new, |outage| outage.reason.word().to_owned()),
            expected: "a rekey before the end of the lifetime".to_owned(),
            ..Outage::plain(Reason::LifetimeEnded, Side::We, Stage::Established)
        }
    }

    /// A half-open SA has had its time.
    pub(super) fn expired_v1(&mut self, common: &mut Common) {
        common.timers.set(Timer::Expiry, None);
        self.half_open.remove(common.spi);
    }
}
