//! Informational exchanges (RFC 2409 §5.7): nothing in them counts unless their hash is right and their id is new.

use std::time::Instant;

use super::channel::Opened;
use super::main_mode::{is_first_contact, same};
use super::phases::Session;
use super::proposal;
use super::quick_mode::Step;
use super::state::State;
use crate::engine::Engine;
use crate::v2::payloads::Datagram;
use crate::wire::v1::registry::{exchange, notify, protocol};
use crate::wire::v1::{DeletePayload, Message, NotifyPayload, Payload};
use crate::{Action, ConnectionName, DropCause, Encapsulation, Event, Outage, Reason, Side, Stage};

impl Engine {
    /// An informational message arrived for an established SA.
    pub(super) fn informational_arrived(&mut self, mut session: Session, datagram: &Datagram, now: Instant) {
        if !Message::is_encrypted(&datagram.header) {
            self.dropped(datagram.remote, Some(DropCause::Unprotected));
            return self.keep_session(session);
        }
        let id = datagram.header.message_id;
        let keys = &session.state.keys;
        let iv = session.state.iv(id);
        let opened = Opened::of(keys, (&datagram.header, &datagram.bytes), &iv);
        let genuine = opened.filter(|opened| {
            let hashed = opened.hashed();
            hashed.is_some_and(|(hash, behind)| same(hash, &keys.hash(id, &[behind])))
        });
        let Some(opened) = genuine else {
            self.dropped(datagram.remote, Some(DropCause::IntegrityFailed));
            return self.keep_session(session);
        };
        if !self.is_fresh(&mut session, datagram) {
            return self.keep_session(session);
        }
        let what = (Side::Peer, exchange::INFORMATIONAL, None);
        self.spoke(&session.common, what, &opened.payloads);
        self.heard_v1(&mut session, datagram, now);
        if is_first_contact(&opened.payloads) {
            self.forget_others(&mut session);
        }
        let mut closed = false;
        for payload in &opened.payloads {
            if let Payload::Notify(found) = payload {
                self.notified(&mut session, (found, datagram), now);
            } else if let Payload::Delete(delete) = payload {
                closed |= self.deleted_by_peer(&mut session, delete, now);
            }
        }
        let name = session.name.clone();
        if turned_away(&session, &opened.payloads) {
            let outage = Outage::plain(Reason::AuthenticationFailed, Side::Peer, Stage::AggressiveMode);
            self.closed_by_peer(session, outage, now);
        } else if closed {
            let outage = Outage::plain(Reason::DeletedByPeer, Side::Peer, Stage::Established);
            self.closed_by_peer(session, outage, now);
        } else {
            self.keep_session(session);
        }
        self.attend(&name, now);
    }

    /// A genuine, new message of the peer: it is there, and, behind a NAT, at this address.
    pub(super) fn heard_v1(&mut self, session: &mut Session, datagram: &Datagram, now: Instant) {
        let Session {
            name,
            common,
            state,
            tunnel,
        } = session;
        (state.heard, state.probe, state.looking) = (now, None, None);
        state.done.retain(|done| done.until > now);
        if !state.nat.remote || common.path == datagram.path() {
            return;
        }
        common.path = datagram.path();
        let (local, remote) = (common.path.local, common.path.remote);
        for child in tunnel.children.iter().filter(|child| child.installed.is_some()) {
            self.out.push(Action::MoveChild {
                child: child.id,
                local,
                remote,
                encapsulation: Encapsulation::Udp,
            });
        }
        self.out
            .push(Action::Report(Event::PeerMoved(name.clone(), remote)));
    }

    fn notified(
        &mut self,
        session: &mut Session,
        (found, datagram): (&NotifyPayload, &Datagram),
        now: Instant,
    ) {
        match found.kind {
            notify::R_U_THERE | notify::R_U_THERE_ACK => self.dpd_arrived(session, found, datagram),
            _ if found.is_error() => self.quick_refused(session, found, now),
            _ => {}
        }
    }

