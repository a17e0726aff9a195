//! Quick mode as responder (RFC 2409 §5.5). The child receives before the peer hears of it, and sends once the peer said that
//! it has it.

use std::time::Instant;

use super::channel::{self, Opened};
use super::fragments;
use super::main_mode::{NONCE, nonce, public, same, security_association};
use super::phases::Session;
use super::proposal::{self, Transport};
use super::quick_mode::{identities, selectors};
use super::state::Done;
use crate::crypto::{Group, KeyAnswer, Secret};
use crate::engine::Engine;
use crate::selector::Selectors;
use crate::v2::child::{AgreedChild, Child};
use crate::v2::payloads::Datagram;
use crate::v2::window::Retransmission;
use crate::wire::v1::registry::{exchange, notify, protocol};
use crate::wire::v1::{Message, NotifyPayload, Payload};
use crate::{Connection, DropCause, Outage, Reason, ResponderSelectors, Side, Stage};

/// How many quick modes of one peer may be under way.
const MOST: usize = 16;
/// How many sets of selectors a peer may have children for.
const SETS: usize = 100;
/// How many messages a peer may send in one phase 1 SA: then that has had its time.
const MESSAGES: usize = 1 << 16;

/// A quick mode of the peer.
pub(crate) struct QuickAnswer {
    pub(crate) id: u32,
    pub(crate) child: Child,
    nonces: (Vec<u8>, Vec<u8>),
    /// SHA-256 of message 1 comes with message 2 once that was sent; until then it is what is to be said.
    pub(crate) step: AnswerStep,
}

/// How far it is.
pub(crate) enum AnswerStep {
    /// The datapath is to carry it; then message 2 goes out.
    Installing(Vec<Payload>, Vec<u8>),
    /// Message 2 is on its way; the IV is that of message 3.
    Sent(Retransmission, Vec<u8>),
}

/// What of message 1 was agreed.
struct Choice {
    agreed: proposal::Phase2,
    outbound: u32,
    line: Option<usize>,
    selectors: Selectors,
    shared: Option<Secret>,
    /// What message 2 says behind its hash.
    payloads: Vec<Payload>,
}

impl Engine {
    /// Message 1 or 3 of a quick mode of the peer.
    pub(super) fn quick_asked(&mut self, mut session: Session, datagram: &Datagram, now: Instant) {
        let id = datagram.header.message_id;
        let mut known = session.state.answering.iter();
        if let Some(place) = known.position(|answer| answer.id == id) {
            return self.quick_confirmed(session, place, datagram, now);
        }
        let keys = &session.state.keys;
        let iv = session.state.iv(id);
        let opened = Opened::of(keys, (&datagram.header, &datagram.bytes), &iv);
        let genuine = opened.filter(|opened| {
            let hashed = opened.hashed();
            hashed.is_some_and(|(hash, behind)| same(hash, &keys.hash(id, &[behind])))
        });
        let Some(opened) = genuine else {
            self.dropped(datagram.remote, Some(DropCause::IntegrityFailed));
            return self.keep_session(session);
        };
        if !self.is_fresh(&mut session, datagram) {
            return self.keep_session(session);
        }
        self.spoke_quick(session.speaks(), (Side::Peer, 1), &opened.payloads);
        self.heard_v1(&mut session, datagram, now);
        let crowded = session.state.answering.len() >= MOST || session.tunnel.children.count().0 >= SETS;
        let Some(settings) = self.settings_of(&session.name).filter(|_| !crowded) else {
            self.dropped(datagram.remote, Some(DropCause::HalfOpenLimit));
            return self.keep_session(session);
        };
        let inbound = self.fresh_child_spi();
        let own = self.drawn(NONCE);
        match self.grant(&session, (&opened, &settings), (inbound, &own)) {
            Ok(choice) => self.stage_v1(session, (id, inbound, own), (choice, &opened), now),
            Err((kind, outage)) => {
                self.forget_child_spi(inbound);
                self.refuse_quick(session, (kind, outage), &opened, now);
            }
        }
    }

    /// Whether the id of a genuine message is new; one that came before says nothing any more.
    pub(super) fn is_fresh(&mut self, session: &mut Session, datagram: &Datagram) -> bool {
        let state = &mut session.state;
        let fresh = state.seen.insert(datagram.header.message_id);
        if state.seen.len() >= MESSAGES {
            state.lifetime.end = state.lifetime.soft;
        }
        if !fresh {
            self.dropped(datagram.remote, Some(DropCause::UnexpectedMessageId));
        }
        fresh
    }

