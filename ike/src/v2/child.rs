//! Child SAs: what is offered, chosen and accepted for them.

use std::time::Instant;

use super::keys::ChildKeys;
use super::nat::Path;
use super::payloads;
use super::timers::Lifetime;
use crate::esp::EspSa;
use crate::proposal::{self, EspSuite, Keying};
use crate::selector;
use crate::wire::registry::notify;
use crate::wire::{Payload, SelectorsPayload};
use crate::{
    ChildId, ChildSnapshot, Connection, ConnectionName, Encapsulation, EspPair, Outage, Reason, Side, Stage,
    TrafficSelector, Volume,
};

/// One Child SA, without its keys: those are with the datapath.
#[derive(Debug)]
pub(crate) struct Child {
    pub(crate) id: ChildId,
    pub(crate) agreed: AgreedChild,
    pub(crate) encapsulation: Encapsulation,
    /// Since when the datapath carries it.
    pub(crate) installed: Option<Instant>,
    pub(crate) lifetime: Lifetime,
    /// The SPI that we receive on until the datapath carries this one, if we asked for it.
    pub(crate) replaces: Option<u32>,
}

/// What both sides agreed on.
#[derive(Debug)]
pub(crate) struct AgreedChild {
    pub(crate) inbound: u32,
    pub(crate) outbound: u32,
    pub(crate) suite: EspSuite,
    pub(crate) local_selectors: Vec<TrafficSelector>,
    pub(crate) remote_selectors: Vec<TrafficSelector>,
}

impl Child {
    /// What the datapath is to program; `initiator` says whether we started the exchange that made it.
    pub(crate) fn pair(
        &self,
        connection: ConnectionName,
        path: Path,
        keys: ChildKeys,
        initiator: bool,
    ) -> EspPair {
        let (ours, theirs) = if initiator {
            (keys.initiator, keys.responder)
        } else {
            (keys.responder, keys.initiator)
        };
        let extended_sequence_numbers = self.agreed.suite.extended_sequence_numbers;
        EspPair {
            connection,
            local: path.local,
            remote: path.remote,
            encapsulation: self.encapsulation,
            inbound: EspSa {
                spi: self.agreed.inbound,
                keys: theirs,
                extended_sequence_numbers,
            },
            outbound: EspSa {
                spi: self.agreed.outbound,
                keys: ours,
                extended_sequence_numbers,
            },
            local_selectors: self.agreed.local_selectors.clone(),
            remote_selectors: self.agreed.remote_selectors.clone(),
            sends: true,
            volume: Volume::UNLIMITED,
        }
    }

    /// A view for status, once the datapath carries it.
    pub(crate) fn snapshot(&self) -> Option<ChildSnapshot> {
        Some(ChildSnapshot {
            id: self.id,
            inbound_spi: self.agreed.inbound,
            outbound_spi: self.agreed.outbound,
            algorithms: self.agreed.suite.to_string(),
            encapsulation: self.encapsulation,
            local_selectors: self.agreed.local_selectors.clone(),
            remote_selectors: self.agreed.remote_selectors.clone(),
            since: self.installed?,
        })
    }
}

/// A child as the initiator offers it.
pub(crate) fn offer(inbound: u32, settings: &Connection, keying: Keying) -> [Payload; 3] {
    let (local, remote) = line(settings);
    [
        Payload::SecurityAssociation(proposal::offer_esp(&settings.esp_proposals, inbound, keying)),
        Payload::SelectorsInitiator(selectors_payload(local)),
        Payload::SelectorsResponder(selectors_payload(remote)),
    ]
}

