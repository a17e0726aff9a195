//! Which addresses an IKE SA may travel between, and how it moves (RFC 4555).

use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use aws_lc_rs::constant_time::verify_slices_are_equal;

use super::nat::{Nat, Path};
use super::payloads::{self, Datagram};
use super::rekey::Asked;
use super::state::{Common, Established};
use crate::engine::Engine;
use crate::wire::Payload;
use crate::wire::registry::{exchange, notify};
use crate::{Action, Connection, Event, Outage, Reason, Side, Stage};

/// So many further addresses of a peer are kept.
const ADDRESSES: usize = 8;
/// From this try of a request on it is sent on every other path as well.
const PATIENCE: u32 = 3;
/// How long a cookie is that shows that the peer receives where it says (§3.7: 8 to 64 octets).
const COOKIE: usize = 16;

/// What both sides may use besides the path there is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Mobility {
    /// Our further addresses.
    ours: Vec<IpAddr>,
    /// The peer's.
    theirs: Vec<IpAddr>,
    /// What we still have to ask for.
    owed: Option<Owed>,
    /// How the peer saw our address last, hashed: it changes with the mapping of a NAT before us.
    seen: Option<Vec<u8>>,
}

/// What is to be asked for as soon as the window allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Owed {
    /// That the peer follows us to the path there is (§3.5).
    Update,
    /// Whether the peer receives where it moved to (§3.7).
    Routability,
}

/// That we may move, and where else we are (§3.3, §3.4). Nothing if the connection does not say so.
pub(crate) fn announcements(settings: &Connection) -> Vec<Payload> {
    let Some(ours) = &settings.mobike else {
        return Vec::new();
    };
    let supported = payloads::status(notify::MOBIKE_SUPPORTED, Vec::new());
    let others = ours.iter().take(ADDRESSES).map(|address| match address {
        IpAddr::V4(address) => payloads::status(notify::ADDITIONAL_IP4_ADDRESS, address.octets().to_vec()),
        IpAddr::V6(address) => payloads::status(notify::ADDITIONAL_IP6_ADDRESS, address.octets().to_vec()),
    });
    std::iter::once(supported).chain(others).collect()
}

/// The further addresses of a peer that it says.
fn additional(payloads: &[Payload]) -> Vec<IpAddr> {
    let address = |payload: &Payload| {
        let Payload::Notify(said) = payload else {
            return None;
        };
        match said.kind {
            notify::ADDITIONAL_IP4_ADDRESS => {
                let octets: [u8; 4] = said.data.as_slice().try_into().ok()?;
                Some(IpAddr::from(octets))
            }
            notify::ADDITIONAL_IP6_ADDRESS => {
                let octets: [u8; 16] = said.data.as_slice().try_into().ok()?;
                Some(IpAddr::from(octets))
            }
            _ => None,
        }
    };
    payloads.iter().filter_map(address).collect()
}

/// A peer that lets no NAT change its addresses says what it sent from and to (§3.9); false if that is not what came.
fn is_untouched(payloads: &[Payload], datagram: &Datagram) -> bool {
    let Some(said) = payloads::notify(payloads, notify::NO_NATS_ALLOWED) else {
        return true;
    };
    let octets = |address: IpAddr| match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    };
    let (source, destination) = (datagram.remote, datagram.local);
    let mut expected = octets(source.ip());
    expected.extend(octets(destination.ip()));
    expected.extend(source.port().to_be_bytes());
    expected.extend(destination.port().to_be_bytes());
    said.data == expected
}

impl Mobility {
    /// A path that was left may be gone to again.
    fn left(&mut self, path: Path) {
        for (known, address) in [(&mut self.ours, path.local), (&mut self.theirs, path.remote)] {
            if !known.contains(&address.ip()) {
                known.push(address.ip());
            }
        }
    }
}

impl Common {
    /// Every other path between the addresses of both sides; only the side that started the IKE SA chooses one (§3.1).
    pub(crate) fn detours(&self) -> Vec<Path> {
        let Some(mobility) = self.mobility.as_deref().filter(|_| self.initiator) else {
            return Vec::new();
        };
        let Path { local, remote } = self.path;
        let others = |known: &[IpAddr], used: IpAddr| {
            let others: Vec<_> = known.iter().copied().filter(|other| *other != used).collect();
            std::iter::once(used).chain(others)
        };
        let ours = others(&mobility.ours, local.ip());
        let theirs = || others(&mobility.theirs, remote.ip());
        let path = |ours: IpAddr, theirs: IpAddr| Path {
            local: SocketAddr::new(ours, local.port()),
            remote: SocketAddr::new(theirs, remote.port()),
        };
        let all = ours.flat_map(|ours| theirs().map(move |theirs| path(ours, theirs)));
        let fits = |path: &Path| *path != self.path && path.local.is_ipv4() == path.remote.is_ipv4();
        all.filter(fits).collect()
    }