    /// The peer says no to our quick mode: under protection, so it was the peer.
    fn quick_refused(&mut self, session: &mut Session, found: &NotifyPayload, now: Instant) {
        let sent = |asked: &mut Box<super::quick_mode::QuickMode>| matches!(asked.step, Step::Sent(_));
        let Some(asked) = session.state.asked.take_if(sent) else {
            return;
        };
        if let Step::Sent(sent) = &asked.step {
            self.forget_child_spi(sent.inbound);
        }
        let settings = self.settings_of(&session.name);
        let transport = session.state.transport();
        let (reason, offered) = match found.kind {
            notify::NO_PROPOSAL_CHOSEN => {
                let offer = settings.map(|settings| proposal::offer_phase2(&settings, 0, transport));
                let words = offer.map(|offer| proposal::words(&offer, Some(transport)));
                (Reason::ChildProposalMismatch, words.unwrap_or_default())
            }
            notify::INVALID_ID_INFORMATION => (Reason::SelectorMismatch, asked.purpose.selectors.to_string()),
            kind => (Reason::ProtocolError, format!("notify {kind}")),
        };
        let outage = Outage {
            offered,
            ..Outage::plain(reason, Side::Peer, Stage::QuickMode)
        };
        self.refused_line(session, (asked.purpose, outage), now);
    }

    /// The peer has no other SA with us: all others of the connection are forgotten.
    fn forget_others(&mut self, session: &mut Session) {
        let own = session.common.spi;
        for spi in self.others(&session.name) {
            if spi != own {
                self.take_phase(spi);
            }
        }
    }

    fn others(&self, name: &ConnectionName) -> Vec<u64> {
        let of_it = self.v1.sas.values().filter(|phase| {
            let established = matches!(phase.state, State::Established(_));
            established && phase.common.connection.as_ref() == Some(name)
        });
        of_it.map(|phase| phase.common.spi).collect()
    }

    /// The peer deletes SAs; whether this one is among them.
    fn deleted_by_peer(&mut self, session: &mut Session, delete: &DeletePayload, now: Instant) -> bool {
        if delete.protocol == protocol::ESP {
            let spis = delete
                .spis
                .iter()
                .filter_map(|spi| <[u8; 4]>::try_from(spi.as_slice()).ok());
            for outbound in spis.map(u32::from_be_bytes) {
                self.child_deleted(session, outbound, now);
            }
            return false;
        }
        let mut closed = false;
        let cookies = delete.spis.iter().filter(|_| delete.protocol == protocol::ISAKMP);
        for spi in cookies.filter_map(|spi| <[u8; 16]>::try_from(spi.as_slice()).ok()) {
            let both = u128::from_be_bytes(spi);
            let named = |(initiator, responder): (u64, u64)| {
                both == (u128::from(initiator) << 64 | u128::from(responder))
            };
            closed |= named(session.common.spis());
            for other in self.others(&session.name) {
                let known = self.v1.sas.get(&other);
                if known.is_some_and(|phase| named(phase.common.spis()))
                    && self.current_sa(&session.name) != Some(other)
                {
                    self.take_phase(other);
                }
            }
        }
        closed
    }

    /// The peer closed the SA; if others of its Child SAs live on, another SA is begun at once.
    fn closed_by_peer(&mut self, session: Session, outage: Outage, now: Instant) {
        let Session {
            name,
            common,
            mut state,
            tunnel,
        } = session;
        self.forget_quick_modes(&mut state);
        self.keep_tunnel(&name, tunnel);
        self.phase_gone(&common, outage, now);
    }
}

/// Whether the peer does not believe what we proved last in aggressive mode, which nothing answers where it is good.
fn turned_away(session: &Session, payloads: &[Payload]) -> bool {
    let mut all = payloads.iter();
    let last = session.state.aggressive && session.common.initiator && !session.tunnel.children.carry();
    last && all.any(
        |payload| matches!(payload, Payload::Notify(found) if found.kind == notify::AUTHENTICATION_FAILED),
    )
}
