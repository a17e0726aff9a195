//! Neighbours that mean no good: the others do not notice.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use bgp::wire::framing::keepalive;
use bgp::wire::update::{Context, Decoder};
use bgp::{Action, ConnectionId, Event, Families, Family, Input, PeerState, SocketFault};
use ipnet::IpNet;

use crate::lone::{Said, announcement, announcement_by, message, open, prefixes, update, withdrawal};
use crate::site::address;
use crate::{Lone, Network, name, prefix};

const SECOND: Duration = Duration::from_secs(1);

/// An OPEN that comes octet by octet, one each second, does not come in time.
#[test]
fn an_open_that_dribbles_is_given_up() {
    let mut lone = Lone::new();
    let connection = lone.accept();
    let mut long = open();
    long.capabilities.host_name = Some("x".repeat(60));
    let octets: Vec<u8> = long.encode().repeat(4);
    for octet in octets.iter().take(18) {
        lone.hears(connection, [*octet]);
        lone.run_for(SECOND * 14);
    }
    assert_eq!(lone.refusal(connection), (4, 0));
    assert_eq!(lone.last_error().words, "no OPEN came within 240 s");
}

/// Whole messages at one octet a second are slow, not wrong: a KEEPALIVE every 19 seconds is in time for 90.
#[test]
fn one_octet_a_second_keeps_a_session() {
    let (mut lone, connection) = Lone::established();
    for octet in keepalive().iter().cycle().take(400) {
        lone.hears(connection, [*octet]);
        lone.run_for(SECOND);
    }
    assert!(lone.site.is_established("peer"));
}

/// An UPDATE of 4,096 octets at that speed is not.
#[test]
fn half_a_message_is_no_sign_of_life() {
    let (mut lone, connection) = Lone::established();
    for octet in announcement(&prefixes(500)).iter().take(100) {
        lone.hears(connection, [*octet]);
        lone.run_for(SECOND);
    }
    assert_eq!(lone.last_error().reason, "hold-timer-expired");
}

/// Keepalives without end cause nothing.
#[test]
fn a_flood_of_keepalives_causes_nothing() {
    let (mut lone, connection) = Lone::established();
    let events = lone.site.events.len();
    lone.hears(connection, keepalive().repeat(100_000));
    assert_eq!(lone.said(connection), []);
    assert_eq!(
        (lone.site.events.len(), lone.site.is_established("peer")),
        (events, true)
    );
}

/// Malformed updates are survived as RFC 7606 has it, and told at most once in ten seconds.
#[test]
fn malformed_updates_are_told_now_and_then() {
    let (mut lone, connection) = Lone::established();
    let attributes = [
        0x40, 1, 1, 9, 0x40, 2, 6, 2, 1, 0, 0, 0xfd, 0xea, 0x40, 3, 4, 169, 254, 0, 2,
    ];
    lone.hears(connection, announcement(&prefixes(2)));
    for _ in 0..100 {
        lone.hears(connection, update(&[], &attributes, &prefixes(1)));
        lone.run_for(SECOND / 5);
    }
    assert!(lone.site.is_established("peer"));
    assert_eq!(lone.site.kernel.len(), 1, "the malformed one counts as withdrawn");
    let told = lone.site.count(|event| matches!(event, Event::Malformed(..)));
    assert!((2..=3).contains(&told), "{told} events in 20 s");
}

/// A neighbour that comes and goes without end: another session is not touched, and nothing is left of it.
#[test]
fn flapping_leaves_the_others_alone() {
    let sites = [("east", 65_001), ("west", 65_002), ("bad", 65_003)];
    let mut network = Network::idle(&sites, &[("east", "west"), ("east", "bad")]);
    network.start();
    network.run_for(20 * SECOND);
    for _ in 0..200 {
        network.break_connections("east", "bad");
        network.run_for(SECOND);
    }
    let west = network["east"].peer("west");
    assert_eq!((west.state, west.established_count), (PeerState::Established, 1));
    assert!(network["west"].downs().is_empty());
    assert!(network.connections("east", "bad") <= 2);
}