    /// An answer came on another path than the request was meant for: we move there.
    pub(crate) fn follow(&mut self, path: Path) -> bool {
        let moves = self.detours().contains(&path);
        if moves {
            let left = std::mem::replace(&mut self.path, path);
            if let Some(mobility) = &mut self.mobility {
                mobility.left(left);
            }
            self.owe(Owed::Update);
        }
        moves
    }

    fn owe(&mut self, owed: Owed) {
        if let Some(mobility) = &mut self.mobility {
            mobility.owed = Some(owed);
        }
    }

    /// What a check for liveness says besides: behind a NAT we want to learn whether it still shows us as before (§3.8).
    pub(crate) fn probes(&self, nat: Nat) -> Vec<Payload> {
        let asks = self.mobility.is_some() && self.initiator && nat.local;
        if asks {
            self.path.notifies(self.spis(), nat.forced).to_vec()
        } else {
            Vec::new()
        }
    }
}

impl Engine {
    /// Whether a peer can be reached there: an address behind one cannot be the end of the tunnel that leads to it.
    pub(crate) fn is_outside(&self, address: IpAddr) -> bool {
        self.inside.iter().all(|network| !network.contains(&address))
    }

    /// The further addresses of a peer that are of use.
    fn further(&self, payloads: &[Payload]) -> Vec<IpAddr> {
        let all = additional(payloads).into_iter();
        all.filter(|address| self.is_outside(*address))
            .take(ADDRESSES)
            .collect()
    }

    /// What both sides may do, if both said so.
    pub(crate) fn mobility(&self, payloads: &[Payload], settings: &Connection) -> Option<Box<Mobility>> {
        payloads::notify(payloads, notify::MOBIKE_SUPPORTED)?;
        Some(Box::new(Mobility {
            ours: settings.mobike.clone()?,
            theirs: self.further(payloads),
            ..Mobility::default()
        }))
    }

    /// A request was not answered for a while: from here on other paths are tried as well.
    pub(crate) fn send_around(&mut self, common: &Common, bytes: &[u8], tries: u32) {
        if tries >= PATIENCE {
            for path in common.detours() {
                self.send(path, bytes.to_vec());
            }
        }
    }

    /// What an INFORMATIONAL request says about addresses, done and answered.
    pub(crate) fn relocated(
        &mut self,
        common: &mut Common,
        state: &mut Established,
        (payloads, datagram): (&[Payload], &Datagram),
    ) -> Vec<Payload> {
        let mut answer: Vec<_> = payloads::notify(payloads, notify::COOKIE2)
            .map(|cookie| payloads::status(notify::COOKIE2, cookie.data.clone()))
            .into_iter()
            .collect();
        let updates = payloads::notify(payloads, notify::UPDATE_SA_ADDRESSES).is_some();
        let (initiator, spis) = (common.initiator, common.spis());
        let theirs = self.further(payloads);
        let says = !additional(payloads).is_empty();
        let reachable = self.is_outside(datagram.remote.ip());
        let Some(mobility) = &mut common.mobility else {
            return answer;
        };
        if says || payloads::notify(payloads, notify::NO_ADDITIONAL_ADDRESSES).is_some() {
            mobility.theirs = theirs;
        }
        if updates && !is_untouched(payloads, datagram) {
            answer.push(payloads::status(notify::UNEXPECTED_NAT_DETECTED, Vec::new()));
            return answer;
        }
        if updates && !reachable {
            answer.push(payloads::status(notify::UNACCEPTABLE_ADDRESSES, Vec::new()));
            return answer;
        }
        let path = datagram.path();
        if payloads::notify(payloads, notify::NAT_DETECTION_SOURCE_IP).is_some() {
            answer.extend(path.notifies(spis, state.nat.forced));
        }
        if updates && !initiator {
            let moved = common.path != path;
            let nat = path.detect(spis, payloads, state.nat.forced);
            self.relocate(common, state, path, nat);
            if moved {
                common.owe(Owed::Routability);
            }
        }
        answer
    }

