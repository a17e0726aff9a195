//! Aggressive mode as initiator (RFC 2409 §5.1, §5.4): three messages, in which both say who they are before anything protects that.
//! It is for peers that know nothing else, and only where a connection allows it.

use std::collections::BTreeSet;
use std::time::Instant;

use super::keys::{Keys, Said};
use super::main_mode::{
    NONCE, exchanged, hash_of, identification, initial_contact, keys_of, malformed, same,
    security_association,
};
use super::method::Method;
use super::signing::{Signing, Unsigned};
use super::state::{Agreement, Done, State, digest};
use super::vendor::{self, Announced};
use super::{certificates, channel, fragments, identity, nat, proposal};
use crate::crypto::KeyExchange;
use crate::engine::Engine;
use crate::rejection::Rejection;
use crate::v2::payloads::Datagram;
use crate::v2::state::Common;
use crate::v2::window::Retransmission;
use crate::wire::Header;
use crate::wire::v1::registry::{exchange, payload};
use crate::wire::v1::{Message, Payload, chain};
use crate::{Connection, DropCause, LocalProof, Outage, Reason, Side, Stage};

/// Initiator: message 1 is on its way.
pub(crate) struct AggressiveSent {
    exchange: KeyExchange,
    /// The body of our SA payload.
    offer: Vec<u8>,
    nonce: Vec<u8>,
    pub(crate) request: Retransmission,
    /// What the peer, or somebody else, said against it.
    pub(crate) refused: Option<Outage>,
    /// Each message 2 that proved nothing: its sender's cookie, and SHA-256 of what follows the header.
    judged: BTreeSet<(u64, Vec<u8>)>,
}

/// The most that is judged in one attempt: each costs a key exchange.
const MOST_JUDGED: usize = 32;

/// Message 3, as far as it is known before our proof.
pub(crate) struct LastUnsent {
    pub(super) keys: Keys,
    pub(crate) agreement: Agreement,
    /// Message 2.
    datagram: Datagram,
}

/// What message 2 says.
struct Second {
    agreed: proposal::Phase1,
    announced: Announced,
    public: Vec<u8>,
    nonce: Vec<u8>,
    payloads: Vec<Payload>,
    /// The body of the ID payload, as it came.
    body: Vec<u8>,
}

impl AggressiveSent {
    /// Judges message 2, which anyone may have sent who saw our cookie.
    fn check(&self, datagram: &Datagram, settings: &Connection) -> Result<Second, Rejection> {
        let Message { header, payloads } = Message::decode(&datagram.bytes).map_err(|_| malformed())?;
        let chosen = security_association(&payloads).ok_or_else(malformed)?;
        let group = self.exchange.group();
        let agreed = proposal::accept_phase1(chosen, settings);
        let agreed = agreed.filter(|agreed| agreed.suite.group == group && header.responder_spi != 0);
        let agreed = agreed.ok_or_else(malformed)?;
        let (public, nonce) = exchanged(&payloads).ok_or_else(malformed)?;
        let (public, nonce) = (public.clone(), nonce.clone());
        let whole = public.len() == group.responder_octets();
        let body = whole.then(|| identity_body(datagram)).flatten();
        Ok(Second {
            agreed,
            announced: Announced::of(&payloads),
            public,
            nonce,
            body: body.ok_or_else(malformed)?,
            payloads,
        })
    }
}

/// The body of the ID payload of a message in clear text, as it came.
pub(super) fn identity_body(datagram: &Datagram) -> Option<Vec<u8>> {
    let bytes = datagram.bytes.get(Header::LENGTH..)?;
    channel::body(datagram.header.next_payload, bytes, payload::ID)
}

