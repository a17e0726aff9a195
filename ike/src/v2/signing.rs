//! While a proof of ours is being signed, by whoever has the key.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::auth_answer::Authenticated;
use super::certificates::Unsigned;
use super::intermediate::Agreement;
use super::nat::Path;
use super::state::{Common, IkeSa, InitAnswered, State};
use super::timers::Timer;
use crate::engine::Engine;
use crate::rejection::Rejection;
use crate::wire::registry::notify;
use crate::wire::{AuthPayload, Payload};
use crate::{ConnectionName, Outage, Reason, SaId, Side, SignerFault, SignerReason, Stage};

/// How long that may take: the peer does not wait for ever.
pub(crate) const SIGNING: Duration = Duration::from_secs(20);

/// Initiator: IKE_AUTH is sent as soon as our proof is signed.
pub(crate) struct AuthSigning {
    pub(crate) agreement: Agreement,
    pub(crate) unsigned: Unsigned,
}

/// Responder: the peer is authenticated; it is told as soon as our proof is signed.
pub(crate) struct AnswerSigning {
    pub(crate) state: InitAnswered,
    pub(super) peer: Authenticated,
    /// What the peer asks for.
    pub(crate) payloads: Vec<Payload>,
    /// The way back to it.
    pub(crate) path: Path,
    pub(crate) exchange: (u8, u32),
    pub(crate) unsigned: Unsigned,
}

/// Nothing was signed.
pub(crate) fn outage(fault: SignerFault, stage: Stage) -> Outage {
    Outage {
        offered: fault.detail,
        expected: "a signature by our own key".to_owned(),
        ..Outage::plain(Reason::Signer(fault.reason), Side::We, stage)
    }
}

/// Whoever has the key is of no use.
pub(crate) fn nonsense() -> SignerFault {
    SignerFault {
        reason: SignerReason::ModuleFailed,
        detail: "other signatures than those that were asked for".to_owned(),
    }
}

/// The proofs with their signatures.
fn proofs(unsigned: Unsigned, signed: Result<Vec<Vec<u8>>, SignerFault>) -> Result<Vec<AuthPayload>, Outage> {
    let signed = signed.and_then(|signed| unsigned.signed(signed).ok_or_else(nonsense));
    signed.map_err(|fault| outage(fault, Stage::IkeAuth))
}

impl Engine {
    /// What was asked for is signed, or cannot be.
    pub(crate) fn signed(&mut self, id: SaId, signed: Result<Vec<Vec<u8>>, SignerFault>, now: Instant) {
        let Some(IkeSa { mut common, state }) = self.take(id.0) else {
            return;
        };
        match state {
            State::AuthSigning(state) => {
                let AuthSigning { agreement, unsigned } = *state;
                common.timers.set(Timer::Expiry, None);
                match proofs(unsigned, signed) {
                    Ok(proofs) => self.auth_asked(common, agreement, proofs, now),
                    Err(outage) => self.ended(&common, Some(outage), now),
                }
            }
            State::AnswerSigning(state) => match proofs(state.unsigned, signed) {
                Ok(proofs) => self.answer_signed(common, *state, proofs, now),
                Err(outage) => self.answer_unsigned(common, *state, outage, now),
            },
            other @ (State::InitSent(_)
            | State::InitAnswered(_)
            | State::IntermediateSent(_)
            | State::AuthSent(_)
            | State::Answering(_)
            | State::Refused(_)
            | State::Established(_)
            | State::Closing(_)) => self.keep(common, other),
        }
    }

    /// Meanwhile the connection may have been changed, or another IKE SA with the peer may have come about.
    fn answer_signed(
        &mut self,
        common: Common,
        signing: AnswerSigning,
        proofs: Vec<AuthPayload>,
        now: Instant,
    ) {
        let AnswerSigning {
            state,
            peer,
            payloads,
            path,
            exchange,
            ..
        } = signing;
        let stands = self.settings_of(&peer.name);
        let stands = stands.is_some_and(|settings| Arc::ptr_eq(&settings, &peer.settings));
        if !stands || self.rival_wins(&peer.name, &common, &state.initiator_nonce) {
            let rejection = Rejection::answered(None, notify::TEMPORARY_FAILURE, Vec::new());
            return self.auth_refused(common, state, (rejection, path, exchange));
        }
        self.auth_accepted(common, state, (peer, &payloads, path), (proofs, now));
    }

    /// The peer is told that there will be nothing, as far as it may be told.
    fn answer_unsigned(&mut self, common: Common, signing: AnswerSigning, outage: Outage, now: Instant) {
        self.noted(&signing.peer.name, &outage, now);
        let rejection = Rejection::refused(notify::AUTHENTICATION_FAILED, outage);
        self.auth_refused(common, signing.state, (rejection, signing.path, signing.exchange));
    }

    /// Whoever has the key does not answer.
    pub(super) fn never_signed(&mut self, common: &Common, now: Instant) {
        self.ended(common, Some(too_slow(Stage::IkeAuth)), now);
    }

    /// Nor does it where the peer waits for our answer.
    pub(super) fn unsigned(&mut self, name: &ConnectionName, now: Instant) {
        self.noted(name, &too_slow(Stage::IkeAuth), now);
    }
}

/// Nothing was signed within [`SIGNING`].
pub(crate) fn too_slow(stage: Stage) -> Outage {
    let fault = SignerFault {
        reason: SignerReason::SignerSlow,
        detail: "no signature in time".to_owned(),
    };
    outage(fault, stage)
}
