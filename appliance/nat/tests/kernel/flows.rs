//! What sites with the same addresses do with each other, in the kernel.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use appliance_nat::{End, Kind, Numbers, Program, Rule, Rules, Tunnel, UNKNOWN, compile};

use crate::lab::Lab;
use crate::packet::{Seen, Turn, build, error, forbid_fragments, fragments, read_part, wrap};
use crate::world::net;

const UDP: u8 = 17;
const TCP: u8 = 6;

fn end(address: &str, port: u16) -> End {
    End {
        address: address.parse().unwrap(),
        port: Some(port),
    }
}

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn rule(internal: &str, external: &str, kind: Kind) -> (String, Rule) {
    let rule = Rule {
        kind,
        internal: net(internal),
        external: net(external),
    };
    (external.to_owned(), rule)
}

fn whole(internal: &str, external: &str) -> (String, Rule) {
    rule(internal, external, Kind::Static { ports: None })
}

/// The LAN and three sites have 10.0.0.0/24 and fd0a::/64. They see each other as 100.64.N.0/24 and fd64:N::/64, the LAN
/// being the 100th.
fn overlapping() -> Rules {
    let tunnel = |number: u16| Tunnel {
        link: format!("cw-{number}"),
        number,
        site: format!("site-{number}"),
        ingress: BTreeMap::from([
            whole("10.0.0.0/24", &format!("100.64.{number}.0/24")),
            whole("fd0a::/64", &format!("fd64:{number}::/64")),
        ]),
        egress: BTreeMap::from([
            whole("10.0.0.0/24", "100.64.100.0/24"),
            whole("fd0a::/64", "fd64:100::/64"),
        ]),
    };
    let tunnels = (1..=3).map(|number| (format!("to-{number}"), tunnel(number)));
    Rules {
        tunnels: tunnels.collect(),
    }
}

/// A gateway with these rules, which has 10.0.0.1 and fd0a::1 in its LAN.
fn gateway(rules: &Rules) -> (Lab, Program) {
    let lab = Lab::new(&["lan", "cw-1", "cw-2", "cw-3"], &["10.0.0.1", "fd0a::1"]);
    let program = compile(rules, &Numbers::default()).unwrap();
    let links = program.tables().clone();
    lab.tables(links.into_iter());
    let external = rules.tunnels.values().flat_map(|tunnel| {
        let rules = tunnel.ingress.values();
        rules.map(|rule| (rule.external, Some(tunnel.link.clone())))
    });
    lab.load(&external.collect::<Vec<_>>(), &program);
    (lab, program)
}

/// Sends a packet in by one link and sees it leave by another.
fn through(lab: &Lab, from: &str, bytes: &[u8], to: &str) -> Seen {
    lab.send(from, bytes);
    let seen = lab.next(to).expect("it passes");
    assert!(seen.intact, "{seen:?}");
    assert_eq!(lab.others(), []);
    seen
}

fn ends(seen: &Seen) -> (End, End) {
    (seen.source, seen.destination)
}

/// Every host reaches every other by its external address: all twelve directions at the same time, with the same inner
/// addresses and ports on both sides of each, and answers come to the right one.
#[test]
fn the_same_addresses_and_ports_everywhere_at_once() {
    let (lab, _) = gateway(&overlapping());
    let sides = ["lan", "cw-1", "cw-2", "cw-3"];
    let external = |side: usize, sixth: bool| {
        let number = if side == 0 { 100 } else { side };
        if sixth {
            end(&format!("fd64:{number}::7"), 7)
        } else {
            end(&format!("100.64.{number}.7"), 7)
        }
    };
    for (sixth, inner) in [(false, end("10.0.0.7", 7)), (true, end("fd0a::7", 7))] {
        for protocol in [UDP, TCP] {
            let pairs = || (0..4).flat_map(|from| (0..4).map(move |to| (from, to)));
            for (from, to) in pairs().filter(|(from, to)| from != to) {
                let bytes = build(Turn::First, protocol, (inner, external(to, sixth)), 0, b"same");
                let seen = through(&lab, sides[from], &bytes, sides[to]);
                assert_eq!(ends(&seen), (external(from, sixth), inner), "{from} to {to}");
            }
            for (from, to) in pairs().filter(|(from, to)| from != to) {
                let bytes = build(
                    Turn::Answer,
                    protocol,
                    (inner, external(from, sixth)),
                    0,
                    b"answer",
                );
                let seen = through(&lab, sides[to], &bytes, sides[from]);
                assert_eq!(ends(&seen), (external(to, sixth), inner), "{to} to {from}");
            }
        }
    }
}

