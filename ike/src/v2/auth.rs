//! IKE_AUTH, both roles, with a pre-shared key (RFC 7296 §1.2, §2.15).

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::channel::{Channel, Unopened};
use super::child::{self, AgreedChild};
use super::nat::Nat;
use super::payloads::{self, Datagram};
use super::proof::{prove, proves};
use super::state::{Answering, Closing, Common, Established, InitAnswered, Refused, State};
use super::timers::Timer;
use super::window::{Retransmission, Window};
use crate::engine::Engine;
use crate::identity;
use crate::proposal::{IkeSuite, Keying};
use crate::rejection::{Rejection, error, unsupported};
use crate::wire::registry::{exchange, notify};
use crate::wire::{IdentificationPayload, Payload};
use crate::{Connection, ConnectionName, DropCause, Identity, Outage, Reason, Side, Stage};

/// How long an IKE SA whose only child was refused may stay for the peer to close it.
const CHILDLESS: Duration = Duration::from_secs(5);

/// Initiator: we proved who we are and wait for the peer to do so.
pub(crate) struct AuthSent {
    pub(crate) channel: Channel,
    pub(crate) suite: IkeSuite,
    pub(crate) nat: Nat,
    /// The SPI that we offered to receive on.
    pub(crate) inbound: u32,
    pub(crate) init_answer: Vec<u8>,
    pub(crate) initiator_nonce: Vec<u8>,
    pub(crate) responder_nonce: Vec<u8>,
    pub(crate) request: Retransmission,
}

/// What an authenticated peer asks for.
struct Authenticated {
    name: ConnectionName,
    settings: Arc<Connection>,
    initial_contact: bool,
}

impl AuthSent {
    /// Judges the proof in an answer. What comes back is why the SA cannot be.
    fn check(&self, payloads: &[Payload], settings: &Connection) -> Result<(), Outage> {
        let refused = |reason, side| Outage::plain(reason, side, Stage::IkeAuth);
        let Some(proof) = payloads::authentication(payloads) else {
            return Err(match payloads::error(payloads) {
                Some(error) => child::refused_by_peer(error.kind, settings, false),
                None => refused(Reason::ProtocolError, Side::We),
            });
        };
        if unsupported(payloads).is_some() {
            return Err(refused(Reason::ProtocolError, Side::We));
        }
        let Some(said) = payloads::responder_identity(payloads) else {
            return Err(refused(Reason::ProtocolError, Side::We));
        };
        if !identity::matches(said, &settings.remote_identity) {
            return Err(unexpected(said, &settings.remote_identity));
        }
        let proven = (self.init_answer.as_slice(), self.initiator_nonce.as_slice());
        if proves(&self.channel, (proof, said), proven, settings) {
            Ok(())
        } else {
            Err(refused(Reason::AuthenticationFailed, Side::We))
        }
    }
}

fn unexpected(said: &IdentificationPayload, expected: &Identity) -> Outage {
    Outage {
        reason: Reason::PeerIdentityUnexpected,
        side: Side::We,
        stage: Stage::IkeAuth,
        offered: identity::words(said),
        expected: expected.to_string(),
    }
}

impl Engine {
    /// Proves who we are and asks for the child; `init_request` is our IKE_SA_INIT message.
    pub(crate) fn auth_request(
        &mut self,
        common: Common,
        mut state: AuthSent,
        init_request: &[u8],
        now: Instant,
    ) {
        let Some(name) = common.connection.clone() else {
            return;
        };
        let Some(settings) = self.settings_of(&name) else {
            return;
        };
        let (said, proof) = prove(&state.channel, (init_request, &state.responder_nonce), &settings);
        let mut payloads = vec![Payload::IdentificationInitiator(said)];
        payloads.extend(self.first_contact(&name));
        let expected = identity::to_payload(&settings.remote_identity);
        payloads.extend([Payload::IdentificationResponder(expected), proof]);
        payloads.extend(child::offer(state.inbound, &settings, Keying::Inherited));
        let bytes = state
            .channel
            .request(exchange::IKE_AUTH, 1, &payloads, self.random.as_mut());
        self.send(common.path, bytes.clone());
        state.request = Retransmission::new(bytes, now);
        self.keep(common, State::AuthSent(Box::new(state)));
    }

