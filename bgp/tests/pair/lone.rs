//! One speaker, and a neighbour whose every octet the test writes.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use bgp::wire::capability::{Capabilities, GracefulRestart};
use bgp::wire::framing::{Framing, MessageKind, keepalive};
use bgp::wire::notification::Notification;
use bgp::wire::open::Open;
use bgp::wire::refresh::Refresh;
use bgp::{Action, ConnectionId, Families, Family, Input, LastError, Neighbour, PeerSnapshot};
use ipnet::IpNet;

use crate::site::address;
use crate::{Site, name, neighbour, settings};

/// What the speaker said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Said {
    Open(Open),
    Update(Vec<u8>),
    Notification(Notification),
    Keepalive,
    Refresh(Refresh),
}

/// The speaker and its neighbour "peer".
pub(crate) struct Lone {
    pub(crate) now: Instant,
    pub(crate) site: Site,
    /// What the speaker sent and was not read yet.
    sent: BTreeMap<ConnectionId, Framing>,
    /// Connections that it asked for, in their order.
    pub(crate) asked: Vec<ConnectionId>,
    pub(crate) closed: Vec<ConnectionId>,
    /// The connection whose other end no longer reads.
    pub(crate) stalled: Option<ConnectionId>,
    /// What is on its way there.
    pub(crate) owed: usize,
    last: u64,
}

impl Lone {
    /// A speaker in AS 65001 whose neighbour in AS 65002 is to open the session; its tunnel carries.
    pub(crate) fn new() -> Self {
        Self::with(|neighbour| neighbour.passive = true)
    }

    /// The same, after a change of the neighbour's settings.
    pub(crate) fn with(change: impl FnOnce(&mut Neighbour)) -> Self {
        let mut site = Site::new("lone", settings(65_001, 1), 5);
        let mut other = neighbour(1, 2, 65_002);
        change(&mut other);
        site.settings.neighbours.insert(name("peer"), other);
        let mut feed = neighbour(1, 3, 65_003);
        feed.passive = true;
        feed.limits.prefixes = 100_000;
        site.settings.neighbours.insert(name("feed"), feed);
        let mut lone = Self {
            now: Instant::now(),
            site,
            sent: BTreeMap::new(),
            asked: Vec::new(),
            closed: Vec::new(),
            stalled: None,
            owed: 0,
            last: 0,
        };
        lone.tell(Input::NothingPreserved);
        lone.tell(Input::Settings(Box::new(lone.site.settings.clone())));
        lone.tell(Input::Tunnel(name("peer"), true));
        lone.tell(Input::Tunnel(name("feed"), true));
        lone
    }

    pub(crate) fn tell(&mut self, input: Input) {
        for action in self.site.handle(input, self.now) {
            match action {
                Action::Connect { connection, .. } => self.asked.push(connection),
                Action::Send(connection, octets) => {
                    self.sent.entry(connection).or_default().push(&octets);
                    if self.stalled == Some(connection) {
                        self.owed += octets.len();
                    } else {
                        self.tell(Input::Sent(connection, octets.len()));
                    }
                }
                Action::Close(connection) => self.closed.push(connection),
                _ => unreachable!("the site has done that"),
            }
        }
    }

    pub(crate) fn run_for(&mut self, time: Duration) {
        let until = self.now + time;
        while let Some(deadline) = self
            .site
            .speaker
            .deadline()
            .filter(|deadline| deadline.at <= until)
        {
            self.now = self.now.max(deadline.at);
            self.tell(Input::Tick);
        }
        self.now = until;
    }

    /// The neighbour opens a connection.
    pub(crate) fn accept(&mut self) -> ConnectionId {
        self.accept_from("peer")
    }

    fn accept_from(&mut self, neighbour: &str) -> ConnectionId {
        self.last += 1;
        let connection = ConnectionId::Incoming(self.last);
        self.tell(Input::Accepted {
            connection,
            neighbour: name(neighbour),
            remote: SocketAddr::new(address(2), 40_000),
        });
        connection
    }

    /// A second neighbour, in AS 65003, has its session.
    pub(crate) fn feed(&mut self) -> ConnectionId {
        let mut open = open();
        open.hold_time = 0;
        (open.asn, open.capabilities.four_octet_asn) = (65_003, Some(65_003));
        open.identifier = Ipv4Addr::new(10, 255, 0, 3);
        let connection = self.accept_from("feed");
        self.hears(connection, open.encode());
        self.hears(connection, keepalive());
        assert!(self.site.is_established("feed"));
        connection
    }

    pub(crate) fn hears(&mut self, connection: ConnectionId, octets: impl Into<Vec<u8>>) {
        self.tell(Input::Received(connection, octets.into()));
    }

