//! IKE_AUTH as initiator (RFC 7296 §1.2, §2.15).

use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::certificates;
use super::channel::Unopened;
use super::child::{self, AgreedChild};
use super::intermediate::Agreement;
use super::lines::CHILDLESS;
use super::mobike;
use super::payloads::{self, Datagram};
use super::proof::{self, Claim, Proof, Said};
use super::proofs;
use super::redirect;
use super::signing::{AuthSigning, SIGNING};
use super::state::{Closing, Common, Established, State};
use super::timers::Timer;
use super::window::{Retransmission, Window};
use crate::beliefs::{self, Beliefs};
use crate::engine::Engine;
use crate::identity;
use crate::proposal::Keying;
use crate::rejection::{error, unsupported};
use crate::wire::registry::{exchange, notify};
use crate::wire::{AuthPayload, IdentificationPayload, Payload};
use crate::{
    Action, Childless, Connection, DropCause, Outage, PostQuantumPresharedKey, Reason, SaId, Side, Stage,
};

/// Initiator: we proved who we are and wait for the peer to do so.
pub(crate) struct AuthSent {
    pub(crate) agreement: Agreement,
    /// The SPI that we offered to receive on; `None` if we asked for no child (RFC 6023).
    pub(crate) inbound: Option<u32>,
    pub(crate) request: Retransmission,
    /// How long the peer believes our proof, as it says.
    pub(crate) believed_for: Option<Duration>,
}

impl Agreement {
    /// The IKE SA is to be closed with these words, after IKE_AUTH.
    fn closing(self, farewell: Vec<Payload>) -> Closing {
        Closing {
            channel: self.channel,
            window: Window::new(self.next.saturating_add(1), 0),
            farewell: Some(farewell),
            asked: None,
            owes: false,
        }
    }
}

impl AuthSent {
    /// Judges the proof in an answer, and says which post-quantum preshared key it was made with. What comes back else
    /// is why the SA cannot be.
    fn check<'a>(
        &self,
        common: &Common,
        payloads: &[Payload],
        settings: &'a Connection,
        beliefs: (&Beliefs, Instant),
    ) -> Result<Option<&'a PostQuantumPresharedKey>, Outage> {
        let (proof, identity) = said(payloads, settings)?;
        let used = if common.extensions.ppk {
            proof::used(payloads, settings).ok_or_else(|| without_ppk(settings))?
        } else {
            None
        };
        let said = Said {
            message: &self.agreement.init_answer,
            peer_nonce: &self.agreement.initiator_nonce,
            identity,
        };
        let claim = Claim {
            proof,
            said,
            payloads,
        };
        let remote = &settings.authentication.remote;
        proof::judge(&self.agreement.channel, claim, remote, used, beliefs).map(|()| used)
    }
}

/// The proof and the identity in an answer, if it is one of the peer that we expect.
fn said<'p>(
    payloads: &'p [Payload],
    settings: &Connection,
) -> Result<(&'p AuthPayload, &'p IdentificationPayload), Outage> {
    let broken = || Outage::plain(Reason::ProtocolError, Side::We, Stage::IkeAuth);
    let Some(proof) = payloads::authentication(payloads) else {
        return Err(match payloads::error(payloads) {
            Some(error) => {
                let first = child::first_line(settings);
                child::refused_by_peer(error.kind, (settings, &first), Keying::Inherited, false)
            }
            None => broken(),
        });
    };
    if unsupported(payloads).is_some() {
        return Err(broken());
    }
    let identity = payloads::responder_identity(payloads).ok_or_else(broken)?;
    if identity::is_expected(identity, &settings.remote_identity) {
        Ok((proof, identity))
    } else {
        Err(unexpected(identity, &settings.remote_identity.to_string()))
    }
}

/// A post-quantum preshared key is required, and the peer used none.
pub(super) fn without_ppk(settings: &Connection) -> Outage {
    let id = settings
        .ppk
        .as_ref()
        .map(|ppk| String::from_utf8_lossy(&ppk.id).into_owned());
    Outage {
        offered: "no PPK, or another".to_owned(),
        expected: id.map_or_else(String::new, |id| format!("PPK {id}")),
        ..Outage::plain(Reason::AuthenticationFailed, Side::We, Stage::IkeAuth)
    }
}

pub(super) fn unexpected(said: &IdentificationPayload, expected: &str) -> Outage {
    Outage {
        reason: Reason::PeerIdentityUnexpected,
        side: Side::We,
        stage: Stage::IkeAuth,
        offered: identity::words(said),
        expected: expected.to_owned(),
    }
}

