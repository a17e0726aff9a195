//! IKE_AUTH, both roles, with a pre-shared key (RFC 7296 §1.2, §2.15).

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::channel::{Channel, Unopened};
use super::child::AgreedChild;
use super::init::InitAnswered;
use super::keys::Proven;
use super::nat::Nat;
use super::payloads::{self, Datagram};
use super::state::{Answering, Closing, Common, Established, Refused, State};
use super::timers::Timer;
use super::window::{Retransmission, Window};
use crate::engine::Engine;
use crate::identity;
use crate::proposal::{self, IkeSuite};
use crate::rejection::{Rejection, error, unsupported};
use crate::selector;
use crate::wire::registry::{authentication, exchange, notify};
use crate::wire::{AuthPayload, IdentificationPayload, Payload, SelectorsPayload};
use crate::{Authentication, Connection, ConnectionName, DropCause, Identity, Outage, Reason, Side, Stage};

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

/// A child that both sides agree on, and what to answer about it.
struct Negotiated {
    child: AgreedChild,
    payloads: Vec<Payload>,
}

impl AuthSent {
    /// Judges the proof in an answer. What comes back is why the SA cannot be.
    fn check(&self, payloads: &[Payload], settings: &Connection) -> Result<(), Outage> {
        let refused = |reason, side| Outage::plain(reason, side, Stage::IkeAuth);
        let Some(proof) = payloads::authentication(payloads) else {
            return Err(match payloads::error(payloads) {
                Some(error) => refusal(error.kind, settings, false),
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

    /// The child in an answer whose proof is good, or why there is none.
    fn child(&self, payloads: &[Payload], settings: &Connection) -> Result<AgreedChild, Outage> {
        if let Some(error) = payloads::error(payloads) {
            return Err(refusal(error.kind, settings, true));
        }
        let broken = || Outage::plain(Reason::ProtocolError, Side::We, Stage::IkeAuth);
        let chosen = payloads::security_association(payloads).ok_or_else(broken)?;
        let (initiator, responder) = payloads::selectors(payloads).ok_or_else(broken)?;
        let Some((suite, outbound)) = proposal::accept_esp(chosen, &settings.esp_proposals) else {
            let expected = proposal::words(&proposal::offer_esp(&settings.esp_proposals, 0));
            return Err(Outage {
                offered: proposal::words(chosen),
                expected,
                ..broken()
            });
        };
        let within = selector::is_within(&initiator.selectors, &settings.local_selectors)
            && selector::is_within(&responder.selectors, &settings.remote_selectors);
        if !within {
            let offered = selector_words(&initiator.selectors, &responder.selectors);
            let expected = selector_words(&settings.local_selectors, &settings.remote_selectors);
            return Err(Outage {
                reason: Reason::SelectorMismatch,
                offered,
                expected,
                ..broken()
            });
        }
        Ok(AgreedChild {
            inbound: self.inbound,
            outbound,
            suite,
            local_selectors: initiator.selectors.clone(),
            remote_selectors: responder.selectors.clone(),
        })
    }
}

/// Whether the peer's AUTH payload is right; `proven` are its IKE_SA_INIT message and our nonce.
fn proves(
    channel: &Channel,
    (proof, said): (&AuthPayload, &IdentificationPayload),
    proven: (&[u8], &[u8]),
    settings: &Connection,
) -> bool {
    let (message, peer_nonce) = proven;
    let body = payloads::identity_body(said);
    let proven = Proven {
        message,
        peer_nonce,
        identity: &body,
    };
    let Authentication::PreSharedKey(secret) = &settings.authentication;
    let (_, peer) = channel.sides();
    proof.method == authentication::SHARED_KEY && peer.verify_shared_key(secret, &proven, &proof.data)
}

/// Our ID body and AUTH payload; `proven` are our IKE_SA_INIT message and the peer's nonce.
fn prove(
    channel: &Channel,
    proven: (&[u8], &[u8]),
    settings: &Connection,
) -> (IdentificationPayload, Payload) {
    let (message, peer_nonce) = proven;
    let said = identity::to_payload(&settings.local_identity);
    let body = payloads::identity_body(&said);
    let Authentication::PreSharedKey(secret) = &settings.authentication;
    let (ours, _) = channel.sides();
    let data = ours.shared_key_proof(
        secret,
        &Proven {
            message,
            peer_nonce,
            identity: &body,
        },
    );
    (
        said,
        Payload::Authentication(AuthPayload {
            method: authentication::SHARED_KEY,
            data,
        }),
    )
}

/// What an error that the peer sent means; `authenticated`: it proved who it is, so only the child was refused.
fn refusal(kind: u16, settings: &Connection, authenticated: bool) -> Outage {
    let (reason, offered) = match kind {
        notify::AUTHENTICATION_FAILED => (Reason::AuthenticationFailed, settings.local_identity.to_string()),
        notify::NO_PROPOSAL_CHOSEN => {
            let offered = proposal::words(&proposal::offer_esp(&settings.esp_proposals, 0));
            (Reason::ChildProposalMismatch, offered)
        }
        notify::TS_UNACCEPTABLE => {
            let offered = selector_words(&settings.local_selectors, &settings.remote_selectors);
            (Reason::SelectorMismatch, offered)
        }
        notify::TEMPORARY_FAILURE | notify::NO_ADDITIONAL_SAS if authenticated => {
            (Reason::DatapathRefused, String::new())
        }
        notify::TEMPORARY_FAILURE => (Reason::Replaced, String::new()),
        kind => (Reason::ProtocolError, format!("notify {kind}")),
    };
    Outage {
        reason,
        side: Side::Peer,
        stage: Stage::IkeAuth,
        offered,
        expected: String::new(),
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

fn selector_words(local: &[crate::TrafficSelector], remote: &[crate::TrafficSelector]) -> String {
    format!("{} = {}", selector::words(local), selector::words(remote))
}

fn selectors_payload(selectors: &[crate::TrafficSelector]) -> SelectorsPayload {
    SelectorsPayload {
        selectors: selectors.to_vec(),
        unknown: 0,
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
        if self.is_first_contact(&name) {
            payloads.push(payloads::status(notify::INITIAL_CONTACT, Vec::new()));
        }
        let offer = proposal::offer_esp(&settings.esp_proposals, state.inbound);
        payloads.extend([
            Payload::IdentificationResponder(identity::to_payload(&settings.remote_identity)),
            proof,
            Payload::SecurityAssociation(offer),
            Payload::SelectorsInitiator(selectors_payload(&settings.local_selectors)),
            Payload::SelectorsResponder(selectors_payload(&settings.remote_selectors)),
        ]);
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
        match state.child(&payloads, &settings) {
            Ok(child) => self.auth_completed(common, *state, child, now),
            Err(outage) => {
                // The IKE SA stands without a child (§1.2): close it and try again later.
                self.forget_child_spi(state.inbound);
                let farewell = vec![payloads::delete_ike()];
                let closing = Closing {
                    channel: state.channel,
                    window: Window::new(2, 0),
                    farewell: Some(farewell),
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
        let keys = state
            .channel
            .keys
            .child((child.suite.encryption, child.suite.integrity), nonces, None);
        let child = self.install(&common, (child, keys, state.nat.encapsulation()));
        let established = Established {
            channel: state.channel,
            window: Window::new(2, 0),
            suite: state.suite,
            nat: state.nat,
            child: Some(child),
            heard: now,
            since: now,
            dpd_timeout: settings.dpd_timeout,
            initiator_nonce: state.initiator_nonce.into(),
        };
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
        let failed = |offered| {
            let outage = Outage {
                offered,
                ..Outage::plain(Reason::AuthenticationFailed, Side::We, Stage::IkeAuth)
            };
            Rejection::refused(notify::AUTHENTICATION_FAILED, outage)
        };
        let proven = (state.request.clone(), state.responder_nonce.clone());
        let proof = payloads::authentication(payloads);
        let nonce = state.initiator_nonce.clone();
        let good = proof.zip(state.channel(common)).is_some_and(|(proof, channel)| {
            proves(channel, (proof, said), (&proven.0, &proven.1), &settings)
        });
        if !good {
            let rejection = failed(identity::words(said));
            self.noted(&name, rejection.outage.as_ref(), now);
            return Err(rejection);
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
            self.noted(name, Some(&outage), now);
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
        let mut proofs = vec![Payload::IdentificationResponder(said), proof];
        if self.is_first_contact(&name) {
            proofs.push(payloads::status(notify::INITIAL_CONTACT, Vec::new()));
        }
        let mut established = Established {
            channel,
            window: Window::new(0, 1),
            suite,
            nat,
            child: None,
            heard: now,
            since: now,
            dpd_timeout: settings.dpd_timeout,
            initiator_nonce: nonces.0.clone().into(),
        };
        let negotiated = self.negotiate(&settings, payloads);
        let replaced = self.replace(&name, common.spi, now);
        self.contacted(&name);
        match negotiated {
            Ok(Negotiated {
                child,
                payloads: agreed,
            }) => {
                let algorithms = (child.suite.encryption, child.suite.integrity);
                let keys = established
                    .channel
                    .keys
                    .child(algorithms, (&nonces.0, &nonces.1), None);
                established.child = Some(self.install(&common, (child, keys, nat.encapsulation())));
                let answering = Answering {
                    established,
                    proof: proofs,
                    agreed,
                };
                self.keep(common, State::Answering(Box::new(answering)));
            }
            Err((kind, outage)) => {
                self.lost(&name, Some(outage), now);
                self.answer_childless(common, (established, proofs), kind, now);
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

    /// The responder's choice for the first child.
    fn negotiate(
        &mut self,
        settings: &Connection,
        payloads: &[Payload],
    ) -> Result<Negotiated, (u16, Outage)> {
        let refused = |kind, reason, offered, expected| {
            (
                kind,
                Outage {
                    reason,
                    side: Side::We,
                    stage: Stage::IkeAuth,
                    offered,
                    expected,
                },
            )
        };
        let (Some(offered), Some((initiator, responder))) = (
            payloads::security_association(payloads),
            payloads::selectors(payloads),
        ) else {
            let reason = Reason::ProtocolError;
            return Err(refused(
                notify::INVALID_SYNTAX,
                reason,
                String::new(),
                String::new(),
            ));
        };
        let inbound = self.fresh_child_spi();
        let Some((suite, outbound, chosen)) = proposal::choose_esp(offered, &settings.esp_proposals, inbound)
        else {
            self.forget_child_spi(inbound);
            let expected = proposal::words(&proposal::offer_esp(&settings.esp_proposals, 0));
            let reason = Reason::ChildProposalMismatch;
            return Err(refused(
                notify::NO_PROPOSAL_CHOSEN,
                reason,
                proposal::words(offered),
                expected,
            ));
        };
        let remote_selectors = selector::narrow(&initiator.selectors, &settings.remote_selectors);
        let local_selectors = selector::narrow(&responder.selectors, &settings.local_selectors);
        if remote_selectors.is_empty() || local_selectors.is_empty() {
            self.forget_child_spi(inbound);
            let offered = selector_words(&responder.selectors, &initiator.selectors);
            let expected = selector_words(&settings.local_selectors, &settings.remote_selectors);
            return Err(refused(
                notify::TS_UNACCEPTABLE,
                Reason::SelectorMismatch,
                offered,
                expected,
            ));
        }
        let payloads = vec![
            Payload::SecurityAssociation(chosen),
            Payload::SelectorsInitiator(selectors_payload(&remote_selectors)),
            Payload::SelectorsResponder(selectors_payload(&local_selectors)),
        ];
        Ok(Negotiated {
            child: AgreedChild {
                inbound,
                outbound,
                suite,
                local_selectors,
                remote_selectors,
            },
            payloads,
        })
    }
}
