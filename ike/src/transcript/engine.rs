use std::time::{Duration, Instant};

use super::line::LogLine;
use super::{version1, version2};
use crate::engine::Engine;
use crate::v1::proposal::Transport;
use crate::v1::state::Agreement;
use crate::v2::payloads::Datagram;
use crate::v2::state::{Common, InitAnswered};
use crate::wire::registry::exchange;
use crate::wire::v1::registry::exchange as exchange1;
use crate::wire::{Header, Message, Payload, v1};
use crate::{Action, ConnectionName, DropCause, Event, Side};

/// Between two things told of a connection that anybody can bring about at least this long passes.
const BETWEEN_STRANGERS: Duration = Duration::from_secs(1);

impl Engine {
    /// We send a message of IKEv2: its exchange, id and whether it answers.
    pub(crate) fn wrote(&mut self, common: &Common, of: (u8, u32, bool), payloads: &[Payload]) {
        if let Some(name) = &common.connection {
            let says = version2::says(of, payloads);
            self.log(name.clone(), LogLine::of_version_2(Side::We, of, says));
        }
    }

    /// A genuine message of IKEv2 arrived, or one that may be, where nothing protects it.
    pub(crate) fn read(&mut self, common: &Common, header: &Header, payloads: &[Payload]) {
        if let Some(name) = &common.connection {
            let of = of(header);
            let says = version2::says(of, payloads);
            self.log(name.clone(), LogLine::of_version_2(Side::Peer, of, says));
        }
    }

    /// We send a message again, or the peer did: the first one for the `repeat`th time after the first.
    pub(crate) fn repeated(&mut self, common: &Common, side: Side, bytes: &[u8], repeat: u32) {
        let (first, _) = Header::split_first(bytes);
        if let (Some(name), Ok(header)) = (&common.connection, Header::decode(first)) {
            let line = LogLine::of_version_2(side, of(&header), String::new());
            self.log(name.clone(), LogLine { repeat, ..line });
        }
    }

    /// We send IKE_SA_INIT, which nothing protects.
    pub(crate) fn wrote_init(&mut self, common: &Common, bytes: &[u8]) {
        if let Ok(message) = Message::decode(bytes) {
            self.wrote(common, of(&message.header), &message.payloads);
        }
    }

    /// A responder knows now, from the payloads of an IKE_AUTH request, which connection it is that began with IKE_SA_INIT.
    pub(crate) fn began(
        &mut self,
        (name, common): (&ConnectionName, &Common),
        (state, payloads): (&InitAnswered, &[Payload]),
        now: Instant,
    ) {
        let ago = now.saturating_duration_since(common.begun);
        for (side, bytes) in [(Side::Peer, &state.request), (Side::We, &state.answer)] {
            if let Ok(message) = Message::decode(bytes) {
                let of = of(&message.header);
                let says = version2::says(of, &message.payloads);
                let line = LogLine::of_version_2(side, of, says);
                self.log(name.clone(), LogLine { ago, ..line });
            }
        }
        let of = (exchange::IKE_AUTH, state.next, false);
        let says = version2::says(of, payloads);
        self.log(name.clone(), LogLine::of_version_2(Side::Peer, of, says));
    }

    /// We refuse an IKE_AUTH of somebody who may have been the peer of this connection; told now and then, for anybody can be
    /// refused as often as they like.
    pub(crate) fn told_refused(
        &mut self,
        name: &ConnectionName,
        common: &Common,
        asked: (&InitAnswered, &[Payload]),
        now: Instant,
    ) {
        if self.may_tell(name, now) {
            self.began((name, common), asked, now);
        }
    }

    /// Whether something that anybody can have us tell is to be told of a connection once more.
    fn may_tell(&mut self, name: &ConnectionName, now: Instant) -> bool {
        let Some(standing) = self.connections.standings.get_mut(name) else {
            return false;
        };
        let recent = |told: Instant| now.saturating_duration_since(told) < BETWEEN_STRANGERS;
        let may = !standing.stranger_told.is_some_and(recent);
        if may {
            standing.stranger_told = Some(now);
        }
        may
    }

    /// A message of IKEv1 that we send (`side` is we) or that arrived: its exchange and its place in that, if it has one.
    pub(crate) fn spoke(
        &mut self,
        common: &Common,
        (side, exchange, number): (Side, u8, Option<u8>),
        payloads: &[v1::Payload],
    ) {
        if let Some(name) = &common.connection {
            let line = LogLine::of_version_1(side, (exchange, number), version1::says(payloads));
            self.log(name.clone(), line);
        }
    }

