//! Child SAs: what is offered, chosen and accepted for them.

use std::time::{Duration, Instant};

use super::children::Children;
use super::keys::ChildKeys;
use super::nat::Path;
use super::payloads;
use super::timers::Lifetime;
use crate::esp::EspSa;
use crate::proposal::{self, EspSuite, Keying};
use crate::selector::Selectors;
use crate::wire::registry::notify;
use crate::wire::{Payload, SelectorsPayload};
use crate::{
    ChildId, ChildSnapshot, Connection, ConnectionName, Encapsulation, EspPair, Outage, Reason,
    ResponderSelectors, Side, Stage, TrafficSelector, Volume,
};

/// How long the datapath may take to carry a child: less than a peer sends a request again for.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// One Child SA, without its keys: those are with the datapath.
#[derive(Debug)]
pub(crate) struct Child {
    pub(crate) id: ChildId,
    pub(crate) agreed: AgreedChild,
    pub(crate) encapsulation: Encapsulation,
    /// When the datapath was asked to carry it.
    pub(crate) begun: Instant,
    /// Since when the datapath carries it.
    pub(crate) installed: Option<Instant>,
    pub(crate) lifetime: Lifetime,
    /// The SPI that we receive on until the datapath carries this one, if we asked for it.
    pub(crate) replaces: Option<u32>,
    /// Whether packets leave by it.
    pub(crate) sends: bool,
    /// How many packets it had received when the datapath was asked last.
    pub(crate) received: u64,
    /// We asked for it, and it replaced nothing.
    pub(crate) created: bool,
}

/// What both sides agreed on.
#[derive(Debug)]
pub(crate) struct AgreedChild {
    pub(crate) inbound: u32,
    pub(crate) outbound: u32,
    pub(crate) suite: EspSuite,
    /// The selector line of the connection; none if only the peer wanted it.
    pub(crate) line: Option<usize>,
    pub(crate) selectors: Selectors,
}

impl Child {
    /// Whether packets leave by it.
    pub(crate) fn carries(&self) -> bool {
        self.installed.is_some() && self.sends
    }

    /// When it is too late for the datapath to carry it, while it does not.
    pub(crate) fn patience(&self) -> Option<Instant> {
        self.installed.is_none().then(|| self.begun + PATIENCE)
    }

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
            local_selectors: self.agreed.selectors.local.clone(),
            remote_selectors: self.agreed.selectors.remote.clone(),
            sends: self.sends,
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
            local_selectors: self.agreed.selectors.local.clone(),
            remote_selectors: self.agreed.selectors.remote.clone(),
            since: self.installed?,
            rekey: self.lifetime.soft,
        })
    }
}

/// A child as the initiator offers it.
pub(crate) fn offer(
    inbound: u32,
    settings: &Connection,
    selectors: &Selectors,
    keying: Keying,
) -> [Payload; 3] {
    [
        Payload::SecurityAssociation(proposal::offer_esp(&settings.esp_proposals, inbound, keying)),
        Payload::SelectorsInitiator(selectors_payload(&selectors.local)),
        Payload::SelectorsResponder(selectors_payload(&selectors.remote)),
    ]
}

/// The child in an answer whose proof is good, or why there is none; `wanted` is the line and what we offered for it.
pub(crate) fn accept(
    inbound: u32,
    payloads: &[Payload],
    (settings, keying): (&Connection, Keying),
    (line, wanted): (Option<usize>, &Selectors),
) -> Result<AgreedChild, Outage> {
    let stage = stage(keying);
    if let Some(error) = payloads::error(payloads) {
        return Err(refused_by_peer(error.kind, (settings, wanted), keying, true));
    }
    let broken = || Outage::plain(Reason::ProtocolError, Side::We, stage);
    let chosen = payloads::security_association(payloads).ok_or_else(broken)?;
    let (initiator, responder) = payloads::selectors(payloads).ok_or_else(broken)?;
    let Some((suite, outbound)) = proposal::accept_esp(chosen, &settings.esp_proposals, keying) else {
        let (offered, expected) = (proposal::words(chosen), proposals(settings, keying));
        return Err(Outage {
            offered,
            expected,
            ..broken()
        });
    };
    let (local, remote) = (initiator.selectors.clone(), responder.selectors.clone());
    let selectors = Selectors { local, remote };
    if !selectors.are_within(wanted) {
        return Err(Outage {
            reason: Reason::SelectorMismatch,
            offered: selectors.to_string(),
            expected: wanted.to_string(),
            ..broken()
        });
    }
    Ok(AgreedChild {
        inbound,
        outbound,
        suite,
        line,
        selectors,
    })
}

