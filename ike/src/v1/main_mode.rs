//! Main mode as initiator (RFC 2409 §5.4).

use std::net::SocketAddr;
use std::time::Instant;

use super::channel::{self, Opened};
use super::keys::{Keys, Said};
use super::method::Method;
use super::signing::{Signing, Unsigned};
use super::state::{Agreement, State};
use super::vendor::{self, Announced};
use super::{certificates, fragments, identity, nat, proposal};
use crate::crypto::{KeyExchange, Secret};
use crate::engine::Engine;
use crate::proposal::IkeSuite;
use crate::rejection::Rejection;
use crate::v2::nat::Path;
use crate::v2::payloads::Datagram;
use crate::v2::state::Common;
use crate::v2::window::Retransmission;
use crate::wire::v1::registry::{exchange, notify, payload, protocol};
use crate::wire::v1::{Message, NotifyPayload, Payload, SecurityAssociationPayload, chain};
use crate::{Connection, ConnectionName, DropCause, LocalProof, Outage, Reason, Side, Stage};

/// Octets of our nonces.
pub(super) const NONCE: usize = 32;

/// Initiator: message 1 is on its way.
pub(crate) struct ProposalSent {
    /// The body of our SA payload.
    offer: Vec<u8>,
    pub(crate) request: Retransmission,
    /// What the peer, or somebody else, said against it.
    pub(crate) refused: Option<Outage>,
}

/// Initiator: message 3 is on its way.
pub(crate) struct ExchangeSent {
    exchange: KeyExchange,
    agreed: proposal::Phase1,
    announced: Announced,
    offer: Vec<u8>,
    nonce: Vec<u8>,
    pub(crate) request: Retransmission,
    pub(crate) refused: Option<Outage>,
}

/// Initiator: message 5, as far as it is known before our proof.
pub(crate) struct ProofUnsent {
    pub(super) keys: Keys,
    pub(crate) agreement: Agreement,
    pub(crate) refused: Option<Outage>,
}

/// Initiator: message 5 is on its way.
pub(crate) struct ProofSent {
    pub(crate) keys: Keys,
    pub(crate) agreement: Agreement,
    /// The IV of message 6.
    pub(crate) iv: Vec<u8>,
    pub(crate) request: Retransmission,
    pub(crate) refused: Option<Outage>,
}

impl ProposalSent {
    /// Judges an answer to message 1, which anyone may have sent who saw our cookie.
    fn check(
        &self,
        message: &Message,
        settings: &Connection,
    ) -> Result<(proposal::Phase1, Announced), Rejection> {
        let chosen = security_association(&message.payloads).ok_or_else(malformed)?;
        let cookie = message.header.responder_spi != 0;
        let agreed = proposal::accept_phase1(chosen, settings).filter(|_| cookie);
        Ok((agreed.ok_or_else(malformed)?, Announced::of(&message.payloads)))
    }
}

pub(super) fn malformed() -> Rejection {
    Rejection::silent(DropCause::Malformed)
}

pub(super) fn security_association(payloads: &[Payload]) -> Option<&SecurityAssociationPayload> {
    payloads.iter().find_map(|payload| {
        if let Payload::SecurityAssociation(found) = payload {
            Some(found)
        } else {
            None
        }
    })
}

/// Public value and nonce.
pub(super) fn exchanged(payloads: &[Payload]) -> Option<(&Vec<u8>, &Vec<u8>)> {
    Some((public(payloads)?, nonce(payloads)?))
}

pub(super) fn public(payloads: &[Payload]) -> Option<&Vec<u8>> {
    payloads.iter().find_map(|payload| {
        if let Payload::KeyExchange(found) = payload {
            Some(found)
        } else {
            None
        }
    })
}

pub(super) fn nonce(payloads: &[Payload]) -> Option<&Vec<u8>> {
    payloads.iter().find_map(|payload| {
        if let Payload::Nonce(found) = payload {
            Some(found)
        } else {
            None
        }
    })
}

/// The secret that a connection proves itself by.
pub(super) fn secret(settings: &Connection) -> Option<&crate::SharedSecret> {
    match &settings.authentication.local {
        LocalProof::PreSharedKey(secret) => Some(secret),
        LocalProof::Certificate(_) => None,
    }
}