    /// An answer to our IKE_AUTH arrived.
    pub(crate) fn auth_answer(
        &mut self,
        common: Common,
        state: Box<AuthSent>,
        datagram: &Datagram,
        now: Instant,
    ) {
        let Some(settings) = common.connection.as_ref().and_then(|name| self.settings_of(name)) else {
            return;
        };
        let payloads = match state.channel.open(&datagram.bytes) {
            Ok(payloads) => payloads,
            Err(Unopened::Forged(cause)) => {
                self.dropped(datagram.remote, Some(cause));
                return self.keep(common, State::AuthSent(state));
            }
            Err(Unopened::Invalid) => {
                self.dropped(datagram.remote, Some(DropCause::Malformed));
                self.forget_child_spi(state.inbound);
                let outage = Outage::plain(Reason::ProtocolError, Side::We, Stage::IkeAuth);
                return self.ended(&common, Some(outage), now);
            }
        };
        if let Err(outage) = state.check(&payloads, &settings) {
            return self.auth_failed(common, *state, outage, now);
        }
        match child::accept(state.inbound, &payloads, (&settings, Keying::Inherited)) {
            Ok(child) => self.auth_completed(common, *state, child, now),
            Err(outage) => {
                // The IKE SA stands without a child (§1.2): close it and try again later.
                self.forget_child_spi(state.inbound);
                let farewell = vec![payloads::delete_ike()];
                let closing = Closing {
                    channel: state.channel,
                    window: Window::new(2, 0),
                    farewell: Some(farewell),
                    asked: None,
                };
                self.ended(&common, Some(outage), now);
                self.close(common, closing, now);
            }
        }
    }

    /// The peer refused us, or did not prove who it is: in that case it is told so (§2.21.2).
    fn auth_failed(&mut self, common: Common, state: AuthSent, outage: Outage, now: Instant) {
        self.forget_child_spi(state.inbound);
        let we = outage.side == Side::We;
        self.ended(&common, Some(outage), now);
        if we {
            let error = Payload::Notify(error(notify::AUTHENTICATION_FAILED, Vec::new()));
            let farewell = Some(vec![error, payloads::delete_ike()]);
            let closing = Closing {
                channel: state.channel,
                window: Window::new(2, 0),
                farewell,
                asked: None,
            };
            self.close(common, closing, now);
        }
    }

    /// Both sides are authenticated and agree on a child.
    fn auth_completed(&mut self, mut common: Common, state: AuthSent, child: AgreedChild, now: Instant) {
        let Some(name) = common.connection.clone() else {
            return;
        };
        let Some(settings) = self.settings_of(&name) else {
            return;
        };
        self.contacted(&name);
        let nonces = (state.initiator_nonce.as_slice(), state.responder_nonce.as_slice());
        let keys = state.channel.child_keys(child.suite, nonces, None);
        let child = self.install(&common, (child, keys, state.nat.encapsulation()), true, now);
        let lifetime = self.lifetime(settings.ike_lifetime, now);
        let mut established = Established::new(
            (state.channel, state.suite),
            Window::new(2, 0),
            state.nat,
            (lifetime, settings.dpd_timeout),
            now,
        );
        established.child = Some(child);
        established.initiator_nonce = state.initiator_nonce.into();
        common
            .timers
            .set(Timer::Keepalive, established.first_keepalive(now));
        self.keep(common, State::Established(Box::new(established)));
    }

