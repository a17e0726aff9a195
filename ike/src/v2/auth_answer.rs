//! IKE_AUTH as responder (RFC 7296 §1.2, §2.15).

use std::sync::Arc;
use std::time::Instant;

use super::auth::{unexpected, without_ppk};
use super::certificates;
use super::channel::Unopened;
use super::child;
use super::lines::CHILDLESS;
use super::mobike;
use super::nat::Path;
use super::payloads::{self, Datagram};
use super::proof::{self, Claim, Proof, Said};
use super::proofs;
use super::signing::AnswerSigning;
use super::staging;
use super::state::{Answering, Common, Established, InitAnswered, Refused, State};
use super::timers::Timer;
use super::window::Window;
use crate::beliefs::{self, Beliefs};
use crate::engine::Engine;
use crate::identity;
use crate::proposal::{IkeSuite, Keying};
use crate::rejection::{Rejection, error, unsupported};
use crate::wire::registry::{exchange, notify};
use crate::wire::{AuthPayload, IdentificationPayload, Payload};
use crate::{
    Action, Childless, Connection, ConnectionName, DropCause, Identity, Outage, PostQuantumPresharedKey,
    Reason, SaId, Side, Stage,
};

/// What an authenticated peer asks for.
pub(super) struct Authenticated {
    pub(super) name: ConnectionName,
    pub(super) settings: Arc<Connection>,
    /// Who it is.
    identity: Option<Identity>,
    initial_contact: bool,
    carries_on: bool,
    /// The post-quantum preshared key that both sides use.
    ppk: Option<PostQuantumPresharedKey>,
}

/// The child that IKE_AUTH asks for, with the nonces of IKE_SA_INIT.
struct FirstChild<'a> {
    payloads: &'a [Payload],
    nonces: (&'a [u8], &'a [u8]),
    settings: &'a Connection,
    /// The SPI of ours of the IKE SA that the peer says it forgot, if its datapath did not.
    forgotten: Option<u64>,
}

impl InitAnswered {
    /// Whether the peer proves who it is, and the post-quantum preshared key that it does so with.
    fn proven(
        &mut self,
        common: &Common,
        (payloads, identity): (&[Payload], &IdentificationPayload),
        settings: &Connection,
        beliefs: (&Beliefs, Instant),
    ) -> Result<Option<PostQuantumPresharedKey>, Outage> {
        let chosen = proof::choose(payloads, settings);
        let (ppk, proof) = chosen.ok_or_else(|| without_ppk(settings))?;
        let (message, peer_nonce) = (self.request.clone(), self.responder_nonce.clone());
        let said = Said {
            message: &message,
            peer_nonce: &peer_nonce,
            identity,
        };
        let claim = Claim {
            proof: &proof,
            said,
            payloads,
        };
        let channel = self.channel(common);
        let channel =
            channel.ok_or_else(|| Outage::plain(Reason::ProtocolError, Side::We, Stage::IkeAuth))?;
        let remote = &settings.authentication.remote;
        proof::judge(channel, claim, remote, ppk, beliefs).map(|()| ppk.cloned())
    }
}

/// RFC 6023 §3: neither SA nor selectors.
fn wants_no_child(payloads: &[Payload]) -> bool {
    payloads::security_association(payloads).is_none() && payloads::selectors(payloads).is_none()
}

