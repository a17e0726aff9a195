//! Changes of a Child SA cross changes of the IKE SA that it belongs to (RFC 7296 §2.25.1, §2.25.2).

use std::time::Duration;

use ike::Input;

use crate::network::Fate::{Late, Lost, Ordinary};
use crate::rekey::{child, ike};
use crate::situation::{EAST, LATE, MOMENT, MOMENTS, WEST, current, situations, situations_that_close, spis};

const SIDES: [bool; 2] = [EAST, WEST];
/// Both are refused with TEMPORARY_FAILURE, and both are tried again.
#[test]
fn child_rekey_against_ike_rekey() {
    situations(SIDES, |pair, side| {
        let before = (spis(&pair.east), current(&pair.east));
        child(pair, side);
        ike(pair, !side);
        pair.run_for(MOMENT);
        if pair.calm {
            assert_eq!((spis(&pair.east), current(&pair.east)), before);
        }
        pair.run_for(Duration::from_secs(30));
        if pair.calm {
            assert_ne!(spis(&pair.east), before.0);
            assert_ne!(current(&pair.east), before.1);
        }
    });
}

/// The IKE SA is replaced at whatever moment of a child's rekey.
#[test]
fn child_rekey_and_then_ike_rekey_by_the_other_side() {
    situations(MOMENTS, |pair, (wait, side)| {
        let before = (spis(&pair.east), current(&pair.east));
        child(pair, side);
        pair.run_for(Duration::from_millis(wait));
        ike(pair, !side);
        pair.run_for(Duration::from_secs(30));
        if pair.calm {
            assert_ne!(spis(&pair.east), before.0);
            assert_ne!(current(&pair.east), before.1);
        }
    });
}

/// The child is replaced at whatever moment of the IKE SA's rekey.
#[test]
fn ike_rekey_and_then_child_rekey_by_the_other_side() {
    situations(MOMENTS, |pair, (wait, side)| {
        let before = (spis(&pair.east), current(&pair.east));
        ike(pair, side);
        pair.run_for(Duration::from_millis(wait));
        child(pair, !side);
        pair.run_for(Duration::from_secs(30));
        if pair.calm {
            assert_ne!(spis(&pair.east), before.0);
            assert_ne!(current(&pair.east), before.1);
        }
    });
}

/// One side wants both: one after the other.
#[test]
fn child_rekey_and_ike_rekey_by_one_side() {
    situations(MOMENTS, |pair, (wait, side)| {
        let before = (spis(&pair.east), current(&pair.east));
        child(pair, side);
        pair.run_for(Duration::from_millis(wait));
        ike(pair, side);
        pair.run_for(Duration::from_secs(2));
        if pair.calm {
            assert_ne!(spis(&pair.east), before.0);
            assert_ne!(current(&pair.east), before.1);
        }
    });
}

/// The child's request is late: it arrives when another IKE SA has taken over.
#[test]
fn child_rekey_request_that_arrives_after_an_ike_rekey() {
    situations(SIDES, |pair, side| {
        pair.fate(side, [Late(LATE)]);
        child(pair, side);
        ike(pair, !side);
        pair.run_for(Duration::from_secs(30));
    });
}

/// The answer to the child's rekey is lost while the other side replaces the IKE SA.
#[test]
fn child_rekey_with_a_lost_answer_against_ike_rekey() {
    situations(SIDES, |pair, side| {
        pair.fate(!side, [Lost]);
        child(pair, side);
        pair.run_for(Duration::from_millis(15));
        ike(pair, !side);
        pair.run_for(Duration::from_secs(30));
    });
}

/// The Delete of the old child crosses with a rekey of the IKE SA.
#[test]
fn child_delete_against_ike_rekey() {
    situations(SIDES, |pair, side| {
        let before = spis(&pair.east);
        child(pair, side);
        pair.run_for(Duration::from_millis(20));
        ike(pair, !side);
        pair.run_for(Duration::from_secs(30));
        assert!(!pair.calm || spis(&pair.east) != before);
    });
}

/// The same with the Delete so late that the IKE SA's rekey comes first.
#[test]
fn late_child_delete_against_ike_rekey() {
    situations(SIDES, |pair, side| {
        pair.fate(side, [Ordinary, Late(LATE)]);
        child(pair, side);
        pair.run_for(Duration::from_millis(25));
        ike(pair, !side);
        pair.run_for(Duration::from_secs(30));
    });
}

/// Rekeys of everything by both sides at once.
#[test]
fn both_rekeys_by_both_sides() {
    situations(MOMENTS, |pair, (wait, side)| {
        child(pair, EAST);
        child(pair, WEST);
        pair.run_for(Duration::from_millis(wait));
        ike(pair, side);
        ike(pair, !side);
        pair.run_for(Duration::from_secs(40));
    });
}

/// One side replaces the child while the other closes everything.
#[test]
fn child_rekey_against_ike_delete() {
    situations_that_close(MOMENTS, |pair, (wait, side)| {
        child(pair, side);
        pair.run_for(Duration::from_millis(wait));
        pair.tell(!side, Input::Shutdown);
        pair.run_for(Duration::from_millis(900));
        if pair.calm {
            assert!(pair.east.datapath.is_empty() && pair.west.datapath.is_empty());
            assert!(pair.side(!side).engine.is_idle());
        }
    });
}

/// One side replaces the IKE SA while the other closes everything.
#[test]
fn ike_rekey_against_ike_delete() {
    situations_that_close(MOMENTS, |pair, (wait, side)| {
        ike(pair, side);
        pair.run_for(Duration::from_millis(wait));
        pair.tell(!side, Input::Shutdown);
        pair.run_for(Duration::from_millis(2900));
        if pair.calm {
            assert!(pair.east.datapath.is_empty() && pair.west.datapath.is_empty());
            assert!(pair.side(!side).engine.is_idle());
        }
    });
}

/// One side replaces something and then closes everything before it is answered.
#[test]
fn rekeys_overtaken_by_our_own_ike_delete() {
    situations_that_close(MOMENTS, |pair, (wait, side)| {
        let rekey = if wait % 10 == 0 { child } else { ike };
        rekey(pair, side);
        pair.run_for(Duration::from_millis(wait));
        pair.tell(side, Input::Shutdown);
        pair.run_for(Duration::from_millis(2900));
        if pair.calm {
            assert!(pair.east.datapath.is_empty() && pair.west.datapath.is_empty());
            assert!(pair.side(side).engine.is_idle());
        }
    });
}