impl Engine {
    /// Proves who we are and asks for the child; perhaps our proof is to be signed first.
    pub(crate) fn auth_request(&mut self, mut common: Common, agreement: Agreement, now: Instant) {
        let Some(settings) = common.connection.as_ref().and_then(|name| self.settings_of(name)) else {
            return;
        };
        let identity = proof::our_identity(&settings);
        let said = Said {
            message: &agreement.init_request,
            peer_nonce: &agreement.responder_nonce,
            identity: &identity,
        };
        let keys = proof::keys_of_first(&settings, common.extensions.ppk);
        let how = (&settings.authentication.local, common.extensions.hashes);
        match proof::prove(&agreement.channel, said, how, &keys) {
            Ok(Proof::Ready(proofs)) => self.auth_asked(common, agreement, proofs, now),
            Ok(Proof::Owed(unsigned, to_be_signed)) => {
                self.out.push(Action::Sign(SaId(common.spi), to_be_signed));
                common.timers.set(Timer::Expiry, Some(now + SIGNING));
                let signing = AuthSigning { agreement, unsigned };
                self.keep(common, State::AuthSigning(Box::new(signing)));
            }
            Err(outage) => self.ended(&common, Some(outage), now),
        }
    }

    /// The request, with these proofs.
    pub(super) fn auth_asked(
        &mut self,
        mut common: Common,
        mut agreement: Agreement,
        proofs: Vec<AuthPayload>,
        now: Instant,
    ) {
        let Some(settings) = common.connection.as_ref().and_then(|name| self.settings_of(name)) else {
            return;
        };
        let mut payloads = vec![Payload::IdentificationInitiator(proof::our_identity(&settings))];
        payloads.extend(certificates::ours(&settings));
        let alone = !self.renews(&common);
        if let Some(contact) = alone.then(|| self.first_contact(&settings, common.spi)).flatten() {
            let kept = self
                .carries_on
                .then(|| payloads::status(notify::CARRIES_ON, Vec::new()));
            payloads.extend(std::iter::once(contact).chain(kept));
        }
        payloads.extend(certificates::request(std::iter::once(settings.as_ref())));
        let expected = identity::to_say(&settings.remote_identity);
        payloads.extend(expected.map(Payload::IdentificationResponder));
        let keys = proof::keys_of_first(&settings, common.extensions.ppk);
        payloads.extend(proof::first(proofs, &keys));
        payloads.extend(mobike::announcements(&settings));
        common.extensions.childless = settings.childless == Childless::Force;
        let inbound = (!common.extensions.childless).then(|| self.fresh_child_spi());
        if let Some(inbound) = inbound {
            let first = child::first_line(&settings);
            payloads.extend(child::offer(inbound, &settings, &first, Keying::Inherited));
        }
        let (kind, id, random) = (exchange::IKE_AUTH, agreement.next, self.random.as_mut());
        let bytes = agreement.channel.request(kind, id, &payloads, random);
        self.wrote(&common, (kind, id, false), &payloads);
        self.send(common.path, bytes.clone());
        let state = AuthSent {
            agreement,
            inbound,
            request: Retransmission::new(bytes, now),
            believed_for: None,
        };
        self.keep(common, State::AuthSent(Box::new(state)));
    }

    /// An answer to our IKE_AUTH arrived.
    pub(crate) fn auth_answer(
        &mut self,
        mut common: Common,
        mut state: Box<AuthSent>,
        datagram: &Datagram,
        now: Instant,
    ) {
        let Some(settings) = common.connection.as_ref().and_then(|name| self.settings_of(name)) else {
            return;
        };
        let payloads = match state.agreement.channel.open(&datagram.bytes) {
            Ok(payloads) => payloads,
            Err(Unopened::Forged(cause)) => {
                self.dropped(datagram.remote, Some(cause));
                return self.keep(common, State::AuthSent(state));
            }
            Err(Unopened::Part) => return self.keep(common, State::AuthSent(state)),
            Err(Unopened::Invalid) => {
                self.dropped(datagram.remote, Some(DropCause::Malformed));
                let outage = Outage::plain(Reason::ProtocolError, Side::We, Stage::IkeAuth);
                return self.childless(common, *state, outage, now);
            }
        };
        self.read(&common, &datagram.header, &payloads);
        let checked = state.check(&common, &payloads, &settings, (&self.beliefs, now));
        if beliefs::leads(&checked) {
            self.ask_for_lists(&certificates::sent(&payloads), &settings, now);
        }
        match checked {
            Ok(ppk) => {
                common.extensions.ppk = ppk.is_some();
                ppk.into_iter()
                    .for_each(|ppk| state.agreement.channel.mix(&ppk.secret));
            }
            Err(outage) => return self.auth_failed(common, *state, outage, now),
        }
        common.shown = certificates::shown(&payloads, &settings);
        common.proved = payloads::responder_identity(&payloads).and_then(identity::from_payload);
        if let Some(to) = redirect::wanted(&payloads, &common, &settings) {
            return self.redirected_after_proof(common, *state, to, now);
        }
        common.mobility = self.mobility(&payloads, &settings);
        state.believed_for = proofs::announced(&payloads);
        let Some(inbound) = state.inbound else {
            return self.auth_completed(common, *state, None, now);
        };
        let first = child::first_line(&settings);
        let keying = (settings.as_ref(), Keying::Inherited);
        match child::accept(inbound, &payloads, keying, (Some(0), &first)) {
            Ok(child) => self.auth_completed(common, *state, Some(Ok(child)), now),
            // The IKE SA stands without this child (§1.2), and other lines may fare better.
            Err(outage) if settings.lines.len() > 1 => {
                self.forget_child_spi(inbound);
                self.auth_completed(common, *state, Some(Err(outage)), now);
            }
            Err(outage) => self.childless(common, *state, outage, now),
        }
    }