/// Whoever is not configured is not even told who we are.
#[test]
fn strangers_are_hung_up_on() {
    let mut lone = Lone::new();
    let connection = ConnectionId::Incoming(99);
    let stranger = Input::Accepted {
        connection,
        neighbour: name("stranger"),
        remote: SocketAddr::new(address(9), 40_000),
    };
    assert_eq!(
        lone.site.speaker.handle(stranger, lone.now),
        [Action::Close(connection)]
    );
}

/// What comes late for a connection that is gone, or was never there, means nothing.
#[test]
fn late_news_mean_nothing() {
    let (mut lone, connection) = Lone::established();
    lone.hears(connection, [0; 19]);
    lone.hears(connection, announcement(&prefixes(3)));
    lone.tell(Input::Closed(connection, None));
    lone.tell(Input::Sent(connection, 1 << 40));
    lone.tell(Input::Connected(
        ConnectionId::Outgoing(77),
        "192.0.2.1:179".parse().unwrap(),
    ));
    lone.tell(Input::NotConnected(
        ConnectionId::Outgoing(77),
        SocketFault::Refused("refused".to_owned()),
    ));
    lone.tell(Input::Listening(name("nobody"), Ok(())));
    lone.tell(Input::Moved(name("nobody")));
    lone.tell(Input::RouteTaken(prefix("10.9.0.0/16")));
    lone.tell(Input::Clear(name("nobody")));
    assert_eq!(lone.site.downs().len(), 1);
    assert!(lone.site.kernel.is_empty());
}

/// A neighbour that no longer reads is owed a window at most, and later the last state instead of every change. The other
/// one does not notice.
#[test]
fn a_stalled_neighbour_is_owed_the_last_state() {
    let mut lone = Lone::new();
    let feed = lone.feed();
    let mut patient = open();
    patient.hold_time = 0;
    let stalled = lone.establish_with(&patient);
    lone.stalled = Some(stalled);
    let many = prefixes(60_000);
    for _ in 0..3 {
        for some in many.chunks(800) {
            lone.hears(feed, announcement_by(65_003, some));
        }
        assert_eq!(lone.site.kernel.len(), 60_000);
        assert!(
            lone.owed > 100_000 && lone.owed <= bgp::Speaker::WINDOW,
            "{} octets",
            lone.owed
        );
        for some in many[5..].chunks(800) {
            lone.hears(feed, withdrawal(some));
        }
        assert_eq!(lone.site.kernel.len(), 5);
    }
    let mut known = BTreeSet::new();
    read(&mut lone, stalled, &mut known);
    assert!(known.len() > 1000, "what was on its way when it fell silent");
    lone.stalled = None;
    let owed = std::mem::take(&mut lone.owed);
    lone.tell(Input::Sent(stalled, owed));
    read(&mut lone, stalled, &mut known);
    let expected: BTreeSet<_> = many[..5].iter().copied().chain([prefix("10.1.0.0/16")]).collect();
    known.insert(prefix("10.1.0.0/16"));
    assert_eq!(known, expected);
}

/// Applies the updates that a neighbour was sent to what it knows.
fn read(lone: &mut Lone, connection: ConnectionId, known: &mut BTreeSet<IpNet>) {
    let mut decoder = Decoder::new(Context {
        four_octet_asn: true,
        families: Families::NONE.with(Family::Ipv4),
        add_path: Families::NONE,
        ipv6_next_hops: false,
        internal: false,
        first_asn: Some(65_001),
        as_sets: false,
    });
    for said in lone.said(connection) {
        let Said::Update(body) = said else { continue };
        let update = decoder.decode(&body);
        assert_eq!(update.faults, []);
        for gone in update.withdrawn {
            known.remove(&gone.prefix);
        }
        known.extend(update.announced.iter().flat_map(|(_, to)| to).map(|to| to.prefix));
    }
}

/// A message longer than agreed on is refused by its header (RFC 8654 §4).
#[test]
fn long_messages_need_to_be_agreed_on() {
    let (mut lone, connection) = Lone::established();
    lone.hears(connection, message(2, &[0; 5000]));
    assert_eq!(lone.refusal(connection), (1, 2));
}
