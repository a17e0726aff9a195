//! The states of a client (RFC 2131 §4.4).

use std::fmt;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use crate::action::Action;
use crate::input::{Input, Random};
use crate::lease::{Held, Lease, Loss};
use crate::message::{Message, Operation};
use crate::options::{Kind, Options, code};

/// The wait before the first repetition; it doubles up to [`LONGEST_WAIT`] (RFC 2131 §4.1).
const FIRST_WAIT: Duration = Duration::from_secs(4);
const LONGEST_WAIT: Duration = Duration::from_secs(64);
/// How often an offer is asked for before servers are looked for again.
const REQUESTS: u32 = 3;
/// How often a lease of before is asked for again before it is used unasked (RFC 2131 §3.2).
const REBOOT_REQUESTS: u32 = 2;
/// The least time between two attempts to renew (RFC 2131 §4.4.5), unless the lease is short.
const RENEWAL_WAIT: Duration = Duration::from_secs(60);
/// After a refusal, so that a server that offers what it then refuses is not asked without end (RFC 2131 §3.1).
const REFUSAL_WAIT: Duration = Duration::from_secs(10);
/// The longest message that we take.
const LARGEST: u16 = 1472;

/// What a client is doing, as status tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// The link is down.
    Waiting,
    /// A lease of before is asked for again (INIT-REBOOT).
    Rebooting,
    /// Servers are looked for.
    Selecting,
    /// An offer is asked for.
    Requesting,
    /// A lease holds.
    Bound,
    /// It is being renewed with its server.
    Renewing,
    /// It is being renewed with any server.
    Rebinding,
}

impl Phase {
    /// The word of RFC 2131 §4.4.
    pub fn word(self) -> &'static str {
        match self {
            Phase::Waiting => "waiting",
            Phase::Rebooting => "rebooting",
            Phase::Selecting => "selecting",
            Phase::Requesting => "requesting",
            Phase::Bound => "bound",
            Phase::Renewing => "renewing",
            Phase::Rebinding => "rebinding",
        }
    }
}

enum State {
    /// What held when the link went still holds.
    Waiting(Option<Held>),
    Rebooting {
        held: Held,
        asked: Asked,
    },
    Selecting(Asked),
    Requesting {
        offer: Lease,
        asked: Asked,
    },
    Bound(Held),
    Renewing(Held, Asked),
    Rebinding(Held, Asked),
}

/// A question that is on its way.
#[derive(Debug, Clone, Copy)]
struct Asked {
    transaction: u32,
    /// When it was asked first; answers count from there, and `secs` too.
    since: Instant,
    times: u32,
    next: Instant,
}

/// The client of one interface.
pub struct Client {
    hardware: [u8; 6],
    host_name: Option<String>,
    random: Box<dyn Random>,
    state: State,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("phase", &self.phase())
            .finish_non_exhaustive()
    }
}

impl Client {
    /// A client of a link that is down, with the Ethernet address of it.
    ///
    /// A lease that is `remembered` is asked for first, and used without an answer if there is none (RFC 2131 §3.2).
    pub fn new(
        hardware: [u8; 6],
        host_name: Option<String>,
        remembered: Option<Held>,
        random: Box<dyn Random>,
    ) -> Self {
        Client {
            hardware,
            host_name,
            random,
            state: State::Waiting(remembered),
        }
    }

    /// Takes one fact and returns all that follows from it, in order.
    pub fn handle(&mut self, input: Input<'_>, now: Instant) -> Vec<Action> {
        let mut out = Vec::new();
        match input {
            Input::LinkUp => self.link_up(now, &mut out),
            Input::LinkDown => {
                let held = self.held().cloned();
                self.state = State::Waiting(held);
            }
            Input::Received(bytes) => {
                if let Ok(message) = Message::decode(bytes) {
                    self.received(&message, now, &mut out);
                }
            }
            Input::Tick => self.tick(now, &mut out),
        }
        out
    }

    /// When the next [`Input::Tick`] is due.
    pub fn deadline(&self) -> Option<Instant> {
        let end = self.held().and_then(Held::end);
        let next = match &self.state {
            State::Waiting(_) => None,
            State::Rebooting { asked, .. } | State::Selecting(asked) | State::Requesting { asked, .. } => {
                Some(asked.next)
            }
            State::Bound(held) => held.renewal(),
            State::Renewing(held, asked) => earlier(Some(asked.next), held.rebinding()),
            State::Rebinding(_, asked) => Some(asked.next),
        };
        earlier(next, end)
    }

