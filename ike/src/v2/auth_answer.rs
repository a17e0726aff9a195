//! IKE_AUTH as responder, with a pre-shared key (RFC 7296 §1.2, §2.15).

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::auth::unexpected;
use super::channel::Unopened;
use super::child;
use super::nat::Path;
use super::payloads::{self, Datagram};
use super::proof::{prove, proves};
use super::state::{Answering, Common, Established, InitAnswered, Refused, State};
use super::timers::Timer;
use super::window::Window;
use crate::engine::Engine;
use crate::identity;
use crate::proposal::{IkeSuite, Keying};
use crate::rejection::{Rejection, error, unsupported};
use crate::wire::registry::{exchange, notify};
use crate::wire::{IdentificationPayload, Payload};
use crate::{Connection, ConnectionName, DropCause, Outage, Reason, Side, Stage};

/// How long an IKE SA whose only child was refused may stay for the peer to close it.
const CHILDLESS: Duration = Duration::from_secs(5);

/// What an authenticated peer asks for.
struct Authenticated {
    name: ConnectionName,
    settings: Arc<Connection>,
    initial_contact: bool,
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
                return self.auth_refused(common, *state, (rejection, datagram), now);
            }
        };
        if state.group_awaited().is_some() {
            return self.intermediate_asked(common, state, (&payloads, datagram), now);
        }
        match self.judge_auth(&common, &mut state, &payloads, now) {
            Ok(authenticated) => {
                self.auth_accepted(common, *state, (authenticated, &payloads, datagram), now);
            }
            Err(rejection) => self.auth_refused(common, *state, (rejection, datagram), now),
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
        let (name, settings) = self.identified(
            (common.path, state.suite),
            said,
            payloads::responder_identity(payloads),
            now,
        )?;
        let proven = (state.request.clone(), state.responder_nonce.clone());
        let proof = payloads::authentication(payloads);
        let nonce = state.initiator_nonce.clone();
        let good = proof.zip(state.channel(common)).is_some_and(|(proof, channel)| {
            proves(channel, (proof, said), (&proven.0, &proven.1), &settings)
        });
        if !good {
            let outage = Outage {
                offered: identity::words(said),
                ..Outage::plain(Reason::AuthenticationFailed, Side::We, Stage::IkeAuth)
            };
            self.noted(&name, &outage, now);
            return Err(Rejection::refused(notify::AUTHENTICATION_FAILED, outage));
        }
        let initial_contact = payloads::notify(payloads, notify::INITIAL_CONTACT).is_some();
        if self.rival_wins(&name, common, &nonce) {
            return Err(Rejection::answered(None, notify::TEMPORARY_FAILURE, Vec::new()));
        }
        Ok(Authenticated {
            name,
            settings,
            initial_contact,
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
            identity::matches(said, &settings.remote_identity)
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
                Some(wanted) if identity::matches(said, &settings.remote_identity) => {
                    unexpected(wanted, &settings.local_identity)
                }
                _ => unexpected(said, &settings.remote_identity),
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
        (rejection, datagram): (Rejection, &Datagram),
        _now: Instant,
    ) {
        self.dropped(datagram.remote, rejection.cause);
        let Some(mut channel) = state.into_channel() else {
            return;
        };
        let payloads: Vec<_> = rejection.answer.into_iter().map(Payload::Notify).collect();
        let request = (datagram.header.exchange_type, datagram.header.message_id);
        let answer = channel.answer(request.0, request.1, &payloads, self.random.as_mut());
        self.send(datagram.path(), answer.clone());
        let refused = Refused {
            channel,
            answer,
            request,
        };
        self.keep(common, State::Refused(Box::new(refused)));
    }

    /// The peer is who it says: from here on the SA is the connection's only one.
    fn auth_accepted(
        &mut self,
        mut common: Common,
        state: InitAnswered,
        (peer, payloads, datagram): (Authenticated, &[Payload], &Datagram),
        now: Instant,
    ) {
        let Authenticated {
            name,
            settings,
            initial_contact,
        } = peer;
        let (nat, suite, id) = (state.nat, state.suite, state.next);
        let nonces = (state.initiator_nonce.clone(), state.responder_nonce.clone());
        let init_answer = state.answer.clone();
        let Some(channel) = state.into_channel() else {
            return;
        };
        self.half_open.remove(common.spi);
        common.path = datagram.path();
        common.connection = Some(name.clone());
        common.timers.set(Timer::Expiry, Some(now + child::PATIENCE));
        let (said, proof) = prove(&channel, (&init_answer, &nonces.0), &settings);
        let mut proof = vec![Payload::IdentificationResponder(said), proof];
        proof.extend(self.first_contact(&name));
        let lifetime = self.lifetime(settings.ike_lifetime, now);
        let mut established = Established::new(
            (channel, suite),
            Window::new(0, id),
            nat,
            (lifetime, settings.dpd_timeout),
            now,
        );
        established.initiator_nonce = nonces.0.clone().into();
        let inbound = self.fresh_child_spi();
        let replaced = self.replace(&name, common.spi, now);
        self.contacted(&name);
        match child::choose(inbound, payloads, (&settings, Keying::Inherited), None) {
            Ok((child, agreed)) => {
                let keys = established
                    .channel
                    .child_keys(child.suite, (&nonces.0, &nonces.1), None);
                let child = (child, keys, nat.encapsulation());
                let child = self.install(&common, child, false, now);
                established.children.begin(child);
                let answering = Answering {
                    established,
                    proof,
                    agreed: agreed.into(),
                };
                self.keep(common, State::Answering(Box::new(answering)));
            }
            Err((kind, outage)) => {
                self.forget_child_spi(inbound);
                self.lost(&name, Some(outage), now);
                self.answer_childless(common, (established, proof), kind, now);
            }
        }
        self.retire(replaced, initial_contact, now);
    }

    /// The answer to IKE_AUTH with an error for the child; the IKE SA stands (§1.2).
    pub(crate) fn answer_childless(
        &mut self,
        mut common: Common,
        (established, mut payloads): (Established, Vec<Payload>),
        kind: u16,
        now: Instant,
    ) {
        payloads.push(Payload::Notify(error(kind, Vec::new())));
        common.timers.set(Timer::Expiry, Some(now + CHILDLESS));
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
        self.send(common.path, answer.clone());
        established.window.answered(answer);
        common
            .timers
            .set(Timer::Keepalive, established.first_keepalive(now));
        self.keep(common, State::Established(Box::new(established)));
    }
}
