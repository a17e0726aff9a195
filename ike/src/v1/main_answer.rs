//! Main mode as responder (RFC 2409 §5.4).

use std::sync::Arc;
use std::time::Instant;

use super::channel::{self, Opened};
use super::keys::{Keys, Said};
use super::main_mode::{
    NONCE, exchanged, exchanging, identification, is_first_contact, is_proof, malformed, secret,
    security_association, signed,
};
use super::method::Method;
use super::newcomer::nothing_in_common;
use super::signing::{Signing, Unsigned};
use super::state::{Agreement, Done, State, digest};
use super::vendor::{self, Announced};
use super::{certificates, fragments, identity, nat, proposal};
use crate::crypto::{KeyAnswer, Secret};
use crate::engine::Engine;
use crate::rejection::Rejection;
use crate::v2::nat::{Nat, Path};
use crate::v2::payloads::Datagram;
use crate::v2::state::Common;
use crate::v2::timers::Timer;
use crate::wire::Header;
use crate::wire::v1::registry::{exchange, notify, payload};
use crate::wire::v1::{Message, Payload, chain};
use crate::{Connection, ConnectionName, DropCause, LocalProof, Mode, Outage, Reason, Side, Stage};

/// Responder: message 1 was answered.
pub(crate) struct ProposalAnswered {
    agreed: proposal::Phase1,
    announced: Announced,
    /// The body of the peer's SA payload.
    offer: Vec<u8>,
    pub(crate) answer: Vec<u8>,
}

/// Responder: message 3 was answered. The shared secret is calculated when message 5 arrives.
pub(crate) struct ExchangeAnswered {
    agreement: Agreement,
    secret: Shared,
    /// SHA-256 of message 3.
    request: Vec<u8>,
    answer: Vec<u8>,
    /// The peer was told that its proof cannot be read.
    complained: bool,
}

/// A shared secret, or what it is calculated from.
enum Shared {
    Owed(KeyAnswer),
    Made(Secret),
    /// The peer's public value is no good.
    Impossible,
}

impl ExchangeAnswered {
    fn shared(&mut self) -> Option<&Secret> {
        if let Shared::Owed(_) = self.secret
            && let Shared::Owed(exchange) = std::mem::replace(&mut self.secret, Shared::Impossible)
        {
            self.secret = exchange.finish().map_or(Shared::Impossible, Shared::Made);
        }
        match &self.secret {
            Shared::Made(secret) => Some(secret),
            Shared::Owed(_) | Shared::Impossible => None,
        }
    }
}

/// A peer that proved who it is.
pub(crate) struct Proved {
    pub(super) name: ConnectionName,
    pub(super) settings: Arc<Connection>,
    pub(super) keys: Keys,
    pub(super) opened: Opened,
}

/// Message 6, as far as it is known before our proof.
pub(crate) struct AnswerUnsent {
    pub(crate) agreement: Agreement,
    pub(super) proved: Proved,
    /// Message 5.
    pub(super) datagram: Datagram,
}

impl AnswerUnsent {
    /// What its connection was when the peer was authenticated.
    pub(super) fn settings(&self) -> &Arc<Connection> {
        &self.proved.settings
    }
}

/// Why no proof is good.
enum Unproved {
    /// No secret of ours opens it.
    Unreadable,
    /// It is good, but nobody expects who it is of.
    Unexpected(Box<(Keys, Opened)>),
    /// Its certificate is not believed by this connection, or its signature is wrong.
    Disbelieved(Box<(Keys, Opened)>, ConnectionName, Outage),
}

