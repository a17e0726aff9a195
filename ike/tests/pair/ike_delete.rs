//! An IKE SA is closed (RFC 7296 §1.4.1, §2.25.2).

use std::time::Duration;

use ike::Input;

use crate::Pair;
use crate::network::Fate::{Late, Lost};
use crate::situation::{EAST, LATE, MOMENT, WEST, situations_that_close};

const SIDES: [bool; 2] = [EAST, WEST];

fn closed(pair: &mut Pair, side: bool) {
    if pair.calm {
        assert!(pair.east.datapath.is_empty() && pair.west.datapath.is_empty());
        assert!(pair.side(side).engine.is_idle());
    }
}

#[test]
fn ike_delete_by_either_side() {
    situations_that_close(SIDES, |pair, side| {
        let sent = pair.network.history.len();
        pair.tell(side, Input::Shutdown);
        pair.run_for(Duration::from_millis(30));
        closed(pair, side);
        assert!(!pair.calm || pair.network.history.len() - sent == 2);
    });
}

/// Nothing is left to wait for.
#[test]
fn ike_delete_by_both_sides_at_once() {
    situations_that_close(SIDES, |pair, side| {
        pair.tell(side, Input::Shutdown);
        pair.tell(!side, Input::Shutdown);
        pair.run_for(Duration::from_millis(30));
        closed(pair, side);
        closed(pair, !side);
    });
}

#[test]
fn ike_delete_late() {
    situations_that_close(SIDES, |pair, side| {
        pair.fate(side, [Late(LATE)]);
        pair.tell(side, Input::Shutdown);
        pair.run_for(MOMENT * 2);
        closed(pair, side);
    });
}

#[test]
fn ike_delete_lost() {
    situations_that_close(SIDES, |pair, side| {
        pair.fate(side, [Lost]);
        pair.tell(side, Input::Shutdown);
        pair.run_for(MOMENT * 3);
        closed(pair, side);
    });
}

/// The other side is gone already: two seconds are enough.
#[test]
fn ike_delete_answer_lost() {
    situations_that_close(SIDES, |pair, side| {
        pair.fate(!side, [Lost]);
        pair.tell(side, Input::Shutdown);
        pair.run_for(Duration::from_secs(2));
        closed(pair, side);
    });
}
