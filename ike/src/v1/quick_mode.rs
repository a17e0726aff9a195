//! Quick mode as initiator (RFC 2409 §5.5).

use std::time::Instant;

use super::channel::{self, Opened};
use super::keys::Keys;
use super::main_mode::{nonce, public, same, security_association};
use super::phases::Session;
use super::proposal::{self, Phase2};
use super::state::Done;
use super::tunnel::{AT_ONCE, spis};
use super::{fragments, identity, main_mode};
use crate::crypto::{KeyExchange, Secret};
use crate::engine::Engine;
use crate::selector::Selectors;
use crate::v2::child::{AgreedChild, Child};
use crate::v2::payloads::Datagram;
use crate::v2::window::Retransmission;
use crate::wire::v1::registry::exchange;
use crate::wire::v1::{IdentificationPayload, Message, Payload};
use crate::{Connection, DropCause, Outage, Reason, Side, Stage};

/// What a quick mode of ours is for.
#[derive(Debug, Clone)]
pub(crate) struct Purpose {
    /// The selector line of the connection.
    pub(crate) line: Option<usize>,
    pub(crate) selectors: Selectors,
    /// The SPI that we receive on by the child that is to be replaced.
    pub(crate) replaces: Option<u32>,
}

/// A quick mode of ours.
pub(crate) struct QuickMode {
    pub(crate) id: u32,
    pub(crate) purpose: Purpose,
    pub(crate) step: Step,
}

/// How far it is.
pub(crate) enum Step {
    /// Message 1 is on its way.
    Sent(Box<Sent>),
    /// The datapath is to carry what was agreed; then message 3 goes out.
    Installing(Box<Installing>),
}

/// Message 1 is on its way.
pub(crate) struct Sent {
    pub(crate) inbound: u32,
    nonce: Vec<u8>,
    exchange: Option<KeyExchange>,
    /// The IV of message 2.
    iv: Vec<u8>,
    pub(crate) request: Retransmission,
}

/// The datapath is to carry what was agreed.
pub(crate) struct Installing {
    pub(crate) child: Child,
    /// What was answered with `third`.
    second: Vec<u8>,
    third: Vec<u8>,
}

/// What message 2 says.
struct Answer {
    agreed: Phase2,
    outbound: u32,
    nonce: Vec<u8>,
    selectors: Selectors,
    shared: Option<Secret>,
}

/// Both identities of a quick mode, the initiator's first.
pub(super) fn identities(payloads: &[Payload]) -> Vec<&IdentificationPayload> {
    let all = payloads.iter().filter_map(|payload| {
        if let Payload::Identification(found) = payload {
            Some(found)
        } else {
            None
        }
    });
    all.collect()
}

/// What both identities let through, as our side sees it where the peer started the exchange; without identities it is both
/// ends of the SA (RFC 2409 §5.5). `None` if they are no selectors.
pub(super) fn selectors(
    payloads: &[Payload],
    (initiator, responder): (std::net::IpAddr, std::net::IpAddr),
) -> Option<(crate::TrafficSelector, crate::TrafficSelector)> {
    match identities(payloads).as_slice() {
        [] => {
            let host = |address| crate::TrafficSelector::network(ipnet::IpNet::from(address));
            Some((host(initiator), host(responder)))
        }
        [first, second] => Some((identity::to_selector(first)?, identity::to_selector(second)?)),
        _ => None,
    }
}

impl Engine {
    /// Asks for a child.
    pub(super) fn ask_child_v1(&mut self, session: &mut Session, purpose: Purpose, now: Instant) {
        let Some(settings) = self.settings_of(&session.name) else {
            return;
        };
        let (Some(local), Some(remote)) = (purpose.selectors.local.first(), purpose.selectors.remote.first())
        else {
            return;
        };
        let (group, _) = proposal::offerable(&settings);
        let exchange = group.and_then(|group| KeyExchange::start(group, self.random.as_mut()).ok());
        let (id, inbound) = (self.drawn_id(), self.fresh_child_spi());
        let nonce = self.drawn(main_mode::NONCE);
        let offer = proposal::offer_phase2(&settings, inbound, session.state.transport());
        let mut payloads = vec![Payload::SecurityAssociation(offer), Payload::Nonce(nonce.clone())];
        let public = exchange.as_ref().map(|exchange| exchange.public().to_vec());
        payloads.extend(public.map(Payload::KeyExchange));
        payloads.push(Payload::Identification(identity::of_selector(local)));
        payloads.push(Payload::Identification(identity::of_selector(remote)));
        let header = Message::header(session.common.spis(), exchange::QUICK_MODE, id);
        let (keys, iv) = (&session.state.keys, session.state.iv(id));
        let hash = |behind: &[u8]| keys.hash(id, &[behind]);
        let (bytes, iv) = channel::seal_hashed(keys, header, &payloads, hash, &iv);
        let bytes = fragments::divided(bytes, session.state.fragments(), &settings);
        self.spoke_quick(session.speaks(), (Side::We, 1), &payloads);
        self.send(session.common.path, bytes.clone());
        let sent = Sent {
            inbound,
            nonce,
            exchange,
            iv,
            request: Retransmission::new(bytes, now),
        };
        session.state.asked = Some(Box::new(QuickMode {
            id,
            purpose,
            step: Step::Sent(Box::new(sent)),
        }));
    }

