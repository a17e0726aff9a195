use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ike::crypto::{Encryption, Group, Integrity, Prf};
use ike::wire::{Header, Message, v1};
use ike::{
    Action, Authentication, ChildId, Connection, ConnectionName, Engine, EspProposal, IkeProposal, Input,
    Limits, Mode, Settings, Version,
};

use crate::random::Sequence;
use crate::script::Script;

/// What one input may make the engine ask for. An input can at most close and open what two connections have.
const MOST_ACTIONS: usize = 64;
const MOST_STEPS: usize = 128;
const HALF_OPEN: usize = 4;
/// In one moment at most so many ticks may be due one after the other.
const MOST_TICKS: usize = 64;
const ADDRESSES: [Ipv4Addr; 2] = [Ipv4Addr::new(192, 0, 2, 1), Ipv4Addr::new(192, 0, 2, 2)];
const STRANGER: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 9);

/// Two engines, a network that loses, repeats, reorders and damages messages, a stranger who sends what he
/// likes, and a datapath that may refuse: each octet of the script is one event.
pub fn engine(script: &[u8]) {
    Net::new(Version::V2).play(script);
}

/// The same with IKEv1.
pub fn engine_v1(script: &[u8]) {
    Net::new(Version::V1).play(script);
}

#[derive(Clone)]
struct Datagram {
    from: SocketAddr,
    to: SocketAddr,
    bytes: Vec<u8>,
}

/// One engine with its address.
struct End {
    address: Ipv4Addr,
    engine: Engine,
    settings: Settings,
    /// Children whose installation was asked for and not answered yet.
    owed: VecDeque<ChildId>,
}

struct Net {
    version: Version,
    now: Instant,
    ends: [End; 2],
    waiting: VecDeque<Datagram>,
    /// A message once seen, which anyone may send again.
    recorded: Option<Datagram>,
}

impl Net {
    fn new(version: Version) -> Self {
        let now = Instant::now();
        let [east, west] = ADDRESSES;
        let mut net = Self {
            version,
            now,
            ends: [End::new(version, east, west), End::new(version, west, east)],
            waiting: VecDeque::new(),
            recorded: None,
        };
        for side in [0, 1] {
            let settings = net.end(side).settings.clone();
            net.feed(side, Input::Settings(Box::new(settings)));
        }
        net
    }

    fn play(&mut self, script: &[u8]) {
        let mut script = Script::new(script);
        for _ in 0..MOST_STEPS {
            let Some(event) = script.octet() else { return };
            self.event(event, &mut script);
        }
    }

    fn end(&mut self, side: u8) -> &mut End {
        let [east, west] = &mut self.ends;
        if side & 1 == 0 { east } else { west }
    }

    /// The lowest three bits choose the event, the fourth the end that it happens to.
    fn event(&mut self, event: u8, script: &mut Script<'_>) {
        let side = event >> 3;
        match event & 7 {
            0 => self.deliver(),
            1 => self.feed(side, Input::Connect(name())),
            2 => self.damage(script),
            3 => self.lose_or_repeat(side),
            4 => self.tick(side),
            5 => self.answer_child(side, script),
            6 => self.stranger(side, script),
            _ => self.reconfigure(side, script),
        }
    }

    fn deliver(&mut self) {
        if let Some(datagram) = self.waiting.pop_front() {
            self.recorded = Some(datagram.clone());
            self.arrive(datagram);
        }
    }

    fn arrive(&mut self, datagram: Datagram) {
        let Datagram { from, to, bytes } = datagram;
        if let Some(side) = (0..).zip(ADDRESSES).find(|(_, address)| to.ip() == *address) {
            self.feed(
                side.0,
                Input::Datagram {
                    local: to,
                    remote: from,
                    bytes,
                },
            );
        }
    }

    /// Overwrites octets of the next message, or cuts it; the length in the header follows the cut.
    fn damage(&mut self, script: &mut Script<'_>) {
        let Some(mut datagram) = self.waiting.pop_front() else {
            return;
        };
        let place = script.word();
        let value = script.octet().unwrap_or(0xff);
        let length = datagram.bytes.len().max(1);
        if value == 0 {
            datagram.bytes.truncate(place % length);
            set_length(&mut datagram.bytes);
        } else if let Some(octet) = datagram.bytes.get_mut(place % length) {
            *octet ^= value;
        }
        self.arrive(datagram);
    }

