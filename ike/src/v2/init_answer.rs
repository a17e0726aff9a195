//! IKE_SA_INIT as responder (RFC 7296 §1.2, §2.6, §2.7).

use std::sync::Arc;
use std::time::Instant;

use super::certificates;
use super::extensions::{self, Extensions};
use super::init::{NONCE, exchange_payloads, malformed};
use super::nat::Path;
use super::payloads::{self, Datagram};
use super::state::{Common, IkeSa, InitAnswered, Secrets, State};
use super::timers::Timer;
use crate::additional;
use crate::crypto::KeyAnswer;
use crate::engine::Engine;
use crate::half_open::{Admission, Crowd, Newcomer};
use crate::proposal::{self, IkeSuite};
use crate::rejection::{Rejection, unsupported};
use crate::wire::chain::Walk;
use crate::wire::registry::{exchange, notify, payload};
use crate::wire::{Header, KeyExchangePayload, Message, Payload, SecurityAssociationPayload};
use crate::{Connection, DropCause, Mode, Outage, Reason, Side, Stage};

/// What the responder chose, the payload that says so, and what may be meant that allows it.
type Choice = (IkeSuite, SecurityAssociationPayload, Vec<Arc<Connection>>);

/// The parts of a request.
struct Request<'a> {
    offered: &'a SecurityAssociationPayload,
    key_exchange: &'a KeyExchangePayload,
    nonce: &'a [u8],
    payloads: &'a [Payload],
}

impl<'a> Request<'a> {
    fn check(message: &'a Message) -> Result<Self, Rejection> {
        let payloads = &message.payloads;
        if message.header.message_id != 0 {
            return Err(Rejection::silent(DropCause::UnexpectedMessageId));
        }
        if let Some(rejection) = unsupported(payloads) {
            return Err(rejection);
        }
        let (Some(offered), Some(key_exchange), Some(nonce)) = (
            payloads::security_association(payloads),
            payloads::key_exchange(payloads),
            payloads::nonce(payloads),
        ) else {
            return Err(malformed());
        };
        (message.header.initiator_spi != 0)
            .then_some(())
            .ok_or_else(malformed)?;
        Ok(Self {
            offered,
            key_exchange,
            nonce,
            payloads,
        })
    }
}

/// The nonce and the cookie of a request of which nothing else is read.
fn glance(datagram: &Datagram) -> Option<(&[u8], Option<&[u8]>)> {
    let (mut nonce, mut cookie) = (None, None);
    let body = datagram.bytes.get(Header::LENGTH..)?;
    for raw in Walk::new(datagram.header.next_payload, body) {
        let raw = raw.ok()?;
        if raw.kind == payload::NONCE {
            nonce = nonce.or(Some(raw.body));
        } else if let (payload::NOTIFY, Some((head, data))) = (raw.kind, raw.body.split_first_chunk::<4>())
            && head.ends_with(&notify::COOKIE.to_be_bytes())
        {
            let spi_octets = usize::from(head.get(1).copied()?);
            cookie = cookie.or(data.get(spi_octets..));
        }
    }
    Some((nonce?, cookie))
}

impl Engine {
    /// A request from somebody who has no IKE SA with us yet.
    pub(crate) fn newcomer(&mut self, datagram: &Datagram, now: Instant) {
        let spi = datagram.header.initiator_spi;
        let ours = self.sas.get(&spi);
        if ours.is_some_and(|sa| sa.common.initiator) || self.trials.contains_key(&spi) {
            // Our own request, thrown back at us: with ourselves there is nothing to agree.
            return self.dropped(datagram.remote, Some(DropCause::UnexpectedExchange));
        }
        // In the order of what it costs: nobody is read whose address we do not know, and under load nobody who has not
        // shown that the address is its own.
        if !self.expects(datagram.path()) {
            return self.dropped(datagram.remote, Some(DropCause::NoConnection));
        }
        if let Some(spi) = self.half_open.started(datagram.remote, &datagram.bytes) {
            return self.repeat_init(spi, datagram);
        }
        let answered = self.admit(datagram, now).and_then(|()| {
            let message = Message::decode(&datagram.bytes).map_err(|_| malformed())?;
            let request = Request::check(&message)?;
            self.answer_init(&request, datagram, now)
        });
        if let Err(rejection) = answered {
            self.reject(datagram, rejection, now);
        }
    }

    /// The same request again gets the same answer, unless its sender has gone further.
    fn repeat_init(&mut self, spi: u64, datagram: &Datagram) {
        let known = self.sas.get(&spi).and_then(IkeSa::init_answer).cloned();
        match known {
            Some(answer) => self.send(datagram.path(), answer),
            None => self.dropped(datagram.remote, Some(DropCause::UnexpectedMessageId)),
        }
    }