    /// Judges what the peer wants; or the error to answer with, and why.
    fn grant(
        &mut self,
        session: &Session,
        (opened, settings): (&Opened, &Connection),
        (inbound, own): (u32, &[u8]),
    ) -> Result<Choice, (u16, Outage)> {
        let payloads = &opened.payloads;
        let refused = |reason| Outage::plain(reason, Side::We, Stage::QuickMode);
        let broken = || (notify::PAYLOAD_MALFORMED, refused(Reason::ProtocolError));
        let offered = security_association(payloads).ok_or_else(broken)?;
        nonce(payloads).ok_or_else(broken)?;
        let transport = session.state.transport();
        let chosen = proposal::choose_phase2(offered, settings.esp_answers(), inbound, transport);
        let Some((agreed, outbound, answer)) = chosen else {
            let outage = Outage {
                offered: proposal::words(offered, Some(transport)),
                expected: answerable(settings, transport),
                ..refused(Reason::ChildProposalMismatch)
            };
            return Err((notify::NO_PROPOSAL_CHOSEN, outage));
        };
        let path = session.common.path;
        let both = selectors(payloads, (path.remote.ip(), path.local.ip()));
        let none = both.is_none().then_some(DropCause::Malformed);
        self.dropped(path.remote, none);
        let (local, remote) = both.map(|(theirs, ours)| (vec![ours], vec![theirs])).unzip();
        let wanted = local
            .zip(remote)
            .map(|(local, remote)| Selectors { local, remote });
        let admitted = wanted
            .as_ref()
            .and_then(|wanted| admitted(session, settings, wanted));
        let Some((line, selectors)) = admitted else {
            let outage = Outage {
                offered: wanted.map(|wanted| wanted.to_string()).unwrap_or_default(),
                expected: lines(settings),
                ..refused(Reason::SelectorMismatch)
            };
            return Err((notify::INVALID_ID_INFORMATION, outage));
        };
        let mut said = vec![Payload::SecurityAssociation(answer), Payload::Nonce(own.to_vec())];
        let shared = match agreed.suite.group {
            Some(group) => {
                let (public, shared) = self.exchanged_quick(group, payloads).ok_or_else(broken)?;
                said.push(public);
                Some(shared)
            }
            None => None,
        };
        let both = identities(payloads).into_iter().cloned();
        said.extend(both.map(Payload::Identification));
        Ok(Choice {
            agreed,
            outbound,
            line,
            selectors,
            shared,
            payloads: said,
        })
    }

    /// Our public value and the shared secret of a key exchange of its own.
    fn exchanged_quick(&mut self, group: Group, payloads: &[Payload]) -> Option<(Payload, Secret)> {
        let exchange = KeyAnswer::new(group, public(payloads)?, self.random.as_mut()).ok()?;
        let public = Payload::KeyExchange(exchange.public().to_vec());
        Some((public, exchange.finish().ok()?))
    }

    /// The datapath is to receive by the child.
    fn stage_v1(
        &mut self,
        mut session: Session,
        (id, inbound, own): (u32, u32, Vec<u8>),
        (choice, opened): (Choice, &Opened),
        now: Instant,
    ) {
        let theirs = nonce(&opened.payloads).cloned().unwrap_or_default();
        let keys = &session.state.keys;
        let spis = (choice.outbound, inbound);
        let made = keys.child(choice.agreed.suite, choice.shared.as_ref(), spis, (&theirs, &own));
        let agreed = AgreedChild {
            inbound,
            outbound: choice.outbound,
            suite: choice.agreed.suite,
            line: choice.line,
            selectors: choice.selectors,
        };
        let child = self.carry_v1(&session, (agreed, made, choice.agreed), false, now);
        session.state.answering.push(QuickAnswer {
            id,
            child,
            nonces: (theirs, own),
            step: AnswerStep::Installing(choice.payloads, opened.next_iv.clone()),
        });
        let name = session.name.clone();
        self.keep_session(session);
        self.attend(&name, now);
    }

    /// The datapath receives by the child: message 2 goes out.
    pub(super) fn answer_quick(&mut self, session: &mut Session, place: usize, now: Instant) {
        let keys = &session.state.keys;
        let (began, transport) = (session.state.fragments(), session.state.transport());
        let Some(settings) = self.settings_of(&session.name) else {
            return;
        };
        let Some(answer) = session.state.answering.get_mut(place) else {
            return;
        };
        let AnswerStep::Installing(payloads, iv) = &answer.step else {
            return;
        };
        self.spoke_quick((&session.common, transport), (Side::We, 2), payloads);
        answer.child.installed = Some(now);
        let (id, first) = (answer.id, &answer.nonces.0);
        let header = Message::header(session.common.spis(), exchange::QUICK_MODE, id);
        let hash = |behind: &[u8]| keys.hash(id, &[first, behind]);
        let (bytes, iv) = channel::seal_hashed(keys, header, payloads, hash, iv);
        let bytes = fragments::divided(bytes, began, &settings);
        answer.step = AnswerStep::Sent(Retransmission::new(bytes.clone(), now), iv);
        self.send(session.common.path, bytes);
    }

