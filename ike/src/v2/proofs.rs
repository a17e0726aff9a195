//! How long both sides believe what they proved, and when they prove it anew (RFC 4478, RFC 7296 §2.8.3).

use std::time::{Duration, Instant};

use super::payloads;
use super::state::{Common, Established, State};
use crate::engine::Engine;
use crate::wire::Payload;
use crate::wire::registry::notify;
use crate::{Connection, ConnectionName, LocalProof};

/// What a peer says of less time than this is not to be kept (RFC 4478 has no bound).
const SHORTEST: Duration = Duration::from_secs(10);

/// The proofs of who both sides are, and what is to come after them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Proofs {
    /// When they were given.
    since: Instant,
    /// How long the peer believes ours, if it said so.
    told: Option<Duration>,
    /// When we begin to give them anew.
    pub(crate) due: Option<Instant>,
    /// Until when this IKE SA and the one that it is to replace are both there.
    pub(crate) both_until: Option<Instant>,
}

impl Proofs {
    /// They were given just now.
    pub(crate) fn given(now: Instant) -> Self {
        Self {
            since: now,
            told: None,
            due: None,
            both_until: None,
        }
    }
}

/// AUTH_LIFETIME, as a responder says it whose proofs are good for so long (RFC 4478 §3).
pub(crate) fn announcement(settings: &Connection) -> Option<Payload> {
    let seconds = u32::try_from(settings.reauthentication?.as_secs()).unwrap_or(u32::MAX);
    Some(payloads::status(
        notify::AUTH_LIFETIME,
        seconds.to_be_bytes().to_vec(),
    ))
}

/// How long a responder believes our proof, as it says.
pub(crate) fn announced(payloads: &[Payload]) -> Option<Duration> {
    let said = payloads::notify(payloads, notify::AUTH_LIFETIME)?;
    let seconds = u32::from_be_bytes(said.data.as_slice().try_into().ok()?);
    Some(Duration::from_secs(seconds.into()).max(SHORTEST))
}

/// Whether we prove who we are by another certificate than before.
fn renewed(before: &Connection, after: &Connection) -> bool {
    match (&before.authentication.local, &after.authentication.local) {
        (LocalProof::Certificate(before), LocalProof::Certificate(after)) => {
            (&before.key, &before.chain) != (&after.key, &after.chain)
        }
        (LocalProof::PreSharedKey(_), _) | (_, LocalProof::PreSharedKey(_)) => false,
    }
}

impl Engine {
    /// When proofs that were given just now, or at that time before, are given anew. The initiator of the IKE SA does so in
    /// time, the other side where that fails.
    pub(crate) fn prove_by(&mut self, common: &Common, proofs: &mut Proofs, settings: &Connection) {
        let told = proofs.told.filter(|_| common.initiator);
        let period = told.into_iter().chain(settings.reauthentication).min();
        proofs.due = period.map(|period| {
            if common.initiator {
                self.lifetime(period, proofs.since).soft
            } else {
                proofs.since + period
            }
        });
    }

    /// The peer says how long it believes our proof.
    pub(crate) fn believed_for(&mut self, common: &Common, state: &mut Established, told: Option<Duration>) {
        let settings = common.connection.as_ref().and_then(|name| self.settings_of(name));
        if let (Some(told), Some(settings)) = (told, settings) {
            state.proofs.told = Some(told);
            self.prove_by(common, &mut state.proofs, &settings);
        }
    }

    /// The same where it says so later: its time begins now.
    pub(crate) fn believed_from_now(
        &mut self,
        common: &Common,
        state: &mut Established,
        payloads: &[Payload],
        now: Instant,
    ) {
        let told = announced(payloads).filter(|_| common.initiator);
        let told = told.map(|told| told + now.saturating_duration_since(state.proofs.since));
        self.believed_for(common, state, told);
    }

    /// The settings of a connection changed while its IKE SA stays.
    pub(crate) fn adapt_proofs(&mut self, name: &ConnectionName, before: &Connection, now: Instant) {
        let Some(settings) = self.settings_of(name) else {
            return;
        };
        if settings.reauthentication != before.reauthentication
            && let Some(current) = self.current_sa(name)
        {
            self.alter(current, |engine, common, state| {
                engine.prove_by(common, &mut state.proofs, &settings);
            });
        }
        if settings.reauthenticate_on_renewal && renewed(before, &settings) {
            self.prove_anew(name, now);
        }
    }

    /// The IKE SA that a connection runs on is to be replaced then, or is being.
    pub(crate) fn postpone_proofs(&mut self, name: &ConnectionName, due: Option<Instant>) {
        if let Some(current) = self.current_sa(name) {
            self.alter(current, |_, _, state| state.proofs.due = due);
        }
    }

    /// It is time that both sides prove anew who they are.
    pub(crate) fn proofs_due(&mut self, common: Common, mut state: Box<Established>, now: Instant) {
        state.proofs.due = Some(self.later(now));
        let current = common.connection.clone();
        let current = current.filter(|name| self.current_sa(name) == Some(common.spi));
        self.keep(common, State::Established(state));
        if let Some(name) = current {
            self.prove_anew(&name, now);
        }
    }
}
