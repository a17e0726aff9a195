//! An IKE SA is replaced by one side while the other is at rest (RFC 7296 §1.3.2, §2.8, §2.18).

use std::time::Duration;

use crate::Pair;
use crate::network::Fate::{Late, Lost, Ordinary};
use crate::rekey::{child, ike};
use crate::situation::{EAST, LATE, MOMENT, WEST, current, situation, situations, spis};

const SIDES: [bool; 2] = [EAST, WEST];

/// One side replaces the IKE SA: there is a new one, of that side's making, and nothing of the child changes.
fn replaced(pair: &mut Pair, side: bool, time: Duration) {
    let (before, child) = (spis(&pair.east), current(&pair.east));
    ike(pair, side);
    pair.run_for(time);
    if pair.calm {
        assert_ne!(spis(&pair.east), before);
        assert!(pair.side(side).standing().ike.unwrap().initiator);
        assert_eq!(current(&pair.east), child);
        assert_eq!((pair.east.datapath.len(), pair.west.datapath.len()), (1, 1));
    }
}

#[test]
fn ike_rekey_by_either_side() {
    situations(SIDES, |pair, side| {
        let sent = pair.network.history.len();
        replaced(pair, side, MOMENT);
        assert!(!pair.calm || pair.network.history.len() - sent == 4);
    });
}

#[test]
fn ike_rekey_by_both_sides_in_turn() {
    situation(|pair| {
        for side in [EAST, WEST, WEST, EAST] {
            replaced(pair, side, MOMENT);
        }
    });
}

#[test]
fn ike_rekey_request_late() {
    situations(SIDES, |pair, side| {
        pair.fate(side, [Late(LATE)]);
        replaced(pair, side, MOMENT * 2);
    });
}

#[test]
fn ike_rekey_answer_late() {
    situations(SIDES, |pair, side| {
        pair.fate(!side, [Late(LATE)]);
        replaced(pair, side, MOMENT * 2);
    });
}

#[test]
fn ike_rekey_delete_late() {
    situations(SIDES, |pair, side| {
        pair.fate(side, [Ordinary, Late(LATE)]);
        replaced(pair, side, MOMENT * 2);
    });
}

#[test]
fn ike_rekey_request_lost() {
    situations(SIDES, |pair, side| {
        pair.fate(side, [Lost, Lost]);
        replaced(pair, side, Duration::from_secs(3));
    });
}

#[test]
fn ike_rekey_answer_lost() {
    situations(SIDES, |pair, side| {
        pair.fate(!side, [Lost, Lost]);
        replaced(pair, side, Duration::from_secs(3));
    });
}

#[test]
fn ike_rekey_delete_lost() {
    situations(SIDES, |pair, side| {
        pair.fate(side, [Ordinary, Lost, Lost]);
        replaced(pair, side, Duration::from_secs(3));
    });
}

/// The old IKE SA is gone on the other side: the Delete is not answered again, and that harms nobody.
#[test]
fn ike_rekey_delete_answer_lost() {
    situations(SIDES, |pair, side| {
        pair.fate(!side, [Ordinary, Lost]);
        replaced(pair, side, Duration::from_secs(3));
    });
}

#[test]
fn ike_rekey_answer_held_back_for_seconds() {
    situations(SIDES, |pair, side| {
        pair.hold(!side);
        ike(pair, side);
        pair.run_for(Duration::from_secs(7));
        pair.release(!side);
        pair.run_for(MOMENT);
    });
}

/// The new IKE SA serves at once, also for the side that did not ask for it and still waits for the old one's Delete.
#[test]
fn ike_rekey_and_then_a_child_rekey_by_the_other_side() {
    situations(SIDES, |pair, side| {
        pair.fate(side, [Ordinary, Late(LATE)]);
        ike(pair, side);
        pair.run_for(Duration::from_millis(25));
        let before = current(&pair.east);
        child(pair, !side);
        pair.run_for(MOMENT * 2);
        assert!(!pair.calm || current(&pair.east) != before);
    });
}

/// The answer to a child's rekey is still owed when the IKE SA is to be replaced: first the one, then the other.
#[test]
fn ike_rekey_while_a_child_is_being_made() {
    situations(SIDES, |pair, side| {
        let before = (spis(&pair.east), current(&pair.east));
        pair.side(!side).hesitates = true;
        child(pair, side);
        pair.run_for(MOMENT);
        ike(pair, side);
        ike(pair, !side);
        pair.run_for(MOMENT);
        pair.side(!side).hesitates = false;
        for made in pair.side(!side).waiting.clone() {
            pair.tell(!side, ike::Input::ChildInstalled(made));
        }
        pair.run_for(Duration::from_secs(20));
        if pair.calm {
            assert_ne!(spis(&pair.east), before.0);
            assert_ne!(current(&pair.east), before.1);
        }
    });
}

/// What receives for five seconds more does so under the new IKE SA, and goes with it.
#[test]
fn ike_rekey_while_an_old_child_still_receives() {
    situations(SIDES, |pair, side| {
        child(pair, side);
        pair.run_for(MOMENT);
        ike(pair, !side);
        pair.run_for(MOMENT);
        if pair.calm {
            assert_eq!((pair.east.datapath.len(), pair.west.datapath.len()), (2, 2));
        }
    });
}
