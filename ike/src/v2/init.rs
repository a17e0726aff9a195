//! IKE_SA_INIT, both roles (RFC 7296 §1.2, §2.6, §2.7).

use std::time::Instant;

use super::auth::AuthSent;
use super::channel::Channel;
use super::keys::Said;
use super::nat::{Nat, Path};
use super::payloads::{self, Datagram};
use super::state::{Common, IkeSa, InitAnswered, Secrets, State};
use super::timers::Timer;
use super::window::Retransmission;
use crate::crypto::{Group, KeyExchange};
use crate::engine::Engine;
use crate::half_open::{Admission, Newcomer};
use crate::proposal::{self, IkeSuite};
use crate::rejection::{Rejection, unsupported};
use crate::wire::registry::{exchange, notify};
use crate::wire::{Header, KeyExchangePayload, Message, NoncePayload, Payload, SecurityAssociationPayload};
use crate::{Connection, ConnectionName, DropCause, Mode, Outage, Reason, Side, Stage};

/// How often one attempt may start again for a cookie or another group, which anyone may have asked for.
const RESTARTS: u8 = 6;
const NONCE: usize = 32;

/// Initiator: the request is on its way.
pub(crate) struct InitSent {
    pub(crate) nonce: Vec<u8>,
    pub(crate) request: Retransmission,
    /// What the peer, or somebody else, said against it.
    pub(crate) refused: Option<Outage>,
    exchange: KeyExchange,
    cookie: Option<Vec<u8>>,
    restarts: u8,
}

/// What an answer to our request asks for.
enum Answer {
    Agreed(Agreed),
    Cookie(Vec<u8>),
    Group(Group),
}

/// What both sides agreed on.
struct Agreed {
    suite: IkeSuite,
    responder_nonce: Vec<u8>,
    public: Vec<u8>,
    nat: Nat,
}

/// What the responder chose, the payload that says so, and the connections that allow it.
type Choice = (IkeSuite, SecurityAssociationPayload, Vec<ConnectionName>);

/// The parts of a request.
struct Request<'a> {
    offered: &'a SecurityAssociationPayload,
    key_exchange: &'a KeyExchangePayload,
    nonce: &'a [u8],
    cookie: Option<&'a [u8]>,
    payloads: &'a [Payload],
}

impl InitSent {
    /// Judges an answer, which anyone may have sent (RFC 7296 §2.4).
    fn check(&self, common: &Common, message: &Message, settings: &Connection) -> Result<Answer, Rejection> {
        let payloads = &message.payloads;
        if let Some(cookie) = payloads::notify(payloads, notify::COOKIE) {
            let sound = (1..=64).contains(&cookie.data.len()) && message.header.responder_spi == 0;
            return if sound {
                Ok(Answer::Cookie(cookie.data.clone()))
            } else {
                Err(malformed())
            };
        }
        if let Some(refusal) = payloads::notify(payloads, notify::INVALID_KE_PAYLOAD) {
            return self.other_group(&refusal.data, settings);
        }
        if let Some(error) = payloads::error(payloads) {
            return Err(Rejection {
                cause: None,
                answer: None,
                outage: Some(refusal(error.kind, settings)),
            });
        }
        if let Some(unknown) = unsupported(payloads) {
            return Err(Rejection {
                answer: None,
                ..unknown
            });
        }
        let (Some(chosen), Some(public), Some(nonce)) = (
            payloads::security_association(payloads),
            payloads::key_exchange(payloads),
            payloads::nonce(payloads),
        ) else {
            return Err(malformed());
        };
        if message.header.responder_spi == 0 || public.group != self.exchange.group().id() {
            return Err(malformed());
        }
        let suite = proposal::accept_ike(chosen, &settings.ike_proposals, self.exchange.group());
        let nat_spis = (common.spi, message.header.responder_spi);
        Ok(Answer::Agreed(Agreed {
            suite: suite.ok_or_else(malformed)?,
            responder_nonce: nonce.to_vec(),
            public: public.data.clone(),
            nat: common
                .path
                .detect(nat_spis, payloads, settings.force_encapsulation),
        }))
    }