    fn lose_or_repeat(&mut self, side: u8) {
        if side & 2 == 0 {
            self.waiting.pop_front();
        } else if let Some(datagram) = self.recorded.clone() {
            self.arrive(datagram);
        }
    }

    /// Time passes until the deadline of one end, which then has all that is due.
    fn tick(&mut self, side: u8) {
        let Some(deadline) = self.end(side).engine.deadline() else {
            return;
        };
        self.now = self.now.max(deadline.at);
        let mut ticks = 0;
        while self
            .end(side)
            .engine
            .deadline()
            .is_some_and(|next| next.at <= self.now)
        {
            assert!(
                ticks < MOST_TICKS,
                "{} stays due: the owner's loop would spin",
                deadline.timer
            );
            self.feed(side, Input::Tick);
            ticks += 1;
        }
    }

    fn answer_child(&mut self, side: u8, script: &mut Script<'_>) {
        let Some(child) = self.end(side).owed.pop_front() else {
            return;
        };
        let refused = script.octet() == Some(0);
        let answer = if refused {
            Input::ChildRefused(child, "no memory".into())
        } else {
            Input::ChildInstalled(child)
        };
        self.feed(side, answer);
    }

    /// Any payloads behind a header whose length is right, from the peer's address or another.
    fn stranger(&mut self, side: u8, script: &mut Script<'_>) {
        let ip = IpAddr::V4(if side & 2 == 0 {
            STRANGER
        } else {
            self.end(side ^ 1).address
        });
        let port = if side & 4 == 0 { 500 } else { 4500 };
        let (exchange, flags) = (script.octet().unwrap_or(34), script.octet().unwrap_or(8));
        let next_payload = script.octet().unwrap_or(33);
        let responder_spi = if side & 8 == 0 { 0 } else { 7 };
        let initiator_spi = u64::from(script.octet().unwrap_or(1));
        let header = Header::new(initiator_spi, responder_spi, exchange, flags, 0);
        let mut bytes = Vec::new();
        Header {
            next_payload,
            ..header
        }
        .encode(&mut bytes);
        let length = script.word();
        bytes.extend_from_slice(script.octets(length));
        set_length(&mut bytes);
        if let (Version::V1, Some(octet)) = (self.version, bytes.get_mut(17)) {
            *octet = v1::Message::VERSION;
        }
        let to = SocketAddr::new(self.end(side).address.into(), port);
        self.arrive(Datagram {
            from: SocketAddr::new(ip, port),
            to,
            bytes,
        });
    }

    fn reconfigure(&mut self, side: u8, script: &mut Script<'_>) {
        let choice = script.octet().unwrap_or(0);
        let mut settings = self.end(side).settings.clone();
        match choice % 8 {
            0 => settings.connections.clear(),
            1 => settings
                .connections
                .values_mut()
                .for_each(|connection| connection.mode = Mode::ResponderOnly),
            2 => settings.connections.values_mut().for_each(|connection| {
                connection.authentication = Authentication::pre_shared_key(vec![choice; 8].into());
            }),
            3 => settings
                .connections
                .values_mut()
                .for_each(|connection| connection.force_encapsulation = true),
            4 => return self.feed(side, Input::Shutdown),
            5 => settings
                .connections
                .values_mut()
                .for_each(|connection| connection.aggressive = true),
            6 => return self.feed(side, Input::TryVersion2(name())),
            _ => {}
        }
        self.feed(side, Input::Settings(Box::new(settings)));
    }

    /// Hands one input to one end, checks what follows from it, and keeps it for later events.
    fn feed(&mut self, side: u8, input: Input) {
        let now = self.now;
        let end = self.end(side);
        let actions = end.engine.handle(input, now);
        assert!(
            actions.len() <= MOST_ACTIONS,
            "{} actions follow from one input",
            actions.len()
        );
        let snapshot = end.engine.snapshot();
        assert!(
            snapshot.half_open <= HALF_OPEN,
            "{} half-open IKE SAs",
            snapshot.half_open
        );
        for action in actions {
            self.perform(side, action);
        }
    }