    /// For the peer the IKE SA stands, perhaps without a child (§1.2): close it and try again later.
    fn childless(&mut self, common: Common, state: AuthSent, outage: Outage, now: Instant) {
        self.forget_offer(&state);
        let closing = state.agreement.closing(vec![payloads::delete_ike()]);
        self.ended(&common, Some(outage), now);
        self.close(common, closing, now);
    }

    /// The peer proved who it is, and sends us to another gateway (RFC 5685 §6).
    fn redirected_after_proof(&mut self, common: Common, state: AuthSent, to: IpAddr, now: Instant) {
        self.forget_offer(&state);
        let closing = state.agreement.closing(vec![payloads::delete_ike()]);
        self.redirect(&common, (to, Stage::IkeAuth), now);
        self.close(common, closing, now);
    }

    /// The peer refused us, or did not prove who it is: in that case it is told so (§2.21.2).
    fn auth_failed(&mut self, common: Common, state: AuthSent, outage: Outage, now: Instant) {
        self.forget_offer(&state);
        let we = outage.side == Side::We;
        self.ended(&common, Some(outage), now);
        if we {
            let error = Payload::Notify(error(notify::AUTHENTICATION_FAILED, Vec::new()));
            let closing = state.agreement.closing(vec![error, payloads::delete_ike()]);
            self.close(common, closing, now);
        }
    }

    /// Both sides are authenticated, and agree on a child or not, or we asked for none.
    fn auth_completed(
        &mut self,
        mut common: Common,
        state: AuthSent,
        child: Option<Result<AgreedChild, Outage>>,
        now: Instant,
    ) {
        let Some(name) = common.connection.clone() else {
            return;
        };
        let Some(settings) = self.settings_of(&name) else {
            return;
        };
        self.connections.contacts.made(&settings);
        let agreement = state.agreement;
        let nonces = (
            agreement.initiator_nonce.as_slice(),
            agreement.responder_nonce.as_slice(),
        );
        let installed = |child: AgreedChild| {
            let keys = agreement.channel.child_keys(child.suite, nonces, &[]);
            self.install(&common, (child, keys, agreement.nat.encapsulation()), true, now)
        };
        let child = child.map(|child| child.map(installed));
        let lifetime = self.lifetime(settings.ike_lifetime, now);
        let mut established = Established::new(
            (agreement.channel, agreement.suite),
            Window::new(agreement.next.saturating_add(1), 0),
            agreement.nat,
            (lifetime, settings.dpd_timeout),
            now,
        );
        match child {
            Some(Ok(child)) => established.children.begin(child),
            Some(Err(outage)) => self.child_gone(&common, &mut established, (Some(0), None, &outage), now),
            None => established.childless_until = Some(now + CHILDLESS),
        }
        self.begin_lines(&common, &mut established, &settings, now);
        self.prove_by(&common, &mut established.proofs, &settings);
        self.believed_for(&common, &mut established, state.believed_for);
        self.beside(&common, &mut established, now);
        established.initiator_nonce = agreement.initiator_nonce.into();
        common
            .timers
            .set(Timer::Keepalive, established.first_keepalive(now));
        self.proceed(common, Box::new(established), now);
    }

    /// The SPI that we offered to receive on, if we did, may be drawn again.
    pub(super) fn forget_offer(&mut self, state: &AuthSent) {
        if let Some(inbound) = state.inbound {
            self.forget_child_spi(inbound);
        }
    }
}