impl Engine {
    /// A request under the SPI of a half-open IKE SA arrived.
    pub(crate) fn half_open_arrived(
        &mut self,
        common: Common,
        mut state: Box<InitAnswered>,
        datagram: &Datagram,
        now: Instant,
    ) {
        let opened = match state.repeated(datagram) {
            Some(Ok(answer)) => {
                self.send(datagram.path(), answer);
                return self.keep(common, State::InitAnswered(state));
            }
            Some(Err(unopened)) => Err(unopened),
            None => state.open(&common, datagram),
        };
        let payloads = match opened {
            Ok(payloads) => payloads,
            Err(Unopened::Forged(cause)) => {
                self.dropped(datagram.remote, Some(cause));
                return self.keep(common, State::InitAnswered(state));
            }
            Err(Unopened::Part) => return self.keep(common, State::InitAnswered(state)),
            Err(Unopened::Invalid) => {
                let rejection =
                    Rejection::answered(Some(DropCause::Malformed), notify::INVALID_SYNTAX, Vec::new());
                return self.auth_refused(common, *state, (rejection, datagram.path(), datagram.exchange()));
            }
        };
        if state.group_awaited().is_some() {
            return self.intermediate_asked(common, state, (&payloads, datagram));
        }
        match self.judge_auth(&common, &mut state, &payloads, now) {
            Ok(peer) => self.answer_peer(common, state, (peer, payloads, datagram), now),
            Err(rejection) => {
                self.auth_refused(common, *state, (rejection, datagram.path(), datagram.exchange()));
            }
        }
    }

    /// Proves who we are to an authenticated peer; perhaps our proof is to be signed first.
    fn answer_peer(
        &mut self,
        common: Common,
        mut state: Box<InitAnswered>,
        (peer, payloads, datagram): (Authenticated, Vec<Payload>, &Datagram),
        now: Instant,
    ) {
        let (message, peer_nonce) = (state.answer.clone(), state.initiator_nonce.clone());
        let identity = proof::our_identity(&peer.settings);
        let said = Said {
            message: &message,
            peer_nonce: &peer_nonce,
            identity: &identity,
        };
        let Some(channel) = state.channel(&common) else {
            return;
        };
        let how = (&peer.settings.authentication.local, common.extensions.hashes);
        let (path, exchange) = (datagram.path(), datagram.exchange());
        match proof::prove(channel, said, how, &[peer.ppk.as_ref()]) {
            Ok(Proof::Ready(proofs)) => {
                self.auth_accepted(common, *state, (peer, &payloads, path), (proofs, now));
            }
            Ok(Proof::Owed(unsigned, to_be_signed)) => {
                self.out.push(Action::Sign(SaId(common.spi), to_be_signed));
                let state = AnswerSigning {
                    state: *state,
                    peer,
                    payloads,
                    path,
                    exchange,
                    unsigned,
                };
                self.keep(common, State::AnswerSigning(Box::new(state)));
            }
            Err(outage) => {
                self.noted(&peer.name, &outage, now);
                let rejection = Rejection::refused(notify::AUTHENTICATION_FAILED, outage);
                self.auth_refused(common, *state, (rejection, path, exchange));
            }
        }
    }

    /// Who is it, can it prove that, and may it have an IKE SA besides what we have with it.
    fn judge_auth(
        &mut self,
        common: &Common,
        state: &mut InitAnswered,
        payloads: &[Payload],
        now: Instant,
    ) -> Result<Authenticated, Rejection> {
        if let Some(rejection) = unsupported(payloads) {
            return Err(rejection);
        }
        let said = payloads::initiator_identity(payloads);
        let said = said.ok_or_else(|| Rejection::answered(None, notify::INVALID_SYNTAX, Vec::new()))?;
        let wanted = payloads::responder_identity(payloads);
        let identified = self.identified((common.path, state.suite), said, wanted, now);
        if identified.is_err() {
            for name in self.suspects(common.path) {
                self.told_refused(&name, common, (state, payloads), now);
            }
        }
        let (name, settings) = identified?;
        let proven = state.proven(common, (payloads, said), &settings, (&self.beliefs, now));
        if beliefs::leads(&proven) {
            self.ask_for_lists(&certificates::sent(payloads), &settings, now);
        }
        let ppk = proven.map_err(|outage| {
            self.told_refused(&name, common, (state, payloads), now);
            self.noted(&name, &outage, now);
            Rejection::refused(notify::AUTHENTICATION_FAILED, outage)
        })?;
        let says = |kind| payloads::notify(payloads, kind).is_some();
        let (initial_contact, carries_on) = (says(notify::INITIAL_CONTACT), says(notify::CARRIES_ON));
        if self.rival_wins(&name, common, &state.initiator_nonce) {
            return Err(Rejection::answered(None, notify::TEMPORARY_FAILURE, Vec::new()));
        }
        Ok(Authenticated {
            name,
            settings,
            identity: identity::from_payload(said),
            initial_contact,
            carries_on,
            ppk,
        })
    }

