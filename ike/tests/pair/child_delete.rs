//! A Child SA is deleted by the side whose datapath lost it (RFC 7296 §1.4.1, §2.25.1). The IKE SA stays, and another
//! child is made.

use std::time::Duration;

use ike::Input;

use crate::Pair;
use crate::network::Fate::{Late, Lost};
use crate::rekey::{child, ike};
use crate::situation::{EAST, LATE, MOMENT, MOMENTS, WEST, current, situations, situations_that_close, spis};

const SIDES: [bool; 2] = [EAST, WEST];

/// The datapath of one side has lost the child.
fn delete(pair: &mut Pair, side: bool) {
    pair.lossy = true;
    if let Some(child) = pair.side(side).standing().children.first().map(|child| child.id) {
        pair.tell(side, Input::ChildRefused(child, "state: gone".to_owned()));
    }
}

/// Both sides delete it with two messages, and within two seconds there is another one in the same IKE SA.
#[test]
fn child_delete_by_either_side() {
    situations(SIDES, |pair, side| {
        let (before, sent) = (
            (spis(&pair.east), current(&pair.east)),
            pair.network.history.len(),
        );
        delete(pair, side);
        pair.run_for(MOMENT);
        if pair.calm {
            assert_eq!(pair.network.history.len() - sent, 2);
            assert!(pair.east.datapath.is_empty() && pair.west.datapath.is_empty());
        }
        pair.run_for(Duration::from_secs(2));
        if pair.calm {
            assert_eq!(spis(&pair.east), before.0);
            assert_ne!(current(&pair.east), before.1);
        }
    });
}

/// The Deletes cross: neither answer names the child again.
#[test]
fn child_delete_by_both_sides_at_once() {
    situations(SIDES, |pair, side| {
        let before = spis(&pair.east);
        delete(pair, side);
        delete(pair, !side);
        pair.run_for(Duration::from_secs(3));
        assert!(!pair.calm || spis(&pair.east) == before);
    });
}

#[test]
fn child_delete_late() {
    situations(SIDES, |pair, side| {
        pair.fate(side, [Late(LATE)]);
        delete(pair, side);
        pair.run_for(Duration::from_secs(3));
    });
}

#[test]
fn child_delete_lost() {
    situations(SIDES, |pair, side| {
        pair.fate(side, [Lost, Lost]);
        delete(pair, side);
        pair.run_for(Duration::from_secs(5));
    });
}

#[test]
fn child_delete_answer_lost() {
    situations(SIDES, |pair, side| {
        pair.fate(!side, [Lost, Lost]);
        delete(pair, side);
        pair.run_for(Duration::from_secs(5));
    });
}

/// One side replaces the child that the other deletes, at every moment of the one and the other.
#[test]
fn child_delete_during_a_rekey_by_the_other_side() {
    situations(MOMENTS, |pair, (wait, side)| {
        let before = spis(&pair.east);
        child(pair, side);
        pair.run_for(Duration::from_millis(wait));
        delete(pair, !side);
        pair.run_for(Duration::from_secs(3));
        assert!(!pair.calm || spis(&pair.east) == before);
    });
}

#[test]
fn child_rekey_during_a_delete_by_the_other_side() {
    situations(MOMENTS, |pair, (wait, side)| {
        let before = spis(&pair.east);
        delete(pair, side);
        pair.run_for(Duration::from_millis(wait));
        child(pair, !side);
        pair.run_for(Duration::from_secs(3));
        assert!(!pair.calm || spis(&pair.east) == before);
    });
}

/// A side's datapath loses the child that this side is replacing.
#[test]
fn child_delete_during_a_rekey_by_the_same_side() {
    situations(MOMENTS, |pair, (wait, side)| {
        let before = spis(&pair.east);
        child(pair, side);
        pair.run_for(Duration::from_millis(wait));
        delete(pair, side);
        pair.run_for(Duration::from_secs(3));
        assert!(!pair.calm || spis(&pair.east) == before);
    });
}

/// The rekey of the one arrives long after the Delete of the other.
#[test]
fn child_rekey_request_that_arrives_after_a_delete() {
    situations(SIDES, |pair, side| {
        pair.fate(side, [Late(LATE)]);
        child(pair, side);
        delete(pair, !side);
        pair.run_for(Duration::from_secs(3));
    });
}

/// The child goes while the IKE SA is replaced; another one is made in whatever IKE SA there is then.
#[test]
fn child_delete_during_an_ike_rekey() {
    situations(MOMENTS, |pair, (wait, side)| {
        let before = spis(&pair.east);
        ike(pair, side);
        pair.run_for(Duration::from_millis(wait));
        delete(pair, !side);
        pair.run_for(Duration::from_secs(20));
        assert!(!pair.calm || spis(&pair.east) != before);
    });
}

#[test]
fn ike_rekey_during_a_child_delete() {
    situations(MOMENTS, |pair, (wait, side)| {
        delete(pair, side);
        pair.run_for(Duration::from_millis(wait));
        ike(pair, !side);
        pair.run_for(Duration::from_secs(20));
    });
}

/// One side deletes the child while the other closes everything.
#[test]
fn child_delete_against_ike_delete() {
    situations_that_close(MOMENTS, |pair, (wait, side)| {
        delete(pair, side);
        pair.run_for(Duration::from_millis(wait));
        pair.tell(!side, Input::Shutdown);
        pair.run_for(Duration::from_millis(900));
        if pair.calm {
            assert!(pair.east.datapath.is_empty() && pair.west.datapath.is_empty());
            assert!(pair.side(!side).engine.is_idle());
        }
    });
}
