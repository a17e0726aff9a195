//! Both halves of the datapath but for the TUN interface, over loopback sockets.

use std::net::UdpSocket;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;

use socket2::SockRef;
use tokio::sync::mpsc;

use super::*;
use crate::early;
use crate::ike_queue::{IkeInbox, IkeMessage, IkeMessages, ike_messages};
use crate::notice::{self, Limit, Notice, Notices};
use crate::table::Endpoints;
use crate::transmit::{Batch, Transmission};
use crate::udp::LocalSockets;
use crate::{Encapsulation, Keys, Pair, Sa, Selector, Volume};

/// One gateway: its socket, what it has installed, and what it received.
struct Gateway {
    sockets: LocalSockets,
    table: Table,
    reception: Reception,
    ike: (IkeInbox, IkeMessages),
    early: Mutex<Early>,
    notices: (mpsc::Sender<Notice>, Notices),
    volume: Volume,
    drops: Drops,
}

impl Gateway {
    fn new() -> Gateway {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        nix::sys::socket::setsockopt(&socket, nix::sys::socket::sockopt::UdpGroSegment, &true).unwrap();
        SockRef::from(&socket).set_recv_tos_v4(true).unwrap();
        SockRef::from(&socket).set_recv_buffer_size(1 << 20).unwrap();
        let address = socket.local_addr().unwrap();
        // Plain ESP needs privileges; nothing here sends it.
        let raw = socket.try_clone().unwrap().into();
        Gateway {
            sockets: LocalSockets {
                address,
                udp: vec![socket],
                raw,
            },
            table: Table::default(),
            reception: Reception::new(),
            ike: ike_messages(),
            early: Mutex::default(),
            notices: notice::notices(),
            volume: Volume::UNLIMITED,
            drops: Drops::default(),
        }
    }

    fn address(&self) -> SocketAddr {
        self.sockets.address
    }

    /// Installs a pair whose selectors allow the peer's side these addresses.
    fn install(&mut self, spis: (u32, u32), peer: SocketAddr, remote: [u8; 4]) -> Arc<Child> {
        let sa = |spi| Sa {
            spi,
            keys: Keys::AesGcm16 {
                key_and_salt: vec![3; 20].into(),
            },
            extended_sequence_numbers: true,
        };
        let range = |start: [u8; 4], end: [u8; 4]| Selector {
            protocol: 0,
            start_port: 0,
            end_port: u16::MAX,
            start: start.into(),
            end: end.into(),
        };
        let pair = Pair {
            local: self.address(),
            remote: peer,
            encapsulation: Encapsulation::Udp,
            inbound: sa(spis.0),
            outbound: sa(spis.1),
            local_selectors: vec![range([0; 4], [255; 4])],
            remote_selectors: vec![range(remote, remote)],
            sends: true,
            volume: self.volume,
        };
        let child = Arc::new(Child::new(1, 7, &pair, self.notices.0.clone()).unwrap());
        self.table.by_spi.insert(spis.0, Arc::clone(&child));
        child
    }

    fn send(&self, child: &Child, packets: &[Vec<u8>]) {
        let mut batch = Batch::new();
        let Endpoints { remote, .. } = child.endpoints();
        let mut transmission = Transmission::new(child, remote, &mut batch, &self.sockets, 0);
        packets.iter().for_each(|packet| transmission.push(packet));
        transmission.finish();
    }

    /// Waits for a datagram, takes all there are, and returns the inner packets.
    fn receive(&mut self) -> Vec<Vec<u8>> {
        let socket = self.sockets.udp.first().unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        socket.peek(&mut [0]).unwrap();
        let arrival = Arrival::Datagram {
            local: self.sockets.address,
        };
        let mut opening = Opening::new(&self.table, &self.ike.0, &self.early);
        self.reception.receive(socket.as_fd(), arrival, &mut opening);
        self.drops.add(&opening.drops);
        let mut packets = Vec::new();
        self.reception
            .coalescer
            .flush(&mut self.reception.buffers, |interface, pieces| {
                assert_eq!(interface, 7);
                packets.push(pieces[1..].iter().flat_map(|piece| piece.to_vec()).collect());
            });
        packets
    }
}

/// Two gateways, and the pair of each.
fn tunnel() -> [(Gateway, Arc<Child>); 2] {
    tunnel_of(Volume::UNLIMITED)
}