    /// Message 3 arrived, or message 1 again.
    fn quick_confirmed(&mut self, mut session: Session, place: usize, datagram: &Datagram, now: Instant) {
        let answer = session.state.answering.remove(place);
        let AnswerStep::Sent(request, iv) = &answer.step else {
            session.state.answering.push(answer);
            return self.keep_session(session);
        };
        let keys = &session.state.keys;
        let nonces = (answer.nonces.0.as_slice(), answer.nonces.1.as_slice());
        let expected = keys.third_hash(answer.id, nonces);
        let opened = Opened::of(keys, (&datagram.header, &datagram.bytes), iv);
        let genuine = opened.is_some_and(|opened| {
            let hashed = opened.hashed();
            hashed.is_some_and(|(hash, _)| same(hash, &expected))
        });
        if !genuine {
            // Most likely message 1 again, whose answer was lost; that one is as good as any other.
            let again = request.bytes.clone();
            let repeats = self.repeats(&session, &answer, datagram);
            session.state.answering.push(answer);
            if repeats {
                self.send(session.common.path, again);
            } else {
                self.dropped(datagram.remote, Some(DropCause::IntegrityFailed));
            }
            return self.keep_session(session);
        }
        self.spoke_quick(session.speaks(), (Side::Peer, 3), &[]);
        self.heard_v1(&mut session, datagram, now);
        session
            .state
            .done
            .push(Done::new(&datagram.bytes, Vec::new(), now));
        let name = session.name.clone();
        let twin = session.tunnel.children.twin(&answer.child.agreed.selectors);
        let replaces = twin.map(|twin| twin.agreed.inbound);
        self.in_use(&mut session, (answer.child, replaces, false), now);
        self.keep_session(session);
        self.attend(&name, now);
    }

    /// Whether a message is message 1 of a quick mode that was answered.
    fn repeats(&self, session: &Session, answer: &QuickAnswer, datagram: &Datagram) -> bool {
        let keys = &session.state.keys;
        let iv = session.state.iv(answer.id);
        let opened = Opened::of(keys, (&datagram.header, &datagram.bytes), &iv);
        opened.is_some_and(|opened| {
            let hashed = opened.hashed();
            hashed.is_some_and(|(hash, behind)| same(hash, &keys.hash(answer.id, &[behind])))
        })
    }

    /// Says under protection why there is no child.
    fn refuse_quick(
        &mut self,
        session: Session,
        (kind, outage): (u16, Outage),
        opened: &Opened,
        now: Instant,
    ) {
        let offered = security_association(&opened.payloads);
        let spi = offered.and_then(|offered| offered.proposals.first());
        let notify = Payload::Notify(NotifyPayload {
            protocol: protocol::ESP,
            spi: spi.map(|proposal| proposal.spi.clone()).unwrap_or_default(),
            kind,
            data: Vec::new(),
        });
        let keys = (&session.state.keys, session.state.last_block.as_slice());
        self.inform(&session.common, keys, &[notify]);
        if session.tunnel.children.carry() {
            self.degraded(&session.common, &outage);
        } else {
            self.without_child(&session.common, &outage, now);
        }
        self.keep_session(session);
    }
}

/// What may pass, line by line.
fn lines(settings: &Connection) -> String {
    let lines = settings.lines.iter().map(|line| Selectors::of(line).to_string());
    lines.collect::<Vec<_>>().join("; ")
}

/// What the peer may ask for.
fn answerable(settings: &Connection, transport: Transport) -> String {
    let answers = Connection {
        esp_proposals: settings.esp_answers().to_vec(),
        ..settings.clone()
    };
    proposal::words(&proposal::offer_phase2(&answers, 0, transport), Some(transport))
}

/// The line that an offer belongs to; it is taken as it is or not at all (RFC 2409 §5.5).
fn admitted(
    session: &Session,
    settings: &Connection,
    wanted: &Selectors,
) -> Option<(Option<usize>, Selectors)> {
    let best = wanted.best(&settings.lines, |line| session.tunnel.children.serve(line));
    let whole = best.filter(|(_, narrowed)| narrowed.are_those_of(wanted));
    match settings.responder_selectors {
        ResponderSelectors::Narrowed => whole.map(|(line, same)| (Some(line), same)),
        ResponderSelectors::AsProposed => Some((whole.map(|(line, _)| line), wanted.clone())),
    }
}