/// A host behind a tunnel may have the address that the gateway has in its LAN.
#[test]
fn a_host_with_our_own_address() {
    let (lab, _) = gateway(&overlapping());
    let bytes = build(
        Turn::First,
        UDP,
        (end("10.0.0.7", 7), end("100.64.1.1", 7)),
        0,
        b"",
    );
    let seen = through(&lab, "lan", &bytes, "cw-1");
    assert_eq!(ends(&seen), (end("100.64.100.7", 7), end("10.0.0.1", 7)));
    let bytes = build(
        Turn::Answer,
        UDP,
        (end("10.0.0.1", 7), end("100.64.100.7", 7)),
        0,
        b"",
    );
    let seen = through(&lab, "cw-1", &bytes, "lan");
    assert_eq!(ends(&seen), (end("100.64.1.1", 7), end("10.0.0.7", 7)));
}

/// The gateway's own packets are translated, and answers come to it; pings to its external address are answered.
#[test]
fn our_own_packets() {
    let (lab, _) = gateway(&overlapping());
    let socket = lab.socket(end("10.0.0.1", 5000));
    socket.send_to(b"own", "100.64.2.9:53").unwrap();
    let seen = lab.next("cw-2").unwrap();
    assert_eq!(ends(&seen), (end("100.64.100.1", 5000), end("10.0.0.9", 53)));
    let bytes = build(Turn::Answer, UDP, (seen.destination, seen.source), 0, b"answer");
    lab.send("cw-2", &bytes);
    let mut heard = [0; 20];
    let (length, from) = socket.recv_from(&mut heard).unwrap();
    assert_eq!(
        (&heard[..length], from.to_string().as_str()),
        (b"answer".as_slice(), "100.64.2.9:53")
    );

    let (us, them) = (address("100.64.100.1"), address("10.0.0.9"));
    let bare = |address| End { address, port: None };
    let bytes = build(Turn::First, 1, (bare(them), bare(us)), 77, b"ping");
    let seen = through(&lab, "cw-3", &bytes, "cw-3");
    assert_eq!(ends(&seen), (bare(us), bare(them)));
    assert_eq!((seen.body[0], seen.id), (0, Some(77)));
}

/// Fragments are put together, translated as one packet, and leave as fragments again, by the right tunnel.
#[test]
fn fragments_are_translated() {
    let (lab, _) = gateway(&overlapping());
    let payload: Vec<u8> = (0..4000_u16).map(|number| number.to_be_bytes()[1]).collect();
    let whole = build(
        Turn::First,
        UDP,
        (end("10.0.0.7", 700), end("100.64.3.8", 800)),
        0,
        &payload,
    );
    for piece in fragments(&whole, 1480) {
        lab.send("cw-1", &piece);
    }
    let pieces = lab.pieces("cw-3", 3);
    let mut body = Vec::new();
    for piece in &pieces {
        let source: [u8; 4] = piece[12..16].try_into().unwrap();
        let destination: [u8; 4] = piece[16..20].try_into().unwrap();
        assert_eq!(IpAddr::from(source), address("100.64.1.7"));
        assert_eq!(IpAddr::from(destination), address("10.0.0.8"));
        body.extend(&piece[20..]);
    }
    let together = wrap(UDP, address("100.64.1.7"), address("10.0.0.8"), &body);
    let seen = crate::packet::read(&together).unwrap();
    assert!(seen.intact);
    assert_eq!(ends(&seen), (end("100.64.1.7", 700), end("10.0.0.8", 800)));
    assert_eq!(seen.body[8..], payload);
}