    /// A request under the SPI of a half-open IKE SA arrived.
    pub(crate) fn auth_arrived(
        &mut self,
        common: Common,
        mut state: Box<InitAnswered>,
        datagram: &Datagram,
        now: Instant,
    ) {
        let header = &datagram.header;
        let opened = if header.exchange_type != exchange::IKE_AUTH || header.is_response() {
            Err(Unopened::Forged(DropCause::UnexpectedExchange))
        } else if header.message_id != 1 {
            Err(Unopened::Forged(DropCause::UnexpectedMessageId))
        } else if !state.nat.remote && datagram.remote.ip() != common.path.remote.ip() {
            // NAT detection says that the peer's address is its own: a copy from elsewhere would draw us there.
            Err(Unopened::Forged(DropCause::NoConnection))
        } else {
            let channel = state.channel(&common);
            channel.map_or(Err(Unopened::Forged(DropCause::IntegrityFailed)), |keys| {
                keys.open(&datagram.bytes)
            })
        };
        let payloads = match opened {
            Ok(payloads) => payloads,
            Err(Unopened::Forged(cause)) => {
                self.dropped(datagram.remote, Some(cause));
                return self.keep(common, State::InitAnswered(state));
            }
            Err(Unopened::Invalid) => {
                let rejection =
                    Rejection::answered(Some(DropCause::Malformed), notify::INVALID_SYNTAX, Vec::new());
                return self.auth_refused(common, *state, (rejection, datagram), now);
            }
        };
        let judged = self.judge_auth(&common, &mut state, &payloads, now);
        match judged {
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
        let (name, settings) = self.identified(state, said, payloads::responder_identity(payloads), now)?;
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

    /// The candidate that expects this peer.
    fn identified(
        &mut self,
        state: &InitAnswered,
        said: &IdentificationPayload,
        wanted: Option<&IdentificationPayload>,
        now: Instant,
    ) -> Result<(ConnectionName, Arc<Connection>), Rejection> {
        let known: Vec<_> = state
            .candidates
            .iter()
            .filter_map(|name| Some((name.clone(), self.settings_of(name)?)))
            .collect();
        let expects = |settings: &Connection| {
            identity::matches(said, &settings.remote_identity)
                && wanted.is_none_or(|wanted| identity::matches(wanted, &settings.local_identity))
        };
        if let Some(found) = known.iter().find(|(_, settings)| expects(settings)) {
            return Ok(found.clone());
        }
        let mut rejection = Rejection::answered(None, notify::AUTHENTICATION_FAILED, Vec::new());
        for (name, settings) in &known {
            let outage = match wanted {
                Some(wanted) if identity::matches(said, &settings.remote_identity) => {
                    unexpected(wanted, &settings.local_identity)
                }
                _ => unexpected(said, &settings.remote_identity),
            };
            self.noted(name, &outage, now);
            rejection.outage = Some(outage);
        }
        Err(rejection)
    }

    /// Answers with an error; the answer is kept for repeated requests.
    fn auth_refused(
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
        let answer = channel.answer(exchange::IKE_AUTH, 1, &payloads, self.random.as_mut());
        self.send(datagram.path(), answer.clone());
        self.keep(common, State::Refused(Box::new(Refused { channel, answer })));
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
        let (nat, suite) = (state.nat, state.suite);
        let nonces = (state.initiator_nonce.clone(), state.responder_nonce.clone());
        let init_answer = state.answer.clone();
        let Some(channel) = state.into_channel() else {
            return;
        };
        self.half_open.remove(common.spi);
        common.path = datagram.path();
        common.connection = Some(name.clone());
        common.timers.set(Timer::Expiry, None);
        let (said, proof) = prove(&channel, (&init_answer, &nonces.0), &settings);
        let mut proof = vec![Payload::IdentificationResponder(said), proof];
        proof.extend(self.first_contact(&name));
        let lifetime = self.lifetime(settings.ike_lifetime, now);
        let mut established = Established::new(
            (channel, suite),
            Window::new(0, 1),
            nat,
            (lifetime, settings.dpd_timeout),
            now,
        );
        established.initiator_nonce = nonces.0.clone().into();
        let inbound = self.fresh_child_spi();
        let replaced = self.replace(&name, common.spi, now);
        self.contacted(&name);
        match child::choose(inbound, payloads, (&settings, Keying::Inherited)) {
            Ok((child, agreed)) => {
                let keys = established
                    .channel
                    .child_keys(child.suite, (&nonces.0, &nonces.1), None);
                let child = (child, keys, nat.encapsulation());
                established.child = Some(self.install(&common, child, false, now));
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

    /// INITIAL_CONTACT, if it is true (§2.4).
    fn first_contact(&self, name: &ConnectionName) -> Option<Payload> {
        self.is_first_contact(name)
            .then(|| payloads::status(notify::INITIAL_CONTACT, Vec::new()))
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
        let answer = established
            .channel
            .answer(exchange::IKE_AUTH, 1, payloads, self.random.as_mut());
        self.send(common.path, answer.clone());
        established.window.answered(answer);
        common
            .timers
            .set(Timer::Keepalive, established.first_keepalive(now));
        self.keep(common, State::Established(Box::new(established)));
    }
}