impl Engine {
    /// Answers message 1, or says why not.
    pub(super) fn answer_proposal(
        &mut self,
        message: &Message,
        (datagram, welcomes): (&Datagram, &[Arc<Connection>]),
        now: Instant,
    ) -> Result<(), Rejection> {
        let offered = security_association(&message.payloads).ok_or_else(malformed)?;
        let theirs = message.header.initiator_spi;
        (theirs != 0).then_some(()).ok_or_else(malformed)?;
        let chosen = welcomes
            .iter()
            .find_map(|settings| proposal::choose_phase1(offered, settings));
        let Some((agreed, answer)) = chosen else {
            let welcomes = welcomes.iter().map(AsRef::as_ref);
            return Err(nothing_in_common(offered, welcomes, Stage::MainMode));
        };
        let bytes = datagram.bytes.get(Header::LENGTH..).unwrap_or_default();
        let offer = channel::body(datagram.header.next_payload, bytes, payload::SA);
        let spi = self.fresh_spi();
        let mut payloads = vec![Payload::SecurityAssociation(answer)];
        payloads.extend(vendor::announcements());
        let header = Message::header((theirs, spi), exchange::MAIN_MODE, 0);
        let answer = Message { header, payloads }.encode();
        self.send(datagram.path(), answer.clone());
        let mut common = Common::new((spi, theirs), datagram.path(), now);
        let expiry = now + self.limits.half_open_timeout;
        common.timers.set(Timer::Expiry, Some(expiry));
        self.half_open.insert(datagram.remote, &datagram.bytes, spi);
        let state = ProposalAnswered {
            agreed,
            announced: Announced::of(&message.payloads),
            offer: offer.unwrap_or_default(),
            answer,
        };
        self.keep_phase(common, State::ProposalAnswered(Box::new(state)));
        Ok(())
    }

    /// Message 3 arrived.
    pub(super) fn answer_exchange(
        &mut self,
        common: Common,
        state: Box<ProposalAnswered>,
        datagram: &Datagram,
    ) {
        let message = Message::decode(&datagram.bytes).ok();
        let said = message.as_ref().and_then(|message| exchanged(&message.payloads));
        let (suite, random) = (state.agreed.suite, self.random.as_mut());
        let answered = said.and_then(|(public, nonce)| {
            let exchange = KeyAnswer::new(suite.group, public, random).ok()?;
            Some((exchange, public.clone(), nonce.clone()))
        });
        let (Some(message), Some((exchange, public, theirs))) = (&message, answered) else {
            self.dropped(datagram.remote, Some(DropCause::Malformed));
            return self.keep_phase(common, State::ProposalAnswered(state));
        };
        let welcomes = self.welcomes_v1(datagram.path());
        let forced = welcomes.iter().any(|settings| settings.force_encapsulation);
        let nonce = self.drawn(NONCE);
        let mut payloads = exchanging(exchange.public(), &nonce);
        if state.agreed.method == Method::RsaSignature {
            payloads.extend(certificates::requests(welcomes.iter().map(AsRef::as_ref)));
        }
        let mut nat = Nat::default();
        if let Some(traversal) = state.announced.traversal {
            let (cookies, path) = (common.spis(), datagram.path());
            payloads.extend(nat::payloads((suite.prf, traversal), cookies, path, forced));
            nat = nat::detect(suite.prf, cookies, path, (&message.payloads, forced));
        }
        let header = Message::header(common.spis(), exchange::MAIN_MODE, 0);
        let mut answer = Message { header, payloads }.encode();
        if let Some(settings) = welcomes.first() {
            answer = fragments::divided(answer, state.announced.fragments(false), settings);
        }
        self.send(datagram.path(), answer.clone());
        let agreement = Agreement {
            aggressive: false,
            suite,
            method: state.agreed.method,
            seconds: state.agreed.seconds,
            announced: state.announced,
            nat,
            said: Said {
                cookies: common.spis(),
                nonces: (theirs, nonce),
                publics: (public, exchange.public().to_vec()),
                offer: state.offer,
            },
        };
        let state = ExchangeAnswered {
            agreement,
            secret: Shared::Owed(exchange),
            request: digest(&datagram.bytes),
            answer,
            complained: false,
        };
        self.keep_phase(common, State::ExchangeAnswered(Box::new(state)));
    }