    /// What it is doing.
    pub fn phase(&self) -> Phase {
        match &self.state {
            State::Waiting(_) => Phase::Waiting,
            State::Rebooting { .. } => Phase::Rebooting,
            State::Selecting(_) => Phase::Selecting,
            State::Requesting { .. } => Phase::Requesting,
            State::Bound(_) => Phase::Bound,
            State::Renewing(..) => Phase::Renewing,
            State::Rebinding(..) => Phase::Rebinding,
        }
    }

    /// What it holds or held before, confirmed or not.
    pub fn held(&self) -> Option<&Held> {
        match &self.state {
            State::Waiting(held) => held.as_ref(),
            State::Rebooting { held, .. }
            | State::Bound(held)
            | State::Renewing(held, _)
            | State::Rebinding(held, _) => Some(held),
            State::Selecting(_) | State::Requesting { .. } => None,
        }
    }

    fn link_up(&mut self, now: Instant, out: &mut Vec<Action>) {
        let State::Waiting(held) = &self.state else {
            return;
        };
        match held.clone().filter(|held| held.holds(now)) {
            Some(held) => {
                let asked = self.ask(now);
                out.push(Action::Broadcast(self.reboot_request(&held.lease, &asked, now)));
                self.state = State::Rebooting { held, asked };
            }
            None => self.discover(now, out),
        }
    }

    fn discover(&mut self, now: Instant, out: &mut Vec<Action>) {
        let asked = self.ask(now);
        out.push(Action::Broadcast(self.discover_message(&asked, now)));
        self.state = State::Selecting(asked);
    }

    /// Begins anew after a while, in which nothing is sent.
    fn discover_later(&mut self, now: Instant) {
        let mut asked = self.ask(now);
        (asked.times, asked.next) = (0, now + REFUSAL_WAIT);
        self.state = State::Selecting(asked);
    }

    fn tick(&mut self, now: Instant, out: &mut Vec<Action>) {
        if self.held().is_some_and(|held| !held.holds(now)) {
            out.push(Action::Lose(Loss::Expired));
            match self.state {
                State::Waiting(_) => self.state = State::Waiting(None),
                State::Rebooting { .. }
                | State::Selecting(_)
                | State::Requesting { .. }
                | State::Bound(_)
                | State::Renewing(..)
                | State::Rebinding(..) => self.discover(now, out),
            }
            return;
        }
        if self.deadline().is_none_or(|due| now < due) {
            return;
        }
        let state = std::mem::replace(&mut self.state, State::Waiting(None));
        self.state = self.overdue(state, now, out);
    }

    /// Nobody answered in time, or a lease is to be renewed.
    fn overdue(&mut self, state: State, now: Instant, out: &mut Vec<Action>) -> State {
        match state {
            State::Waiting(held) => State::Waiting(held),
            State::Rebooting { held, asked } if asked.times < REBOOT_REQUESTS => {
                let asked = self.ask_again(asked, now);
                out.push(Action::Broadcast(self.reboot_request(&held.lease, &asked, now)));
                State::Rebooting { held, asked }
            }
            State::Rebooting { held, .. } => {
                // Nobody says no: it holds until its end, and any server is asked meanwhile.
                out.push(Action::Use(held.lease.clone()));
                let mut asked = self.ask(now);
                asked.next = now + wait_until(held.end(), now);
                State::Rebinding(held, asked)
            }
            State::Selecting(asked) => {
                let asked = self.ask_again(asked, now);
                out.push(Action::Broadcast(self.discover_message(&asked, now)));
                State::Selecting(asked)
            }
            State::Requesting { offer, asked } if asked.times < REQUESTS => {
                let asked = self.ask_again(asked, now);
                out.push(Action::Broadcast(self.selecting_request(&offer, &asked, now)));
                State::Requesting { offer, asked }
            }
            State::Requesting { .. } => {
                let asked = self.ask(now);
                out.push(Action::Broadcast(self.discover_message(&asked, now)));
                State::Selecting(asked)
            }
            State::Bound(held) => {
                let asked = self.ask(now);
                self.renew(held, asked, now, out)
            }
            State::Renewing(held, mut asked) => {
                asked.times += 1;
                self.renew(held, asked, now, out)
            }
            State::Rebinding(held, mut asked) => {
                asked.times += 1;
                self.rebind(held, asked, now, out)
            }
        }
    }