    /// The same of quick mode, whose proposals go by how ESP travels.
    pub(crate) fn spoke_quick(
        &mut self,
        (common, transport): (&Common, Transport),
        (side, number): (Side, u8),
        payloads: &[v1::Payload],
    ) {
        if let Some(name) = &common.connection {
            let says = version1::says_of_quick_mode(payloads, Some(transport));
            let of = (exchange1::QUICK_MODE, Some(number));
            self.log(name.clone(), LogLine::of_version_1(side, of, says));
        }
    }

    /// A message of IKEv1 arrived that nothing protects.
    pub(crate) fn spoke_clear(&mut self, common: &Common, datagram: &Datagram, number: Option<u8>) {
        if let Ok(message) = v1::Message::decode(&datagram.bytes) {
            let what = (Side::Peer, message.header.exchange_type, number);
            self.spoke(common, what, &message.payloads);
        }
    }

    /// A responder knows now, from a proof, which connection it is that began phase 1 with these messages.
    pub(crate) fn began_v1(
        &mut self,
        (common, exchange): (&Common, u8),
        agreement: &Agreement,
        now: Instant,
    ) {
        let Some(name) = &common.connection else { return };
        let ago = now.saturating_duration_since(common.begun);
        let offer = v1::SecurityAssociationPayload::decode(&agreement.said.offer);
        let offered = offer.map(|offer| version1::says(&[v1::Payload::SecurityAssociation(offer)]));
        let chosen = format!("SA {}{}", agreement.suite, agreement.method.word());
        let first = LogLine::of_version_1(Side::Peer, (exchange, Some(1)), offered.unwrap_or_default());
        let second = LogLine::of_version_1(Side::We, (exchange, Some(2)), chosen);
        for line in [first, second] {
            self.log(name.clone(), LogLine { ago, ..line });
        }
        if !agreement.aggressive {
            for (side, number) in [(Side::Peer, 3), (Side::We, 4)] {
                let line = LogLine::of_version_1(side, (exchange, Some(number)), String::new());
                self.log(name.clone(), line);
            }
        }
    }

    /// The first message of somebody whom we refuse, and who may be the peer of this connection; told now and then.
    pub(crate) fn told_first(&mut self, name: &ConnectionName, datagram: &Datagram, now: Instant) {
        if !self.may_tell(name, now) {
            return;
        }
        let header = &datagram.header;
        let line = if header.major_version() == 1 {
            let message = v1::Message::decode(&datagram.bytes);
            let says = message.map(|message| version1::says(&message.payloads));
            LogLine::of_version_1(
                Side::Peer,
                (header.exchange_type, Some(1)),
                says.unwrap_or_default(),
            )
        } else {
            let message = Message::decode(&datagram.bytes);
            let says = message.map(|message| version2::says(of(header), &message.payloads));
            LogLine::of_version_2(Side::Peer, of(header), says.unwrap_or_default())
        };
        self.log(name.clone(), line);
    }

    /// A message of IKEv1 again.
    pub(crate) fn spoke_again(&mut self, common: &Common, what: (Side, u8, Option<u8>), repeat: u32) {
        let (side, exchange, number) = what;
        if let Some(name) = &common.connection {
            let line = LogLine::of_version_1(side, (exchange, number), String::new());
            self.log(name.clone(), LogLine { repeat, ..line });
        }
    }

    /// If this message was dropped (what the engine asks for since then, `before`, says so): tells that of the connection of its SA, or else of those that may
    /// have been meant.
    pub(crate) fn log_dropped(&mut self, datagram: &Datagram, before: usize, now: Instant) {
        let mut since = self.out.iter().skip(before);
        let dropped = since.find_map(|action| {
            if let Action::Report(Event::Dropped(_, cause)) = action {
                Some(*cause).filter(|cause| *cause != DropCause::CommitBit)
            } else {
                None
            }
        });
        let Some(cause) = dropped else { return };
        let header = &datagram.header;
        let spis = [header.initiator_spi, header.responder_spi];
        let known = spis.iter().find_map(|spi| {
            let phase = self.v1.sas.get(spi).map(|phase| &phase.common);
            let common = self.sas.get(spi).map(|sa| &sa.common).or(phase);
            common?.connection.clone()
        });
        let names = known.map_or_else(|| self.suspects(datagram.path()), |name| vec![name]);
        for name in names {
            if !self.may_tell(&name, now) {
                continue;
            }
            let line = if header.major_version() == 1 {
                LogLine::of_version_1(Side::Peer, (header.exchange_type, None), String::new())
            } else {
                LogLine::of_version_2(Side::Peer, of(header), String::new())
            };
            self.log(
                name,
                LogLine {
                    dropped: Some(cause),
                    ..line
                },
            );
        }
    }

    fn log(&mut self, name: ConnectionName, line: LogLine) {
        self.out.push(Action::Log(name, line));
    }
}

/// What a header says of its message.
fn of(header: &Header) -> (u8, u32, bool) {
    (header.exchange_type, header.message_id, header.is_response())
}
