//! What is said about an attempt of ours: without protection, where anyone may have said it, or under keys that nobody has
//! proved yet. The attempt goes on; if it fails, that is why.

use super::channel::Opened;
use super::main_mode::same;
use super::proposal;
use super::signing::Unsigned;
use super::state::State;
use crate::engine::Engine;
use crate::v2::payloads::Datagram;
use crate::v2::state::Common;
use crate::wire::v1::registry::notify;
use crate::wire::v1::{Message, Payload};
use crate::{DropCause, Outage, Reason, Side, Stage};

/// The first error that a message tells.
fn error(payloads: &[Payload]) -> Option<u16> {
    payloads.iter().find_map(|payload| {
        if let Payload::Notify(found) = payload {
            found.is_error().then_some(found.kind)
        } else {
            None
        }
    })
}

/// What an error means that anyone may have sent.
fn unprotected(datagram: &Datagram) -> Option<u16> {
    error(&Message::decode(&datagram.bytes).ok()?.payloads)
}

impl Engine {
    /// An informational message about an SA that is not established, or that nothing protects.
    pub(super) fn hint_v1(&mut self, common: Common, mut state: State, datagram: &Datagram) {
        let told = match &state {
            State::ProofSent(state) if Message::is_encrypted(&datagram.header) => {
                let id = datagram.header.message_id;
                let iv = state.keys.exchange_iv(&state.iv, id);
                let opened = Opened::of(&state.keys, (&datagram.header, &datagram.bytes), &iv);
                let genuine = opened.filter(|opened| {
                    let hashed = opened.hashed();
                    hashed.is_some_and(|(hash, behind)| same(hash, &state.keys.hash(id, &[behind])))
                });
                genuine.and_then(|opened| error(&opened.payloads))
            }
            State::Established(_)
            | State::ProposalAnswered(_)
            | State::ExchangeAnswered(_)
            | State::AggressiveAnswered(_) => None,
            State::Signing(_) if !common.initiator => None,
            State::ProposalSent(_)
            | State::ExchangeSent(_)
            | State::AggressiveSent(_)
            | State::Signing(_)
            | State::ProofSent(_) => unprotected(datagram),
        };
        self.dropped(datagram.remote, Some(DropCause::Unprotected));
        if let Some(kind) = told {
            let outage = self.meaning(&common, (kind, &state));
            if common.connection.as_ref().and_then(|name| self.current_sa(name)) == Some(common.spi) {
                self.warned(&common, &outage);
            }
            match &mut state {
                State::ProposalSent(state) => state.refused = Some(outage),
                State::ExchangeSent(state) => state.refused = Some(outage),
                State::AggressiveSent(state) => state.refused = Some(outage),
                State::Signing(state) => {
                    if let Unsigned::Proof(unsent) = &mut state.of {
                        unsent.refused = Some(outage);
                    }
                }
                State::ProofSent(state) => state.refused = Some(outage),
                State::ProposalAnswered(_)
                | State::ExchangeAnswered(_)
                | State::AggressiveAnswered(_)
                | State::Established(_) => {}
            }
        }
        self.keep_phase(common, state);
    }

    fn meaning(&self, common: &Common, (kind, state): (u16, &State)) -> Outage {
        let settings = self.settings_of_phase(common);
        let proof = matches!(state, State::ProofSent(_));
        let unread = [
            notify::INVALID_PAYLOAD_TYPE,
            notify::PAYLOAD_MALFORMED,
            notify::INVALID_ID_INFORMATION,
            notify::INVALID_HASH_INFORMATION,
            notify::AUTHENTICATION_FAILED,
        ];
        let (reason, offered) = if proof && unread.contains(&kind) {
            let ours = settings.map(|settings| settings.local_identity.to_string());
            (Reason::AuthenticationFailed, ours)
        } else if kind == notify::NO_PROPOSAL_CHOSEN {
            let offer = settings.map(|settings| proposal::words(&proposal::offer_phase1(&settings), None));
            (Reason::IkeProposalMismatch, offer)
        } else {
            (Reason::ProtocolError, Some(format!("notify {kind}")))
        };
        let stage = match state {
            State::AggressiveSent(_) => Stage::AggressiveMode,
            State::Signing(state) => state.agreement().stage(),
            State::ProposalSent(_)
            | State::ExchangeSent(_)
            | State::ProofSent(_)
            | State::ProposalAnswered(_)
            | State::ExchangeAnswered(_)
            | State::AggressiveAnswered(_)
            | State::Established(_) => Stage::MainMode,
        };
        Outage {
            offered: offered.unwrap_or_default(),
            ..Outage::plain(reason, Side::Peer, stage)
        }
    }
}