    /// The responder wants another of the groups that we offered (§1.2).
    fn other_group(&self, data: &[u8], settings: &Connection) -> Result<Answer, Rejection> {
        let wanted = data
            .try_into()
            .ok()
            .map(u16::from_be_bytes)
            .ok_or_else(malformed)?;
        let mut ours = settings
            .ike_proposals
            .iter()
            .flat_map(|proposal| &proposal.groups);
        match ours.find(|group| group.id() == wanted && **group != self.exchange.group()) {
            Some(group) => Ok(Answer::Group(*group)),
            None => {
                let expected =
                    Group::from_id(wanted).map_or_else(|| wanted.to_string(), |group| group.to_string());
                let offered = self.exchange.group().to_string();
                let reason = Reason::KeyExchangeGroupRefused;
                let outage = Outage {
                    reason,
                    side: Side::Peer,
                    stage: Stage::IkeSaInit,
                    offered,
                    expected,
                };
                Err(Rejection {
                    cause: None,
                    answer: None,
                    outage: Some(outage),
                })
            }
        }
    }
}

fn malformed() -> Rejection {
    Rejection::silent(DropCause::Malformed)
}

/// What an error that the peer sent against our offer means.
fn refusal(kind: u16, settings: &Connection) -> Outage {
    let offered = proposal::words(&proposal::offer_ike(&settings.ike_proposals));
    let (reason, expected) = match kind {
        notify::NO_PROPOSAL_CHOSEN => (Reason::IkeProposalMismatch, String::new()),
        kind => (Reason::ProtocolError, format!("notify {kind}")),
    };
    Outage {
        reason,
        side: Side::Peer,
        stage: Stage::IkeSaInit,
        offered,
        expected,
    }
}

fn request(common: &Common, state: (&KeyExchange, &[u8], Option<&[u8]>), settings: &Connection) -> Vec<u8> {
    let (exchange, nonce, cookie) = state;
    let mut payloads = Vec::new();
    payloads.extend(cookie.map(|cookie| payloads::status(notify::COOKIE, cookie.to_vec())));
    payloads.push(Payload::SecurityAssociation(proposal::offer_ike(
        &settings.ike_proposals,
    )));
    payloads.extend(exchange_payloads(exchange, nonce));
    payloads.extend(
        common
            .path
            .notifies((common.spi, 0), settings.force_encapsulation),
    );
    let header = Header::new(common.spi, 0, exchange::IKE_SA_INIT, Header::INITIATOR, 0);
    Message { header, payloads }.encode()
}

fn exchange_payloads(exchange: &KeyExchange, nonce: &[u8]) -> [Payload; 2] {
    let (group, data) = (exchange.group().id(), exchange.public().to_vec());
    [
        Payload::KeyExchange(KeyExchangePayload { group, data }),
        Payload::Nonce(NoncePayload { data: nonce.to_vec() }),
    ]
}

impl Engine {
    /// Starts an IKE SA for a connection that has none.
    pub(crate) fn initiate(&mut self, name: &ConnectionName, now: Instant) {
        let Some(settings) = self.settings_of(name) else {
            return;
        };
        let spi = self.fresh_spi();
        let path = Path {
            local: settings.local,
            remote: settings.remote,
        };
        let mut common = Common::new((spi, 0), path, now);
        (common.initiator, common.connection) = (true, Some(name.clone()));
        self.attempted(name, spi, now);
        let group = settings
            .ike_proposals
            .iter()
            .find_map(|proposal| proposal.groups.first());
        let started = group.and_then(|group| KeyExchange::start(*group, self.random.as_mut()).ok());
        let Some(exchange) = started else {
            let reason = Reason::Configuration;
            return self.ended(
                &common,
                Some(Outage::plain(reason, Side::We, Stage::IkeSaInit)),
                now,
            );
        };
        let nonce = self.drawn(NONCE);
        let bytes = request(&common, (&exchange, &nonce, None), &settings);
        self.send(path, bytes.clone());
        let request = Retransmission::new(bytes, now);
        let state = InitSent {
            nonce,
            request,
            refused: None,
            exchange,
            cookie: None,
            restarts: 0,
        };
        self.keep(common, State::InitSent(Box::new(state)));
    }

