//! While a proof of ours is being signed, by whoever has the key.

use std::sync::Arc;
use std::time::Instant;

use super::certificates;
use super::keys::Keys;
use super::main_answer::Proved;
use super::state::{Agreement, Phase, State};
use crate::engine::Engine;
use crate::v2::payloads::Datagram;
use crate::v2::signing::{SIGNING, nonsense, outage, too_slow};
use crate::v2::state::Common;
use crate::v2::timers::Timer;
use crate::wire::v1::Payload;
use crate::{Action, Outage, OwnCertificate, SaId, SignerFault, Stage};

/// Initiator: message 5 is sent as soon as our proof is signed.
pub(crate) struct ProofSigning {
    pub(super) keys: Keys,
    pub(crate) agreement: Agreement,
    pub(crate) refused: Option<Outage>,
    /// Who we say we are, and our certificates.
    pub(super) said: Vec<Payload>,
}

/// Responder: the peer is authenticated, and message 6 is sent as soon as our proof is signed.
pub(crate) struct AnswerSigning {
    pub(crate) agreement: Agreement,
    pub(super) proved: Proved,
    /// Who we say we are, and our certificates.
    pub(super) said: Vec<Payload>,
    /// Message 5.
    pub(super) datagram: Datagram,
}

/// The one signature that was asked for.
fn only(signed: Result<Vec<Vec<u8>>, SignerFault>) -> Result<Payload, Outage> {
    let signed = signed.and_then(|signed| {
        let [signature] = <[Vec<u8>; 1]>::try_from(signed).map_err(|_| nonsense())?;
        Ok(Payload::Signature(signature))
    });
    signed.map_err(|fault| outage(fault, Stage::MainMode))
}

impl Engine {
    /// Has the proof of an initiator signed: this hash.
    pub(super) fn sign_first(
        &mut self,
        mut common: Common,
        signing: ProofSigning,
        (own, hash): (&OwnCertificate, Vec<u8>),
        now: Instant,
    ) {
        match certificates::unsigned(own, hash) {
            Ok(asked) => {
                self.out.push(Action::Sign(SaId(common.spi), asked));
                common.timers.set(Timer::Expiry, Some(now + SIGNING));
                self.keep_phase(common, State::ProofSigning(Box::new(signing)));
            }
            Err(outage) => self.attempt_ended(&common, Some(outage), now),
        }
    }

    /// Has the proof of a responder signed: this hash.
    pub(super) fn sign_answer(
        &mut self,
        mut common: Common,
        signing: AnswerSigning,
        (own, hash): (&OwnCertificate, Vec<u8>),
        now: Instant,
    ) {
        match certificates::unsigned(own, hash) {
            Ok(asked) => {
                self.out.push(Action::Sign(SaId(common.spi), asked));
                common.timers.set(Timer::Expiry, Some(now + SIGNING));
                self.keep_phase(common, State::AnswerSigning(Box::new(signing)));
            }
            Err(outage) => self.answer_unsigned_v1(common, &signing, &outage, now),
        }
    }

    /// What was asked for is signed, or cannot be.
    pub(crate) fn signed_v1(&mut self, id: SaId, signed: Result<Vec<Vec<u8>>, SignerFault>, now: Instant) {
        let Some(Phase {
            mut common, state, ..
        }) = self.take_phase(id.0)
        else {
            return;
        };
        let settings = self.settings_of_phase(&common);
        match (state, settings) {
            (State::ProofSigning(state), Some(settings)) => {
                common.timers.set(Timer::Expiry, None);
                match only(signed) {
                    Ok(signature) => {
                        let ProofSigning {
                            keys,
                            agreement,
                            refused,
                            mut said,
                        } = *state;
                        said.push(signature);
                        self.send_proof(common, (keys, agreement, refused), said, (&settings, now));
                    }
                    Err(outage) => self.attempt_ended(&common, Some(outage), now),
                }
            }
            (State::AnswerSigning(state), Some(settings)) => {
                common.timers.set(Timer::Expiry, None);
                match only(signed) {
                    // Meanwhile the connection may have been changed; the peer asks again.
                    Ok(_) if !Arc::ptr_eq(&settings, &state.proved.settings) => {}
                    Ok(signature) => {
                        let AnswerSigning {
                            agreement,
                            proved,
                            mut said,
                            datagram,
                        } = *state;
                        said.push(signature);
                        self.send_answer(common, (agreement, proved), said, (&datagram, now));
                    }
                    Err(outage) => self.answer_unsigned_v1(common, &state, &outage, now),
                }
            }
            (
                other @ (State::ProposalSent(_)
                | State::ExchangeSent(_)
                | State::ProofSigning(_)
                | State::ProofSent(_)
                | State::ProposalAnswered(_)
                | State::ExchangeAnswered(_)
                | State::AnswerSigning(_)
                | State::Established(_)),
                _,
            ) => self.keep_phase(common, other),
        }
    }

    /// The peer is told that there will be nothing.
    fn answer_unsigned_v1(&mut self, common: Common, signing: &AnswerSigning, outage: &Outage, now: Instant) {
        let proved = &signing.proved;
        self.noted(&proved.name, outage, now);
        let keys = (&proved.keys, proved.opened.next_iv.as_slice());
        self.turn_away(common, keys, signing.datagram.path());
    }

    /// Whoever has the key does not answer.
    pub(super) fn never_signed_v1(&mut self, common: &Common, now: Instant) {
        let outage = too_slow(Stage::MainMode);
        match &common.connection {
            Some(name) if !common.initiator => self.noted(name, &outage, now),
            Some(_) | None => self.attempt_ended(common, Some(outage), now),
        }
    }
}