    /// Message 5 arrived, or message 3 again.
    pub(super) fn answer_proof(
        &mut self,
        mut common: Common,
        mut state: Box<ExchangeAnswered>,
        datagram: &Datagram,
        now: Instant,
    ) {
        if state.request == digest(&datagram.bytes) {
            self.send(datagram.path(), state.answer.clone());
            return self.keep_phase(common, State::ExchangeAnswered(state));
        }
        let proved = match state.agreement.method {
            Method::PreSharedKey => self.proved(&mut state, datagram),
            Method::RsaSignature => self.certified(&mut state, datagram, now),
        };
        match proved {
            Ok(proved) => {
                common.path = datagram.path();
                self.half_open.remove(common.spi);
                common.timers.set(Timer::Expiry, None);
                self.answer_proved(common, state.agreement, proved, (datagram, now));
            }
            Err(Unproved::Unreadable) => {
                self.dropped(datagram.remote, Some(DropCause::IntegrityFailed));
                let failed = (Reason::AuthenticationFailed, Stage::MainMode);
                self.blame(failed, String::new(), datagram.path(), now);
                if !state.complained && self.may_answer_stranger(now) {
                    state.complained = true;
                    self.complain(datagram, notify::PAYLOAD_MALFORMED);
                }
                self.keep_phase(common, State::ExchangeAnswered(state));
            }
            Err(Unproved::Unexpected(found)) => {
                let (keys, opened) = *found;
                self.dropped(datagram.remote, Some(DropCause::UnknownIdentity));
                let said = identification(&opened.payloads).and_then(identity::of_peer);
                let words = said.as_ref().map(crate::identity::words).unwrap_or_default();
                let unexpected = (Reason::PeerIdentityUnexpected, Stage::MainMode);
                self.blame(unexpected, words, datagram.path(), now);
                self.turn_away(common, (&keys, &opened.next_iv), datagram.path());
            }
            Err(Unproved::Disbelieved(found, name, outage)) => {
                let (keys, opened) = *found;
                self.noted(&name, &outage, now);
                self.turn_away(common, (&keys, &opened.next_iv), datagram.path());
            }
        }
    }

    /// A peer hears that its proof is no good, and its SA is no more.
    pub(super) fn turn_away(&mut self, mut common: Common, keys: (&Keys, &[u8]), path: Path) {
        self.half_open.remove(common.spi);
        common.path = path;
        self.notify_phase(&common, keys, notify::AUTHENTICATION_FAILED);
    }

    /// Tells of those who may have been meant why somebody was refused.
    pub(super) fn blame(
        &mut self,
        (reason, stage): (Reason, Stage),
        offered: String,
        path: Path,
        now: Instant,
    ) {
        for name in self.suspects(path) {
            let expected = self
                .settings_of(&name)
                .map(|settings| settings.remote_identity.to_string());
            let outage = Outage {
                offered: offered.clone(),
                expected: expected.unwrap_or_default(),
                ..Outage::plain(reason, Side::We, stage)
            };
            self.noted(&name, &outage, now);
        }
    }

    /// Whose proof a message is: each connection that may be meant has a secret, by which it can be read or not.
    fn proved(&mut self, state: &mut ExchangeAnswered, datagram: &Datagram) -> Result<Proved, Unproved> {
        let candidates = self.candidates_v1(datagram.path());
        let suite = state.agreement.suite;
        if state.shared().is_none() {
            return Err(Unproved::Unreadable);
        }
        let Shared::Made(shared) = &state.secret else {
            return Err(Unproved::Unreadable);
        };
        let said = &state.agreement.said;
        let mut unexpected = None;
        for (name, settings) in candidates {
            let Some(secret) = secret(&settings).filter(|_| serves(&settings, &state.agreement)) else {
                continue;
            };
            let keys = Keys::of_secret(suite, said, shared, &secret.0);
            let iv = keys.first_iv(said);
            let opened = Opened::of(&keys, (&datagram.header, &datagram.bytes), &iv);
            let Some(opened) = opened.filter(|opened| is_proof(&keys, &state.agreement, true, opened)) else {
                continue;
            };
            let identification = identification(&opened.payloads);
            if identification.is_some_and(|said| identity::is_expected(said, &settings.remote_identity)) {
                return Ok(Proved {
                    name,
                    settings,
                    keys,
                    opened,
                });
            }
            unexpected = Some((keys, opened));
        }
        Err(unexpected.map_or(Unproved::Unreadable, |found| {
            Unproved::Unexpected(Box::new(found))
        }))
    }