    /// An answer to our IKE_SA_INIT arrived.
    pub(crate) fn init_answer(
        &mut self,
        common: Common,
        mut state: Box<InitSent>,
        datagram: &Datagram,
        now: Instant,
    ) {
        let Some(settings) = common.connection.as_ref().and_then(|name| self.settings_of(name)) else {
            return;
        };
        let checked = Message::decode(&datagram.bytes).map_err(|_| malformed());
        let checked = checked.and_then(|message| state.check(&common, &message, &settings));
        match checked {
            Ok(Answer::Agreed(agreed)) => self.init_agreed(common, *state, (agreed, datagram), now),
            Ok(Answer::Cookie(cookie)) => {
                let group = state.exchange.group();
                state.cookie = Some(cookie);
                self.init_again(common, state, group, now);
            }
            Ok(Answer::Group(group)) => self.init_again(common, state, group, now),
            Err(rejection) => {
                if let Some(outage) = rejection.outage {
                    self.warned(&common, &outage);
                    state.refused = Some(outage);
                }
                self.dropped(datagram.remote, rejection.cause);
                self.keep(common, State::InitSent(state));
            }
        }
    }

    /// Sends the request again with the cookie, or with a public value of another group.
    fn init_again(&mut self, common: Common, mut state: Box<InitSent>, group: Group, now: Instant) {
        let Some(settings) = common.connection.as_ref().and_then(|name| self.settings_of(name)) else {
            return;
        };
        if state.restarts < RESTARTS {
            state.restarts += 1;
            if group != state.exchange.group()
                && let Ok(exchange) = KeyExchange::start(group, self.random.as_mut())
            {
                state.exchange = exchange;
            }
            let parts = (&state.exchange, state.nonce.as_slice(), state.cookie.as_deref());
            let bytes = request(&common, parts, &settings);
            self.send(common.path, bytes.clone());
            state.request = Retransmission::new(bytes, now);
        }
        self.keep(common, State::InitSent(state));
    }

    /// Keys are agreed: prove who we are (§1.2).
    fn init_agreed(
        &mut self,
        mut common: Common,
        state: InitSent,
        (agreed, datagram): (Agreed, &Datagram),
        now: Instant,
    ) {
        let said = Said {
            initiator_nonce: &state.nonce,
            responder_nonce: &agreed.responder_nonce,
            initiator_spi: common.spi,
            responder_spi: datagram.header.responder_spi,
        };
        let group = state.exchange.group();
        let shared = state.exchange.finish(&agreed.public);
        let Some(channel) = shared
            .ok()
            .and_then(|shared| Channel::new(agreed.suite, &said, &shared, true))
        else {
            // The value may be forged: the attempt goes on with a new one of our own.
            self.dropped(datagram.remote, Some(DropCause::Malformed));
            let Ok(exchange) = KeyExchange::start(group, self.random.as_mut()) else {
                let outage = Outage::plain(Reason::ProtocolError, Side::We, Stage::IkeSaInit);
                return self.ended(&common, Some(outage), now);
            };
            return self.init_again(common, Box::new(InitSent { exchange, ..state }), group, now);
        };
        common.peer_spi = datagram.header.responder_spi;
        common.path = agreed.nat.path(common.path);
        let proof = AuthSent {
            channel,
            suite: agreed.suite,
            nat: agreed.nat,
            inbound: self.fresh_child_spi(),
            init_answer: datagram.bytes.clone(),
            initiator_nonce: state.nonce,
            responder_nonce: agreed.responder_nonce,
            request: Retransmission::new(Vec::new(), now),
        };
        self.auth_request(common, proof, &state.request.bytes, now);
    }

