//! Aggressive mode as responder (RFC 2409 §5.1, §5.4), where a connection allows it. Somebody whose identity nobody expects is answered as
//! everybody is, by a secret that was drawn for it: what follows does not tell whether the identity or the secret is wrong.

use std::sync::Arc;
use std::time::Instant;

use super::aggressive::identity_body;
use super::channel::{self, Opened};
use super::keys::{Keys, Said};
use super::main_mode::{
    NONCE, exchanged, hash_of, identification, is_first_contact, malformed, secret, security_association,
};
use super::method::Method;
use super::newcomer::{crowded, nothing_in_common};
use super::signing::{Signing, Unsigned};
use super::state::{Agreement, State};
use super::vendor::{self, Announced};
use super::{certificates, fragments, identity, nat, proposal};
use crate::crypto::KeyAnswer;
use crate::engine::Engine;
use crate::rejection::Rejection;
use crate::v2::nat::{Nat, Path};
use crate::v2::payloads::Datagram;
use crate::v2::state::Common;
use crate::v2::timers::Timer;
use crate::v2::window::Retransmission;
use crate::wire::Header;
use crate::wire::v1::registry::{exchange, notify, payload};
use crate::wire::v1::{IdentificationPayload, Message, Payload, SecurityAssociationPayload};
use crate::{Connection, ConnectionName, DropCause, LocalProof, Mode, Outage, Reason, Side, Stage};

/// Octets of a secret that is drawn for somebody whom nobody expects.
const DRAWN: usize = 32;

/// Responder: message 2 was sent, and is sent again until message 3 comes.
pub(crate) struct AggressiveAnswered {
    pub(crate) agreement: Agreement,
    keys: Keys,
    caller: Caller,
    pub(crate) answer: Retransmission,
    /// The peer was told that its proof cannot be read.
    complained: bool,
}

/// Message 2, as far as it is known before our proof.
pub(crate) struct SecondUnsent {
    pub(crate) agreement: Agreement,
    keys: Keys,
    caller: Caller,
    /// Our choice of the proposals.
    chosen: SecurityAssociationPayload,
    public: Vec<u8>,
}

/// Who called: who it says it is, and which connection that is, or which one answers for it.
struct Caller {
    said: IdentificationPayload,
    /// The body of its ID payload, as it came.
    body: Vec<u8>,
    name: ConnectionName,
    settings: Arc<Connection>,
    /// A connection expects it.
    expected: bool,
    path: Path,
}

impl SecondUnsent {
    /// The connection that answers.
    pub(super) fn name(&self) -> &ConnectionName {
        &self.caller.name
    }
}

impl Engine {
    /// Message 1, from somebody who has no SA with us yet. Where nothing allows aggressive mode nothing is said.
    pub(super) fn newcomer_aggressive(&mut self, datagram: &Datagram, now: Instant) {
        let welcomes = self.welcomes_v1(datagram.path());
        if welcomes.is_empty() {
            return self.nobody_answers(datagram);
        }
        if !welcomes.iter().any(|settings| settings.aggressive) {
            return self.dropped(datagram.remote, Some(DropCause::AggressiveMode));
        }
        if let Some(spi) = self.half_open.started(datagram.remote, &datagram.bytes) {
            return self.repeat_first(spi, datagram);
        }
        let room = self.half_open.has_room(datagram.remote, self.limits);
        let room = room.map_err(|crowd| crowded(crowd, Stage::AggressiveMode));
        let answered = room.and_then(|()| self.answer_first(datagram, now));
        if let Err(rejection) = answered {
            self.reject_v1(datagram, &rejection, now);
        }
    }

    fn answer_first(&mut self, datagram: &Datagram, now: Instant) -> Result<(), Rejection> {
        let mut candidates = self.every_candidate_v1(datagram.path());
        candidates.retain(|(_, settings)| settings.aggressive && settings.mode != Mode::InitiatorOnly);
        let message = Message::decode(&datagram.bytes).map_err(|_| malformed())?;
        let (public, nonce) = exchanged(&message.payloads).ok_or_else(malformed)?;
        let theirs = message.header.initiator_spi;
        (theirs != 0).then_some(()).ok_or_else(malformed)?;
        let (caller, (agreed, chosen)) = caller(&message.payloads, datagram, &candidates)?;
        let answer = KeyAnswer::new(agreed.suite.group, public, self.random.as_mut());
        let answer = answer.map_err(|_| malformed())?;
        let own = answer.public().to_vec();
        let shared = answer.finish().map_err(|_| malformed())?;
        let bytes = datagram.bytes.get(Header::LENGTH..).unwrap_or_default();
        let offer = channel::body(datagram.header.next_payload, bytes, payload::SA);
        let (spi, mine) = (self.fresh_spi(), self.drawn(NONCE));
        let said = Said {
            cookies: (theirs, spi),
            nonces: (nonce.clone(), mine),
            publics: (public.clone(), own.clone()),
            offer: offer.unwrap_or_default(),
        };
        let drawn = self.drawn(DRAWN).into();
        let keys = match secret(&caller.settings) {
            Some(secret) if caller.expected => Keys::of_secret(agreed.suite, &said, &shared, &secret.0),
            Some(_) => Keys::of_secret(agreed.suite, &said, &shared, &drawn),
            None => Keys::of_exchange(agreed.suite, &said, &shared),
        };
        if !caller.expected {
            self.dropped(datagram.remote, Some(DropCause::UnknownIdentity));
        }
        let agreement = Agreement {
            aggressive: true,
            suite: agreed.suite,
            method: agreed.method,
            seconds: agreed.seconds,
            announced: Announced::of(&message.payloads),
            nat: Nat::default(),
            said,
        };
        self.half_open.insert(datagram.remote, &datagram.bytes, spi);
        let unsent = SecondUnsent {
            agreement,
            keys,
            caller,
            chosen,
            public: own,
        };
        let common = Common::new((spi, theirs), datagram.path(), now);
        self.prove_second(common, unsent, now);
        Ok(())
    }