    /// All whole messages that it sent since the last call.
    pub(crate) fn said(&mut self, connection: ConnectionId) -> Vec<Said> {
        let mut said = Vec::new();
        let framing = self.sent.entry(connection).or_default();
        while let Some(frame) = framing.next(true).expect("it speaks BGP") {
            said.push(match frame.kind {
                MessageKind::Open => Said::Open(Open::decode(frame.body).unwrap()),
                MessageKind::Update => Said::Update(frame.body.to_vec()),
                MessageKind::Notification => Said::Notification(Notification::decode(frame.body).unwrap()),
                MessageKind::Keepalive => Said::Keepalive,
                MessageKind::RouteRefresh => Said::Refresh(
                    Refresh::decode(frame.body, true)
                        .unwrap()
                        .expect("a family that we know"),
                ),
            });
        }
        said
    }

    /// The NOTIFICATION that ended a connection.
    pub(crate) fn refusal(&mut self, connection: ConnectionId) -> (u8, u8) {
        assert!(self.closed.contains(&connection), "it was closed");
        match self.said(connection).pop() {
            Some(Said::Notification(notification)) => (notification.code, notification.subcode),
            other => panic!("the last message is {other:?}"),
        }
    }

    /// The session is established, with this OPEN of the neighbour.
    pub(crate) fn establish_with(&mut self, open: &Open) -> ConnectionId {
        let connection = self.accept();
        self.hears(connection, open.encode());
        self.hears(connection, keepalive());
        assert!(self.site.is_established("peer"), "{:?}", self.site.downs());
        self.said(connection);
        connection
    }

    pub(crate) fn established() -> (Self, ConnectionId) {
        let mut lone = Self::new();
        let connection = lone.establish_with(&open());
        (lone, connection)
    }

    pub(crate) fn peer(&self) -> PeerSnapshot {
        self.site.peer("peer")
    }

    pub(crate) fn last_error(&self) -> LastError {
        self.peer().last_error.expect("it is told why")
    }
}

/// A good OPEN of the neighbour, as plain as can be.
pub(crate) fn open() -> Open {
    Open {
        asn: 65_002,
        hold_time: 90,
        identifier: Ipv4Addr::new(10, 255, 0, 2),
        capabilities: Capabilities {
            families: Some(Families::NONE.with(Family::Ipv4)),
            four_octet_asn: Some(65_002),
            route_refresh: true,
            ..Capabilities::default()
        },
    }
}

/// The same with graceful restart.
pub(crate) fn graceful(forwarding: bool, notification: bool) -> Open {
    let mut open = open();
    open.capabilities.graceful_restart = Some(GracefulRestart {
        restarted: forwarding,
        notification,
        time: Duration::from_secs(100),
        families: vec![(Family::Ipv4, forwarding)],
    });
    open
}

/// A whole message around a body.
pub(crate) fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut octets = vec![0xff; 16];
    octets.extend((19 + body.len() as u16).to_be_bytes());
    octets.push(kind);
    octets.extend(body);
    octets
}

/// An UPDATE about these prefixes, by AS 65002.
pub(crate) fn announcement(prefixes: &[IpNet]) -> Vec<u8> {
    announcement_by(65_002, prefixes)
}

pub(crate) fn announcement_by(asn: u32, prefixes: &[IpNet]) -> Vec<u8> {
    let mut attributes = vec![0x40, 1, 1, 0];
    attributes.extend([0x40, 2, 6, 2, 1]);
    attributes.extend(asn.to_be_bytes());
    attributes.extend([0x40, 3, 4, 169, 254, 0, 2]);
    update(&[], &attributes, prefixes)
}

pub(crate) fn withdrawal(prefixes: &[IpNet]) -> Vec<u8> {
    update(prefixes, &[], &[])
}

pub(crate) fn end_of_rib() -> Vec<u8> {
    update(&[], &[], &[])
}

pub(crate) fn update(withdrawn: &[IpNet], attributes: &[u8], announced: &[IpNet]) -> Vec<u8> {
    let withdrawn = packed(withdrawn);
    let mut body = (withdrawn.len() as u16).to_be_bytes().to_vec();
    body.extend(withdrawn);
    body.extend((attributes.len() as u16).to_be_bytes());
    body.extend(attributes);
    body.extend(packed(announced));
    message(2, &body)
}

fn packed(prefixes: &[IpNet]) -> Vec<u8> {
    let mut octets = Vec::new();
    for prefix in prefixes {
        let IpNet::V4(prefix) = prefix else {
            panic!("IPv4 stands here")
        };
        octets.push(prefix.prefix_len());
        octets.extend(&prefix.addr().octets()[..usize::from(prefix.prefix_len().div_ceil(8))]);
    }
    octets
}

/// So many different prefixes.
pub(crate) fn prefixes(count: u32) -> Vec<IpNet> {
    let prefix = |number: u32| {
        let [_, high, middle, low] = number.to_be_bytes();
        IpNet::new(Ipv4Addr::new(20 + high, middle, low, 0).into(), 24).unwrap()
    };
    (0..count).map(prefix).collect()
}