/// An ICMP error about a packet carries what its host knows: outer and inner addresses are translated back, from the
/// host itself and from a router on the way, which is shown as the host, and checksums are right (RFC 5508 §4.2).
#[test]
fn errors_are_translated_with_what_they_carry() {
    let (lab, _) = gateway(&overlapping());
    for (ours, theirs, theirs_inside, router) in [
        ("10.0.0.7", "100.64.2.8", "10.0.0.8", "172.16.9.254"),
        ("fd0a::7", "fd64:2::8", "fd0a::8", "fd16::fe"),
    ] {
        for (from, ours_outside) in [("lan", 100), ("cw-1", 1)] {
            let outside = if ours.contains(':') {
                format!("fd64:{ours_outside}::7")
            } else {
                format!("100.64.{ours_outside}.7")
            };
            let sent = build(
                Turn::First,
                UDP,
                (end(ours, 70), end(theirs, 80)),
                0,
                b"what is wrong",
            );
            let seen = through(&lab, from, &sent, "cw-2");
            assert_eq!(ends(&seen), (end(&outside, 70), end(theirs_inside, 80)));
            let arrived = wrap(UDP, address(&outside), address(theirs_inside), &seen.body);
            for (speaker, mtu) in [(theirs_inside, None), (router, Some(1300))] {
                let said = error(address(speaker), address(&outside), &arrived, mtu);
                let heard = through(&lab, "cw-2", &said, from);
                assert_eq!(heard.source.address, address(theirs));
                assert_eq!(heard.destination.address, address(ours));
                let about = crate::packet::read(&heard.body[8..]).unwrap();
                assert_eq!(ends(&about), (end(ours, 70), end(theirs, 80)));
                assert!(about.intact, "{about:?}");
                if let Some(mtu) = mtu {
                    assert_eq!(heard.body[6..8], u16::to_be_bytes(mtu));
                }
            }
        }
    }
}

/// A dynamic rule keeps to its ports, in both of its ranges. When all are in use a new flow is dropped and nothing else
/// changes: flows of before are answered.
#[test]
fn exhausted_ports() {
    let mut rules = overlapping();
    let ports = vec![3000..=3003, 5000..=5001];
    let dynamic = rule("10.7.0.0/24", "100.64.200.1/32", Kind::Dynamic { ports });
    let first = rules.tunnels.get_mut("to-1").unwrap();
    first.ingress.insert(dynamic.0, dynamic.1);
    let (lab, program) = gateway(&rules);
    let to = end("100.64.100.9", 53);
    let mut open = BTreeMap::new();
    // Each try may meet the range that is full; a host tries again.
    for number in 0..200_u16 {
        let from = end("10.7.0.4", 20_000 + number);
        lab.send("cw-1", &build(Turn::First, UDP, (from, to), 0, b"first"));
        if let Some((_, seen)) = lab.others().first() {
            assert_eq!(seen.source.address, address("100.64.200.1"));
            let port = seen.source.port.unwrap();
            assert!(open.insert(port, from).is_none(), "{port} twice");
        }
    }
    assert_eq!(
        open.keys().copied().collect::<BTreeSet<u16>>(),
        [3000, 3001, 3002, 3003, 5000, 5001].into()
    );
    for (port, from) in &open {
        let outside = end("100.64.200.1", *port);
        let answer = build(Turn::Answer, UDP, (end("10.0.0.9", 53), outside), 0, b"answer");
        let seen = through(&lab, "lan", &answer, "cw-1");
        assert_eq!(ends(&seen), (to, *from));
    }
    // Nobody outside can begin.
    let knock = build(
        Turn::First,
        UDP,
        (end("10.0.0.9", 54), end("100.64.200.1", 3000)),
        0,
        b"knock",
    );
    lab.send("lan", &knock);
    assert_eq!(lab.others(), []);
    let listing = lab.nft(&["list", "counters", "table", "inet", "causeway_nat"], "");
    let refused = program
        .bindings()
        .values()
        .find_map(|binding| binding.refused())
        .unwrap();
    let after = listing.split(&refused).nth(1).unwrap();
    assert!(after.contains("packets 1 "), "{after}");
}