    /// Asks the server of the lease, or any from T2 on (RFC 2131 §4.4.5).
    fn renew(&mut self, held: Held, mut asked: Asked, now: Instant, out: &mut Vec<Action>) -> State {
        if held.rebinding().is_some_and(|due| due <= now) {
            let asked = self.ask(now);
            return self.rebind(held, asked, now, out);
        }
        asked.next = now + wait_until(held.rebinding(), now);
        out.push(Action::Send {
            from: held.lease.address,
            to: held.lease.server,
            bytes: self.renewing_request(&held.lease, &asked, now),
        });
        State::Renewing(held, asked)
    }

    fn rebind(&mut self, held: Held, mut asked: Asked, now: Instant, out: &mut Vec<Action>) -> State {
        asked.next = now + wait_until(held.end(), now);
        out.push(Action::Broadcast(self.renewing_request(&held.lease, &asked, now)));
        State::Rebinding(held, asked)
    }

    fn received(&mut self, message: &Message, now: Instant, out: &mut Vec<Action>) {
        let asked = match &self.state {
            State::Waiting(_) | State::Bound(_) => return,
            State::Rebooting { asked, .. }
            | State::Selecting(asked)
            | State::Requesting { asked, .. }
            | State::Renewing(_, asked)
            | State::Rebinding(_, asked) => *asked,
        };
        let answers = message.operation == Operation::Reply
            && message.transaction == asked.transaction
            && message.hardware == self.hardware;
        if !answers {
            return;
        }
        match (message.options.kind(), &self.state) {
            (Some(Kind::Offer), State::Selecting(_)) => {
                if let Some(offer) = Lease::read(message) {
                    self.request(offer, asked, now, out);
                }
            }
            (Some(Kind::Ack), State::Selecting(_)) | (Some(Kind::Offer), _) => (),
            (Some(Kind::Ack), _) => self.acknowledged(message, asked, out),
            (Some(Kind::Nak), _) => self.refused(message, now, out),
            (
                Some(Kind::Discover | Kind::Request | Kind::Decline | Kind::Release | Kind::Inform) | None,
                _,
            ) => (),
        }
    }

    /// Takes the first offer that can be used.
    fn request(&mut self, offer: Lease, asked: Asked, now: Instant, out: &mut Vec<Action>) {
        let asked = Asked {
            times: 1,
            next: now + FIRST_WAIT,
            ..asked
        };
        out.push(Action::Broadcast(self.selecting_request(&offer, &asked, now)));
        self.state = State::Requesting { offer, asked };
    }

    fn acknowledged(&mut self, message: &Message, asked: Asked, out: &mut Vec<Action>) {
        let Some(lease) = Lease::read(message) else {
            return;
        };
        // What was not asked for is not taken.
        let expected = match &self.state {
            State::Requesting { offer, .. } => offer.address == lease.address && offer.server == lease.server,
            State::Rebooting { held, .. } | State::Renewing(held, _) | State::Rebinding(held, _) => {
                held.lease.address == lease.address
            }
            State::Waiting(_) | State::Selecting(_) | State::Bound(_) => false,
        };
        if expected {
            out.push(Action::Use(lease.clone()));
            self.state = State::Bound(Held {
                lease,
                since: asked.since,
            });
        }
    }

    fn refused(&mut self, message: &Message, now: Instant, out: &mut Vec<Action>) {
        let by = message.options.address(code::SERVER_IDENTIFIER);
        match &self.state {
            State::Waiting(_) | State::Selecting(_) | State::Bound(_) => {}
            State::Requesting { offer, .. } => {
                if by == Some(offer.server) {
                    self.discover_later(now);
                }
            }
            State::Renewing(held, _) if by != Some(held.lease.server) => {}
            State::Rebooting { .. } | State::Renewing(..) | State::Rebinding(..) => {
                out.push(Action::Lose(Loss::Refused));
                self.discover(now, out);
            }
        }
    }