    /// Sends message 2, or has it signed before.
    fn prove_second(&mut self, common: Common, unsent: SecondUnsent, now: Instant) {
        let settings = Arc::clone(&unsent.caller.settings);
        let mut body = Vec::new();
        identity::ours(&settings).encode(&mut body);
        let hash = unsent.keys.proof(&unsent.agreement.said, false, &body);
        match &settings.authentication.local {
            LocalProof::PreSharedKey(_) => self.send_second(common, unsent, vec![Payload::Hash(hash)], now),
            LocalProof::Certificate(own) => {
                let signing = Signing {
                    said: certificates::ours(&settings),
                    of: Unsigned::Second(unsent),
                };
                self.have_signed(common, signing, (own, hash), now);
            }
        }
    }

    /// Sends message 2 with this proof.
    pub(super) fn send_second(
        &mut self,
        mut common: Common,
        unsent: SecondUnsent,
        proof: Vec<Payload>,
        now: Instant,
    ) {
        let SecondUnsent {
            agreement,
            keys,
            caller,
            chosen,
            public,
        } = unsent;
        let settings = &caller.settings;
        let mut payloads = vec![
            Payload::SecurityAssociation(chosen),
            Payload::KeyExchange(public),
            Payload::Nonce(agreement.said.nonces.1.clone()),
            Payload::Identification(identity::ours(settings)),
        ];
        payloads.extend(proof);
        payloads.extend(certificates::requests([settings.as_ref()].into_iter()));
        if let Some(traversal) = agreement.announced.traversal {
            let how = (agreement.suite.prf, traversal);
            let forced = settings.force_encapsulation;
            payloads.extend(nat::payloads(how, common.spis(), common.path, forced));
        }
        payloads.extend(vendor::announcements());
        let header = Message::header(common.spis(), exchange::AGGRESSIVE, 0);
        let bytes = Message { header, payloads }.encode();
        let bytes = fragments::divided(bytes, agreement.announced.fragments(true), settings);
        self.send(common.path, bytes.clone());
        let expiry = now + self.limits.half_open_timeout;
        common.timers.set(Timer::Expiry, Some(expiry));
        let state = AggressiveAnswered {
            agreement,
            keys,
            caller,
            answer: Retransmission::new(bytes, now),
            complained: false,
        };
        self.keep_phase(common, State::AggressiveAnswered(Box::new(state)));
    }

    /// Message 3 arrived: the peer's proof.
    pub(super) fn answered_last(
        &mut self,
        common: Common,
        state: Box<AggressiveAnswered>,
        datagram: &Datagram,
        now: Instant,
    ) {
        let (keys, said) = (&state.keys, &state.agreement.said);
        let opened = Opened::of(keys, (&datagram.header, &datagram.bytes), &keys.first_iv(said));
        let opened = opened.filter(|opened| may_prove(&state.agreement, &opened.payloads));
        let Some(opened) = opened else {
            return self.unreadable(common, state, datagram, now);
        };
        let settings = Arc::clone(&state.caller.settings);
        let current = self.settings_of(&state.caller.name);
        if !current.is_some_and(|current| Arc::ptr_eq(&current, &settings)) {
            // Meanwhile the connection was changed; the peer begins anew.
            return self.half_open.remove(common.spi);
        }
        let mut payloads = vec![Payload::Identification(state.caller.said.clone())];
        payloads.extend(opened.payloads.iter().cloned());
        let proof = (keys, &state.agreement, (true, state.caller.body.as_slice()));
        let doubt = self.doubt(proof, &payloads, &settings, now);
        let stranger = (!state.caller.expected).then(|| unexpected(&state.caller));
        match (stranger.or(doubt), state.agreement.method) {
            (None, _) => self.established_last(common, (*state, opened), datagram, now),
            (Some(_), Method::PreSharedKey) => self.unreadable(common, state, datagram, now),
            (Some(outage), Method::RsaSignature) => {
                self.noted(&state.caller.name, &outage, now);
                self.turn_away(common, (&state.keys, &opened.next_iv), datagram.path());
            }
        }
    }