/// The keys that both sides of a connection have after this.
pub(super) fn keys_of(settings: &Connection, suite: IkeSuite, said: &Said, shared: &Secret) -> Keys {
    match secret(settings) {
        Some(secret) => Keys::of_secret(suite, said, shared, &secret.0),
        None => Keys::of_exchange(suite, said, shared),
    }
}

/// A public value and a nonce, as they are sent.
pub(super) fn exchanging(public: &[u8], nonce: &[u8]) -> Vec<Payload> {
    vec![
        Payload::KeyExchange(public.to_vec()),
        Payload::Nonce(nonce.to_vec()),
    ]
}

/// INITIAL-CONTACT for the SA with these cookies (RFC 2407 §4.6.3.3).
pub(super) fn initial_contact((initiator, responder): (u64, u64)) -> Payload {
    Payload::Notify(NotifyPayload {
        protocol: protocol::ISAKMP,
        spi: [initiator.to_be_bytes(), responder.to_be_bytes()].concat(),
        kind: notify::INITIAL_CONTACT,
        data: Vec::new(),
    })
}

impl Engine {
    /// Starts a phase 1 SA for a connection. One that it has goes on until this one is established.
    pub(crate) fn begin_phase(&mut self, name: &ConnectionName, remote: SocketAddr, now: Instant) {
        let Some(settings) = self.settings_of(name) else {
            return;
        };
        let (spi, local) = (self.fresh_spi(), settings.local);
        let mut common = Common::new((spi, 0), Path { local, remote }, now);
        (common.initiator, common.connection) = (true, Some(name.clone()));
        self.attempting(name, spi, now);
        if settings.aggressive {
            return self.begin_aggressive(common, &settings, now);
        }
        let offer = proposal::offer_phase1(&settings);
        let empty = offer.proposals.iter().all(|one| one.transforms.is_empty());
        if empty {
            let outage = Outage::plain(Reason::Configuration, Side::We, Stage::MainMode);
            return self.attempt_ended(&common, Some(outage), now);
        }
        let mut body = Vec::new();
        offer.encode(&mut body);
        let mut payloads = vec![Payload::SecurityAssociation(offer)];
        payloads.extend(vendor::announcements());
        self.spoke(&common, (Side::We, exchange::MAIN_MODE, Some(1)), &payloads);
        let header = Message::header((spi, 0), exchange::MAIN_MODE, 0);
        let bytes = Message { header, payloads }.encode();
        self.send(common.path, bytes.clone());
        let state = ProposalSent {
            offer: body,
            request: Retransmission::new(bytes, now),
            refused: None,
        };
        self.keep_phase(common, State::ProposalSent(Box::new(state)));
    }

    /// An answer to message 1 arrived.
    pub(super) fn proposal_answered(
        &mut self,
        mut common: Common,
        state: Box<ProposalSent>,
        datagram: &Datagram,
        now: Instant,
    ) {
        let Some(settings) = self.settings_of_phase(&common) else {
            return;
        };
        self.spoke_clear(&common, datagram, Some(2));
        let checked = Message::decode(&datagram.bytes).map_err(|_| malformed());
        let checked = checked.and_then(|message| state.check(&message, &settings));
        let started = checked.and_then(|(agreed, announced)| {
            let started = KeyExchange::start(agreed.suite.group, self.random.as_mut());
            Ok((started.map_err(|_| malformed())?, agreed, announced))
        });
        let (exchange, agreed, announced) = match started {
            Ok(started) => started,
            Err(rejection) => {
                self.dropped(datagram.remote, rejection.cause);
                return self.keep_phase(common, State::ProposalSent(state));
            }
        };
        common.peer_spi = datagram.header.responder_spi;
        let nonce = self.drawn(NONCE);
        let mut payloads = exchanging(exchange.public(), &nonce);
        payloads.extend(certificates::requests([settings.as_ref()].into_iter()));
        if let Some(traversal) = announced.traversal {
            let how = (agreed.suite.prf, traversal);
            let forced = settings.force_encapsulation;
            payloads.extend(nat::payloads(how, common.spis(), common.path, forced));
        }
        self.spoke(&common, (Side::We, exchange::MAIN_MODE, Some(3)), &payloads);
        let header = Message::header(common.spis(), exchange::MAIN_MODE, 0);
        let bytes = Message { header, payloads }.encode();
        let bytes = fragments::divided(bytes, announced.fragments(false), &settings);
        self.send(common.path, bytes.clone());
        let state = ExchangeSent {
            exchange,
            agreed,
            announced,
            offer: state.offer,
            nonce,
            request: Retransmission::new(bytes, now),
            refused: state.refused,
        };
        self.keep_phase(common, State::ExchangeSent(Box::new(state)));
    }