impl Engine {
    /// Sends message 1.
    pub(super) fn begin_aggressive(&mut self, common: Common, settings: &Connection, now: Instant) {
        let begun = proposal::offer_aggressive(settings).and_then(|(group, offer)| {
            let exchange = KeyExchange::start(group, self.random.as_mut()).ok()?;
            Some((exchange, offer))
        });
        let Some((exchange, offer)) = begun else {
            let outage = Outage::plain(Reason::Configuration, Side::We, Stage::AggressiveMode);
            return self.attempt_ended(&common, Some(outage), now);
        };
        let mut body = Vec::new();
        offer.encode(&mut body);
        let nonce = self.drawn(NONCE);
        let mut payloads = vec![
            Payload::SecurityAssociation(offer),
            Payload::KeyExchange(exchange.public().to_vec()),
            Payload::Nonce(nonce.clone()),
            Payload::Identification(identity::ours(settings)),
        ];
        payloads.extend(certificates::requests([settings].into_iter()));
        payloads.extend(vendor::announcements());
        self.spoke(&common, (Side::We, exchange::AGGRESSIVE, Some(1)), &payloads);
        let header = Message::header((common.spi, 0), exchange::AGGRESSIVE, 0);
        let bytes = Message { header, payloads }.encode();
        self.send(common.path, bytes.clone());
        let state = AggressiveSent {
            exchange,
            offer: body,
            nonce,
            request: Retransmission::new(bytes, now),
            refused: None,
            judged: BTreeSet::new(),
        };
        self.keep_phase(common, State::AggressiveSent(Box::new(state)));
    }

    /// Message 2 arrived. One that proves nothing changes nothing, for anyone may have sent it who saw our cookie: another one is waited
    /// for, and why this one is not believed is told.
    pub(super) fn aggressive_answered(
        &mut self,
        mut common: Common,
        mut state: Box<AggressiveSent>,
        datagram: &Datagram,
        now: Instant,
    ) {
        let Some(settings) = self.settings_of_phase(&common) else {
            return;
        };
        self.spoke_clear(&common, datagram, Some(2));
        match self.judge_second((&common, &mut state), datagram, &settings, now) {
            Ok((payloads, unsent)) => {
                common.peer_spi = datagram.header.responder_spi;
                common.path = unsent.agreement.nat.path(common.path);
                self.prove_last(common, (&payloads, unsent), &settings, now);
            }
            Err(rejection) => {
                if let Some(outage) = rejection.outage {
                    self.warned(&common, &outage);
                    state.refused = Some(outage);
                }
                self.dropped(datagram.remote, rejection.cause);
                self.keep_phase(common, State::AggressiveSent(state));
            }
        }
    }

    /// Keys follow from message 2, and whether the peer is whom we expect and proves it.
    fn judge_second(
        &mut self,
        (common, state): (&Common, &mut AggressiveSent),
        datagram: &Datagram,
        settings: &Connection,
        now: Instant,
    ) -> Result<(Vec<Payload>, LastUnsent), Rejection> {
        let second = state.check(datagram, settings)?;
        let told = (datagram.header.responder_spi, digest(&datagram.bytes));
        let fresh = state.judged.len() < MOST_JUDGED && state.judged.insert(told);
        fresh
            .then_some(())
            .ok_or_else(|| Rejection::silent(DropCause::IntegrityFailed))?;
        let cookies = (common.spi, datagram.header.responder_spi);
        let said = Said {
            cookies,
            nonces: (state.nonce.clone(), second.nonce),
            publics: (state.exchange.public().to_vec(), second.public.clone()),
            offer: state.offer.clone(),
        };
        let shared = state.exchange.finish(&second.public).map_err(|_| malformed())?;
        let suite = second.agreed.suite;
        let keys = keys_of(settings, suite, &said, &shared);
        let how = (second.payloads.as_slice(), settings.force_encapsulation);
        let detect = |_| nat::detect(suite.prf, cookies, common.path, how);
        let agreement = Agreement {
            aggressive: true,
            suite,
            method: second.agreed.method,
            seconds: second.agreed.seconds,
            nat: second.announced.traversal.map(detect).unwrap_or_default(),
            announced: second.announced,
            said,
        };
        let proof = (&keys, &agreement, second.body.as_slice());
        if let Some(outage) = self.doubt_second(proof, &second.payloads, settings, now) {
            return Err(Rejection {
                outage: Some(outage),
                ..Rejection::silent(DropCause::IntegrityFailed)
            });
        }
        let unsent = LastUnsent {
            keys,
            agreement,
            datagram: datagram.clone(),
        };
        Ok((second.payloads, unsent))
    }

