//! A Child SA is replaced by one side while the other is at rest (RFC 7296 §1.3.3, §2.8).

use std::time::Duration;

use crate::Pair;
use crate::network::Fate::{Late, Lost, Ordinary};
use crate::rekey::child;
use crate::situation::{EAST, LATE, MOMENT, WEST, current, situation, situations};

const SIDES: [bool; 2] = [EAST, WEST];

/// One side replaces the child with these messages of both in between; there is a new one, of that side's making.
fn replaced(pair: &mut Pair, side: bool, time: Duration) {
    let before = current(&pair.east);
    child(pair, side);
    pair.run_for(time);
    if pair.calm {
        assert_ne!(current(&pair.east), before);
        let current = current(pair.side(side));
        assert!(pair.side(side).begun.contains(&current));
    }
}

#[test]
fn child_rekey_by_either_side() {
    situations(SIDES, |pair, side| {
        let sent = pair.network.history.len();
        replaced(pair, side, MOMENT);
        assert!(!pair.calm || pair.network.history.len() - sent == 4);
    });
}

/// What was made by the one side is replaced by the other, and so on.
#[test]
fn child_rekey_by_both_sides_in_turn() {
    situation(|pair| {
        for side in [EAST, WEST, WEST, EAST] {
            replaced(pair, side, MOMENT);
        }
    });
}

#[test]
fn child_rekey_request_late() {
    situations(SIDES, |pair, side| {
        pair.fate(side, [Late(LATE)]);
        replaced(pair, side, MOMENT * 2);
    });
}

#[test]
fn child_rekey_answer_late() {
    situations(SIDES, |pair, side| {
        pair.fate(!side, [Late(LATE)]);
        replaced(pair, side, MOMENT * 2);
    });
}

/// The other side sends by the old child until the Delete arrives.
#[test]
fn child_rekey_delete_late() {
    situations(SIDES, |pair, side| {
        pair.fate(side, [Ordinary, Late(LATE)]);
        child(pair, side);
        pair.run_for(MOMENT);
        if pair.calm {
            let (made, other) = (current(pair.side(side)), pair.side(!side));
            assert_eq!(other.datapath.len(), 2);
            assert!(
                other.datapath.values().any(|pair| !pair.sends),
                "it is not known yet"
            );
            assert!(pair.side(side).datapath[&made].sends);
        }
        pair.run_for(MOMENT);
        assert!(!pair.calm || pair.side(!side).datapath.values().all(|pair| pair.sends));
    });
}

#[test]
fn child_rekey_delete_answer_late() {
    situations(SIDES, |pair, side| {
        pair.fate(!side, [Ordinary, Late(LATE)]);
        replaced(pair, side, MOMENT * 2);
    });
}

#[test]
fn child_rekey_request_lost() {
    situations(SIDES, |pair, side| {
        pair.fate(side, [Lost, Lost]);
        replaced(pair, side, Duration::from_secs(3));
    });
}

#[test]
fn child_rekey_answer_lost() {
    situations(SIDES, |pair, side| {
        pair.fate(!side, [Lost, Lost]);
        replaced(pair, side, Duration::from_secs(3));
    });
}

#[test]
fn child_rekey_delete_lost() {
    situations(SIDES, |pair, side| {
        pair.fate(side, [Ordinary, Lost, Lost]);
        replaced(pair, side, Duration::from_secs(3));
    });
}

#[test]
fn child_rekey_delete_answer_lost() {
    situations(SIDES, |pair, side| {
        pair.fate(!side, [Ordinary, Lost, Lost]);
        replaced(pair, side, Duration::from_secs(3));
    });
}

/// The request arrives when it was sent again four times: each copy asks for the same child.
#[test]
fn child_rekey_request_held_back_for_seconds() {
    situations(SIDES, |pair, side| {
        pair.hold(side);
        child(pair, side);
        pair.run_for(Duration::from_secs(7));
        pair.release(side);
        pair.run_for(MOMENT);
        if pair.calm {
            assert_eq!(pair.side(!side).datapath.len(), 2, "the old one still receives");
        }
    });
}

/// For the whole time between request and answer the old child carries everything.
#[test]
fn child_rekey_answer_held_back_for_seconds() {
    situations(SIDES, |pair, side| {
        pair.hold(!side);
        child(pair, side);
        pair.run_for(Duration::from_secs(7));
        if pair.calm {
            assert_eq!(pair.side(side).datapath.len(), 1);
            assert_eq!(pair.side(!side).datapath.len(), 2);
        }
        pair.release(!side);
        pair.run_for(MOMENT);
    });
}

/// The old child goes five seconds after both sides agreed that it does, and not a moment earlier.
#[test]
fn child_rekey_leaves_the_old_one_receiving_for_a_while() {
    situations(SIDES, |pair, side| {
        child(pair, side);
        pair.run_for(Duration::from_millis(4_900));
        let count = |pair: &Pair| (pair.east.datapath.len(), pair.west.datapath.len());
        assert!(!pair.calm || count(pair) == (2, 2));
        pair.run_for(MOMENT);
        assert!(!pair.calm || count(pair) == (1, 1));
    });
}

/// Two rekeys within the five seconds leave three children receiving and one sending.
#[test]
fn child_rekey_again_while_the_old_one_still_receives() {
    situations(SIDES, |pair, side| {
        replaced(pair, side, MOMENT);
        replaced(pair, !side, MOMENT);
        if pair.calm {
            assert_eq!((pair.east.datapath.len(), pair.west.datapath.len()), (3, 3));
        }
    });
}

#[test]
fn child_rekey_with_a_slow_datapath_on_either_side() {
    situations(SIDES, |pair, side| {
        pair.side(side).hesitates = true;
        child(pair, EAST);
        pair.run_for(Duration::from_secs(2));
        pair.side(side).hesitates = false;
        for made in pair.side(side).waiting.clone() {
            pair.tell(side, ike::Input::ChildInstalled(made));
        }
        pair.run_for(MOMENT);
    });
}

/// What was refused is tried again soon, by whichever side asked.
#[test]
fn child_rekey_refused_by_either_datapath() {
    let all = [(EAST, EAST), (EAST, WEST), (WEST, EAST), (WEST, WEST)];
    situations(all, |pair, (side, refuses)| {
        let before = current(&pair.east);
        pair.side(refuses).refuses = Some("state: not now");
        child(pair, side);
        pair.run_for(MOMENT);
        assert!(!pair.calm || current(&pair.east) == before);
        pair.side(refuses).refuses = None;
        pair.run_for(Duration::from_secs(13));
        assert!(!pair.calm || current(&pair.east) != before);
    });
}