    fn ask(&mut self, now: Instant) -> Asked {
        let transaction = self.random.number();
        Asked {
            transaction,
            since: now,
            times: 1,
            next: now + self.jittered(FIRST_WAIT),
        }
    }

    fn ask_again(&mut self, asked: Asked, now: Instant) -> Asked {
        let wait = FIRST_WAIT.saturating_mul(1 << asked.times.min(8));
        Asked {
            times: asked.times.saturating_add(1),
            next: now + self.jittered(wait.min(LONGEST_WAIT)),
            ..asked
        }
    }

    /// A second less to a second more (RFC 2131 §4.1).
    fn jittered(&mut self, wait: Duration) -> Duration {
        let shift = Duration::from_millis(u64::from(self.random.number() % 2001));
        (wait + shift).saturating_sub(Duration::from_secs(1))
    }

    fn discover_message(&self, asked: &Asked, now: Instant) -> Vec<u8> {
        self.message(Kind::Discover, Ipv4Addr::UNSPECIFIED, (asked, now), &[])
    }

    fn selecting_request(&self, offer: &Lease, asked: &Asked, now: Instant) -> Vec<u8> {
        let said = [
            (code::REQUESTED_ADDRESS, offer.address),
            (code::SERVER_IDENTIFIER, offer.server),
        ];
        self.message(Kind::Request, Ipv4Addr::UNSPECIFIED, (asked, now), &said)
    }

    fn reboot_request(&self, lease: &Lease, asked: &Asked, now: Instant) -> Vec<u8> {
        let said = [(code::REQUESTED_ADDRESS, lease.address)];
        self.message(Kind::Request, Ipv4Addr::UNSPECIFIED, (asked, now), &said)
    }

    fn renewing_request(&self, lease: &Lease, asked: &Asked, now: Instant) -> Vec<u8> {
        self.message(Kind::Request, lease.address, (asked, now), &[])
    }

    /// What of a message depends on the state is in table 5 of RFC 2131.
    fn message(
        &self,
        kind: Kind,
        client: Ipv4Addr,
        (asked, now): (&Asked, Instant),
        addresses: &[(u8, Ipv4Addr)],
    ) -> Vec<u8> {
        let identifier = [&[1], self.hardware.as_slice()].concat();
        let mut options = Options::default()
            .of_kind(kind)
            .with(code::CLIENT_IDENTIFIER, &identifier)
            .with(code::MAXIMUM_MESSAGE_SIZE, &LARGEST.to_be_bytes())
            .with(
                code::PARAMETER_REQUEST_LIST,
                &[
                    code::SUBNET_MASK,
                    code::ROUTER,
                    code::DOMAIN_NAME_SERVER,
                    code::INTERFACE_MTU,
                    code::NTP_SERVERS,
                    code::LEASE_TIME,
                    code::RENEWAL_TIME,
                    code::REBINDING_TIME,
                ],
            );
        if let Some(name) = &self.host_name {
            options = options.with(code::HOST_NAME, name.as_bytes());
        }
        for (code, address) in addresses {
            options = options.with(*code, &address.octets());
        }
        let seconds = now.saturating_duration_since(asked.since).as_secs();
        Message {
            operation: Operation::Request,
            transaction: asked.transaction,
            seconds: u16::try_from(seconds).unwrap_or(u16::MAX),
            broadcast: false,
            client,
            yours: Ipv4Addr::UNSPECIFIED,
            hardware: self.hardware,
            options,
        }
        .encode()
    }
}

fn earlier(one: Option<Instant>, other: Option<Instant>) -> Option<Instant> {
    [one, other].into_iter().flatten().min()
}

/// Half of the time that is left, but not too often (RFC 2131 §4.4.5); of a short lease a fifth of what is left, and a
/// second at least.
fn wait_until(end: Option<Instant>, now: Instant) -> Duration {
    let Some(end) = end else {
        return LONGEST_WAIT * 15;
    };
    let left = end.saturating_duration_since(now);
    let half = left / 2;
    if half >= RENEWAL_WAIT {
        half
    } else {
        RENEWAL_WAIT.min(left / 5).max(Duration::from_secs(1))
    }
}

#[cfg(test)]
mod tests;
