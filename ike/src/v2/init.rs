//! IKE_SA_INIT as initiator (RFC 7296 §1.2, §2.6, §2.7).

use std::net::IpAddr;
use std::time::Instant;

use super::auth::without_ppk;
use super::channel::Channel;
use super::extensions::{self, Extensions};
use super::intermediate::Agreement;
use super::keys::Said;
use super::nat::{Nat, Path};
use super::payloads::{self, Datagram};
use super::redirect;
use super::state::{Common, State};
use super::window::Retransmission;
use crate::crypto::{Group, KeyExchange};
use crate::engine::Engine;
use crate::proposal::{self, IkeSuite};
use crate::rejection::{Rejection, unsupported};
use crate::wire::registry::{exchange, notify};
use crate::wire::{Header, KeyExchangePayload, Message, NoncePayload, Payload};
use crate::{Childless, Connection, ConnectionName, DropCause, Outage, Random, Reason, Side, Stage};

/// How often one attempt may start again for a cookie or another group, which anyone may have asked for.
const RESTARTS: u8 = 6;
/// Octets of our nonces.
pub(super) const NONCE: usize = 32;

/// Initiator: the request is on its way.
pub(crate) struct InitSent {
    pub(crate) nonce: Vec<u8>,
    pub(crate) request: Retransmission,
    /// What the peer, or somebody else, said against it.
    pub(crate) refused: Option<Outage>,
    exchange: KeyExchange,
    cookie: Option<Vec<u8>>,
    /// What is said about going elsewhere.
    redirect: Option<Payload>,
    restarts: u8,
}

/// What an answer to our request asks for.
pub(super) enum Answer {
    Agreed(Agreed),
    Cookie(Vec<u8>),
    Group(Group),
    Elsewhere(IpAddr),
}

/// What both sides agreed on.
pub(super) struct Agreed {
    pub(super) suite: IkeSuite,
    responder_nonce: Vec<u8>,
    public: Vec<u8>,
    nat: Nat,
    extensions: Extensions,
}

impl InitSent {
    /// The first request, which is still to be sent; `None` if no group of ours can be used.
    pub(super) fn start(
        common: &Common,
        (settings, redirect): (&Connection, Option<Payload>),
        random: &mut dyn Random,
        now: Instant,
    ) -> Option<Self> {
        let mut proposals = settings.ike_proposals.iter();
        let group = proposals.find_map(|proposal| proposal.groups.first())?;
        let exchange = KeyExchange::start(*group, random).ok()?;
        let mut nonce = vec![0; NONCE];
        random.fill(&mut nonce);
        let bytes = request(common, (&exchange, &nonce), (None, redirect.as_ref()), settings);
        Some(Self {
            nonce,
            request: Retransmission::new(bytes, now),
            refused: None,
            exchange,
            cookie: None,
            redirect,
            restarts: 0,
        })
    }

    /// Takes up what the answer asks for: a cookie, or another group. The request is then to be sent again, unless anyone had that
    /// asked for too often.
    pub(super) fn again(
        &mut self,
        (common, settings): (&Common, &Connection),
        (cookie, group): (Option<Vec<u8>>, Option<Group>),
        random: &mut dyn Random,
        now: Instant,
    ) -> bool {
        self.cookie = cookie.or_else(|| self.cookie.take());
        if self.restarts == RESTARTS {
            return false;
        }
        self.restarts += 1;
        if let Some(group) = group
            && let Ok(exchange) = KeyExchange::start(group, random)
        {
            self.exchange = exchange;
        }
        let parts = (&self.exchange, self.nonce.as_slice());
        let said = (self.cookie.as_deref(), self.redirect.as_ref());
        self.request = Retransmission::new(request(common, parts, said, settings), now);
        true
    }