    /// A request from somebody who has no IKE SA with us yet.
    pub(crate) fn newcomer(&mut self, datagram: &Datagram, now: Instant) {
        let ours = self.sas.get(&datagram.header.initiator_spi);
        if ours.is_some_and(|sa| sa.common.initiator) {
            // Our own request, thrown back at us: with ourselves there is nothing to agree.
            return self.dropped(datagram.remote, Some(DropCause::UnexpectedExchange));
        }
        if let Some(spi) = self.half_open.started(datagram.remote, &datagram.bytes) {
            return self.repeat_init(spi, datagram);
        }
        let message = Message::decode(&datagram.bytes).map_err(|_| malformed());
        let answered = message.and_then(|message| {
            let request = Request::check(&message)?;
            self.admit(&request, datagram, now)?;
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
    fn admit(&mut self, request: &Request<'_>, datagram: &Datagram, now: Instant) -> Result<(), Rejection> {
        if self.candidates(datagram.path()).is_empty() {
            return Err(Rejection::silent(DropCause::NoConnection));
        }
        let newcomer = Newcomer {
            address: datagram.remote,
            spi: datagram.header.initiator_spi,
            nonce: request.nonce,
            cookie: request.cookie,
        };
        match self
            .half_open
            .admit(&newcomer, self.limits, self.random.as_mut(), now)
        {
            Admission::Admitted => Ok(()),
            Admission::Refused => Err(Rejection::silent(DropCause::HalfOpenLimit)),
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
        let (suite, chosen, candidates) = self.choose(request, datagram.path())?;
        if request.key_exchange.group != suite.group.id() {
            let wanted = suite.group.id().to_be_bytes().to_vec();
            return Err(Rejection::answered(None, notify::INVALID_KE_PAYLOAD, wanted));
        }
        if request.key_exchange.data.len() != suite.group.public_octets() {
            return Err(malformed());
        }
        let exchange = KeyExchange::start(suite.group, self.random.as_mut()).map_err(|_| malformed())?;
        let forced = candidates.iter().filter_map(|name| self.settings_of(name));
        let forced = forced.into_iter().any(|settings| settings.force_encapsulation);
        let (initiator_spi, spi) = (datagram.header.initiator_spi, self.fresh_spi());
        let path = datagram.path();
        let nonce = self.drawn(NONCE);
        let mut payloads = vec![Payload::SecurityAssociation(chosen)];
        payloads.extend(exchange_payloads(&exchange, &nonce));
        payloads.extend(path.notifies((initiator_spi, spi), forced));
        let header = Header::new(initiator_spi, spi, exchange::IKE_SA_INIT, Header::RESPONSE, 0);
        let answer = Message { header, payloads }.encode();
        self.send(path, answer.clone());
        let state = InitAnswered {
            request: datagram.bytes.clone(),
            answer,
            suite,
            initiator_nonce: request.nonce.to_vec(),
            responder_nonce: nonce,
            nat: path.detect((initiator_spi, 0), request.payloads, forced),
            candidates,
            secrets: Secrets::Owed(exchange, request.key_exchange.data.clone()),
        };
        let mut common = Common::new((spi, initiator_spi), path, now);
        let expiry = now + self.limits.half_open_timeout;
        common.timers.set(Timer::Expiry, Some(expiry));
        self.half_open.insert(path.remote, &datagram.bytes, spi);
        self.keep(common, State::InitAnswered(Box::new(state)));
        Ok(())
    }

    /// The first connection between these addresses with a common proposal, and all that allow the same.
    fn choose(&self, request: &Request<'_>, path: Path) -> Result<Choice, Rejection> {
        let group = request.key_exchange.group;
        let mut allowed = Vec::new();
        let mut expected = Vec::new();
        for name in self.candidates(path) {
            let Some(settings) = self.settings_of(&name) else {
                continue;
            };
            if settings.mode != Mode::InitiatorOnly {
                expected.push(proposal::words(&proposal::offer_ike(&settings.ike_proposals)));
                allowed.push((name, settings));
            }
        }
        let chosen = allowed
            .iter()
            .find_map(|(_, settings)| proposal::choose_ike(request.offered, &settings.ike_proposals, group));
        let Some((suite, answer)) = chosen else {
            if allowed.is_empty() {
                let cause = Some(DropCause::NoConnection);
                return Err(Rejection::answered(cause, notify::NO_PROPOSAL_CHOSEN, Vec::new()));
            }
            let (offered, expected) = (proposal::words(request.offered), expected.join(", "));
            let outage = Outage {
                offered,
                expected,
                ..Outage::plain(Reason::IkeProposalMismatch, Side::We, Stage::IkeSaInit)
            };
            return Err(Rejection::refused(notify::NO_PROPOSAL_CHOSEN, outage));
        };
        allowed.retain(|(_, settings)| proposal::allows(&settings.ike_proposals, suite));
        Ok((suite, answer, allowed.into_iter().map(|(name, _)| name).collect()))
    }
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
        let cookie = payloads::notify(payloads, notify::COOKIE).map(|cookie| cookie.data.as_slice());
        (message.header.initiator_spi != 0)
            .then_some(())
            .ok_or_else(malformed)?;
        Ok(Self {
            offered,
            key_exchange,
            nonce,
            cookie,
            payloads,
        })
    }
}
