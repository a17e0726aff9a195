//! What an operator does by hand.

use std::time::Duration;

use ike::{ConnectionState, Event, Input, Mode, Reason};

use crate::site::Site;
use crate::situation::spis;
use crate::{Pair, connection, name};

const LONG: Duration = Duration::from_secs(600);

/// What is told of a connection.
fn told(site: &Site) -> Vec<&'static str> {
    let words = site.events.iter().map(Event::word);
    words.filter(|word| *word != "dropped").collect()
}

/// Both sides would start it, and east has taken it down.
fn disconnected() -> Pair {
    let mut pair = Pair::with(|_, west| west.mode = Mode::Default);
    pair.run_until_quiet();
    pair.assert_up();
    pair.tell_east(Input::Disconnect(name("to-west")));
    pair.run_for(LONG);
    pair
}

#[test]
fn what_is_disconnected_stays_down_whoever_starts() {
    let mut pair = disconnected();
    let standing = pair.east.standing();
    assert_eq!(standing.state, ConnectionState::Down);
    assert_eq!(standing.outage.unwrap().reason, Reason::DisconnectedByAdmin);
    assert!(pair.east.datapath.is_empty() && pair.west.datapath.is_empty());
    assert_eq!(told(&pair.east), ["up", "down"], "no attempt after it");
    pair.tell_east(Input::Disconnect(name("to-west")));
    assert_eq!(told(&pair.east), ["up", "down"], "the same again says nothing");
}

#[test]
fn it_comes_up_again_when_connected_or_changed_and_not_before() {
    let mut pair = disconnected();
    let same = connection("192.0.2.1", "192.0.2.2");
    pair.configure_east([("to-west", same.clone())]);
    pair.run_for(LONG);
    assert!(!pair.east.is_up(), "a commit of something else");
    pair.tell_east(Input::Connect(name("to-west")));
    pair.run_for(LONG);
    pair.assert_up();
    for in_place in [true, false] {
        pair.tell_east(Input::Disconnect(name("to-west")));
        pair.run_for(LONG);
        assert!(!pair.east.is_up());
        let mut other = same.clone();
        other.dpd_timeout *= 2;
        if !in_place {
            other.esp_proposals[0].extended_sequence_numbers = false;
            let mut west = connection("192.0.2.2", "192.0.2.1");
            west.esp_proposals[0].extended_sequence_numbers = false;
            pair.configure_west([("to-east", west)]);
        }
        pair.configure_east([("to-west", other)]);
        pair.run_for(LONG);
        pair.assert_up();
    }
}

/// In the middle of a handshake, too, and as the side that is asked.
#[test]
fn a_handshake_under_way_leads_nowhere() {
    for milliseconds in [0, 5, 15, 25, 35, 45, 55] {
        for east in [true, false] {
            let mut pair = Pair::with(|_, _| ());
            pair.run_for(Duration::from_millis(milliseconds));
            if east {
                pair.tell_east(Input::Disconnect(name("to-west")));
            } else {
                pair.tell_west(Input::Disconnect(name("to-east")));
            }
            pair.run_for(LONG);
            assert!(
                !pair.east.is_up() && !pair.west.is_up(),
                "after {milliseconds} ms"
            );
            assert!(pair.east.datapath.is_empty() && pair.west.datapath.is_empty());
        }
    }
}

#[test]
fn a_reset_negotiates_anew() {
    let mut pair = Pair::established();
    let before = spis(&pair.east);
    pair.tell_east(Input::Reset(name("to-west")));
    pair.run_until_quiet();
    pair.assert_up();
    assert_ne!(spis(&pair.east), before);
    assert_eq!(told(&pair.east), ["up", "down", "up"]);
    pair.tell_east(Input::Disconnect(name("to-west")));
    pair.tell_east(Input::Reset(name("to-west")));
    pair.run_until_quiet();
    pair.assert_up();
}