    /// Judges an answer, which anyone may have sent (RFC 7296 §2.4).
    pub(super) fn check(
        &self,
        common: &Common,
        message: &Message,
        settings: &Connection,
    ) -> Result<Answer, Rejection> {
        let payloads = &message.payloads;
        if let Some(cookie) = payloads::notify(payloads, notify::COOKIE) {
            let sound = (1..=64).contains(&cookie.data.len()) && message.header.responder_spi == 0;
            return if sound {
                Ok(Answer::Cookie(cookie.data.clone()))
            } else {
                Err(malformed())
            };
        }
        if let Some(redirect) = payloads::notify(payloads, notify::REDIRECT) {
            return self.elsewhere(&redirect.data, common, settings);
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
        let extensions = usable_extensions(payloads, settings)?;
        let suite = suite.filter(|suite| suite.additional.is_empty() || extensions.intermediate);
        let nat_spis = (common.spi, message.header.responder_spi);
        Ok(Answer::Agreed(Agreed {
            suite: suite.ok_or_else(malformed)?,
            responder_nonce: nonce.to_vec(),
            public: public.data.clone(),
            nat: common
                .path
                .detect(nat_spis, payloads, settings.force_encapsulation),
            extensions,
        }))
    }

    /// The peer sends us elsewhere. Only who saw our message can repeat its nonce (RFC 5685 §3).
    fn elsewhere(&self, data: &[u8], common: &Common, settings: &Connection) -> Result<Answer, Rejection> {
        let remote = common.path.remote.ip();
        let target = redirect::target(data).filter(|_| settings.allow_redirect);
        let fits = |to: IpAddr| to != remote && to.is_ipv4() == remote.is_ipv4();
        match target {
            Some((to, nonce)) if nonce == self.nonce && fits(to) => Ok(Answer::Elsewhere(to)),
            _ => Err(redirected(data, common)),
        }
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

/// The peer sends us elsewhere although we did not say that we would go (RFC 5685 §3).
fn redirected(data: &[u8], common: &Common) -> Rejection {
    let outage = Outage {
        offered: payloads::gateway(data),
        expected: common.path.remote.ip().to_string(),
        ..Outage::plain(Reason::Redirected, Side::Peer, Stage::IkeSaInit)
    };
    Rejection {
        cause: None,
        answer: None,
        outage: Some(outage),
    }
}

/// What the peer announces, if that is all that we insist on; anyone may have sent it.
fn usable_extensions(payloads: &[Payload], settings: &Connection) -> Result<Extensions, Rejection> {
    let mut extensions = Extensions::announced(payloads);
    extensions.ppk &= settings.ppk.is_some();
    let required = settings.ppk.as_ref().is_some_and(|ppk| ppk.required);
    let lacks_child = settings.childless == Childless::Force && !extensions.childless;
    let outage = match (required && !extensions.ppk, lacks_child) {
        (true, _) => without_ppk(settings),
        (false, true) => Outage {
            expected: "CHILDLESS_IKEV2_SUPPORTED".to_owned(),
            ..Outage::plain(Reason::ProtocolError, Side::We, Stage::IkeSaInit)
        },
        (false, false) => return Ok(extensions),
    };
    Err(Rejection {
        cause: None,
        answer: None,
        outage: Some(outage),
    })
}

pub(super) fn malformed() -> Rejection {
    Rejection::silent(DropCause::Malformed)
}

/// What an error that the peer sent against our offer means.
pub(crate) fn refusal(kind: u16, settings: &Connection) -> Outage {
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

fn request(
    common: &Common,
    (exchange, nonce): (&KeyExchange, &[u8]),
    (cookie, redirect): (Option<&[u8]>, Option<&Payload>),
    settings: &Connection,
) -> Vec<u8> {
    let mut payloads = Vec::new();
    payloads.extend(cookie.map(|cookie| payloads::status(notify::COOKIE, cookie.to_vec())));
    payloads.push(Payload::SecurityAssociation(proposal::offer_ike(
        &settings.ike_proposals,
    )));
    payloads.extend(exchange_payloads((exchange.group(), exchange.public()), nonce));
    payloads.extend(
        common
            .path
            .notifies((common.spi, 0), settings.force_encapsulation),
    );
    payloads.extend(extensions::announcements());
    payloads.extend(redirect.cloned());
    payloads.extend(settings.ppk.as_ref().map(|_| extensions::use_ppk()));
    let header = Header::new(common.spi, 0, exchange::IKE_SA_INIT, Header::INITIATOR, 0);
    Message { header, payloads }.encode()
}

pub(super) fn exchange_payloads((group, public): (Group, &[u8]), nonce: &[u8]) -> [Payload; 2] {
    let (group, data) = (group.id(), public.to_vec());
    [
        Payload::KeyExchange(KeyExchangePayload { group, data }),
        Payload::Nonce(NoncePayload { data: nonce.to_vec() }),
    ]
}

impl Engine {
    /// Starts an IKE SA for a connection: one that it is to run on, or one that is to replace that (`renews`).
    pub(crate) fn initiate(&mut self, name: &ConnectionName, path: Path, renews: bool, now: Instant) {
        let Some(settings) = self.settings_of(name) else {
            return;
        };
        let spi = self.fresh_spi();
        let mut common = Common::new((spi, 0), path, now);
        (common.initiator, common.connection) = (true, Some(name.clone()));
        self.attempted(name, (spi, renews), now);
        let redirect = self.redirect_announcement(name, &settings);
        let started = InitSent::start(&common, (&settings, redirect), self.random.as_mut(), now);
        let Some(state) = started else {
            let reason = Reason::Configuration;
            return self.ended(
                &common,
                Some(Outage::plain(reason, Side::We, Stage::IkeSaInit)),
                now,
            );
        };
        self.wrote_init(&common, &state.request.bytes);
        self.send(path, state.request.bytes.clone());
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
        let message = Message::decode(&datagram.bytes);
        if let Ok(message) = &message {
            self.read(&common, &message.header, &message.payloads);
        }
        let checked = message.map_err(|_| malformed());
        let checked = checked.and_then(|message| state.check(&common, &message, &settings));
        match checked {
            Ok(Answer::Agreed(agreed)) => self.init_agreed(common, *state, (agreed, datagram), now),
            Ok(Answer::Cookie(cookie)) => self.init_again(common, state, (Some(cookie), None), now),
            Ok(Answer::Group(group)) => self.init_again(common, state, (None, Some(group)), now),
            Ok(Answer::Elsewhere(to)) => self.redirect(&common, (to, Stage::IkeSaInit), now),
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
    fn init_again(
        &mut self,
        common: Common,
        mut state: Box<InitSent>,
        asked: (Option<Vec<u8>>, Option<Group>),
        now: Instant,
    ) {
        let Some(settings) = common.connection.as_ref().and_then(|name| self.settings_of(name)) else {
            return;
        };
        if state.again((&common, &settings), asked, self.random.as_mut(), now) {
            self.wrote_init(&common, &state.request.bytes);
            self.send(common.path, state.request.bytes.clone());
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
        let Some(settings) = common.connection.as_ref().and_then(|name| self.settings_of(name)) else {
            return;
        };
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
            let state = Box::new(InitSent { exchange, ..state });
            return self.init_again(common, state, (None, None), now);
        };
        common.peer_spi = datagram.header.responder_spi;
        // RFC 4555 §3.3: who may move does so from the port that NATs let through.
        common.path = if settings.mobike.is_some() {
            common.path.encapsulated()
        } else {
            agreed.nat.path(common.path)
        };
        common.extensions = agreed.extensions;
        let longest = common.longest_message(settings.fragment_size);
        let agreement = Agreement {
            channel: channel.with_fragments(longest),
            suite: agreed.suite,
            nat: agreed.nat,
            init_request: state.request.bytes,
            init_answer: datagram.bytes.clone(),
            initiator_nonce: state.nonce,
            responder_nonce: agreed.responder_nonce,
            next: 1,
        };
        self.agree_further(common, agreement, now);
    }
}