    /// An answer to message 3 arrived: keys follow, and our proof. One without a public value changes nothing, for anyone may have sent it
    /// who saw our cookies.
    pub(super) fn exchange_answered(
        &mut self,
        mut common: Common,
        state: Box<ExchangeSent>,
        datagram: &Datagram,
        now: Instant,
    ) {
        let Some(settings) = self.settings_of_phase(&common) else {
            return;
        };
        self.spoke_clear(&common, datagram, Some(4));
        let message = Message::decode(&datagram.bytes).ok();
        let said = message.as_ref().and_then(|message| exchanged(&message.payloads));
        let finished = said.and_then(|said| Some((said, state.exchange.finish(said.0).ok()?)));
        let Some(((public, nonce), shared)) = finished else {
            self.dropped(datagram.remote, Some(DropCause::Malformed));
            return self.keep_phase(common, State::ExchangeSent(state));
        };
        let payloads = message.as_ref().map_or(&[][..], |message| &message.payloads);
        let (suite, forced) = (state.agreed.suite, settings.force_encapsulation);
        let detect = |_| nat::detect(suite.prf, common.spis(), common.path, (payloads, forced));
        let nat = state.announced.traversal.map(detect).unwrap_or_default();
        let ExchangeSent {
            exchange,
            agreed,
            announced,
            offer,
            nonce: own,
            refused,
            ..
        } = *state;
        let said = Said {
            cookies: common.spis(),
            nonces: (own, nonce.clone()),
            publics: (exchange.public().to_vec(), public.clone()),
            offer,
        };
        let keys = keys_of(&settings, suite, &said, &shared);
        common.path = nat.path(common.path);
        let agreement = Agreement {
            aggressive: false,
            suite,
            method: agreed.method,
            seconds: agreed.seconds,
            announced,
            nat,
            said,
        };
        let unsent = ProofUnsent {
            keys,
            agreement,
            refused,
        };
        self.prove_first(common, unsent, &settings, now);
    }

    /// Sends message 5, or has it signed before.
    fn prove_first(&mut self, common: Common, unsent: ProofUnsent, settings: &Connection, now: Instant) {
        let identity = identity::ours(settings);
        let mut body = Vec::new();
        identity.encode(&mut body);
        let hash = unsent.keys.proof(&unsent.agreement.said, true, &body);
        let identity = Payload::Identification(identity);
        match &settings.authentication.local {
            LocalProof::PreSharedKey(_) => {
                let proof = vec![identity, Payload::Hash(hash)];
                self.send_proof(common, unsent, proof, (settings, now));
            }
            LocalProof::Certificate(own) => {
                let said = [identity].into_iter().chain(certificates::ours(settings));
                let signing = Signing {
                    said: said.collect(),
                    of: Unsigned::Proof(unsent),
                };
                self.have_signed(common, signing, (own, hash), now);
            }
        }
    }

    /// Sends message 5 with this proof.
    pub(super) fn send_proof(
        &mut self,
        common: Common,
        ProofUnsent {
            keys,
            agreement,
            refused,
        }: ProofUnsent,
        mut payloads: Vec<Payload>,
        (settings, now): (&Connection, Instant),
    ) {
        if self.first_contact(settings, common.spi).is_some() {
            payloads.push(initial_contact(common.spis()));
        }
        self.spoke(&common, (Side::We, exchange::MAIN_MODE, Some(5)), &payloads);
        let header = Message::header(common.spis(), exchange::MAIN_MODE, 0);
        let iv = keys.first_iv(&agreement.said);
        let (bytes, iv) = channel::seal(&keys, header, chain::encode(&payloads), &iv);
        let bytes = fragments::divided(bytes, agreement.announced.fragments(false), settings);
        self.send(common.path, bytes.clone());
        let state = ProofSent {
            keys,
            agreement,
            iv,
            request: Retransmission::new(bytes, now),
            refused,
        };
        self.keep_phase(common, State::ProofSent(Box::new(state)));
    }

