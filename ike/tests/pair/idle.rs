//! IKEv1: connections that are closed while nothing passes, and come back with the next packet.

use std::time::Duration;

use ike::{Connection, ConnectionState, Input, Mode, Reason, Side};

use crate::version1::pair_with;
use crate::{Pair, name};

const FIVE_MINUTES: Duration = Duration::from_secs(300);

/// Up, and closed after five minutes without a packet.
fn up(change: impl Fn(&mut Connection, &mut Connection)) -> Pair {
    let mut pair = pair_with(|east, west| {
        (east.idle_timeout, west.idle_timeout) = (Some(FIVE_MINUTES), Some(FIVE_MINUTES));
        west.mode = Mode::Default;
        change(east, west);
    });
    pair.run_until_quiet();
    pair.assert_up();
    pair
}

/// Both sides have nothing, watch their lines, and are quiet.
fn rests(pair: &mut Pair) {
    assert!(pair.east.datapath.is_empty() && pair.west.datapath.is_empty());
    for (site, connection) in [(&pair.east, "to-west"), (&pair.west, "to-east")] {
        assert_eq!(site.standing().state, ConnectionState::Down);
        assert_eq!(site.watched[&name(connection)].len(), 1);
    }
    let sent = pair.network.history.len();
    pair.run_for(Duration::from_secs(3600));
    assert_eq!(
        pair.network.history.len(),
        sent,
        "nothing is tried without a packet"
    );
}

/// One side closes both; a packet on either side brings the tunnel back at once.
#[test]
fn what_is_idle_is_closed_until_a_packet_wants_through() {
    for by_east in [true, false] {
        let mut pair = up(|_, _| ());
        pair.run_for(Duration::from_secs(290));
        pair.assert_up();
        pair.run_for(Duration::from_secs(50));
        rests(&mut pair);
        let reasons = [pair.east.outage(), pair.west.outage()].map(|outage| (outage.reason, outage.side));
        assert!(reasons.contains(&(Reason::Idle, Side::We)), "{reasons:?}");
        if by_east {
            pair.tell_east(Input::Wanted(name("to-west"), 0));
        } else {
            pair.tell_west(Input::Wanted(name("to-east"), 0));
        }
        pair.run_for(Duration::from_secs(1));
        pair.assert_up();
        let awake = if by_east {
            (&pair.east, "to-west")
        } else {
            (&pair.west, "to-east")
        };
        assert!(awake.0.watched[&name(awake.1)].is_empty());
    }
}

/// Packets in either direction keep it up, and five minutes count from the last.
#[test]
fn traffic_keeps_it_up() {
    let mut pair = up(|_, west| (west.idle_timeout, west.mode) = (None, Mode::ResponderOnly));
    for _ in 0..100 {
        pair.east.carried += 1;
        pair.run_for(Duration::from_secs(60));
    }
    pair.assert_up();
    pair.run_for(Duration::from_secs(240));
    pair.assert_up();
    pair.run_for(Duration::from_secs(120));
    assert!(pair.east.datapath.is_empty());
}

/// Without the setting it is up for ever; so it is where only the peer could bring it back.
#[test]
fn it_is_a_setting() {
    let mut never = up(|east, west| (east.idle_timeout, west.idle_timeout) = (None, None));
    never.run_for(Duration::from_secs(3600));
    never.assert_up();
    let mut waits = up(|east, west| {
        east.idle_timeout = None;
        west.mode = Mode::ResponderOnly;
    });
    waits.run_for(Duration::from_secs(3600));
    waits.assert_up();
}

/// A rekey carries nothing: it neither keeps the tunnel up nor ends it.
#[test]
fn rekeys_are_no_traffic() {
    let mut pair = up(|_, _| ());
    pair.run_for(Duration::from_secs(200));
    pair.tell_east(Input::RekeyChild(name("to-west")));
    pair.tell_east(Input::RekeyIke(name("to-west")));
    pair.run_for(Duration::from_secs(60));
    pair.assert_up();
    pair.run_for(Duration::from_secs(100));
    rests(&mut pair);
}

/// By hand it comes up without a packet, and what was watched is not watched any more.
#[test]
fn an_operator_brings_it_up() {
    let mut pair = up(|_, _| ());
    pair.run_for(Duration::from_secs(340));
    rests(&mut pair);
    pair.tell_east(Input::Connect(name("to-west")));
    pair.run_for(Duration::from_secs(1));
    pair.assert_up();
    assert!(pair.east.watched[&name("to-west")].is_empty());
}

/// What the reasons' test provokes.
pub(crate) fn idle() -> ike::Outage {
    let mut pair = up(|_, west| (west.idle_timeout, west.mode) = (None, Mode::ResponderOnly));
    pair.run_for(Duration::from_secs(340));
    pair.east.outage()
}