    /// Both sides proved who they are.
    fn established_last(
        &mut self,
        mut common: Common,
        (state, opened): (AggressiveAnswered, Opened),
        datagram: &Datagram,
        now: Instant,
    ) {
        let AggressiveAnswered {
            mut agreement,
            keys,
            caller,
            ..
        } = state;
        self.half_open.remove(common.spi);
        common.timers.set(Timer::Expiry, None);
        common.path = datagram.path();
        if agreement.announced.traversal.is_some() {
            let (cookies, path) = (common.spis(), common.path);
            let (prf, forced) = (agreement.suite.prf, caller.settings.force_encapsulation);
            agreement.nat = nat::detect(prf, cookies, path, (&opened.payloads, forced));
        }
        let peer = identity::of_peer(&caller.said);
        common.proved = peer.as_ref().and_then(crate::identity::from_payload);
        common.shown = certificates::shown(&opened.payloads);
        common.connection = Some(caller.name);
        self.began_v1((&common, exchange::AGGRESSIVE), &agreement, now);
        let third = (Side::Peer, exchange::AGGRESSIVE, Some(3));
        self.spoke(&common, third, &opened.payloads);
        let contact = is_first_contact(&opened.payloads);
        let keys = (keys, opened.next_iv);
        let established = self.established_phase(keys, agreement, &caller.settings, now);
        self.settle(common, established, contact, now);
    }

    /// A proof that cannot be read, as anyone may have sent it: it goes on.
    fn unreadable(
        &mut self,
        common: Common,
        mut state: Box<AggressiveAnswered>,
        datagram: &Datagram,
        now: Instant,
    ) {
        self.dropped(datagram.remote, Some(DropCause::IntegrityFailed));
        let outage = if state.caller.expected {
            Outage::plain(Reason::AuthenticationFailed, Side::We, Stage::AggressiveMode)
        } else {
            unexpected(&state.caller)
        };
        for name in self.suspects(state.caller.path) {
            self.noted(&name, &outage, now);
        }
        if !state.complained && self.may_answer_stranger(now) {
            state.complained = true;
            self.complain(datagram, notify::PAYLOAD_MALFORMED);
        }
        self.keep_phase(common, State::AggressiveAnswered(state));
    }
}

/// Which connection a message 1 is for, and what it chooses of the proposals. Where none expects who it says it is, the first one
/// that can answers.
fn caller(
    payloads: &[Payload],
    datagram: &Datagram,
    candidates: &[(ConnectionName, Arc<Connection>)],
) -> Result<(Caller, (proposal::Phase1, SecurityAssociationPayload)), Rejection> {
    let offered = security_association(payloads).ok_or_else(malformed)?;
    let said = identification(payloads).ok_or_else(malformed)?;
    let body = identity_body(datagram).ok_or_else(malformed)?;
    identity::of_peer(said).ok_or_else(malformed)?;
    let expects = |settings: &Connection| identity::is_expected(said, &settings.remote_identity);
    let (expecting, others): (Vec<_>, Vec<_>) =
        candidates.iter().partition(|(_, settings)| expects(settings));
    let expected = !expecting.is_empty();
    let asked = if expected { expecting } else { others };
    let chosen = asked
        .iter()
        .find_map(|(name, settings)| Some((name, settings, proposal::choose_phase1(offered, settings)?)));
    let Some((name, settings, chosen)) = chosen else {
        let candidates = candidates.iter().map(|(_, settings)| settings.as_ref());
        return Err(nothing_in_common(offered, candidates, Stage::AggressiveMode));
    };
    let caller = Caller {
        said: said.clone(),
        body,
        name: name.clone(),
        settings: Arc::clone(settings),
        expected,
        path: datagram.path(),
    };
    Ok((caller, chosen))
}

/// Whether a message 3 holds what a proof needs.
fn may_prove(agreement: &Agreement, payloads: &[Payload]) -> bool {
    match agreement.method {
        Method::PreSharedKey => hash_of(payloads).is_some(),
        Method::RsaSignature => certificates::signature(payloads).is_some(),
    }
}

fn unexpected(caller: &Caller) -> Outage {
    let words = identity::of_peer(&caller.said);
    Outage {
        offered: words.as_ref().map(crate::identity::words).unwrap_or_default(),
        expected: caller.settings.remote_identity.to_string(),
        ..Outage::plain(Reason::PeerIdentityUnexpected, Side::We, Stage::AggressiveMode)
    }
}