/// A commit that changes another rule leaves flows as they are, and their packets are counted on.
#[test]
fn flows_outlive_a_commit() {
    let mut rules = overlapping();
    let (lab, before) = gateway(&rules);
    let bytes = build(
        Turn::First,
        TCP,
        (end("10.0.0.7", 7), end("100.64.1.7", 80)),
        0,
        b"",
    );
    through(&lab, "lan", &bytes, "cw-1");
    let added = whole("10.9.0.0/24", "100.64.90.0/24");
    rules
        .tunnels
        .get_mut("to-2")
        .unwrap()
        .ingress
        .insert("aaa".into(), added.1);
    let after = compile(&rules, before.numbers()).unwrap();
    lab.apply(&after);
    let bytes = build(
        Turn::Answer,
        TCP,
        (end("10.0.0.7", 80), end("100.64.100.7", 7)),
        0,
        b"",
    );
    let seen = through(&lab, "cw-1", &bytes, "lan");
    assert_eq!(ends(&seen), (end("100.64.1.7", 80), end("10.0.0.7", 7)));
    let binding = after
        .bindings()
        .values()
        .find(|binding| binding.connection == "to-1" && binding.name == "100.64.1.0/24")
        .unwrap();
    let listing = lab.nft(&["list", "counters", "table", "inet", "causeway_nat"], "");
    let counted = listing.split(binding.key.as_str()).nth(1).unwrap();
    assert!(counted.contains("packets 1 "), "{listing}");
}

/// What is too long for a link is told by the gateway itself, in the words of the host that sent it, and to that host,
/// wherever else its address is (RFC 1191, RFC 8201).
#[test]
fn our_own_errors_carry_what_their_host_knows() {
    let (lab, _) = gateway(&overlapping());
    let external = |side: usize, sixth: bool| {
        let number = if side == 0 { 100 } else { side };
        if sixth {
            end(&format!("fd64:{number}::7"), 7)
        } else {
            end(&format!("100.64.{number}.7"), 7)
        }
    };
    let sides = ["lan", "cw-1", "cw-2", "cw-3"];
    for (narrow, from) in [(1, 0), (1, 2), (3, 1), (0, 2)] {
        lab.ip(&format!("link set {} mtu 1300", sides[narrow]));
        for (sixth, inner) in [(false, end("10.0.0.7", 7)), (true, end("fd0a::7", 7))] {
            let to = external(narrow, sixth);
            let long = |source, destination| {
                let mut packet = build(Turn::First, UDP, (source, destination), 0, &[0; 1350]);
                if !sixth {
                    forbid_fragments(&mut packet);
                }
                packet
            };
            // About the first packet of a flow.
            lab.send(sides[from], &long(inner, to));
            let error = lab.next(sides[from]).expect("an error");
            assert_eq!(error.destination.address, inner.address, "{narrow} {from}");
            assert_eq!(read_part(&error.body[8..]), (inner, to));
            assert_eq!(error.body[6..8], 1300_u16.to_be_bytes());
            // About an answer.
            let mut answer = build(Turn::Answer, UDP, (inner, to), 0, &[0; 1350]);
            let begun = build(Turn::First, UDP, (inner, external(from, sixth)), 0, b"begun");
            lab.send(sides[narrow], &begun);
            lab.next(sides[from]).expect("it passes");
            if !sixth {
                forbid_fragments(&mut answer);
            }
            lab.send(sides[from], &answer);
            let error = lab.next(sides[from]).expect("an error about an answer");
            assert_eq!(error.destination.address, inner.address);
            assert_eq!(read_part(&error.body[8..]), (inner, to));
            assert_eq!(lab.others(), []);
        }
        lab.ip(&format!("link set {} mtu 1500", sides[narrow]));
    }
}

/// What connection tracking can make nothing of does not leave with addresses that are others' there.
#[test]
fn what_cannot_be_translated_is_dropped() {
    let (lab, _) = gateway(&overlapping());
    let inner = end("10.0.0.7", 7);
    let (site, ours, elsewhere) = (
        end("100.64.1.7", 80),
        end("100.64.100.7", 80),
        end("192.0.2.9", 80),
    );
    let mut dropped = 0;
    for (from, to) in [("lan", site), ("cw-1", ours), ("cw-1", elsewhere)] {
        // A SYN ACK of no connection.
        lab.send(from, &build(Turn::Answer, TCP, (inner, to), 0, b""));
        assert_eq!(lab.others(), []);
        dropped += 1;
        let listing = lab.nft(&["list", "counter", "inet", "causeway_nat", UNKNOWN], "");
        assert!(listing.contains(&format!("packets {dropped} ")), "{listing}");
    }
    // Others' packets are nobody's business here.
    let plain = build(Turn::Answer, TCP, (end("172.16.5.5", 7), elsewhere), 0, b"");
    let seen = through(&lab, "cw-1", &plain, "lan");
    assert_eq!(ends(&seen), (end("172.16.5.5", 7), elsewhere));
}