    /// Why the responder is not believed.
    fn doubt_second(
        &mut self,
        (keys, agreement, body): (&Keys, &Agreement, &[u8]),
        payloads: &[Payload],
        settings: &Connection,
        now: Instant,
    ) -> Option<Outage> {
        let named = identification(payloads);
        if named.is_some_and(|named| identity::is_expected(named, &settings.remote_identity)) {
            return self.doubt((keys, agreement, (false, body)), payloads, settings, now);
        }
        let peer = named.and_then(identity::of_peer);
        Some(Outage {
            offered: peer.as_ref().map(crate::identity::words).unwrap_or_default(),
            expected: settings.remote_identity.to_string(),
            ..Outage::plain(Reason::PeerIdentityUnexpected, Side::We, Stage::AggressiveMode)
        })
    }

    /// The peer is who it says: now we prove the same.
    fn prove_last(
        &mut self,
        mut common: Common,
        (payloads, unsent): (&[Payload], LastUnsent),
        settings: &Connection,
        now: Instant,
    ) {
        let peer = identification(payloads).and_then(identity::of_peer);
        common.proved = peer.as_ref().and_then(crate::identity::from_payload);
        common.shown = certificates::shown(payloads);
        let mut body = Vec::new();
        identity::ours(settings).encode(&mut body);
        let hash = unsent.keys.proof(&unsent.agreement.said, true, &body);
        match &settings.authentication.local {
            LocalProof::PreSharedKey(_) => {
                self.send_last(common, unsent, vec![Payload::Hash(hash)], (settings, now));
            }
            LocalProof::Certificate(own) => {
                let signing = Signing {
                    said: certificates::ours(settings),
                    of: Unsigned::Last(unsent),
                };
                self.have_signed(common, signing, (own, hash), now);
            }
        }
    }

    /// What is wrong with a proof of aggressive mode: the hash, or the signature and the certificates. `payloads` hold who it is of,
    /// and that body is what is hashed.
    pub(super) fn doubt(
        &mut self,
        (keys, agreement, (of_initiator, body)): (&Keys, &Agreement, (bool, &[u8])),
        payloads: &[Payload],
        settings: &Connection,
        now: Instant,
    ) -> Option<Outage> {
        let hash = keys.proof(&agreement.said, of_initiator, body);
        match agreement.method {
            Method::PreSharedKey => {
                let good = hash_of(payloads).is_some_and(|found| same(found, &hash));
                (!good).then(|| Outage::plain(Reason::AuthenticationFailed, Side::We, Stage::AggressiveMode))
            }
            Method::RsaSignature => self.disbelief((&hash, payloads), settings, (now, Stage::AggressiveMode)),
        }
    }

    /// Sends message 3 with this proof, after which nothing is missing on our side.
    pub(super) fn send_last(
        &mut self,
        common: Common,
        unsent: LastUnsent,
        mut payloads: Vec<Payload>,
        (settings, now): (&Connection, Instant),
    ) {
        let LastUnsent {
            keys,
            agreement,
            datagram,
        } = unsent;
        if let Some(traversal) = agreement.announced.traversal {
            let how = (agreement.suite.prf, traversal);
            let forced = settings.force_encapsulation;
            payloads.extend(nat::payloads(how, common.spis(), common.path, forced));
        }
        if self.first_contact(settings, common.spi).is_some() {
            payloads.push(initial_contact(common.spis()));
        }
        self.spoke(&common, (Side::We, exchange::AGGRESSIVE, Some(3)), &payloads);
        let header = Message::header(common.spis(), exchange::AGGRESSIVE, 0);
        let iv = keys.first_iv(&agreement.said);
        let (bytes, iv) = channel::seal(&keys, header, chain::encode(&payloads), &iv);
        let bytes = fragments::divided(bytes, agreement.announced.fragments(true), settings);
        self.send(common.path, bytes.clone());
        let mut established = self.established_phase((keys, iv), agreement, settings, now);
        // A peer that did not get it says message 2 again.
        established.done.push(Done::new(&datagram.bytes, bytes, now));
        self.settle(common, established, false, now);
    }
}
