//! Both sides replace the same Child SA at once (RFC 7296 §2.8.1).

use std::time::Duration;

use crate::Pair;
use crate::network::Fate::{Late, Lost, Ordinary};
use crate::rekey::child;
use crate::situation::Lowest::{self, EastAnswers, EastAsks, WestAnswers, WestAsks};
use crate::situation::{EAST, LATE, MOMENT, ORDERS, WEST, current, situation, situations};

fn collide(pair: &mut Pair, lowest: Lowest) {
    lowest.collide(pair, child, child);
}

fn assert_made_by(pair: &mut Pair, side: bool) {
    if pair.calm {
        let made = [current(&pair.east), current(&pair.west)];
        let made = [
            pair.east.begun.contains(&made[0]),
            pair.west.begun.contains(&made[1]),
        ];
        assert_eq!(made, [side == EAST, side == WEST]);
    }
}

/// The loser's child is never put into use, on either side.
fn one_stays(lowest: Lowest) {
    situation(|pair| {
        let begun = pair.side(!lowest.winner()).begun.len();
        collide(pair, lowest);
        pair.run_for(MOMENT);
        assert_made_by(pair, lowest.winner());
        if pair.calm {
            let loser = pair.side(!lowest.winner());
            assert_eq!(loser.begun.len(), begun, "the loser installed its own");
        }
    });
}

#[test]
fn child_collision_with_the_lowest_nonce_in_easts_request() {
    one_stays(EastAsks);
}

#[test]
fn child_collision_with_the_lowest_nonce_in_wests_answer() {
    one_stays(WestAnswers);
}

#[test]
fn child_collision_with_the_lowest_nonce_in_wests_request() {
    one_stays(WestAsks);
}

#[test]
fn child_collision_with_the_lowest_nonce_in_easts_answer() {
    one_stays(EastAnswers);
}

/// East learns late what became of its request: west has deleted by then what it had to.
#[test]
fn child_collision_with_a_late_answer() {
    situations(ORDERS, |pair, lowest| {
        pair.fate(WEST, [Ordinary, Late(LATE)]);
        collide(pair, lowest);
        pair.run_for(MOMENT * 2);
        assert_made_by(pair, lowest.winner());
    });
}

/// West's request arrives while east deletes the child that it is about: it is refused for now, and west takes east's.
#[test]
fn child_collision_with_a_request_that_arrives_during_the_delete() {
    situations(ORDERS, |pair, lowest| {
        pair.fate(WEST, [Late(Duration::from_millis(15))]);
        collide(pair, lowest);
        pair.run_for(MOMENT);
        assert_made_by(pair, EAST);
    });
}

/// West's request arrives when the child that it is about is long gone.
#[test]
fn child_collision_with_a_request_that_arrives_after_the_delete() {
    situations(ORDERS, |pair, lowest| {
        pair.fate(WEST, [Late(LATE)]);
        collide(pair, lowest);
        pair.run_for(MOMENT * 2);
        assert_made_by(pair, EAST);
    });
}

/// The Delete of the old child, and that of the one too many, are late.
#[test]
fn child_collision_with_late_deletes() {
    situations(ORDERS, |pair, lowest| {
        pair.fate(EAST, [Ordinary, Ordinary, Late(LATE)]);
        pair.fate(WEST, [Ordinary, Ordinary, Late(LATE)]);
        collide(pair, lowest);
        pair.run_for(MOMENT * 3);
        assert_made_by(pair, lowest.winner());
    });
}

/// Only the winner's Delete of the old child is late: the loser's has long taken the one too many away.
#[test]
fn child_collision_with_a_late_delete_of_the_winner() {
    situations(ORDERS, |pair, lowest| {
        pair.fate(lowest.winner(), [Ordinary, Ordinary, Late(LATE)]);
        collide(pair, lowest);
        pair.run_for(MOMENT * 2);
        assert_made_by(pair, lowest.winner());
    });
}

/// West's request is lost and comes again half a second later.
#[test]
fn child_collision_with_a_lost_request() {
    situations(ORDERS, |pair, lowest| {
        pair.fate(WEST, [Lost]);
        collide(pair, lowest);
        pair.run_for(MOMENT * 4);
        assert_made_by(pair, EAST);
    });
}

/// An answer is lost: its exchange is decided half a second after the other.
#[test]
fn child_collision_with_a_lost_answer() {
    situations(ORDERS, |pair, lowest| {
        pair.fate(WEST, [Ordinary, Lost]);
        collide(pair, lowest);
        pair.run_for(MOMENT * 4);
        assert_made_by(pair, lowest.winner());
    });
}

/// Both answers are lost.
#[test]
fn child_collision_with_both_answers_lost() {
    situations(ORDERS, |pair, lowest| {
        pair.fate(EAST, [Ordinary, Lost]);
        pair.fate(WEST, [Ordinary, Lost]);
        collide(pair, lowest);
        pair.run_for(MOMENT * 4);
        assert_made_by(pair, lowest.winner());
    });
}

/// Both Deletes are lost.
#[test]
fn child_collision_with_both_deletes_lost() {
    situations(ORDERS, |pair, lowest| {
        pair.fate(EAST, [Ordinary, Ordinary, Lost]);
        pair.fate(WEST, [Ordinary, Ordinary, Lost]);
        collide(pair, lowest);
        pair.run_for(MOMENT * 4);
        assert_made_by(pair, lowest.winner());
    });
}

/// East's datapath does not carry what west asked for: east's own stays, whatever the nonces say.
#[test]
fn child_collision_with_a_refusing_datapath() {
    situations(ORDERS, |pair, lowest| {
        let before = current(&pair.east);
        pair.east.refuses = Some("state: not now");
        collide(pair, lowest);
        pair.run_for(Duration::from_millis(15));
        pair.east.refuses = None;
        pair.run_for(Duration::from_secs(20));
        assert!(!pair.calm || current(&pair.east) != before);
    });
}

/// West's datapath takes its time: its answer crosses with what follows from east's.
#[test]
fn child_collision_with_a_slow_datapath() {
    situations(ORDERS, |pair, lowest| {
        pair.west.hesitates = true;
        collide(pair, lowest);
        pair.run_for(MOMENT);
        pair.west.hesitates = false;
        for made in pair.west.waiting.clone() {
            pair.tell_west(ike::Input::ChildInstalled(made));
        }
        pair.run_for(MOMENT);
    });
}