    /// The connection that expects this peer.
    fn identified(
        &mut self,
        (path, suite): (Path, IkeSuite),
        said: &IdentificationPayload,
        wanted: Option<&IdentificationPayload>,
        now: Instant,
    ) -> Result<(ConnectionName, Arc<Connection>), Rejection> {
        let expects = |settings: &Connection| {
            identity::is_expected(said, &settings.remote_identity)
                && wanted.is_none_or(|wanted| identity::matches(wanted, &settings.local_identity))
        };
        if let Some(found) = self.expecting(path, suite, expects) {
            return Ok(found);
        }
        let mut rejection = Rejection::answered(None, notify::AUTHENTICATION_FAILED, Vec::new());
        for name in self.suspects(path) {
            let Some(settings) = self.settings_of(&name) else {
                continue;
            };
            let outage = match wanted {
                Some(wanted) if identity::is_expected(said, &settings.remote_identity) => {
                    unexpected(wanted, &settings.local_identity.to_string())
                }
                _ => unexpected(said, &settings.remote_identity.to_string()),
            };
            self.noted(&name, &outage, now);
            rejection.outage = Some(outage);
        }
        Err(rejection)
    }

    /// Answers with an error; the answer is kept for repeated requests.
    pub(super) fn auth_refused(
        &mut self,
        common: Common,
        state: InitAnswered,
        (rejection, path, request): (Rejection, Path, (u8, u32)),
    ) {
        self.dropped(path.remote, rejection.cause);
        let Some(mut channel) = state.into_channel() else {
            return;
        };
        let payloads: Vec<_> = rejection.answer.into_iter().map(Payload::Notify).collect();
        let answer = channel.answer(request.0, request.1, &payloads, self.random.as_mut());
        self.send(path, answer.clone());
        let refused = Refused {
            channel,
            answer,
            request,
        };
        self.keep(common, State::Refused(Box::new(refused)));
    }

    /// The peer is who it says: from here on the SA is the connection's only one.
    pub(super) fn auth_accepted(
        &mut self,
        mut common: Common,
        state: InitAnswered,
        (peer, payloads, path): (Authenticated, &[Payload], Path),
        (proofs, now): (Vec<AuthPayload>, Instant),
    ) {
        let Authenticated {
            name,
            settings,
            identity,
            initial_contact,
            carries_on,
            ppk,
        } = peer;
        let (nat, suite, id) = (state.nat, state.suite, state.next);
        self.began((&name, &common), (&state, payloads), now);
        let nonces = (state.initiator_nonce.clone(), state.responder_nonce.clone());
        let Some(mut channel) = state.into_channel() else {
            return;
        };
        ppk.iter().for_each(|ppk| channel.mix(&ppk.secret));
        (common.extensions.ppk, common.extensions.childless) = (ppk.is_some(), false);
        self.half_open.remove(common.spi);
        (common.path, common.proved, common.connection) = (path, identity, Some(name));
        common.shown = certificates::shown(payloads, &settings);
        common.timers.set(Timer::Expiry, Some(now + child::PATIENCE));
        let mut proof = vec![Payload::IdentificationResponder(proof::our_identity(&settings))];
        let proofs = proofs.into_iter().map(Payload::Authentication);
        proof.extend(certificates::ours(&settings).into_iter().chain(proofs));
        proof.extend(ppk.map(|_| proof::confirmation()));
        proof.extend(self.first_contact(&settings, common.spi));
        proof.extend(proofs::announcement(&settings));
        common.mobility = self.mobility(payloads, &settings);
        let mobility = common.mobility.iter();
        proof.extend(mobility.flat_map(|_| mobike::announcements(&settings)));
        let mut established = Established::new(
            (channel, suite),
            Window::new(0, id),
            nat,
            (self.lifetime(settings.ike_lifetime, now), settings.dpd_timeout),
            now,
        );
        established.initiator_nonce = nonces.0.clone().into();
        let displaced = self.displace(&common, &mut established, initial_contact, now);
        if wants_no_child(payloads) && settings.childless != Childless::Never {
            common.extensions.childless = true;
            established.childless_until = Some(now + CHILDLESS);
            self.answer_auth(common, established, &proof, now);
            return self.dispose(displaced, initial_contact, now);
        }
        let asked = FirstChild {
            payloads,
            nonces: (&nonces.0, &nonces.1),
            settings: &settings,
            forgotten: displaced.replaced.filter(|_| initial_contact && carries_on),
        };
        self.first_child(common, (established, proof), asked, now);
        self.dispose(displaced, initial_contact, now);
    }