    /// A message of a quick mode arrived, whoever started that.
    pub(super) fn quick_arrived(&mut self, mut session: Session, datagram: &Datagram, now: Instant) {
        let id = datagram.header.message_id;
        match session.state.asked.take_if(|asked| asked.id == id) {
            Some(asked) => match asked.step {
                Step::Sent(sent) => self.quick_answered(session, (asked.purpose, *sent), datagram, now),
                step @ Step::Installing(_) => {
                    // The answer came again while the datapath thinks about it.
                    session.state.asked = Some(Box::new(QuickMode { step, ..*asked }));
                    self.keep_session(session);
                }
            },
            None => self.quick_asked(session, datagram, now),
        }
    }

    /// Message 2 arrived.
    fn quick_answered(
        &mut self,
        mut session: Session,
        (purpose, sent): (Purpose, Sent),
        datagram: &Datagram,
        now: Instant,
    ) {
        let id = datagram.header.message_id;
        let keys = &session.state.keys;
        let opened = Opened::of(keys, (&datagram.header, &datagram.bytes), &sent.iv);
        let genuine = opened.filter(|opened| is_second(opened, (keys, id), &sent.nonce));
        let settings = self.settings_of(&session.name);
        let (Some(opened), Some(settings)) = (genuine, settings) else {
            self.dropped(datagram.remote, Some(DropCause::IntegrityFailed));
            let step = Step::Sent(Box::new(sent));
            session.state.asked = Some(Box::new(QuickMode { id, purpose, step }));
            return self.keep_session(session);
        };
        self.spoke_quick(session.speaks(), (Side::Peer, 2), &opened.payloads);
        self.heard_v1(&mut session, datagram, now);
        let (inbound, own) = (sent.inbound, sent.nonce.clone());
        let answer = match judge(&session, (&opened, &settings), &purpose, sent) {
            Ok(answer) => answer,
            Err(outage) => {
                self.forget_child_spi(inbound);
                self.keep_session(session);
                return self.line_failed(datagram, (purpose, outage), now);
            }
        };
        let nonces = (own.as_slice(), answer.nonce.as_slice());
        let keys = &session.state.keys;
        let spis = (inbound, answer.outbound);
        let child_keys = keys.child(answer.agreed.suite, answer.shared.as_ref(), spis, nonces);
        let third = Payload::Hash(keys.third_hash(id, nonces));
        let header = Message::header(session.common.spis(), exchange::QUICK_MODE, id);
        let text = crate::wire::v1::chain::encode(&[third]);
        let (third, _) = channel::seal(keys, header, text, &opened.next_iv);
        let agreed = AgreedChild {
            inbound,
            outbound: answer.outbound,
            suite: answer.agreed.suite,
            line: purpose.line,
            selectors: answer.selectors,
        };
        if gives_way(&session, (&agreed, purpose.replaces), now) {
            return self.give_up_quick(session, (purpose, &agreed), now);
        }
        let made = (agreed, child_keys, answer.agreed);
        let child = self.carry_v1(&session, made, true, now);
        let installing = Installing {
            child,
            second: datagram.bytes.clone(),
            third,
        };
        let step = Step::Installing(Box::new(installing));
        session.state.asked = Some(Box::new(QuickMode { id, purpose, step }));
        let name = session.name.clone();
        self.keep_session(session);
        self.attend(&name, now);
    }

