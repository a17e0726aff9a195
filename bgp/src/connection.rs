//! The machine of one TCP connection (RFC 4271 §8.2.2). Idle and Active are states of a neighbour without a connection.

use std::time::{Duration, Instant};

use crate::mrt::Dialect;
use crate::negotiation::{Agreed, agree};
use crate::reason::{Ending, Reason};
use crate::session::Session;
use crate::timers::{Running, Timer, jittered};
use crate::turn::Turn;
use crate::wire::framing::{Frame, Framing, HEADER, MessageKind, keepalive};
use crate::wire::notification::Notification;
use crate::wire::open::Open;
use crate::wire::refresh::Refresh;
use crate::wire::update::Update;
use crate::{Action, ConnectionId, Messages, Negotiated, Neighbour, PeerState, Side};

/// Octets of one connection that may be on their way to the kernel.
pub(crate) const WINDOW: usize = 256 * 1024;
/// What of the window is kept for a NOTIFICATION, which is always the last.
const FOR_NOTIFICATION: usize = 4096;
/// How long an OPEN is waited for: RFC 4271 §8.2.2 suggests four minutes.
const OPEN_HOLD: Duration = Duration::from_secs(240);
/// RFC 9687 §3.1: the greater of eight minutes and twice the hold time.
const SEND_HOLD: Duration = Duration::from_secs(480);

/// One TCP connection with a neighbour.
pub(crate) struct Connection {
    pub(crate) id: ConnectionId,
    pub(crate) state: State,
    pub(crate) running: Running,
    pub(crate) sent: Messages,
    pub(crate) received: Messages,
    framing: Framing,
    on_their_way: usize,
}

/// What is known of a connection.
pub(crate) enum State {
    /// TCP is being made.
    Connect,
    /// We have sent this OPEN.
    OpenSent(Box<Open>),
    /// Its OPEN was good; its KEEPALIVE says that ours was.
    OpenConfirm(Box<Agreed>),
    /// Routes flow.
    Established(Box<Session>),
}

/// What a message says that concerns more than its connection.
pub(crate) enum Heard {
    /// Its OPEN is good: unless this is the connection one too many, go on with [`Connection::confirm`].
    Open(Box<Agreed>),
    /// The session is established.
    Established,
    /// It is alive.
    Keepalive,
    /// Routes.
    Update(Update),
    /// It wants routes again, or sends them again.
    Refresh(Refresh),
}

impl Connection {
    /// One that was just asked for.
    pub(crate) fn connecting(id: ConnectionId, neighbour: &Neighbour, turn: &mut Turn) -> Self {
        let mut connection = Self::new(id, State::Connect);
        let patience = jittered(neighbour.timers.connect_retry, turn.random);
        connection.running.start(Timer::ConnectRetry, turn.now + patience);
        connection
    }

    /// One that the neighbour opened.
    pub(crate) fn accepted(id: ConnectionId, ours: Open, turn: &mut Turn) -> Self {
        let mut connection = Self::new(id, State::Connect);
        connection.open(ours, turn);
        connection
    }

    fn new(id: ConnectionId, state: State) -> Self {
        Self {
            id,
            state,
            running: Running::default(),
            sent: Messages::default(),
            received: Messages::default(),
            framing: Framing::new(),
            on_their_way: 0,
        }
    }

    /// TCP is there: we say who we are.
    pub(crate) fn open(&mut self, ours: Open, turn: &mut Turn) {
        self.running.stop(Timer::ConnectRetry);
        self.running.start(Timer::Hold, turn.now + OPEN_HOLD);
        self.sent.total += 1;
        self.send(ours.encode(), turn);
        self.state = State::OpenSent(Box::new(ours));
    }

    /// Its OPEN was good and this connection survives: we say so.
    pub(crate) fn confirm(&mut self, agreed: Box<Agreed>, turn: &mut Turn) {
        let (hold, interval) = (agreed.negotiated.hold_time, agreed.negotiated.keepalive);
        self.state = State::OpenConfirm(agreed);
        self.running.stop(Timer::Hold);
        self.say_keepalive(turn);
        if !hold.is_zero() {
            self.running.start(Timer::Hold, turn.now + hold);
            self.running
                .start(Timer::Keepalive, turn.now + jittered(interval, turn.random));
        }
    }

    /// Octets came.
    pub(crate) fn received(&mut self, octets: &[u8]) {
        match self.state {
            State::Connect => {}
            State::OpenSent(_) | State::OpenConfirm(_) | State::Established(_) => self.framing.push(octets),
        }
    }

