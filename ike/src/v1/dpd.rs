//! Whether the peer is there (RFC 3706).

use std::time::{Duration, Instant};

use super::phases::Session;
use super::state::Established;
use crate::engine::Engine;
use crate::v2::child::Child;
use crate::v2::payloads::Datagram;
use crate::v2::window::{Overdue, Retransmission};
use crate::wire::v1::registry::{notify, protocol};
use crate::wire::v1::{NotifyPayload, Payload};
use crate::{Action, ChildId, DropCause, Outage, Reason, Side, Stage};

/// How long the datapath may take to tell what came.
const LOOK: Duration = Duration::from_secs(1);

/// A question whether the peer is there, by the number that was asked last. It is sent again with another message id.
pub(crate) struct Probe {
    pub(crate) request: Retransmission,
}

impl Established {
    /// How long the peer may be silent before it must show that it is there: so late that the check, with all its
    /// retransmissions, ends when the silence has lasted for the configured time.
    pub(super) fn probe_after(&self) -> Duration {
        self.dpd_timeout
            .saturating_sub(Retransmission::longest())
            .max(self.dpd_timeout / 3)
    }

    /// When the peer is looked for next; never if it does not know the question.
    pub(super) fn next_look(&self) -> Option<Instant> {
        let quiet = self.heard + self.probe_after();
        let due = self.looking.unwrap_or(quiet);
        match &self.probe {
            Some(probe) => Some(probe.request.due()),
            None => self.announced.dead_peers.then_some(due),
        }
    }
}

impl Engine {
    /// A question or an answer of ours.
    fn dpd_message(&mut self, session: &Session, (kind, data): (u16, Vec<u8>)) {
        let (initiator, responder) = session.common.spis();
        let notify = Payload::Notify(NotifyPayload {
            protocol: protocol::ISAKMP,
            spi: [initiator.to_be_bytes(), responder.to_be_bytes()].concat(),
            kind,
            data,
        });
        let keys = (&session.state.keys, session.state.last_block.as_slice());
        self.inform(&session.common, keys, &[notify]);
    }

    /// The peer asks whether we are there, or answers our question.
    pub(super) fn dpd_arrived(&mut self, session: &mut Session, found: &NotifyPayload, datagram: &Datagram) {
        let sequence = <[u8; 4]>::try_from(found.data.as_slice()).map(u32::from_be_bytes);
        let (initiator, responder) = session.common.spis();
        let cookies = [initiator.to_be_bytes(), responder.to_be_bytes()].concat();
        let Some(sequence) = sequence.ok().filter(|_| found.spi == cookies) else {
            return self.dropped(datagram.remote, Some(DropCause::Malformed));
        };
        let state = &mut session.state;
        if found.kind == notify::R_U_THERE {
            // RFC 3706 §6.1: one that lies behind is somebody's repetition.
            let behind = |last: u32| sequence.wrapping_sub(last) >= 1 << 31;
            if state.peer_sequence.is_some_and(behind) {
                return self.dropped(datagram.remote, Some(DropCause::UnexpectedMessageId));
            }
            state.peer_sequence = Some(sequence);
            self.dpd_message(session, (notify::R_U_THERE_ACK, found.data.clone()));
        } else if sequence != state.sequence {
            self.dropped(datagram.remote, Some(DropCause::UnexpectedMessageId));
        }
    }

    /// The peer has been silent for long: what came by its children shows as well that it is there, so the datapath is asked
    /// first. Whether the peer is still there, as far as we know.
    pub(super) fn look_v1(&mut self, session: &mut Session, now: Instant) -> bool {
        let overdue = session.state.probe.as_mut().map(|probe| probe.request.tick(now));
        match overdue {
            Some(Overdue::Wait) => return true,
            Some(Overdue::GiveUp) => return false,
            Some(Overdue::Again(_)) => {
                let data = session.state.sequence.to_be_bytes().to_vec();
                self.dpd_message(session, (notify::R_U_THERE, data));
                return true;
            }
            None => {}
        }
        let asked = session.state.looking.take().is_some();
        let children = session.tunnel.children.iter();
        let carried: Vec<ChildId> = children
            .filter(|child| child.installed.is_some())
            .map(|child| child.id)
            .collect();
        if !asked && !carried.is_empty() {
            session.state.looking = Some(now + LOOK);
            self.out.push(Action::AskTraffic(carried));
        } else {
            self.probe_v1(session, now);
        }
        true
    }

    fn probe_v1(&mut self, session: &mut Session, now: Instant) {
        let state = &mut session.state;
        state.sequence = state.sequence.wrapping_add(1);
        let data = state.sequence.to_be_bytes().to_vec();
        let request = Retransmission::new(Vec::new(), now);
        state.probe = Some(Probe { request });
        self.dpd_message(session, (notify::R_U_THERE, data));
    }

    /// What came by the children of a connection until now.
    pub(super) fn traffic_v1(&mut self, session: &mut Session, counts: &[(ChildId, u64)], now: Instant) {
        let mut moved = false;
        for (id, packets) in counts {
            if let Some(child) = session.tunnel.children.get_mut(*id) {
                let Child { received, .. } = child;
                moved |= *packets > *received;
                *received = *packets;
            }
        }
        let looking = session.state.looking.take().is_some();
        if moved {
            let about = now.checked_sub(session.state.probe_after() / 2).unwrap_or(now);
            session.state.heard = about.max(session.state.heard);
        } else if looking {
            self.probe_v1(session, now);
        }
    }

    /// What it means that the peer does not answer any more.
    pub(super) fn silence(&self, session: &Session) -> Outage {
        Outage {
            offered: format!("requests to {}", session.common.path.remote),
            expected: "an answer".to_owned(),
            ..Outage::plain(Reason::PeerSilent, Side::We, Stage::Established)
        }
    }
}