    /// The IKE SA and its children travel by this path from now on.
    fn relocate(&mut self, common: &mut Common, state: &mut Established, path: Path, nat: Nat) {
        let moved = (common.path, state.nat) != (path, nat);
        (common.path, state.nat) = (path, nat);
        self.move_children(common, state);
        if let Some(name) = common.connection.clone().filter(|_| moved) {
            self.out.push(Action::Report(Event::PeerMoved(name, path.remote)));
        }
    }

    /// Takes the children to the path of their IKE SA.
    pub(crate) fn move_children(&mut self, common: &Common, state: &mut Established) {
        let (local, remote) = (common.path.local, common.path.remote);
        let encapsulation = state.nat.encapsulation();
        let all: Vec<_> = state.children.iter().map(|child| child.id).collect();
        for id in all {
            let Some(child) = state.children.get_mut(id) else {
                continue;
            };
            child.encapsulation = encapsulation;
            self.out.push(Action::MoveChild {
                child: id,
                local,
                remote,
                encapsulation,
            });
        }
    }

    /// Asks what is owed; gives both back if nothing is, or cannot be asked now.
    pub(crate) fn ask_about_path(
        &mut self,
        common: &mut Common,
        state: &mut Established,
        now: Instant,
    ) -> bool {
        let free = state.window.next_request().is_some();
        let owed = common.mobility.as_mut().filter(|_| free);
        let Some(owed) = owed.and_then(|mobility| mobility.owed.take()) else {
            return false;
        };
        let payloads = match owed {
            Owed::Update => {
                state.asked = Some(Asked::Update);
                let mut payloads = vec![payloads::status(notify::UPDATE_SA_ADDRESSES, Vec::new())];
                payloads.extend(common.path.notifies(common.spis(), state.nat.forced));
                payloads
            }
            Owed::Routability => {
                let cookie = self.drawn(COOKIE);
                state.asked = Some(Asked::Routability(cookie.clone()));
                vec![payloads::status(notify::COOKIE2, cookie)]
            }
        };
        self.ask(common, state, (exchange::INFORMATIONAL, &payloads), now);
        true
    }

    /// The peer has followed us, or refuses to: then the next silence finds another path, or the end.
    pub(crate) fn updated(
        &mut self,
        mut common: Common,
        mut state: Box<Established>,
        payloads: &[Payload],
        now: Instant,
    ) {
        if payloads::error(payloads).is_none() {
            let nat = common.path.detect(common.spis(), payloads, state.nat.forced);
            let path = common.path;
            self.relocate(&mut common, &mut state, path, nat);
            common
                .timers
                .set(super::timers::Timer::Keepalive, state.first_keepalive(now));
            common.saw(payloads);
        }
        self.proceed(common, state, now);
    }

    /// The peer shows that it receives where it moved to, or that somebody else moved it: that ends the IKE SA (§3.7).
    pub(crate) fn routable(
        &mut self,
        common: Common,
        mut state: Box<Established>,
        (cookie, payloads): (&[u8], &[Payload]),
        now: Instant,
    ) {
        let said = payloads::notify(payloads, notify::COOKIE2);
        if said.is_some_and(|said| verify_slices_are_equal(&said.data, cookie).is_ok()) {
            return self.proceed(common, state, now);
        }
        let outage = Outage {
            offered: said.map_or("no COOKIE2".to_owned(), |_| "another COOKIE2".to_owned()),
            expected: "our COOKIE2".to_owned(),
            ..Outage::plain(Reason::ProtocolError, Side::We, Stage::Established)
        };
        self.remove_children(&mut state, now);
        self.ended(&common, Some(outage), now);
        self.close(common, state.farewell(), now);
    }
}

impl Common {
    /// How the peer sees us now; if that is not as before, or nobody knows, it must be told to follow.
    pub(crate) fn looked(&mut self, payloads: &[Payload]) {
        if self.saw(payloads) {
            self.owe(Owed::Update);
        }
    }

    /// Keeps how the peer sees us; true if that is new.
    fn saw(&mut self, payloads: &[Payload]) -> bool {
        let shown = payloads::notify(payloads, notify::NAT_DETECTION_DESTINATION_IP);
        let (Some(shown), Some(mobility)) = (shown, &mut self.mobility) else {
            return false;
        };
        let shown = Some(shown.data.clone());
        let new = mobility.seen != shown;
        mobility.seen = shown;
        new
    }
}