    /// The next whole message of those that came, judged by the state (RFC 4271 §8.2.2).
    pub(crate) fn hear(&mut self, neighbour: &Neighbour, now: Instant) -> Result<Option<Heard>, Ending> {
        let extended = self.takes_extended();
        let Some(Frame { kind, body }) = self.framing.next(extended).map_err(Ending::refused)? else {
            return Ok(None);
        };
        count(&mut self.received, kind);
        let heard = match (kind, &mut self.state) {
            (MessageKind::Notification, _) => {
                return Err(match Notification::decode(body) {
                    Ok(notification) => Ending::told(notification),
                    Err(fault) => Ending::unanswered(fault),
                });
            }
            (MessageKind::Open, State::OpenSent(ours)) => {
                let theirs = Open::decode(body).map_err(Ending::refused)?;
                Heard::Open(Box::new(agree(ours, &theirs, neighbour)?))
            }
            (MessageKind::Keepalive, State::OpenConfirm(agreed)) => {
                let session = Session::new(Agreed::clone(agreed));
                self.state = State::Established(Box::new(session));
                Heard::Established
            }
            (MessageKind::Keepalive, State::Established(_)) => Heard::Keepalive,
            (MessageKind::Update, State::Established(session)) => Heard::Update(session.decode(body)),
            (MessageKind::RouteRefresh, State::Established(session)) => {
                let enhanced = session.agreed.negotiated.advanced.enhanced_refresh;
                match Refresh::decode(body, enhanced).map_err(Ending::refused)? {
                    Some(refresh) => Heard::Refresh(refresh),
                    None => Heard::Keepalive,
                }
            }
            (
                MessageKind::Open | MessageKind::Update | MessageKind::Keepalive | MessageKind::RouteRefresh,
                state,
            ) => return Err(unexpected(kind, state)),
        };
        self.was_heard(now);
        Ok(Some(heard))
    }

    /// Every good message shows that the neighbour is there.
    fn was_heard(&mut self, now: Instant) {
        let hold = match &self.state {
            State::Connect | State::OpenSent(_) => return,
            State::OpenConfirm(agreed) => agreed.negotiated.hold_time,
            State::Established(session) => session.agreed.negotiated.hold_time,
        };
        if !hold.is_zero() {
            self.running.start(Timer::Hold, now + hold);
        }
    }

    /// A timer of this connection is due.
    pub(crate) fn due(&mut self, timer: Timer, turn: &mut Turn) -> Result<(), Ending> {
        match timer {
            Timer::ConnectRetry => Err(Ending::ours(
                Reason::ConnectFailed,
                "the neighbour did not answer the connection in time",
            )),
            Timer::Hold => Err(Ending::refusing(
                Notification::hold_timer_expired(),
                self.silence(),
            )),
            Timer::Keepalive => {
                self.say_keepalive(turn);
                let interval = match &self.state {
                    State::Connect | State::OpenSent(_) => return Ok(()),
                    State::OpenConfirm(agreed) => agreed.negotiated.keepalive,
                    State::Established(session) => session.agreed.negotiated.keepalive,
                };
                self.running
                    .start(timer, turn.now + jittered(interval, turn.random));
                Ok(())
            }
            Timer::SendHold => Err(Ending::refusing(
                Notification::send_hold_timer_expired(),
                format!(
                    "{} octets wait, and the neighbour takes none of them",
                    self.on_their_way
                ),
            )),
            Timer::IdleHold
            | Timer::RestartTime
            | Timer::StaleTime
            | Timer::Settling
            | Timer::Deferral
            | Timer::PrefixRestart => Ok(()),
        }
    }

    fn silence(&self) -> String {
        match &self.state {
            State::Connect | State::OpenSent(_) => {
                format!("no OPEN came within {} s", OPEN_HOLD.as_secs())
            }
            State::OpenConfirm(agreed) => said_nothing(agreed),
            State::Established(session) => said_nothing(&session.agreed),
        }
    }

    /// So many octets have gone.
    pub(crate) fn went(&mut self, octets: usize, now: Instant) {
        self.on_their_way = self.on_their_way.saturating_sub(octets);
        self.running.stop(Timer::SendHold);
        self.watch_sending(now);
    }

    /// Hands out all of the session's that fits into the window.
    pub(crate) fn write(&mut self, peer: crate::rib::PeerIndex, turn: &mut Turn) {
        loop {
            let room = (WINDOW - FOR_NOTIFICATION).saturating_sub(self.on_their_way);
            let State::Established(session) = &mut self.state else {
                return;
            };
            let octets = session.write(peer, room, turn);
            if octets.is_empty() {
                return;
            }
            count_all(&mut self.sent, &octets);
            self.send(octets, turn);
        }
    }

    /// The end of it: the neighbour is told why, if we found the fault.
    pub(crate) fn close(mut self, ending: &Ending, turn: &mut Turn) {
        let tells = match self.state {
            State::Connect => false,
            State::OpenSent(_) | State::OpenConfirm(_) | State::Established(_) => ending.side == Side::We,
        };
        if let Some(notification) = ending.notification.clone().filter(|_| tells) {
            // RFC 8538 §3: only where both sides know what a hard reset is.
            let hard = ending.hard
                && self
                    .session()
                    .is_some_and(|session| session.agreed.keeps_after_notification());
            let notification = if hard { notification.hard() } else { notification };
            self.send(notification.encode(), turn);
        }
        turn.out.push(Action::Close(self.id));
    }

