//! While a proof of ours is being signed, by whoever has the key.

use std::sync::Arc;
use std::time::Instant;

use super::aggressive::LastUnsent;
use super::aggressive_answer::SecondUnsent;
use super::certificates;
use super::main_answer::AnswerUnsent;
use super::main_mode::ProofUnsent;
use super::state::{Agreement, Phase, State};
use crate::engine::Engine;
use crate::v2::signing::{SIGNING, nonsense, outage, too_slow};
use crate::v2::state::Common;
use crate::v2::timers::Timer;
use crate::wire::v1::Payload;
use crate::{Action, Outage, OwnCertificate, SaId, SignerFault, Stage};

/// A message that is sent as soon as our proof in it is signed.
pub(crate) struct Signing {
    /// What stands before the signature: our certificates, and who we say we are where that was not said before.
    pub(super) said: Vec<Payload>,
    pub(super) of: Unsigned,
}

/// Which message lacks our signature.
pub(crate) enum Unsigned {
    /// Message 5 of main mode.
    Proof(ProofUnsent),
    /// Message 6; the peer is authenticated.
    Answer(AnswerUnsent),
    /// Message 2 of aggressive mode; the peer has proved nothing.
    Second(SecondUnsent),
    /// Message 3; the peer is authenticated.
    Last(LastUnsent),
}

impl Signing {
    /// What both sides agreed on.
    pub(crate) fn agreement(&self) -> &Agreement {
        match &self.of {
            Unsigned::Proof(unsent) => &unsent.agreement,
            Unsigned::Answer(unsent) => &unsent.agreement,
            Unsigned::Second(unsent) => &unsent.agreement,
            Unsigned::Last(unsent) => &unsent.agreement,
        }
    }
}

/// The one signature that was asked for.
fn only(signed: Result<Vec<Vec<u8>>, SignerFault>, stage: Stage) -> Result<Payload, Outage> {
    let signed = signed.and_then(|signed| {
        let [signature] = <[Vec<u8>; 1]>::try_from(signed).map_err(|_| nonsense())?;
        Ok(Payload::Signature(signature))
    });
    signed.map_err(|fault| outage(fault, stage))
}

impl Engine {
    /// Has our proof signed: this hash.
    pub(super) fn have_signed(
        &mut self,
        mut common: Common,
        signing: Signing,
        (own, hash): (&OwnCertificate, Vec<u8>),
        now: Instant,
    ) {
        match certificates::unsigned(own, hash, signing.agreement().stage()) {
            Ok(asked) => {
                self.out.push(Action::Sign(SaId(common.spi), asked));
                common.timers.set(Timer::Expiry, Some(now + SIGNING));
                self.keep_phase(common, State::Signing(Box::new(signing)));
            }
            Err(outage) => self.unsigned_v1(common, signing.of, &outage, now),
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
        let State::Signing(signing) = state else {
            return self.keep_phase(common, state);
        };
        common.timers.set(Timer::Expiry, None);
        let stage = signing.agreement().stage();
        let Signing { mut said, of } = *signing;
        match only(signed, stage) {
            Ok(signature) => {
                said.push(signature);
                self.send_signed(common, (of, said), now);
            }
            Err(outage) => self.unsigned_v1(common, of, &outage, now),
        }
    }

    fn send_signed(&mut self, common: Common, (unsigned, said): (Unsigned, Vec<Payload>), now: Instant) {
        let settings = self.settings_of_phase(&common);
        match (unsigned, settings) {
            (Unsigned::Proof(unsent), Some(settings)) => {
                self.send_proof(common, unsent, said, (&settings, now));
            }
            // Meanwhile the connection may have been changed; the peer asks again.
            (Unsigned::Answer(unsent), Some(settings)) if Arc::ptr_eq(&settings, unsent.settings()) => {
                self.send_answer(common, unsent, said, now);
            }
            (Unsigned::Last(unsent), Some(settings)) => {
                self.send_last(common, unsent, said, (&settings, now));
            }
            (Unsigned::Second(unsent), _) => self.send_second(common, unsent, said, now),
            (Unsigned::Proof(_) | Unsigned::Answer(_) | Unsigned::Last(_), _) => {}
        }
    }

    /// There will be no signature: a peer that is authenticated is told so.
    fn unsigned_v1(&mut self, common: Common, unsigned: Unsigned, outage: &Outage, now: Instant) {
        match unsigned {
            Unsigned::Proof(_) | Unsigned::Last(_) => {
                self.attempt_ended(&common, Some(outage.clone()), now);
            }
            Unsigned::Answer(unsent) => {
                self.noted(&unsent.proved.name, outage, now);
                let keys = (&unsent.proved.keys, unsent.proved.opened.next_iv.as_slice());
                self.turn_away(common, keys, unsent.datagram.path());
            }
            Unsigned::Second(unsent) => {
                self.half_open.remove(common.spi);
                self.noted(unsent.name(), outage, now);
            }
        }
    }

    /// Whoever has the key does not answer.
    pub(super) fn never_signed_v1(&mut self, common: &Common, signing: &Signing, now: Instant) {
        let outage = too_slow(signing.agreement().stage());
        match &signing.of {
            Unsigned::Proof(_) | Unsigned::Last(_) => self.attempt_ended(common, Some(outage), now),
            Unsigned::Answer(unsent) => self.noted(&unsent.proved.name, &outage, now),
            Unsigned::Second(unsent) => {
                self.half_open.remove(common.spi);
                self.noted(unsent.name(), &outage, now);
            }
        }
    }
}