fn tunnel_of(volume: Volume) -> [(Gateway, Arc<Child>); 2] {
    let (mut a, mut b) = (Gateway::new(), Gateway::new());
    (a.volume, b.volume) = (volume, volume);
    let to_b = a.install((0xa, 0xb), b.address(), [10, 2, 0, 1]);
    let to_a = b.install((0xb, 0xa), a.address(), [10, 1, 0, 1]);
    [(a, to_b), (b, to_a)]
}

/// An ICMP packet of this traffic class, number and length.
fn packet(source: [u8; 4], class: u8, number: u8, len: u16) -> Vec<u8> {
    let [high, low] = len.to_be_bytes();
    let header = [0x45, class, high, low, 0, number, 0, 0, 64, 1, 0, 0];
    let mut packet = [header.as_slice(), &source, &[10, 9, 9, 9]].concat();
    packet.resize(usize::from(len), number);
    packet::set_ipv4_checksum(&mut packet);
    packet
}

const SITE_A: [u8; 4] = [10, 1, 0, 1];

/// Equal packets leave in one call, a shorter one ends it, another traffic class begins the next; all arrive in order.
#[test]
fn a_burst_of_packets_arrives_as_it_was() {
    let [(a, to_b), (mut b, to_a)] = tunnel();
    let lens = [1_400, 1_400, 1_400, 60, 1_400, 61, 1_400, 1_400];
    let packets: Vec<_> = (0u8..)
        .zip(lens)
        .map(|(number, len)| packet(SITE_A, if number > 5 { 0xb8 } else { 0 }, number, len))
        .collect();
    a.send(&to_b, &packets);
    let mut received = Vec::new();
    while received.len() < packets.len() {
        received.extend(b.receive());
    }
    assert_eq!(received, packets);
    let counters = to_a.counters();
    assert_eq!((counters.packets_in, counters.bytes_in), (8, 8_521));
    assert_eq!(
        (to_b.counters().packets_out, to_b.counters().bytes_out),
        (8, 8_521)
    );
    assert!(to_a.inbound().last.is_some());
    assert_eq!((counters.drops, b.drops), (Drops::default(), Drops::default()));
}

#[test]
fn what_does_not_belong_is_dropped_and_counted_by_cause() {
    let [(a, to_b), (mut b, to_a)] = tunnel();
    let stranger = a.sockets.udp.first().unwrap();
    let mut captured = vec![0; 200];
    let len = to_b
        .outbound()
        .sa
        .seal(&packet(SITE_A, 0, 1, 60), &mut captured)
        .unwrap();
    captured.truncate(len);
    let mut forged = captured.clone();
    *forged.last_mut().unwrap() ^= 1;
    let unknown = [[0, 0, 0, 0xc].as_slice(), &[0; 60]].concat();
    for datagram in [
        &forged,
        &captured,
        &captured,
        &unknown,
        &vec![0, 0, 1],
        &captured[..20].to_vec(),
    ] {
        stranger.send_to(datagram, b.address()).unwrap();
    }
    a.send(
        &to_b,
        &[packet([10, 1, 0, 2], 0, 2, 60), packet(SITE_A, 0, 3, 60)],
    );
    let mut received = Vec::new();
    while received.len() < 2 {
        received.extend(b.receive());
    }
    assert_eq!(received, [packet(SITE_A, 0, 1, 60), packet(SITE_A, 0, 3, 60)]);
    assert_eq!(to_a.counters().packets_missing, 0);
    let expected = Drops {
        integrity: 1,
        replay: 1,
        malformed: 1,
        selector: 1,
        ..Drops::default()
    };
    assert_eq!(to_a.counters().drops, expected);
    let never_installed = Instant::now() + Duration::from_secs(2);
    assert_eq!(b.early.lock().unwrap().give_up(never_installed), 1);
    assert_eq!(
        b.drops,
        Drops {
            malformed: 1,
            ..Drops::default()
        }
    );
}