    /// Where it stands.
    pub(crate) fn standing(&self) -> PeerState {
        match self.state {
            State::Connect => PeerState::Connect,
            State::OpenSent(_) => PeerState::OpenSent,
            State::OpenConfirm(_) => PeerState::OpenConfirm,
            State::Established(_) => PeerState::Established,
        }
    }

    /// Whether routes flow.
    pub(crate) fn is_established(&self) -> bool {
        self.standing() == PeerState::Established
    }

    /// What was agreed, once it is established.
    pub(crate) fn negotiated(&self) -> Option<&Negotiated> {
        match &self.state {
            State::Connect | State::OpenSent(_) | State::OpenConfirm(_) => None,
            State::Established(session) => Some(&session.agreed.negotiated),
        }
    }

    /// How its messages are read.
    pub(crate) fn dialect(&self) -> Dialect {
        let context = match &self.state {
            State::Connect | State::OpenSent(_) => return Dialect::FIRST,
            State::OpenConfirm(agreed) => &agreed.context,
            State::Established(session) => &session.agreed.context,
        };
        Dialect {
            four_octet_asn: context.four_octet_asn,
            add_path: context.add_path,
        }
    }

    /// The beginning of a message whose rest has not come.
    pub(crate) fn unfinished(&self) -> &[u8] {
        self.framing.rest()
    }

    /// Its session, once it is established.
    pub(crate) fn session(&mut self) -> Option<&mut Session> {
        match &mut self.state {
            State::Connect | State::OpenSent(_) | State::OpenConfirm(_) => None,
            State::Established(session) => Some(session),
        }
    }

    /// RFC 8654 §4: once both sides have said so.
    fn takes_extended(&self) -> bool {
        match &self.state {
            State::Connect | State::OpenSent(_) => false,
            State::OpenConfirm(agreed) => agreed.negotiated.advanced.extended_messages,
            State::Established(session) => session.agreed.negotiated.advanced.extended_messages,
        }
    }

    /// Where the window is full the neighbour has enough to read, and none is missed.
    fn say_keepalive(&mut self, turn: &mut Turn) {
        let octets = keepalive();
        if self.on_their_way + octets.len() <= WINDOW - FOR_NOTIFICATION {
            count(&mut self.sent, MessageKind::Keepalive);
            self.send(octets.to_vec(), turn);
        }
    }

    fn send(&mut self, octets: Vec<u8>, turn: &mut Turn) {
        self.on_their_way += octets.len();
        turn.out.push(Action::Send(self.id, octets));
        self.watch_sending(turn.now);
    }

    /// RFC 9687: while something is on its way, some of it must go.
    fn watch_sending(&mut self, now: Instant) {
        let State::Established(session) = &self.state else {
            return;
        };
        let hold = session.agreed.negotiated.hold_time;
        let idle = self.on_their_way == 0 || hold.is_zero();
        if !idle && self.running.due(Timer::SendHold).is_none() {
            self.running.start(Timer::SendHold, now + SEND_HOLD.max(hold * 2));
        }
    }
}

fn said_nothing(agreed: &Agreed) -> String {
    format!(
        "nothing was heard for {} s",
        agreed.negotiated.hold_time.as_secs()
    )
}

/// A message at the wrong time: the subcode says in which state (RFC 6608).
fn unexpected(kind: MessageKind, state: &State) -> Ending {
    let (notification, state) = match state {
        State::Connect | State::OpenSent(_) => (Notification::unexpected_in_open_sent(kind), "OpenSent"),
        State::OpenConfirm(_) => (Notification::unexpected_in_open_confirm(kind), "OpenConfirm"),
        State::Established(_) => (Notification::unexpected_in_established(kind), "Established"),
    };
    Ending::refusing(notification, format!("{} came in state {state}", kind.name()))
}

fn count(messages: &mut Messages, kind: MessageKind) {
    messages.total += 1;
    match kind {
        MessageKind::Open => {}
        MessageKind::Update => messages.updates += 1,
        MessageKind::Notification => messages.notifications += 1,
        MessageKind::Keepalive => messages.keepalives += 1,
        MessageKind::RouteRefresh => messages.refreshes += 1,
    }
}

/// Counts whole messages that stand one behind another.
fn count_all(messages: &mut Messages, mut octets: &[u8]) {
    while let Some((header, _)) = octets.split_first_chunk::<HEADER>() {
        let [.., high, low, code] = *header;
        if let Some(kind) = MessageKind::of(code) {
            count(messages, kind);
        }
        let length = usize::from(u16::from_be_bytes([high, low])).max(HEADER);
        octets = octets.get(length..).unwrap_or_default();
    }
}