/// The responder's choice, with the payloads that tell it; or the error to answer with, and why. A child that replaces
/// `old` lets the same through (RFC 7296 §2.9.2).
pub(crate) fn choose(
    inbound: u32,
    payloads: &[Payload],
    (settings, keying): (&Connection, Keying),
    (old, children): (Option<&AgreedChild>, &Children),
) -> Result<(AgreedChild, [Payload; 3]), (u16, Outage)> {
    let refused = |reason| Outage::plain(reason, Side::We, stage(keying));
    let (Some(offered), Some((initiator, responder))) = (
        payloads::security_association(payloads),
        payloads::selectors(payloads),
    ) else {
        return Err((notify::INVALID_SYNTAX, refused(Reason::ProtocolError)));
    };
    let Some((suite, outbound, chosen)) =
        proposal::choose_esp(offered, settings.esp_answers(), inbound, keying)
    else {
        let expected = proposal::offer_esp(settings.esp_answers(), 0, keying);
        let outage = Outage {
            offered: proposal::words(offered),
            expected: proposal::words(&expected),
            ..refused(Reason::ChildProposalMismatch)
        };
        return Err((notify::NO_PROPOSAL_CHOSEN, outage));
    };
    let (local, remote) = (responder.selectors.clone(), initiator.selectors.clone());
    let offered = Selectors { local, remote };
    let admitted = match old {
        Some(old) => offered.narrowed(&old.selectors).map(|same| (old.line, same)),
        None => admitted(&offered, settings, children),
    };
    let Some((line, selectors)) = admitted else {
        let outage = Outage {
            offered: offered.to_string(),
            expected: old.map_or_else(|| words(settings), |old| old.selectors.to_string()),
            ..refused(Reason::SelectorMismatch)
        };
        return Err((notify::TS_UNACCEPTABLE, outage));
    };
    let payloads = [
        Payload::SecurityAssociation(chosen),
        Payload::SelectorsInitiator(selectors_payload(&selectors.remote)),
        Payload::SelectorsResponder(selectors_payload(&selectors.local)),
    ];
    let agreed = AgreedChild {
        inbound,
        outbound,
        suite,
        line,
        selectors,
    };
    Ok((agreed, payloads))
}

/// What of a peer's offer may pass, and the line that it belongs to.
fn admitted(
    offered: &Selectors,
    settings: &Connection,
    children: &Children,
) -> Option<(Option<usize>, Selectors)> {
    let best = offered.best(&settings.lines, |line| children.serve(line));
    match settings.responder_selectors {
        ResponderSelectors::Narrowed => best.map(|(line, narrowed)| (Some(line), narrowed)),
        ResponderSelectors::AsProposed => {
            let something = !offered.local.is_empty() && !offered.remote.is_empty();
            something.then(|| (best.map(|(line, _)| line), offered.clone()))
        }
    }
}

/// Where the child is made.
fn stage(keying: Keying) -> Stage {
    match keying {
        Keying::Inherited => Stage::IkeAuth,
        Keying::Negotiated(_) => Stage::CreateChildSa,
    }
}

/// What an error that the peer sent means for what we offered; `authenticated`: it proved who it is, so only the child
/// was refused.
pub(crate) fn refused_by_peer(
    kind: u16,
    (settings, wanted): (&Connection, &Selectors),
    keying: Keying,
    authenticated: bool,
) -> Outage {
    let (reason, offered) = match kind {
        notify::AUTHENTICATION_FAILED => (Reason::AuthenticationFailed, settings.local_identity.to_string()),
        notify::NO_PROPOSAL_CHOSEN => (Reason::ChildProposalMismatch, proposals(settings, keying)),
        notify::INVALID_KE_PAYLOAD => (Reason::KeyExchangeGroupRefused, proposals(settings, keying)),
        notify::TS_UNACCEPTABLE | notify::SINGLE_PAIR_REQUIRED => {
            (Reason::SelectorMismatch, wanted.to_string())
        }
        notify::TEMPORARY_FAILURE if authenticated => (Reason::DatapathRefused, String::new()),
        notify::NO_ADDITIONAL_SAS => (Reason::DatapathRefused, wanted.to_string()),
        notify::TEMPORARY_FAILURE => (Reason::Replaced, String::new()),
        kind => (Reason::ProtocolError, format!("notify {kind}")),
    };
    let expected = match kind {
        notify::SINGLE_PAIR_REQUIRED => "one address on each side (SINGLE_PAIR_REQUIRED)",
        notify::NO_ADDITIONAL_SAS => "no further Child SA (NO_ADDITIONAL_SAS)",
        _ => "",
    };
    Outage {
        reason,
        side: Side::Peer,
        stage: stage(keying),
        offered,
        expected: expected.to_owned(),
    }
}

fn proposals(settings: &Connection, keying: Keying) -> String {
    proposal::words(&proposal::offer_esp(&settings.esp_proposals, 0, keying))
}

/// What may pass, line by line.
fn words(settings: &Connection) -> String {
    let lines = settings.lines.iter();
    let lines: Vec<_> = lines.map(|line| Selectors::of(line).to_string()).collect();
    lines.join("; ")
}

/// What passes by the line that comes up with the tunnel.
pub(crate) fn first_line(settings: &Connection) -> Selectors {
    let (local, remote) = (Vec::new(), Vec::new());
    let first = settings.lines.first().map(Selectors::of);
    first.unwrap_or(Selectors { local, remote })
}

fn selectors_payload(selectors: &[TrafficSelector]) -> SelectorsPayload {
    SelectorsPayload {
        selectors: selectors.to_vec(),
        unknown: 0,
    }
}