/// The child in an answer whose proof is good, or why there is none.
pub(crate) fn accept(
    inbound: u32,
    payloads: &[Payload],
    (settings, keying): (&Connection, Keying),
) -> Result<AgreedChild, Outage> {
    if let Some(error) = payloads::error(payloads) {
        return Err(refused_by_peer(error.kind, settings, true));
    }
    let broken = || Outage::plain(Reason::ProtocolError, Side::We, Stage::IkeAuth);
    let chosen = payloads::security_association(payloads).ok_or_else(broken)?;
    let (initiator, responder) = payloads::selectors(payloads).ok_or_else(broken)?;
    let Some((suite, outbound)) = proposal::accept_esp(chosen, &settings.esp_proposals, keying) else {
        let (offered, expected) = (proposal::words(chosen), proposals(settings));
        return Err(Outage {
            offered,
            expected,
            ..broken()
        });
    };
    let (local, remote) = line(settings);
    let within =
        selector::is_within(&initiator.selectors, local) && selector::is_within(&responder.selectors, remote);
    if !within {
        let (offered, expected) = (
            words(&initiator.selectors, &responder.selectors),
            selectors(settings),
        );
        return Err(Outage {
            reason: Reason::SelectorMismatch,
            offered,
            expected,
            ..broken()
        });
    }
    let (local_selectors, remote_selectors) = (initiator.selectors.clone(), responder.selectors.clone());
    Ok(AgreedChild {
        inbound,
        outbound,
        suite,
        local_selectors,
        remote_selectors,
    })
}

/// The responder's choice, with the payloads that tell it; or the error to answer with, and why.
pub(crate) fn choose(
    inbound: u32,
    payloads: &[Payload],
    (settings, keying): (&Connection, Keying),
) -> Result<(AgreedChild, [Payload; 3]), (u16, Outage)> {
    let refused = |reason| Outage::plain(reason, Side::We, Stage::IkeAuth);
    let (Some(offered), Some((initiator, responder))) = (
        payloads::security_association(payloads),
        payloads::selectors(payloads),
    ) else {
        return Err((notify::INVALID_SYNTAX, refused(Reason::ProtocolError)));
    };
    let Some((suite, outbound, chosen)) =
        proposal::choose_esp(offered, &settings.esp_proposals, inbound, keying)
    else {
        let (offered, expected) = (proposal::words(offered), proposals(settings));
        let outage = Outage {
            offered,
            expected,
            ..refused(Reason::ChildProposalMismatch)
        };
        return Err((notify::NO_PROPOSAL_CHOSEN, outage));
    };
    let (local, remote) = line(settings);
    let remote_selectors = selector::narrow(&initiator.selectors, remote);
    let local_selectors = selector::narrow(&responder.selectors, local);
    if remote_selectors.is_empty() || local_selectors.is_empty() {
        let (offered, expected) = (
            words(&responder.selectors, &initiator.selectors),
            selectors(settings),
        );
        let outage = Outage {
            offered,
            expected,
            ..refused(Reason::SelectorMismatch)
        };
        return Err((notify::TS_UNACCEPTABLE, outage));
    }
    let payloads = [
        Payload::SecurityAssociation(chosen),
        Payload::SelectorsInitiator(selectors_payload(&remote_selectors)),
        Payload::SelectorsResponder(selectors_payload(&local_selectors)),
    ];
    Ok((
        AgreedChild {
            inbound,
            outbound,
            suite,
            local_selectors,
            remote_selectors,
        },
        payloads,
    ))
}

/// What an error that the peer sent means; `authenticated`: it proved who it is, so only the child was refused.
pub(crate) fn refused_by_peer(kind: u16, settings: &Connection, authenticated: bool) -> Outage {
    let (reason, offered) = match kind {
        notify::AUTHENTICATION_FAILED => (Reason::AuthenticationFailed, settings.local_identity.to_string()),
        notify::NO_PROPOSAL_CHOSEN => (Reason::ChildProposalMismatch, proposals(settings)),
        notify::TS_UNACCEPTABLE => (Reason::SelectorMismatch, selectors(settings)),
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

fn proposals(settings: &Connection) -> String {
    proposal::words(&proposal::offer_esp(
        &settings.esp_proposals,
        0,
        Keying::Inherited,
    ))
}

fn selectors(settings: &Connection) -> String {
    let (local, remote) = line(settings);
    words(local, remote)
}

/// Our side and the peer's of the line that comes up with the tunnel.
fn line(settings: &Connection) -> (&[TrafficSelector], &[TrafficSelector]) {
    settings
        .lines
        .first()
        .map_or((&[], &[]), |line| (&line.local, &line.remote))
}

/// Our side and the peer's.
fn words(local: &[TrafficSelector], remote: &[TrafficSelector]) -> String {
    format!("{} = {}", selector::words(local), selector::words(remote))
}

fn selectors_payload(selectors: &[TrafficSelector]) -> SelectorsPayload {
    SelectorsPayload {
        selectors: selectors.to_vec(),
        unknown: 0,
    }
}