    fn perform(&mut self, side: u8, action: Action) {
        match action {
            Action::Send { local, remote, bytes } => {
                assert!(readable(&bytes), "we send what we would not read");
                if self.waiting.len() < MOST_ACTIONS {
                    self.waiting.push_back(Datagram {
                        from: local,
                        to: remote,
                        bytes,
                    });
                }
            }
            Action::InstallChild(child, pair) => {
                assert!(
                    pair.inbound.spi > 255,
                    "SPIs below 256 are reserved (RFC 4303 §2.1)"
                );
                self.end(side).owed.push_back(child);
            }
            Action::RemoveChild(child) => self.end(side).owed.retain(|owed| *owed != child),
            Action::SendBy(_)
            | Action::Resolve(..)
            | Action::Sign(..)
            | Action::FetchLists(_)
            | Action::Log(..)
            | Action::Watch(..)
            | Action::AskTraffic(_)
            | Action::AskCarried(_)
            | Action::MoveChild { .. }
            | Action::Keepalive { .. }
            | Action::Report(_) => {}
        }
    }
}

impl End {
    fn new(version: Version, address: Ipv4Addr, peer: Ipv4Addr) -> Self {
        let random = Sequence(u64::from(u32::from(address)));
        let limits = Limits {
            half_open: HALF_OPEN,
            cookie_threshold: 2,
            half_open_per_source: 3,
            half_open_timeout: Duration::from_secs(30),
        };
        let connections = [(name(), connection(version, address, peer))].into();
        Self {
            address,
            engine: Engine::new(Box::new(random)),
            settings: Settings {
                connections,
                limits,
                ..Settings::default()
            },
            owed: VecDeque::new(),
        }
    }
}

fn name() -> ConnectionName {
    ConnectionName(Arc::from("between"))
}

fn connection(version: Version, local: Ipv4Addr, remote: Ipv4Addr) -> Connection {
    let gcm = (Encryption::AesGcm16(128), None);
    // Phase 1 of IKEv1 has no combined modes, and no numbers for curves but those of NIST.
    let (ike, group) = match version {
        Version::V1 => (
            (Encryption::AesCbc(128), Some(Integrity::HmacSha2_256_128)),
            Group::Ecp256,
        ),
        Version::V2 => (gcm, Group::X25519),
    };
    let port = |address: Ipv4Addr| SocketAddr::new(address.into(), 500);
    let secret = Authentication::pre_shared_key(b"fuzz".to_vec().into());
    Connection {
        ike_proposals: vec![IkeProposal {
            encryption: ike.0,
            integrity: ike.1,
            prf: Prf::HmacSha2_256,
            groups: vec![group],
            additional: Vec::new(),
        }],
        esp_proposals: vec![EspProposal {
            encryption: gcm.0,
            integrity: gcm.1,
            extended_sequence_numbers: version == Version::V2,
            groups: Vec::new(),
            additional: Vec::new(),
        }],
        version,
        ..Connection::between(port(local), port(remote), secret)
    }
}

/// Whether we would read what we send. Of IKEv1 what is encrypted shows its header only, and that it consists of whole blocks.
fn readable(bytes: &[u8]) -> bool {
    match Header::decode(bytes) {
        Ok(header) if header.version != v1::Message::VERSION => Message::decode(bytes).is_ok(),
        Ok(header) if v1::Message::is_encrypted(&header) => (bytes.len() - Header::LENGTH).is_multiple_of(16),
        _ => v1::Message::decode(bytes).is_ok(),
    }
}

/// Puts the real length into the header, if there is one.
fn set_length(bytes: &mut [u8]) {
    let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    if let Some(field) = bytes.get_mut(24..Header::LENGTH) {
        field.copy_from_slice(&length.to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use ike::ConnectionState;

    use super::*;

    /// A search that never gets past the handshake would look at little of the engine.
    #[test]
    fn seed_brings_both_ends_up() {
        for (version, seed) in [
            (
                Version::V1,
                include_bytes!("../corpus/engine_v1/both-up").as_slice(),
            ),
            (
                Version::V1,
                include_bytes!("../corpus/engine_v1/both-up-aggressive"),
            ),
            (Version::V2, include_bytes!("../corpus/engine/both-up")),
        ] {
            let mut net = Net::new(version);
            net.play(seed);
            for side in [0, 1] {
                let snapshot = net.end(side).engine.snapshot();
                let state = snapshot.connections.values().next().map(|found| found.state);
                assert_eq!(state, Some(ConnectionState::Up), "{version:?}, end {side}");
            }
        }
    }
}