    /// The peer's quick mode for the same selectors goes on, and ours does not: the datapath never carries what it made.
    fn give_up_quick(
        &mut self,
        mut session: Session,
        (purpose, agreed): (Purpose, &AgreedChild),
        now: Instant,
    ) {
        self.delete_children(&session.common, &session.state, &[agreed.inbound]);
        self.forget_child_spi(agreed.inbound);
        let again = self.later(now);
        let old = purpose.replaces;
        if let Some(old) = old.and_then(|old| session.tunnel.children.current_by_spi_mut(old)) {
            old.lifetime.soft = again;
        }
        if let Some(line) = purpose.line {
            session.tunnel.lines.want(line, again);
        }
        self.keep_session(session);
    }

    /// The datapath carries what our quick mode made: the peer may send by it.
    pub(super) fn quick_installed(&mut self, session: &mut Session, quick: QuickMode, now: Instant) {
        let Step::Installing(installing) = quick.step else {
            return;
        };
        let Installing {
            mut child,
            second,
            third,
        } = *installing;
        child.installed = Some(now);
        self.spoke_quick(session.speaks(), (Side::We, 3), &[]);
        self.send(session.common.path, third.clone());
        session.state.done.push(Done::new(&second, third, now));
        self.in_use(session, (child, quick.purpose.replaces, true), now);
    }

    /// No child came of our quick mode.
    fn line_failed(&mut self, datagram: &Datagram, (purpose, outage): (Purpose, Outage), now: Instant) {
        self.dropped(datagram.remote, None);
        let cookies = [datagram.header.initiator_spi, datagram.header.responder_spi];
        let found = cookies.into_iter().find_map(|spi| self.v1.sas.get(&spi));
        let Some(name) = found.and_then(|phase| phase.common.connection.clone()) else {
            return;
        };
        if let Some(mut session) = self.take_session(&name) {
            self.refused_line(&mut session, (purpose, outage), now);
            self.keep_session(session);
            self.attend(&name, now);
        }
    }
}

/// Whether a message is message 2 of the quick mode with this id, in which we drew this nonce.
fn is_second(opened: &Opened, (keys, id): (&Keys, u32), nonce: &[u8]) -> bool {
    let hashed = opened.hashed();
    hashed.is_some_and(|(hash, behind)| same(hash, &keys.hash(id, &[nonce, behind])))
}

/// Whether what we asked for gives way to what the peer asked for at the same time: the one with the larger SPI stays.
fn gives_way(session: &Session, (agreed, replaces): (&AgreedChild, Option<u32>), now: Instant) -> bool {
    let answering = session.state.answering.iter().map(|answer| &answer.child);
    let mut rivals = answering.chain(session.tunnel.children.current());
    rivals.any(|rival| {
        let same = rival.agreed.selectors.are_those_of(&agreed.selectors);
        let at_once = now.saturating_duration_since(rival.begun) < AT_ONCE;
        let other = replaces != Some(rival.agreed.inbound);
        same && other && !rival.created && at_once && spis(&rival.agreed) > spis(agreed)
    })
}

/// What message 2 agrees on, or why it does not.
fn judge(
    session: &Session,
    (opened, settings): (&Opened, &Connection),
    purpose: &Purpose,
    sent: Sent,
) -> Result<Answer, Outage> {
    let payloads = &opened.payloads;
    let broken = || Outage::plain(Reason::ProtocolError, Side::We, Stage::QuickMode);
    let (Some(chosen), Some(nonce)) = (security_association(payloads), nonce(payloads)) else {
        return Err(broken());
    };
    let transport = session.state.transport();
    let Some((agreed, outbound)) = proposal::accept_phase2(chosen, settings, transport) else {
        let offer = proposal::offer_phase2(settings, 0, transport);
        return Err(Outage {
            offered: proposal::words(chosen, Some(transport)),
            expected: proposal::words(&offer, Some(transport)),
            ..broken()
        });
    };
    let shared = match sent.exchange {
        Some(exchange) => {
            let public = public(payloads).ok_or_else(broken)?;
            Some(exchange.finish(public).map_err(|_| broken())?)
        }
        None => None,
    };
    let selectors = if identities(payloads).is_empty() {
        Some(purpose.selectors.clone())
    } else {
        let path = session.common.path;
        let found = selectors(payloads, (path.local.ip(), path.remote.ip()));
        found.map(|(ours, theirs)| Selectors {
            local: vec![ours],
            remote: vec![theirs],
        })
    };
    let within = selectors.filter(|selectors| selectors.are_within(&purpose.selectors));
    let Some(selectors) = within else {
        return Err(Outage {
            reason: Reason::SelectorMismatch,
            expected: purpose.selectors.to_string(),
            ..broken()
        });
    };
    Ok(Answer {
        agreed,
        outbound,
        nonce: nonce.clone(),
        selectors,
        shared,
    })
}