    /// An answer to message 5 arrived: the peer's proof.
    pub(super) fn proof_answered(
        &mut self,
        mut common: Common,
        state: Box<ProofSent>,
        datagram: &Datagram,
        now: Instant,
    ) {
        let Some(settings) = self.settings_of_phase(&common) else {
            return;
        };
        let opened = Opened::of(&state.keys, (&datagram.header, &datagram.bytes), &state.iv);
        let genuine = opened.filter(|opened| is_proof(&state.keys, &state.agreement, false, opened));
        let Some(opened) = genuine else {
            self.dropped(datagram.remote, Some(DropCause::IntegrityFailed));
            return self.keep_phase(common, State::ProofSent(state));
        };
        let sixth = (Side::Peer, exchange::MAIN_MODE, Some(6));
        self.spoke(&common, sixth, &opened.payloads);
        let Some(said) = identification(&opened.payloads) else {
            return self.keep_phase(common, State::ProofSent(state));
        };
        let peer = identity::of_peer(said);
        let outage = if identity::is_expected(said, &settings.remote_identity) {
            let hash = signed(&state.keys, &state.agreement.said, false, &opened);
            self.disbelief((&hash, &opened.payloads), &settings, (now, Stage::MainMode))
        } else {
            Some(Outage {
                offered: peer.as_ref().map(crate::identity::words).unwrap_or_default(),
                expected: settings.remote_identity.to_string(),
                ..Outage::plain(Reason::PeerIdentityUnexpected, Side::We, Stage::MainMode)
            })
        };
        if let Some(outage) = outage {
            let keys = (&state.keys, opened.next_iv.as_slice());
            self.delete_phase(&common, keys);
            return self.attempt_ended(&common, Some(outage), now);
        }
        common.proved = peer.as_ref().and_then(crate::identity::from_payload);
        common.shown = certificates::shown(&opened.payloads);
        let ProofSent { keys, agreement, .. } = *state;
        let established = self.established_phase((keys, opened.next_iv), agreement, &settings, now);
        let contact = is_first_contact(&opened.payloads);
        self.settle(common, established, contact, now);
    }
}

/// What the sender of a message has to have hashed or signed.
pub(super) fn signed(keys: &Keys, said: &Said, of_initiator: bool, opened: &Opened) -> Vec<u8> {
    let body = opened.body(payload::ID).unwrap_or_default();
    keys.proof(said, of_initiator, &body)
}

/// The hash of a message.
pub(super) fn hash_of(payloads: &[Payload]) -> Option<&Vec<u8>> {
    payloads.iter().find_map(|payload| {
        if let Payload::Hash(found) = payload {
            Some(found)
        } else {
            None
        }
    })
}

/// Whether a message proves who its sender says it is, or holds a signature that may.
pub(super) fn is_proof(keys: &Keys, agreement: &Agreement, of_initiator: bool, opened: &Opened) -> bool {
    if agreement.method == Method::RsaSignature {
        let identity = identification(&opened.payloads);
        return identity.and(certificates::signature(&opened.payloads)).is_some();
    }
    let (Some(hash), Some(body)) = (hash_of(&opened.payloads), opened.body(payload::ID)) else {
        return false;
    };
    same(hash, &keys.proof(&agreement.said, of_initiator, &body))
}

/// Whether two hashes are the same, in constant time.
pub(super) fn same(one: &[u8], other: &[u8]) -> bool {
    aws_lc_rs::constant_time::verify_slices_are_equal(one, other).is_ok()
}

pub(super) fn identification(payloads: &[Payload]) -> Option<&crate::wire::v1::IdentificationPayload> {
    payloads.iter().find_map(|payload| {
        if let Payload::Identification(found) = payload {
            Some(found)
        } else {
            None
        }
    })
}

/// Whether the peer says that it has no other SA with us.
pub(super) fn is_first_contact(payloads: &[Payload]) -> bool {
    let mut all = payloads.iter();
    all.any(|payload| matches!(payload, Payload::Notify(found) if found.kind == notify::INITIAL_CONTACT))
}