    /// Whose certificate and signature a message holds: the first connection that expects who it says it is judges them.
    fn certified(
        &mut self,
        state: &mut ExchangeAnswered,
        datagram: &Datagram,
        now: Instant,
    ) -> Result<Proved, Unproved> {
        let suite = state.agreement.suite;
        let shared = state.shared().cloned().ok_or(Unproved::Unreadable)?;
        let (agreement, said) = (&state.agreement, &state.agreement.said);
        let keys = Keys::of_exchange(suite, said, &shared);
        let opened = Opened::of(&keys, (&datagram.header, &datagram.bytes), &keys.first_iv(said));
        let opened = opened.filter(|opened| is_proof(&keys, agreement, true, opened));
        let opened = opened.ok_or(Unproved::Unreadable)?;
        let mut candidates = self.candidates_v1(datagram.path()).into_iter();
        let expecting = candidates.find(|(_, settings)| {
            let named = identification(&opened.payloads);
            let expected = named.is_some_and(|said| identity::is_expected(said, &settings.remote_identity));
            expected && serves(settings, agreement)
        });
        let Some((name, settings)) = expecting else {
            return Err(Unproved::Unexpected(Box::new((keys, opened))));
        };
        let hash = signed(&keys, said, true, &opened);
        match self.disbelief((&hash, &opened.payloads), &settings, (now, Stage::MainMode)) {
            Some(outage) => Err(Unproved::Disbelieved(Box::new((keys, opened)), name, outage)),
            None => Ok(Proved {
                name,
                settings,
                keys,
                opened,
            }),
        }
    }

    /// Sends message 6, or has it signed before.
    fn answer_proved(
        &mut self,
        mut common: Common,
        agreement: Agreement,
        proved: Proved,
        (datagram, now): (&Datagram, Instant),
    ) {
        let peer = identification(&proved.opened.payloads).and_then(identity::of_peer);
        common.proved = peer.as_ref().and_then(crate::identity::from_payload);
        common.shown = certificates::shown(&proved.opened.payloads);
        common.connection = Some(proved.name.clone());
        self.began_v1((&common, exchange::MAIN_MODE), &agreement, now);
        let fifth = (Side::Peer, exchange::MAIN_MODE, Some(5));
        self.spoke(&common, fifth, &proved.opened.payloads);
        let settings = Arc::clone(&proved.settings);
        let ours = identity::ours(&settings);
        let mut body = Vec::new();
        ours.encode(&mut body);
        let hash = proved.keys.proof(&agreement.said, false, &body);
        let ours = Payload::Identification(ours);
        let unsent = AnswerUnsent {
            agreement,
            proved,
            datagram: datagram.clone(),
        };
        match &settings.authentication.local {
            LocalProof::PreSharedKey(_) => {
                let proof = vec![ours, Payload::Hash(hash)];
                self.send_answer(common, unsent, proof, now);
            }
            LocalProof::Certificate(own) => {
                let said = [ours].into_iter().chain(certificates::ours(&settings));
                let signing = Signing {
                    said: said.collect(),
                    of: Unsigned::Answer(unsent),
                };
                self.have_signed(common, signing, (own, hash), now);
            }
        }
    }

    /// Sends message 6 with this proof.
    pub(super) fn send_answer(
        &mut self,
        common: Common,
        unsent: AnswerUnsent,
        payloads: Vec<Payload>,
        now: Instant,
    ) {
        let AnswerUnsent {
            agreement,
            proved,
            datagram,
        } = unsent;
        let Proved {
            settings,
            keys,
            opened,
            ..
        } = proved;
        self.spoke(&common, (Side::We, exchange::MAIN_MODE, Some(6)), &payloads);
        let header = Message::header(common.spis(), exchange::MAIN_MODE, 0);
        let (bytes, iv) = channel::seal(&keys, header, chain::encode(&payloads), &opened.next_iv);
        let bytes = fragments::divided(bytes, agreement.announced.fragments(false), &settings);
        self.send(common.path, bytes.clone());
        let mut established = self.established_phase((keys, iv), agreement, &settings, now);
        established.done.push(Done::new(&datagram.bytes, bytes, now));
        let contact = is_first_contact(&opened.payloads);
        self.settle(common, established, contact, now);
    }
}

/// Whether a connection may answer with what was agreed.
fn serves(settings: &Connection, agreement: &Agreement) -> bool {
    let agreed = (agreement.suite, agreement.method);
    settings.mode != Mode::InitiatorOnly && proposal::is_among(settings, agreed)
}
