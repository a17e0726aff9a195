//! What comes by a child shows that the peer is there, as an IKE message does.

use std::time::Duration;

use ike::{ChildId, Event, Input, Mode, Reason};

use crate::{Pair, Site, connection, name};

const TIMEOUT: Duration = Duration::from_secs(45);
const SECOND: Duration = Duration::from_secs(1);

/// A pair that has seen its first minutes.
fn settled(timeout: Duration) -> Pair {
    let mut pair = Pair::with(|east, west| (east.dpd_timeout, west.dpd_timeout) = (timeout, timeout));
    pair.run_until_quiet();
    pair.run_for(timeout * 2);
    pair.assert_up();
    pair
}

/// Packets come by the children of both sides for this long, one a second.
fn carry(pair: &mut Pair, seconds: u64) {
    for _ in 0..seconds {
        for site in [&mut pair.east, &mut pair.west] {
            site.received = site.received.map(|received| received + 1);
        }
        pair.run_for(SECOND);
    }
}

/// The peer was given up for its silence.
fn is_silent(site: &Site) -> bool {
    let silent =
        |event: &Event| matches!(event, Event::Down(_, outage) if outage.reason == Reason::PeerSilent);
    site.datapath.is_empty() && site.events.iter().any(silent)
}

fn sent(pair: &mut Pair) -> usize {
    let count = pair.network.history.len();
    pair.network.history.clear();
    count
}

#[test]
fn while_traffic_comes_nobody_is_asked_whether_he_is_there() {
    let mut pair = settled(TIMEOUT);
    // The probes that were due before.
    carry(&mut pair, 60);
    sent(&mut pair);
    carry(&mut pair, 600);
    assert_eq!(sent(&mut pair), 0);
    pair.run_for(TIMEOUT * 2);
    assert!(sent(&mut pair) > 0, "silence is asked about again");
    pair.assert_kept();
}

/// What the peer's kernel still sends shows nothing of the peer itself: it is asked when it says that it forgot us.
#[test]
fn a_peer_that_forgot_us_is_asked_although_its_traffic_comes() {
    for timeout in [9, 45].map(Duration::from_secs) {
        let mut pair = settled(timeout);
        carry(&mut pair, 60);
        let before = pair.west.child().inbound.spi;
        pair.west.restart();
        let mut west = connection("192.0.2.2", "192.0.2.1");
        (west.mode, west.dpd_timeout) = (Mode::ResponderOnly, timeout);
        pair.configure_west([("to-east", west)]);
        pair.tell_west(Input::Orphaned {
            connection: name("to-east"),
            local: "192.0.2.2:500".parse().unwrap(),
            remote: "192.0.2.1:500".parse().unwrap(),
            spi: before,
        });
        for _ in 0..14 {
            pair.east.received = pair.east.received.map(|received| received + 1);
            pair.run_for(SECOND);
        }
        pair.assert_up();
    }
}

/// Whenever its last packet came, a peer that is gone is found dead within the configured time.
#[test]
fn a_peer_that_dies_amid_traffic_is_found_dead_in_time() {
    for timeout in [9, 45, 300].map(Duration::from_secs) {
        for phase in (0..timeout.as_secs().min(60)).step_by(7) {
            let mut pair = settled(timeout);
            carry(&mut pair, timeout.as_secs() * 2 + phase);
            pair.network.cut = true;
            pair.run_for(timeout + SECOND);
            for site in [&pair.east, &pair.west] {
                assert!(is_silent(site), "{timeout:?} after {phase} s");
            }
        }
    }
}

/// The same where traffic came for a moment only since the last IKE message: what came then is no later than it was.
#[test]
fn a_peer_that_dies_soon_after_it_spoke_is_found_dead_in_time() {
    for timeout in [9, 45, 300].map(Duration::from_secs) {
        for traffic in [1, 4, 10, 20] {
            let mut pair = Pair::with(|east, west| (east.dpd_timeout, west.dpd_timeout) = (timeout, timeout));
            pair.run_until_quiet();
            carry(&mut pair, traffic);
            pair.network.cut = true;
            pair.run_for(timeout + SECOND);
            for site in [&pair.east, &pair.west] {
                assert!(is_silent(site), "{timeout:?}, {traffic} s of traffic");
            }
        }
    }
}

#[test]
fn a_datapath_that_does_not_tell_is_not_waited_for() {
    let mut pair = settled(TIMEOUT);
    for site in [&mut pair.east, &mut pair.west] {
        site.received = None;
    }
    sent(&mut pair);
    pair.run_for(TIMEOUT);
    assert!(sent(&mut pair) > 0, "the peer was not asked");
    pair.network.cut = true;
    pair.run_for(TIMEOUT + SECOND);
    assert!(is_silent(&pair.east));
}

/// Nothing that is told of children that are long gone, or were never there, does anything.
#[test]
fn what_strange_children_received_means_nothing() {
    let mut pair = settled(TIMEOUT);
    pair.network.cut = true;
    for _ in 0..46 {
        pair.tell_east(Input::Received(vec![(ChildId(99), 5), (ChildId(100), 6)]));
        pair.tell_east(Input::Received(vec![]));
        pair.run_for(SECOND);
    }
    assert!(is_silent(&pair.east));
}