    /// The child that IKE_AUTH asks for: the answer, which begins with our proof, waits until the datapath carries it.
    fn first_child(
        &mut self,
        common: Common,
        (mut established, proof): (Established, Vec<Payload>),
        asked: FirstChild<'_>,
        now: Instant,
    ) {
        let inbound = self.fresh_child_spi();
        let keying = (asked.settings, Keying::Inherited);
        match child::choose(inbound, asked.payloads, keying, (None, &established.children)) {
            Ok((child, agreed)) => {
                let keys = established.channel.child_keys(child.suite, asked.nonces, &[]);
                let child = (child, keys, established.nat.encapsulation());
                let inherited = self.inherit(asked.forgotten, common.spi, now);
                let before = self.sent_before(&common, &child.0.selectors);
                let child = if inherited.is_empty() && !before {
                    self.install(&common, child, false, now)
                } else {
                    self.stage(&common, child, now)
                };
                established.children.begin(child);
                if before {
                    established.children.yield_to_another(inbound);
                }
                established.children.handover = (!inherited.is_empty()).then(|| staging::handover(now));
                established.children.departed = inherited;
                let answering = Answering {
                    established,
                    proof,
                    agreed: agreed.into(),
                };
                self.keep(common, State::Answering(Box::new(answering)));
            }
            Err((kind, outage)) => {
                self.forget_child_spi(inbound);
                self.lost_child(&common, outage, now);
                self.answer_childless(common, (established, proof), kind, now);
            }
        }
    }

    /// The answer to IKE_AUTH with an error for the child; the IKE SA stands (§1.2).
    pub(crate) fn answer_childless(
        &mut self,
        common: Common,
        (mut established, mut payloads): (Established, Vec<Payload>),
        kind: u16,
        now: Instant,
    ) {
        payloads.push(Payload::Notify(error(kind, Vec::new())));
        established.childless_until = Some(now + CHILDLESS);
        self.answer_auth(common, established, &payloads, now);
    }

    /// The answer that was owed.
    pub(crate) fn answer_auth(
        &mut self,
        mut common: Common,
        mut established: Established,
        payloads: &[Payload],
        now: Instant,
    ) {
        let (kind, id) = (exchange::IKE_AUTH, established.window.expected());
        let answer = established
            .channel
            .answer(kind, id, payloads, self.random.as_mut());
        self.wrote(&common, (kind, id, true), payloads);
        self.send(common.path, answer.clone());
        established.window.answered(answer);
        common
            .timers
            .set(Timer::Keepalive, established.first_keepalive(now));
        let name = common.connection.as_ref();
        if let Some(settings) = name.and_then(|name| self.settings_of(name)) {
            self.begin_lines(&common, &mut established, &settings, now);
        }
        self.keep(common, State::Established(Box::new(established)));
    }
}