/// Both directions stop at their hard limit and tell of each limit once, and the other direction goes on.
#[test]
fn a_volume_is_told_of_and_then_kept() {
    let [(a, to_b), (mut b, to_a)] = tunnel_of(Volume {
        soft_packets: 2,
        hard_octets: 240,
        ..Volume::UNLIMITED
    });
    let packets: Vec<_> = (0..6).map(|number| packet(SITE_A, 0, number, 60)).collect();
    a.send(&to_b, &packets);
    let mut received = Vec::new();
    while received.len() < 4 {
        received.extend(b.receive());
    }
    assert_eq!(received, packets[..4]);
    assert_eq!((to_b.counters().packets_out, to_b.counters().drops.no_sa), (4, 2));
    assert_eq!((to_a.counters().packets_in, to_a.counters().packets_out), (4, 0));
    for mut side in [a, b] {
        for limit in [Limit::Soft, Limit::Hard] {
            assert_eq!(side.notices.1.try_next(), Some(Notice::Spent { id: 1, limit }));
        }
        assert_eq!(side.notices.1.try_next(), None);
    }
}

/// RFC 3948 §2.2 and §2.3: four zero octets mark IKE, one 0xff keeps a NAT awake.
#[test]
fn ike_is_told_from_esp() {
    let [(a, to_b), (mut b, _)] = tunnel();
    let sender = a.sockets.udp.first().unwrap();
    sender.send_to(&[0xff], b.address()).unwrap();
    sender.send_to(b"\0\0\0\0message", b.address()).unwrap();
    a.send(&to_b, &[packet(SITE_A, 0, 1, 60)]);
    while b.receive().is_empty() {}
    let (local, remote) = (b.address(), a.address());
    assert_eq!(
        b.ike.1.try_receive(),
        Some(IkeMessage {
            local,
            remote,
            bytes: b"message".to_vec()
        })
    );
    assert_eq!((b.ike.1.try_receive(), b.drops), (None, Drops::default()));
}

/// RFC 6040 §4.2: who takes part in ECN is told of congestion outside, who does not loses the packet.
#[test]
fn congestion_on_the_way_reaches_the_inside() {
    let [(a, to_b), (mut b, to_a)] = tunnel();
    let sender = a.sockets.udp.first().unwrap();
    SockRef::from(sender).set_tos_v4(3).unwrap();
    for class in [0, 2] {
        let mut esp = vec![0; 200];
        let len = to_b
            .outbound()
            .sa
            .seal(&packet(SITE_A, class, 1, 60), &mut esp)
            .unwrap();
        sender.send_to(&esp[..len], b.address()).unwrap();
    }
    let mut received = Vec::new();
    while received.is_empty() {
        received.extend(b.receive());
    }
    assert_eq!(received, [packet(SITE_A, 3, 1, 60)]);
    assert_eq!(
        to_a.counters().drops,
        Drops {
            congestion: 1,
            ..Drops::default()
        }
    );
}

/// The daemon tells its user who to blame, so the error has to name the port.
#[test]
fn a_port_in_use_is_named() {
    let holder = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = holder.local_addr().unwrap();
    let options = crate::Options {
        workers: 1,
        encapsulation_port: address.port(),
    };
    let (datapath, _notices) = crate::Datapath::start(&options, ike_messages().0).unwrap();
    let error = datapath.bind(address.ip()).unwrap_err().to_string();
    assert!(error.contains(&address.to_string()), "{error}");
}

#[test]
fn what_comes_before_its_sa_is_delivered_with_it() {
    let [(a, to_b), (mut b, to_a)] = tunnel();
    b.table.by_spi.remove(&to_a.inbound_spi);
    a.send(&to_b, &[packet(SITE_A, 0, 1, 60), packet(SITE_A, 0, 2, 60)]);
    assert!(b.receive().is_empty());
    b.table.by_spi.insert(to_a.inbound_spi, Arc::clone(&to_a));
    let mut packets = Vec::new();
    let opening = Opening::new(&b.table, &b.ike.0, &b.early);
    let drops = early::deliver(to_a.inbound_spi, opening, |interface, pieces| {
        assert_eq!(interface, 7);
        packets.push(pieces[1..].iter().flat_map(|piece| piece.to_vec()).collect());
    });
    let sent: [Vec<u8>; 2] = [packet(SITE_A, 0, 1, 60), packet(SITE_A, 0, 2, 60)];
    assert_eq!((packets.as_slice(), drops), (sent.as_slice(), Drops::default()));
    // Those that come after it are not held up by them, and none of them is taken twice.
    a.send(&to_b, &[packet(SITE_A, 0, 3, 60)]);
    assert_eq!(b.receive(), [packet(SITE_A, 0, 3, 60)]);
    assert_eq!((b.drops, to_a.counters().packets_in), (Drops::default(), 3));
}
