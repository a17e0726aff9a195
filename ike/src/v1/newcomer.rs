//! First messages, from somebody who has no SA with us yet: whether they are answered at all, and what is said against them.

use std::time::Instant;

use super::main_mode::malformed;
use super::proposal;
use super::state::State;
use crate::engine::Engine;
use crate::rejection::Rejection;
use crate::v2::payloads::Datagram;
use crate::wire::v1::registry::{exchange, notify, protocol};
use crate::wire::v1::{Message, NotifyPayload, Payload, SecurityAssociationPayload};
use crate::{Connection, DropCause, Outage, Reason, Side, Stage};

impl Engine {
    /// Message 1, from somebody who has no SA with us yet.
    pub(super) fn newcomer_v1(&mut self, datagram: &Datagram, now: Instant) {
        let welcomes = self.welcomes_v1(datagram.path());
        if welcomes.is_empty() {
            return self.nobody_answers(datagram);
        }
        if let Some(spi) = self.half_open.started(datagram.remote, &datagram.bytes) {
            return self.repeat_first(spi, datagram);
        }
        let room = self.half_open.has_room(datagram.remote, self.limits);
        let answered = room
            .map_err(|crowd| crowded(crowd, Stage::MainMode))
            .and_then(|()| {
                let message = Message::decode(&datagram.bytes).map_err(|_| malformed())?;
                self.answer_proposal(&message, (datagram, &welcomes), now)
            });
        if let Err(rejection) = answered {
            self.reject_v1(datagram, &rejection, now);
        }
    }

    /// No connection may answer a message 1 on this path.
    pub(super) fn nobody_answers(&mut self, datagram: &Datagram) {
        let cause = if self.expects(datagram.path()) {
            DropCause::UnsupportedVersion
        } else {
            DropCause::NoConnection
        };
        self.dropped(datagram.remote, Some(cause));
    }

    /// The same message again gets the same answer, unless its sender has gone further.
    pub(super) fn repeat_first(&mut self, spi: u64, datagram: &Datagram) {
        let known = self.v1.sas.get(&spi).and_then(|phase| {
            if let State::ProposalAnswered(state) = &phase.state {
                Some(state.answer.clone())
            } else if let State::AggressiveAnswered(state) = &phase.state {
                Some(state.answer.bytes.clone())
            } else {
                None
            }
        });
        match known {
            Some(answer) => self.send(datagram.path(), answer),
            None => self.dropped(datagram.remote, Some(DropCause::UnexpectedMessageId)),
        }
    }

    /// Refuses message 1: the outage is told of who may have been meant, and the peer hears why, now and then.
    pub(super) fn reject_v1(&mut self, datagram: &Datagram, rejection: &Rejection, now: Instant) {
        self.dropped(datagram.remote, rejection.cause);
        let Some(outage) = &rejection.outage else { return };
        for name in self.suspects(datagram.path()) {
            self.told_first(&name, datagram, now);
            self.noted(&name, outage, now);
        }
        if outage.reason == Reason::IkeProposalMismatch && self.may_answer_stranger(now) {
            self.complain(datagram, notify::NO_PROPOSAL_CHOSEN);
        }
    }

    /// Says without protection what is wrong.
    pub(super) fn complain(&mut self, datagram: &Datagram, kind: u16) {
        let cookies = (datagram.header.initiator_spi, datagram.header.responder_spi);
        let id = self.drawn_id();
        let header = Message::header(cookies, exchange::INFORMATIONAL, id);
        let payloads = vec![Payload::Notify(NotifyPayload {
            protocol: protocol::ISAKMP,
            spi: Vec::new(),
            kind,
            data: Vec::new(),
        })];
        self.send(datagram.path(), Message { header, payloads }.encode());
    }
}

/// Nothing that is offered is among what these connections take.
pub(super) fn nothing_in_common<'c>(
    offered: &SecurityAssociationPayload,
    candidates: impl Iterator<Item = &'c Connection>,
    stage: Stage,
) -> Rejection {
    let expected = candidates.map(|settings| proposal::words(&proposal::offer_phase1(settings), None));
    Rejection {
        cause: None,
        answer: None,
        outage: Some(Outage {
            offered: proposal::words(offered, None),
            expected: expected.collect::<Vec<_>>().join(", "),
            ..Outage::plain(Reason::IkeProposalMismatch, Side::We, stage)
        }),
    }
}

/// There is no room for one more.
pub(super) fn crowded(crowd: crate::half_open::Crowd, stage: Stage) -> Rejection {
    let whose = if crowd.of_one { " of one address" } else { "" };
    let outage = Outage {
        offered: format!("{} half-open IKE SAs{whose}", crowd.found),
        expected: format!("at most {}", crowd.most),
        ..Outage::plain(Reason::HalfOpenLimit, Side::We, stage)
    };
    Rejection {
        outage: Some(outage),
        ..Rejection::silent(DropCause::HalfOpenLimit)
    }
}