    /// Keeps the cost of strangers within bounds (§2.6).
    fn admit(&mut self, datagram: &Datagram, now: Instant) -> Result<(), Rejection> {
        let (nonce, cookie) = glance(datagram).ok_or_else(malformed)?;
        let newcomer = Newcomer {
            address: datagram.remote,
            spi: datagram.header.initiator_spi,
            nonce,
            cookie,
        };
        match self
            .half_open
            .admit(&newcomer, self.limits, self.random.as_mut(), now)
        {
            Admission::Admitted => Ok(()),
            Admission::Refused(Crowd { found, most, of_one }) => {
                let whose = if of_one { " of one address" } else { "" };
                let outage = Outage {
                    offered: format!("{found} half-open IKE SAs{whose}"),
                    expected: format!("at most {most}"),
                    ..Outage::plain(Reason::HalfOpenLimit, Side::We, Stage::IkeSaInit)
                };
                Err(Rejection {
                    outage: Some(outage),
                    ..Rejection::silent(DropCause::HalfOpenLimit)
                })
            }
            Admission::Challenged(cookie) => Err(Rejection::answered(
                Some(DropCause::Cookie),
                notify::COOKIE,
                cookie,
            )),
        }
    }

    fn answer_init(
        &mut self,
        request: &Request<'_>,
        datagram: &Datagram,
        now: Instant,
    ) -> Result<(), Rejection> {
        let (suite, chosen, welcoming) = self.choose(request, datagram.path())?;
        if request.key_exchange.group != suite.group.id() {
            let wanted = suite.group.id().to_be_bytes().to_vec();
            return Err(Rejection::answered(None, notify::INVALID_KE_PAYLOAD, wanted));
        }
        let exchange = KeyAnswer::new(suite.group, &request.key_exchange.data, self.random.as_mut())
            .map_err(|_| malformed())?;
        let forced = welcoming.iter().any(|settings| settings.force_encapsulation);
        let (initiator_spi, spi) = (datagram.header.initiator_spi, self.fresh_spi());
        let path = datagram.path();
        let nonce = self.drawn(NONCE);
        let mut payloads = vec![Payload::SecurityAssociation(chosen)];
        payloads.extend(exchange_payloads((suite.group, exchange.public()), &nonce));
        payloads.extend(path.notifies((initiator_spi, spi), forced));
        let announced = Extensions::announced(request.payloads);
        let (agreed, answers) = extensions::answered(announced, welcoming.iter().map(AsRef::as_ref));
        payloads.extend(extensions::announcements());
        payloads.extend(answers);
        payloads.extend(certificates::request(welcoming.iter().map(AsRef::as_ref)));
        let header = Header::new(initiator_spi, spi, exchange::IKE_SA_INIT, Header::RESPONSE, 0);
        let answer = Message { header, payloads }.encode();
        self.send(path, answer.clone());
        let mut common = Common::new((spi, initiator_spi), path, now);
        common.extensions = agreed;
        let smallest = welcoming.iter().map(|settings| settings.fragment_size).min();
        let longest = common.longest_message(smallest.unwrap_or(Connection::FRAGMENT_SIZE));
        let state = InitAnswered {
            request: datagram.bytes.clone(),
            answer,
            suite,
            initiator_nonce: request.nonce.to_vec(),
            responder_nonce: nonce,
            nat: path.detect((initiator_spi, 0), request.payloads, forced),
            longest,
            next: 1,
            answered: None,
            secrets: Secrets::Owed(exchange),
        };
        let expiry = now + self.limits.half_open_timeout;
        common.timers.set(Timer::Expiry, Some(expiry));
        self.half_open.insert(path.remote, &datagram.bytes, spi);
        self.keep(common, State::InitAnswered(Box::new(state)));
        Ok(())
    }

    /// What the first connection with a common proposal takes that may be meant.
    fn choose(&self, request: &Request<'_>, path: Path) -> Result<Choice, Rejection> {
        let group = request.key_exchange.group;
        let mut allowed = self.welcomes(path);
        allowed.retain(|settings| settings.mode != Mode::InitiatorOnly);
        let intermediate = Extensions::announced(request.payloads).intermediate;
        let chosen = allowed.iter().find_map(|settings| {
            let usable = additional::usable(&settings.ike_proposals, intermediate);
            proposal::choose_ike(request.offered, &usable, group)
        });
        let Some((suite, answer)) = chosen else {
            if allowed.is_empty() {
                let cause = Some(DropCause::NoConnection);
                return Err(Rejection::answered(cause, notify::NO_PROPOSAL_CHOSEN, Vec::new()));
            }
            let expected = allowed
                .iter()
                .map(|settings| proposal::words(&proposal::offer_ike(&settings.ike_proposals)));
            let expected = expected.collect::<Vec<_>>().join(", ");
            let outage = Outage {
                offered: proposal::words(request.offered),
                expected,
                ..Outage::plain(Reason::IkeProposalMismatch, Side::We, Stage::IkeSaInit)
            };
            return Err(Rejection::refused(notify::NO_PROPOSAL_CHOSEN, outage));
        };
        allowed.retain(|settings| proposal::allows(&settings.ike_proposals, suite));
        Ok((suite, answer, allowed))
    }
}
